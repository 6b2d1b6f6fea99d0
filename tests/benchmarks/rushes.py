"""Innocent things that change the light of a picture quickly: what passes close to the camera, comes in and stays, and
a camera that flies into a window, turns or zooms fast. No light jumps in them.

Frames are luma, uint8[N, h, w]; `seconds` their times. Everything is a function of its Generator.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from degrade import panned

Rng = np.random.Generator
PACE = 0.3  # widths a second: of the camera behind things that pass


def _other(frames: np.ndarray, rng: Rng) -> np.ndarray:
    """float32[h, w]: a still of the same clip upside down, much brighter or darker: the looks of another thing."""
    still = frames[int(rng.integers(len(frames)))][::-1].astype(np.float32)
    still = cv2.GaussianBlur(still, (0, 0), rng.uniform(0.5, 6))
    goal = rng.uniform(10, 60) if frames.mean() > rng.uniform(60, 140) else rng.uniform(150, 230)
    return np.clip((still - still.mean()) * rng.uniform(0.2, 0.8) + goal, 0, 255)


def _outline(rng: Rng, height: int, width: int) -> np.ndarray:
    """float32[height, width], 0..1: an ellipse, or a thing with four to nine corners, with soft edges."""
    mask, kind = np.zeros((height, width), np.float32), int(rng.integers(3))
    x, y = width / 2, height / 2
    if kind == 0:
        cv2.ellipse(mask, (int(x), int(y)), (int(0.46 * width), int(0.46 * height)), 0, 0, 360, 1, -1)
    else:
        angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(4, 10)) if kind == 1 else 4))
        far = 0.48 * rng.uniform(0.6, 1, len(angles))
        points = np.stack([x + far * width * np.cos(angles), y + far * height * np.sin(angles)], axis=1)
        cv2.fillPoly(mask, [points.astype(np.int32)], 1.0)
    return cv2.GaussianBlur(mask, (0, 0), rng.uniform(1, 8))


def _passing(frames: np.ndarray, rng: Rng, size: float, start: float, few: int, ends: float = 1.0) -> np.ndarray:
    """A thing `size` heights tall crosses within `few` frames from frame `start`; of ends = 0.5 it stops half way."""
    n, height, width = frames.shape
    tall, wide = int(size * height), int(size * height * rng.uniform(0.6, 1.8))
    look, mask = cv2.resize(_other(frames, rng), (wide, tall)), _outline(rng, tall, wide)
    angle = rng.choice([0, np.pi]) + rng.uniform(-0.6, 0.6)
    way = np.array([np.cos(angle), np.sin(angle)]) * (width + wide)
    middle = np.array([width / 2, height * rng.uniform(0.3, 0.7)])
    smear, out = int(abs(way[0]) / few * rng.uniform(0, 0.6)) | 1, frames.copy()
    for k in range(n):
        part = np.clip((k - start) / few, 0, ends) - 0.5
        if not 0 < part + 0.5 < 1:
            continue
        x, y = middle + part * way - (wide / 2, tall / 2)
        place = np.array([[1, 0, x], [0, 1, y]])
        drawn, cover = (cv2.warpAffine(it, place, (width, height)) for it in (look * mask, mask))
        if 0 < k - start < few and smear > 1:
            drawn, cover = (cv2.blur(it, (smear, 1)) for it in (drawn, cover))
        out[k] = np.clip(out[k] * (1 - cover) + drawn, 0, 255)
    return out


def sweeps(frames: np.ndarray, seconds: np.ndarray, rng: Rng) -> np.ndarray:
    """Two large things cross the picture close to the camera, each within 3 to 8 frames."""
    out = panned(frames, seconds, rng, PACE)
    for part in (0.3, 0.7):
        out = _passing(out, rng, rng.uniform(0.7, 1.6), part * len(out) + rng.uniform(-4, 4), int(rng.integers(3, 9)))
    return out


def leaves(frames: np.ndarray, seconds: np.ndarray, rng: Rng) -> np.ndarray:
    """Many smaller things cross, several at once."""
    out = panned(frames, seconds, rng, PACE)
    for _ in range(14):
        out = _passing(out, rng, rng.uniform(0.25, 0.8), rng.uniform(0, len(out)), int(rng.integers(4, 14)))
    return out


def enters(frames: np.ndarray, seconds: np.ndarray, rng: Rng) -> np.ndarray:
    """Something comes in within 3 to 10 frames of its whole way, covers up to half of the picture, and stays."""
    out = panned(frames, seconds, rng, PACE)
    return _passing(out, rng, rng.uniform(0.7, 1.2), len(out) * rng.uniform(0.3, 0.6), int(rng.integers(3, 11)), 0.5)


def door(frames: np.ndarray, seconds: np.ndarray, rng: Rng) -> np.ndarray:
    """A door opens within 3 to 8 frames on what is much brighter or darker, a quarter to half of the picture."""
    out = panned(frames, seconds, rng, PACE)
    look, (n, height, width) = _other(frames, rng), out.shape
    few, start, wide = int(rng.integers(3, 9)), int(n * rng.uniform(0.3, 0.6)), rng.uniform(0.25, 0.5)
    left, top = int(width * rng.uniform(0, 1 - wide)), int(height * rng.uniform(0, 0.2))
    for k in range(start, n):
        right = left + int(width * wide * min(1, (k - start + 1) / few))
        out[k, top:, left:right] = look[top:, left:right]
    return out


def window(frames: np.ndarray, seconds: np.ndarray, rng: Rng) -> np.ndarray:
    """The camera flies into a window within 10 to 24 frames: what is behind it grows until it is all."""
    n, height, width = frames.shape
    look = _other(frames, rng).astype(np.uint8)
    x, y = rng.uniform(0.3, 0.7, 2) * (width, height)
    few, start, small = int(rng.integers(10, 25)), int(n * rng.uniform(0.1, 0.4)), rng.uniform(0.06, 0.15)
    out = []
    for k, frame in enumerate(frames):
        grown = np.exp(np.log(1.3 / small) * np.clip((k - start) / few, 0, 1)) * np.exp(0.002 * k)
        at = np.array([x, y]) + (np.array([width, height]) / 2 - (x, y)) * (1 - 1 / grown)
        outer = np.array([[grown, 0, at[0] - grown * x], [0, grown, at[1] - grown * y]])
        view = cv2.warpAffine(frame, outer, (width, height))
        size = small * grown
        inner = np.array([[size, 0, at[0] - size * width / 2], [0, size, at[1] - size * height / 2]])
        cover = cv2.warpAffine(np.ones_like(look), inner, (width, height)) > 0
        out.append(np.where(cover, cv2.warpAffine(look, inner, (width, height)), view))
    return np.stack(out)


def _flown(frames: np.ndarray, path_N3: np.ndarray, smear: float) -> np.ndarray:
    """A camera over a canvas of the frame and the same mirrored, brighter from left to right. path: x, y of the
    middle in widths and heights of a frame, and the magnification."""
    height, width = frames.shape[1:]
    out = []
    light = np.linspace(0.45, 1.3, 3 * width, dtype=np.float32)
    for k, (frame, (x, y, scale)) in enumerate(zip(frames, path_N3)):
        canvas = np.concatenate([frame[:, ::-1], frame, frame[:, ::-1]], axis=1) * light
        to = (width / 2 - scale * (x + 1) * width, height / 2 - scale * y * height)
        matrix = np.array([[scale, 0, to[0]], [0, scale, to[1]]])
        view = cv2.warpAffine(canvas, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)
        moved = int(abs(path_N3[k, 0] - path_N3[max(0, k - 1), 0]) * scale * width * smear) | 1
        out.append(np.clip(cv2.blur(view, (moved, 1)), 0, 255).astype(np.uint8))
    return np.stack(out)


def _eased(n: int, start: float, few: int) -> np.ndarray:
    return (1 - np.cos(np.pi * np.clip((np.arange(n) - start) / few, 0, 1))) / 2


def whip(frames: np.ndarray, seconds: np.ndarray, rng: Rng) -> np.ndarray:
    """The camera turns by 0.5 to 1.2 widths within 4 to 12 frames, there and on; one side is three times brighter."""
    n, side = len(frames), rng.choice([-1, 1])
    far = rng.uniform(0.5, 1.2)
    x = 0.5 + side * far * (_eased(n, n * rng.uniform(0.2, 0.5), int(rng.integers(4, 13))) - 0.5)
    return _flown(frames, np.stack([x, np.full(n, 0.5), np.full(n, 1.2)], axis=1), rng.uniform(0, 0.6))


def turns(frames: np.ndarray, seconds: np.ndarray, rng: Rng) -> np.ndarray:
    """The camera looks about all the time, up to two widths a second, with sudden changes of pace."""
    n = len(frames)
    knots = np.cumsum(rng.normal(0, 0.45, int(rng.integers(5, 9))))
    x = np.interp(np.linspace(0, len(knots) - 1, n), np.arange(len(knots)), knots)
    x = 0.5 + np.clip(x - x.mean(), -1, 1)
    return _flown(frames, np.stack([x, 0.5 + 0.1 * np.sin(np.arange(n) / 5), np.full(n, 1.3)], axis=1), 0.4)


def crash_zoom(frames: np.ndarray, seconds: np.ndarray, rng: Rng) -> np.ndarray:
    """1.8 to 3.5 times within 4 to 10 frames, in or out, on a place away from the middle."""
    n = len(frames)
    part = _eased(n, n * rng.uniform(0.2, 0.6), int(rng.integers(4, 11)))
    part = part if rng.random() < 0.5 else 1 - part
    x, y = rng.uniform(-0.2, 1.2), rng.uniform(0.25, 0.75)
    scale = np.exp(np.log(rng.uniform(1.8, 3.5)) * part)
    return _flown(frames, np.stack([0.5 + (x - 0.5) * part, 0.5 + (y - 0.5) * part, scale], axis=1), 0.0)


def flight(frames: np.ndarray, seconds: np.ndarray, rng: Rng) -> np.ndarray:
    """The camera flies past thirty boards and turns its head a little; some fill the picture before they are gone."""
    n, height, width = frames.shape
    count, corners = 30, np.array([[0, 0], [128, 0], [128, 96], [0, 96]], np.float32)
    looks = [cv2.resize(_other(frames, rng), (128, 96)).astype(np.uint8) for _ in range(8)]
    x, y, z, tilt = (rng.uniform(a, b, count) for a, b in ((-8, 8), (-4, 4), (1, 40), (-0.9, 0.9)))
    wide, tall = rng.uniform(0.6, 3, (2, count))
    pace, yaw = rng.uniform(0.1, 0.6), np.cumsum(rng.normal(0, 0.01, n)) * rng.choice([0, 1, 2])
    side = np.array([-1, 1, 1, -1]) / 2
    out = []
    for k, frame in enumerate(frames):
        view = cv2.GaussianBlur(frame, (0, 0), 3)
        for i in np.argsort(-z):
            right, ahead = x[i] + side * wide[i] * np.cos(tilt[i]), z[i] - pace * k + side * wide[i] * np.sin(tilt[i])
            across = np.cos(yaw[k]) * right - np.sin(yaw[k]) * ahead
            far = np.sin(yaw[k]) * right + np.cos(yaw[k]) * ahead
            if far.min() < 0.35:
                continue
            down = y[i] + np.array([-1, -1, 1, 1]) * tall[i] / 2
            seen = np.stack([across / far + 0.5, down / far + 0.5 * height / width], axis=1) * width
            cover = cv2.fillConvexPoly(np.zeros_like(frame), np.clip(seen, -3e4, 3e4).astype(np.int32), 1)
            matrix = cv2.getPerspectiveTransform(corners, seen.astype(np.float32))
            drawn = cv2.warpPerspective(looks[i % 8], matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
            view = np.where(cover > 0, drawn, view)
        out.append(view)
    return np.stack(out)


KINDS: dict[str, Callable[[np.ndarray, np.ndarray, Rng], np.ndarray]] = {
    "things sweep past": sweeps,
    "leaves sweep past": leaves,
    "a thing comes in": enters,
    "a door opens": door,
    "flight into a window": window,
    "whip pan": whip,
    "looking about": turns,
    "crash zoom": crash_zoom,
    "flight among things": flight,
}
