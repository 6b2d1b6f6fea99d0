"""Which part of its frames a source shows pictures in: what is black, or of one tone, in every shot shows no cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wanprep.signals.bars import find_bars
from wanprep.signals.meter import ALIKE, EVEN, TINY_HEIGHT, TINY_WIDTH
from wanprep.signals.pictures import Inside

if TYPE_CHECKING:
    from wanprep.signals.store import Signals

BAR_SAMPLES = 200  # frames that bars are looked for in


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
