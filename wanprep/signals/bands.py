"""Bands of light that roll over the picture: a lamp on the mains before a shutter that reads line by line.

The mean of a picture stays as it is, and nothing jumps from one picture to the next. But the lines' means hold one wave
that travels: as many bands from top to bottom in every picture, at one pace. Nothing filmed does: what moves is not as
wide as the picture, a tilt moves all waves alike and slowly, and a camera that shakes sends none one way only.
"""

from __future__ import annotations

import itertools

import numpy as np

PIECE = 3.0  # seconds that are looked at together; of longer clips the worst such piece counts
FEWEST = 12  # pictures
SMOOTH = 0.25  # seconds before and after that are what is usual at a place
DARK = 4.0  # levels added, so that noise in the dark is no light
BANDS = np.arange(0.5, 4.01, 0.25)  # from top to bottom: 100 or 120 a second, read within 5 to 33 ms
SLOWEST = 2.0  # Hz at which they pass; slower ones are not told from a tilt
PACE = 1.3  # heights a second, at least; a tilt is slower
PURE = 0.3  # of all that happens to the lines, at least (98 % of real clips and of fast pans have 0.17 or less)
WEIGHT = 2.0  # light that comes and goes for good counts for twice of what comes once


def rolling_bands(tiny_NHW: np.ndarray, seconds_N: np.ndarray) -> float:
    """WEIGHT times by how much, as |ln| of exposure between a bright and a dark band, light differs; 0 without bands.

    tiny_NHW: uint8 luma of every frame, a few pixels high and wide. seconds_N: their times, ascending.
    """
    pieces = max(1, round((seconds_N[-1] - seconds_N[0]) / PIECE))
    edges = np.linspace(0, len(seconds_N), pieces + 1).astype(int)
    return WEIGHT * max(_swing(tiny_NHW[a:b], seconds_N[a:b]) for a, b in itertools.pairwise(edges))


def _swing(tiny_NHW: np.ndarray, seconds_N: np.ndarray) -> float:
    """|ln| between a bright and a dark band of one piece."""
    step = float(np.median(np.diff(seconds_N))) if len(seconds_N) >= FEWEST else 0.0
    rates = np.arange(SLOWEST, 0.48 / step, 0.5 / PIECE) if step > 0 else np.array([])
    if not len(rates):
        return 0.0
    light_NH = _light(tiny_NHW, max(1, round(SMOOTH / step)))
    window_N = np.hanning(len(seconds_N) + 2)[1:-1]
    window_N /= window_N.sum()
    height = light_NH.shape[1]
    waves_HB = 2 / height * np.exp(-2j * np.pi * (np.arange(height)[:, None] + 0.5) / height * BANDS)
    turns_FN = np.exp(-2j * np.pi * rates[:, None] * seconds_N) * window_N
    down_FB, up_FB = (np.abs(turns @ (light_NH @ waves_HB)) for turns in (turns_FN, turns_FN.conj()))
    # What does not travel is as much of a wave upwards as of one downwards.
    largest = float((np.abs(down_FB - up_FB) * (rates[:, None] >= PACE * BANDS)).max())
    all_of_it = float(window_N @ (light_NH * light_NH).mean(axis=1))
    return 2 * largest if largest * largest / 2 > PURE * all_of_it else 0.0


def _light(tiny_NHW: np.ndarray, near: int) -> np.ndarray:
    """float64[N, H]: ln of the light of each line beside what is usual there, `near` frames before to after, without
    what goes for the whole picture. The median across, so that things that move do not count."""
    log = np.log(tiny_NHW.astype(np.float64) + DARK)
    padded = np.pad(log, ((near + 1, near), (0, 0), (0, 0)), mode="reflect")
    total = np.cumsum(padded, axis=0)
    usual = (total[2 * near + 1 :] - total[: -2 * near - 1]) / (2 * near + 1)
    light_NH = np.median(log - usual, axis=2)
    return light_NH - light_NH.mean(axis=1, keepdims=True)
