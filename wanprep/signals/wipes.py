"""Wipes: the new shot takes the place of the old one part by part, behind an edge that moves over the picture.

In the middle of a wipe each part of the picture is of one of the two shots, where a dissolve shows both and motion
neither. That is first sight; the proof is that every part jumps once, from what it was before to what it is after, not
all at once, and as no part does just before and just after, however much the pictures move. Straight, diagonal, round
and clock wipes and barn doors of any speed are all the same to this.
Legend: T float32[N, P] (`Pictures`), one row of P luma values (0..255) a frame, P = HEIGHT x WIDTH. Pure:
arrays in, spans out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from wanprep.signals.meter import TINY_HEIGHT as HEIGHT
from wanprep.signals.meter import TINY_WIDTH as WIDTH
from wanprep.signals.mixing import EPS, likeness, rms
from wanprep.signals.pictures import Pictures, all_spans
from wanprep.signals.rules import WipeRules

REACHES = (3, 5, 7, 10, 14, 20)  # half lengths, in frames, that are looked for
PARTS = 0.55  # of the picture that a wipe changes; panels that come over it change less
BESIDE, SAME = 40, 0.75  # frames on each side, and likeness of two of them, by which a shot is known again
SOON = 12  # frames, and the length of a wipe, within which what passed has passed
HOPELESS = -3.0  # log-odds of spans around which a shift of one end makes no wipe


# Log-odds of a wipe = BIAS + sum of weight times evidence, a logistic regression on the tuning half of
# tests/benchmarks/bench_cuts.py, moves of the camera among it, of each wipe and each false alarm the likeliest spans
# only: tests/benchmarks/train_wipes.py, which adds 0.6 to BIAS, as `min_odds` is one for wipes and slides.
# Pictures that move leave a large residual; what tells wipes through them from motion alone is that no part jumps
# like that just before or after, and that no camera makes such steps. What moves with both pictures is for slides.py.
BIAS = -2.76
WEIGHTS = {
    "residual": -30.6,  # mean distance of all frames from parts that change once, as a share of the change
    "parts": 10.6,  # share of the picture that differs enough to be judged
    "crowd": -28.4,  # largest share of the parts that jump within a fifth of the length
    "jump": 2.47,  # mean of the parts' jumps as shares of their changes from end to end, each at most 2
    "jump_most": -1.76,  # ln of the jumps beside over those inside, on the side with more
    "path_least": -0.52,  # ln of the mean change from frame to frame beside, on the quieter side, over that inside
    "path_most": 2.75,  # and on the other
    "still": -2.76,  # change beside the quieter end, as a share of that inside, at most 1.5: motion goes on, wipes stop
    "stir": -2.14,  # and beside the other end, at most 2
    "returns": -4.77,  # how much more like an end the picture is again beyond the other one: something passed
    "unmoved": 9.08,  # share of the steps from frame to frame that no move of the camera explains
}


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
    known: dict[tuple[int, int], Sweep | None] = {}
    for centre, reach in _seeds(T, rules):
        room = int(np.searchsorted(edges, centre, side="right"))
        low, high = int(edges[room - 1]), int(edges[room]) - 1
        if free[centre]:
            found += [it for it in _sweeps(T, centre, reach, low, high, known) if it.odds >= least]
    return likeliest(found, free)


def likeliest(sweeps: Iterable[Sweep], free: np.ndarray) -> list[Sweep]:
    """Those of `sweeps` that overlap no likelier one, in order; free: bool[N] (in place: their frames are taken)."""
    kept = []
    for sweep in sorted(sweeps, key=lambda it: -it.odds):
        if free[sweep.first : sweep.last + 1].all():
            free[sweep.first : sweep.last + 1] = False
            kept.append(sweep)
    return sorted(kept, key=lambda it: it.first)


def _seeds(T: Pictures, rules: WipeRules) -> list[tuple[int, int]]:
    """(centre, reach) of spans whose middle frame is made of parts of both ends; of seeds that overlap by half or more
    the best."""
    found: dict[int, list[tuple[float, int]]] = {reach: [] for reach in REACHES}
    for S, E in all_spans(len(T), {2 * reach: max(1, reach // 3) for reach in REACHES}):
        left, right = T[S], T[E]
        large = rms(right - left) >= rules.min_change
        if not large.any():
            continue
        left, right, at, reach = left[large], right[large], ((S + E) // 2)[large], ((E - S) // 2)[large]
        middle = T[at]
        gone, to_go = np.abs(middle - left), np.abs(right - middle)
        between = np.minimum(gone, to_go).mean(-1) / (np.abs(right - left).mean(-1) + EPS)
        share = (gone > to_go).mean(-1)
        good = (between <= rules.max_between) & (share >= 0.2) & (share <= 0.8)
        good[good] &= likeness(left[good], right[good]) <= rules.max_likeness
        for i in np.flatnonzero(good):
            seed, kept = (float(between[i]), int(at[i])), found[int(reach[i])]
            if kept and seed[1] - kept[-1][1] <= reach[i]:
                kept[-1] = min(kept[-1], seed)
            else:
                kept.append(seed)
    return [(centre, reach) for reach, kept in found.items() for _, centre in kept]


def _sweeps(
    T: Pictures, centre: int, reach: int, low: int, high: int, known: dict[tuple[int, int], Sweep | None]
) -> list[Sweep]:
    """Spans around a seed, judged: some even ones, and where these are promising all. known: of those judged before."""
    sizes = sorted({max(2, round(reach * share)) for share in (0.6, 0.8, 1.0, 1.3, 1.7)})

    def judged(pairs: Iterable[tuple[int, int]]) -> list[Sweep]:
        spans = [(centre - a, centre + b) for a, b in pairs if centre - a >= low and centre + b <= high]
        known.update({span: judge(T, *span) for span in spans if span not in known})
        return [sweep for span in spans if (sweep := known[span]) is not None]

    even = judged((a, a) for a in sizes)
    if max((sweep.odds for sweep in even), default=-np.inf) < HOPELESS:
        return []
    return even + judged((a, b) for a in sizes for b in sizes if a != b)


def judge(T: Pictures, s: int, e: int) -> Sweep | None:
    """The span between the pure frames s and e as a wipe; None when too little of the picture changes in it."""
    seen = evidence(T, s, e)
    if seen is None:
        return None
    found, when, wide = seen
    odds = BIAS + weighed(found, WEIGHTS)
    if odds + WEIGHTS["unmoved"] >= HOPELESS:  # else not even the largest share would help
        odds += weighed(slow_evidence(T, s, e), WEIGHTS)
    first, last = np.quantile(when, [0.03, 0.97]) if odds >= HOPELESS else (0, e - s)
    return Sweep(
        first=max(s + 1, s + int(np.floor(first - wide / 2)) + 1),
        last=min(e - 1, s + int(np.ceil(last + wide / 2)) - 1),
        odds=float(odds),
    )


def weighed(found: dict[str, float], weights: dict[str, float]) -> float:
    """Log-odds that evidence adds."""
    return sum(weights[name] * value for name, value in found.items())


def evidence(T: Pictures, s: int, e: int, least: float = PARTS) -> tuple[dict[str, float], np.ndarray, float] | None:
    """Of the span between the pure frames s and e what WEIGHTS tells of, but for `slow_evidence`; how many frames after
    s each part that is used has half changed, float[P used]; in how many frames it changes. None where less than
    `least` of the picture changes enough."""
    n, X = e - s, T[s : e + 1]
    D = X[-1] - X[0]
    change = float(rms(D))
    used = np.abs(D) >= max(10.0, 0.4 * change)
    if n < 4 or used.mean() < least:
        return None
    alpha = np.clip((X[:, used] - X[0, used]) / D[used], -0.5, 1.5)
    when = (1 - np.clip(alpha, 0, 1)).sum(axis=0) - 0.5  # frames after s at which each part is half changed
    wide = 1 + n / 12
    model = np.clip((np.arange(n + 1)[:, None] - when) / wide + 0.5, 0, 1)
    still, stir = rest_beside(T, s, e, change)
    found = {
        "residual": float((np.abs(alpha - model) @ np.abs(D[used])).mean() / np.abs(D[used]).sum()),
        "parts": float(used.mean()),
        "still": min(still, 1.5),
        "stir": min(stir, 2.0),
    }
    found |= _jumps(X, T[max(0, s - n) : s + 1], T[e : e + n + 1], used, min(n - 1, int(np.ceil(wide)) + 1))
    return found, when, wide


def slow_evidence(T: Pictures, s: int, e: int) -> dict[str, float]:
    """The rest of what WEIGHTS tells of, which takes longest."""
    return {"unmoved": unmoved(T[s : e + 1], turns=True), "returns": returns(T, s, e)}


def _jumps(X: np.ndarray, before: np.ndarray, after: np.ndarray, used: np.ndarray, wide: int) -> dict[str, float]:
    """What tells parts that an edge passes from parts that move: each part's largest change within `wide` frames of the
    span X float32[n + 1, P] and of the frames beside it (with its ends)."""
    n, D = len(X) - 1, np.abs(X[-1] - X[0])
    changes = np.abs(X[wide:] - X[:-wide])
    jump = changes.max(axis=0)
    big = jump >= max(10.0, 0.3 * float(rms(D)))
    fifths = ((changes.argmax(axis=0)[big] + wide / 2) / n * 5).astype(int)
    sides = [side if len(side) > wide + 1 else None for side in (before, after)]
    least, most = pace_beside(X, *sides)
    jumps = _both(
        *(None if side is None else float(np.abs(side[wide:] - side[:-wide]).max(axis=0).mean()) for side in sides)
    )
    return {
        "crowd": np.bincount(np.minimum(fifths, 4)).max() / len(fifths) if len(fifths) > 10 else 1.0,
        "jump": float(np.minimum(jump[used] / D[used], 2).mean()),
        "jump_most": np.log((jumps[1] + 1) / (jump.mean() + 1)),
        "path_least": least,
        "path_most": most,
    }


def rest_beside(T: Pictures, s: int, e: int, change: float) -> tuple[float, float]:
    """Change in half as many frames as the span s..e has, before it and after, as shares of `change`; the smaller
    first."""
    half = max(2, (e - s) // 2)
    left = float(rms(T[s] - T[s - half])) / change if s >= half else None
    right = float(rms(T[e + half] - T[e])) / change if e + half < len(T) else None
    return _both(left, right)


def pace_beside(X: np.ndarray, before: np.ndarray | None, after: np.ndarray | None) -> tuple[float, float]:
    """ln of the mean change from frame to frame beside the span X float32[n + 1, P], as a multiple of that inside; the
    smaller first. before, after: frames beside it."""
    paths = _both(*(None if x is None else float(np.abs(np.diff(x, axis=0)).mean()) for x in (before, after)))
    path = float(np.abs(np.diff(X, axis=0)).mean())
    return float(np.log((paths[0] + 0.5) / (path + 0.5))), float(np.log((paths[1] + 0.5) / (path + 0.5)))


def returns(T: Pictures, s: int, e: int) -> float:
    """How much more frames beyond one end of the span s..e are like the other end than that one is: its picture comes
    back, so something passed."""
    A, B, room = T[s], T[e], e - s + SOON
    again = max(float(likeness(T[e : e + room + 1], A).max()), float(likeness(T[max(0, s - room) : s + 1], B).max()))
    return again - max(float(likeness(A, B)), 0.0)


def goes_on(T: Pictures, first: int, last: int) -> bool:
    """Whether a frame after frames first..last shows what one before them does: one shot, which something passed."""
    before, after = T[max(0, first - BESIDE) : first], T[last + 1 : last + 1 + BESIDE]
    return bool(len(before) and len(after) and likeness(before[:, None], after[None]).max() >= SAME)


def _both(before: float | None, after: float | None) -> tuple[float, float]:
    """What was measured beside a span, the smaller first. A side that a film has too little of is taken to be like the
    other: nothing is not quiet."""
    known = sorted(side for side in (before, after) if side is not None) or [0.0]
    return known[0], known[-1]


def unmoved(X: np.ndarray, turns: bool = False) -> float:
    """Share 0..1 of the squared steps between frames X float32[n + 1, HEIGHT · WIDTH] that is left when each is
    explained, as far as it goes, by a shift, a zoom, a change of light and, if `turns`, a turn of the whole picture.

    To first order (Horn and Schunck 1981): a step is the slopes of the picture times how far it moved.
    """
    Z = X.reshape(-1, HEIGHT, WIDTH).astype(np.float64)
    across, down = np.gradient((Z[1:] + Z[:-1]) / 2, axis=(2, 1))
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] - (np.array([HEIGHT, WIDTH])[:, None, None] - 1) / 2
    ways = [across, down, x * across + y * down, np.ones_like(across)]
    ways += [x * down - y * across] if turns else []
    moves = np.stack(ways, axis=1).reshape(len(Z) - 1, len(ways), -1)
    steps = np.diff(Z, axis=0).reshape(len(moves), -1)
    along = np.einsum("nip,np->ni", moves, steps)
    fit = np.linalg.solve(np.einsum("nip,njp->nij", moves, moves) + 1e-3 * np.eye(len(ways)), along[..., None])[..., 0]
    energy = np.einsum("np,np->n", steps, steps)
    return float(np.maximum(energy - (fit * along).sum(axis=1), 0).sum() / (energy.sum() + EPS))
