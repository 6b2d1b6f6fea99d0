"""What repeats itself at the grid of coding blocks is drawn, and says nothing of coding."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from tests.signals.test_detail import MPEG4, scene
from tests.signals.test_hidden import FINE, SIZE, coarsely, recoded
from wanprep.signals import hidden, repeats
from wanprep.signals.compression import traces


def tiled(size: int, seed: int = 0) -> np.ndarray:
    """uint8[360, 640]: one tile again and again, lit unevenly, with grain."""
    rng = np.random.default_rng(seed)
    tile = cv2.GaussianBlur(rng.normal(0, 60, (size, size)).astype(np.float32), (0, 0), 0.7)
    height, width = SIZE
    picture = 120 + np.tile(tile, (-(-height // size), -(-width // size)))[:height, :width]
    light = cv2.resize(rng.uniform(0.6, 1.2, (4, 6)).astype(np.float32), (width, height))
    return np.clip(picture * light + rng.normal(0, 2, SIZE), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("size", [4, 8, 16, 32])
def test_tiles_at_the_grid_are_drawn(size):
    view = tiled(size)
    assert repeats.share(view) > 4 * hidden.REPEATS
    assert hidden.look(view).drawn
    assert math.isnan(traces(view, said=20.0, leaves=0.0, noise=False)["hidden"])


def test_a_part_of_a_picture_will_do():
    view = scene(0)[0]
    view[200:, :480] = tiled(16)[200:, :480]
    assert hidden.look(view).drawn


@pytest.mark.parametrize("coder", [(), coarsely(46), (*MPEG4, "24")])
def test_scenes_do_not_repeat_however_coarsely_they_were_coded(coder):
    views = recoded(recoded(scene(0), *coder), *FINE) if coder else scene(0)
    assert max(repeats.share(np.ascontiguousarray(view)) for view in views) < 0.5 * hidden.REPEATS
    assert not hidden.look(np.ascontiguousarray(views[0])).drawn


def test_what_repeats_elsewhere_is_no_grid():
    assert repeats.share(tiled(21)) < hidden.REPEATS


def test_of_small_flat_and_high_pictures():
    assert repeats.share(np.full(SIZE, 90, np.uint8)) == 0.0
    assert repeats.share(tiled(16)[:60, :60].copy()) == 0.0
    assert repeats.share(np.vstack([tiled(16)[:320]] * 4)) == pytest.approx(repeats.share(tiled(16)), abs=0.1)
