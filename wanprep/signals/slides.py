"""Pushes, covers and reveals: the new picture comes in behind a straight edge, and either both pictures move or one.

Every frame on the way is put together of the last picture of the one shot and the first of the other, each moved or
left where it is; only how far the edge has come is unknown. So the frames lie on one of twelve lines (three kinds, four
ways) through as many pictures as the edge has places to go, and follow it once from end to end. A camera that pans by
just one picture does the same as a push: but what it shows goes on where the edge would be, and it hardly ever stands
still before and after.
Legend: T float32[N, P] (`Pictures`), one row of P luma values (0..255) a frame, P = HEIGHT x WIDTH. K: pictures that
lie in a line. Pure: arrays in, spans out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from wanprep.signals.carried import uncarried
from wanprep.signals.meter import TINY_HEIGHT as HEIGHT
from wanprep.signals.meter import TINY_WIDTH as WIDTH
from wanprep.signals.mixing import EPS, likeness, rms, std
from wanprep.signals.pictures import Pictures, all_spans
from wanprep.signals.rules import WipeRules
from wanprep.signals.wipes import Sweep, pace_beside, rest_beside, returns, weighed

REACHES = (3, 5, 8, 13, 20)  # half lengths, in frames, that are looked for
KINDS = ("push", "cover", "reveal")
WAYS = 4  # from the right, the left, below, above
AWAY = 0.3  # of the change, by which the frame in the middle of a span differs from both ends
OFF, MIDDLE = 0.35, (0.2, 0.8)  # and most that it is off the line; where on it
MORE = 1.3  # times that of the frames a quarter of the span beside it
FAR = 2.0  # log-odds below those wanted, of spans whose ends are moved
AT_ONCE = 16  # frames compared with the three lines of a way at once: 0.6 MB of pictures
LEFT, STIRRED = 0.7, 1.2  # most change beside a span, on its quieter and its other side, as shares of that inside
STEEPEST, BACK, MOST_OFF = 0.55, 0.1, 0.45  # largest step of the edge, sum of those back, of spans that are judged
SIZES = (0.7, 1.0, 1.4)  # of half a span, times the reach of its seed
PLAIN = 12.0  # luma deviation of a picture in which no edge is seen to come: a sky, a wall
CARRIED, AGAINST = 0.12, 7.0  # share that the camera leaves of a tilt from one, at most; log-odds by e-fold of less

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
    known: dict[tuple[str, int], dict[tuple[int, int], tuple[float, int, int]]] = {}
    for centre, kind, way, reach in _seeds(T, rules, free):
        room = int(np.searchsorted(edges, centre, side="right"))
        low, high = int(edges[room - 1]), int(edges[room]) - 1
        if any(it.odds >= rules.min_odds and it.first <= centre <= it.last for it in found):
            continue
        if best := _climb(T, centre, reach, (kind, way), low, high, least, known.setdefault((kind, way), {})):
            found.append(best)
    return found


def _seeds(T: Pictures, rules: WipeRules, free: np.ndarray) -> list[tuple[int, str, int, int]]:
    """(centre, kind, way, reach) of spans of which three frames are put together of both ends, one after the other,
    those that are so most exactly first."""
    best: dict[tuple[int, int], tuple[float, int, str, int]] = {}
    for S, E in all_spans(len(T), {2 * reach: max(1, reach // 2) for reach in REACHES}):
        at = (S + E) // 2
        S, E, at = (frames[free[at]] for frames in (S, E, at))
        left, middle, right = T[S], T[at], T[E]
        change = rms(right - left)
        good = change >= rules.min_change
        good &= np.minimum(rms(middle - left), rms(right - middle)) >= AWAY * change
        good[good] &= likeness(left[good], right[good]) <= rules.max_likeness
        chosen = np.flatnonzero(good)
        for few in (chosen[k : k + AT_ONCE] for k in range(0, len(chosen), AT_ONCE)):
            for seed in _fitting(T, S[few], E[few], OFF * change[few]):
                cell = seed[1] // seed[4], seed[4]
                best[cell] = min(best.get(cell, (np.inf, 0, "", 0)), seed[:4])
    found = [(off, centre, kind, way, reach) for (_, reach), (off, centre, kind, way) in best.items()]
    return [seed[1:] for seed in sorted(found)]


def _fitting(T: Pictures, S: np.ndarray, E: np.ndarray, most: np.ndarray) -> Iterator[tuple[float, int, str, int, int]]:
    """(how far off, as a share of `most`; centre, kind, way, reach) of spans whose frame in the middle lies in that of
    a line between their ends, at most `most` (levels) off it, and those a quarter of the span beside it before and
    after."""
    reach = (E - S) // 2
    at, half = S + reach, np.maximum(1, reach // 2)
    A, X, B, every = T[S], T[at], T[E], np.arange(len(S))
    for way in range(WAYS):
        p, off = along(off_lines(X, A, B, way))
        good = (off <= most[:, None]) & (p > MIDDLE[0]) & (p < MIDDLE[1])
        few = every[good.any(1)]
        if len(few):
            beside = (T[at[few] + step * half[few]] for step in (-1, 1))
            (early, wide), (late, far) = (along(off_lines(Y, A[few], B[few], way)) for Y in beside)
            limit = most[few][:, None]
            fair = good[few] & (early < p[few]) & (p[few] < late) & (np.maximum(wide, far) <= MORE * limit)
            apart = (off[few] + wide + far) / limit
            for i, k in zip(*np.nonzero(fair)):
                yield float(apart[i, k]), int(at[few[i]]), KINDS[k], way, int(reach[few[i]])


def _climb(
    T: Pictures, centre: int, reach: int, line: tuple[str, int], low: int, high: int, least: float,
    known: dict[tuple[int, int], tuple[float, int, int]],
) -> Sweep | None:  # fmt: skip
    """The likeliest span around a seed, or none that reaches `least`. line: its kind and way. low, high: frames that it
    may end at. known: what was judged before, of the same line."""

    def odds(s: int, e: int) -> float:
        if not (low <= s and e <= high and e - s >= 4):
            return -np.inf
        if (s, e) not in known:
            known[s, e] = judge(T, s, e, *line)
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
        slow = slow_evidence(T, s, e)
        value += weighed(slow, WEIGHTS) + against_tilt(T[s], T[e], slow["uncarried"])
    return Sweep(first=first, last=last, odds=value) if value >= least else None


def judge(T: Pictures, s: int, e: int, kind: str, way: int) -> tuple[float, int, int]:
    """Log-odds but for `slow_evidence` of the span between the pure frames s and e, -inf where there is no evidence;
    the first and the last frame that show both pictures."""
    seen = evidence(T, s, e, kind, way)
    return (-np.inf, s, e) if seen is None else (BIAS + weighed(seen[0], WEIGHTS), *seen[1:])


def slow_evidence(T: Pictures, s: int, e: int) -> dict[str, float]:
    """What is never for a slide and takes longest."""
    return {"uncarried": float(np.log(uncarried(T[s : e + 1]) + 0.01))}


def against_tilt(first: np.ndarray, last: np.ndarray, uncarried: float) -> float:
    """Log-odds, 0 or less, against a slide between two pictures of which one is plain: a camera that leaves a sky or a
    wall brings the other one in behind an edge, too. uncarried: as `slow_evidence` has it."""
    if min(std(first), std(last)) >= PLAIN:
        return 0.0
    return AGAINST * min(0.0, uncarried - float(np.log(CARRIED + 0.01)))


def evidence(T: Pictures, s: int, e: int, kind: str, way: int) -> tuple[dict[str, float], int, int] | None:
    """Of the span between the pure frames s and e what WEIGHTS tells of, but for `slow_evidence`; the first and the
    last frame that show both pictures. None where the edge leaps or goes back, or pictures stir beside the span."""
    n, X = e - s, T[s : e + 1]
    change = float(rms(X[-1] - X[0])) + EPS
    still, stir = rest_beside(T, s, e, change)
    if still > LEFT or stir > STIRRED:
        return None
    p, off = (found[:, 0] for found in along(off_lines(X[1:-1], X[:1], X[-1:], way, [kind])))
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


def off_lines(
    X: np.ndarray, A: np.ndarray, B: np.ndarray, way: int, kinds: Sequence[str] = KINDS
) -> np.ndarray:  # fmt: skip
    """float32[n, kinds, K, P]: pictures X float32[n, P] less those of the lines of these kinds from A float32[n or 1,
    P] to B as the edge goes its WIDTH or HEIGHT = K - 1 places.

    Where both move they are a window that is moved over the two side by side, and no line need be made.
    """
    x, a, b = (pictures.reshape(-1, HEIGHT, WIDTH) for pictures in (X, A, B))
    axis, size = (1, HEIGHT) if way >= 2 else (2, WIDTH)
    both = np.concatenate([b, a] if way % 2 else [a, b], axis=axis)
    strides, onward = both.strides, -both.strides[axis] if way % 2 else both.strides[axis]
    shape, begin = (len(a), size + 1, HEIGHT, WIDTH), size * both.strides[axis] if way % 2 else 0
    pushed = np.ndarray(shape, np.float32, both, begin, (strides[0], onward, *strides[1:]))
    push = np.subtract(x[:, None], pushed, order="C").reshape(len(x), size + 1, -1).view(np.uint32)
    (old, new), out = _PLACES[way], np.empty((len(x), len(kinds), *push.shape[1:]), np.uint32)
    for k, kind in enumerate(kinds):  # by bits: where one of them stays, numpy's `where` takes five times as long
        if kind == "push":
            out[:, k] = push
        elif kind == "cover":
            np.bitwise_or(_bits(X - A) & old, push & new, out=out[:, k])
        else:
            np.bitwise_or(push & old, _bits(X - B) & new, out=out[:, k])
    return out.view(np.float32)


def _bits(x: np.ndarray) -> np.ndarray:
    return x.view(np.uint32)[:, None]


def _places(way: int) -> tuple[np.ndarray, np.ndarray]:
    """uint32[K, P] each: all bits where each picture of a line shows the old one still; where it does not."""
    size = HEIGHT if way >= 2 else WIDTH
    passed = np.arange(size)[::-1] if way % 2 else np.arange(size)  # the edge comes from the right, or from below
    old = passed < size - np.arange(size + 1)[:, None]
    old = np.broadcast_to(old[:, :, None] if way >= 2 else old[:, None, :], (size + 1, HEIGHT, WIDTH))
    bits = np.where(old, 0xFFFFFFFF, 0).astype(np.uint32).reshape(size + 1, -1)
    return bits, ~bits


_PLACES = [_places(way) for way in range(WAYS)]


def _turned(x: np.ndarray, way: int) -> np.ndarray:
    """Pictures [..., rows, columns] such that the edge comes from the right."""
    x = x.swapaxes(-1, -2) if way >= 2 else x
    return x[..., ::-1] if way % 2 else x


def along(off: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far along lines pictures are, 0..1, and how far off them (RMS levels), of float32[n, lines, K, P] as of
    `off_lines`: float[n, lines] each. Between two pictures of a line lies what they mix to: the edge within a place."""
    square = np.einsum("nlkp,nlkp->nlk", off, off)
    cross = np.einsum("nlkp,nlkp->nlk", off[:, :, :-1], off[:, :, 1:])
    here = square[..., :-1]
    length = np.maximum(here + square[..., 1:] - 2 * cross, EPS)
    t = np.clip((here - cross) / length, 0, 1)
    near = here - 2 * t * (here - cross) + t * t * length
    best, row, column = near.argmin(-1), np.arange(len(off))[:, None], np.arange(off.shape[1])
    left = np.sqrt(np.maximum(near[row, column, best], 0) / off.shape[-1])
    return (best + t[row, column, best]) / t.shape[-1], left


def nearest(X: np.ndarray, A: np.ndarray, B: np.ndarray) -> tuple[tuple[str, int], np.ndarray, np.ndarray]:
    """(kind, way) of the slide from A float32[1, P] to B on whose line the pictures X float32[n, P] lie best, and
    `along` it."""
    ways = [along(off_lines(X, A, B, way)) for way in range(WAYS)]
    lines = (
        ((kind, way), ways[way][0][:, k], ways[way][1][:, k]) for k, kind in enumerate(KINDS) for way in range(WAYS)
    )
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
