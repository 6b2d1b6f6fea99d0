"""Joins that editors hide: zooms, spins, whip pans and light that take the details of both shots, most at the cut.

The cut is found, or a part of the way, but the frames beside it show smears. On both sides the energy of edges falls
toward the join within a moment, and comes to rest at what the shot has otherwise. A shot that is out of focus or dark
has little of it for longer, and a camera or a thing that moves fast ends on one side of a cut, hardly ever on both.
edges: float[N], energy of each frame's edges (`meter.FIELDS`). Pure: arrays in, spans out.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

LONGEST, AROUND = 0.6, 0.8  # seconds: of smears on one side, and of the shot's own pictures that they are compared with
LEAST = 2  # frames on each side: one is what compression does to the first frame of a shot
GONE, BACK = 0.7, 0.85  # of the shot's own energy: at most beside the join, and where the smears end
EXCEED = 0.05  # by which one frame among them may be above BACK


def veiled(edges: np.ndarray, joins: Iterable[tuple[int, int]], fps: float) -> list[tuple[int, int]]:
    """First and last frames (inclusive) of the smears before and after joins that have them on both sides.

    joins: last frame before and first frame after each, which may lie apart.
    """
    found = []
    for last, first in joins:
        before = _smeared(edges[: last + 1][::-1], fps)
        after = _smeared(edges[first:], fps) if before else 0
        if before and after:
            found += [(last + 1 - before, last), (first, first + after - 1)]
    return found


def _smeared(edges: np.ndarray, fps: float) -> int:
    """How many frames from the first on are smears, 0 for none. edges: away from the join."""
    longest, around = round(LONGEST * fps), round(AROUND * fps)
    near = edges[: longest + around].astype(np.float64)
    if len(near) < LEAST + 2 or near[0] >= GONE * near.max():
        return 0
    for count in range(1, min(longest, len(near) - 2) + 1):
        own = float(np.median(near[count : count + around]))
        if near[count] >= BACK * own:
            smears = near[:count]
            return count if count >= LEAST and smears[0] < GONE * own and smears.max() < (BACK + EXCEED) * own else 0
    return 0
