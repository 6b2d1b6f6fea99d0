"""A cut between two pictures that rush is a wipe, as far as they do; one amid motion, or after a rush, stays a cut."""

from __future__ import annotations

import numpy as np
import pytest

from wanprep.signals.meter import TINY_HEIGHT as HEIGHT
from wanprep.signals.meter import TINY_WIDTH as WIDTH
from wanprep.signals.pictures import Pictures
from wanprep.signals.rushed import LEAST, TURNS_SECONDS, find_rushes, find_turns
from wanprep.signals.shotlist import Transition

CUT = 40
RUSH = np.concatenate([np.zeros(30), [0.2, 0.2, 0.3, 0.4, 0.6, 1, 2, 3, 4, 4]])  # places a frame, up to the cut


def shot(seed: int, paces: np.ndarray) -> np.ndarray:
    """float32[n, P]: a long picture that passes by, so many places from each frame to the next."""
    rng = np.random.default_rng(seed)
    wide = np.kron(rng.normal(120, 50, (HEIGHT // 2, 50)), np.ones((2, 8)))
    at = 100 + np.concatenate([[0.0], np.cumsum(paces)[:-1]])
    columns = at[:, None] + np.arange(WIDTH)
    low = columns.astype(int)
    seen = wide[:, low] * (1 - (columns - low)) + wide[:, low + 1] * (columns - low)
    return seen.transpose(1, 0, 2).reshape(len(paces), -1).astype(np.float32)


def found(before: np.ndarray, after: np.ndarray, cuts=(CUT,), transitions=()) -> list[tuple[str, int, int]]:
    T = Pictures(np.concatenate([shot(1, before), shot(2, after)]))
    return [(t.kind, t.first, t.last) for t in find_rushes(T, list(cuts), list(transitions))]


def test_a_rush_on_both_sides_is_a_wipe() -> None:
    ((kind, first, last),) = found(RUSH, RUSH[::-1])
    assert kind == "wipe"
    assert 34 <= first <= 36
    assert 43 <= last <= 45


@pytest.mark.parametrize("pace", [0.0, 0.5, 3.0, 5.0])
def test_even_motion_is_none_nor_is_a_rush_on_one_side(pace: float) -> None:
    even = np.full(CUT, pace)
    assert found(even, even) == []
    assert found(RUSH, even) == []
    assert found(even, RUSH[::-1]) == []


def test_nothing_is_said_of_a_short_shot_nor_beside_a_transition() -> None:
    assert found(RUSH, RUSH[::-1], (CUT, CUT + LEAST - 1)) == []
    assert found(RUSH, RUSH[::-1], (CUT,), [Transition(kind="dissolve", first=CUT - 8, last=CUT - LEAST + 1)]) == []
    assert found(RUSH[-LEAST + 1 :], RUSH[::-1], (LEAST - 1,)) == []
    assert found(RUSH, RUSH[::-1], ()) == []


def in_turns(each: int, turns: int, other: int | None = None) -> list[tuple[str, int, int]]:
    """Two shots of CUT frames with `turns` turns of both, `each` frames long, between, or of another shot and the
    second."""
    still = np.zeros(CUT)
    old, new = shot(1, still), shot(2, still)
    back = old if other is None else shot(other, still)
    between = [part[:each] for _ in range(turns) for part in (new, back)]
    X = np.concatenate([old, *between, new])
    X += np.random.default_rng(0).normal(0, 2, X.shape).astype(np.float32)
    found = find_turns(Pictures(X), [CUT, CUT + 2 * each * turns], [], 25.0)
    return [(t.kind, t.first, t.last) for t in found]


@pytest.mark.parametrize("each", [2, 3])
@pytest.mark.parametrize("turns", [2, 3, 6])
def test_shots_in_turns_are_one_way_from_the_first_to_the_second(each: int, turns: int) -> None:
    assert in_turns(each, turns) == [("wipe", CUT, CUT + 2 * each * turns - 1)]


def test_a_shot_between_two_is_none_nor_are_turns_of_others_nor_long_ones() -> None:
    assert in_turns(5, 1) == []
    assert in_turns(3, 3, other=5) == []
    assert in_turns(7, 3) == []
    assert TURNS_SECONDS * 25 < 2 * 7 * 3
