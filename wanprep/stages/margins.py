"""What is given up beside transitions, and which doubtful spans are taken out of the clips.

Pure: numbers and spans in and out. owner: int[N], which transition each frame goes with, -1: none.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from wanprep.signals.shotlist import ShotList, Transition
    from wanprep.signals.store import Signals
    from wanprep.stages.split import SplitConfig

Margin = tuple[int, int]  # frames before a transition and after it


def margin_of(transition: Transition, config: SplitConfig, step: float) -> Margin:
    """Frames beside it that are given up. step: seconds from frame to frame. Odd frames begin at once."""
    length = transition.last - transition.first + 1
    if length <= 2 or transition.kind == "odd":
        return min(config.margin, 1), min(config.margin, 1)

    def frames(wide: float) -> int:
        share = math.ceil(wide * (config.margin + config.margin_share * length))
        return max(config.margin, min(share, round(wide * config.margin_seconds / step)))

    before, after = transition.wide
    return frames(before), frames(after)


def dividing(signals: Signals, found: ShotList, config: SplitConfig, step: float) -> list[Transition]:
    """The doubtful spans that leave enough for a clip on both sides, or on one where the other adjoins a transition.
    Of those that leave less most are false, and taking one out would cost a shot."""
    mixing = {edge for t in found.transitions if t.kind != "black" for edge in (t.first, t.last + 1)}
    black = [edge for t in found.transitions if t.kind == "black" for edge in (t.first, t.last + 1)]
    edges, kept = sorted({0, len(signals.pts), *signals.holes, *found.cuts, *mixing, *black}), []
    for t in sorted(found.doubtful, key=lambda t: t.first - t.last):
        (gone, later), end = margin_of(t, config, step), t.last + 1
        before, after = edges[bisect.bisect(edges, t.first) - 1], edges[bisect.bisect_left(edges, end)]
        rest = (before, t.first - gone), (end + later, after)
        clips = [a < b and not too_short(signals, a, b, config) for a, b in rest]
        adjoins = [a >= b and edge in mixing for (a, b), edge in zip(rest, (before, after))]
        if any(clips) and all(clip or beside for clip, beside in zip(clips, adjoins)):
            mixing |= {t.first, end}
            bisect.insort(edges, t.first)
            bisect.insort(edges, end)
            kept.append(t)
    return kept


def margins_of(
    signals: Signals, found: ShotList, mixes: Sequence[Transition], config: SplitConfig, step: float
) -> list[Margin]:
    """`margin_of` each of `mixes`. Of a source that is one shot with fades at its ends, which full margins would leave
    too short for a clip, only `config.margin`: no other shot mixes in there, and a shade less light is no reason to
    lose it."""
    full, shots = [margin_of(t, config, step) for t in mixes], found.shots()
    if len(shots) != 1 or not {t.kind for t in mixes} <= {"fade_in", "fade_out"}:
        return full
    (start, end) = shots[0]
    after = sum(m for t, (_, m) in zip(mixes, full) if t.last < start)
    before = sum(m for t, (m, _) in zip(mixes, full) if t.first >= end)
    lost = end - before <= start + after or too_short(signals, start + after, end - before, config)
    return [(config.margin, config.margin)] * len(mixes) if lost else full


def give_margins(owner: np.ndarray, start: int, end: int, margins: list[Margin]) -> None:
    """Hand the first and last frames of a shot to the transitions beside it (in place)."""
    if start > 0 and (before := owner[start - 1]) >= 0:
        owner[start : min(start + margins[before][1], end)] = before
    if end < len(owner) and (after := owner[end]) >= 0:
        tail = owner[max(start, end - margins[after][0]) : end]
        tail[tail < 0] = after


def inner(owner: np.ndarray, start: int, end: int) -> tuple[int, int]:
    """What is left of [start, end) when margins are given; empty when nothing is."""
    free = np.flatnonzero(owner[start:end] < 0)
    return (start + int(free[0]), start + int(free[-1]) + 1) if len(free) else (start, start)


def too_short(signals: Signals, start: int, end: int, config: SplitConfig) -> bool:
    """Whether frames start..end-1 last less than a clip has to."""
    whole = signals.end_of(end) - int(signals.pts[start])
    return whole * signals.time_base < Fraction(str(config.min_seconds))
