"""Detail that begins and ends at the edges of blocks: made-up scenes through real encoders."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.signals.test_hidden import FINE, SIZE, coarsely, recoded
from wanprep.signals import detail

MPEG4 = ("-c:v", "mpeg4", "-q:v")
X265 = ("-c:v", "libx265", "-preset", "veryfast", "-x265-params", "log-level=none:pools=none", "-crf")
EIGHTHS = 0.2  # what coarse codings have more of, and fine ones less


def scene(seed: int, count: int = 5) -> np.ndarray:
    """uint8[count, 360, 640]: detail at all scales, as nature has it, and discs, under a slow pan."""
    rng = np.random.default_rng(seed)
    height, width = SIZE
    pitch = np.hypot(*np.meshgrid(np.fft.fftfreq(width + 40), np.fft.fftfreq(height))) + 1 / width
    wide = np.fft.ifft2(np.fft.fft2(rng.normal(size=(height, width + 40))) / pitch).real
    wide = wide / wide.std() * 38 + 120
    for _ in range(25):
        x, y, r = int(rng.integers(width)), int(rng.integers(height)), int(rng.integers(8, 50))
        cv2.circle(wide, (x, y), r, float(rng.uniform(20, 230)), -1, cv2.LINE_AA)
    views = np.stack([wide[:, k : k + width] for k in range(count)])
    return np.clip(views + rng.normal(0, 0.7, views.shape), 0, 255).astype(np.uint8)


def looked(views: np.ndarray) -> np.ndarray:
    """float[2]: the largest of the first two numbers."""
    return np.max([said(view)[:2] for view in views[::2]], axis=0)


def said(view: np.ndarray) -> np.ndarray:
    return detail.steps(np.ascontiguousarray(view))


@pytest.mark.parametrize("seed", [0, 1])
def test_a_fine_coding_does_not_hide_coarse_blocks_of_8(seed):
    views = scene(seed)
    assert looked(recoded(recoded(views, *MPEG4, "20"), *FINE))[0] > EIGHTHS
    for fine in (views, recoded(views, *FINE), recoded(recoded(views, *MPEG4, "4"), *FINE)):
        assert looked(fine)[0] < 0.5 * EIGHTHS


@pytest.mark.parametrize("seed", [0, 1])
def test_nor_does_it_hide_what_a_coder_decided_by_blocks_of_16(seed):
    views = scene(seed)
    coarse = recoded(views, *X265, "45"), recoded(views, *coarsely(44))
    fine = views, recoded(views, *FINE), recoded(views, *X265, "24")
    worse, better = ([looked(recoded(those, *FINE))[1] for those in which] for which in (coarse, fine))
    assert min(worse) > 1.2 * max(better)


def test_detail_that_begins_at_blocks_of_32_is_told_from_that_of_smaller_ones():
    """Every second block smoothed, by hand."""
    views = scene(4)
    for size, which in ((8, 0), (16, 1), (32, 2)):
        row, column = np.indices(SIZE) // size
        kept = (row + column) % 2 == 0
        found = said(np.where(kept, views[0], cv2.GaussianBlur(views[0], (0, 0), 3)).astype(np.uint8))[:3]
        assert found.argmax() == which
        assert found[which] > 0.15


@pytest.mark.parametrize("change", ["grain", "soft", "dark"])
def test_innocent_changes_make_no_blocks(change):
    views = scene(2).astype(np.float32)
    if change == "grain":
        views += np.random.default_rng(0).normal(0, 8, views.shape)
    elif change == "soft":  # but for a third of it, as behind a face
        views[:, :, :420] = np.stack([cv2.GaussianBlur(view, (0, 0), 3) for view in views])[:, :, :420]
    else:
        views *= 0.2
    eighths, sixteenths = looked(recoded(np.clip(views, 0, 255).astype(np.uint8), *FINE))
    assert eighths < 0.5 * EIGHTHS
    assert sixteenths < 0.06


def test_a_fence_says_less_in_one_direction():
    column, views = np.indices(SIZE)[1] // 16, scene(3)
    behind = np.stack([cv2.GaussianBlur(view, (0, 0), 2) for view in views])
    fence = recoded(np.where(column % 2, views, behind).astype(np.uint8), *FINE)[1]
    both, less = said(fence)[1], said(fence)[4]
    assert both > 0.1 > less


def test_nothing_is_said_of_flat_and_of_tiny_pictures():
    for picture in (np.full(SIZE, 90, np.uint8), scene(0)[0][:40, :40].copy(), np.zeros((3, 9), np.uint8)):
        assert np.isnan(said(picture)).all()
    assert len(said(scene(0)[0])) == len(detail.NAMES)


def test_of_high_pictures_strips_are_looked_at_that_begin_at_blocks():
    coarse = recoded(recoded(scene(1), *MPEG4, "20"), *FINE)[0]
    high = np.vstack([coarse[:320]] * 4)
    assert len(detail._cells(high)) * detail.CELL <= 1.3 * detail.MOST_LINES
    assert said(high)[0] == pytest.approx(said(coarse)[0], rel=0.25)
