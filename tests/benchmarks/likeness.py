"""How much of good footage a fault leaves, which says whether it can be seen at all."""

from __future__ import annotations

import numpy as np

SEEN = 0.93  # structural similarity: coarser codings can be told from the source beside it, by eye
LOOKS = 5


def similarity(before: np.ndarray, after: np.ndarray) -> float:
    """SSIM of Wang et al. 2004 (Gaussian window of 1.5 px, levels of 255), the mean of a few frames, 1 if equal.

    uint8[N, h, w]; of sizes and numbers of frames that differ by what a coder cuts off, what both have counts.
    """
    count, height, width = (min(a, b) for a, b in zip(before.shape, after.shape))
    at = np.unique(np.linspace(0, count - 1, LOOKS).astype(int))
    return float(np.mean([_of_one(before[k, :height, :width], after[k, :height, :width]) for k in at]))


def _of_one(one_HW: np.ndarray, two_HW: np.ndarray) -> float:
    import cv2

    a, b = one_HW.astype(np.float32), two_HW.astype(np.float32)
    mean_a, mean_b, aa, bb, ab = (cv2.GaussianBlur(x, (11, 11), 1.5) for x in (a, b, a * a, b * b, a * b))
    light, texture = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    like = (2 * mean_a * mean_b + light) * (2 * (ab - mean_a * mean_b) + texture)
    most = (mean_a**2 + mean_b**2 + light) * (aa - mean_a**2 + bb - mean_b**2 + texture)
    return float((like / most).mean())
