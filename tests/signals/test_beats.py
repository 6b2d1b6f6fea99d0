"""Numbers of a step against a rhythm, of what is lit, and of what comes back."""

from __future__ import annotations

import numpy as np
import pytest

from wanprep.signals.beats import AGAIN_NAMES, BEAT_NAMES, LIT_NAMES, again, rhythm, seen
from wanprep.signals.pictures import Pictures

AT = np.array([29]), np.array([30])


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(40, 240, 192).astype(np.float32)


def beaten(every: int, cut: float = 50.0) -> dict[str, np.ndarray]:
    """Of a step of `cut` levels to frame 30 amid such of 50 levels in every so many frames."""
    step = np.where(np.arange(60) % every == 0, 50.0, 0.0)
    step[30] = cut
    return rhythm(step, *AT, step[30:31])


@pytest.mark.parametrize("every", [2, 3])
def test_a_step_among_others_as_large_at_its_distance_is_of_a_rhythm(every: int) -> None:
    found = beaten(every)
    assert tuple(found) == BEAT_NAMES
    assert found[f"beat{every}"] == pytest.approx(0)
    assert found[f"beat{every}_most"] == pytest.approx(0)
    assert found["wide"] == pytest.approx(0)
    assert beaten(every, 200.0)[f"beat{every}"] > 1.3
    assert beaten(13)[f"beat{every}_most"] > 3


def test_how_large_a_step_is_against_those_farther_away() -> None:
    step = np.full(60, 1.0)
    step[30], step[40] = 50.0, 50.0
    found = rhythm(step, *AT, step[30:31])
    assert found["held"] == pytest.approx(np.log(51 / 2))
    assert found["wide"] == pytest.approx(0)
    assert found["wide_quiet"] == pytest.approx(np.log(51 / 2))


def through_hole(other: int, gain: float = 1.0) -> dict[str, np.ndarray]:
    """A picture, and from frame 30 on another one in another light, both seen through the same soft hole."""
    y, x = np.mgrid[:12, :16]
    hole = np.clip(1.5 - np.hypot((x - 8) / 4, (y - 6) / 3), 0, 1).ravel().astype(np.float32)
    T = [np.repeat(shown[None] * hole, 30, 0) for shown in (picture(1), gain * picture(other))]
    return seen(Pictures(np.concatenate(T)), *AT)


def test_through_a_hole_another_picture_changes_what_is_lit_and_another_light_does_not() -> None:
    cut, light = through_hole(2), through_hole(1, 0.7)
    assert tuple(cut) == LIT_NAMES
    assert 0.1 < cut["lit"] < 0.5
    assert cut["tone"] > light["tone"] + 1
    assert cut["tone_loud"] > 2
    assert cut["like_lit"] < 0.9 < light["like_lit"]
    assert cut["size_lit"] > 3
    assert light["kept_lit"] < 0.3


def test_what_comes_back_and_what_does_not() -> None:
    gone = np.concatenate([np.repeat(picture(1)[None], 30, 0), np.repeat(picture(2)[None], 30, 0)])
    back = gone.copy()
    back[34:] = picture(1)
    none, some = (again(Pictures(T), *AT) for T in (gone, back))
    assert tuple(none) == AGAIN_NAMES
    assert none["again"] < 0.5
    assert some["again"] == pytest.approx(1, abs=1e-3)
    assert none["own"] == pytest.approx(1, abs=1e-3)
    assert some["own"] < 0.5


def test_at_the_ends_of_a_film_and_where_nothing_is_to_be_seen() -> None:
    T = Pictures(np.zeros((2, 192), np.float32))
    ends = np.array([0]), np.array([1])
    with np.errstate(all="raise", under="ignore"):
        found = seen(T, *ends) | again(T, *ends) | rhythm(np.zeros(2), *ends, np.zeros(1))
    assert all(np.isfinite(value).all() for value in found.values())
