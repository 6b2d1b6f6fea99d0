"""Made-up pictures of signs, to train the network of wanprep/signals/screens.py with: desktops, print and test cards.
Programs are in programs.py and its neighbours.

Each is uint8[COUNT, h, w, 3] BGR, pictures about half a second apart. Needs the fonts of mark_material.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import cv2
import numpy as np
from ink import Rng
from mark_material import fonts, spelled

COUNT = 5
BARS = np.array([[1, 1, 1], [0, 1, 1], [1, 1, 0], [0, 1, 0], [1, 0, 1], [0, 0, 1], [1, 0, 0], [0, 0, 0]])


def desktop(rng: Rng, windows: Sequence[np.ndarray], wallpapers: Sequence[np.ndarray]) -> np.ndarray:
    """One to six windows (pictures of screens) over a plain ground or a photograph, 1280 to 1920 px wide; one opens."""
    wide = int(rng.choice([1280, 1600, 1920]))
    high = wide * 9 // 16
    view = np.full((high, wide, 3), rng.integers(0, 256, 3), np.uint8)
    if wallpapers and rng.random() < 0.3:
        view = cv2.resize(wallpapers[int(rng.integers(len(wallpapers)))], (wide, high))
    for _ in range(int(rng.choice([1, 2, 3, 4, 6]))):
        _lay(view, windows[int(rng.integers(len(windows)))], rng)
    view[: int(high * rng.choice([0, 0.03, 0.05]))] = rng.integers(0, 256, 3)
    out = np.repeat(view[None], COUNT, axis=0)
    if rng.random() < 0.5:
        late = view.copy()
        _lay(late, windows[int(rng.integers(len(windows)))], rng)
        out[int(rng.integers(1, COUNT)) :] = late
    return out


def _lay(view: np.ndarray, window: np.ndarray, rng: Rng) -> None:
    """Put a window somewhere, partly outside maybe (in place)."""
    scale = float(rng.uniform(1.0, 2.5))
    window = cv2.resize(window, None, fx=scale, fy=scale)
    tall, wide = window.shape[:2]
    y, x = int(rng.integers(-tall // 3, 0.8 * view.shape[0])), int(rng.integers(-wide // 3, 0.8 * view.shape[1]))
    top, left = max(0, -y), max(0, -x)
    place = view[y + top : y + tall, x + left : x + wide]
    place[:] = window[top : top + place.shape[0], left : left + place.shape[1]]


def page(rng: Rng) -> np.ndarray:
    """Print, code or credits on a plain ground: in the middle or from the left, at rest or scrolling."""
    from PIL import Image, ImageDraw, ImageFont

    wide, high = ((640, 360), (854, 480), (1280, 720), (640, 480))[int(rng.integers(4))]
    dark, plain, how = rng.random() < 0.5, rng.random() < 0.4, int(rng.integers(4))
    paper, ink = (rng.integers(0, 50, 3), rng.integers(150, 256, 3))[:: 1 if dark else -1]
    if plain:
        paper, ink = (np.zeros(3, int), np.full(3, 255))[:: 1 if dark else -1]
    picture = Image.new("RGB", (wide, 3 * high), tuple(paper.tolist()))
    draw, size = ImageDraw.Draw(picture), int(high * rng.choice([0.03, 0.04, 0.05, 0.07, 0.09]))
    known = fonts("tune")
    font = ImageFont.truetype(known[int(rng.integers(len(known)))], size)
    left, y = wide * rng.uniform(0.02, 0.2), size if rng.random() < 0.5 else high * rng.uniform(0, 0.8)
    while y < 3 * high - size:
        text = "    " * int(rng.integers(0, 3) if how == 3 else 0)
        text += " ".join(spelled(rng) for _ in range(int(rng.integers(1, 5))))
        share = min(1.0, (0.94 * wide - left) / max(draw.textlength(text, font=font), 1))
        text = text[: max(4, int(share * len(text)))]
        at = (wide - draw.textlength(text, font=font)) / 2 if how == 0 else left
        colour = rng.integers(*((100, 256) if dark else (0, 160)), 3) if how == 3 and rng.random() < 0.5 else ink
        draw.text((at, y), text, fill=tuple(colour.tolist()), font=font)
        y += size * (1.35 if rng.random() < 0.8 else 2.5)
    whole, pace = np.asarray(picture)[..., ::-1], float(rng.choice([0, 0.02, 0.05, 0.1])) * high
    return np.stack([whole[int(pace * k) : int(pace * k) + high] for k in range(COUNT)])


def card(rng: Rng) -> np.ndarray:
    """Colour bars with a foot, a grid with a circle, or a ramp over bars; on most a clock runs."""
    wide, high, kind = 640, 360, int(rng.integers(4))
    view, tones = np.zeros((high, wide, 3), np.uint8), BARS * int(rng.choice([191, 255]))
    if kind < 2:
        foot, ends = int(high * rng.uniform(0.6, 1)), np.linspace(0, wide, int(rng.choice([7, 8])) + 1).astype(int)
        for k, (a, b) in enumerate(itertools.pairwise(ends)):
            view[:foot, a:b], view[foot : foot + (high - foot) // 3, a:b] = tones[k], tones[len(ends) - 2 - k]
        for k in range(5):
            view[foot + (high - foot) // 3 :, k * wide // 5 : (k + 1) * wide // 5] = rng.choice([0, 16, 29, 50, 235])
    elif kind == 2:
        view[:], pitch = rng.integers(40, 200), int(rng.integers(20, 60))
        view[::pitch], view[:, ::pitch] = 255, 255
        cv2.circle(view, (wide // 2, high // 2), int(0.45 * high), (255, 255, 255), 3)
        for k in range(8):
            view[high // 3 : high // 2, wide // 5 + k * wide // 14 : wide // 5 + (k + 1) * wide // 14] = tones[k]
    else:
        view[: high // 2] = np.linspace(0, 255, wide).astype(np.uint8)[None, :, None]
        for k in range(8):
            view[high // 2 :, k * wide // 8 : (k + 1) * wide // 8] = tones[k]
    out, clock = np.repeat(view[None], COUNT, axis=0), rng.random() < 0.6
    x, y = int(rng.integers(20, 400)), int(rng.integers(60, 320))
    for k in range(COUNT if clock else 0):
        cv2.rectangle(out[k], (x - 5, y - 45), (x + 200, y + 10), (0, 0, 0), -1)
        told = f"00:00:{k // 2:02d}:{12 * (k % 2):02d}"
        cv2.putText(out[k], told, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 1, (255, 255, 255), 2, cv2.LINE_AA)
    return out
