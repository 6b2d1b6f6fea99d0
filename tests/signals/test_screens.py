"""Screens, pages of print and test cards are told from scenes, drawn ones among them."""

import cv2
import numpy as np
import pytest

from wanprep.signals.screens import NAMES, evidence, screen
from wanprep.signals.screens import bars as bars_of
from wanprep.stages.filter import REGISTRY

LIMIT = REGISTRY["screen"].threshold


def still(picture: np.ndarray, n: int = 4) -> np.ndarray:
    return np.repeat(picture[None], n, axis=0)


def program(dark: bool = False) -> np.ndarray:
    """A bar, a column of entries, and lines of text."""
    paper, ink = ((30, 32, 36), (200, 200, 205)) if dark else ((242, 242, 244), (30, 30, 40))
    view = np.full((144, 256, 3), paper, np.uint8)
    cv2.rectangle(view, (0, 0), (256, 10), (150, 90, 40), -1)
    cv2.rectangle(view, (0, 11), (54, 144), tuple(int(0.9 * v) for v in paper), -1)
    for k in range(11):
        y = 22 + 11 * k
        cv2.putText(view, "Entry", (6, y), cv2.FONT_HERSHEY_SIMPLEX, 0.26, ink, 1, cv2.LINE_AA)
        text = "some words of a line that end here or later"[: 20 + (7 * k) % 23]
        cv2.putText(view, text, (64, y), cv2.FONT_HERSHEY_SIMPLEX, 0.26, ink, 1, cv2.LINE_AA)
        cv2.line(view, (58, y + 3), (250, y + 3), tuple(int(0.5 * (a + b)) for a, b in zip(paper, ink)), 1)
    return view


def bars() -> np.ndarray:
    view, tones = np.zeros((144, 256, 3), np.uint8), ((1, 1, 1), (0, 1, 1), (1, 1, 0), (0, 1, 0), (1, 0, 1), (0, 0, 1))
    for k, tone in enumerate(tones):
        view[:104, k * 43 : (k + 1) * 43] = 191 * np.array(tone)
    view[104:, 60:120], view[104:, 160:200] = 235, 29
    cv2.putText(view, "00:00:01:12", (10, 130), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1, cv2.LINE_AA)
    return view


def cartoon(k: int) -> np.ndarray:
    """Flat hills, a tree and a figure with outlines, which moves."""
    view = np.full((144, 256, 3), (220, 190, 120), np.uint8)
    for at, size, tone in (
        ((60, 160), 70, (80, 170, 90)),
        ((190, 165), 80, (60, 140, 70)),
        ((40, 60), 22, (50, 120, 40)),
    ):
        cv2.circle(view, at, size, tone, -1, cv2.LINE_AA)
        cv2.circle(view, at, size, (20, 20, 20), 2, cv2.LINE_AA)
    cv2.ellipse(view, (110 + 12 * k, 90), (18, 26), 10 * k, 0, 360, (70, 70, 220), -1, cv2.LINE_AA)
    cv2.ellipse(view, (110 + 12 * k, 90), (18, 26), 10 * k, 0, 360, (20, 20, 20), 2, cv2.LINE_AA)
    return view


def footage(k: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    canvas = cv2.resize(rng.uniform(0, 255, (30, 60, 3)).astype(np.float32), (512, 288), interpolation=cv2.INTER_CUBIC)
    view = canvas[30 + 4 * k : 174 + 4 * k, 50 + 7 * k : 306 + 7 * k] + np.random.default_rng(k).normal(
        0, 3, (144, 256, 3)
    )
    return np.clip(view, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("picture", [program(), program(dark=True), bars()], ids=["light", "dark", "bars"])
def test_screens_and_test_cards_are_told(picture):
    assert screen(still(picture)) > LIMIT


def test_a_page_that_scrolls_is_one_too():
    page = np.vstack([program(), program()])
    assert screen(np.stack([page[12 * k : 12 * k + 144] for k in range(4)])) > LIMIT


@pytest.mark.parametrize("scene", [cartoon, footage])
def test_scenes_are_none_drawn_ones_neither(scene):
    assert screen(np.stack([scene(k) for k in range(4)])) < 0.5


def test_a_screen_that_stands_in_a_scene_and_fills_a_quarter_of_it_is_none():
    pictures = np.stack([footage(k) for k in range(4)])
    pictures[:, 36:108, 64:192] = cv2.resize(program(), (128, 72), interpolation=cv2.INTER_AREA)
    assert screen(pictures) < LIMIT


def test_without_print_and_edges_it_is_no_screen():
    soft = cv2.GaussianBlur(program(), (0, 0), 9)
    assert screen(still(soft)) < screen(still(program())) - 0.3


def test_nothing_to_look_at_is_not_known():
    assert np.isnan(screen(np.zeros((0, 144, 256, 3), np.uint8)))
    assert np.isnan(screen(np.zeros((3, 16, 256, 3), np.uint8)))


def test_evidence_is_one_finite_number_a_name_whatever_is_shown():
    for pictures in (
        still(program(), 1),
        still(np.zeros((144, 256, 3), np.uint8)),
        np.stack([footage(k) for k in range(9)]),
    ):
        found = evidence(pictures)
        assert found.shape == (len(NAMES),)
        assert np.isfinite(found).all()
        shares = found[np.array([name != "pieces" for name in NAMES])]
        assert ((shares >= 0) & (shares <= 1)).all()


def upright(tones: list[tuple[int, int, int]], ends: list[int] | None = None) -> np.ndarray:
    """Bars from top to bottom, of one width unless `ends` are given."""
    view, ends = np.zeros((144, 256, 3), np.uint8), ends or np.linspace(0, 256, len(tones) + 1).astype(int).tolist()
    for tone, a, b in zip(tones, ends, ends[1:]):
        view[:, a:b] = tone
    return view


RAINBOW = [(191,) * 3, (0, 191, 191), (191, 191, 0), (0, 191, 0), (191, 0, 191), (0, 0, 191), (191, 0, 0), (8, 8, 8)]


def test_colour_bars_without_a_foot_are_a_test_card():
    rng = np.random.default_rng(0)
    noisy = np.clip(upright(RAINBOW) + rng.normal(0, 3, (4, 144, 256, 3)), 0, 255).astype(np.uint8)
    assert screen(still(upright(RAINBOW))) > LIMIT
    assert screen(noisy) > LIMIT
    assert screen(still(cv2.GaussianBlur(upright(RAINBOW), (0, 0), 1.2))) > LIMIT


@pytest.mark.parametrize(
    "view",
    [
        upright([(200, 60, 40), (240, 240, 240), (60, 40, 200)]),  # a flag
        upright([(60, 40, 200), (240, 240, 240)] * 4),  # an awning
        upright(RAINBOW, [0, 20, 30, 90, 100, 160, 180, 230, 256]),  # spines of books
        upright(RAINBOW).transpose(1, 0, 2)[:144].repeat(2, axis=1)[:, :256],  # a rainbow that lies
    ],
)
def test_stripes_are_no_colour_bars(view):
    assert not bars_of(view)
    assert bars_of(upright(RAINBOW))
