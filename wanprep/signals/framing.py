"""Which part of its frames a source shows pictures in: what is black, or of one tone, in every shot shows no cut. And
which part a clip does: of that its scores are, and that is what is written."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from wanprep.signals.barred import NONE, Bars
from wanprep.signals.bars import BarRules, Crop, agreed, find_bars
from wanprep.signals.meter import ALIKE, EVEN, TINY_HEIGHT, TINY_WIDTH
from wanprep.signals.pictures import Inside

if TYPE_CHECKING:
    from wanprep.signals.store import Signals

BAR_SAMPLES = 200  # frames of a source that bars are looked for in
MIN_BAR_SAMPLES = 3  # with fewer sampled frames a clip takes the bars of its whole source
LEAST_SIDE = 16  # lines of a part of a thumbnail in which anything can be told
Part = tuple[slice, slice]  # rows and columns


def inside(signals: Signals) -> Inside | None:
    """The picture between the bars that a source has throughout: of what is black in every shot no cut is seen."""
    step = max(1, len(signals.row_p97) // BAR_SAMPLES)
    rows, columns = signals.row_p97[::step], signals.col_p97[::step]
    if not len(rows):
        return None
    (H, W) = rows.shape[1], columns.shape[1]
    x, y, width, height = find_bars(rows, columns)
    spans = (y / H, (y + height) / H), (x / W, (x + width) / W)
    if (width, height) == (W, H):
        tiny = signals.extra["tiny"][:: max(1, len(signals.pts) // BAR_SAMPLES)]
        spans = _framed(tiny), _framed(tiny.swapaxes(1, 2))
    return None if spans == ((0.0, 1.0), (0.0, 1.0)) else Inside((TINY_HEIGHT, TINY_WIDTH), *spans)


def _framed(tiny: np.ndarray) -> tuple[float, float]:
    """Where the picture begins and ends (0..1) in a frame of one tone that is no bar's; uint8[n, lines, across]."""
    if (np.ptp(tiny[:, 0], axis=1) > EVEN).any() or (np.ptp(tiny[:, -1], axis=1) > EVEN).any():
        return 0.0, 1.0  # as in most films: the lines between need not be looked at
    lines = tiny.astype(np.int16)
    tone = lines.mean(2)
    even = (np.ptp(lines, axis=2) <= EVEN).all(0) & (np.abs(tone - np.median(tone[:, [0, -1]])) <= ALIKE).all(0)
    thick = [int(np.argmin(flags)) for flags in (even, even[::-1])]
    count = len(even)
    if even.all() or not min(thick):
        return 0.0, 1.0
    return (thick[0] + 1) / count, 1 - (thick[1] + 1) / count  # a line away from its edge, which lies in one


def crops(signals: Signals, rules: BarRules) -> Callable[[int, int], Crop]:
    """What tells the picture inside the bars of frames start..end-1. The bars of the whole source, if it has any, help
    with clips that are too dark or too short to show theirs."""

    def bars_of(inside: np.ndarray) -> Crop:
        rows, columns, at = signals.row_p97[inside], signals.col_p97[inside], np.flatnonzero(inside)
        return find_bars(rows, columns, rules, lambda chosen: _small_luma(signals, at[chosen]))

    every = np.zeros(len(signals.sampled), bool)
    every[:: max(1, len(every) // BAR_SAMPLES)] = True
    common = bars_of(every)

    def crop(start: int, end: int) -> Crop:
        inside = (signals.sampled >= start) & (signals.sampled < end)
        if inside.sum() < min(MIN_BAR_SAMPLES, len(signals.sampled)):
            return common
        own = common if inside.all() and every.all() else bars_of(inside)
        return agreed(own, common, signals.row_p97[inside], signals.col_p97[inside], rules)

    return crop


def of_small(crop: Crop, width: int, height: int, shape: tuple[int, ...]) -> Part | None:
    """A crop of pictures of width x height in small ones of `shape`, without lines that a bar is mixed into; None where
    it is all of them."""
    x, y, w, h = crop
    if (w, h) == (width, height):
        return None
    parts = []
    for start, size, length, small in ((y, h, height, shape[0]), (x, w, width, shape[1])):
        first, end = math.ceil(start * small / length), (start + size) * small // length
        parts.append(slice(first + (start > 0), max(first + 2, end - (start + size < length))))
    return parts[0], parts[1]


def between(part: Part | None, bars: Bars, shape: tuple[int, ...]) -> Part | None:
    """What of a part of small pictures of `shape` is between their bars, a little away from these."""
    if bars == NONE:
        return part
    own = bars.inside(shape)
    if part is None:
        return own
    rows, columns = (slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(part, own))
    return (rows, columns) if min(rows.stop - rows.start, columns.stop - columns.start) >= LEAST_SIDE else part


def _small_luma(signals: Signals, chosen: np.ndarray) -> np.ndarray:
    """uint8[k, h, w]: luma of the thumbnails with these indices."""
    weights = np.array([0.114, 0.587, 0.299], np.float32)  # BGR
    return np.stack([(signals.thumbs[int(i)] @ weights).astype(np.uint8) for i in chosen])
