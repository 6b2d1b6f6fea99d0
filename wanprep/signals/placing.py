"""Where a crop goes so that it keeps most of a clip's content: one number from the profile of the side that it does not
span (`content.py` makes it). Pure, all clips at once.

Settings were chosen on half of `tests/benchmarks/bench_crops.py`.
"""

from __future__ import annotations

import numpy as np

from wanprep.signals.content import BINS

STEPS = 64  # places tried for a crop are this fine a share of its freedom
CORE = 0.85  # the middle part of a crop, whose content counts twice: a subject should not sit on the crop's edge
PRIOR = 0.2  # weight lost at the very edge of the picture against its centre
MIN_GAIN = 0.02  # share of all weight that leaving the centre must gain


def place(profiles_NB: np.ndarray, low: float, high: float, length: float) -> np.ndarray:
    """float64[N]: where crops of `length` begin so that they keep most of the content. Pure, all clips at once.

    profiles_NB: uint8[N, BINS] over [0, 1] of the source frame, all-zero rows for what is not known. low, high: the
    part of it that is picture. 0 <= low < high <= 1, length <= high - low; ValueError otherwise. The result lies in
    [low, high - length]; it is the centre unless leaving it gains MIN_GAIN of the content.
    """
    if not (0 <= low < high <= 1 and 0 < length <= high - low + 1e-9):
        raise ValueError(f"cannot place {length} in [{low}, {high}]")
    free = max(0.0, high - low - length)
    starts_S = low + free * np.linspace(0, 1, STEPS + 1)
    middle_B = (np.arange(BINS) + 0.5) / BINS
    prior_B = 1 - PRIOR * np.clip(2 * (middle_B - low) / (high - low) - 1, -1, 1) ** 2
    mass_NB = profiles_NB * prior_B
    total_N = mass_NB @ _cover(np.array([low]), high - low)[0]
    covered_SB = _cover(starts_S, length) + _cover(starts_S + length * (1 - CORE) / 2, length * CORE)
    gain_NS = mass_NB @ covered_SB.T / (2 * np.maximum(total_N, 1e-9)[:, None])
    # Of equally good places the one nearest the centre: a slope too small to outweigh anything real.
    gain_NS -= 1e-3 * np.abs(np.linspace(-1, 1, STEPS + 1))
    best_N = gain_NS.argmax(axis=1)
    stay_N = gain_NS.max(axis=1) - gain_NS[:, STEPS // 2] < MIN_GAIN
    return starts_S[np.where(stay_N, STEPS // 2, best_N)]


def _cover(starts_S: np.ndarray, length: float) -> np.ndarray:
    """float64[S, BINS]: share of each bin inside [start, start + length)."""
    bins = np.arange(BINS)
    first, last = starts_S[:, None] * BINS, (starts_S[:, None] + length) * BINS
    return np.clip(np.minimum(bins + 1, last) - np.maximum(bins, first), 0, 1)
