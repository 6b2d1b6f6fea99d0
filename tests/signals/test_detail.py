"""Detail that begins and ends at the edges of blocks: made-up scenes through real encoders."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from tests.signals.test_hidden import FINE, SIZE, coarsely, recoded
from wanprep.signals import detail
from wanprep.signals.compression import EIGHTHS, SIXTEENTHS

MPEG4 = ("-c:v", "mpeg4", "-q:v")
X265 = ("-c:v", "libx265", "-preset", "veryfast", "-x265-params", "log-level=none:pools=none", "-crf")


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
    """float[2]: the largest of both, as a clip counts them."""
    return np.max([detail.steps(np.ascontiguousarray(view)) for view in views[::2]], axis=0)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_fine_coding_does_not_hide_coarse_blocks_of_8(seed):
    views = scene(seed)
    assert looked(recoded(recoded(views, *MPEG4, "20"), *FINE))[0] > EIGHTHS
    for fine in (views, recoded(views, *FINE), recoded(recoded(views, *MPEG4, "4"), *FINE)):
        assert looked(fine)[0] < 0.4 * EIGHTHS


@pytest.mark.parametrize("seed", [0, 1])
def test_nor_does_it_hide_what_a_coder_decided_by_blocks_of_16(seed):
    views = scene(seed)
    least = SIXTEENTHS + 0.03  # three quantisers
    for coarse in (recoded(views, *X265, "45"), recoded(views, *coarsely(44))):
        assert looked(recoded(coarse, *FINE))[1] > least
    for fine in (views, recoded(views, *FINE), recoded(recoded(views, *X265, "24"), *FINE)):
        assert looked(fine)[1] < least - 0.01


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
    assert eighths < 0.4 * EIGHTHS
    assert sixteenths < SIXTEENTHS + 0.06


def test_tiles_of_16_are_drawn_and_a_fence_says_little():
    row, column = np.indices(SIZE) // 16
    views = scene(3)
    tiles = np.where((row + column) % 2, views, 120).astype(np.uint8)
    assert all(math.isnan(said) for said in detail.steps(recoded(tiles, *FINE)[1].copy()))
    fence = np.where(column % 4 < 2, views, 120).astype(np.uint8)
    assert detail.steps(recoded(fence, *FINE)[1].copy())[1] < SIXTEENTHS + 0.05


def test_nothing_is_said_of_flat_and_of_tiny_pictures():
    for picture in (np.full(SIZE, 90, np.uint8), scene(0)[0][:40, :40].copy(), np.zeros((3, 9), np.uint8)):
        assert all(math.isnan(said) for said in detail.steps(picture))


def test_of_high_pictures_strips_are_looked_at_that_begin_at_blocks():
    coarse = recoded(recoded(scene(1), *MPEG4, "20"), *FINE)[0]
    high = np.vstack([coarse[:320]] * 4)
    assert len(detail._cells(high)) * detail.CELL <= 1.3 * detail.MOST_LINES
    assert detail.steps(high)[0] == pytest.approx(detail.steps(coarse)[0], rel=0.25)
