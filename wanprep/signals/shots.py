"""Where one shot ends and the next begins: numbers of every frame first, every threshold afterwards.

`meter.py` measures each frame. `find_shots` is pure: hard cuts from `jumps.py`, gradual transitions from `gradual.py`,
with fades to their ends (`tails.py`) and without slides that look like one (`mistaken.py`), wipes from `wipes.py` and
`slides.py`; in what is left, dissolves through pictures that move (`dissolves.py`) and ways between shots that no model
of them knows (`crossings.py`). Cuts within a frame that stays come from `boxes.py`. What light alone did is taken out
again by `flashes.py`, what the camera's motion did by `carried.py`. What lies before and after odd frames is compared
by `odd.py`. Every other step that stands out is judged in the end by `steps.py`: a cut after all, doubtful, or nothing.
What smears both sides of a cut is taken off by `veils.py`.
What may be a transition and may not is told apart: it is reported nowhere, and no part of a shot either.
Legend: T float32[N, P] (`Pictures`), P luma values (0..255) of each frame's tiny picture.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from wanprep.signals.boxes import find_framed
from wanprep.signals.carried import against_wipe, not_carried, without_moves
from wanprep.signals.crossings import Numbers, against_sweep, find_crossings
from wanprep.signals.dips import black_runs, join_dips
from wanprep.signals.dissolves import find_dissolves
from wanprep.signals.ends import with_widths
from wanprep.signals.framing import inside
from wanprep.signals.gradual import find_mixes
from wanprep.signals.jumps import Series, find_jumps
from wanprep.signals.leftovers import (
    beside,
    clear_of,
    drop_flashes,
    is_light,
    isolated_jumps,
    outside_mixes,
    risen,
    smears,
    split_blends,
    unexplained,
)
from wanprep.signals.meter import FIELDS, TINY_HEIGHT, TINY_WIDTH, ShotMeter, edge_energy
from wanprep.signals.mistaken import without_slides
from wanprep.signals.odd import edges_of, find_odd, settle
from wanprep.signals.pictures import Pictures
from wanprep.signals.rules import ShotRules, WipeRules
from wanprep.signals.rushed import find_rushes, find_turns
from wanprep.signals.shotlist import ShotList, Transition
from wanprep.signals.slides import find_slides
from wanprep.signals.steps import believed, find_steps
from wanprep.signals.tails import complete
from wanprep.signals.wipe_ends import with_widths as with_wipe_widths
from wanprep.signals.wipes import Sweep, find_wipes, goes_on, likeliest

if TYPE_CHECKING:
    from wanprep.signals.store import Signals


__all__ = [
    "FIELDS",
    "TINY_HEIGHT",
    "TINY_WIDTH",
    "ShotList",
    "ShotMeter",
    "Transition",
    "edge_energy",
    "find_shots",
]


def find_shots(signals: Signals, rules: ShotRules) -> ShotList:
    """Cuts and transitions of one source from its stored numbers; pure."""
    if len(signals.pts) < 2 or not rules.detect:
        return ShotList(n_frames=len(signals.pts), cuts=(), transitions=())
    search = _Search(signals, rules)
    search.plain_cuts()
    search.mixes()
    search.ways()
    search.turns()  # before cuts are looked at one by one
    search.steps()
    search.rushes()
    return search.listed()


class _Search:
    """What has been found of a source; every step goes on from what those before it left.

    numbers: what ways between shots are judged by.
    cuts, transitions: so far. jumped: plain cuts of jumps.py. sure: cuts that no transition spans. unsure: spans
    (first, last) that may be transitions, swept: those that may be wipes. lit: mixes that light explains. odd: see
    odd.py. small: pictures that begin in a small frame. brief: frames of a flash, at most.
    """

    def __init__(self, signals: Signals, rules: ShotRules) -> None:
        self.T = Pictures(signals.extra["tiny"].reshape(len(signals.pts), -1), inside(signals))
        self.fps = 1.0 / (float(np.median(np.diff(signals.pts))) * float(signals.time_base))
        self.frame, self.rules = signals.frame, rules
        self.numbers = Numbers.of(self.T, self.frame)
        self.series, self.brief = Series.of(signals.frame), round(rules.flash_seconds * self.fps)

    def plain_cuts(self) -> None:
        T, rules = self.T, self.rules
        thresholds = {k: getattr(rules, k) for k in ("min_odds", "min_step", "max_likeness")}
        jumps = find_jumps(self.series, T, **thresholds)
        cuts = not_carried(T, jumps.cuts, jumps.blended)
        self.jumped = set(cuts).difference(jumps.blended)
        framed, self.small = find_framed(T)
        near = {cut + k for cut in cuts for k in range(-2, 3)}
        self.cuts = sorted({*cuts, *set(framed).difference(near)})
        self.sure = sorted({*jumps.sure, *isolated_jumps(T, self.cuts, rules.isolation)}.intersection(self.cuts))

    def mixes(self) -> None:
        """Dissolves and fades whose frames lie on a straight line, and odd frames."""
        T, rules = self.T, self.rules.gradual
        mixes = without_moves(T, find_mixes(T, self.frame["edge_energy"], self.fps, rules, self.sure))
        mixes = without_slides(T, self.numbers, mixes, self.rules.wipes, self.sure)
        cuts = outside_mixes(self.cuts, [m for m in mixes if m.kind != "doubtful"], T)
        cuts, left = drop_flashes(cuts, mixes, T, self.brief)
        self.lit = [m for m in mixes if m not in left]
        self.odd = find_odd(T, self.series, self.brief)
        cuts, mixes, between = settle(self.odd, cuts, left)
        self.unsure = [(m.first, m.last) for m in mixes if m.kind == "doubtful"]
        mixes = [m for m in mixes if m.kind != "doubtful"]
        mixes = complete(T, mixes, sorted({*cuts, *edges_of(between)}), round(2 * rules.max_seconds * self.fps))
        found = join_dips(mixes, T, round(self.rules.dip_seconds * self.fps), rules.flat)
        found = [replace(t, kind="dissolve") if t.last - t.first < 2 else t for t in found]
        found += [Transition(kind=o.named(), first=o.first, last=o.last) for o in between]
        self.cuts, blended = split_blends(T, cuts, found)
        self.transitions = found + blended

    def ways(self) -> None:
        """Wipes and slides; in what is left dissolves through pictures that move, and ways that no model knows."""
        T, rules = self.T, self.rules
        sweeps = find_sweeps(T, self.numbers, rules.wipes, self.sure, self._free(2))
        self.swept = self._wiped(sweeps, rules.wipes.min_odds)
        late = without_moves(T, find_dissolves(T, self.frame, self.fps, rules.gradual, self.cuts, self._free(1)))
        left = drop_flashes([], late, T, self.brief)[1]
        self.lit += [m for m in late if m not in left]
        self.transitions += [Transition(kind=m.kind, first=m.first, last=m.last) for m in left if m.kind != "doubtful"]
        self.unsure += [(m.first, m.last) for m in left if m.kind == "doubtful"]
        crossed = find_crossings(T, self.numbers, self.sure, self._free(1), rules.wipes)
        self.swept |= self._wiped([s for s in crossed if not is_light(T, s, self.brief)], rules.wipes.scan_odds)

    def _free(self, room: int) -> np.ndarray:
        return clear_of(self.transitions, len(self.T), room)

    def _wiped(self, sweeps: list[Sweep], least: float) -> set[tuple[int, int]]:
        self.cuts, wipes, others = sure_wipes(self.cuts, sweeps, least)
        self.transitions += wipes
        return others

    def steps(self) -> None:
        """Cuts that are none after all; all other steps that stand out: cuts after all, doubtful, or nothing."""
        asked = sorted(self.jumped.intersection(self.cuts).difference(edges_of(self.odd)))
        none = set(asked).difference(believed(self.T, self.series, self.frame, asked, self.rules))
        self.cuts = [cut for cut in self.cuts if cut not in none]
        free = unexplained(self.cuts, self.transitions, self.odd, len(self.T))
        found = find_steps(self.T, self.series, self.frame, free, self.brief, self.rules)
        self.cuts, mixed, self.doubtful = risen(self.cuts, found, self.rules.scan_odds)
        self.transitions += mixed
        small = [at for at in self.small if free[at - 1 : at + 1].all()]
        self.doubtful += drop_flashes(small, [], self.T, self.brief)[0]

    def turns(self) -> None:
        self._hidden(find_turns(self.T, self.cuts, self.transitions, self.fps))

    def rushes(self) -> None:
        self._hidden(find_rushes(self.T, self.cuts, self.transitions))

    def _hidden(self, found: list[Transition]) -> None:
        """Cuts that are part of two shots in turns, or of a rush of the camera, are wipes."""
        if self.rules.wipes.enabled:
            self.cuts = [cut for cut in self.cuts if not any(t.first <= cut <= t.last + 1 for t in found)]
            self.transitions += found

    def listed(self) -> ShotList:
        N, edges = len(self.T), self.frame["edge_energy"]
        black = black_runs(self.frame["luma_mean"], self.frame["luma_p95"], self.cuts, self.transitions)
        transitions = sorted([*self.transitions, *black], key=lambda t: t.first)
        unsure = [*self.unsure, *sorted(self.swept)]
        unsure += [(m.first, m.last) for m in self.lit if m.kind == "dissolve"]  # light explains them, or else a mix
        unsure = [(first, last) for first, last in unsure if last - first < self.rules.doubt_seconds * self.fps]
        unsure += [(at, at) for at in self.doubtful]
        unsure += [(o.first, o.last) for o in self.odd if o.kind == "doubtful"]
        spans = [*transitions, *beside(unsure, self.cuts, transitions, N)]
        spans = with_widths(self.T, edges, self.cuts, spans, self.swept)
        spans = with_wipe_widths(self.T, edges, self.cuts, spans, self.swept)
        count = len(transitions)
        transitions = sorted([*spans[:count], *smears(edges, self.cuts, spans, self.fps)], key=lambda t: t.first)
        return ShotList(
            n_frames=N, cuts=tuple(self.cuts), transitions=tuple(transitions), doubtful=tuple(spans[count:])
        )


def find_sweeps(T: Pictures, numbers: Numbers, rules: WipeRules, walls: list[int], free: np.ndarray) -> list[Sweep]:
    """Wipes, slides and doubtful ones, none overlapping, in order. walls: first frames after cuts that none spans;
    free: bool[N], frames in which one may be."""
    swept = find_wipes(T, rules, walls, free.copy())
    swept = [replace(s, odds=s.odds + against_wipe(T, s.first, s.last)) for s in swept]
    sweeps = likeliest([*swept, *find_slides(T, rules, walls, free)], free)
    least = min(rules.min_odds, rules.max_doubt)
    sweeps = [s for s in sweeps if s.odds >= least and not goes_on(T, s.first, s.last)]
    sweeps = [replace(s, odds=s.odds + against_sweep(T, numbers, s.first, s.last)) for s in sweeps]
    return [s for s in sweeps if s.odds >= least]


def sure_wipes(
    cuts: list[int], sweeps: list[Sweep], least: float
) -> tuple[list[int], list[Transition], set[tuple[int, int]]]:
    """The cuts that are no part of a sure wipe, those wipes (log-odds from `least` on), and first and last frame of the
    others."""
    sure = [s for s in sweeps if s.odds >= least]
    cuts = [c for c in cuts if not any(w.first <= c <= w.last + 1 for w in sure)]
    wipes = [Transition(kind="wipe", first=w.first, last=w.last) for w in sure]
    return cuts, wipes, {(s.first, s.last) for s in sweeps if s.odds < least}
