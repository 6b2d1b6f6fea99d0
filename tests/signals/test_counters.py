"""A line of which some digits change in every picture counts; signs, water and moving crowds do not."""

import cv2
import numpy as np
import pytest

from wanprep.signals import counters

H, W = 144, 256
LINE = slice(8, 20), slice(170, 240)


def scene(n: int = 6) -> np.ndarray:
    """A fixed camera: nothing moves."""
    rng = np.random.default_rng(3)
    view = cv2.resize(rng.uniform(60, 190, (18, 32)).astype(np.float32), (W, H), interpolation=cv2.INTER_CUBIC)
    return np.repeat(np.repeat(view.astype(np.uint8)[None, ..., None], n, axis=0), 3, axis=-1)


def told(thumbs: np.ndarray, texts: list[str]) -> np.ndarray:
    out = thumbs.copy()
    for picture, text in zip(out, texts):
        cv2.putText(picture, text, (172, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.32, (255, 255, 255), 1, cv2.LINE_AA)
    return out


def places(line: bool = True) -> np.ndarray:
    """What the network says: half drawn along the line, or all over the picture."""
    out = np.full((H // 4, W // 4), -6.0, np.float32)
    if line:
        out[3:5, 43:50] = 0.5
    else:
        out[::6, ::6] = 0.5
    return out


CLOCK = [f"00:0{k // 2}.{137 * k % 1000:03d}" for k in range(1, 7)]


def test_digits_that_change_beside_some_that_stay_count():
    assert counters.counts(told(scene(), CLOCK), places())


@pytest.mark.parametrize("what", ["sign", "empty", "seldom"])
def test_what_stays_does_not_count(what):
    texts = {"sign": ["BAKERY"] * 6, "empty": [""] * 6, "seldom": ["00:01.2"] * 4 + ["00:02.7"] * 2}[what]
    assert not counters.counts(told(scene(), texts), places())


def test_a_sign_among_leaves_or_water_does_not_count():
    thumbs, rng = told(scene(), ["BAKERY"] * 6), np.random.default_rng(4)
    for picture in thumbs:
        picture[:60, 150:] = np.clip(picture[:60, 150:] + rng.normal(0, 40, (60, W - 150, 1)), 0, 255)
    assert not counters.counts(thumbs, places())


def test_it_is_a_line_that_counts():
    assert not counters.counts(told(scene(), CLOCK), places(line=False))
    assert not counters.counts(told(scene(), CLOCK), np.full((H // 4, W // 4), -6.0, np.float32))  # nothing looks drawn
    assert not counters.counts(told(scene(), CLOCK)[:2], places())  # too few pictures
    assert not counters.counts(told(scene(), CLOCK), None)


@pytest.mark.parametrize("beyond", [0, 6])
def test_what_goes_by_beyond_an_edge_that_stays_does_not_count(beyond):
    thumbs = scene()
    thumbs[:, 20:] = thumbs[:, 20:] // 2  # a window's edge, below the line
    for k, picture in enumerate(thumbs):
        picture[14 + beyond : 21 + beyond, 196:206] = 40 + 150 * (k % 2)
    assert counters.counts(thumbs, places()) == (beyond == 0)  # as in a line, and outside of it
