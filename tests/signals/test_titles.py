"""Large words over a clip are told, for as long as they are shown; rows of windows and signs of the scene are not."""

import cv2
import numpy as np
import pytest

from wanprep.signals import brief, marks
from wanprep.signals.titles import title
from wanprep.stages.overlays import SINGLE, TITLE

H, W = 144, 256


def pan(n: int = 6, pace: int = 7, paint=None) -> np.ndarray:
    """uint8[n, H, W, 3]: a camera that goes over a picture (0: stands), `paint` drawn on it."""
    rng = np.random.default_rng(4)
    canvas = cv2.resize(rng.uniform(20, 200, (30, 60, 3)).astype(np.float32), (512, 288), interpolation=cv2.INTER_CUBIC)
    canvas = np.clip(canvas, 0, 255).astype(np.uint8)
    if paint:
        paint(canvas)
    return np.stack(
        [canvas[40 + pace * k // 3 : 40 + H + pace * k // 3, 60 + pace * k : 60 + W + pace * k] for k in range(n)]
    )


def write(view: np.ndarray, size: float = 1.6, at: tuple[int, int] = (24, 88), cover: float = 1.0) -> None:
    over = view.copy()
    cv2.putText(over, "THE END", at, cv2.FONT_HERSHEY_DUPLEX, size, (255, 255, 255), max(1, int(3 * size)), cv2.LINE_AA)
    view[:] = cv2.addWeighted(over, cover, view, 1 - cover, 0)


@pytest.mark.parametrize(("size", "cover"), [(1.2, 1.0), (1.6, 1.0), (1.6, 0.5)])
def test_large_words_are_told_where_they_are(size, cover):
    thumbs = pan()
    for view in thumbs:
        write(view, size, cover=cover)
    odds, (left, top, right, bottom) = title(thumbs)
    assert odds > TITLE
    assert left < 100 / W < right
    assert top < 75 / H < bottom
    assert marks.mark(thumbs)[0] < odds


def test_words_that_the_network_of_small_marks_does_not_see():
    thumbs = pan()
    for view in thumbs:
        cv2.putText(view, "GO", (50, 110), cv2.FONT_HERSHEY_DUPLEX, 3.2, (255, 255, 255), 10, cv2.LINE_AA)
    assert marks.mark(thumbs)[0] < SINGLE
    assert title(thumbs)[0] > TITLE


@pytest.mark.parametrize("first", [0, 2, 4])
def test_large_words_that_come_and_go(first):
    thumbs = pan()
    for view in thumbs[first : first + 2]:
        write(view)
    assert title(thumbs)[0] > TITLE


@pytest.mark.parametrize(("count", "first"), [(6, 2), (8, 3)])
def test_large_words_that_come_in_grow_and_stay_to_the_end(count, first, monkeypatch):
    thumbs = pan(count)
    for k, view in enumerate(thumbs[first:]):
        write(view, 1.2 + 0.02 * k)
    assert title(thumbs)[0] > TITLE
    monkeypatch.setattr(brief, "GONE", 0.6)  # two of them show what two or three others do not, and two or three do
    monkeypatch.setattr(brief, "TURN", count)
    assert not title(thumbs)[0] > TITLE


@pytest.mark.parametrize("pace", [2, 7])
def test_a_sign_of_the_scene_moves_on_and_is_none(pace):
    assert not title(pan(pace=pace, paint=lambda canvas: write(canvas, at=(110, 160))))[0] > TITLE


@pytest.mark.parametrize("pace", [0, 7])
def test_nothing_drawn_is_none(pace):
    odds, box = title(pan(pace=pace))
    assert not odds > TITLE - 1
    assert box is None or odds > 0


def windows(canvas: np.ndarray) -> None:
    for x in range(70, 320, 32):
        cv2.rectangle(canvas, (x, 60), (x + 13, 82), (30, 30, 30), -1)


def plain(paint) -> np.ndarray:
    thumbs = np.full((5, H, W, 3), 120, np.uint8)
    for k, view in enumerate(thumbs):
        paint(view)
        cv2.circle(view, (20 + 50 * k, 120), 16, (90, 90, 90), -1)  # a thing passes by
    return thumbs


def test_what_repeats_itself_is_no_title_whatever_the_network_says(monkeypatch):
    looks = np.full((18, 32), -5.0)
    looks[5:12, 2:29] = 5.0
    monkeypatch.setattr(marks, "looked", lambda *_: looks)
    assert title(plain(windows)) == (0.0, None)
    odds, box = title(plain(write))
    assert odds == 5.0
    assert box == pytest.approx((2 / 32, 5 / 18, 29 / 32, 12 / 18), abs=1e-3)
    monkeypatch.setattr(marks, "looked", lambda *_: np.where(np.indices((18, 32)).sum(0) < 5, 50.0, -5.0))
    assert title(plain(write))[1] is not None
    monkeypatch.setattr(marks, "looked", lambda *_: np.where(np.indices((18, 32)).sum(0) < 2, 500.0, -5.0))
    assert title(plain(write)) == (0.0, None)  # too small for large words


def test_a_single_picture_or_a_tiny_one_says_nothing():
    assert np.isnan(title(pan(1))[0])
    assert np.isnan(title(np.zeros((5, 40, 256, 3), np.uint8))[0])
