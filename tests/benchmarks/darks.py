"""Films of which little is lit, and shots that leave something flat: where a mix or a fade is hard to tell.

`lit`: half of each picture or more is dark, as on a stage, at night or through a porthole, made by darkening footage
with a soft mask; the films are cut and mixed as others are, with the same traps over it. Bare shots begin or end on a
sky, the sea, snow or a wall with hardly anything on it, and the camera zooms or tilts from it to what lies beside.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from edits import Truth, edit, finish
from material import BIG, SEEDS, SIZE, noise_scene

JOINS = {"dissolve": 0.45, "dissolve_eased": 0.15, "hard": 0.2, "fade_black": 0.15, "fade_white": 0.05}
BARE = ("zoom_out", "tilt", "wall", "zoom_in")
H, W = SIZE


def dark(half: str, k: int, pool: Sequence[Path], pictures: Sequence[Path]) -> tuple[np.ndarray, Truth, float]:
    """The k-th film of a half, uint8[n, 144, 256, 3] BGR, its truth, its frame rate: every third is one bare shot, and
    every fourth of the others is seen through a hole that stays."""
    rng = np.random.default_rng([SEEDS[half], k, 21])
    if k % 3 == 2:
        kind = BARE[k // 3 % len(BARE)]
        shot = bare(kind, int(rng.integers(90, 151)), rng, pictures)
        return finish(shot, rng), Truth(traps=[("bare_" + kind, 0, len(shot) - 1)]), 25.0
    floor = float(rng.choice([0, 0, 6, 14]))
    if k % 4:
        return edit(rng, list(pool), joins=JOINS, light=lambda big: lit(big, spots(rng, BIG), floor))
    frames, truth, fps = edit(rng, list(pool), joins=JOINS)
    return lit(frames, spots(rng, SIZE), floor), truth, fps


def lit(shot: np.ndarray, mask: np.ndarray, floor: float) -> np.ndarray:
    """The shot, uint8[n, h, w, 3], where float[h, w] mask is 1, and `floor` (luma 0..255) where it is 0."""
    mask = mask[..., None].astype(np.float32)
    return np.stack([(frame * mask + floor * (1 - mask)).round().astype(np.uint8) for frame in shot])


def spots(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """float[h, w], 0..1: some soft ellipses, or one side; 0 for half to four fifths of the picture."""
    h, w = shape
    y, x = np.mgrid[:h, :w].astype(np.float32) / np.array([h, w], np.float32)[:, None, None]
    if rng.random() < 0.25:
        angle = rng.uniform(0, 2 * np.pi)
        field = np.cos(angle) * (x - 0.5) + np.sin(angle) * (y - 0.5)
    else:
        field = np.full((h, w), -np.inf, np.float32)
        for _ in range(int(rng.integers(1, 4))):
            (cx, cy), (rx, ry) = rng.uniform(0.1, 0.9, 2), rng.uniform(0.1, 0.4, 2)
            field = np.maximum(field, -np.hypot((x - cx) / rx, (y - cy) / ry))
    edge = np.quantile(field, rng.uniform(0.5, 0.8))
    return np.clip((field - edge) / (rng.uniform(0.1, 0.7) * (field.max() - edge)), 0, 1)


def bare(kind: str, n: int, rng: np.random.Generator, pictures: Sequence[Path]) -> np.ndarray:
    """uint8[n, 144, 256, 3]: from something flat, with a small thing in it, to the scene beside, or back."""
    import cv2

    scene = np.load(pictures[int(rng.integers(len(pictures)))]) if pictures else noise_scene(rng, 1)[0]
    scene = cv2.resize(scene, (1280, 720))
    tone = rng.uniform(90, 235) + rng.normal(0, 12, 3)
    fall = np.linspace(-1, 1, 1440)[:, None, None] * rng.uniform(0, 12)
    flat = np.broadcast_to(np.clip(tone + fall, 0, 255), (1440, 1280, 3)).astype(np.float32)
    soft = 1 if kind == "wall" else int(rng.integers(1, 120))
    canvas = np.concatenate([flat, scene.astype(np.float32)])
    ramp = np.linspace(0, 1, soft)[:, None, None]
    canvas[1440 : 1440 + soft] = canvas[1440 : 1440 + soft] * ramp + canvas[1439] * (1 - ramp)
    start = np.array([640.0, rng.uniform(700, 1150)])
    if rng.random() < 0.7:  # a plane, a bird, a switch
        axes = tuple(int(v) for v in rng.uniform(4, 30, 2))
        spot = int(start[0] + rng.uniform(-60, 60)), int(start[1] + rng.uniform(-40, 40))
        cv2.ellipse(canvas, spot, axes, rng.uniform(0, 180), 0, 360, tuple(rng.uniform(0, 255, 3).tolist()), -1)
    away, few = int(rng.integers(10, n // 2)), int(rng.integers(12, 70))
    way = ((1 - np.cos(np.pi * np.clip((np.arange(n) - away) / few, 0, 1))) / 2) ** rng.uniform(1, 4)
    if rng.random() < 0.3:
        way = way[::-1]
    first, last = rng.uniform(0.2, 0.5) * 1280, rng.uniform(0.6, 0.98) * 1280
    if kind in ("tilt", "wall"):
        first = last
    end = np.array([640.0, 2160 - 0.5 * last * H / W if kind != "zoom_out" else rng.uniform(1400, 1700)])
    hands = np.cumsum(rng.normal(0, rng.uniform(0, 1.5), (n, 2)), axis=0)
    y, x = np.mgrid[-1 : 1 : H * 1j, -1 : 1 : W * 1j]
    lens = (1 - rng.uniform(0, 0.15) * (x**2 + y**2) / 2)[..., None]
    out = np.empty((n, H, W, 3), np.uint8)
    for t, w in enumerate(way):
        size = np.exp((1 - w) * np.log(first) + w * np.log(last)) / W  # pixels of the canvas for one that is shown
        across, down = (1 - w) * start + w * end + hands[t]
        down = min(down, 2160 - size * H / 2)
        matrix = np.array([[size, 0, across - size * W / 2], [0, size, down - size * H / 2]])
        flags = cv2.INTER_AREA | cv2.WARP_INVERSE_MAP
        shown = cv2.warpAffine(canvas, matrix, (W, H), flags=flags, borderMode=cv2.BORDER_REFLECT)
        out[t] = np.clip(shown * lens, 0, 255)
    return out
