"""Pushes, covers and reveals: the new picture comes in behind a straight edge, and either both pictures move or one.

Every frame on the way is put together of the last picture of the one shot and the first of the other, each moved or
left where it is; only how far the edge has come is unknown. So the frames lie on one of twelve lines (three kinds, four
ways) through as many pictures as the edge has places to go, and follow it once from end to end. A camera that pans by
just one picture does the same as a push: but what it shows goes on where the edge would be, and it hardly ever stands
still before and after.
Legend: T float32[N, P] (`Pictures`), one row of P luma values (0..255) a frame, P = HEIGHT x WIDTH. C float32[n, K, P]:
pictures that lie in a line. Pure: arrays in, spans out.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from wanprep.signals.carried import uncarried
from wanprep.signals.meter import TINY_HEIGHT as HEIGHT
from wanprep.signals.meter import TINY_WIDTH as WIDTH
from wanprep.signals.mixing import EPS, likeness, rms
from wanprep.signals.pictures import Pictures, parts
from wanprep.signals.rules import WipeRules
from wanprep.signals.wipes import Sweep, pace_beside, rest_beside, returns, weighed

REACHES = (3, 5, 8, 13, 20)  # half lengths, in frames, that are looked for
KINDS = ("push", "cover", "reveal")
WAYS = 4  # from the right, the left, below, above
AWAY = 0.3  # of the change, by which the frame in the middle of a span differs from both ends
OFF, MIDDLE = 0.35, (0.2, 0.8)  # and most that it is off the line; where on it
MORE = 1.3  # times that of the frames a quarter of the span beside it
FAR = 2.0  # log-odds below those wanted, of spans whose ends are moved
AT_ONCE = 64  # frames compared with their lines at once: 0.4 MB of pictures
LEFT, STIRRED = 0.7, 1.2  # most change beside a span, on its quieter and its other side, as shares of that inside
STEEPEST, BACK, MOST_OFF = 0.55, 0.1, 0.45  # largest step of the edge, sum of those back, of spans that are judged
SIZES = (0.7, 1.0, 1.4)  # of half a span, times the reach of its seed

# Log-odds of a slide = BIAS + sum of weight times evidence, a logistic regression on the tuning half of
# tests/benchmarks/bench_cuts.py, of each slide and each false alarm the likeliest spans only:
# tests/benchmarks/train_wipes.py, which takes 0.5 from BIAS, as `min_odds` is one for wipes and slides.
BIAS = 5.98
WEIGHTS = {
    "rough": -2.32,  # deviation of the edge's steps as a share of their mean, at most 3
    "steep": -16.0,  # its largest step, of the whole way
    "edge": 1.03,  # ln of the difference across the edge over that across other places of the same frames
    "still": 1.78,  # change beside the quieter end, as a share of that inside
    "stir": -2.47,  # and beside the other end
    "path_least": -1.07,  # ln of the mean change from frame to frame beside, on the quieter side, over that inside
    "path_most": -0.39,  # and on the other
    "returns": -5.99,  # how much more like an end the picture is again beyond the other one: something passed
    "uncarried": 2.2,  # ln of the share of what changes that no motion of the camera explains
    "push": -2.0,  # 1 where both pictures move, as they do where a camera pans
    "push_edge": 2.62,  # `edge` of these
}


def find_slides(T: Pictures, rules: WipeRules, walls: Sequence[int], free: np.ndarray) -> list[Sweep]:
    """Slides and doubtful ones, some overlapping. walls: first frames after cuts that none spans; free: bool[N], frames
    in which one may be."""
    if not rules.enabled:
        return []
    edges = np.array([0, *sorted(walls), len(T)])
    least = min(rules.min_odds, rules.max_doubt)
    found: list[Sweep] = []
    for centre, kind, way, reach in _seeds(T, rules, free):
        room = int(np.searchsorted(edges, centre, side="right"))
        low, high = int(edges[room - 1]), int(edges[room]) - 1
        if any(it.odds >= rules.min_odds and it.first <= centre <= it.last for it in found):
            continue
        if best := _climb(T, centre, reach, kind, way, low, high, least):
            found.append(best)
    return found


def _seeds(T: Pictures, rules: WipeRules, free: np.ndarray) -> list[tuple[int, str, int, int]]:
    """(centre, kind, way, reach) of spans of which three frames are put together of both ends, one after the other,
    those that are so most exactly first."""
    best: dict[tuple[int, int], tuple[float, int, str, int]] = {}
    for reach in REACHES:
        every = np.arange(reach, len(T) - reach, max(1, reach // 2))
        for at in parts(every[free[every]]):
            left, middle, right = T[at - reach], T[at], T[at + reach]
            change = rms(right - left)
            good = change >= rules.min_change
            good &= np.minimum(rms(middle - left), rms(right - middle)) >= AWAY * change
            if not good.any():
                continue
            good[good] &= likeness(left[good], right[good]) <= rules.max_likeness
            for few in (np.flatnonzero(good)[k : k + AT_ONCE] for k in range(0, int(good.sum()), AT_ONCE)):
                for kind, way in itertools.product(KINDS, range(WAYS)):
                    for i, off in _fitting(T, at[few], reach, kind, way, OFF * change[few]):
                        cell = i // reach, reach
                        best[cell] = min(best.get(cell, (np.inf, 0, "", 0)), (off, i, kind, way))
    found = [(off, centre, kind, way, reach) for (_, reach), (off, centre, kind, way) in best.items()]
    return [seed[1:] for seed in sorted(found)]


def _fitting(T: Pictures, at: np.ndarray, reach: int, kind: str, way: int, most: np.ndarray) -> list[tuple[int, float]]:
    """Of frames `at` those that lie in the middle of a line, at most `most` (levels) off it, between a frame before
    and one after; how far off, as a share of that."""
    p, off = along(T[at], line(T[at - reach], T[at + reach], kind, way))
    good = np.flatnonzero((off <= most) & (p > MIDDLE[0]) & (p < MIDDLE[1]))
    if not len(good):
        return []
    at, p, off, most = at[good], p[good], off[good], most[good]
    C, half = line(T[at - reach], T[at + reach], kind, way), max(1, reach // 2)
    (early, wide), (late, far) = along(T[at - half], C), along(T[at + half], C)
    fair = (early < p) & (p < late) & (np.maximum(wide, far) <= MORE * most)
    return [(int(i), float(o)) for i, o in zip(at[fair], ((off + wide + far) / most)[fair])]


def _climb(
    T: Pictures, centre: int, reach: int, kind: str, way: int, low: int, high: int, least: float
) -> Sweep | None:
    """The likeliest span around a seed, or none that reaches `least`. low, high: frames that it may end at."""
    known: dict[tuple[int, int], tuple[float, int, int]] = {}

    def odds(s: int, e: int) -> float:
        if (s, e) not in known:
            fits = low <= s and e <= high and e - s >= 4
            known[s, e] = judge(T, s, e, kind, way) if fits else (-np.inf, s, e)
        return known[s, e][0]

    sizes = sorted({max(2, round(reach * share)) for share in SIZES})
    s, e = max(((centre - a, centre + a) for a in sizes), key=lambda span: odds(*span))
    if odds(s, e) < least - FAR:
        return None
    step = max(1, (e - s) // 5)
    while step >= 1:
        around = ((s - step, e), (s + step, e), (s, e - step), (s, e + step))
        best = max(around, key=lambda span: odds(*span))
        if odds(*best) > odds(s, e) + 1e-9:
            s, e = best
        else:
            step //= 2
    value, first, last = known[s, e]
    if value >= least:
        value += weighed(slow_evidence(T, s, e), WEIGHTS)
    return Sweep(first=first, last=last, odds=value) if value >= least else None


def judge(T: Pictures, s: int, e: int, kind: str, way: int) -> tuple[float, int, int]:
    """Log-odds but for `slow_evidence` of the span between the pure frames s and e, -inf where there is no evidence;
    the first and the last frame that show both pictures."""
    seen = evidence(T, s, e, kind, way)
    return (-np.inf, s, e) if seen is None else (BIAS + weighed(seen[0], WEIGHTS), *seen[1:])


def slow_evidence(T: Pictures, s: int, e: int) -> dict[str, float]:
    """What is never for a slide and takes longest."""
    return {"uncarried": float(np.log(uncarried(T[s : e + 1]) + 0.01))}


def evidence(T: Pictures, s: int, e: int, kind: str, way: int) -> tuple[dict[str, float], int, int] | None:
    """Of the span between the pure frames s and e what WEIGHTS tells of, but for `slow_evidence`; the first and the
    last frame that show both pictures. None where the edge leaps or goes back, or pictures stir beside the span."""
    n, X = e - s, T[s : e + 1]
    change = float(rms(X[-1] - X[0])) + EPS
    still, stir = rest_beside(T, s, e, change)
    if still > LEFT or stir > STIRRED:
        return None
    p, off = along(X[1:-1], line(X[:1], X[-1:], kind, way))
    p = np.concatenate([[0.0], p, [1.0]])
    steps = np.diff(p)
    if steps.max() > STEEPEST or np.maximum(-steps, 0).sum() > BACK or off.mean() > MOST_OFF * change:
        return None
    sides = (side if len(side) > 2 else None for side in (T[max(0, s - n) : s + 1], T[e : e + n + 1]))
    least, most = pace_beside(X, *sides)
    push, edge = float(kind == "push"), across_edge(X, p, way)
    found = {
        "rough": min(3.0, float(steps.std() * n)),
        "steep": float(steps.max()),
        "edge": edge,
        "still": still,
        "stir": stir,
        "path_least": least,
        "path_most": most,
        "returns": returns(T, s, e),
        "push": push,
        "push_edge": push * edge,
    }
    inside = np.flatnonzero((p > 0.02) & (p < 0.98))
    first, last = (s + int(inside[0]), s + int(inside[-1])) if len(inside) else (s + 1, e - 1)
    return found, first, last


def line(A: np.ndarray, B: np.ndarray, kind: str, way: int) -> np.ndarray:
    """C float32[n, K, P]: pictures from A float32[n, P] to B as the edge goes its WIDTH or HEIGHT = K - 1 places."""
    a, b = (_turned(x.reshape(-1, HEIGHT, WIDTH), way) for x in (A, B))
    n, rows, size = a.shape
    C = np.empty((n, size + 1, rows, size), np.float32)
    for k in range(size + 1):
        C[:, k, :, : size - k] = a[:, :, : size - k] if kind == "cover" else a[:, :, k:]
        C[:, k, :, size - k :] = b[:, :, size - k :] if kind == "reveal" else b[:, :, :k]
    return _turned(C, way, back=True).reshape(n, size + 1, -1)


def _turned(x: np.ndarray, way: int, back: bool = False) -> np.ndarray:
    """Pictures [..., rows, columns] such that the edge comes from the right, or back again."""
    x = x.swapaxes(-1, -2) if way >= 2 and not back else x
    x = x[..., ::-1] if way % 2 else x
    return x.swapaxes(-1, -2) if way >= 2 and back else x


def along(X: np.ndarray, C: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far along the lines C float32[n or 1, K, P] the pictures X float32[n, P] are, 0..1, and how far off them
    (RMS levels). Between two pictures of a line lies what they mix to: the edge within a place."""
    off = X[:, None] - C
    square = np.einsum("nkp,nkp->nk", off, off)
    cross = np.einsum("nkp,nkp->nk", off[:, :-1], off[:, 1:])
    length = np.maximum(square[:, :-1] + square[:, 1:] - 2 * cross, EPS)
    t = np.clip((square[:, :-1] - cross) / length, 0, 1)
    near = square[:, :-1] - 2 * t * (square[:, :-1] - cross) + t * t * length
    best, every = near.argmin(1), np.arange(len(X))
    left = np.sqrt(np.maximum(near[every, best], 0) / X.shape[1])
    return (best + t[every, best]) / t.shape[1], left


def nearest(X: np.ndarray, A: np.ndarray, B: np.ndarray) -> tuple[tuple[str, int], np.ndarray, np.ndarray]:
    """(kind, way) of the slide from A float32[1, P] to B on whose line the pictures X float32[n, P] lie best, and
    `along` it."""
    lines = (((kind, way), *along(X, line(A, B, kind, way))) for kind in KINDS for way in range(WAYS))
    return min(lines, key=lambda it: float(it[2].mean()))


def across_edge(X: np.ndarray, p: np.ndarray, way: int) -> float:
    """ln of the difference across the edge, over that across other places, mean of the frames X float32[n, P] in
    which the edge is p float[n] of its way."""
    x = _turned(X.reshape(-1, HEIGHT, WIDTH), way)
    size = x.shape[2]
    at = np.floor(size - p * size).astype(int)
    seen = np.flatnonzero((at >= 1) & (at <= size - 2) & (p > 0) & (p < 1))
    if not len(seen):
        return 0.0
    gaps = np.abs(x[seen, :, 2:] - x[seen, :, :-2]).mean(1)  # across places 1..size - 2
    own = gaps[np.arange(len(seen)), at[seen] - 1]
    return float(np.mean(np.log((own + 1) / ((gaps.sum(1) - own) / (size - 3) + 1))))
