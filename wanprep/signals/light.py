"""Sudden changes of light between two frames: exposure pumping, flashes, splices of two takes. Of colour: `casts`.

Where the camera's motion is known, or it stands still, only places whose texture stayed the same are compared: a plain
difference of mean luma finds a moving object and misses an exposure step (5 % of +15 % steps). A step in a pan is what
the camera's motion is lost by; there mean luma is compared with its own course, which a pan changes steadily. What
sweeps past, comes in or opens does not: so a step of the mean counts only where the tiles of the tiny picture share it.

Legend: T float32[N, P], luma (0..255) of the P tiles of each frame's tiny picture.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

WINDOW = 9  # pixels at half the small size
MIN_SHARE = 0.03  # of the picture must keep its texture
# Of the places with texture (levels of deviation), where the camera's motion is unknown: only a camera that stands
# still keeps so many; under one that moves places are alike by chance, and by any ratio.
STANDING, RICH = 0.3, 10.0
NEAR = 3  # frames before and after whose steps are no jump
DARK = 2.0  # levels added to mean luma: coding alone moves it by a tenth of one
# Tiles of the tiny picture that are compared: brighter than BLACK in one of two frames, darker than WHITE in both (of
# pictures with fewer such ones than FEW, all that are not black); LEVELS are added to each.
BLACK, WHITE, FEW, LEVELS = 8.0, 245.0, 64, 4.0
LEAST_TILES = 24  # fewer that are not black say nothing
MIDDLE = 0.3, 0.5, 0.7  # of the tiles, by ratio: what these share is the light of all of the picture
ALIKE, ENOUGH = 0.4, 0.6  # the least of them, as a share of the middle one; this one, of the step of the mean
# By how much less than usual (the lower quartile of the frames around) the tiles may correlate with those before.
UNLIKE, USUAL = 0.3, 0.25
EVEN = 0.02  # of ln of light: deviation of tiles in which there is no picture to recognise


def light_jump(before_HW: np.ndarray, after_HW: np.ndarray, matrix: np.ndarray | None = None) -> float:
    """Median |log((b+8)/(a+8))| where local zero-mean correlation > 0.9: 0.14 is +15 %. NaN when nothing matches.

    A jump changes all places alike; things that pass match here and there, by every ratio. So where the quartiles do
    not agree, what three quarters of the places exceed the same way is all that counts.

    before_HW, after_HW: uint8 luma about 256 px wide. matrix: float[2, 3] that maps the earlier frame onto the later,
    None where the camera's motion could not be found.
    """
    import cv2

    size = (before_HW.shape[1] // 2, before_HW.shape[0] // 2)
    small = cv2.resize(before_HW, size, interpolation=cv2.INTER_AREA)
    if matrix is not None:
        halved = matrix * np.array([1.0, 1.0, 0.5])
        small = cv2.warpAffine(small, halved, size, borderMode=cv2.BORDER_REPLICATE)
    a = small.astype(np.float32)
    b = cv2.resize(after_HW, size, interpolation=cv2.INTER_AREA).astype(np.float32)

    def mean(image: np.ndarray) -> np.ndarray:
        return cv2.boxFilter(image, cv2.CV_32F, (WINDOW, WINDOW))

    mean_a, mean_b = mean(a), mean(b)
    variance_a, variance_b = mean(a * a) - mean_a * mean_a, mean(b * b) - mean_b * mean_b
    covariance = mean(a * b) - mean_a * mean_b
    texture = np.sqrt(np.maximum(variance_a, 0) * np.maximum(variance_b, 0))
    # +1: windows with less than a level of texture correlate by chance or by coding noise alone.
    same = covariance > 0.9 * texture + 1.0
    count = np.count_nonzero(same)
    if count < MIN_SHARE * same.size or (matrix is None and count < STANDING * np.count_nonzero(texture > RICH)):
        return math.nan
    ratios = np.sort(((mean_b + 8) / (mean_a + 8))[same])
    low, middle, high = (_log_quantile(ratios, share) for share in (0.25, 0.5, 0.75))
    sure = max(low, -high, 0.0)
    return float(abs(middle) if sure >= 0.5 * abs(middle) else sure)


def _log_quantile(ascending: np.ndarray, share: float) -> float:
    """np.quantile of the logarithms of float32[n]: sorting takes a fifth of its time, and two of them are enough."""
    place = share * (len(ascending) - 1)
    k = int(place)
    low, high = np.log(ascending[[k, min(k + 1, len(ascending) - 1)]])
    return float(low + (high - low) * (place - k))


def mean_jumps(mean_N: np.ndarray) -> np.ndarray:
    """float64[N]: |log| of the ratio by which mean luma (0..255) steps at each frame, beyond the steps of the NEAR
    frames around it that go the same way: a pan, a fade and a light that is dimmed have 0. So has the first step, and
    the last: they may be what is left of a transition."""
    step = np.diff(mean_N, prepend=mean_N[:1])
    usual = np.maximum(0.0, (np.sign(step) * around(step, "constant")).max(axis=0))
    beyond = np.maximum(0.0, np.abs(step) - usual)
    beyond[:2], beyond[-1:] = 0.0, 0.0
    return np.log1p(beyond / _darker(mean_N))


def around(values_N: np.ndarray, mode: Literal["edge", "constant"] = "edge") -> np.ndarray:
    """[2 * NEAR, N]: the values of the NEAR frames before and after each; mode: what is beyond the ends, as np.pad."""
    padded = np.pad(values_N, NEAR, mode=mode)
    return np.stack([padded[k : k + len(values_N)] for k in range(2 * NEAR + 1) if k != NEAR])


def flickers(mean_N: np.ndarray) -> np.ndarray:
    """float64[N]: |log| of the ratio by which mean luma goes and comes back at once, at the frame it is back in. Every
    second frame brighter is this, and so is a flash of a single frame; no pair that is frames apart sees either."""
    step = np.diff(mean_N, prepend=mean_N[:1])
    back = np.minimum(np.abs(step[1:]), np.abs(step[:-1])) * (step[1:] * step[:-1] < 0)
    return np.concatenate([[0.0], np.log1p(back / _darker(mean_N)[1:])])


def _darker(mean_N: np.ndarray) -> np.ndarray:
    """The lower mean of each frame and the one before."""
    return np.minimum(mean_N, np.concatenate([mean_N[:1], mean_N[:-1]])) + DARK


def shared(size_N: np.ndarray, before_NP: np.ndarray, after_NP: np.ndarray) -> np.ndarray:
    """Jumps (float64[N], |log| of a ratio) of means as far as the tiles of the pictures before and after share them.

    Exposure scales all tiles alike, dark and bright ones; a thing that sweeps past or comes in changes some and leaves
    others. So the tiles at three tenths and at seven tenths must both have changed the same way, and together show the
    picture that was there before, as far as they do from frame to frame.
    """
    brighter = np.maximum(before_NP, after_NP)
    lit = brighter > BLACK
    told = lit & (brighter < WHITE)
    told = np.where(told.sum(axis=1, keepdims=True) >= FEW, told, lit)
    ratio = np.where(told, np.log((after_NP + LEVELS) / (before_NP + LEVELS)), np.inf)
    likeness = _likeness(before_NP, after_NP)
    stays = likeness >= np.quantile(around(likeness), USUAL, axis=0) - UNLIKE
    return np.where(stays, of_most(size_N, ratio), 0.0)


def _likeness(before_NP: np.ndarray, after_NP: np.ndarray) -> np.ndarray:
    """float[N], -1..1: correlation of the ln of tiles before and after; 1 where both are even."""
    x, y = (np.log(T + LEVELS) for T in (before_NP, after_NP))
    x, y = (values - values.mean(axis=1, keepdims=True) for values in (x, y))
    both = np.sqrt((x * x).mean(axis=1) * (y * y).mean(axis=1))
    return ((x * y).mean(axis=1) + EVEN**2) / (both + EVEN**2)


def of_most(size_N: np.ndarray, log_NP: np.ndarray) -> np.ndarray:
    """Jumps (float64[N]) as far as most of P places share them. log_NP: ln of the ratio at each; inf: not known."""
    ordered, count = np.sort(log_NP, axis=1), np.isfinite(log_NP).sum(axis=1)
    places = (np.maximum(count - 1, 0)[:, None] * np.array(MIDDLE)).astype(int)
    found = np.where(count[:, None] >= LEAST_TILES, np.take_along_axis(ordered, places, axis=1), 0.0)
    low, middle, high = found.T
    everywhere = np.where(np.maximum(low, -high) >= ALIKE * np.abs(middle), np.abs(middle), 0.0)
    return np.where(everywhere >= ENOUGH * size_N, size_N, np.minimum(size_N, everywhere))


def largest_jump(jump_N: np.ndarray, pair_N: np.ndarray, mean_N: np.ndarray, T: np.ndarray) -> float:
    """Largest |log| ratio of exposure within a clip of N frames; NaN without a pair.

    jump_N: `light_jump` of the pair that ends in each frame, NaN where nothing could be compared. pair_N: bool, frames
    that a pair within the clip ends in; pairs follow each other. mean_N: luma of each frame, 0..255.
    """
    ends = np.flatnonzero(pair_N)
    if not len(ends):
        return math.nan
    compared = np.isfinite(jump_N[ends])
    of_pair = np.searchsorted(ends, np.arange(ends[-1] + 1))  # the pair that each frame lies in
    one, two = (np.concatenate([T[:k], T[:-k]]) for k in (1, 2))  # frames so many before each
    by_mean = np.where(compared[of_pair], 0.0, mean_jumps(mean_N)[: ends[-1] + 1])
    jumps = (
        jump_N[ends[compared]],
        shared(by_mean, one[: len(by_mean)], T[: len(by_mean)]),
        shared(flickers(mean_N), (two + T) / 2, one),
    )
    return float(max(np.max(found, initial=0.0) for found in jumps))
