"""A cut inside of a frame that stays is found; a panel that comes over a film is no cut."""

from __future__ import annotations

import numpy as np
import pytest

from wanprep.signals.boxes import Box, changing, find_framed
from wanprep.signals.meter import TINY_HEIGHT as HEIGHT
from wanprep.signals.meter import TINY_WIDTH as WIDTH
from wanprep.signals.pictures import Pictures


def smooth(seed: int, cells: int = 4) -> np.ndarray:
    """float32[HEIGHT, WIDTH]: light and dark."""
    import cv2

    coarse = np.random.default_rng(seed).normal(0, 1, (cells, cells + 1)).astype(np.float32)
    return np.clip(120 + 40 * cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), 0, 255)


def moving(seed: int, n: int) -> np.ndarray:
    """float32[n, HEIGHT, WIDTH]: a camera that glides over something."""
    import cv2

    wide = cv2.resize(np.random.default_rng(seed).normal(0, 1, (4, 12)).astype(np.float32), (WIDTH * 3, HEIGHT))
    shifts = [np.array([[1, 0, -0.1 * t], [0, 1, 0]], np.float32) for t in range(n)]
    return np.clip(120 + 40 * np.stack([cv2.warpAffine(wide, shift, (WIDTH, HEIGHT)) for shift in shifts]), 0, 255)


def framed(first: np.ndarray, second: np.ndarray, box: tuple[slice, slice]) -> np.ndarray:
    """float32[60, HEIGHT, WIDTH]: pictures in a box of a frame of one tone with a bar, the second from frame 30 on."""
    X = np.full((60, HEIGHT, WIDTH), 20.0, np.float32)
    X[:, 0, 2:9] = 230
    X[:30, box[0], box[1]] = first[..., box[0], box[1]]
    X[30:, box[0], box[1]] = second[..., box[0], box[1]]
    return X


def asked(X: np.ndarray, noise: float = 0.5) -> tuple[list[int], list[int]]:
    X = np.clip(X + np.random.default_rng(0).normal(0, noise, X.shape), 0, 255).round().astype(np.float32)
    return find_framed(Pictures(X.reshape(len(X), -1)))


LARGE, SMALL = (slice(2, 12), slice(2, 15)), (slice(5, 11), slice(8, 15))


@pytest.mark.parametrize("made", [lambda seed: np.repeat(smooth(seed)[None], 60, 0), lambda seed: moving(seed, 60)])
def test_another_picture_in_a_frame_is_a_cut(made):
    one, other = made(1), made(2)
    assert asked(framed(one[:30], other[30:], LARGE)) == ([30], [])
    assert asked(framed(one[:30], other[30:], SMALL)) == ([], [30])  # of a small one there is doubt
    assert asked(framed(one[:30], one[30:], LARGE)) == ([], [])


def test_light_in_the_picture_and_a_frame_that_changes_too_are_none():
    one = smooth(1)
    assert asked(framed(one, np.clip(one * 1.4, 0, 255), LARGE)) == ([], [])
    X = framed(smooth(1), smooth(2), LARGE)
    X[:, :2] += np.linspace(0, 60, 60, dtype=np.float32)[:, None, None]
    assert asked(X) == ([], [])


def panel(film: np.ndarray) -> np.ndarray:
    film = film.copy()
    film[30:, 7:11, 2:14] = 220
    return film


def test_a_panel_over_a_film_is_no_cut():
    assert asked(panel(moving(3, 60))) == ([], [])


def test_the_box_around_what_changes():
    X = np.full((20, HEIGHT, WIDTH), 50.0, np.float32)
    X[10:, 3:6, 4:9] = 90
    T = Pictures(X.reshape(20, -1))
    assert changing(T, 10, 6.0) == Box(top=3, bottom=6, left=4, right=9, count=15)
    assert changing(T, 9, 6.0) is None
    assert changing(T, 1, 6.0) is None


def test_few_frames_have_none():
    for n in (2, 3, 8):
        assert find_framed(Pictures(np.zeros((n, HEIGHT * WIDTH), np.float32))) == ([], [])
