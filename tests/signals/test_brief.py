"""What is drawn over a part of a clip and gone in the rest is told; what stays, or moves on with the scene, is not."""

import cv2
import numpy as np
import pytest

from wanprep.signals import brief as module
from wanprep.signals.brief import FEWEST, brief
from wanprep.stages.overlays import BRIEF

PLACE = (120, 118)  # of the word, across and down


def write(view: np.ndarray, at: tuple[int, int] = PLACE) -> None:
    cv2.putText(view, "Chapter 2: home", at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)


def pan(n: int = 6, lettered: bool = False, pace: int = 9) -> np.ndarray:
    """uint8[n, 144, 256, 3]: a camera that goes over a picture, with lettering that is a part of it or not."""
    rng = np.random.default_rng(3)
    canvas = cv2.resize(rng.uniform(20, 200, (30, 60, 3)).astype(np.float32), (512, 288), interpolation=cv2.INTER_CUBIC)
    canvas = np.clip(canvas, 0, 255).astype(np.uint8)
    if lettered:
        write(canvas, (170, 150))
    return np.stack([canvas[40 + 3 * k : 184 + 3 * k, 60 + pace * k : 316 + pace * k] for k in range(n)])


def test_a_title_over_two_of_six_pictures_is_told_where_it_is():
    for first in (0, 2, 4):
        thumbs = pan()
        for k in (first, first + 1):
            write(thumbs[k])
        odds, box = brief(thumbs)
        assert odds > BRIEF
        left, top, right, bottom = box
        assert left < 130 / 256 < right
        assert top < 114 / 144 < bottom


@pytest.mark.parametrize("shown", [slice(2, 8), slice(3, 8), slice(0, 5), slice(0, 6)])
def test_a_title_that_comes_and_stays_or_is_there_at_first_is_told(shown, monkeypatch):
    thumbs = pan(8)
    for view in thumbs[shown]:
        write(view)
    assert brief(thumbs)[0] > BRIEF
    monkeypatch.setattr(module, "TURN", 8)  # by pairs alone: too many others show it
    assert not brief(thumbs)[0] > BRIEF


def test_a_scene_that_stands_still_from_the_middle_on_shows_no_title():
    thumbs = pan(8, lettered=True)
    thumbs[4:] = thumbs[4]
    assert not brief(thumbs)[0] > BRIEF


def test_a_title_is_told_where_more_edges_stay_elsewhere_for_a_moment_all_over_the_picture(monkeypatch):
    thumbs, rng = pan(8), np.random.default_rng(1)
    for first in (0, 2, 6):
        for y, x in rng.uniform(0, 1, (300, 2)) * (96, 250):
            at = int(x), int(y)
            for view in thumbs[first : first + 2]:
                cv2.rectangle(view, at, (at[0] + 4, at[1] + 2), (250, 250, 250), -1)
    for view in thumbs[4:6]:
        write(view)
    assert brief(thumbs)[0] > BRIEF
    monkeypatch.setattr(module, "LINE", (512, 288))  # wherever they are
    assert not brief(thumbs)[0] > BRIEF


def test_a_mark_that_stays_throughout_is_not_brief():
    thumbs = pan()
    for view in thumbs:
        write(view)
    assert not brief(thumbs)[0] > BRIEF


def test_lettering_that_is_a_part_of_the_scene_moves_on_and_is_none():
    for pace in (1, 4, 9):
        assert not brief(pan(lettered=True, pace=pace))[0] > BRIEF


def test_nothing_drawn_is_none():
    odds, box = brief(pan())
    assert not odds > BRIEF
    assert np.isfinite(odds) == (box is not None)


def test_too_few_pictures_to_come_and_go_in_are_not_known():
    thumbs = pan(FEWEST - 1)
    write(thumbs[0])
    write(thumbs[1])
    assert np.isnan(brief(thumbs)[0])
    assert np.isnan(brief(np.zeros((6, 16, 256, 3), np.uint8))[0])
