"""What finding shots says of a source: cuts, transitions, and the shots between them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Transition:
    """Frames first..last (inclusive) that belong to no shot.

    kind: dissolve | fade_in | fade_out | dip_to_black | dip_to_white | wipe | black | odd (beside a cut, see odd.py) |
    doubtful. wide: how many times the usual margin its beginning and its end need (see ends.py).
    """

    kind: str
    first: int
    last: int
    wide: tuple[float, float] = (1.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class ShotList:
    """cuts: first frame of each shot that begins by a hard cut, ascending. transitions: in order, never overlapping.
    doubtful: spans beside them in which two pictures may mix; not sure enough to be called a transition."""

    n_frames: int
    cuts: tuple[int, ...]
    transitions: tuple[Transition, ...]
    doubtful: tuple[Transition, ...] = ()

    def shots(self) -> list[tuple[int, int]]:
        """[start, end) of every shot: with the transitions and doubtful spans they cover each frame exactly once."""
        inside, between = np.ones(self.n_frames, bool), (*self.transitions, *self.doubtful)
        for t in between:
            inside[t.first : t.last + 1] = False
        starts = set(self.cuts) | {t.last + 1 for t in between} | {0}
        ends = {t.first for t in between} | {self.n_frames}
        edges = sorted(e for e in starts | ends if e <= self.n_frames)
        return [(a, b) for a, b in itertools.pairwise(edges) if inside[a]]
