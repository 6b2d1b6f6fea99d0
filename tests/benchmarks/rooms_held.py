"""Scenes with signs and straight edges in them that nothing is trained on: planes as in rooms.py, of other kinds."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from desk import Template
from ink import Rng
from rooms import HIGH, WIDE, Plane, before, level, rough, sheet


def keyboard(rng: Rng, stills: Sequence[np.ndarray], templates: Sequence[Template]) -> np.ndarray:
    """Keys with letters on a desk."""
    s = sheet(rng, stills)
    s.image.paste(_image(rng), (0, 0))
    side, body, key = int(rng.uniform(60, 130)), rng.integers(10, 240), rng.integers(10, 245)
    tone, top = (int(key), int(key), int(min(255, key + 4))), int(rng.uniform(0.05, 0.4) * HIGH)
    s.box(40, top - 30, WIDE - 80, 5 * side + 60, (int(body),) * 3, None, 20)
    for row in range(5):
        x = 70 + 0.3 * side * row
        while x < WIDE - 90 - side:
            wide = side * float(rng.choice([1, 1, 1, 1, 1, 1.5, 4 if row == 4 else 1]))
            s.box(x, top + row * side, min(wide, WIDE - 90 - x) - 8, side - 8, tone, None, 10)
            s.text(x + 0.3 * side, top + (row + 0.2) * side, chr(int(rng.integers(65, 91))), s.light(tone))
            x += wide
    return s.pixels().copy()


def _image(rng: Rng) -> object:
    from PIL import Image

    return Image.fromarray(level(rough(rng)))


def lights(rng: Rng, stills: Sequence[np.ndarray], templates: Sequence[Template]) -> np.ndarray:
    """Lamps in the dark, sharp or out of focus, and what they shine upon."""
    out = rough(rng, rng.uniform(4, 40, 3))
    size, soft = float(np.exp(rng.uniform(np.log(4), np.log(70)))), float(rng.choice([0.5, 2, 8]))
    for x, y in rng.uniform(0, 1, (int(rng.integers(8, 160)), 2)) * (WIDE, rng.uniform(0.3, 1) * HIGH):
        tone_ = np.clip(rng.uniform(120, 255, 3) * rng.uniform(0.5, 1.3), 0, 255).tolist()
        cv2.circle(out, (int(x), int(y)), max(2, int(size * rng.uniform(0.5, 1.5))), tone_, -1, cv2.LINE_AA)
    glow = cv2.GaussianBlur(out, (0, 0), 60)
    return level(np.maximum(cv2.GaussianBlur(out, (0, 0), soft), 0.9 * glow))


def offices(rng: Rng, stills: Sequence[np.ndarray], templates: Sequence[Template]) -> np.ndarray:
    """A front of glass from floor to roof, in which the sky is seen, and a strip of sky."""
    tone_, sky = rng.uniform(60, 160) * np.array([0.8, 0.95, 1.1]), rng.uniform(170, 240) * np.array([0.85, 0.95, 1])
    out = cv2.addWeighted(rough(rng, tone_), 0.8, rough(rng, sky), 0.2, 0)
    across, down = int(rng.integers(24, 130)), int(rng.integers(30, 160))
    for y in range(0, HIGH, down):
        for x in range(0, WIDE, across):
            out[y : y + down, x : x + across] *= rng.uniform(0.75, 1.2)
        out[y : y + max(2, down // 10)] = 0.6 * tone_
    out[:, ::across] = out[:, 1::across] = 0.5 * tone_
    out[: int(rng.uniform(0, 0.3) * HIGH)] = sky
    return level(out)


def whiteboard(rng: Rng, stills: Sequence[np.ndarray], templates: Sequence[Template]) -> np.ndarray:
    """A board that somebody writes and draws on, somebody before it."""
    dark = rng.random() < 0.3
    out = rough(rng, rng.uniform(20, 60, 3) if dark else rng.uniform(215, 245) + rng.uniform(-4, 4, 3))
    inks = [tuple(rng.uniform(170, 255, 3) if dark else rng.uniform(0, 140, 3)) for _ in range(3)]
    for _ in range(int(rng.integers(4, 24))):
        x, y, size = rng.uniform(40, WIDE - 400), rng.uniform(40, HIGH - 80), float(rng.uniform(10, 34))
        ink, many = inks[int(rng.integers(3))], int(rng.integers(8, 60))
        path = np.cumsum(rng.normal(0, 1, (many, 2)) * size * (0.5, 1) + (0.45 * size, 0), axis=0)
        path[:, 1] -= path[:, 1].mean() * np.linspace(0, 2, many)
        ends = np.round(path + np.array([x, y])).astype(np.int32)
        cv2.polylines(out, [ends], False, ink, int(rng.integers(3, 8)), cv2.LINE_AA)
        if rng.random() < 0.3:
            cv2.ellipse(out, (int(x), int(y)), (int(6 * size), int(3 * size)), 0, 0, 360, ink, 4, cv2.LINE_AA)
    return before(level(out), rng, stills)


def instruments(rng: Rng, stills: Sequence[np.ndarray], templates: Sequence[Template]) -> np.ndarray:
    """Dials, switches, lamps and labels in rows."""
    s = sheet(rng, stills, letters=int(rng.integers(12, 22)))
    s.image.paste(_image(rng), (0, 0))
    ink, step = s.light(tuple(np.asarray(s.image)[::50, ::50].mean(axis=(0, 1)).astype(int).tolist())), 90
    for y in range(20, HIGH - step, int(rng.integers(100, 180))):
        for x in range(20, WIDE - step, int(rng.integers(90, 170))):
            kind = int(rng.integers(4))
            if kind == 0:
                s.draw.ellipse((x, y, x + 76, y + 76), fill=(20, 20, 22), outline=(190, 190, 190), width=4)
                tip = np.array([x + 38, y + 38]) + 30 * np.array([np.cos(x * y % 7), np.sin(x * y % 7)])
                s.draw.line((x + 38, y + 38, *tip), (240, 240, 240), 4)
            elif kind == 1:
                s.box(x, y, 30, 60, (30, 30, 30), (200, 200, 200), 6)
                s.box(x + 6, y + 6, 18, 26, (120, 120, 120))
            elif kind == 2:
                s.draw.ellipse((x, y + 20, x + 24, y + 44), fill=s.look.tones[(x + y) % 10])
            s.text(x, y + 78, s.words(1, 1), ink, room=90)
    return before(s.pixels().copy(), rng, stills)


HELD_PLANES: dict[str, Plane] = {
    "keyboard": keyboard, "lights": lights, "offices": offices, "whiteboard": whiteboard, "instruments": instruments,
}  # fmt: skip
