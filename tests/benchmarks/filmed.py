"""Planes (rooms.py) before a camera, and what is laid over films: pictures that are none of a screen."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from ink import Rng
from rooms import level, sheet


def filmed(
    plane: np.ndarray, rng: Rng, count: int, size: tuple[int, int] = (640, 360), apart: float = 0.5
) -> np.ndarray:
    """uint8[count, h, w, 3] RGB: what a camera sees of a plane, pictures so many seconds apart."""
    wide, high = size
    tilt, turn, roll = rng.uniform(-1, 1, 3) * float(rng.choice([0.02, 0.3, 0.6])) * (0.7, 1, 0.25)
    near, held = float(rng.uniform(1.0, 1.6)), rng.random() < 0.7
    sway, drift = 0.01 * float(rng.uniform(0.2, 1)) * held, rng.normal(0, 0.02, 3) * (rng.random() < 0.5)
    soft, grain = float(rng.choice([0.4, 0.7, 1.0, 1.6])), float(rng.choice([0.3, 0.7, 1.5, 3, 5]))
    out = []
    for k in range(count):
        t = k * apart
        aim = rng.normal(0, sway, 2) + drift[:2] * t
        view = _seen(plane, size, (tilt, turn, roll + rng.normal(0, sway)), near * np.exp(drift[2] * t), aim)
        out.append(cv2.GaussianBlur(view, (0, 0), soft * high / 360).astype(np.float32))
    shade = _light(rng, wide, high)
    still = rng.normal(0, grain, (high, wide, 1))
    moving = [rng.normal(0, grain, (high, wide, 1)) for _ in out]
    noise = [0.3 * still + n for n in moving]
    return np.stack([level(view * shade + n) for view, n in zip(out, noise)])


def _seen(
    plane: np.ndarray, size: tuple[int, int], angles: Sequence[float], near: float, aim: np.ndarray
) -> np.ndarray:
    """The plane before a camera that is tilted, turned and rolled (radians); near: 1 fills the view from the front."""
    (wide, high), (h, w) = size, plane.shape[:2]
    (a, b, c), focal = angles, 1.3 * wide
    turn = cv2.Rodrigues(np.array([a, 0.0, 0.0]))[0] @ cv2.Rodrigues(np.array([0.0, b, 0.0]))[0]
    turn = turn @ cv2.Rodrigues(np.array([0.0, 0.0, c]))[0]
    scale = max(wide / w, high / h)
    corners = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float64)
    places = np.c_[(corners - (w / 2, h / 2)) * scale - aim * wide, np.zeros(4)] @ turn.T
    places[:, 2] += focal / near
    there = focal * places[:, :2] / places[:, 2:] + (wide / 2, high / 2)
    matrix = cv2.getPerspectiveTransform(corners.astype(np.float32), there.astype(np.float32))
    shrunk = cv2.GaussianBlur(plane, (0, 0), max(0.01, 0.4 / (scale * near)))
    return cv2.warpPerspective(shrunk, matrix, (wide, high), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def captioned(pictures: np.ndarray, rng: Rng, stills: Sequence[np.ndarray]) -> np.ndarray:
    """uint8[n, h, w, 3] RGB: the pictures with what is laid over films and games: names, counters, bars."""
    high, wide = pictures.shape[1:3]
    s = sheet(rng, stills, 400, 200, int(high * rng.uniform(0.03, 0.07)))
    out = pictures.copy()
    for _ in range(int(rng.choice([1, 1, 2, 3, 4]))):
        part = s.more(
            rng.uniform(0.08, 0.45) * wide, rng.uniform(0.05, 0.16) * high, s.look.tones[int(rng.integers(10))]
        )
        kind = int(rng.integers(4))
        if kind < 2:
            part.print(0.3 * s.unit, 0.2 * s.unit, part.wide, part.high, s.light(s.look.tones[0]), gap=1.2)
        elif kind == 2:
            part.box(2, 2, part.wide * rng.uniform(0.1, 0.9), part.high - 4, s.look.accent)
        else:
            part.icons(2, 2, max(1, part.wide // max(4, part.high)), part.high - 4, part.high)
        y, x = (int(rng.choice([0.03, 0.97, 0.94, 0.5]) * (room - side)) for room, side in
                zip((high, wide), (part.high, part.wide)))  # fmt: skip
        cover = np.full((part.high, part.wide, 1), 1.0 if rng.random() < 0.5 else 0.6)
        if kind < 2 and rng.random() < 0.5:  # lettering alone
            part.box(0, 0, part.wide, part.high, (0, 0, 0))
            part.print(0.3 * s.unit, 0.2 * s.unit, part.wide, part.high, (250, 250, 250), gap=1.2)
            cover = part.pixels()[..., :1] / 255
        place = out[:, y : y + part.high, x : x + part.wide]
        place[:] = place * (1 - cover) + part.pixels() * cover
    return out


def _light(rng: Rng, wide: int, high: int) -> np.ndarray:
    """float32[high, wide, 3]: light from one side, darker corners, shadows, of some colour."""
    rows, columns = np.mgrid[:high, :wide].astype(np.float32) / high
    way, fall = rng.uniform(0, 2 * np.pi), float(rng.uniform(0.05, 0.5))
    shade = 1 + fall * ((columns - wide / high / 2) * np.cos(way) + (rows - 0.5) * np.sin(way))
    shade -= float(rng.uniform(0, 0.25)) * ((columns - wide / high / 2) ** 2 + (rows - 0.5) ** 2)
    for _ in range(int(rng.integers(0, 3))):
        edge = rows * float(rng.normal()) + columns * float(rng.normal()) + float(rng.normal(0, 0.4))
        shade *= 1 - float(rng.uniform(0.1, 0.5)) / (
            1 + np.exp(np.clip(-edge / float(rng.uniform(0.01, 0.2)), -30, 30))
        )
    lit = float(np.exp(rng.uniform(np.log(0.08), 0.05)) if rng.random() < 0.4 else rng.uniform(0.6, 1.1))
    return (shade * lit)[..., None] * rng.uniform(0.85, 1.1, 3).astype(np.float32)
