"""Gradual transitions: dissolves and fades, found on tiny luma pictures of every frame and then proved.

While two pictures mix, the picture travels on a straight line from one to the other, and where the two are unlike
their contrast dips on the way (two uncorrelated pictures at half strength have half the variance). Camera and object
motion bend the line and keep the contrast. Candidates come from a coarse search over several spans; each gets its
true ends from a ramp fitted to its projection on that line, and must then fit the mixing model

    T_t = T_s + alpha_t · (T_e − T_s),  alpha from 0 to 1 without turning back, small residual, contrast as predicted.

The linear edit model is that of Hampapur, Jain and Weymouth (1995); the contrast dip is Alattar's (1993).
Legend: T float32[N, P] (`Pictures`), one row of P luma values (0..255) a frame. Pure: arrays and numbers in, spans out.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from wanprep.signals.mixing import (
    DARK,
    EPS,
    LIT,
    contrast_dip,
    cosine,
    evidence,
    fit,
    hopeless,
    likeness,
    lit,
    log_odds,
    mean,
    outside,
    rms,
    stays,
    std,
)
from wanprep.signals.pictures import Pictures, all_spans
from wanprep.signals.rules import GradualRules

OWN = 4.0  # luma deviation of what a flat picture shows and the other does not: more is a picture of its own
FEWER = 1.0  # log-odds that a dissolve seen in a part of the picture only must have more: fewer places agree by chance
LONE_S = 0.4  # seconds of a shot, at least, between two such dissolves
STAYS = 0.25  # largest share of what is lit in either picture that may stay (see mixing.stays)


@dataclass(frozen=True, kw_only=True)
class Mix:
    """One proved transition: frames first..last (inclusive) mix.

    change: RMS luma difference of its ends. fitness: of several spans around one place the fittest is taken. part: seen
    in what is lit of the picture only.
    """

    kind: str  # dissolve | fade_in | fade_out | doubtful
    first: int
    last: int
    change: float
    fitness: float
    part: bool = False


def find_mixes(T: Pictures, edges: np.ndarray, fps: float, rules: GradualRules, cuts: Sequence[int] = ()) -> list[Mix]:
    """All transitions of a sequence, and doubtful ones beside them, in order, none overlapping.

    fps: frames a second, to bound their length. cuts: first frames after jumps that no transition spans.
    """
    longest = max(2, round(rules.max_seconds * fps))
    walls = np.array([0, *sorted(cuts), len(T)])
    taken = np.zeros(len(T), bool)
    tried: set[tuple[int, int]] = set()
    mixes, doubtful = [], []
    for centre, reach in _seeds(T, longest, rules):
        room = np.searchsorted(walls, centre, side="right")
        low, high = int(walls[room - 1]), int(walls[room]) - 1
        if taken[centre] or centre - reach < low or centre + reach > high:
            continue
        spans = [it for it in _spans(T, centre - reach, centre + reach, (low, high), longest) if it not in tried]
        tried.update(spans)
        proved = [
            mix
            for s, e in spans
            if (mix := _prove(T, edges, s, e, rules)) and not taken[mix.first : mix.last + 1].any()
        ]
        sure = [mix for mix in proved if mix.kind != "doubtful"]
        if sure:
            best = max(sure, key=lambda mix: mix.fitness)
            taken[best.first : best.last + 1] = True
            mixes.append(best)
        else:
            doubtful += proved
    found = sorted(mixes + _apart(doubtful, taken), key=lambda mix: mix.first)
    return _no_rows(found, round(LONE_S * fps))


def _no_rows(mixes: list[Mix], room: int) -> list[Mix]:
    """Without those seen in a part of the picture that follow each other within `room` frames: lines of lettering that
    scroll by, lit windows at night. Each of them leads to the next, and none to a shot."""
    parts = [mix for mix in mixes if mix.part]
    close = {m for a, b in itertools.pairwise(parts) if b.first - a.last - 1 < room for m in (a, b)}
    return [mix for mix in mixes if mix not in close]


def _apart(mixes: list[Mix], taken: np.ndarray) -> list[Mix]:
    """Those that overlap neither frames taken nor a fitter one."""
    kept = []
    for mix in sorted(mixes, key=lambda mix: -mix.fitness):
        if not taken[mix.first : mix.last + 1].any():
            taken[mix.first : mix.last + 1] = True
            kept.append(mix)
    return kept


def _seeds(T: Pictures, longest: int, rules: GradualRules) -> list[tuple[int, int]]:
    """(centre, reach) of spans that look like mixing at first sight, strongest first; of those that overlap by half or
    more only the best: they would grow into the same span."""
    reaches = [1 << k for k in range(longest.bit_length()) if 2 << k < len(T)]
    found: dict[int, list[tuple[float, int, int]]] = {reach: [] for reach in reaches}
    for S, E in all_spans(len(T), {2 * reach: max(1, reach // 2) for reach in reaches}) if reaches else ():
        for seed in _seeds_at(T, S, E, rules):
            kept = found[seed[2]]
            if kept and seed[1] - kept[-1][1] <= seed[2]:
                kept[-1] = max(kept[-1], seed)
            else:
                kept.append(seed)
    return [(centre, reach) for _, centre, reach in sorted(itertools.chain(*found.values()), reverse=True)]


def _seeds_at(T: Pictures, S: np.ndarray, E: np.ndarray, rules: GradualRules) -> Iterator[tuple[float, int, int]]:
    """(strength, centre, reach) of those of the spans that look like mixing."""
    left, right = T[S], T[E]
    change = rms(right - left)
    large = change >= 0.6 * min(rules.min_change, rules.min_fade)
    if not large.any():
        return
    left, right, change, centre = left[large], right[large], change[large] + EPS, ((S + E) // 2)[large]
    bend = rms(T[centre] - (left + right) / 2) / change
    spread = np.sort(np.stack([std(left), std(right)]), axis=0)
    # A span inside a longer transition shows a part of the change only, so first sight asks for less than the proof.
    unlike = max(0.8, rules.max_likeness)
    differs = (likeness(left, right) < unlike) | (spread[1] >= 1.7 * spread[0])
    dark = np.maximum(left, right) <= DARK  # and alike there
    for i in np.flatnonzero(~differs & (bend <= 0.4) & (np.count_nonzero(dark, axis=1) > (1 - LIT[1]) * dark.shape[1])):
        places = lit(np.stack([left[i], right[i]]), 0, 1)
        differs[i] = places is not None and likeness(left[i, places], right[i, places]) < unlike
    score = change * (1 - bend)
    for i in np.flatnonzero((bend <= 0.4) & differs):
        yield float(score[i]), int(centre[i]), int((E - S)[large][i]) // 2


def _spans(T: Pictures, s: int, e: int, room: tuple[int, int], longest: int) -> list[tuple[int, int]]:
    """Likely ends of the transition around a seed, in two ways: step by step, and by a fitted ramp."""
    spans = [_tidy(T, *_grow(T, s, e, room, longest))]
    for _ in range(2):
        s, e = _ramp(T, s, e, room, longest)
        spans.append(_tidy(T, *_grow(T, s, e, room, longest)))
        spans.append((s, e))
    return [(s, e) for s, e in dict.fromkeys(spans) if e - s <= longest + 1]  # seeds may be longer


def _grow(T: Pictures, s: int, e: int, room: tuple[int, int], longest: int) -> tuple[int, int]:
    """Move both ends outwards while the picture keeps going the same way at a fair part of the same speed."""
    D = T[e] - T[s]
    unit, speed = D / (rms(D) + EPS), rms(D) / (e - s)
    for stride in sorted({max(1, (e - s) // 4), 1}, reverse=True):

        def onward(a: int, b: int, stride: int = stride) -> bool:
            step = T[b] - T[a]
            return bool(mean(step * unit) >= 0.2 * speed * stride and cosine(step, unit) >= 0.5)

        while s - stride >= room[0] and e - s < longest and onward(s - stride, s):
            s -= stride
        while e + stride <= room[1] and e - s < longest and onward(e, e + stride):
            e += stride
    return s, e


def _ramp(T: Pictures, s: int, e: int, room: tuple[int, int], longest: int) -> tuple[int, int]:
    """Ends of the ramp (level, rise, level) that best fits the projection of the frames around on T_e − T_s.

    Motion in either picture is noise on the levels here, so the ends are found even where no step is straight.
    """
    D = T[e] - T[s]
    margin = max(4, 2 * (e - s))
    low, high = max(room[0], s - margin), min(room[1], e + margin)
    p = (T[low : high + 1] @ D) / (np.sum(D * D) + EPS)
    times = np.arange(low, high + 1)
    best, grid = (s, e), max(1, (e - s) // 6)
    starts, ends = np.arange(low, high, grid), np.arange(low + 1, high + 1, grid)
    for _ in range(2):
        lengths = ends[:, None] - starts
        rows, columns = np.nonzero((lengths >= 2) & (lengths <= longest + 1))
        a, b = starts[columns], ends[rows]
        if not len(a):
            break
        ramp = (times - a[:, None]) / (b - a)[:, None]
        np.minimum(np.maximum(ramp, 0, out=ramp), 1, out=ramp)
        centred = ramp - mean(ramp, keepdims=True)
        explained = (centred @ (p - mean(p))) ** 2 / (np.sum(centred**2, axis=1) + EPS)
        top = int(np.argmax(explained))
        best = int(a[top]), int(b[top])
        starts = np.arange(max(low, best[0] - grid), min(high, best[0] + grid + 1))
        ends = np.arange(max(low, best[1] - grid), min(high, best[1] + grid) + 1)
    return best


def _tidy(T: Pictures, s: int, e: int, idle: float = 0.03) -> tuple[int, int]:
    """Drop frames at both ends that have not begun or have finished mixing."""
    alpha, _ = fit(T, s, e)
    inside = np.flatnonzero((alpha > idle) & (alpha < 1 - idle))
    if not len(inside):
        return s, e
    return s + max(0, int(inside[0]) - 1), min(e, s + int(inside[-1]) + 1)


def _prove(T: Pictures, edges: np.ndarray, s: int, e: int, rules: GradualRules) -> Mix | None:
    """The transition between the pure frames s and e, or None when the frames do not bear it out."""
    if e - s < 2:
        return None
    kind = _kind(T[s], T[e], rules)
    if kind == "dissolve":
        return _dissolve(T, edges, s, e, rules)
    change = float(rms(T[e] - T[s]))
    if change < rules.min_fade:
        return None
    alpha, residual = fit(T, s, e)
    if np.diff(alpha).max() > rules.max_step or not _fades(T, s, e, kind, alpha, residual, rules):
        return None
    return Mix(kind=kind, first=s + 1, last=e - 1, change=change, fitness=_steadiness(alpha, residual, change))


def _dissolve(T: Pictures, edges: np.ndarray, s: int, e: int, rules: GradualRules) -> Mix | None:
    """As `_prove`, of two pictures neither of which is flat, by what is lit in them."""
    first, last, places = s + 1, e - 1, lit(T, s, e)
    if places is not None:
        half = max(3, (e - s) // 2)
        low, high = max(0, s - half), min(len(T) - 1, e + half)
        # Asked from farther, too: where a title is half there already, it is lit and changes.
        if max(stays(T[s], T[e]), stays(T[low], T[high])) > STAYS:
            return None
        T, edges, s, e = T.only(low, high + 1, places), edges[low:], s - low, e - low
    change = float(rms(T[e] - T[s]))
    if change < rules.min_change or likeness(T[s], T[e]) > rules.max_likeness:
        return None
    if hopeless(T, s, e, min(rules.min_odds, rules.max_doubt)):
        return None
    alpha, residual = fit(T, s, e)
    if np.diff(alpha).max() > rules.max_step or residual[1:-1].max() > 2 * rules.max_residual_peak:
        return None
    # One frame between two pictures lies near their line by chance more easily than many do.
    if e - s == 2 and residual[1] > 0.5 * rules.max_residual:
        return None
    found = evidence(T, edges, s, e)
    odds = log_odds(found) - (FEWER if places is not None else 0.0)
    if found["kept"] > rules.max_kept or odds < min(rules.min_odds, rules.max_doubt):
        return None
    kind = "dissolve" if odds >= rules.min_odds else "doubtful"
    return Mix(kind=kind, first=first, last=last, change=change, fitness=odds, part=places is not None)


def _fades(
    T: Pictures, s: int, e: int, kind: str, alpha: np.ndarray, residual: np.ndarray, rules: GradualRules
) -> bool:
    strict = 0.5 if e - s <= 3 else 1.0
    if residual[1:-1].mean() > strict * rules.max_residual or residual[1:-1].max() > rules.max_residual_peak:
        return False
    if np.abs(np.diff(alpha)).sum() > 1.2 or not rules.min_dip <= contrast_dip(T[s : e + 1], alpha) <= rules.max_dip:
        return False
    return outside(T, s, e, kind) <= strict * rules.max_outside * float(rms(T[e] - T[s]))


def _steadiness(alpha: np.ndarray, residual: np.ndarray, change: float) -> float:
    """change, less what the model and a steady pace leave unexplained."""
    uneven = float(np.abs(alpha - np.linspace(0, 1, len(alpha))).mean())
    return change * (1 - float(residual[1:-1].mean()) - 2 * uneven)


def _kind(before: np.ndarray, after: np.ndarray, rules: GradualRules) -> str:
    """What a transition between two pictures would be: a fade where one of them is flat, and black, white or showing
    nothing but what there is of the other. (Between two quick fades, black shows a little of both.)"""
    spread = float(std(before)), float(std(after))
    low, high = sorted(spread)
    if low > rules.flat or high < 2 * low:
        return "dissolve"
    tone = float(mean(before if spread[0] == low else after))
    own = low * np.sqrt(max(0.0, 1 - float(likeness(before, after)) ** 2))
    if own > OWN and DARK < tone < 255 - DARK:
        return "dissolve"
    return "fade_in" if spread[0] < spread[1] else "fade_out"
