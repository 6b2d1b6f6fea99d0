"""How likely a clip shows a computer screen, a page of print or a test card: a picture of signs, not of a scene.

Such pictures are put together of level areas, straight edges along the rows and columns, and small print; hardly
anything in them is shaded. Flat cartoons have the areas but round outlines, walls and tiles the edges but no level
areas: no number tells them apart by itself, so a small network of one hidden layer weighs them
(tests/benchmarks/train_screens.py). All numbers are of thumbnails 256 px wide, so nothing more is stored for them.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from wanprep.signals.one_layer import computed, weights

WEIGHTS = Path(__file__).with_name("screens.safetensors")
LOOKS = 4  # thumbnails of a clip that are looked at
LEVEL, HARD = 2, 48  # levels by which 3 x 3 pixels of a level area differ at most, and those of a hard edge at least
EDGE, ALONG = 10.0, 0.2  # levels a pixel of an edge; how much of it may point the other way along a row or column
RULED, LONG = 12, 32  # pixels of straight edges
INK, AROUND = 14, 21  # levels by which print differs from the median of so many pixels around
PRINT = 2, 14  # pixels that small print is high
SHADED, VOID = (0.15, 1.5), 0.05  # levels a pixel of shading; of no shading at all
APART, FEWEST, SURE = 12, 6, 4.0  # levels between two colours; bars of a test card; log-odds that they are worth
SAME, CHANGED = 2, 12  # levels from one thumbnail to the next: none, and those that a scene changes by
NAMES = (
    "level", "soft", "hard", "commonest", "common", "axis", "ruled", "long", "edges", "ink", "small", "pieces", "clean",
    "rows", "columns", "vivid", "shaded", "void", "same", "stirred",
)  # fmt: skip


def screen(thumbs_MhwC: np.ndarray, evidence_K: np.ndarray | None = None) -> float:
    """Confidence 0..1 that uint8[M, h, w, 3] BGR thumbnails of one clip, about 256 px wide, show a screen; NaN without
    any. 0.5 is undecided: training showed screens as often as scenes. evidence_K: of `evidence`, where it is known.
    """
    if not enough(thumbs_MhwC):
        return float("nan")
    known = evidence(thumbs_MhwC) if evidence_K is None else evidence_K
    odds = computed(known[None], weights(WEIGHTS))[0]
    if all(bars(thumb) for thumb in thumbs_MhwC[[0, len(thumbs_MhwC) // 2, -1]]):
        odds = max(odds, SURE)
    return float(1 / (1 + np.exp(-odds)))


def enough(thumbs_MhwC: np.ndarray) -> bool:
    """Whether there is a thumbnail that something can be seen in."""
    return bool(len(thumbs_MhwC)) and min(thumbs_MhwC.shape[1:3]) >= 32


def bars(thumb_hwC: np.ndarray) -> bool:
    """Whether the upper half is of upright bars of one width and several colours, as test cards are: they have no
    print, and hardly an edge."""
    upper = thumb_hwC[: len(thumb_hwC) // 2].astype(np.int16)
    column = np.median(upper, axis=0)
    if np.mean(np.abs(upper - column).max(axis=2) <= APART) < 0.9:
        return False
    across = np.abs(column[4:] - column[:-4]).max(axis=1) > 2 * APART
    turns = np.flatnonzero(np.diff(np.r_[0, across, 0]))
    ends = np.r_[0, turns.reshape(-1, 2).mean(axis=1) + 2, len(column)]
    wide = np.diff(ends)
    if not FEWEST <= len(wide) <= 2 * FEWEST or np.ptp(wide) > 0.25 * wide.mean():
        return False
    tones = column[((ends[1:] + ends[:-1]) / 2).astype(int)]
    others = np.abs(tones[:, None] - tones).max(axis=2) + 255 * np.eye(len(tones))
    return int(np.count_nonzero(others.min(axis=1) > APART)) >= FEWEST


def evidence(thumbs_MhwC: np.ndarray) -> np.ndarray:
    """float64[len(NAMES)], shares 0..1 but for `pieces`: medians over LOOKS thumbnails, or over each and the next."""
    import cv2

    which = np.unique(np.linspace(0, len(thumbs_MhwC) - 1, LOOKS).round().astype(int))
    shown = [thumbs_MhwC[i] for i in which]
    lumas = [cv2.cvtColor(thumb, cv2.COLOR_BGR2GRAY) for thumb in shown]
    of_each = [
        (*_areas(thumb, luma), *_edges(luma), *_print(luma), *_tones(thumb, luma)) for thumb, luma in zip(shown, lumas)
    ]
    return np.concatenate([np.median(of_each, axis=0), _changes(lumas)])


def _areas(thumb_hwC: np.ndarray, luma_hw: np.ndarray) -> tuple[float, ...]:
    """level, soft, hard: by the range of 3 x 3 pixels; commonest, common: shares of one and of 16 of 2^15 colours."""
    reach = _range(luma_hw)
    binned = (thumb_hwC >> 3).astype(np.int32)
    counts = np.bincount((binned[..., 0] << 10 | binned[..., 1] << 5 | binned[..., 2]).ravel(), minlength=1 << 15)
    best = np.partition(counts, -16)[-16:] / luma_hw.size
    shares = np.cumsum(np.bincount(reach.ravel(), minlength=256)) / luma_hw.size
    return shares[LEVEL], shares[HARD // 2] - shares[5], 1 - shares[HARD], best.max(), best.sum()


def _range(luma_hw: np.ndarray) -> np.ndarray:
    import cv2

    near = np.ones((3, 3), np.uint8)
    return cv2.subtract(cv2.dilate(luma_hw, near), cv2.erode(luma_hw, near))


def _edges(luma_hw: np.ndarray) -> tuple[float, ...]:
    """axis, ruled: shares of the edges that go along rows or columns, and straight on; long, edges: of the picture."""
    import cv2

    across, down = (np.abs(cv2.Sobel(luma_hw, cv2.CV_32F, *order, scale=0.25)) for order in ((1, 0), (0, 1)))
    count = max(1, int(np.count_nonzero(across * across + down * down > EDGE * EDGE)))
    level = ((down > EDGE) & (across < ALONG * down)).astype(np.uint8)
    upright = ((across > EDGE) & (down < ALONG * across)).astype(np.uint8)
    along = int(level.sum()) + int(upright.sum())
    straight, longer = (
        sum(
            int(cv2.morphologyEx(part, cv2.MORPH_OPEN, np.ones(shape, np.uint8)).sum())
            for part, shape in ((level, (1, length)), (upright, (length, 1)))
        )
        for length in (RULED, LONG)
    )
    few = count <= 50
    return 0.0 if few else along / count, 0.0 if few else straight / count, longer / luma_hw.size, count / luma_hw.size


def _print(luma_hw: np.ndarray) -> tuple[float, ...]:
    """ink: share of the picture; small: of the ink, in pieces as high as print; pieces: log of 1 + so many; clean: how
    level it is around ink; rows, columns: how often ink begins or ends down strips of 32 px, and across them."""
    import cv2

    ink = (cv2.absdiff(luma_hw, cv2.medianBlur(luma_hw, AROUND)) > INK).astype(np.uint8)
    _, _, about, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
    high, area = about[1:, cv2.CC_STAT_HEIGHT], about[1:, cv2.CC_STAT_AREA]
    fits = (high >= PRINT[0]) & (high <= PRINT[1])
    small = float(area[fits].sum()) / area.sum() if area.sum() > 20 else 0.0
    rim = cv2.dilate(ink, np.ones((7, 7), np.uint8)) > cv2.dilate(ink, np.ones((3, 3), np.uint8))
    clean = float(np.mean(_range(luma_hw)[rim] <= 6)) if rim.any() else 0.0
    return float(ink.mean()), small, float(np.log1p(fits.sum())), clean, _turns(ink), _turns(ink.T)


def _turns(ink_hw: np.ndarray) -> float:
    """Share of steps down strips of 32 columns at which ink begins or ends."""
    height, width = ink_hw.shape
    strips = ink_hw[:, : width // 32 * 32].reshape(height, -1, 32).mean(axis=2) > 0.1
    return float(np.mean(strips[1:] != strips[:-1]))


def _tones(thumb_hwC: np.ndarray, luma_hw: np.ndarray) -> tuple[float, ...]:
    """vivid: share of strong colour; shaded, void: of gentle slopes, and of none."""
    import cv2

    blue, green, red = cv2.split(thumb_hwC)
    high, low = (of(of(blue, green), red) for of in (cv2.max, cv2.min))
    soft = cv2.GaussianBlur(luma_hw.astype(np.float32), (0, 0), 2)
    across, down = (cv2.Sobel(soft, cv2.CV_32F, *order, scale=0.125) for order in ((1, 0), (0, 1)))
    slope = across * across + down * down
    shaded = np.mean((slope > SHADED[0] ** 2) & (slope < SHADED[1] ** 2))
    return float(np.mean(cv2.subtract(high, low) > 60)), float(shaded), float(np.mean(slope < VOID**2))


def _changes(lumas: Sequence[np.ndarray]) -> tuple[float, float]:
    """same, stirred: shares of the picture that stay to the level, and that change a little."""
    import cv2

    apart = [cv2.absdiff(a, b).ravel() for a, b in itertools.pairwise(lumas)]
    if not apart:
        return 1.0, 0.0
    shares = [np.cumsum(np.bincount(levels, minlength=256)) / levels.size for levels in apart]
    return float(np.median([s[SAME] for s in shares])), float(np.median([s[CHANGED] - s[SAME] for s in shares]))
