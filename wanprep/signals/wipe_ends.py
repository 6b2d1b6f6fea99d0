"""How well the ends of a wipe, a slide or another way between shots are known, as `ends.py` does for what mixes.

The first frames of a wipe are all of the one shot but for a strip at the edge, and where the shots move nobody sees it
begin. Beside what `ends.py` asks of an end, how many places have changed sides shortly after it and just before, and
where the edge of a slide is. Weights: tests/benchmarks/train_wipe_ends.py.
Legend: T float32[N, P] (`Pictures`), one row of P luma values (0..255) a frame. Pure but for the weights' file.
"""

from __future__ import annotations

import bisect
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from wanprep.signals import ends
from wanprep.signals.mixing import EPS, rms
from wanprep.signals.one_layer import answers
from wanprep.signals.pictures import Pictures
from wanprep.signals.shotlist import Transition
from wanprep.signals.slide_lines import along, nearest, off_lines

FILE = Path(__file__).with_name("wipe_ends.safetensors")
OWN = (
    "sure", "turned_1", "turned_2", "turned_4", "apart_2", "apart_4", "stepped", "stepped_far", "stepped_inside",
    "come_1", "come_2", "off_line",
)  # fmt: skip
MIXING = ("fade", "apart", "early")  # what is asked of a mix only
NAMES = (*(name for name in ends.NAMES if name not in MIXING), *OWN)
SPARE = 0.3  # as ends.SPARE
STEPPED = 0.3  # of the change between the ends, RMS: of a place that jumps
SHORTEST = 2  # frames of what is asked about


def with_widths(
    T: Pictures, edges: np.ndarray, cuts: Sequence[int], spans: Sequence[Transition], swept: Collection[tuple[int, int]]
) -> list[Transition]:
    """The spans, and of wipes and those in `swept` (first, last) how many times the usual margin each end needs."""
    asked = list(sides(T, edges, cuts, spans, swept))
    wide = [list(t.wide) for t in spans]
    for (index, side, _), times in zip(asked, answers(FILE, NAMES, (found for *_, found in asked))):
        wide[index][side] = float(np.clip(times + SPARE, ends.LEAST, ends.MOST))
    return [replace(t, wide=(before, after)) for t, (before, after) in zip(spans, wide)]


def sides(
    T: Pictures, edges: np.ndarray, cuts: Sequence[int], spans: Sequence[Transition], swept: Collection[tuple[int, int]]
) -> Iterator[tuple[int, int, dict[str, float]]]:
    """(number of the span, 0: its beginning or 1: its end, evidence) of all wipes and those in `swept`."""
    n, back = len(T), T.backwards()
    begins = sorted({0, *cuts, *(t.last + 1 for t in spans)})
    stops = sorted({n, *cuts, *(t.first for t in spans)})
    for index, t in enumerate(spans):
        if (t.kind != "wipe" and (t.first, t.last) not in swept) or t.last - t.first + 1 < SHORTEST:
            continue
        s, e, sure = max(0, t.first - 1), min(n - 1, t.last + 1), float(t.kind == "wipe")
        low = min(begins[bisect.bisect(begins, t.first) - 1], s)
        high = max(stops[bisect.bisect_left(stops, t.last + 1)] - 1, e)
        yield index, 0, evidence(T, edges, s, e, low) | {"sure": sure}
        yield index, 1, evidence(back, edges[::-1], n - 1 - e, n - 1 - s, n - 1 - high) | {"sure": sure}


def evidence(T: Pictures, edges: np.ndarray, s: int, e: int, low: int) -> dict[str, float]:
    """What tells how far before frame s a wipe that ends at frame e may begin, `low` at the earliest; see NAMES.

    turned_k: share of the places that have changed sides k eighths of the length after s. apart_k: of those that were
    otherwise k eighths before. stepped: share that jumps from frame to frame. come_k: how far the edge of a slide has
    come, as a multiple of what an even pace would make of it.
    """
    found = ends.evidence(T, edges, s, e, low, fade=False)
    stride = (e - s) / ends.PARTS
    at = np.clip(np.rint(s + np.arange(-8, 5) * stride).astype(int), low, e)
    X, last = T[at], T[e]
    here, D = X[8], last - X[8]
    change = float(rms(D)) + EPS
    used = np.abs(D) >= max(10.0, 0.4 * change)
    used = used if used.any() else np.ones(len(D), bool)
    turned = ((X - here) * np.sign(D) > 0.5 * np.abs(D))[:, used].mean(1)
    apart = (np.abs(X - here) > STEPPED * change).mean(1)
    near = T[max(low, s - 6) : min(e, s + 6) + 1]
    steps, middle = (np.abs(np.diff(near, axis=0)) > STEPPED * change).mean(1), s - max(low, s - 6)
    (kind, way), *_ = nearest(T[[(s + e) // 2]], T[[s]], T[[e]])
    come, off = (found[:, 0] for found in along(off_lines(X[[9, 10]], here[None], last[None], way, [kind])))
    return {name: found[name] for name in ends.NAMES if name not in MIXING} | {
        "turned_1": float(turned[9]),
        "turned_2": float(turned[10]),
        "turned_4": float(turned[12]),
        "apart_2": float(apart[6]),
        "apart_4": float(apart[4]),
        "stepped": float(steps[max(0, middle - 2) : middle].mean()) if middle else 0.0,
        "stepped_far": float(steps[: max(0, middle - 2)].mean()) if middle > 2 else 0.0,
        "stepped_inside": float(steps[middle : middle + 3].mean()),
        "come_1": min(4.0, float(come[0]) * 8),
        "come_2": min(4.0, float(come[1]) * 4),
        "off_line": min(1.5, float(off.mean()) / change),
    }
