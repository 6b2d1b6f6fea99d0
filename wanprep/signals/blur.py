"""How sharp one frame is, by two numbers that need no weights: one for defocus, one for motion blur.

Both ask about edges only, so a shallow depth of field (some sharp edges are enough for `sharpness`) and flat pictures
such as cel animation are not taken for blur. The usual var(Laplacian) < 100 flags a quarter of clean clips.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

MIN_TEXTURE = 18.0  # Sobel gradient of the strongest edges below this: too dark or flat to say anything about focus
# Of the pixels around the steepest edges the sharpest count: of soft film some edges are sharper than most, of a
# picture out of focus all are as soft. At 0.98 and more the sharpest are single specks.
SHARPEST = 0.97
SCALE = 1.05  # the second derivative along the gradient, as large as P93 of the Laplacian of most pictures
ROUNDING = 2.4  # second derivative at soft edges that 8-bit levels and fine coding alone leave (their P97)
# Rounding is more than soft edges have in the dark. Where the gradient is below DIM pictures are smoothed first, in
# units of a quarter level, and the ratio, which that lowers, is put back.
DIM, DIM_SIGMA, DIM_UNIT, DIM_TIMES = 64.0, 0.7, 4, 1.33
# The same of noise, as a multiple of its median |Laplacian|: 1.76 if it were Gaussian and all there is, 1.9 of the
# steepest pixels of noise alone. Of these the median is that of rounding as well.
NOISE_GAIN, DIM_GAIN = 1.82, 1.44
# Checks, weave and foliage all over a picture have edges at its median pixel, which is not noise then: at the steepest
# edges they have less than so many times the median (14 such clips 1.7 to 2.6), and noise more (42 clips out of
# focus under grain of 2 to 8 levels: 2.75).
PATTERN = 2.65
# Right, down, how many pixels are summed, how many are one long step: diagonal pixels are sqrt(2) apart.
DIRECTIONS = ((1, 0, 11, 8), (0, 1, 11, 8), (1, 1, 8, 6), (1, -1, 8, 6))
TILES = (6, 4)  # columns, rows
FOLDED = 16_000  # pixels, at most, that a percentile is first looked for among


def focus(gray_HW: np.ndarray) -> dict[str, float]:
    """Both numbers of uint8 luma about 360 px high, by the names that signals keep them under."""
    return {"sharpness": sharpness(gray_HW), "smear": smear(gray_HW)}


def sharpness(gray_HW: np.ndarray) -> float:
    """Second derivative around the steepest edges / (Sobel-3 gradient + 4) of uint8 luma about 360 px high; NaN if
    flat.

    A ratio of second to first derivative is about 1/width of the strongest edges and does not depend on contrast. The
    second one is taken along the gradient: of fine texture the Laplacian is 1.6 times as much (the root of 8/3), so
    that foliage out of focus has as much as soft film in focus, and of noise 1.9 times. What noise, rounding and coding
    add is taken off in quadrature: in dark pictures it is more than soft edges have, and blurred ones looked sharp.
    Edges are the steepest 0.5 % of the pixels and their neighbours (more than that a picture with much sky, or a small
    sharp subject, has not), the gradient is their P99.8 of the picture. 0.05 (out of focus) to 0.4.
    """
    import cv2

    dx_HW, dy_HW = cv2.spatialGradient(gray_HW)
    gradient, steep_HW = _steepest(dx_HW, dy_HW)
    if gradient < MIN_TEXTURE:
        return float("nan")
    dim, seen_HW, rounding, gain, unit, times = gradient < DIM, gray_HW, ROUNDING, NOISE_GAIN, 1, 1.0
    if dim:
        seen_HW = np.rint(DIM_UNIT * cv2.GaussianBlur(gray_HW.astype(np.float32), (0, 0), DIM_SIGMA)).astype(np.int16)
        dx_HW, dy_HW = (cv2.Sobel(seen_HW, cv2.CV_16S, *way) for way in ((1, 0), (0, 1)))
        gradient, steep_HW = _steepest(dx_HW, dy_HW)
        rounding, gain, unit, times = 0.0, DIM_GAIN, DIM_UNIT, DIM_TIMES
    around_HW = cv2.dilate(steep_HW, np.ones((3, 3), np.uint8))
    around_HW[[0, -1]] = around_HW[:, [0, -1]] = 0
    around_P = np.flatnonzero(around_HW.view(bool))
    if not len(around_P):
        return float("nan")
    size_HW = cv2.convertScaleAbs(cv2.Laplacian(seen_HW, cv2.CV_16S))
    usual = _percentile(np.ascontiguousarray(size_HW[::3, ::3]), 0.5)
    noise = gain * usual
    if noise > rounding and not dim and _percentile(size_HW.ravel()[around_P], 0.93) < PATTERN * usual:
        noise = 0.0
    second_P = _along(seen_HW, dx_HW, dy_HW, around_P)
    place = int(SHARPEST * (len(second_P) - 1))
    second, noise = float(np.partition(second_P, place)[place]), max(rounding, noise)
    return SCALE * times * math.sqrt(max(0.0, second * second - noise * noise)) / (gradient + 4.0 * unit)


def _along(gray_HW: np.ndarray, dx_HW: np.ndarray, dy_HW: np.ndarray, at_P: np.ndarray) -> np.ndarray:
    """float32[P]: size of the second derivative along the gradient at these pixels (flat indices, none at the rim)."""
    flat, width = gray_HW.ravel(), gray_HW.shape[1]

    def near(down: int, right: int) -> np.ndarray:
        return flat.take(at_P + (down * width + right)).astype(np.float32)

    dx, dy = dx_HW.ravel().take(at_P).astype(np.float32), dy_HW.ravel().take(at_P).astype(np.float32)
    twice = 2 * near(0, 0)
    size = (near(0, 1) + near(0, -1) - twice) * (dx * dx) + (near(1, 0) + near(-1, 0) - twice) * (dy * dy)
    size += (near(1, 1) + near(-1, -1) - near(1, -1) - near(-1, 1)) * (0.5 * dx * dy)
    return np.abs(size) / np.maximum(dx * dx + dy * dy, 1.0)


def _steepest(dx_HW: np.ndarray, dy_HW: np.ndarray) -> tuple[float, np.ndarray]:
    """P99.8 of the Sobel-3 gradient's length, to one unit, and uint8[H, W]: 1 where it is among the longest 0.5 %.

    dx_HW, dy_HW: int16, within -1020..1020. Exact, though most lengths are never computed: a length lies between the
    larger of |dx|, |dy| and that times sqrt(2), so the quantile of the larger one, at a quarter of the precision so
    that it fits a byte, says below which pixels cannot matter. Where less than 0.5 % are edges at all, the flat rest is
    left out.
    """
    import cv2

    larger = cv2.max(cv2.convertScaleAbs(dx_HW, alpha=0.25), cv2.convertScaleAbs(dy_HW, alpha=0.25))
    least = 4 * _percentile(larger, 0.995) - 2
    at = np.flatnonzero(larger >= math.floor((max(0.0, least) / math.sqrt(2) + 2) / 4))
    across, down = dx_HW.ravel()[at].astype(np.float32), dy_HW.ravel()[at].astype(np.float32)
    lengths = np.sqrt(across * across + down * down).astype(np.int32)
    below = np.cumsum(np.bincount(lengths)) + dx_HW.size - len(at)
    long, longest = np.searchsorted(below, np.array([0.995, 0.998]) * dx_HW.size).tolist()
    steep_HW = np.zeros(dx_HW.shape, np.uint8)
    steep_HW.ravel()[at[lengths >= max(long, longest / 3)]] = 1
    return float(longest), steep_HW


def _percentile(values_HW: np.ndarray, share: float) -> float:
    """Quantile `share` of uint8 to one unit, by counting what lies above a value: a histogram stumbles over pictures of
    mostly equal values. Of the largest of every few pixels no more lie above a value than of all, so their quantile is
    where to begin, and for high shares hardly ever more than a level or two too low."""
    above = values_HW.size - share * values_HW.size
    largest_P = values_P = values_HW.reshape(-1)
    while len(largest_P) > FOLDED:
        half = len(largest_P) // 2
        largest_P = np.maximum(largest_P[:half], largest_P[half : 2 * half])
    found = 0
    for bit in (128, 64, 32, 16, 8, 4, 2, 1):
        if np.count_nonzero(largest_P > found + bit - 1) > above:
            found += bit
    while found < 255 and np.count_nonzero(values_P > found) > above:
        found += 1
    return float(found)


def smear(gray_HW: np.ndarray) -> float:
    """Motion blur of uint8 luma about 360 px high: `reblur` / `edge_contrast`, 0.3 (crisp) to 5 (smeared); NaN if flat.

    Each measure alone fails on other clips (soft film, title cards); their ratio ranks 9 px of motion blur with AUC
    0.99 where either gives 0.96 (tests/benchmarks/bench_quality.py). Grain added after the blur hides it.
    """
    return reblur(gray_HW) / edge_contrast(gray_HW)


def reblur(gray_HW: np.ndarray) -> float:
    """Perceptual blur of Crété et al. 2007 of the sharpest tenth of the picture, 0 (crisp) to 1; NaN if flat.

    Blurring a sharp picture again destroys much of its variation between neighbours, blurring a blurred one little.
    Taken per tile and then the tenth percentile, so that a sharp subject before a soft background is sharp; the worst
    of four directions counts, because motion smears along one only.
    """
    import cv2

    # The sums over 11 pixels (8 diagonal ones) of two neighbours differ by their two ends: nothing has to be blurred.
    edge = max(taps for *_, taps, _ in DIRECTIONS) // 2
    height, width = gray_HW.shape
    wide_HW = cv2.copyMakeBorder(gray_HW, edge, edge, edge, edge, cv2.BORDER_REFLECT_101)
    worst = np.nan
    for right, down, taps, _ in DIRECTIONS:
        rows, columns = height - abs(down), width - right
        top = edge + (down < 0)  # where the earlier of two neighbours begins
        steps_HW, ends_HW = (
            cv2.absdiff(
                wide_HW[top + ahead * down :][:rows, edge + ahead * right :][:, :columns],
                wide_HW[top - behind * down :][:rows, edge - behind * right :][:, :columns],
            )
            for ahead, behind in ((1, 0), (taps - taps // 2, taps // 2))
        )
        # What is left of a step's variation after blurring: never more than the step itself, so bytes are enough.
        left_HW = cv2.min(ends_HW, cv2.convertScaleAbs(steps_HW, alpha=taps))  # saturates at 255
        total_IJ, left_IJ = _tile_means(steps_HW) * taps, _tile_means(left_HW)
        judged_IJ = total_IJ > taps * 0.5  # below half a level a pixel there is nothing to judge
        if judged_IJ.any():
            worst = np.fmax(worst, _tenth(left_IJ[judged_IJ] / total_IJ[judged_IJ]))
    return float(worst)


def _tenth(values: np.ndarray) -> float:
    """np.quantile(values, 0.1) of a few numbers, without its 40 µs."""
    ascending = np.sort(values)
    place = 0.1 * (len(ascending) - 1)
    k = int(place)
    low, high = ascending[[k, min(k + 1, len(ascending) - 1)]]
    return float(low + (high - low) * (place - k))


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
    """Step to the next pixel / step over 8 px at the strongest edges, in the worst of four directions; NaN if flat.

    About 0.5 for a crisp picture; a smear of n >= 8 px leaves about 1/8 in its direction (a diagonal step counts for
    1/sqrt(2) of itself, as long as a straight one). The percentiles (99.9 and 99.8) differ because an edge has its long
    step at more pixels than its short one.
    """
    import cv2

    height, width = gray_HW.shape
    worst = np.nan
    for right, down, _, reach in DIRECTIONS:
        steps = []
        for n, share in ((1, 0.999), (reach, 0.998)):
            dx, dy = n * right, n * abs(down)
            ahead, behind = gray_HW[dy:, dx:], gray_HW[: height - dy, : width - dx]
            if down < 0:
                ahead, behind = gray_HW[: height - dy, dx:], gray_HW[dy:, : width - dx]
            steps.append(_percentile(cv2.absdiff(ahead, behind), share))
        if steps[1] >= 12:
            worst = np.fmin(worst, (steps[0] / math.hypot(right, down) + 0.5) / (steps[1] + 4.0))
    return float(worst)
