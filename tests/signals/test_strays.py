"""What moves as one but not straight on is followed; what repeats, stands, or is the scene is not."""

import cv2
import numpy as np
import pytest

from wanprep.signals import speeds, strays
from wanprep.signals.trails import HEIGHT, WIDTH, Found

H, W, N = 144, 256, 6
ROUND = [(60, 40), (150, 36), (186, 70), (150, 112), (60, 108), (24, 74)]  # of a word, across and down
STOPS = [(30, 40), (30, 40), (30, 40), (74, 64), (118, 88), (118, 88)]
BOUNCES = [(20, 50), (70, 90), (120, 130), (170, 98), (190, 58), (150, 26)]


def scene(seed: int = 3) -> list[np.ndarray]:
    """uint8[H, W] each: a slow pan over soft shapes."""
    rng = np.random.default_rng(seed)
    canvas = np.full((H * 2, W * 2), 110, np.float32)
    for cells, gain in ((3, 40), (10, 30), (40, 12)):
        noise = rng.normal(0, gain, (cells, cells * 2)).astype(np.float32)
        canvas += cv2.resize(noise, (W * 2, H * 2), interpolation=cv2.INTER_CUBIC)
    canvas = np.clip(canvas, 0, 255).astype(np.uint8)
    return [canvas[40 + 2 * k : 40 + 2 * k + H, 30 + 5 * k : 30 + 5 * k + W].copy() for k in range(N)]


def word(pictures: list[np.ndarray], at: list[tuple[int, int]], text: str = "studio") -> list[np.ndarray]:
    for picture, place in zip(pictures, at):
        cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 255, 1, cv2.LINE_AA)
    return pictures


def found(pictures: list[np.ndarray]) -> list[Found]:
    parts = speeds.soft_edges(pictures)
    return strays.strays(parts, speeds.evened(parts))


def seen(things: list[Found], at: list[tuple[int, int]]) -> int:
    """In how many pictures something is followed that is where a word was drawn."""
    counts = [0]
    for thing in things:
        inside = [
            left <= at[t][0] + 25 <= left + WIDTH and top <= at[t][1] - 5 <= top + HEIGHT
            for t, (top, left, _) in thing.track.items()
        ]
        counts.append(sum(inside) if all(inside) else 0)
    return max(counts)


@pytest.mark.parametrize("way", [ROUND, STOPS, BOUNCES])
def test_a_word_that_turns_or_stops_is_followed(way):
    assert seen(found(word(scene(), way)), way) >= 4
    assert seen(found(scene()), way) < 2


def test_what_is_at_two_places_of_one_picture_is_a_pattern(monkeypatch):
    pictures = word(scene(), ROUND)
    beside = [((x + 110) % 190, (y + 50) % 120 + 10) for x, y in ROUND]
    pictures = word(pictures, beside)
    assert seen(found(pictures), ROUND) < 2
    monkeypatch.setattr(strays, "TWICE", 2.0)
    assert found(pictures)


def test_what_stands_for_a_while_and_is_gone_does_not_stray(monkeypatch):
    pictures, place = scene(), [(90, 70)] * N
    word(pictures[2:5], place)
    assert seen(found(pictures), place) == 0
    monkeypatch.setattr(strays, "STILL", -1)
    assert seen(found(pictures), place) >= 2


@pytest.mark.parametrize(("height", "count"), [(64, 3), (107, 4), (143, 5)])
def test_any_shape_has_strays_inside(height, count):
    pictures = [p[:height] for p in word(scene(), ROUND)[:count]]
    for thing in found(pictures):
        assert all(0 <= y <= height - HEIGHT and 0 <= x <= W - WIDTH for y, x, _ in thing.track.values())
        assert np.isfinite(thing.facts).all()
