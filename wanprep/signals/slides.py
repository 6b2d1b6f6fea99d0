"""Pushes, covers and reveals: the new picture comes in behind a straight edge, and either both pictures move or one.

Every frame on the way is put together of the last picture of the one shot and the first of the other, each moved or
left where it is; only how far the edge has come is unknown. So the frames lie on one of twelve lines (three kinds, four
ways) through as many pictures as the edge has places to go, and follow it once from end to end. A camera that pans by
just one picture does the same as a push: but what it shows goes on where the edge would be, and it hardly ever stands
still before and after.
Legend: T float32[N, P] (`Pictures`), one row of P luma values (0..255) a frame. Pure: arrays in, spans out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from wanprep.signals.carried import uncarried
from wanprep.signals.mixing import EPS, likeness, rms, std
from wanprep.signals.pictures import Pictures, all_spans
from wanprep.signals.rules import WipeRules
from wanprep.signals.slide_lines import KINDS, WAYS, across_edge, along, nearly, off_lines, onward
from wanprep.signals.wipes import Sweep, pace_beside, rest_beside, returns, weighed

REACHES = (3, 5, 8, 13, 20)  # half lengths, in frames, that are looked for
AWAY = 0.3  # of the change, by which the frame in the middle of a span differs from both ends
OFF, MIDDLE = 0.5, (0.2, 0.8)  # and most that it is off the line; where on it
MORE = 1.3  # times that of the frames a quarter of the span beside it
FAR = 2.0  # log-odds below those wanted, of spans whose ends are moved
AT_ONCE = 16  # frames compared with the three lines of a way at once: 0.6 MB of pictures
LEFT, STIRRED = 0.9, 1.5  # most change beside a span, on its quieter and its other side, as shares of that inside
NEAR = 3  # frames that are just beside a span
STEEPEST = 0.55  # largest step of the edge of spans that are judged
MOST_OFF, WORST_OFF = 0.6, 1.0  # how far they are off the line on average, and one frame, as shares of the change
SIZES = (0.7, 1.0, 1.4)  # of half a span, times the reach of its seed
PLAIN = 12.0  # luma deviation of a picture in which no edge is seen to come: a sky, a wall
CARRIED, AGAINST = 0.12, 7.0  # share that the camera leaves of a tilt from one, at most; log-odds by e-fold of less

# Log-odds of a slide = BIAS + sum of weight times evidence, a logistic regression on the tuning half of
# tests/benchmarks/bench_cuts.py, of each slide and each false alarm the likeliest spans only:
# tests/benchmarks/train_wipes.py, which takes 0.8 from BIAS, as `min_odds` is one for wipes and slides.
BIAS = 7.87
WEIGHTS = {
    "rough": -6.32,  # deviation of the edge's steps as a share of their mean, at most 3
    "short": -39.4,  # one over the frames that it takes
    "edge": 1.26,  # ln of the difference across the edge over that across other places of the same frames
    "still": -1.75,  # change beside the quieter end, as a share of that inside
    "stir": -1.06,  # and beside the other end
    "near_least": -1.18,  # ln of the mean change from frame to frame just beside, on the quieter side, over that inside
    "near_most": -0.854,  # and on the other
    "returns": -6.64,  # how much more like an end the picture is again beyond the other one: something passed
    "uncarried": 2.46,  # ln of the share of what changes that no motion of the camera explains
    "push": -1.65,  # 1 where both pictures move, as they do where a camera pans
    "push_edge": 2.5,  # `edge` of these
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
    last frame that show both pictures. None where the edge leaps, or pictures stir beside the span."""
    n, X = e - s, T[s : e + 1]
    change = float(rms(X[-1] - X[0])) + EPS
    still, stir = rest_beside(T, s, e, change)
    if still > LEFT or stir > STIRRED:
        return None
    p, off = onward(*nearly(off_lines(X[1:-1], X[:1], X[-1:], way, [kind])[:, 0]))
    p = np.concatenate([[0.0], p, [1.0]])
    steps = np.diff(p)
    if steps.max() > STEEPEST or off.mean() > MOST_OFF * change or off.max() > WORST_OFF * change:
        return None
    sides = (side if len(side) > 1 else None for side in (T[max(0, s - NEAR) : s + 1], T[e : e + NEAR + 1]))
    least, most = pace_beside(X, *sides)
    push, edge = float(kind == "push"), across_edge(X, p, way)
    found = {
        "rough": min(3.0, float(steps.std() * n)),
        "short": 1 / n,
        "edge": edge,
        "still": still,
        "stir": stir,
        "near_least": least,
        "near_most": most,
        "returns": returns(T, s, e),
        "push": push,
        "push_edge": push * edge,
    }
    inside = np.flatnonzero((p > 0.02) & (p < 0.98))
    first, last = (s + int(inside[0]), s + int(inside[-1])) if len(inside) else (s + 1, e - 1)
    return found, first, last
