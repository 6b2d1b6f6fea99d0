"""Sudden changes of light between two frames: exposure pumping, flashes, splices of two takes.

A plain difference of mean luma finds a moving object and misses an exposure step (5 % of +15 % steps); here only
places whose texture stayed the same are compared, after the camera's motion is taken out.
"""

from __future__ import annotations

import math

import numpy as np

WINDOW = 9  # pixels at half the small size
MIN_SHARE = 0.03  # of the picture must keep its texture


def light_jump(before_HW: np.ndarray, after_HW: np.ndarray, matrix: np.ndarray | None = None) -> float:
    """Median |log((b+8)/(a+8))| where local zero-mean correlation > 0.9: 0.14 is +15 %. NaN when nothing matches.

    A jump changes all places alike; things that pass match here and there, by every ratio. So where the quartiles do
    not agree, what three quarters of the places exceed the same way is all that counts.

    before_HW, after_HW: uint8 luma about 256 px wide. matrix: float[2, 3] that maps the earlier frame onto the later.
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
    # +1: windows with less than a level of texture correlate by chance or by coding noise alone.
    same = covariance > 0.9 * np.sqrt(np.maximum(variance_a, 0) * np.maximum(variance_b, 0)) + 1.0
    if np.count_nonzero(same) < MIN_SHARE * same.size:
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
