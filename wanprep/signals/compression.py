"""Traces of heavy compression, and noise, in the luma of one frame at its own resolution; and all evidence of
compression, that of the picture and that of its stream, on one scale.

Block codecs leave a 16 x 16 grid: at block edges small differences between neighbours are larger than elsewhere, or
smaller where a deblocking filter went over them. The usual ratio of differences at every eighth pixel to the others
sees only the first (AUC 0.5-0.7 on x264), which is hardly visible in fine codings too and counts for less here; what
the filter left is found in how unevenly the rest is spread over the 16 places of the grid. A picture scaled after it
was damaged has lost the grid, and is not found. What the stream itself says (`media.quantiser`) is surer, but only of
the last time that a film was encoded; what that hides is for `signals.coarse` to see.
"""

from __future__ import annotations

import math

import numpy as np

from wanprep.signals import coarse, hidden

GRID = 16
SMALL_STEP = 12  # levels: larger differences are the picture's own edges
ENOUGH = 4000  # small differences at each place of the grid; fewer say nothing
PATCH, PATCHES = 96, 4  # side of the patches that noise is measured in, how many each way
MOST_ROWS = 540  # of a picture higher than that, every k-th line is looked at
# More of the spread than this that repeats every 4 lines: the picture was enlarged by four (nearest neighbours: 0.65 to
# 1). Of what bench_quality finds, x264 and MPEG-4 leave 0.37 at most; 0.7 loses 2 of 12 by VP8, which has such blocks.
FOURTHS = 0.75
PEAK, CUT = 8.0, 1.05  # how much less a peak at block edges says, and where it is cut off (times the usual difference)
# Blockiness as a quantiser: x264 at crf 33, 38 and 44 has medians of 0.028, 0.036 and 0.073 on half A of bench_quality,
# and of what was coded again finely, of JPEG and MPEG and of enlarged ones 1.8 % are above this.
LEVEL, AT, STEEP = 0.048, 37.0, 10.0
UNSMOOTHED = 3.0  # H.264 without its loop filter, coded finely, looks coarser by this (chosen on half A)


def traces(
    luma_HW: np.ndarray, smoothed: bool = True, *, said: float = math.nan, leaves: float = math.nan, noise: bool = True
) -> dict[str, float]:
    """All numbers of one frame, by the names that signals keep them under. About 4 ms at 1080p.

    smoothed, said, leaves: `media.quantiser.Coded`. Where edges are not smoothed, blocks show however finely a picture
    is coded: they say nothing by themselves, and all traces together must say more. Blocks are not looked for in what
    is drawn, nor, where `leaves` is not known, what a finer coding hides. noise: whether it is measured, which takes
    most of the time; else NaN.
    """
    asked = smoothed or math.isfinite(leaves)
    look = hidden.look(luma_HW) if asked else hidden.Look(math.nan, False)
    blocks = blockiness(luma_HW) if asked and not look.drawn else math.nan
    seen = math.isfinite(look.quantiser - leaves)
    found = coarse.quantiser(coarse.numbers(look, luma_HW, blocks, said, leaves)) if seen else math.nan
    return {
        "blockiness": blocks if smoothed else math.nan,
        "hidden": found if smoothed else found - UNSMOOTHED,
        "noise": noise_sigma(luma_HW) if noise else math.nan,
    }


def blockiness(luma_HW: np.ndarray) -> float:
    """How unevenly small differences are spread over the 16 places of the coding grid (see `_uneven`), of uint8 luma;
    NaN if it is too small a picture, or one enlarged by four.

    0.015 (clean) to 0.2, the mean of across and down; where the grid begins does not matter.
    """
    import cv2

    found = []
    for axis in (1, 0):
        one, two = (luma_HW[:, 1:], luma_HW[:, :-1]) if axis else (luma_HW[1:], luma_HW[:-1])
        step = max(1, luma_HW.shape[1 - axis] // MOST_ROWS)
        one, two = (one[::step], two[::step]) if axis else (one[:, ::step], two[:, ::step])
        steps = cv2.absdiff(np.ascontiguousarray(one), np.ascontiguousarray(two))
        small = cv2.threshold(steps, SMALL_STEP - 1, 0, cv2.THRESH_TOZERO_INV)[1]
        is_small = cv2.threshold(steps, SMALL_STEP - 1, 1, cv2.THRESH_BINARY_INV)[1]
        sums, counts = (
            cv2.reduce(values, 1 - axis, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel() for values in (small, is_small)
        )
        whole = len(sums) // GRID * GRID
        by_place = [part[:whole].reshape(-1, GRID).sum(axis=0) for part in (sums, counts)]
        if whole and by_place[1].min() >= ENOUGH:
            found.append(_uneven(by_place[0] / by_place[1]))
    return float(np.mean(found)) if len(found) == 2 else math.nan


def _uneven(profile: np.ndarray) -> float:
    """Spread over mean of float[16], the mean difference at each place of the grid, or an eighth of its peak; NaN where
    pixels were enlarged to squares of 4 x 4."""
    spread = _calm(profile - profile.mean())
    if (spread.reshape(4, 4).mean(axis=0) ** 2).mean() > FOURTHS * (spread**2).mean() > 0.0:
        return math.nan
    usual = float(np.median(profile))
    peak = profile.reshape(2, GRID // 2).mean(axis=0).max() - usual
    cut = _calm(np.minimum(profile, CUT * usual))
    # +1 level: where differences are smaller than that, nobody sees how they are spread.
    return float(max(cut.std(), peak / PEAK) / (profile.mean() + 1.0))


def _calm(profile: np.ndarray) -> np.ndarray:
    """Without what alternates from place to place: scaled by 2 or 3 halves, lines do so without any blocks."""
    return profile - hidden.ALTERNATE * (hidden.ALTERNATE * profile).mean()


def quantiser(blockiness: float, hidden: float, said: float) -> float:
    """How coarsely a clip was quantised on H.264's scale, 0..51: as its stream says, or as it looks if that is worse.

    hidden: `coarse.quantiser`, which knows of blocks; where it is unknown, `blockiness` counts. Each may be NaN
    (unknown); NaN when all are.
    """
    looks = AT + STEEP * math.log(max(blockiness, 1e-5) / LEVEL) if math.isfinite(blockiness) else math.nan
    known = [value for value in (hidden if math.isfinite(hidden) else looks, said) if math.isfinite(value)]
    return max((min(51.0, max(0.0, value)) for value in known), default=math.nan)


def noise_sigma(luma_HW: np.ndarray) -> float:
    """Standard deviation of noise in levels, from the smoothest third of uint8 luma; NaN where all is black or white.

    Immerkær 1996 (mean of |Laplacian of Laplacian|), kept to places without edges. Compression removes noise.
    """
    import cv2

    height, width = luma_HW.shape
    noise, edges = [], []
    for y in np.linspace(0, max(0, height - PATCH), PATCHES).astype(int):
        for x in np.linspace(0, max(0, width - PATCH), PATCHES).astype(int):
            patch = luma_HW[y : y + PATCH, x : x + PATCH].astype(np.float32)
            if min(patch.shape) < 16:
                return math.nan
            fine = np.abs(cv2.filter2D(patch, -1, _SECOND))
            smooth = cv2.blur(patch, (5, 5))
            across, down = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
            # cv2.magnitude rounds by where its arrays happen to lie in memory: other numbers in every run.
            slope = np.sqrt(across * across + down * down)
            mid = cv2.blur(np.logical_and(patch > 16, patch < 235).astype(np.float32), (5, 5)) > 0.99
            mid[:3] = mid[-3:] = mid[:, :3] = mid[:, -3:] = False
            noise.append(fine[mid])
            edges.append(cv2.blur(slope, (9, 9))[mid])
    all_noise, all_edges = np.concatenate(noise), np.concatenate(edges)
    if len(all_noise) < 1000:
        return math.nan
    third = int(0.33 * (len(all_edges) - 1))
    limit = float(np.partition(all_edges, third)[third])
    smoothest = cv2.compare(all_edges, limit, cv2.CMP_LE)  # type: ignore[call-overload]
    # cv2.mean with a mask takes nine times as long.
    mean = cv2.sumElems(cv2.copyTo(all_noise, smoothest))[0] / cv2.countNonZero(smoothest)
    return float(math.sqrt(math.pi / 2) / 6 * mean)


_SECOND = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
