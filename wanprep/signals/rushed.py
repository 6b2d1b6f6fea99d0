"""Plain cuts that are part of a longer way from shot to shot, which nothing else spans as they are so plain.

A rush: the old picture runs away faster and faster, the new one comes to rest, and the smeared frames on both sides
would be in the clips. (Where the two run into each other, `crossings.py` finds it.) A cut amid motion is none: there
the pictures move as fast farther away, or on one side only. And turns: both shots flicker, some frames each, before
the new one stays; the first cut and the last stand out.
Legend: T float32[N, P] (`Pictures`), one row of P luma values (0..255) a frame. Pure: arrays in, spans out.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence

import numpy as np

from wanprep.signals.jumps import steps
from wanprep.signals.mixing import median, rms
from wanprep.signals.pictures import Pictures
from wanprep.signals.shotlist import Transition

NEAR, FAR, LEAST = 3, (6, 12), 9  # steps beside a cut; farther away; fewest of a side of which anything is said
LONGEST = 16  # frames of a rush on one side
FAST, FASTER = 6.0, 0.6  # levels of the steps beside, and ln of what they are to those farther away, on both sides
TURNS, OFF = 5, 0.35  # changes of shot in turns; mean distance from the nearer of both, as a share of theirs
TURNS_SECONDS = 1.6
REST = 0.15  # of what the steps are more beside the cut, up to which a picture has come to rest


def find_rushes(T: Pictures, cuts: Sequence[int], transitions: Sequence[Transition]) -> list[Transition]:
    """Wipes around those of `cuts`, in order, on both sides of which the picture rushes. No other cut or transition
    lies in what is looked at."""
    begins = np.array([0, *cuts, *(t.last + 1 for t in transitions)])
    ends = np.array([len(T), *cuts, *(t.first for t in transitions)])
    found, pace = [], steps(T)
    for cut in cuts:
        low, high = int(begins[begins < cut].max()), int(ends[ends > cut].min())
        before = _rush(pace[max(low + 1, cut - LONGEST) : cut][::-1])
        after = _rush(pace[cut + 1 : min(high, cut + 1 + LONGEST)])
        if before and after:
            found.append(Transition(kind="wipe", first=cut - before, last=cut + after - 1))
    return found


def _rush(pace: np.ndarray) -> int:
    """How many frames beside a cut are fast, and 0 if these are no faster than others. pace: float[n], steps away from
    it."""
    if len(pace) < LEAST:
        return 0
    near, far = median(pace[:NEAR]), median(pace[FAR[0] : FAR[1]])
    if near < FAST or np.log((near + 1) / (far + 1)) < FASTER:
        return 0
    slow = np.maximum(pace, np.append(pace[1:], 0.0)) < far + REST * (near - far)
    return int(np.argmax(slow)) if slow.any() else len(pace)


def find_turns(T: Pictures, cuts: Sequence[int], transitions: Sequence[Transition], fps: float) -> list[Transition]:
    """Wipes from one of `cuts`, in order, to another one at most TURNS_SECONDS later, between which the shots before
    and after take turns. transitions: none overlapping."""
    found: list[Transition] = []
    spans = sorted(transitions, key=lambda t: t.first)
    starts = [t.first for t in spans]
    for number, first in enumerate(cuts):
        if found and first <= found[-1].last + 1:
            continue
        near = cuts[number + 1 : bisect.bisect(cuts, first + TURNS_SECONDS * fps)]
        near = [cut for cut in near if not (k := bisect.bisect_left(starts, cut)) or spans[k - 1].last < first]
        until = [cut for cut in near if _takes_turns(T[first - 1 : cut + 1])]
        found += [Transition(kind="wipe", first=first, last=max(until) - 1)] if until else []
    return found


def _takes_turns(X: np.ndarray) -> bool:
    """X: float32[n, P], with the last frame before and the first one after."""
    old, new = rms(X - X[0]), rms(X - X[-1])
    turns = np.count_nonzero(np.diff(new < old))
    return bool(turns >= TURNS and np.minimum(old, new)[1:-1].mean() <= OFF * old[-1])
