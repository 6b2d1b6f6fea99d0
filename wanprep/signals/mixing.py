"""What tells a dissolve from motion: how well frames fit a mix of two pictures, and their contrast its dip.

Pure: arrays and numbers in, numbers out. Legend: T float32[N, P] (`Pictures`), one row of P luma values (0..255) a
frame; edges float32[N], energy of each frame's edges.
"""

from __future__ import annotations

import functools

import numpy as np

from wanprep.signals.pictures import Pictures

EPS = 1e-6

# Log-odds of a dissolve = BIAS + sum of weight times evidence, a logistic regression on the tuning half of
# tests/benchmarks/bench_cuts.py. Hard limits on each would miss what moves, or take pans for dissolves.
BIAS = -4.65
WEIGHTS = {
    "change": 2.2,  # ln of the RMS luma difference of the ends without their brightness
    "length": 1.85,  # ln of the frames: long ones agree by chance less easily
    "likeness": -4.15,  # correlation of the ends
    "kept": -12.9,  # share of the picture that hardly changes: titles and panels fading in over a shot
    "outside": -6.2,  # change beside the quieter end, as a share of that inside: motion goes on, a transition stops
    "both_ends": 1.5,  # share of the picture in the middle that is made of both ends
    "uneven": -9.4,  # mean distance of alpha, of pictures without their brightness, from a steady ramp
    "rough": -0.87,  # deviation of its steps as a share of their mean
    "dip_off": -1.95,  # contrast lost on the way, as a share of the predicted loss: distance from 1
    "edges_dip_off": -3.3,  # the same of the energy of edges
    "weak": 1.35,  # ln of the weaker contrast over the stronger one: what leaves the picture bare is mostly motion
}

DARK = 24.0  # luma up to which nothing of a picture is seen
LIT = 0.15, 0.8  # a smaller share of the picture shows too little, and of a larger one nothing need be left out


def inner(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean product along the last axis. One pass: this is called a hundred thousand times for a film."""
    return np.einsum("...i,...i->...", a, b) / a.shape[-1]


def rms(x: np.ndarray) -> np.ndarray:
    return np.sqrt(inner(x, x))


def median(values: np.ndarray) -> float:
    """Of a few numbers: np.median takes ten times as long."""
    order = sorted(values.tolist())
    return (order[(len(order) - 1) // 2] + order[len(order) // 2]) / 2


def mean(x: np.ndarray, keepdims: bool = False) -> np.ndarray:
    """x.mean(-1) of float32 or float64, to the bit: of one picture that takes three times as long."""
    return x.sum(-1, keepdims=keepdims) / x.dtype.type(x.shape[-1])


def std(x: np.ndarray) -> np.ndarray:
    """x.std(-1), as `mean`."""
    centred = x - mean(x, keepdims=True)
    return np.sqrt(mean(np.multiply(centred, centred, out=centred)))


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return inner(a, b) / (rms(a) * rms(b) + EPS)


def likeness(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Zero-mean correlation of pictures, −1..1: unmoved by brightness and contrast."""
    return cosine(a - mean(a, keepdims=True), b - mean(b, keepdims=True))


def fit(T: Pictures, s: int, e: int) -> tuple[np.ndarray, np.ndarray]:
    """alpha[e−s+1] of the mixing model and each frame's residual as a share of the change."""
    D = T[e] - T[s]
    power = inner(D, D) + EPS
    X = T[s : e + 1] - T[s]
    alpha = X @ D / (len(D) * power)
    return alpha, rms(X - alpha[:, None] * D) / np.sqrt(power)


def outside(T: Pictures, s: int, e: int, kind: str) -> float:
    """RMS change in as many frames as the transition has, half of them before it and half after.

    Beyond the flat end of a fade nothing is asked: the next fade may begin at once.
    """
    half = max(1, (e - s) // 2)
    before = float(rms(T[s] - T[max(0, s - half)])) if kind != "fade_in" else 0.0
    after = float(rms(T[min(len(T) - 1, e + half)] - T[e])) if kind != "fade_out" else 0.0
    return before + after


def evidence(T: Pictures, edges: np.ndarray, s: int, e: int) -> dict[str, float]:
    """What speaks for and against a dissolve between the pure frames s and e; names as in WEIGHTS."""
    D, like = T[e] - T[s], float(likeness(T[s], T[e]))
    change, spread = float(rms(D)), np.sort([std(T[s]), std(T[e])])
    alpha, _ = fit(T, s, e)
    low, half = max(0, s - 3), max(2, (e - s) // 2)
    # Exposure drifts and lamps are switched; the pictures themselves must mix.
    ramp, _ = fit(T[s : e + 1] - mean(T[s : e + 1], keepdims=True), 0, e - s)
    steps = np.diff(ramp)
    before, after = T[s] - T[max(0, s - half)], T[min(len(T) - 1, e + half)] - T[e]
    return {
        "change": np.log(float(std(D)) + 1),
        "length": np.log(e - s),
        "likeness": like,
        "kept": float(np.mean(np.abs(D) < 0.25 * change)),
        "outside": min(3.0, float(min(rms(before), rms(after))) / change),
        "both_ends": share_of_both(T[s], T[e], T[s + 1 : e]),
        "uneven": min(0.5, float(np.abs(ramp - np.linspace(0, 1, len(ramp))).mean())),
        "rough": min(3.0, float(std(steps) / (abs(mean(steps)) + EPS))),
        "dip_off": min(1.5, abs(contrast_dip(T[s : e + 1], alpha) - 1)),
        "edges_dip_off": min(1.5, abs(curve_dip(edges[low : e + 4], s - low, e - s) - 1)),
        "weak": np.log((spread[0] + 1) / (spread[1] + 1)),
    }


def lit(T: Pictures | np.ndarray, s: int, e: int) -> np.ndarray | None:
    """bool[P]: places at which any of the frames s..e shows something; None where these are nearly all, or few.

    What is dark throughout says nothing of a mix, no more than bars do. Not of the ends alone: what passes in front of
    darkness lies elsewhere meanwhile.
    """
    places = np.maximum(T[s], T[e]) > DARK
    if np.count_nonzero(places) < LIT[1] * len(places):  # else no more is asked, as of most spans
        places = (T[s : e + 1] > DARK).any(0)
    return places if LIT[0] <= np.count_nonzero(places) / len(places) < LIT[1] else None


def stays(first: np.ndarray, last: np.ndarray) -> float:
    """Share 0..1 of what is lit in a picture that hardly changes, of that one of two in which it is larger: where a
    title comes over a dark shot, all that was lit stays."""
    D = last - first
    same = np.abs(D) < 0.25 * float(rms(D))
    return max((float(same[end > DARK].mean()) for end in (first, last) if end.max() > DARK), default=1.0)


def hopeless(T: Pictures, s: int, e: int, min_odds: float) -> bool:
    """Whether the two ends alone rule out that the log-odds reach `min_odds`: most spans end here, at a tenth of the
    cost of all evidence."""
    D = T[e] - T[s]
    found = {
        "change": np.log(float(std(D)) + 1),
        "length": np.log(e - s),
        "likeness": float(likeness(T[s], T[e])),
        "kept": float(np.mean(np.abs(D) < 0.25 * float(rms(D)))),
        "both_ends": 1.0,
    }
    return BIAS + sum(WEIGHTS[name] * value for name, value in found.items()) < min_odds


def share_of_both(first: np.ndarray, last: np.ndarray, middle: np.ndarray) -> float:
    """Median share 0..1 of the variance of frames `middle` float32[n, P] that pictures `first` and `last` explain."""
    basis, _ = np.linalg.qr(np.stack([first - first.mean(), last - last.mean()], axis=1))
    M = middle - middle.mean(1, keepdims=True)
    return float(np.median(np.sum((M @ basis) ** 2, axis=1) / (np.sum(M**2, axis=1) + EPS)))


def curve_dip(values: np.ndarray, start: int, length: int) -> float:
    """How deep the energy of edges dips in a mix, as a share of (1-a)² v0 + a² v1: about 1; motion and pans: about 0.

    values: float[n], some frames around; start: index of the last pure frame before; length: frames to the first pure
    one after. Motion in both pictures does not disturb it.
    """
    end = start + length
    low, high = median(values[: start + 1]), median(values[end:])
    old, new, old_square, new_square = _shares(length)
    level, mixed = old * low + new * high, old_square * low + new_square * high
    return float((level - values[start : end + 1]).sum() / ((level - mixed).sum() + EPS))


@functools.lru_cache(maxsize=256)
def _shares(length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of each frame of an even mix of that length how much is old and how much new, and their squares."""
    a = np.linspace(0, 1, length + 1)
    return 1 - a, a, (1 - a) ** 2, a**2


def log_odds(evidence: dict[str, float]) -> float:
    return BIAS + sum(weight * evidence[name] for name, weight in WEIGHTS.items())


def contrast_dip(span: np.ndarray, alpha: np.ndarray) -> float:
    """How much variance is lost on the way, as a share of what mixing the two ends by alpha would lose (about 1).

    span: float32[n, P] with its two pure ends. Motion alone loses nothing (about 0).
    """
    first, last = span[0] - span[0].mean(), span[-1] - span[-1].mean()
    a = np.clip(alpha, 0, 1)
    straight = (1 - a) * np.mean(first**2) + a * np.mean(last**2)
    mixed = (1 - a) ** 2 * np.mean(first**2) + a**2 * np.mean(last**2) + 2 * a * (1 - a) * np.mean(first * last)
    return float(np.sum(straight - span.var(-1)) / (np.sum(straight - mixed) + EPS))
