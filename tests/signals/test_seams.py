"""Steps that stand alone along the edges of large blocks: made-up scenes through real encoders."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.signals.test_detail import X265, scene
from tests.signals.test_hidden import FINE, SIZE, coarsely, recoded
from wanprep.signals import seams


def calm(seed: int) -> np.ndarray:
    """uint8[5, 360, 640]: as `scene`, but soft for the most part, as behind a face."""
    views = scene(seed)
    soft = np.stack([cv2.GaussianBlur(view, (0, 0), 4) for view in views]).astype(np.float32)
    soft[:, 100:260, 200:440] = views[:, 100:260, 200:440]
    return np.clip(soft + np.random.default_rng(seed).normal(0, 0.7, soft.shape), 0, 255).astype(np.uint8)


def said(view: np.ndarray) -> dict[str, float]:
    return dict(zip(seams.NAMES, seams.shares(np.ascontiguousarray(view))))


def looked(views: np.ndarray, name: str) -> float:
    return float(np.mean([said(view)[name] for view in views[::2]]))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_fine_coding_does_not_hide_where_large_blocks_met(seed):
    fine, coarse = (looked(views, "seams_32") for views in (calm(seed), recoded(calm(seed), *X265, "40")))
    again = looked(recoded(recoded(calm(seed), *X265, "40"), *FINE), "seams_32")
    assert fine < 0.06 < 0.08 < min(coarse, again)
    assert looked(recoded(calm(seed), *FINE), "seams_32") < again - 0.1


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_macroblocks_meet_at_sixteen(seed):
    views = calm(seed)
    assert looked(recoded(recoded(views, *coarsely(44)), *FINE), "seams_16") > 0.2
    for fine in (views, recoded(views, *FINE), recoded(recoded(views, *coarsely(22)), *FINE)):
        assert looked(fine, "seams_16") < 0.06


@pytest.mark.parametrize(("size", "name"), [(8, "seams_8"), (16, "seams_16"), (32, "seams_32"), (64, "seams_64")])
def test_steps_drawn_by_hand_are_told_by_the_size_of_their_blocks(size, name):
    row, column = np.indices(SIZE) // size
    levels = np.random.default_rng(size).integers(-2, 3, (row.max() + 1, column.max() + 1))[row, column]
    found = said(np.clip(calm(2)[0].astype(int) + levels, 0, 255).astype(np.uint8))
    four = {each: found[each] for each in seams.NAMES[:4]}
    assert max(four, key=four.__getitem__) == name
    assert found[f"{name}_less"] <= found[name]


def test_a_moved_grid_and_a_scaled_picture_have_none():
    coded = recoded(recoded(calm(0), *coarsely(44)), *FINE)
    assert looked(coded, "seams_16") > 0.2
    assert looked(coded[:, 5:, 5:], "seams_16") < 0.06
    small = [cv2.resize(view, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA) for view in coded]
    assert looked(np.array(small), "seams_16") < 0.06


def test_steep_edges_of_the_scene_do_not_count():
    """A wall of large tiles, each of its own tone: the joints are steep, and dark on both sides."""
    row, column = np.indices(SIZE)
    tone = np.random.default_rng(1).integers(80, 180, (24, 42))[row // 16, column // 16]
    wall = np.where((row % 16 == 0) | (column % 16 == 0), 40, tone) + np.random.default_rng(0).normal(0, 1, SIZE)
    plain = np.random.default_rng(0).normal(120, 1, SIZE)
    for size in ("seams_8", "seams_32", "seams_64"):
        for picture in (wall, plain):
            found = said(picture.clip(0, 255).astype(np.uint8))[size]
            assert np.isnan(found) or abs(found) < 0.2


def test_nothing_is_said_of_busy_and_of_tiny_pictures():
    busy = np.random.default_rng(0).integers(0, 256, SIZE).astype(np.uint8)
    for picture in (busy, calm(0)[0][:40, :60].copy(), np.zeros((3, 9), np.uint8)):
        assert np.isnan(said(picture)["seams_32"])
    assert len(seams.shares(calm(0)[0])) == len(seams.NAMES)


def test_flat_pictures_have_no_seams():
    assert not any(said(np.full(SIZE, 90, np.uint8))[name] for name in seams.NAMES[:8])


def test_of_high_pictures_some_lines_are_looked_at():
    coded = recoded(recoded(calm(0), *coarsely(44)), *FINE)[0][:320]
    high = np.vstack([coded] * 4)
    assert said(high)["seams_16"] == pytest.approx(said(coded)["seams_16"], abs=0.1)
    assert len(seams._pieces(high)) * seams.BAND * seams.PIECE <= seams.MOST_LINES
