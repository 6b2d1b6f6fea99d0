"""Letterbox and pillarbox: which part of the picture is picture.

Judged on the 97th percentile of luma of each full-resolution row and column, over the sampled frames of one clip. How
dark a bar is and how bright the picture are taken from the clip itself, so dark scenes and bars that are not quite
black count too. What fools such a rule, and what is asked for besides: scenes dark on one side (bars come in opposing
pairs), gradual darkness (a bar has a hard edge), dark content beside the picture (a bar is even), fades (dark frames
do not vote), subtitles inside a bar (the clean bar opposite shows where it ends, and most of a row of text is black).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Crop = tuple[int, int, int, int]  # x, y, width, height in display pixels
Pictures = Callable[[np.ndarray], np.ndarray]  # indices of k of the M frames -> uint8[k, h, w], their luma, small

FAINT = 6  # luma step at the edge of a bar beside a dark picture; a thin bar (THIN pixels) needs the full one
THIN = 8
SMEAR = 4  # lines outside of its edge that a compressed picture may shine on
LOOKED_AT = 24  # pictures that are enough to tell text from picture
FILLED = 0.35  # share of the inside that must be brighter than the bars
LINE_SAMPLES = 480  # pixels of a line that a percentile is taken of, at least (all of them in shorter lines)
EVEN = 4.0  # luma by which a line of a bar may be brighter than its outer ones


@dataclass(frozen=True, kw_only=True)
class BarRules:
    """dark: luma (0..255) below which a line's 97th percentile is black. share: of frames in which it must be.

    contrast: least difference of bar and picture in luma; of a fade, frames with less than half of the clip's own take
    no part. edge: luma step at the inner edge, seen in a quarter of the frames at least; in dark scenes a quarter of
    the contrast does. min_pixels: thinnest bar. uneven: difference of a pair's widths, as a share of the picture,
    that is still measured rather than taken for dark content beside the bar.
    """

    dark: int = 32
    share: float = 0.95
    contrast: int = 8
    edge: int = 20
    min_pixels: int = 2
    uneven: float = 0.02

    def __post_init__(self) -> None:
        if not 0 < self.dark <= 255:
            raise ValueError(f"dark is a luma between 1 and 255, not {self.dark}")
        if not 0 < self.contrast <= 255:
            raise ValueError(f"contrast is a difference of luma between 1 and 255, not {self.contrast}")
        if not 0.5 < self.share <= 1:
            raise ValueError(f"share must be in (0.5, 1], not {self.share}")
        if self.min_pixels < 1 or not 0 <= self.uneven < 0.5:
            raise ValueError(f"min_pixels must be >= 1 and uneven in [0, 0.5), not {self.min_pixels}, {self.uneven}")


def line_p97(luma: np.ndarray, axis: int = 1) -> np.ndarray:
    """uint8[H, W] -> uint8[H], of axis 0 uint8[W]: 97th percentile (nearest rank) of each row (column).

    Of long lines every k-th pixel counts: a quarter of the work, and as exact across the lines as before. Found bit
    by bit for all lines at once, counting pixels: half the time of a partial sort of each.
    """
    import cv2

    step = line_step(luma.shape[axis])
    part_NL = cv2.transpose(np.ascontiguousarray(luma[:, ::step])) if axis else luma[::step]
    count = len(part_NL)
    above = count - max(0, int(np.ceil(0.97 * count)) - 1)  # pixels that are at least the percentile
    found, reach = np.zeros(part_NL.shape[1], np.uint8), np.empty(part_NL.shape, bool)
    for bit in (128, 64, 32, 16, 8, 4, 2, 1):
        tried = found | np.uint8(bit)
        np.greater_equal(part_NL, tried, out=reach)
        counts = cv2.reduce(reach.view(np.uint8), 0, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel()
        found = np.where(counts >= above, tried, found)
    return found


def line_step(length: int) -> int:
    """Every how manieth pixel of a line that long is looked at."""
    return max(1, length // LINE_SAMPLES)


def find_bars(
    row_p97: np.ndarray, col_p97: np.ndarray, rules: BarRules | None = None, pictures: Pictures | None = None
) -> Crop:
    """The picture inside the bars: (x, y, width, height) in display pixels; the whole frame when there are none.

    row_p97 uint8[M, H], col_p97 uint8[M, W]: 97th percentile luma of each row and column of M sampled frames.
    pictures: asked only when text may hide a bar; without it, text that fills a bar does.
    """
    rules = rules or BarRules()
    y0, y1 = _inside(row_p97, rules, pictures)
    x0, x1 = _inside(col_p97, rules, pictures and (lambda chosen: pictures(chosen).swapaxes(1, 2)))
    return x0, y0, x1 - x0, y1 - y0


def agreed(own: Crop, common: Crop, row_p97: np.ndarray, col_p97: np.ndarray, rules: BarRules) -> Crop:
    """Bars of a clip (`own`) when those of its whole source (`common`) are known: a source has one set of bars.

    Common bars count where the clip shows nothing else: it is as black there, or its own bars hardly differ. Then the
    common ones are the better measurement, and dark content beside a bar is not cropped.
    """
    x, width = _agree(own[0], own[2], common[0], common[2], col_p97, rules)
    y, height = _agree(own[1], own[3], common[1], common[3], row_p97, rules)
    return x, y, width, height


def _agree(
    start: int, size: int, common_start: int, common_size: int, lines: np.ndarray, rules: BarRules
) -> tuple[int, int]:
    length = lines.shape[1]
    common_end = common_start + common_size
    if common_size == length or not len(lines):
        return start, size
    outer = np.concatenate([lines[:, :common_start], lines[:, common_end:]], axis=1)
    black = float((outer < rules.dark).all(axis=1).mean()) >= rules.share
    near = max(abs(start - common_start), abs(start + size - common_end)) <= max(4, round(rules.uneven * length))
    return (common_start, common_size) if near or (black and size == length) else (start, size)


def _inside(lines: np.ndarray, rules: BarRules, pictures: Pictures | None) -> tuple[int, int]:
    """[start, end) of the lines between a pair of bars; (0, L) when there is no pair."""
    frames, length = lines.shape
    if not frames or length < 8:
        return 0, length
    # Text may fill a bar: a tenth of the lines are brighter than `bright`, and one of the two outer ends is the bar.
    bright = np.partition(lines, int(0.9 * (length - 1)), axis=1)[:, int(0.9 * (length - 1))].astype(np.int16)
    ends = np.minimum(lines[:, :2].max(1), lines[:, -2:].max(1)).astype(np.int16)
    top, dark = _quantile(bright, 3), _quantile(ends, 2)
    lit = bright >= dark + max(rules.contrast, 0.5 * (top - dark))
    if not lit.any():
        return 0, length
    level = _quantile(ends[lit], 2)
    contrast = _quantile(bright[lit], 2) - level
    if level >= rules.dark:
        return 0, length
    black_below = min(float(rules.dark), level + max(5.0, 0.25 * contrast))
    shown = lines[lit].astype(np.int16)

    def is_black(some: np.ndarray) -> np.ndarray:
        # Dark content beside a bar is black too, but seldom as even as the bar.
        return ((some < black_below).mean(axis=0) >= rules.share) & (np.median(some, axis=0) <= level + EVEN)

    if not is_black(shown[:, [0, -1]]).any():  # as in most films: the others need not be looked at
        return 0, length
    black = is_black(shown)
    near, far = _leading(black), _leading(black[::-1])
    tolerance = max(4, round(rules.uneven * length))
    if abs(near - far) > tolerance:
        near, far = _with_subtitles(shown, near, far, black_below)
    if abs(near - far) > tolerance and pictures is not None and 12 <= max(near, far) <= 0.375 * length:
        near, far = _with_lettering(pictures(_some(lit, LOOKED_AT)), near, far, length, black_below)
    if abs(near - far) > tolerance:
        near = far = min(near, far)
    if min(near, far) < rules.min_pixels or near + far > 0.75 * length:
        return 0, length
    near, far = _settle(shown, near), _settle(shown[:, ::-1], far)
    # One side may lie beside dark content if the other leaves no doubt; both may in a dark scene, if not thin.
    full = min(rules.edge, max(FAINT, 0.25 * contrast)) if min(near, far) >= THIN else rules.edge
    jumps = sorted((_jump(shown, near), _jump(shown[:, ::-1], far)))
    good = jumps[1] >= full and jumps[0] >= (FAINT if min(near, far) >= THIN else 0.5 * full)
    if good and pictures is not None and not _filled(pictures(_some(lit, 5)), near / length, far / length, level):
        return 0, length
    return (near, length - far) if good else (0, length)


def _filled(small: np.ndarray, near: float, far: float, level: float) -> bool:
    """Whether what is inside is a picture: of lettering on black, most is black. small: uint8[k, h, w]."""
    h = small.shape[1]
    inside = small[:, round(near * h) : round((1 - far) * h)]
    return bool((inside > level + FAINT / 2).mean() >= FILLED)


def _leading(flags: np.ndarray) -> int:
    return len(flags) if flags.all() else int(np.argmin(flags))


def _some(flags: np.ndarray, count: int) -> np.ndarray:
    """Indices of at most `count` of the set flags, spread evenly."""
    at = np.flatnonzero(flags)
    return at[np.linspace(0, len(at) - 1, min(count, len(at))).round().astype(int)]


def _with_subtitles(lit: np.ndarray, near: int, far: int, black_below: float) -> tuple[int, int]:
    """Give a side without a clean bar the width of the clean one opposite, if text is all that lights it: most of its
    lines are black most of the time, the inner and the outer ones above all."""
    size = max(near, far)
    region = (lit[:, ::-1] if near > far else lit)[:, :size] < black_below
    if size < 12 or region.size == 0:  # no text fits into less
        return near, far
    strip = max(1, size // 12)
    inner, outer = region[:, -strip:].mean(), region[:, :strip].mean()
    return (size, size) if min(inner, outer) >= 0.75 and region.mean() >= 0.5 else (near, far)


def _with_lettering(small: np.ndarray, near: int, far: int, length: int, black_below: float) -> tuple[int, int]:
    """The same by pictures uint8[k, h, w]: half of each line is black whatever is written on it, and the picture begins
    where the bar opposite says."""
    size = max(near, far)
    rows = int(size * small.shape[1] / length)
    if rows < 2:
        return near, far
    middle = np.median((small[:, ::-1] if near > far else small)[:, : rows + 4], axis=2)
    beyond = middle[:, rows + 1 :].max(axis=1) - middle[:, :rows].max(axis=1)
    text_only = float((middle[:, :rows] < black_below).mean()) >= 0.95
    return (size, size) if text_only and float(np.quantile(beyond, 0.75)) >= FAINT else (near, far)


def _settle(lit: np.ndarray, width: int) -> int:
    """The line within reach at which the picture really begins: a little of it may be smeared over lines before."""
    mean = lit[:, max(0, width - 1) : width + SMEAR + 1].mean(axis=0)
    rise = np.diff(mean)
    best = int(np.argmax(rise)) if len(rise) else 0
    return width + best if best and rise[best] > 2 * rise[0] and mean[best] - mean[0] < 0.3 * rise[best] else width


def _jump(lit: np.ndarray, width: int) -> float:
    """Luma step right inside a bar of `width` lines, as a quarter of the frames show it at least."""
    beyond = lit[:, width : width + 3]
    if not beyond.shape[1]:
        return 0.0
    # The last lines of a bar may carry a little of the picture: a compressed edge is not always on one line.
    outside = np.minimum(lit[:, width - 1], lit[:, max(0, width - 3)] + 4)
    return _quantile(beyond.max(axis=1) - outside, 3)


def _quantile(values: np.ndarray, fourths: int) -> float:
    """np.quantile(values, fourths / 4) of some int16 in a twentieth of its time; exact, for these are whole numbers."""
    ranked, place = np.sort(values), fourths * (len(values) - 1)
    low, share = place // 4, place % 4 / 4
    return float(ranked[low]) * (1 - share) + float(ranked[min(low + 1, len(ranked) - 1)]) * share
