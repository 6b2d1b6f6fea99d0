"""What the other numbers of the frames say of a span: colour that goes from one tone to another, and a quiet pace.

While two shots mix, the mean colour goes straight from that of the one to that of the other, at the same pace as the
picture and with nothing of the kind beside. It is the mean of the whole frame, so neither motion nor a tiny picture
disturbs it, and light moves luma more than it moves colour. Details are found again from frame to frame all through a
mix, as both shots stay where they are, and histograms creep; a fast camera loses the one and shakes the other.
frame: numbers of each frame by name, float32[N] (`meter.FIELDS`). Pure: arrays in, numbers out.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

STEPS = {"match": 1.0, "content_val": 0.0, "hist_diff": 1.0}  # numbers against the frame before; what stillness has
PARTS = ("inside", "most", "least_beside", "most_beside")
PACES = tuple(f"{name}_{part}" for name in STEPS for part in PARTS)
COLOURS = ("colour", "colour_off", "colour_uneven", "colour_beside")
FAINT = 0.3  # levels of colour that compression moves
CREEP = {"match": 0.02, "content_val": 0.5, "hist_diff": 0.01}  # paces below which nothing is told apart


def colours(frame: Mapping[str, np.ndarray], s: int, e: int) -> dict[str, float]:
    """How far the mean colour of frame e is from that of s, and as shares of that, in logarithms: how far off the
    straight line the frames between are, how uneven their pace is, and what changes as long before or after."""
    n, end = e - s, len(frame["red"]) - 1
    low, high = max(0, s - n), min(end, e + n)
    luma = frame["luma_mean"][low : high + 1]
    tone = np.stack([frame[name][low : high + 1] - luma for name in ("red", "blue")], axis=1).astype(np.float64)
    path = tone[s - low : e - low + 1] - tone[s - low]
    whole = path[-1]
    size = float(np.hypot(*whole))
    along = path @ whole / (size**2 + 1e-6)
    off = np.hypot(*(path - along[:, None] * whole).T).mean()
    uneven = np.hypot(*(path - np.linspace(0, 1, n + 1)[:, None] * whole).T).mean()
    beside = max(np.hypot(*(tone[s - low] - tone[0])), np.hypot(*(tone[-1] - tone[e - low])))
    shares = (float(np.log((part + FAINT) / (size + 2 * FAINT))) for part in (off, uneven, beside))
    return {"colour": float(np.log(size + 0.5)), **dict(zip(COLOURS[1:], shares))}


def paces(frame: Mapping[str, np.ndarray], s: int, e: int) -> dict[str, float]:
    """How fast each of STEPS changes in a span (logarithms), and beside it, on the slower and the faster side, as a
    multiple of that. Where a side is missing the other counts for both; without any there is nothing but stillness."""
    n, end = e - s, len(frame["red"]) - 1
    found: dict[str, float] = {}
    low, high = max(0, s - n), min(end, e + n)
    for name, still in STEPS.items():
        pace = np.abs(np.nan_to_num(frame[name][low : high + 1], nan=still) - still)
        inside, sides = pace[s - low + 1 : e - low + 1], (pace[1 : s - low + 1], pace[e - low + 1 :])
        own, least = inside.mean() + CREEP[name], CREEP[name]
        beside = sorted(side.mean() + least for side in sides if len(side) >= 2) or [least]
        values = own, (inside.max() + least) / own, beside[0] / own, beside[-1] / own
        found |= {f"{name}_{part}": float(np.log(v)) for part, v in zip(PARTS, values)}
    return found
