"""Smears on both sides of a cut are no part of a shot; on one side, or of one frame, they are none."""

from __future__ import annotations

import numpy as np
import pytest
from landscapes import HEIGHT, WIDTH, measure, view

from wanprep.signals.rules import ShotRules
from wanprep.signals.shots import find_shots
from wanprep.signals.veils import veiled

CUT, SHOT = 40, [100.0] * 40


def edges(before: list[float], after: list[float]) -> np.ndarray:
    return np.array([*SHOT[len(before) :], *before, *after, *SHOT[len(after) :]])


def test_smears_on_both_sides_of_a_cut_are_found_to_the_frame():
    found = veiled(edges([80, 50, 20], [15, 40, 60, 80]), [(CUT - 1, CUT)], 25)
    assert found == [(CUT - 3, CUT - 1), (CUT, CUT + 3)]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([80, 50, 20], []),  # a camera that runs fast ends at the cut
        ([], [15, 40, 60, 80]),
        ([20], [15]),  # one frame of a coarse coding
        ([80, 75], [75, 80]),  # a little
        ([20.0] * 30, [20.0] * 30),  # shots that go out of focus, and come back
    ],
)
def test_on_one_side_or_brief_or_long_they_are_none(before, after):
    assert veiled(edges(before, after), [(CUT - 1, CUT)], 25) == []


def test_what_lies_between_the_ends_of_a_way_is_not_asked_about():
    numbers = np.array([*SHOT[3:], 80, 50, 20, *[0.0] * 5, 15, 60, *SHOT[2:]])
    assert veiled(numbers, [(39, 45)], 25) == [(37, 39), (45, 46)]


def test_at_the_ends_of_a_film_nothing_is_compared():
    numbers = edges([50, 20], [15, 60])
    assert veiled(numbers, [(0, 1), (78, 79), (-1, 0), (79, 80)], 25) == []


def zoomed(frame: np.ndarray, most: float) -> np.ndarray:
    """As seen while a lens goes in by so much."""
    import cv2

    seen = [cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), 0, s) for s in np.linspace(1, most, 12)]
    parts = [cv2.warpAffine(frame, m, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT).astype(np.float32) for m in seen]
    return np.mean(parts, axis=0).astype(np.uint8)


def joined(before: list[float], after: list[float]) -> np.ndarray:
    """Two shots, the last and first frames of which are smeared by zooms."""
    a, b = view(1, 45, 0.4), view(2, 45, 0.4)
    for k, most in enumerate(before):
        a[k - len(before)] = zoomed(a[k - len(before)], most)
    for k, most in enumerate(after):
        b[k] = zoomed(b[k], most)
    return np.concatenate([a, b])


def test_zooms_that_hide_a_cut_are_taken_off_and_the_cut_stays():
    found = find_shots(measure(joined([1.3, 1.8, 2.4, 3.0], [3.0, 2.4, 1.8, 1.3])), ShotRules())
    assert found.cuts == (45,)
    assert [(t.kind, t.first, t.last) for t in found.transitions] == [("odd", 41, 44), ("odd", 45, 48)]
    assert found.shots() == [(0, 41), (49, 90)]


def test_a_zoom_that_ends_in_a_cut_keeps_its_frames():
    found = find_shots(measure(joined([1.3, 1.8, 2.4, 3.0], [])), ShotRules())
    assert (found.cuts, found.transitions) == ((45,), ())
