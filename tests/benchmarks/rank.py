"""How well a score ranks clips, and how many it rejects."""

from __future__ import annotations

import math

import numpy as np


def auc(good: np.ndarray, bad: np.ndarray) -> float:
    """Chance that a random bad clip scores higher than a random good one."""
    good, bad = good[np.isfinite(good)], bad[np.isfinite(bad)]
    if not len(good) or not len(bad):
        return math.nan
    return float(np.mean(bad[:, None] > good) + 0.5 * np.mean(bad[:, None] == good))


def share(badness: np.ndarray, threshold: float) -> float:
    with np.errstate(invalid="ignore"):
        return float(np.mean(badness > threshold)) if len(badness) else math.nan
