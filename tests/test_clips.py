"""Spans and plans of sources become rows of the table `clips`: by columns, and none is lost."""

import json
import random
from fractions import Fraction
from typing import Any

import pytest
from test_decide import a_source, spans, together

from wanprep import keys
from wanprep.clips import decide_clips
from wanprep.decide import decide_sources, planned_frames
from wanprep.measured import Measured
from wanprep.pipeline import Pipeline, resolve
from wanprep.schema import TABLES

Part = dict[str, list]


@pytest.fixture
def pipeline() -> Pipeline:
    return resolve(environment={}, assignments=["family=tiny"])


def clips(measured: Measured, pipeline: Pipeline) -> list[dict[str, Any]]:
    found = decide_clips(decide_sources(measured), measured, pipeline)
    assert found.columns == list(TABLES["clips"])
    return found.to_dicts()


def test_no_source_is_no_clip(pipeline: Pipeline) -> None:
    assert clips(Measured(), pipeline) == []
    assert clips(together(a_source(pipeline, "a.mp4", "aa")), pipeline) == []  # divided, into nothing


def test_each_clip_has_the_plan_of_its_own_span(pipeline: Pipeline) -> None:
    """Beside sources without a plan, without a shot, and with a plan that is not of its spans."""
    chooser, parts, expected = random.Random(3), [], []
    for number in range(40):
        ends = sorted(chooser.sample(range(1, 90), chooser.randrange(5)))
        ranges = [(a, b, "") for a, b in zip([0, *ends], ends)]
        part = a_source(pipeline, f"{number:02}.mp4", f"id{number}", *ranges)
        why = chooser.choice(["good", "good", "no plan", "failed", "another"])
        if why == "no plan":
            part["plans"] = []
        elif why == "failed":
            part["plans"][0]["outcome"] = "failed"
        elif why == "another":
            part["plans"][0]["plans"] = json.dumps(
                [{"n_frames": 7, "duplicated": 0, "frames": [0]}] * (len(ranges) + 1)
            )
        parts.append(part)
        expected += [(f"{number:02}.mp4", a, b, b - a if why == "good" else None) for a, b, _ in ranges]
    found = clips(together(*parts), pipeline)
    assert [(c["path"], c["start_pts"], c["end_pts"], c["n_frames"]) for c in found] == expected
    assert {c["n_frames"] is None for c in found} == {True, False}
    assert all(c["clip_id"] == keys.clip(c["source_id"], c["start_pts"], c["end_pts"]) for c in found)


@pytest.mark.parametrize("base", ["1/16", "1001/30000", "1/90000", "1/1000000000"])
@pytest.mark.parametrize("first", [0, -33, 2**40])
def test_seconds_are_those_of_the_clock(pipeline: Pipeline, base: str, first: int) -> None:
    part = a_source(pipeline, "a.mp4", "aa", (0, 20, ""), (20, 61, "too_short"))
    part["signals"][0] |= {"time_base": base, "first_pts": first}
    part["shots"][0]["spans"] = spans((first + 7, first + 20, ""), (first + 20, first + 61, "too_short"))
    for clip, (start, end) in zip(clips(together(part), pipeline), [(7, 20), (20, 61)], strict=True):
        assert (clip["start_s"], clip["end_s"]) == (float(start * Fraction(base)), float(end * Fraction(base)))


def test_a_still_has_one_frame(pipeline: Pipeline) -> None:
    still, other = (a_source(pipeline, f"{name}.png", name, (0, 20, "")) for name in "ab")
    for part in (still, other):
        part["signals"][0]["kind"] = "image"
    other["plans"] = []
    found = clips(together(still, other), pipeline)
    assert [(c["kind"], c["n_frames"], c["duplicated"]) for c in found] == [("image", 1, 0), ("image", None, None)]


def test_planned_frames_are_those_of_the_plans(pipeline: Pipeline) -> None:
    part = a_source(pipeline, "a.mp4", "aa", (0, 3, ""), (3, 5, ""))
    without = a_source(pipeline, "b.mp4", "bb", (0, 3, ""))
    without["plans"] = []
    expected = {keys.clip("aa", 0, 3): [0, 1, 2], keys.clip("aa", 3, 5): [3, 4]}
    assert planned_frames(together(part, without), pipeline) == expected
