"""How sharp one frame is, by two numbers that need no weights: one for defocus, one for motion blur.

Both ask about edges only, so a shallow depth of field (some sharp edges are enough for `sharpness`) and flat pictures
such as cel animation are not taken for blur. The usual var(Laplacian) < 100 flags a quarter of clean clips.
"""

from __future__ import annotations

import numpy as np

MIN_TEXTURE = 24.0  # P99 of the Sobel gradient below this: too dark or flat to say anything about focus
REBLUR_TAPS = 11


def sharpness(gray_HW: np.ndarray) -> float:
    """P99 |Laplacian| / (P99 Sobel-3 gradient + 4) of uint8 luma about 360 px high; low is out of focus, NaN unknown.

    A ratio of second to first derivative is about 1/width of the sharpest edges and does not depend on contrast;
    the 99th percentile looks at the sharpest hundredth of the picture only. About 0.05 (blurred) to 0.5.
    """
    import cv2

    gradient_HW = cv2.magnitude(cv2.Sobel(gray_HW, cv2.CV_32F, 1, 0), cv2.Sobel(gray_HW, cv2.CV_32F, 0, 1))
    laplacian_HW = cv2.convertScaleAbs(cv2.Laplacian(gray_HW, cv2.CV_16S))
    gradient = _p99(gradient_HW, 1536)
    if gradient < MIN_TEXTURE:
        return float("nan")
    return _p99(laplacian_HW, 256) / (gradient + 4.0)


def _p99(values_HW: np.ndarray, bins: int) -> float:
    """99th percentile to one unit, by histogram: five times faster than a partial sort at this size."""
    import cv2

    counts = cv2.calcHist([values_HW], [0], None, [bins], [0, bins]).ravel()
    return float(np.searchsorted(np.cumsum(counts), 0.99 * values_HW.size))


def reblur(gray_HW: np.ndarray) -> float:
    """Perceptual blur of Crété et al. 2007, 0 (crisp) to 1 (smeared), of uint8 luma about 360 px high; NaN if flat.

    Blurring a sharp picture again destroys much of its variation between neighbours, blurring a blurred one little.
    The worse of the two directions counts: motion smears along one only. Integer arithmetic, so exact.
    """
    import cv2

    worst = float("nan")
    for kernel, after, before in (
        ((REBLUR_TAPS, 1), np.s_[:, 1:], np.s_[:, :-1]),
        ((1, REBLUR_TAPS), np.s_[1:], np.s_[:-1]),
    ):
        sums_HW = cv2.boxFilter(gray_HW, cv2.CV_16U, kernel, normalize=False)
        variation_HW = cv2.multiply(cv2.absdiff(gray_HW[after], gray_HW[before]), REBLUR_TAPS, dtype=cv2.CV_16U)
        lost_HW = cv2.subtract(variation_HW, cv2.absdiff(sums_HW[after], sums_HW[before]))  # saturates at 0
        total = cv2.sumElems(variation_HW)[0]
        if total < REBLUR_TAPS * 0.25 * gray_HW.size:  # under a quarter of a level a pixel: nothing to judge
            continue
        worst = np.fmax(worst, 1.0 - cv2.sumElems(lost_HW)[0] / total)
    return float(worst)
