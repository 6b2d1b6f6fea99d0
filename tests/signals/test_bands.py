"""Bands of light that roll, in made-up tiny pictures."""

from __future__ import annotations

import math
from fractions import Fraction

import cv2
import numpy as np
import pytest

from wanprep.signals.analysis import analyse
from wanprep.signals.bands import WEIGHT, rolling_bands
from wanprep.signals.quality import clip_scores
from wanprep.stages.filter import FilterConfig

FPS = 25.0


def scene(seed: int = 0, count: int = 60) -> np.ndarray:
    """uint8[count, 12, 16]: something dark crosses a still picture, with a little noise."""
    rng = np.random.default_rng(seed)
    pictures = np.repeat(rng.uniform(40, 200, (1, 12, 16)), count, axis=0)
    for k in range(count):
        at = 16 * k // count
        pictures[k, 3:9, at : at + 3] = 30
    return np.clip(pictures + rng.normal(0, 0.5, pictures.shape), 0, 255).astype(np.uint8)


def times(count: int = 60, fps: float = FPS) -> np.ndarray:
    return np.arange(count) / fps


def lit(pictures: np.ndarray, seconds: np.ndarray, swing: float, bands: float, hz: float) -> np.ndarray:
    lines = (np.arange(pictures.shape[1]) + 0.5) / pictures.shape[1]
    gain = 1 + swing * np.sin(2 * np.pi * (bands * lines + hz * seconds[:, None]))
    return np.clip(pictures * gain[:, :, None], 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("bands", "hz"), [(1.5, 5.0), (2.2, -5.0), (3.0, 10.0), (1.0, -4.0)])
def test_bands_are_found_by_as_much_as_light_differs(bands, hz):
    found = rolling_bands(lit(scene(), times(), 0.05, bands, hz), times())
    assert found == pytest.approx(WEIGHT * 0.1, rel=0.35)


def test_the_stronger_the_more():
    found = [rolling_bands(lit(scene(), times(), swing, 2.0, 5.0), times()) for swing in (0.03, 0.06, 0.12)]
    assert found[0] > 0.06
    assert found[1] == pytest.approx(2 * found[0], rel=0.2)
    assert found[2] == pytest.approx(4 * found[0], rel=0.2)


def test_without_bands_there_are_none():
    assert rolling_bands(scene(), times()) == 0
    assert rolling_bands(np.full((60, 12, 16), 90, np.uint8), times()) == 0


def test_light_that_flickers_everywhere_at_once_rolls_nowhere():
    gain = 1 + 0.2 * (np.arange(60) % 2)
    assert rolling_bands(np.clip(scene() * gain[:, None, None], 0, 255).astype(np.uint8), times()) == 0


def test_what_sways_up_and_down_does_not_roll():
    pictures = np.stack([np.roll(scene()[0], round(1.5 * np.sin(2 * np.pi * 5 * t)), axis=0) for t in times()])
    assert rolling_bands(pictures, times()) == 0


def test_a_tilt_is_slower_than_bands():
    """0.8 heights a second past a fence: one wave that travels, too."""
    lines = np.arange(12) / 12
    waves = [100 + 30 * np.sin(2 * np.pi * 3 * (lines - 0.8 * t)) for t in times()]
    assert rolling_bands(np.repeat(np.array(waves)[:, :, None], 16, axis=2).astype(np.uint8), times()) == 0


def test_bands_on_one_side_of_the_picture_count_for_little():
    """A screen that was filmed."""
    side = scene()
    side[:, :, :4] = lit(scene(), times(), 0.2, 2.0, 5.0)[:, :, :4]
    assert rolling_bands(side, times()) < 0.15 * rolling_bands(lit(scene(), times(), 0.2, 2.0, 5.0), times())


def test_a_part_of_a_long_clip_is_enough_and_uneven_times_do_not_matter():
    seconds = times(300)
    pictures = scene(1, 300)
    late = np.where(seconds[:, None, None] > 9, lit(pictures, seconds, 0.1, 2.0, 5.0), pictures).astype(np.uint8)
    assert rolling_bands(late, seconds) > 0.2
    shaken = times() + np.random.default_rng(0).uniform(0, 0.01, 60)
    assert rolling_bands(lit(scene(), shaken, 0.1, 2.0, 5.0), shaken) > 0.2


def test_nothing_is_said_of_few_pictures_and_slow_ones():
    for count, fps in ((1, 25.0), (5, 25.0), (60, 2.0)):
        seconds = times(count, fps)
        assert rolling_bands(lit(scene(0, count), seconds, 0.2, 2.0, 5.0), seconds) == 0


class Lit:
    """One grey picture of 192 x 144 as `analyse` asks for it."""

    def __init__(self, pts: int, luma: np.ndarray) -> None:
        self.pts, self.duration, self._luma = pts, 1, luma

    def coded(self) -> tuple[float, bool, float]:
        return math.nan, True, math.nan

    def gray(self, width: int, height: int) -> np.ndarray:
        return cv2.resize(self._luma, (width, height), interpolation=cv2.INTER_AREA)

    def bgr(self, width: int, height: int) -> np.ndarray:
        return np.repeat(self.gray(width, height)[..., None], 3, axis=-1)


@pytest.mark.parametrize(("swing", "found"), [(0.0, False), (0.06, True)])
def test_a_clip_with_bands_has_jumping_light(swing, found):
    still = cv2.GaussianBlur(np.random.default_rng(0).uniform(0, 255, (144, 192)).astype(np.float32), (0, 0), 4)
    pictures = np.repeat(np.clip(3 * (still - 127) + 110, 30, 200).astype(np.uint8)[None], 60, axis=0)
    views = lit(pictures, times(), swing, 2.2, 5.0)
    frames = [Lit(k, view) for k, view in enumerate(views)]
    signals = analyse(frames, time_base=Fraction(1, 25), width=192, height=144)
    threshold = FilterConfig().light_jump.threshold
    assert (clip_scores(signals, 0, 60)["light_jump"] > threshold) is found
