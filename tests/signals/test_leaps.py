"""Jumps of what moves in a picture that stays: found, where what only moves, light and noise are not."""

import numpy as np
import pytest

from wanprep.signals import pictures
from wanprep.signals.leaps import find_leaps
from wanprep.signals.pictures import Pictures


def film(places: list[float], seed: int = 0) -> np.ndarray:
    """float32[n, 192]: a bright ball at each of the places (columns) before a still background."""
    rng = np.random.default_rng(seed)
    ground = rng.uniform(60, 120, (12, 16))
    y, x = np.mgrid[0:12, 0:16]
    frames = [ground + 110 * np.exp(-((x - at) ** 2 + (y - 6) ** 2) / 3) for at in places]
    return np.stack(frames).reshape(len(frames), -1).astype(np.float32).round()


def test_a_ball_that_jumps_is_found():
    places = [2 + 0.2 * t for t in range(20)] + [12 - 0.2 * t for t in range(20)]
    assert find_leaps(Pictures(film(places))) == [20]


@pytest.mark.parametrize("pace", [0.2, 0.5, 1.0])
def test_a_ball_that_moves_on_is_none(pace):
    assert find_leaps(Pictures(film([1 + min(13.0, pace * t) for t in range(60)]))) == []


def test_light_and_another_picture_are_none():
    X = film([5.0] * 40)
    X[20:] = np.clip(X[20:] * 1.6, 0, 255)
    assert find_leaps(Pictures(X)) == []
    assert find_leaps(Pictures(np.concatenate([film([5.0] * 20), 250 - film([9.0] * 20, 1)]))) == []


def test_too_small_a_change_is_none():
    X = film([5.0] * 40)
    X[20:, 3:9] += 6
    assert find_leaps(Pictures(X)) == []


def test_few_frames_have_none():
    for n in (0, 1, 5, 8):
        assert find_leaps(Pictures(np.zeros((n, 192), np.float32))) == []


def test_what_is_found_does_not_depend_on_where_a_part_ends(monkeypatch):
    places = [2 + 0.2 * (t % 20) + (8 if t // 20 % 2 else 0) for t in range(120)]
    whole = find_leaps(Pictures(film(places)))
    monkeypatch.setattr(pictures, "PASS", 7)
    assert find_leaps(Pictures(film(places))) == whole == [20, 40, 60, 80, 100]
