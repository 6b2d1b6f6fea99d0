"""Wipes: the new shot takes the place of the old one part by part, behind an edge that moves over the picture.

In the middle of a wipe each part of the picture is of one of the two shots, where a dissolve shows both and motion
neither. That is first sight; the proof is that every part changes once, from what it was before to what it is after,
and that neighbours do so one after the other. Straight, diagonal, round and clock wipes and barn doors of any speed are
all the same to this.
Legend: T float32[N, P] (`Pictures`), one row of P luma values (0..255) a frame, P = HEIGHT x WIDTH. Pure:
arrays in, spans out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from wanprep.signals.mixing import EPS, likeness, rms
from wanprep.signals.pictures import Pictures, parts

WIDTH, HEIGHT = 16, 12
REACHES = (3, 5, 7, 10, 14, 20)  # half lengths, in frames, that are looked for
HOPELESS = -4.0  # log-odds of spans around which a shift of one end makes no wipe


# Log-odds of a wipe = BIAS + sum of weight times evidence, a logistic regression on the tuning half of
# tests/benchmarks/bench_cuts.py.
BIAS = -4.2
WEIGHTS = {
    "residual": -6.5,  # mean distance of all frames from parts that change once, as a share of the change
    "coherence": 1.6,  # how much closer in time neighbours change than any two parts do
    "spread": -13.8,  # deviation of these times as a share of the length
    "parts": 5.9,  # share of the picture that differs enough to be judged
    "crowd": -9.1,  # largest share of the parts that change within a fifth of the length
    "still": -3.9,  # change beside the quieter end, as a share of that inside, at most 1.5: motion goes on, wipes stop
    "stir": -2.6,  # and beside the other end, at most 2
    "length": 1.6,  # ln of the frames: long ones agree by chance less easily
}


@dataclass(frozen=True, kw_only=True)
class WipeRules:
    """When a span of frames counts as a wipe; enabled: whether one is looked for.

    min_odds: log-odds that one must reach; from max_doubt on it is doubtful, and no part of a clip. min_change: RMS
    luma difference (0..255) of its ends. max_likeness: their correlation. max_between: mean distance of a picture in
    the middle from the nearer one of the ends, as a share of their difference.
    """

    enabled: bool = True
    min_odds: float = -0.75
    max_doubt: float = -1.5
    min_change: float = 18.0
    max_likeness: float = 0.6
    max_between: float = 0.3

    def __post_init__(self) -> None:
        if self.min_change <= 0 or not 0 < self.max_between <= 0.5:
            raise ValueError(
                "need min_change > 0 and max_between in (0, 0.5], "
                f"not min_change={self.min_change}, max_between={self.max_between}"
            )


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """Frames first..last (inclusive) that may be a wipe, and the log-odds that they are."""

    first: int
    last: int
    odds: float


def find_wipes(T: Pictures, rules: WipeRules, walls: Sequence[int], free: np.ndarray) -> list[Sweep]:
    """Wipes and doubtful ones in order, none overlapping. walls: first frames after cuts that none spans; free:
    bool[N], frames in which one may be (in place: those found are no longer)."""
    if not rules.enabled:
        return []
    edges = np.array([0, *sorted(walls), len(T)])
    least = min(rules.min_odds, rules.max_doubt)
    found: list[Sweep] = []
    for centre, reach in _seeds(T, rules):
        room = int(np.searchsorted(edges, centre, side="right"))
        low, high = int(edges[room - 1]), int(edges[room]) - 1
        if free[centre]:
            found += [it for it in _sweeps(T, centre, reach, low, high) if it.odds >= least]
    kept = []
    for sweep in sorted(found, key=lambda it: -it.odds):
        if free[sweep.first : sweep.last + 1].all():
            free[sweep.first : sweep.last + 1] = False
            kept.append(sweep)
    return sorted(kept, key=lambda it: it.first)


def _seeds(T: Pictures, rules: WipeRules) -> list[tuple[int, int]]:
    """(centre, reach) of spans whose middle frame is made of parts of both ends."""
    found: list[tuple[int, int]] = []
    for reach in REACHES:
        every = np.arange(reach, len(T) - reach, max(1, reach // 3))
        best: tuple[float, int] | None = None
        for part in parts(every):
            part = part[rms(T[part + reach] - T[part - reach]) >= rules.min_change]
            left, middle, right = T[part - reach], T[part], T[part + reach]
            gone, to_go = np.abs(middle - left), np.abs(right - middle)
            between = np.minimum(gone, to_go).mean(-1) / (np.abs(right - left).mean(-1) + EPS)
            share = (gone > to_go).mean(-1)
            good = (between <= rules.max_between) & (share >= 0.2) & (share <= 0.8)
            good[good] &= likeness(left[good], right[good]) <= rules.max_likeness
            for i in np.flatnonzero(good):  # of seeds that overlap by half or more the best
                seed = float(between[i]), int(part[i])
                if best and seed[1] - best[1] > reach:
                    found.append((best[1], reach))
                    best = seed
                else:
                    best = min(best, seed) if best else seed
        if best:
            found.append((best[1], reach))
    return found


def _sweeps(T: Pictures, centre: int, reach: int, low: int, high: int) -> list[Sweep]:
    """Spans around a seed, judged: some even ones, and where these are promising all."""
    sizes = sorted({max(2, round(reach * share)) for share in (0.6, 0.8, 1.0, 1.3, 1.7)})

    def judged(pairs: Iterable[tuple[int, int]]) -> list[Sweep]:
        spans = [(centre - a, centre + b) for a, b in pairs if centre - a >= low and centre + b <= high]
        return [sweep for s, e in spans if (sweep := judge(T, s, e)) is not None]

    even = judged((a, a) for a in sizes)
    if max((sweep.odds for sweep in even), default=-np.inf) < HOPELESS:
        return []
    return even + judged((a, b) for a in sizes for b in sizes if a != b)


def judge(T: Pictures, s: int, e: int) -> Sweep | None:
    """The span between the pure frames s and e as a wipe; None when too little of the picture changes in it."""
    n, D = e - s, T[e] - T[s]
    change = float(rms(D))
    used = np.abs(D) >= max(10.0, 0.4 * change)
    if n < 4 or used.mean() < 0.2:
        return None
    alpha = np.clip((T[s : e + 1, used] - T[s, used]) / D[used], -0.5, 1.5)
    when = (1 - np.clip(alpha, 0, 1)).sum(axis=0) - 0.5  # frames after s at which each part is half changed
    wide = 1 + n / 12
    model = np.clip((np.arange(n + 1)[:, None] - when) / wide + 0.5, 0, 1)
    half = max(2, n // 2)
    before, after = T[s] - T[max(0, s - half)], T[min(len(T) - 1, e + half)] - T[e]
    beside = sorted((float(rms(before)) / change, float(rms(after)) / change))
    evidence = {
        "residual": float((np.abs(alpha - model) @ np.abs(D[used])).mean() / np.abs(D[used]).sum()),
        "coherence": _coherence(when, used),
        "spread": float(when.std()) / n,
        "parts": float(used.mean()),
        "crowd": np.bincount(np.clip((when / n * 5).astype(int), 0, 4)).max() / len(when),
        "still": min(beside[0], 1.5),
        "stir": min(beside[1], 2.0),
        "length": np.log(n),
    }
    odds = BIAS + sum(weight * evidence[name] for name, weight in WEIGHTS.items())
    first, last = np.quantile(when, [0.03, 0.97]) if odds >= HOPELESS else (0, n)
    return Sweep(
        first=max(s + 1, s + int(np.floor(first - wide / 2)) + 1),
        last=min(e - 1, s + int(np.ceil(last + wide / 2)) - 1),
        odds=float(odds),
    )


def _coherence(when: np.ndarray, used: np.ndarray) -> float:
    """1 less the mean distance of neighbours' times as a share of that of any two parts. when: of the parts used."""
    times = np.full(HEIGHT * WIDTH, np.nan)
    times[used] = when
    plane = times.reshape(HEIGHT, WIDTH)
    steps = np.abs(np.concatenate([np.diff(plane, axis=0).ravel(), np.diff(plane, axis=1).ravel()]))
    steps = steps[np.isfinite(steps)]
    order, n = np.sort(when), len(when)
    apart = 2 * float(((2 * np.arange(n) - n + 1) * order).sum()) / n**2  # mean over all pairs
    return 1 - float(steps.mean()) / (apart + EPS) if len(steps) >= 20 else 0.0
