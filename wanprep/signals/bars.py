"""Letterbox and pillarbox: which part of the picture is picture.

Judged on the 97th percentile of luma of each full-resolution row and column, over the sampled frames of one clip
(rows below 32 in 95 % of frames: exact on synthetic bars). What fools that rule, and what is asked for besides:
scenes dark on one side (bars come in opposing pairs), gradual darkness (a bar has a hard edge), fades (dark frames do
not vote), subtitles inside a bar (the clean bar opposite shows where it ends).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Crop = tuple[int, int, int, int]  # x, y, width, height in display pixels


@dataclass(frozen=True, kw_only=True)
class BarRules:
    """dark: luma (0..255) below which a line's 97th percentile is black. share: of frames in which it must be.

    lit: a frame takes part when one line's 97th percentile reaches this luma. edge: luma step at the inner edge, seen
    in a quarter of the frames at least. min_pixels: thinnest bar. uneven: difference of a pair's widths, as a share
    of the picture, that is still measured rather than taken for dark content beside the bar.
    """

    dark: int = 32
    share: float = 0.95
    lit: int = 64
    edge: int = 20
    min_pixels: int = 2
    uneven: float = 0.02

    def __post_init__(self) -> None:
        if not 0 < self.dark < self.lit <= 255:
            raise ValueError(f"need 0 < dark < lit <= 255, not dark={self.dark}, lit={self.lit}")
        if not 0.5 < self.share <= 1:
            raise ValueError(f"share must be in (0.5, 1], not {self.share}")
        if self.min_pixels < 1 or not 0 <= self.uneven < 0.5:
            raise ValueError(f"min_pixels must be >= 1 and uneven in [0, 0.5), not {self.min_pixels}, {self.uneven}")


def find_bars(row_p97: np.ndarray, col_p97: np.ndarray, rules: BarRules | None = None) -> Crop:
    """The picture inside the bars: (x, y, width, height) in display pixels; the whole frame when there are none.

    row_p97 uint8[M, H], col_p97 uint8[M, W]: 97th percentile luma of each row and column of M sampled frames.
    """
    rules = rules or BarRules()
    y0, y1 = _inside(row_p97, rules)
    x0, x1 = _inside(col_p97, rules)
    return x0, y0, x1 - x0, y1 - y0


def _inside(lines: np.ndarray, rules: BarRules) -> tuple[int, int]:
    """[start, end) of the lines between a pair of bars; (0, L) when there is no pair."""
    length = lines.shape[1]
    lit = lines[lines.max(axis=1, initial=0) >= rules.lit].astype(np.int16)
    if not len(lit):
        return 0, length
    black = (lit < rules.dark).mean(axis=0) >= rules.share
    near, far = _leading(black), _leading(black[::-1])
    tolerance = max(4, round(rules.uneven * length))
    if abs(near - far) > tolerance:
        near, far = _with_subtitles(lit, near, far, rules)
    if abs(near - far) > tolerance:
        near = far = min(near, far)
    if min(near, far) < rules.min_pixels or near + far > 0.75 * length:
        return 0, length
    if not (_has_edge(lit, near, rules) and _has_edge(lit[:, ::-1], far, rules)):
        return 0, length
    return near, length - far


def _leading(flags: np.ndarray) -> int:
    return len(flags) if flags.all() else int(np.argmin(flags))


def _with_subtitles(lit: np.ndarray, near: int, far: int, rules: BarRules) -> tuple[int, int]:
    """Give a side without a clean bar the width of the clean one opposite, if text is all that lights it."""
    size = max(near, far)
    region = (lit[:, ::-1] if near > far else lit)[:, :size] < rules.dark
    if size < 12 or region.size == 0:  # no text fits into less
        return near, far
    strip = max(1, size // 12)
    inner, outer = region[:, -strip:].mean(), region[:, :strip].mean()
    return (size, size) if min(inner, outer) >= 0.75 and region.mean() >= 0.5 else (near, far)


def _has_edge(lit: np.ndarray, width: int, rules: BarRules) -> bool:
    """Whether luma jumps right inside a bar of `width` lines in at least a quarter of the frames."""
    beyond = lit[:, width : width + 3]
    if not beyond.shape[1]:
        return False
    return float(np.quantile(beyond.max(axis=1) - lit[:, width - 1], 0.75)) >= rules.edge
