"""Compression counts as it shows at the size that clips are trained at."""

import numpy as np
import pytest

from wanprep.stages.filter import FilterConfig
from wanprep.stages.judge import judge
from wanprep.stages.scored import scored
from wanprep.stages.trained import USUAL, scaled, sizes
from wanprep.stages.windows import View


def view(width: int, height: int, media: str = "video") -> View:
    return View(name=f"v{width}-{media}", resolution=(width, height), frames=(1,), media=media)  # type: ignore[arg-type]


def test_five_steps_of_the_quantiser_are_worth_half_the_sides() -> None:
    pixels = np.array([1920 * 1080, 960 * 540, 480 * 270, np.nan])
    found = scaled(np.full(4, 40.0), pixels, np.full(4, 960.0 * 540))
    assert found == pytest.approx([35.0, 40.0, 40.0, 40.0])  # nothing is enlarged; of unknown size is as it is
    assert np.isnan(scaled(np.array([np.nan]), pixels[:1], pixels[1:2])).all()
    assert scaled(np.array([2.0]), pixels[:1], pixels[1:2]) == 0.0  # not below the scale


def test_the_largest_view_that_takes_such_clips_counts() -> None:
    views = [view(480, 272), view(832, 480), view(768, 768, "image")]
    assert sizes(views) == (832 * 480, 768 * 768)
    assert sizes([view(512, 512, "any")]) == (512 * 512, 512 * 512)
    assert sizes([]) == USUAL
    assert sizes([view(1280, 704)]) == (1280 * 704, USUAL[1])


def test_a_coarse_clip_goes_where_it_is_trained_as_large_as_it_is() -> None:
    row = {"clip_id": "a", "source_id": "s", "group": "g", "quantiser": 39.0, "lit": 1280.0 * 704, "evidence": b""}
    small = judge(scored([row]), FilterConfig(), trained=sizes([view(832, 480)])).verdicts()[0]
    large = judge(scored([row]), FilterConfig(), trained=sizes([view(1280, 704)])).verdicts()[0]
    assert (small.state, large.state) == ("keep", "reject")
    assert large.reasons == ("compression",)
    assert small.scores["compression"][0] == pytest.approx(39.0 - 5 * np.log2(1280 * 704 / (832 * 480)) / 2, abs=1e-6)
