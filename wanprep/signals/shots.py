"""Where one shot ends and the next begins: numbers of every frame first, every threshold afterwards.

`meter.py` measures each frame. `find_shots` is pure: hard cuts from `jumps.py`, gradual transitions from `gradual.py`,
with fades to their ends (`tails.py`), wipes from `wipes.py` and `slides.py`; in what is left, dissolves through
pictures that move (`dissolves.py`) and ways between shots that no model of them knows (`crossings.py`). Cuts within a
frame that stays come from `boxes.py`. What light alone did is taken out again by `flashes.py`, what the camera's motion
did by `carried.py`. What lies before and after odd frames is compared by `odd.py`. Every other step that stands out is
judged in the end by `steps.py`: a cut after all, doubtful, or nothing.
What may be a transition and may not is told apart: it is reported nowhere, and no part of a shot either.
Legend: T float32[N, P] (`Pictures`), P luma values (0..255) of each frame's tiny picture.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from wanprep.signals.boxes import find_framed
from wanprep.signals.carried import against_wipe, not_carried, without_moves
from wanprep.signals.crossings import Numbers, against_sweep, find_crossings
from wanprep.signals.dissolves import find_dissolves
from wanprep.signals.ends import with_widths
from wanprep.signals.flashes import is_flash
from wanprep.signals.framing import inside
from wanprep.signals.gradual import Mix, find_mixes
from wanprep.signals.jumps import Series, blends, find_jumps
from wanprep.signals.meter import FIELDS, TINY_HEIGHT, TINY_WIDTH, ShotMeter, edge_energy
from wanprep.signals.mixing import rms
from wanprep.signals.odd import Odd, edges_of, find_odd, settle
from wanprep.signals.pictures import Pictures, parts
from wanprep.signals.rules import ShotRules, WipeRules
from wanprep.signals.slides import find_slides
from wanprep.signals.steps import Step, find_steps
from wanprep.signals.tails import complete
from wanprep.signals.wipe_ends import with_widths as with_wipe_widths
from wanprep.signals.wipes import Sweep, find_wipes, goes_on, likeliest

if TYPE_CHECKING:
    from wanprep.signals.store import Signals

MIN_BLEND = 10.0  # RMS luma difference by which a frame of two shots must differ from a frame of either

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


def find_shots(signals: Signals, rules: ShotRules) -> ShotList:
    """Cuts and transitions of one source from its stored numbers; pure."""
    N = len(signals.pts)
    if N < 2 or not rules.detect:
        return ShotList(n_frames=N, cuts=(), transitions=())
    T = Pictures(signals.extra["tiny"].reshape(N, -1), inside(signals))
    fps = 1.0 / (float(np.median(np.diff(signals.pts))) * float(signals.time_base))
    mean, p95 = signals.frame["luma_mean"], signals.frame["luma_p95"]
    thresholds = {k: getattr(rules, k) for k in ("min_odds", "min_step", "max_likeness")}
    series, brief = Series.of(signals.frame), round(rules.flash_seconds * fps)
    jumps = find_jumps(series, T, **thresholds)
    cuts = not_carried(T, jumps.cuts, jumps.blended)
    framed, small = find_framed(T)
    near = {cut + k for cut in cuts for k in range(-2, 3)}
    cuts = sorted({*cuts, *set(framed).difference(near)})
    sure = sorted({*jumps.sure, *isolated_jumps(T, cuts, rules.isolation)}.intersection(cuts))
    mixes = without_moves(T, find_mixes(T, signals.frame["edge_energy"], fps, rules.gradual, sure))
    cuts = outside_mixes(cuts, [m for m in mixes if m.kind != "doubtful"], T)
    cuts, left = drop_flashes(cuts, mixes, T, brief)
    lit, mixes = [m for m in mixes if m not in left], left
    odd = find_odd(T, series, brief)
    cuts, mixes, between = settle(odd, cuts, mixes)
    unsure = [(m.first, m.last) for m in mixes if m.kind == "doubtful"]
    mixes = [m for m in mixes if m.kind != "doubtful"]
    mixes = complete(T, mixes, sorted({*cuts, *edges_of(between)}), round(2 * rules.gradual.max_seconds * fps))
    transitions = join_dips(mixes, T, round(rules.dip_seconds * fps), rules.gradual.flat)
    transitions = [replace(t, kind="dissolve") if t.last - t.first < 2 else t for t in transitions]
    transitions += [Transition(kind=o.named(), first=o.first, last=o.last) for o in between]
    cuts, blended = split_blends(T, cuts, transitions)
    transitions += blended
    numbers = Numbers.of(T, signals.frame)
    sweeps = find_sweeps(T, numbers, rules.wipes, sure, clear_of(transitions, N, 2))
    cuts, wipes, swept = sure_wipes(cuts, sweeps, rules.wipes.min_odds)
    transitions += wipes
    free = clear_of(transitions, N, 1)
    late = without_moves(T, find_dissolves(T, signals.frame, fps, rules.gradual, cuts, free))
    left = drop_flashes([], late, T, brief)[1]
    lit, late = [*lit, *(m for m in late if m not in left)], left
    transitions += [Transition(kind=m.kind, first=m.first, last=m.last) for m in late if m.kind != "doubtful"]
    crossed = find_crossings(T, numbers, sure, clear_of(transitions, N, 1), rules.wipes)
    crossed = [s for s in crossed if not is_light(T, s, brief)]
    cuts, wipes, perhaps = sure_wipes(cuts, crossed, rules.wipes.scan_odds)
    transitions += wipes
    free = unexplained(cuts, transitions, odd, N)
    steps = find_steps(T, series, signals.frame, free, brief, rules)
    cuts, mixed, doubtful = risen(cuts, steps, rules.scan_odds)
    transitions += [*mixed, *black_runs(mean, p95, cuts, [*transitions, *mixed])]
    transitions.sort(key=lambda t: t.first)
    unsure += [(m.first, m.last) for m in late if m.kind == "doubtful"]
    swept |= perhaps
    unsure += sorted(swept)
    unsure += [(m.first, m.last) for m in lit if m.kind == "dissolve"]  # light explains them, or else a mix
    unsure = [(first, last) for first, last in unsure if last - first < rules.doubt_seconds * fps]
    small = drop_flashes([at for at in small if free[at - 1 : at + 1].all()], [], T, brief)[0]
    unsure += [(at, at) for at in (*doubtful, *small)]
    unsure += [(o.first, o.last) for o in odd if o.kind == "doubtful"]
    spans, count = [*transitions, *beside(unsure, cuts, transitions, N)], len(transitions)
    spans = with_widths(T, signals.frame["edge_energy"], cuts, spans)
    spans = with_wipe_widths(T, signals.frame["edge_energy"], cuts, spans, swept)
    return ShotList(n_frames=N, cuts=tuple(cuts), transitions=tuple(spans[:count]), doubtful=tuple(spans[count:]))


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


def is_light(T: Pictures, sweep: Sweep, longest: int) -> bool:
    """Whether the largest step of what may lie between two shots is light alone, of at most `longest` frames."""
    low = max(0, sweep.first - 1)
    at = low + 1 + int(np.argmax(rms(np.diff(T[low : sweep.last + 2], axis=0))))
    return is_flash(T, at - 1, at, longest)


def clear_of(transitions: list[Transition], n: int, room: int = 0) -> np.ndarray:
    """bool[n]: frames in no transition, nor within `room` frames of one."""
    free = np.ones(n, bool)
    for t in transitions:
        free[max(0, t.first - room) : t.last + 1 + room] = False
    return free


def unexplained(cuts: list[int], transitions: list[Transition], odd: list[Odd], n: int) -> np.ndarray:
    """bool[n]: frames that no cut is beside of, nor a transition, and that are not odd."""
    free = clear_of(transitions, n, 1)
    for cut in cuts:
        free[cut - 1 : cut + 1] = False
    for o in odd:
        free[o.first : o.last + 1] = False
    return free


def risen(cuts: list[int], steps: list[Step], least: float) -> tuple[list[int], list[Transition], list[int]]:
    """The cuts with the steps that are ones after all, of log-odds from `least` on; frames of both shots at such; and
    the other steps, which are doubtful."""
    sure = [step for step in steps if step.odds >= least]
    cuts = sorted({*cuts, *(step.at for step in sure if not step.mixed)})
    mixed = [Transition(kind="dissolve", first=step.at - 1, last=step.at - 1) for step in sure if step.mixed]
    return cuts, mixed, [step.at for step in steps if step.odds < least]


def split_blends(T: Pictures, cuts: list[int], transitions: list[Transition]) -> tuple[list[int], list[Transition]]:
    """Cuts of which one frame shows both shots become a transition of that frame; the others stay cuts."""
    free = clear_of(transitions, len(T))
    left, found = [], []
    for cut in cuts:
        near = [i for i in (cut - 1, cut) if 0 < i < len(T) - 1 and free[i - 1 : i + 2].all()]
        beyond = blends(Pictures(T[near[0] - 1 : near[-1] + 2]), MIN_BLEND) + near[0] - 1 if near else np.zeros(0, int)
        if mixed := [int(i) for i in beyond if i in near]:
            found.append(Transition(kind="dissolve", first=mixed[0], last=mixed[0]))
        else:
            left.append(cut)
    return left, found


def beside(spans: list[tuple[int, int]], cuts: list[int], transitions: list[Transition], n: int) -> list[Transition]:
    """Doubtful spans (first, last) as far as no transition or other span covers them and no cut divides them."""
    free, at = clear_of(transitions, n), np.zeros(n + 1, bool)
    at[cuts] = True
    found = []
    for first, last in sorted(spans, key=lambda span: span[0] - span[1]):
        if free[first : last + 1].all() and not at[first : last + 2].any():
            free[first : last + 1] = False
            found.append(Transition(kind="doubtful", first=first, last=last))
    return sorted(found, key=lambda t: t.first)


def isolated_jumps(T: Pictures, frames: Sequence[int] | np.ndarray, times: float) -> list[int]:
    """Those of `frames` whose step from the frame before exceeds the steps on both sides `times` times."""
    at = np.array([i for i in frames if i > 0], np.int64)
    if not len(at):
        return []
    step = rms(T[at] - T[at - 1])
    before = rms(T[at - 1] - T[np.maximum(at - 2, 0)])
    after = rms(T[np.minimum(at + 1, len(T) - 1)] - T[at])
    return [int(i) for i in at[step >= times * np.maximum(before, after)]]


def outside_mixes(cuts: list[int], mixes: list[Mix], T: Pictures) -> list[int]:
    """Cuts that are not part of a transition: inside one, or a small step at its very edge."""
    kept = []
    for cut in cuts:
        step = float(rms(T[cut] - T[cut - 1]))
        near = [m for m in mixes if m.first - 1 <= cut <= m.last + 2]
        if not any(m.first <= cut <= m.last + 1 or step < 0.25 * m.change for m in near):
            kept.append(cut)
    return kept


def drop_flashes(cuts: list[int], mixes: list[Mix], T: Pictures, longest: int) -> tuple[list[int], list[Mix]]:
    """Remove events during which the picture was only washed out by light, for at most `longest` frames."""
    kept = [c for c in cuts if not is_flash(T, c - 1, c, longest)]
    return kept, [m for m in mixes if not is_flash(T, m.first - 1, m.last + 1, longest)]


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
    edges = np.flatnonzero(np.diff(np.concatenate([[False], black, [False]]).astype(np.int8)))
    events = {0, len(mean), *cuts} | {t.first for t in transitions} | {t.last + 1 for t in transitions}
    runs = zip(edges[::2], edges[1::2])
    return [Transition(kind="black", first=int(a), last=int(b) - 1) for a, b in runs if {int(a), int(b)} & events]
