"""How sharp one frame is, by two numbers that need no weights: one for defocus, one for motion blur.

Both ask about edges only, so a shallow depth of field (some sharp edges are enough for `sharpness`) and flat pictures
such as cel animation are not taken for blur. The usual var(Laplacian) < 100 flags a quarter of clean clips.
"""

from __future__ import annotations

import itertools

import numpy as np

MIN_TEXTURE = 24.0  # P99 of the Sobel gradient below this: too dark or flat to say anything about focus
REBLUR_TAPS = 11
TILES = (6, 4)  # columns, rows


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


def smear(gray_HW: np.ndarray) -> float:
    """Motion blur of uint8 luma about 360 px high: `reblur` / `edge_contrast`, 0.4 (crisp) to 5 (smeared); NaN if flat.

    Each measure alone fails on other clips (soft film, title cards); their ratio ranks 9 px of motion blur with AUC
    0.99 where either gives 0.95 (tests/benchmarks/bench_quality.py).
    """
    return reblur(gray_HW) / edge_contrast(gray_HW)


def reblur(gray_HW: np.ndarray) -> float:
    """Perceptual blur of Crété et al. 2007 of the sharpest tenth of the picture, 0 (crisp) to 1; NaN if flat.

    Blurring a sharp picture again destroys much of its variation between neighbours, blurring a blurred one little.
    Taken per tile and then the tenth percentile, so that a sharp subject before a soft background is sharp; the worse
    of the two directions counts, because motion smears along one only. Integer arithmetic up to the tile sums.
    """
    import cv2

    worst = np.nan
    for kernel, after, before in (
        ((REBLUR_TAPS, 1), np.s_[:, 1:], np.s_[:, :-1]),
        ((1, REBLUR_TAPS), np.s_[1:], np.s_[:-1]),
    ):
        sums_HW = cv2.boxFilter(gray_HW, cv2.CV_16U, kernel, normalize=False)
        variation_HW = cv2.multiply(  # type: ignore[call-overload]
            cv2.absdiff(gray_HW[after], gray_HW[before]), REBLUR_TAPS, dtype=cv2.CV_16U
        )
        lost_HW = cv2.subtract(variation_HW, cv2.absdiff(sums_HW[after], sums_HW[before]))  # saturates at 0
        total_IJ, lost_IJ = _tile_means(variation_HW), _tile_means(lost_HW)
        judged_IJ = total_IJ > REBLUR_TAPS * 0.5  # below half a level a pixel there is nothing to judge
        if judged_IJ.any():
            worst = np.fmax(worst, np.quantile(1.0 - lost_IJ[judged_IJ] / total_IJ[judged_IJ], 0.1))
    return float(worst)


def _tile_means(values_HW: np.ndarray) -> np.ndarray:
    """float64[rows, columns]: means over TILES; column sums by OpenCV, which is several times faster than numpy."""
    import cv2

    height, width = values_HW.shape
    columns, rows = TILES
    row_edges, column_edges = np.arange(rows + 1) * height // rows, np.arange(columns + 1) * width // columns
    sums_IW = np.stack(
        [
            cv2.reduce(values_HW[a:b], 0, cv2.REDUCE_SUM, dtype=cv2.CV_32F).ravel()
            for a, b in itertools.pairwise(row_edges)
        ]
    )
    sums_IJ = np.add.reduceat(sums_IW.astype(np.float64), column_edges[:-1], axis=1)
    return sums_IJ / np.outer(np.diff(row_edges), np.diff(column_edges))


def edge_contrast(gray_HW: np.ndarray) -> float:
    """P99 step to the next pixel / P99 step over 8 px, along the worst of four directions; NaN if flat.

    About 0.4 for a crisp picture; a smear of n >= 8 px leaves about 1/8 in its direction. Percentiles over the whole
    picture, so the sharpest edges of each direction decide.
    """
    import cv2

    height, width = gray_HW.shape
    worst = np.nan
    for right, down, reach in ((1, 0, 8), (0, 1, 8), (1, 1, 6), (1, -1, 6)):
        steps = []
        for n in (1, reach):
            dx, dy = n * right, n * abs(down)
            ahead, behind = gray_HW[dy:, dx:], gray_HW[: height - dy, : width - dx]
            if down < 0:
                ahead, behind = gray_HW[: height - dy, dx:], gray_HW[dy:, : width - dx]
            steps.append(_p99(cv2.absdiff(ahead, behind), 256))
        if steps[1] >= 12:
            worst = np.fmin(worst, (steps[0] + 0.5) / (steps[1] + 4.0))
    return float(worst)
