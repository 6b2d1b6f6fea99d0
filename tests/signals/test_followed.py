"""Whether what a shot shows first is still there at its end."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from wanprep.signals.followed import found_again


def panned(seed: int, gains: np.ndarray, step: float = 8.0, zoom: float = 0.0) -> list[np.ndarray]:
    """Thumbnails of a camera over noise, in that light."""
    grid = np.random.default_rng(seed).integers(0, 256, (60, 100, 3), np.uint8)
    wide = cv2.resize(grid, (800, 480), interpolation=cv2.INTER_CUBIC)
    out = []
    for k, gain in enumerate(gains):
        scale = math.exp(zoom * k)
        matrix = np.array([[scale, 0, -250 - step * k], [0, scale, -150]])
        out.append((cv2.warpAffine(wide, matrix, (256, 144)) * gain).astype(np.uint8))
    return out


@pytest.mark.parametrize("move", [{}, {"step": 14.0}, {"step": 0.0, "zoom": 0.03}])
@pytest.mark.parametrize("end", [1.0, 0.25])
def test_the_camera_and_the_light_are_undone(move, end):
    assert found_again(panned(1, np.linspace(1, end, 6), **move)) > 0.9


def test_a_mix_of_two_pictures_is_not_followed():
    one, other = panned(1, np.ones(6)), panned(2, np.ones(6))
    share = np.linspace(0, 1, 6)
    mixed = [(a * (1 - s) + b * s).astype(np.uint8) for a, b, s in zip(one, other, share)]
    assert found_again(mixed) < 0.4


def test_nothing_to_see_and_too_few_pictures():
    flat = [np.full((144, 256, 3), 90, np.uint8)] * 3
    assert found_again(flat) == 0.0
    assert math.isnan(found_again(flat[:1]))
    assert math.isnan(found_again([]))
