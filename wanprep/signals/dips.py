"""Black and flat pictures between shots: dips, which join two fades, and black screens.

Legend: T float32[N, P] (`Pictures`), P luma values (0..255) of each frame's tiny picture.
"""

from __future__ import annotations

import numpy as np

from wanprep.signals.gradual import Mix
from wanprep.signals.pictures import Pictures, parts, runs
from wanprep.signals.shotlist import Transition


def join_dips(mixes: list[Mix], T: Pictures, longest: int, flat: float) -> list[Transition]:
    """A fade out, at most `longest` flat frames and a fade in become one dip; the rest stay as they are.

    A short flat rest beside any other fade belongs to that fade: there is nothing in it to train on.
    """
    if not mixes:
        return []
    joined: list[Transition] = []
    bare = np.concatenate([T[at].std(-1) <= flat for at in parts(np.arange(len(T)))])
    for mix, following in zip(mixes, [*mixes[1:], None]):
        last = joined[-1] if joined else None
        first, end = mix.first, mix.last
        if mix.kind == "fade_in":
            first -= run_length(bare[last.last + 1 if last else 0 : first][::-1], longest)
        if last and last.kind == "fade_out" and mix.kind == "fade_in" and first == last.last + 1:
            dark = T[last.last : mix.first + 1].mean(-1).min() < 128
            kind = "dip_to_black" if dark else "dip_to_white"
            joined[-1] = Transition(kind=kind, first=last.first, last=mix.last)
            continue
        if mix.kind == "fade_out":
            end += run_length(bare[end + 1 : following.first if following else len(T)], longest)
        joined.append(Transition(kind=mix.kind, first=first, last=end))
    return joined


def run_length(flags: np.ndarray, longest: int) -> int:
    """How many leading flags are set; 0 when they are more than `longest`."""
    run = len(flags) if flags.all() else int(np.argmin(flags))
    return run if run <= longest else 0


def black_runs(mean: np.ndarray, p95: np.ndarray, cuts: list[int], transitions: list[Transition]) -> list[Transition]:
    """Runs of black frames (mean luma <= 8, 95th percentile <= 16 of 255) that begin or end with an event."""
    black = (mean <= 8) & (p95 <= 16)
    for t in transitions:
        black[t.first : t.last + 1] = False
    events = {0, len(mean), *cuts} | {t.first for t in transitions} | {t.last + 1 for t in transitions}
    return [Transition(kind="black", first=a, last=b - 1) for a, b in runs(black) if {a, b} & events]
