"""What goes a way of its own, and how fast: over busy scenes under a camera that moves."""

import itertools

import cv2
import numpy as np
import pytest

from wanprep.signals import speeds

H, W, N = 144, 256, 5
STEP = (-9, 13)  # rows and columns a picture


def busy(seed: int, pan: tuple[int, int], height: int = H) -> list[np.ndarray]:
    """uint8[height, W] pictures of leaves and stripes as sharp as lettering, under a pan (rows, columns a picture)."""
    rng = np.random.default_rng(seed)
    canvas = np.full((3 * height, 3 * W), 110, np.uint8)
    for _ in range(2500):
        x, y = int(rng.integers(3 * W)), int(rng.integers(3 * height))
        size = int(rng.integers(2, 9)), int(rng.integers(2, 9))
        cv2.ellipse(
            canvas, (x, y), size, float(rng.uniform(0, 180)), 0, 360, float(rng.uniform(30, 230)), -1, cv2.LINE_AA
        )
    at = [(height + pan[0] * k, W + pan[1] * k) for k in range(N)]
    return [canvas[y : y + height, x : x + W].copy() for y, x in at]


def written(
    pictures: list[np.ndarray], step: tuple[int, int] = STEP, start: tuple[int, int] = (100, 40)
) -> list[np.ndarray]:
    """With a small word that goes its own way; start: its lower left corner."""
    out = [picture.copy() for picture in pictures]
    for k, picture in enumerate(out):
        at = start[1] + step[1] * k, start[0] + step[0] * k
        cv2.putText(picture, "sample", at, cv2.FONT_HERSHEY_SIMPLEX, 0.35, 255.0, 1, cv2.LINE_AA)
    return out


def strength(parts: np.ndarray) -> np.ndarray:
    return np.sqrt(np.square(parts).sum(axis=0))


def near(found: list[speeds.Speed], step: tuple[int, int]) -> bool:
    return any(abs(dy - step[0]) <= 1 and abs(dx - step[1]) <= 1 for dy, dx, _ in found)


def test_edges_that_move_with_the_scene_are_faint_and_those_of_a_word_are_not(monkeypatch):
    pictures, places = written(busy(1, (2, 6))), written([np.zeros((H, W), np.uint8)] * N)
    seen = strength(speeds.soft_edges(pictures))
    monkeypatch.setattr(speeds, "KNOWN", 0.0)
    whole = strength(speeds.soft_edges(pictures))
    word = np.stack(places) > 128
    inner = np.zeros_like(word)
    inner[1:-1, 24:-24, 40:-40] = True  # what enters at the edges is new
    kept = [seen[at].sum() / whole[at].sum() for at in (word, inner & ~around(word))]
    assert kept[0] > 0.6
    assert kept[1] < 0.35


def around(word_NHW: np.ndarray) -> np.ndarray:
    return np.stack([cv2.dilate(one.astype(np.uint8), np.ones((17, 17), np.uint8)) > 0 for one in word_NHW])


@pytest.mark.parametrize("pan", [(0, 0), (2, 6), (-3, 11)])
def test_the_speed_of_small_print_is_found_over_a_busy_scene(pan):
    assert near(speeds.speeds(speeds.evened(speeds.soft_edges(written(busy(2, pan))))), STEP)
    assert not near(speeds.speeds(speeds.evened(speeds.soft_edges(busy(2, pan)))), STEP)


def test_the_word_stands_out_more_where_the_scene_is_made_faint(monkeypatch):
    pictures = written(busy(3, (2, 6)))

    def height() -> float:
        found = speeds.speeds(speeds.evened(speeds.soft_edges(pictures)))
        return max((peak for *speed, peak in found if near([(*speed, peak)], STEP)), default=0.0)

    made_faint = height()
    monkeypatch.setattr(speeds, "KNOWN", 0.0)
    assert made_faint > 1.3 * height()


@pytest.mark.parametrize(("height", "count"), [(64, 3), (107, 4), (143, 5), (455, 6)])
def test_any_shape_has_speeds(height, count):
    pictures = (busy(4, (1, 3), height) * 2)[:count]
    parts = speeds.soft_edges(pictures)
    assert parts.shape == (2, count, height, W)
    assert strength(parts).max() < 1
    assert len({found[:2] for found in speeds.speeds(speeds.evened(parts))}) == speeds.SPEEDS


def test_agreement_is_that_of_neighbours_along_a_speed_at_the_place_in_the_middle():
    rng = np.random.default_rng(5)
    parts = rng.normal(size=(2, N, 40, 60)).astype(np.float32)
    dy, dx = 2, -3
    found = speeds.agreement(parts, dy, dx)
    for row, column in ((20, 30), (10, 40), (30, 20)):
        along = [parts[:, t, row + dy * (t - N // 2), column + dx * (t - N // 2)] for t in range(N)]
        assert found[row, column] == pytest.approx(sum(float(a @ b) for a, b in itertools.pairwise(along)), abs=1e-4)


def crawl(pictures: list[np.ndarray], row: int, step: int) -> list[np.ndarray]:
    """With a long line of small print that goes sideways and comes in again."""
    line = np.zeros((H, W), np.uint8)
    cv2.putText(line, "Copyright 2013 Somebody. All Rights", (20, row), cv2.FONT_HERSHEY_SIMPLEX, 0.3, 255.0, 1)
    return [np.maximum(picture, np.roll(line, step * k, axis=1)) for k, picture in enumerate(pictures)]


@pytest.mark.parametrize("pan", [(0, 0), (0, 7), (2, -5)])
@pytest.mark.parametrize(("row", "step"), [(136, -20), (12, 31), (130, -9)])
def test_the_rows_of_a_ticker_and_their_pace_are_found_over_a_busy_scene(pan, row, step):
    pictures = busy(5, pan)
    found, (dy, dx, clear) = speeds.band(speeds.soft_edges(crawl(pictures, row, step)))
    assert (dy, dx) == (0, step)
    assert abs(found - (row - 4)) <= speeds.BAND
    assert clear > 1.5 * speeds.band(speeds.soft_edges(pictures))[1][2]


@pytest.mark.parametrize(("height", "count"), [(64, 3), (107, 4), (145, 5)])
def test_any_shape_has_a_band(height, count):
    rng = np.random.default_rng(height)
    row, (dy, dx, clear) = speeds.band(rng.normal(0, 0.2, (2, count, height, W)).astype(np.float32))
    assert 0 < row < height
    assert dy == 0
    assert speeds.SLOW < abs(dx) <= W // 2
    assert np.isfinite(clear)
    assert speeds.band(np.zeros((2, count, height, W), np.float32))[1][2] == 0
