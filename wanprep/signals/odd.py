"""Odd frames: one to six that show none of the shots around them as those look, and whether one shot goes on after.

Flashes, slugs, static between shots, film cameras that stop and start, strobe lights: every step into and out of such
frames is as large as a cut, so none of them stands out. What counts is what lies before and what lies after: one shot,
and it was a flash whatever it looked like; two shots, and there is a cut, and the odd frames belong to neither.
A picture of something else is no odd frame: those are flat, or one of the two shots in another light.
Legend: T float32[N, P] (`Pictures`), one row of P luma values (0..255) a frame. Pure: arrays in, spans out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wanprep.signals.carried import NOISE, unexplained
from wanprep.signals.flashes import is_flash
from wanprep.signals.gradual import Mix
from wanprep.signals.jumps import Series, steps
from wanprep.signals.mixing import EPS, likeness, mean, rms, std
from wanprep.signals.pictures import Pictures, parts

LONGEST = 6  # frames: three of either shot
STEP = 10.0  # luma step (RMS of 0..255) into and out of them, and their distance from what lies around
TIMES = 2.0  # that many times what lies just before, or just after, differs from one of NEAR frames on its side
NEAR = 6
SEEN = 8.0  # deviation of a picture in which a shot is known again
FLAT, SHARE = 6.0, 0.35  # deviation of a frame that shows nothing: levels, or share of that around it
KNOWN, FAINT = 0.4, 0.5  # likeness and deviation from which on an odd frame is one of a shot
CONTRAST = 0.6  # ln of how much more of it a frame has, or less
BLEND = 0.2  # of the whole change, by which a blend of two pictures is off the line between them
TONED = 0.75  # likeness, of one sign or the other, of a frame and the shot that it shows in another light

# Log-odds of a cut = BIAS + sum of weight times evidence, a logistic regression on the tuning half of bench_odd.py, and
# on what has such frames in that of bench_cuts.py.
BIAS = -4.45
WEIGHTS = {
    "like": -1.12,  # correlation of the pictures before and after
    "less": 7.74,  # what it lacks to that of pictures as far apart of the shot that moves more
    "uncarried": 1.18,  # ln of the share of what changes, light aside, that no motion of the camera explains
    "change": 1.52,  # ln of the luma difference
    "best": -8.19,  # correlation of details in the best quarter, the worst of all steps on the way
}
CUT, SAME = 1.0, -2.0  # log-odds from which on there is a cut, and below which there is none; between it is doubtful
BRIEF = 3  # frames of a flash, whatever it looks like
RAMP = 0.8  # of the whole change of light: a first frame with less of it belongs to a dip
BLACK = 8.0  # mean luma
BACK, NEARER = 0.75, 0.3  # likeness of a picture that comes back, and how much more like it is than the first one


@dataclass(frozen=True, kw_only=True)
class Odd:
    """Frames first..last (inclusive). kind: same | cut | doubtful: whether another shot comes after them than before.
    cut: the frame from which on they show what comes after. dip: they come and go little by little."""

    first: int
    last: int
    kind: str
    cut: int
    dip: bool = False
    black: bool = False
    dark: bool = False

    def named(self) -> str:
        """The kind of transition that they are between two shots."""
        if self.black:
            return "black"
        return ("dip_to_black" if self.dark else "dip_to_white") if self.dip else "odd"

    def covers(self, first: int, last: int) -> bool:
        """Whether frames first..last are odd ones; with last = first - 1: whether the step to `first` is theirs."""
        return self.first <= first and last <= self.last


def find_odd(T: Pictures, series: Series, longest: int) -> list[Odd]:
    """All of them, none overlapping, in order. longest: frames of light that swells and fades, which is no cut."""
    before, after = candidates(T)
    if not len(before):
        return []
    odds = np.concatenate([log_odds(T, series, before[at], after[at]) for at in parts(np.arange(len(before)))])
    found, taken = [], np.zeros(len(T), bool)
    # One shot first, the surest: its odd frames are the ends of other spans, and look like another shot there.
    one = odds <= SAME
    for i in np.lexsort((odds, np.where(one, odds, before - after), ~one)):
        a, b = int(before[i]), int(after[i])
        if taken[a + 1 : b].any():
            continue
        taken[a + 1 : b] = True
        kind = "same" if odds[i] <= SAME else "cut" if odds[i] >= CUT else "doubtful"
        if kind != "same" and (is_flash(T, a, b, longest) or _returns(T, a, b, longest)):
            continue
        found.append(_described(T, a, b, kind))
    return sorted(found, key=lambda odd: odd.first)


def _returns(T: Pictures, a: int, b: int, longest: int) -> bool:
    """Whether the picture before comes back within `longest` frames, or that after was there: light that fades."""
    A, B = T[a : a + 1], T[b : b + 1]
    later, earlier = likeness(T[b : b + longest + 1], A).max(), likeness(T[max(0, a - longest) : a + 1], B).max()
    return bool(max(later, earlier) >= max(BACK, likeness(A, B)[0] + NEARER))


def _described(T: Pictures, a: int, b: int, kind: str) -> Odd:
    X, A, B = T[a + 1 : b], T[a], T[b]
    shown = np.abs(likeness(X, B))
    old = np.flatnonzero((shown < np.abs(likeness(X, A))) | (shown < KNOWN) | (std(X) < FAINT))
    cut = a + 1 + (int(old[-1]) + 1 if len(old) else 0)
    light = np.abs(X.mean(-1) - np.linspace(A.mean(), B.mean(), len(X) + 2)[1:-1])
    dip = len(X) > BRIEF and max(light[0], light[-1]) < RAMP * light.max()
    black, dark = bool((X.mean(-1) <= BLACK).all()), bool(X.mean() < (A.mean() + B.mean()) / 2)
    return Odd(first=a + 1, last=b - 1, kind=kind, cut=cut, dip=dip and not black, black=black, dark=dark)


def settle(odd: list[Odd], cuts: list[int], mixes: list[Mix]) -> tuple[list[int], list[Mix], list[Odd]]:
    """Cuts and transitions with what odd frames say of them, and those that lie between two shots. A transition that
    reaches beyond them is one of its own, which they are a part of, and so is a dissolve between two shots."""
    between: list[Odd] = []
    for o in odd:
        if o.kind == "doubtful" or (o.kind == "same" and o.last - o.first >= BRIEF):
            continue
        near = [m for m in mixes if m.first <= o.last and m.last >= o.first]
        if any(not o.covers(m.first, m.last) or (o.kind == "cut" and m.kind == "dissolve") for m in near):
            continue
        mixes = [m for m in mixes if m not in near]
        if o.kind == "cut":
            between.append(o)
        if not (o.kind == "cut" and o.black):
            cuts = [c for c in cuts if not o.covers(c, c - 1)]
        cuts = sorted({*cuts, o.cut}) if o.kind == "cut" and not o.dip else cuts
    return cuts, mixes, between


def edges_of(odd: list[Odd]) -> set[int]:
    """First frames of the spans and after them."""
    return {o.first for o in odd} | {o.last + 1 for o in odd}


def candidates(T: Pictures) -> tuple[np.ndarray, np.ndarray]:
    """int[n] each: the last frame before and the first frame after spans that hold nothing but odd frames."""
    step = steps(T)
    large = np.flatnonzero(step >= STEP)
    if len(large) < 2:
        return large[:0], large[:0]
    pairs = [(into[step[into + n] >= STEP], n) for n in range(1, LONGEST + 1) for into in [large[large + n < len(T)]]]
    starts = np.concatenate([into for into, _ in pairs])
    ends = np.concatenate([into + n for into, n in pairs])
    if not len(starts):
        return starts, ends
    good = np.zeros(len(starts), bool)
    for at in parts(np.arange(len(starts))):
        at = at[_sudden(T, step, starts[at] - 1, ends[at])]
        if len(at):
            good[at] = _all_odd(T, starts[at] - 1, ends[at])
    return starts[good] - 1, ends[good]


def _sudden(T: Pictures, step: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Whether the steps into and out of spans stand out from what happens beside them; strobe light, which comes back
    to the same picture within NEAR frames, is no motion."""
    A, B, n = T[before], T[after], len(T)
    good = np.minimum(std(A), std(B)) >= SEEN
    calm_a = np.min([_apart(T, before, before - lag, n) for lag in range(1, NEAR + 1)], axis=0)
    calm_b = np.min([_apart(T, after, after + lag, n) for lag in range(1, NEAR + 1)], axis=0)
    return good & (step[before + 1] >= TIMES * calm_a) & (step[after] >= TIMES * calm_b)


def _apart(T: Pictures, at: np.ndarray, other: np.ndarray, n: int) -> np.ndarray:
    """RMS difference of frames; infinite where there is no other (outside of 0..n-1)."""
    there = (other >= 0) & (other < n)
    return np.where(there, rms(T[np.clip(other, 0, n - 1)] - T[at]), np.inf)


def _all_odd(T: Pictures, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    A, B, good = T[before], T[after], np.ones(len(before), bool)
    flat = np.maximum(FLAT, SHARE * np.minimum(std(A), std(B)))
    for k in range(1, LONGEST + 1):
        X = T[np.minimum(before + k, after - 1)]
        off = np.minimum(rms(X - A), rms(X - B)) >= STEP
        good &= off & ((std(X) <= flat) | _relit(X, A) | _relit(X, B))
    # A lone frame of both shots is a blend.
    X, D = T[before + 1] - A, B - A
    share = mean(X * D) / (rms(D) ** 2 + EPS)
    blend = (rms(X - share[:, None] * D) <= BLEND * rms(D)) & (np.abs(share - 0.5) <= 0.4)
    return good & ~(blend & (after - before == 2))


def _relit(X: np.ndarray, A: np.ndarray) -> np.ndarray:
    """Whether X is A in another light, or its negative: far brighter or darker, or of another contrast."""
    like = likeness(X, A)
    lighter = np.abs(mean(X) - mean(A)) >= STEP
    contrast = np.abs(np.log((std(X) + 1) / (std(A) + 1))) >= CONTRAST
    return ((like >= TONED) & (lighter | contrast)) | (like <= -TONED)


def log_odds(T: Pictures, series: Series, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """float[n]: that frames `before` and `after` are of two shots."""
    A, B, n, lag = T[before], T[after], len(T), after - before
    like = likeness(A, B)
    own_a = np.max([likeness(T[np.maximum(0, before - lag - k)], A) for k in (0, 1)], axis=0)
    own_b = np.max([likeness(T[np.minimum(n - 1, after + lag + k)], B) for k in (0, 1)], axis=0)
    best = np.array([series.best_match[a + 1 : b + 1].min() for a, b in zip(before, after)])
    evidence = {
        "like": like,
        "less": np.minimum(own_a, own_b) - like,
        "uncarried": _uncarried(A, B),
        "change": np.log(rms(B - A) + 1),
        "best": best,
    }
    return BIAS + sum(WEIGHTS[name] * values for name, values in evidence.items())


def _uncarried(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """ln of the share of what changes, light aside, that no motion of the camera explains."""
    if not len(A):
        return np.zeros(0)
    A, B = (40 * (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True) for x in (A, B))
    left, change = unexplained(A, B)
    return np.log(left / (change + NOISE) + 0.01)
