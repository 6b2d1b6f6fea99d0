"""Moves that somebody means while holding the camera by hand, and what moves before a camera that does not shake: none
of it is shake.

Frames are luma, uint8[N, h, w], about 360 px high; `seconds` their times. Everything is a function of its Generator.
"""

from __future__ import annotations

import cv2
import numpy as np
from degrade import SWAYS, defocus, swings

HANDS_HZ = np.arange(0.2, 8.0, 0.2)
UNHURRIED = 2.0  # Hz; above it less and less is left of what hands do


def hands(seconds: np.ndarray, rng: np.random.Generator, rms: float) -> np.ndarray:
    """float[N, 2], widths: how steady hands drift. Power falls with the square of the frequency, above UNHURRIED with
    its fourth power; what is faster than 0.5 Hz has `rms` an axis."""
    gain = 1 / HANDS_HZ * np.minimum(1.0, UNHURRIED / HANDS_HZ)
    gain *= rms / np.sqrt((gain[HANDS_HZ >= 0.5] ** 2).sum() / 2)
    turns = HANDS_HZ[:, None] * seconds[:, None, None] + rng.uniform(0, 1, (len(HANDS_HZ), 2))
    return (gain[:, None] * np.sin(2 * np.pi * turns)).sum(axis=1)


def eased(seconds: np.ndarray, start: float, lasts: float) -> np.ndarray:
    """0 until `start`, 1 from `lasts` seconds later on, with a soft beginning and end."""
    part = np.clip((seconds - start) / lasts, 0, 1)
    return part**2 * (3 - 2 * part)


def orbit(frames: np.ndarray, seconds: np.ndarray, rng: np.random.Generator, rms: float) -> np.ndarray:
    """Around a subject, by hand: what is behind it goes one way, what is before it the other; hands move the near more
    than the far."""
    height, width = frames.shape[1:]
    speed = rng.uniform(0.04, 0.12) * rng.choice([-1, 1])  # of what is behind, widths a second
    start = rng.uniform(0, 0.5)
    way = speed * np.cumsum(eased(seconds, start, rng.uniform(0.4, 1.0)) * np.gradient(seconds))
    sway = hands(seconds, rng, rms)
    covers = [_blobs(rng, height, width, *about) for about in ((3, 0.5, 0.3, 0.5), (5, 0.5, 0.12, 0.9))]
    out = []
    for k, frame in enumerate(frames):
        view = None
        for cover, depth in zip((None, *covers), (1.0, 0.1, -1.0)):
            layer = frame if cover is None else frames[0, ::-1, :: 1 if depth > 0 else -1]
            shift = width * (np.array([depth * way[k], 0]) + sway[k] * (1.2 - 0.3 * depth))
            shown = _shifted(layer, shift, 1.25)
            view = shown if cover is None else _over(view, shown, _shifted(cover, shift, 1.25))
        out.append(view)
    return np.stack(out)


def sweep(frames: np.ndarray, seconds: np.ndarray, rng: np.random.Generator, rms: float) -> np.ndarray:
    """A slow pan by hand with one fast turn of the camera, which goes a little too far and settles."""
    width = frames.shape[2]
    ends = seconds[-1]
    start, lasts = rng.uniform(0.2, 0.5) * ends, rng.uniform(0.4, 0.7)
    far = rng.uniform(0.3, 0.7)
    path = np.zeros((len(seconds), 2))
    path[:, 0] = -0.6 + 0.04 * seconds + far * eased(seconds, start, lasts)
    path[:, 0] -= far * rng.uniform(0, 0.05) * eased(seconds, start + lasts, 0.4)
    path[:, 1] = far * rng.uniform(-0.2, 0.2) * eased(seconds, start, lasts)
    path = (path + hands(seconds, rng, rms)) * width * (rng.choice([-1, 1]), 1)
    return np.stack([_shifted(frame, shift, 2.4) for frame, shift in zip(frames, path)])


def filled(frames: np.ndarray, seconds: np.ndarray, rng: np.random.Generator, rms: float) -> np.ndarray:
    """Somebody close who nods, sways or turns over fills most of the picture, before a soft background under a slow pan
    by hand."""
    height, width = frames.shape[1:]
    behind, sway = defocus(frames, 4.0), hands(seconds, rng, rms)
    sway[:, 0] += rng.uniform(-0.06, 0.06) * seconds
    cover = np.zeros((height, width), np.uint8)
    axes = int(rng.uniform(0.26, 0.36) * width), int(rng.uniform(0.4, 0.48) * height)
    cv2.ellipse(cover, (width // 2, height // 2), axes, 0, 0, 360, 255, -1)
    restless = swings(seconds, rng, (rng.uniform(0.5, 1.0), rng.uniform(1.2, 2.2))) * rng.uniform(0.01, 0.03)
    turns = rng.random() < 0.4
    angle = 360 * eased(seconds, 0.3, rng.uniform(1.0, 1.6)) if turns else 4 * restless[:, 1] / restless.std()
    out = []
    for k, frame in enumerate(behind):
        view = _shifted(frame, width * sway[k], 1.3)
        shift = width * (sway[k] + restless[k])
        there = _shifted(cover, shift, 1.0, float(angle[k]), cv2.BORDER_CONSTANT)
        out.append(_over(view, _shifted(frames[0, ::-1], shift, 1.0, float(angle[k])), there))
    return np.stack(out)


def dashboard(frames: np.ndarray, seconds: np.ndarray, rng: np.random.Generator, rms: float) -> np.ndarray:
    """Out of a car with the camera fixed in it: the road jolts by `rms`, the dashboard and the pillars do not."""
    height, width = frames.shape[1:]
    inside = cv2.addWeighted(np.ascontiguousarray(frames[0, ::-1]), 0.6, frames[0], 0.0, 10.0)
    cover = np.zeros((height, width), np.uint8)
    cover[int(rng.uniform(0.5, 0.65) * height) :] = 255
    for x in (0, width - 1):
        cv2.line(cover, (x, 0), (int(0.8 * x + 0.1 * width), height), 255, int(rng.uniform(0.06, 0.2) * width))
    jolts = swings(seconds, rng, SWAYS["walk"]) * rms * width * (0.3, 1)
    out = [_over(_shifted(f, j, 1.1 * np.exp(0.08 * t)), inside, cover) for f, j, t in zip(frames, jolts, seconds)]
    return np.stack(out)


def _shifted(
    picture: np.ndarray, shift: np.ndarray, zoom: float, degrees: float = 0.0, border: int = cv2.BORDER_REFLECT
) -> np.ndarray:
    height, width = picture.shape
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, zoom)
    matrix[:, 2] += shift
    return cv2.warpAffine(np.ascontiguousarray(picture), matrix, (width, height), borderMode=border)


def _blobs(rng: np.random.Generator, height: int, width: int, count: int, y: float, size: float, spread: float):
    """uint8[h, w]: where so many things of a plane are."""
    cover = np.zeros((height, width), np.uint8)
    for _ in range(count):
        at = int(width * (0.5 + spread * rng.uniform(-0.5, 0.5))), int(height * rng.uniform(y, 0.95))
        cv2.ellipse(cover, at, (int(size * width / 2), int(rng.uniform(1, 2) * size * width / 2)), 0, 0, 360, 255, -1)
    return cover


def _over(view: np.ndarray, part: np.ndarray, cover: np.ndarray) -> np.ndarray:
    share = cover.astype(np.float32) / 255
    return (view * (1 - share) + part * share).round().astype(np.uint8)
