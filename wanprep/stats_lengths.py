"""How many clips there are of which length, in few bins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from wanprep.stats_model import LengthBin

MAX_BINS = 12


def length_bins(lengths: Sequence[int]) -> list[LengthBin]:
    """At most MAX_BINS bins of 4, 8, 16, … frames; the last is open when a few clips are far longer than the rest."""
    if not lengths:
        return []
    ordered = sorted(lengths)
    typical = ordered[(len(ordered) - 1) * 95 // 100]
    step = 4
    while typical // step - ordered[0] // step >= MAX_BINS - 1:
        step *= 2
    first = ordered[0] // step
    last = min(ordered[-1] // step, first + MAX_BINS - 1)
    counts = Counter(min(length // step, last) for length in ordered)
    is_open = ordered[-1] // step > last
    return [
        LengthBin(low=i * step, high=None if is_open and i == last else (i + 1) * step - 1, clips=counts[i])
        for i in range(first, last + 1)
    ]
