"""Tickers on a strip: print that runs along it is found, whatever else does so is not."""

import cv2
import numpy as np
import pytest

from wanprep.signals import marks, moving, speeds, strips
from wanprep.stages.overlays import SURE

H, W = 144, 256
NEWS = "markets fall as talks go on and rain is expected in the North - the match ends in a draw - Traffic is slow " * 2


def scene(seed: int, n: int = 6, step: int = 5) -> np.ndarray:
    """uint8[n, H, W, 3] thumbnails of one shot under a slow pan."""
    rng = np.random.default_rng(seed)
    canvas = np.full((H, 2 * W), rng.uniform(60, 160), np.float32)
    for cells, gain in ((3, 40), (10, 30), (40, 15)):
        noise = rng.normal(0, gain, (cells, cells * 2)).astype(np.float32)
        canvas += cv2.resize(noise, (2 * W, H), interpolation=cv2.INTER_CUBIC)
    for _ in range(20):
        x, y, r = int(rng.integers(2 * W)), int(rng.integers(H)), int(rng.integers(6, 40))
        cv2.circle(canvas, (x, y), r, float(rng.uniform(0, 255)), -1)
    views = [canvas[:, 10 + step * k : 10 + step * k + W] for k in range(n)]
    return np.repeat(np.clip(np.stack(views), 0, 255).astype(np.uint8)[..., None], 3, axis=-1)


def laid(thumbs: np.ndarray, top: int = 128, high: int = 12, tone: int = 30) -> np.ndarray:
    """With a strip across, drawn at four times the size as all that runs on it."""
    out = np.stack([cv2.resize(thumb, (4 * W, 4 * H), interpolation=cv2.INTER_LINEAR) for thumb in thumbs])
    out[:, 4 * top : 4 * (top + high)] = tone
    return out


def seen(pictures: np.ndarray) -> np.ndarray:
    return np.stack([cv2.resize(picture, (W, H), interpolation=cv2.INTER_AREA) for picture in pictures])


def news(thumbs: np.ndarray, top: int = 128, pace: int = 14) -> np.ndarray:
    out = laid(thumbs, top)
    for k, picture in enumerate(out):
        at = -4 * (20 + pace * k), 4 * top + 35
        cv2.putText(picture, NEWS, at, cv2.FONT_HERSHEY_DUPLEX, 0.95, (255, 255, 255), 2, cv2.LINE_AA)
    return seen(out)


def train(thumbs: np.ndarray, pace: int = 14) -> np.ndarray:
    """A strip with windows that run along it."""
    out = laid(thumbs, tone=90)
    for k, picture in enumerate(out):
        for x in range(-40, 2 * W, 9):
            left = 4 * (x - pace * k)
            if left + 24 > 0:
                cv2.rectangle(picture, (left, 4 * 131), (left + 24, 4 * 136), (220, 220, 220), -1)
    return seen(out)


def cars(thumbs: np.ndarray, pace: int = 14) -> np.ndarray:
    out = laid(thumbs, tone=15)
    for k, picture in enumerate(out):
        for x, tone in ((10, 200), (70, 30), (150, 160), (240, 250), (300, 60)):
            left = 4 * (x - pace * k)
            cv2.rectangle(picture, (max(0, left), 4 * 133), (max(0, left + 100), 4 * 138), (tone,) * 3, -1)
            cv2.rectangle(picture, (max(0, left + 24), 4 * 131), (max(0, left + 76), 4 * 133), (tone // 2,) * 3, -1)
    return seen(out)


def odds(thumbs: np.ndarray) -> float:
    found = moving.find(thumbs)
    return found[0].odds if found else -np.inf


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("step", [0, 5])
def test_print_that_runs_along_a_strip_is_a_mark(seed, step):
    assert odds(news(scene(seed, step=step))) > SURE
    assert not odds(scene(seed, step=step)) > SURE
    assert not odds(seen(laid(scene(seed, step=step)))) > SURE  # a kerb, a table


@pytest.mark.parametrize("runs", [train, cars])
@pytest.mark.parametrize("seed", [1, 2])
def test_what_runs_along_a_strip_and_is_no_print_is_not_judged_as_print(runs, seed):
    pictures = marks.lumas(runs(scene(seed, step=0)))
    grounds = strips.strips(pictures)
    assert grounds
    assert moving.ticker(speeds.soft_edges(pictures), grounds) is None
    pictures = marks.lumas(news(scene(seed, step=0)))
    assert moving.ticker(speeds.soft_edges(pictures), strips.strips(pictures)) is not None


def test_a_strip_goes_across_at_the_foot_or_head_and_stays():
    def found(thumbs: np.ndarray) -> list[tuple[int, int]]:
        return strips.strips(marks.lumas(thumbs))

    assert any(abs(a - 128) <= 1 and abs(b - 140) <= 1 for a, b in found(seen(laid(scene(4)))))
    assert found(seen(laid(scene(4), top=4)))
    assert not found(scene(4))
    assert not found(seen(laid(scene(4), top=66)))  # in the middle
    assert not found(seen(laid(scene(4), top=80, high=64)))  # as high as a wall
    half = seen(laid(scene(4)))
    half[:, 120:, : W // 2] = scene(4)[:, 120:, : W // 2]
    assert not found(half)
    rising = np.stack([np.roll(thumb, 12 * k, axis=0) for k, thumb in enumerate(seen(laid(scene(4), top=48)))])
    assert not found(rising)


def test_nothing_is_judged_where_the_rest_of_the_picture_goes_along():
    thumbs = seen(laid(scene(5, step=0), tone=110))
    for k, picture in enumerate(thumbs):  # a game whose whole world scrolls
        for row in (60, 90, 112, 138):
            cv2.putText(picture, NEWS, (-20 - 14 * k, row), cv2.FONT_HERSHEY_PLAIN, 0.7, (255,) * 3, 1, cv2.LINE_AA)
    pictures = marks.lumas(thumbs)
    assert moving.ticker(speeds.soft_edges(pictures), strips.strips(pictures)) is None
