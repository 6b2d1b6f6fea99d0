"""Wipes of every usual kind: the new shot takes the place of the old one part by part, or pushes it out."""

from __future__ import annotations

import numpy as np
from material import SIZE

SWEEPS = (
    *("left", "right", "up", "down", "diagonal", "diagonal_back", "clock", "iris_out", "iris_in", "doors_open"),
    *("doors_close", "doors_flat", "blinds"),
)
SLIDES = ("push", "cover", "reveal")
EDGES, SOFT = (0.0, 0.0, 0.05, 0.15), (0.1, 0.3, 0.6, 1.0, 1.5)
H, W = SIZE


def arrival(kind: str, rng: np.random.Generator) -> np.ndarray:
    """float32[H, W], 0..1: when the new picture arrives at each place."""
    y, x = np.mgrid[0:H, 0:W].astype(np.float32)
    y, x = y / (H - 1), x / (W - 1)
    middle = np.hypot(x - 0.5, (y - 0.5) * H / W)
    maps = {
        "left": 1 - x, "right": x, "up": 1 - y, "down": y, "diagonal": (x + y) / 2, "diagonal_back": (1 - x + y) / 2,
        "clock": (np.arctan2(x - 0.5, 0.5 - y) / (2 * np.pi)) % 1, "iris_out": middle / middle.max(),
        "iris_in": 1 - middle / middle.max(), "doors_open": 2 * np.abs(x - 0.5), "doors_close": 1 - 2 * np.abs(x - 0.5),
        "doors_flat": 2 * np.abs(y - 0.5), "blinds": (y * int(rng.integers(4, 8))) % 1,
    }  # fmt: skip
    found = maps[kind]
    return 1 - found if kind in ("diagonal", "diagonal_back") and rng.random() < 0.5 else found


def wipe(
    old: np.ndarray, new: np.ndarray, kind: str, rng: np.random.Generator, edges: tuple[float, ...] = EDGES
) -> np.ndarray:
    """uint8[n, H, W, 3]: the n frames that show both of old and new (each of n frames). edges: how much of its way an
    edge may cover while it passes."""
    n = len(old)
    times = (np.arange(n) + 1) / (n + 1)
    if rng.random() < 0.3:
        times = (1 - np.cos(np.pi * times)) / 2
    if kind in SLIDES:
        return slide(old, new, kind, times, rng)
    soft = rng.choice(edges)
    when = arrival(kind, rng)
    smooth = edges == SOFT and rng.random() < 0.5
    out = np.empty_like(old)
    for k, t in enumerate(times):
        share = np.clip((t * (1 + soft) - when) / max(soft, 1e-3), 0, 1)[..., None]
        share = share * share * (3 - 2 * share) if smooth else share
        out[k] = (old[k] * (1 - share) + new[k] * share).round()
    return out


def slide(old: np.ndarray, new: np.ndarray, kind: str, times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    axis, back = int(rng.integers(1, 3)), bool(rng.random() < 0.5)
    size = old.shape[axis]
    out = np.empty_like(old)
    for k, t in enumerate(times):
        a, b = (np.flip(part[k], axis - 1) if back else part[k] for part in (old, new))
        edge = round(t * size)
        kept, come = np.take(a, range(size - edge), axis - 1), np.take(b, range(size - edge, size), axis - 1)
        if kind in ("push", "reveal"):  # the old picture leaves
            kept = np.take(a, range(edge, size), axis - 1)
        if kind in ("push", "cover"):  # the new one comes in, its first edge first
            come = np.take(b, range(edge), axis - 1)
        joined = np.concatenate([kept, come], axis - 1)
        out[k] = np.flip(joined, axis - 1) if back else joined
    return out
