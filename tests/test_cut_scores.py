"""What the benchmark of cuts says of clips that hold a frame of a transition."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))  # as its scripts run
from cut_scores import share_held

DISSOLVE, FADE = (1, 100, 118), (2, 100, 118)  # 19 frames of a mix


@pytest.mark.parametrize(
    ("clip", "held"),
    [
        ((50, 100), 0.0),  # up to the last pure frame
        ((50, 101), 0.05),  # and the first mixed one
        ((50, 103), 0.15),
        ((118, 200), 0.05),  # from the last mixed one on
        ((119, 200), 0.0),
        ((50, 200), 0.5),  # over all of it: nothing is more mixed than the middle
        ((107, 112), 0.5),
    ],
)
def test_the_share_is_that_of_the_deepest_frame(clip: tuple[int, int], held: float) -> None:
    assert share_held(*clip, [DISSOLVE]) == pytest.approx(held)
    assert share_held(*clip, [FADE]) == pytest.approx(2 * held)  # to a tone and back in as many frames
    assert share_held(*clip, [(1, 300, 310), DISSOLVE]) == pytest.approx(held)  # the worst of several


def test_without_transitions_nothing_is_held() -> None:
    assert share_held(0, 50, []) == 0.0
