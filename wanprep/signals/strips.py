"""Strips that lie across the picture at its foot or head, and whether print runs along one: a ticker on its ground.

The edges of a strip go from one side of the picture to the other in single rows, and stay. By itself it is no mark
(tables, kerbs, shelves and letterbox have such edges), nor is all that runs sideways on one (cars, a train). But print
is of strokes side by side, and each row of it is another: of windows and rails all rows are alike.

Shape legend: N thumbnails, h x w their size; parts are float32[2, N, h, w], as `speeds.soft_edges` says.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wanprep.signals import marks

Strip = tuple[int, int]  # rows of its upper and lower edge
EDGE, SLANT = 2.5, 0.4  # levels a pixel of an edge; how much of it may go across
WHOLE = 0.75  # share of the width that both edges go over
LOW, HIGH = 6, 0.16  # rows it is high at least; share of the picture's height at most
FOOT, HEAD = 0.7, 0.25  # its middle is below the one, or above the other
STROKE, ROWS = 0.3, 0.35  # soft edge of a stroke; share of the most that a row of print has
ALIKE = 0.75  # how alike rows of print are at most
TURNS, INK = 0.4, 0.02  # how often its edges turn, and how many pixels have one, at least


def strips(thumbs_Nhw: Sequence[np.ndarray]) -> list[Strip]:
    """Of lumas of one clip, the widest first. One of the two edges may be the picture's own."""
    (across,), (down,) = marks.gradients([marks.middle([thumb.astype(np.float32) for thumb in thumbs_Nhw])])
    level = np.abs(across) < SLANT * np.abs(down) + 0.5
    shares = np.maximum(_share(level & (down > EDGE)), _share(level & (down < -EDGE)))
    shares[0] = shares[-1] = 1.0
    height = len(shares)
    edges = np.flatnonzero(shares >= WHOLE)
    high, middle = edges[None] - edges[:, None], (edges[None] + edges[:, None]) / (2 * height)
    fits = (high >= LOW) & (high <= HIGH * height) & ((middle < HEAD) | (middle > FOOT))
    found = sorted((int(edges[i] - edges[j]), int(edges[i]), int(edges[j])) for i, j in np.argwhere(fits))
    return [(top, bottom) for _, top, bottom in found]


def _share(edges_hw: np.ndarray) -> np.ndarray:
    """float[h]: of the columns of each row, those with an edge there or in the row above."""
    edges_hw[1:] |= edges_hw[:-1].copy()
    return edges_hw.mean(axis=1)


def printed(parts: np.ndarray, ground: Strip) -> bool:
    """Whether what stirs between the edges of a strip is print: the medians of the pictures say so."""
    looks = [_print(part) for part in parts[0, :, ground[0] + 2 : ground[1] - 1]]
    alike, turns, ink = np.median([look for look in looks if look] or [(1.0, 0.0, 0.0)], axis=0)
    return bool(alike < ALIKE and turns > TURNS and ink > INK)


def _print(across_hw: np.ndarray) -> tuple[float, float, float] | None:
    """Of edges across of one picture: how alike rows are half a line of print apart, how often an edge is followed by
    one of the other way, and how many pixels have one; None where nothing stirs."""
    energy = (across_hw * across_hw).sum(axis=1)
    if not energy.size or energy.max() < 1.0:
        return None
    rows = np.flatnonzero(energy > ROWS * energy.max())
    line = across_hw[rows[0] : rows[-1] + 1]
    apart = max(2, len(line) // 2)
    upper, lower = line[:-apart], line[apart:]
    both = np.sqrt((upper * upper).sum(axis=1) * (lower * lower).sum(axis=1)).sum()
    strokes = np.where(np.abs(line) > STROKE, np.sign(line), 0.0)
    ways = [row[row != 0] for row in strokes]
    turns = sum(int(np.count_nonzero(way[1:] != way[:-1])) for way in ways)
    alike = float((upper * lower).sum() / both) if both > 0 else 1.0
    return alike, turns / max(1, int(np.count_nonzero(strokes))), float(np.mean(strokes != 0))
