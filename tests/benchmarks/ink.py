"""What drawn scenes are drawn with: outlined shapes, lines and lettering over BGR pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from movers import placed

WIDTH, HEIGHT = 512, 288  # of the pictures that marks are drawn on
FINE = 4  # binary places of what is drawn: things move by parts of a pixel
Rng = np.random.Generator
Word = Callable[[], np.ndarray]  # gives lettering, uint8[h, w]
Tone = tuple[int, ...]


def tone(rng: Rng, low: float = 0, high: float = 255) -> Tone:
    return tuple(int(v) for v in rng.uniform(low, high, 3))


def fill(view: np.ndarray, points: np.ndarray, colour: Tone, ink: Tone, thick: int) -> None:
    """A polygon (float[n, 2], across and down), with an outline where it is thick (in place)."""
    fine = [np.round(np.clip(points, -2000, 3000) * 2**FINE).astype(np.int32)]
    cv2.fillPoly(view, fine, colour, cv2.LINE_AA, FINE)
    if thick:
        cv2.polylines(view, fine, True, ink, thick, cv2.LINE_AA, FINE)


def line(view: np.ndarray, points: np.ndarray, colour: Tone, thick: int, closed: bool = False) -> None:
    fine = [np.round(np.clip(points, -2000, 3000) * 2**FINE).astype(np.int32)]
    cv2.polylines(view, fine, closed, colour, max(1, thick), cv2.LINE_AA, FINE)


def blob(rng: Rng, wide: float, tall: float, rough: float | None = None) -> np.ndarray:
    """float[n, 2]: something round, or with few or many corners, about the origin."""
    rough = float(rng.choice([0.0, 0.06, 0.15])) if rough is None else rough
    if rng.random() < 0.3:
        corners = int(rng.integers(3, 7))
        turn = np.sort(rng.uniform(0, 2 * np.pi, corners)) if rough > 0.1 else np.arange(corners) * 2 * np.pi / corners
        return np.stack([wide * np.cos(turn + 0.4), tall * np.sin(turn + 0.4)], axis=1)
    turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    far = 1 + sum(rough / k * np.sin(k * turn + rng.uniform(0, 6.3)) * rng.normal() for k in range(2, 7))
    return np.stack([wide * far * np.cos(turn), tall * far * np.sin(turn)], axis=1)


def turned(points: np.ndarray, angle: float, pivot: np.ndarray) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return (points - pivot) @ np.array([[c, s], [-s, c]]) + pivot


def label(view: np.ndarray, word_hw: np.ndarray, at: Sequence[float], tall: float, colour: Tone) -> None:
    """Lettering around a place (across and down), so high (in place)."""
    high = max(5, int(tall))
    wide = max(3, min(WIDTH // 2, word_hw.shape[1] * high // word_hw.shape[0]))
    part = cv2.resize(word_hw, (wide, high), interpolation=cv2.INTER_AREA)
    for plane, level in enumerate(colour):
        placed(view[..., plane], part, np.array([at[1] - high / 2, at[0] - wide / 2]), 1.0, float(level))
