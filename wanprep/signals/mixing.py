"""What tells a dissolve from motion: how well frames fit a mix of two pictures, and their contrast its dip.

Pure: arrays and numbers in, numbers out. Legend: T float32[N, P], one row of P luma values (0..255) a frame; edges
float32[N], energy of each frame's edges.
"""

from __future__ import annotations

import numpy as np

EPS = 1e-6

# Log-odds of a dissolve = BIAS + sum of weight times evidence, a logistic regression on the tuning half of
# tests/benchmarks/bench_cuts.py. Hard limits on each would miss what moves, or take pans for dissolves.
BIAS = 1.3
WEIGHTS = {
    "change": 0.9,  # ln of the RMS luma difference of the ends
    "length": 1.2,  # ln of the frames: long ones agree by chance less easily
    "likeness": -3.6,  # correlation of the ends
    "kept": -12.8,  # share of the picture that hardly changes: titles and panels fading in over a shot
    "outside": -1.15,  # change just outside as a share of that inside: motion goes on, a transition stops
    "uneven": -8.5,  # mean distance of alpha from a steady ramp
    "detour": -0.5,  # how much further than from 0 to 1 alpha travels
    "dip_off": -3.35,  # contrast lost on the way, as a share of the predicted loss: distance from 1
    "contrast_off": -2.7,  # mean distance of the contrast from the predicted curve
    "edges_dip_off": -2.9,  # as dip_off, of the energy of edges
}


def rms(x: np.ndarray) -> np.ndarray:
    return np.sqrt(np.mean(np.square(x), axis=-1))


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.mean(a * b, axis=-1) / (rms(a) * rms(b) + EPS)


def likeness(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Zero-mean correlation of pictures, −1..1: unmoved by brightness and contrast."""
    return cosine(a - a.mean(-1, keepdims=True), b - b.mean(-1, keepdims=True))


def fit(T: np.ndarray, s: int, e: int) -> tuple[np.ndarray, np.ndarray]:
    """alpha[e−s+1] of the mixing model and each frame's residual as a share of the change."""
    D = T[e] - T[s]
    power = np.mean(D * D) + EPS
    X = T[s : e + 1] - T[s]
    alpha = np.mean(X * D, axis=-1) / power
    return alpha, rms(X - alpha[:, None] * D) / np.sqrt(power)


def outside(T: np.ndarray, s: int, e: int, kind: str) -> float:
    """RMS change in as many frames as the transition has, half of them before it and half after.

    Beyond the flat end of a fade nothing is asked: the next fade may begin at once.
    """
    half = max(1, (e - s) // 2)
    before = float(rms(T[s] - T[max(0, s - half)])) if kind != "fade_in" else 0.0
    after = float(rms(T[min(len(T) - 1, e + half)] - T[e])) if kind != "fade_out" else 0.0
    return before + after


def evidence(T: np.ndarray, edges: np.ndarray, s: int, e: int) -> dict[str, float]:
    """What speaks for and against a dissolve between the pure frames s and e; names as in WEIGHTS."""
    D = T[e] - T[s]
    change = float(rms(D))
    alpha, _ = fit(T, s, e)
    variance, at = T[max(0, s - 3) : e + 4].var(-1), s - max(0, s - 3)
    dip = contrast_dip(T[s : e + 1], alpha)
    contrast_off, _ = curve(variance, at, e - s)
    _, edges_dip = curve(edges[max(0, s - 3) : e + 4], at, e - s)
    return {
        "change": np.log(change + 1),
        "length": np.log(e - s),
        "likeness": float(likeness(T[s], T[e])),
        "kept": float(np.mean(np.abs(D) < 0.25 * change)),
        "outside": min(3.0, outside(T, s, e, "dissolve") / change),
        "uneven": float(np.abs(alpha - np.linspace(0, 1, len(alpha))).mean()),
        "detour": min(2.0, float(np.abs(np.diff(alpha)).sum()) - 1),
        "dip_off": min(1.5, abs(dip - 1)),
        "contrast_off": min(1.0, contrast_off),
        "edges_dip_off": min(1.5, abs(edges_dip - 1)),
    }


def curve(values: np.ndarray, start: int, length: int) -> tuple[float, float]:
    """How a contrast (luma variance, energy of edges) runs through a mix, against (1-a)² v0 + a² v1.

    values: float[n], some frames around; start: index of the last pure frame before; length: frames to the first pure
    one after. Returns the mean difference from the prediction as a share of the level, and the dip as a share of the
    predicted one (about 1; motion, pans, zooms: about 0). Motion in both pictures does not disturb it.
    """
    end = start + length
    low, high = float(np.median(values[: start + 1])), float(np.median(values[end:]))
    a = np.linspace(0, 1, length + 1)
    level = (1 - a) * low + a * high
    mixed = (1 - a) ** 2 * low + a**2 * high
    inside = values[start : end + 1]
    return (
        float(np.abs(inside - mixed).mean() / (level.mean() + EPS)),
        float((level - inside).sum() / ((level - mixed).sum() + EPS)),
    )


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
