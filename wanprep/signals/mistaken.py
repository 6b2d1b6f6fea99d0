"""Slides that look like dissolves: an edge that goes over two pictures is on average a straight line between them, too.

In pictures that move a dissolve need not be exact, and one that takes a slide in is found far too long. Which of the
two it is the frames on the way say: they lie near the line of a slide, or near that of a mix.
Legend: T float32[N, P] (`Pictures`), one row of P luma values (0..255) a frame. Pure: arrays in, spans out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wanprep.signals.crossings import Numbers, against_sweep
from wanprep.signals.gradual import Mix
from wanprep.signals.mixing import EPS, rms
from wanprep.signals.pictures import Pictures
from wanprep.signals.rules import WipeRules
from wanprep.signals.slide_lines import nearest
from wanprep.signals.slides import find_slides
from wanprep.signals.wipes import goes_on

SURE = 1.0  # log-odds of a slide that is believed rather than a dissolve
NEARER = 0.5  # most that its frames are off its line, as a share of what they are off that of a mix
BESIDE = 2  # frames around a dissolve in which the middle of a slide may be


def without_slides(
    T: Pictures, numbers: Numbers, mixes: Sequence[Mix], rules: WipeRules, walls: Sequence[int]
) -> list[Mix]:
    """Mixes that are no slides. walls: first frames after cuts that none spans."""
    asked = [m for m in mixes if m.kind in ("dissolve", "doubtful")]
    if not asked or not rules.enabled:
        return list(mixes)
    free = np.zeros(len(T), bool)
    for m in asked:
        free[max(0, m.first - BESIDE) : m.last + 1 + BESIDE] = True
    slid = [
        s
        for s in find_slides(T, rules, walls, free)
        if s.odds + against_sweep(T, numbers, s.first, s.last) >= SURE
        and off_mix(T[s.first - 1 : s.last + 2]) <= NEARER
        and not goes_on(T, s.first, s.last)
    ]
    return [m for m in mixes if m not in asked or not any(m.first <= s.last and m.last >= s.first for s in slid)]


def off_mix(X: np.ndarray) -> float:
    """How far the frames between the pure ones at both ends of X float32[n, P] are off the line of a slide that they
    lie nearest to, as a share of how far they are off a mix of these two."""
    D = X[-1] - X[0]
    share = np.clip((X[1:-1] - X[0]) @ D / (D @ D + EPS), 0, 1)
    mixed = float(rms(X[1:-1] - X[0] - share[:, None] * D).mean())
    return float(nearest(X[1:-1], X[:1], X[-1:])[2].mean()) / (mixed + EPS)
