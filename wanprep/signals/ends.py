"""How well the ends of a dissolve or fade are known: how many times the usual margin each of them needs.

The first and last frames of a mix are nearly pure. Where the pictures stand still a found end is off by a frame, where
they move by a third of the length, and a margin that is enough for the one takes ten good frames from the other. So
fourteen numbers are taken of what goes on beside each end, and a network of three times 16 units says how far the mix
reaches at most: it was trained to be exceeded by few. Its 3 KB of weights lie beside this file
(tests/benchmarks/train_ends.py).
Legend: T float32[N, P] (`Pictures`), one row of P luma values (0..255) a frame. Pure but for the weights' file.
"""

from __future__ import annotations

import bisect
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from wanprep.signals.mixing import EPS, rms
from wanprep.signals.one_layer import answers
from wanprep.signals.pictures import Pictures
from wanprep.signals.shotlist import Transition

FILE = Path(__file__).with_name("ends.safetensors")
NAMES = (
    "length", "change", "fade", "pace", "pace_far", "pace_inside", "toward", "toward_far", "straight", "contrast",
    "edges", "left", "apart", "early",
)  # fmt: skip
BEFORE, PARTS = 12, 8  # places looked at before an end and inside of it, in eighths of the length
SLOW = 0.3  # levels a frame: slower is not told apart
SHORTEST = 3  # frames of a mix whose ends are asked about
SPARE = 0.25  # of the usual margin, added to what one end in twenty exceeds
LEAST, MOST = 0.25, 4.0  # times the usual margin
USED = 8.0, 0.5  # levels, and times the RMS change: so much at least changes a place that may have come early
COME, APART = 0.6, 0.3  # of its own change, of a place that has nearly come; of the RMS change, of one that is apart
FADES = ("fade_in", "fade_out", "dip_to_black", "dip_to_white")
MIXES = ("dissolve", "doubtful", *FADES)


def with_widths(
    T: Pictures, edges: np.ndarray, cuts: Sequence[int], spans: Sequence[Transition],
    swept: Collection[tuple[int, int]] = (),
) -> list[Transition]:  # fmt: skip
    """The spans with how many times the usual margin each of their ends needs. edges: float[N], energy of each frame's
    edges; cuts: first frames of shots; swept: (first, last) of those that `wipe_ends.py` is asked about."""
    asked = list(sides(T, edges, cuts, spans, swept))
    wide = [[1.0, 1.0] for _ in spans]
    for (index, side, _), times in zip(asked, answers(FILE, NAMES, (found for *_, found in asked))):
        wide[index][side] = float(np.clip(times + SPARE, LEAST, MOST))
    return [replace(t, wide=(before, after)) for t, (before, after) in zip(spans, wide)]


def sides(
    T: Pictures, edges: np.ndarray, cuts: Sequence[int], spans: Sequence[Transition],
    swept: Collection[tuple[int, int]] = (),
) -> Iterator[tuple[int, int, dict[str, float]]]:  # fmt: skip
    """(number of the span, 0: its beginning or 1: its end, evidence) of all ends at which a picture mixes."""
    n, back = len(T), T.backwards()
    begins = sorted({0, *cuts, *(t.last + 1 for t in spans)})
    ends = sorted({n, *cuts, *(t.first for t in spans)})
    for index, t in enumerate(spans):
        if t.kind not in MIXES or t.last - t.first + 1 < SHORTEST or (t.first, t.last) in swept:
            continue
        fade = t.kind in FADES
        flat = t.first + int(np.argmin(T[t.first : t.last + 1].std(-1)))
        first, last = max(0, t.first - 1), min(n - 1, t.last + 1)
        if t.kind != "fade_in":
            low = min(begins[bisect.bisect(begins, t.first) - 1], first)
            inner = max(flat, first + 1) if fade else last
            yield index, 0, evidence(T, edges, first, inner, low, fade)
        if t.kind != "fade_out":
            high = max(ends[bisect.bisect_left(ends, t.last + 1)] - 1, last)
            inner = min(flat, last - 1) if fade else first
            yield index, 1, evidence(back, edges[::-1], n - 1 - last, n - 1 - inner, n - 1 - high, fade)


def evidence(T: Pictures, edges: np.ndarray, s: int, e: int, low: int, fade: bool) -> dict[str, float]:
    """What tells how far before frame s the mix that ends at frame e may begin, `low` at the earliest; see NAMES.

    Paces are logarithms, of what changes in a frame as a share of what the mix changes in one. contrast, edges: how
    much more of them there is a length before s. left: of the frames inside, what neither picture explains. apart:
    share of the places that are otherwise half a length before s. early: of those that the mix changes, share that has
    nearly come a quarter of the length after s: along the soft edge of a wipe one place comes after the other.
    """
    length, stride = e - s, max(1.0, (e - s) / PARTS)
    at = np.clip(s + np.arange(-BEFORE, PARTS + 1) * stride, low, e)
    start = int(at[0])
    X, energy = _between(T[start : e + 1], at - start), _between(edges[start : e + 1], at - start)
    D = X[-1] - X[BEFORE]
    power = float(D @ D) + EPS
    toward = (X[: BEFORE + 1] - X[BEFORE]) @ D / power
    steps = np.diff(X, axis=0)
    change, moved = float(rms(D)), rms(steps)
    pace = np.log((moved / stride + SLOW) / (change / length + SLOW))
    Z = X - X.mean(1, keepdims=True)
    contrast, energy = np.log(Z.var(1) + 1), np.log(energy + 1)
    used = np.abs(D) >= max(USED[0], USED[1] * change)
    come = ((X[BEFORE + PARTS // 4] - X[BEFORE]) * np.sign(D) > COME * np.abs(D))[used]
    return {
        "length": float(np.log(length)),
        "change": float(np.log(change + 1)),
        "fade": float(fade),
        "pace": float(pace[BEFORE - 6 : BEFORE - 1].mean()),
        "pace_far": float(pace[: BEFORE - 6].mean()),
        "pace_inside": float(pace[BEFORE : BEFORE + 6].mean()),
        "toward": float(np.clip(toward[BEFORE - 4], -2, 2)),
        "toward_far": float(np.clip(toward[BEFORE - 8], -2, 2)),
        "straight": float(((steps @ D) / (moved * np.sqrt(power * len(D)) + EPS))[BEFORE - 4 : BEFORE].mean()),
        "contrast": float(contrast[BEFORE - 8] - contrast[BEFORE]),
        "edges": float(energy[BEFORE - 8] - energy[BEFORE]),
        "left": float(np.clip(_unexplained(Z[BEFORE:]) / (change + 1), 0, 3).mean()),
        "apart": float((np.abs(X[BEFORE - 4] - X[BEFORE]) > APART * change).mean()),
        "early": float(come.mean()) if len(come) else 0.0,
    }


def _between(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Rows of `values` at the places `at`, whole or between two."""
    low = np.floor(at).astype(int)
    high, share = np.minimum(low + 1, len(values) - 1), at - low
    share = share.reshape(-1, *[1] * (values.ndim - 1))
    return values[low] * (1 - share) + values[high] * share


def _unexplained(Z: np.ndarray) -> np.ndarray:
    """float[n]: RMS of what the first and last of pictures without their brightness leave of each, float[n, P]."""
    ends = Z[[0, -1]]
    weights = np.linalg.solve(ends @ ends.T + 1e-3 * Z.shape[1] * np.eye(2), ends @ Z.T)
    return rms(Z - weights.T @ ends)
