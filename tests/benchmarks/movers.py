"""Things that move through pictures, to train and to try with: made-up logos, vehicles, people and birds."""

from __future__ import annotations

import cv2
import numpy as np

Look = tuple[np.ndarray, np.ndarray]  # uint8[h, w] tones, uint8[h, w] how far they cover what is behind


def placed(x_hw: np.ndarray, part_HW: np.ndarray, at: np.ndarray, cover: float, level: float) -> None:
    """Draw a part with its upper left corner at (row, column), `cover` of `level` where it is 255 (in place)."""
    top, left = (round(float(v)) for v in at)
    y0, x0 = max(top, 0), max(left, 0)
    y1, x1 = min(top + part_HW.shape[0], x_hw.shape[0]), min(left + part_HW.shape[1], x_hw.shape[1])
    if y0 < y1 and x0 < x1:
        share = part_HW[y0 - top : y1 - top, x0 - left : x1 - left].astype(np.float32) * (cover / 255)
        x_hw[y0:y1, x0:x1] = (x_hw[y0:y1, x0:x1] * (1 - share) + level * share + 0.5).astype(np.uint8)


def logo(rng: np.random.Generator, word_HW: np.ndarray) -> np.ndarray:
    """uint8[h, w]: outlines and shapes with something cut out of them; never one plain shape."""
    side = int(np.exp(rng.uniform(np.log(18), np.log(84))))
    s = 4 * side  # drawn larger, then shrunk: thin lines stay smooth
    out = np.zeros((s, int(s * rng.choice([1.0, 1.0, 1.4, 2.0]))), np.uint8)
    _shape(rng, out, 1.0, 255, fill=(filled := rng.random() < 0.4))
    for turn in range(int(rng.integers(1, 4))):
        tone = 0 if filled and (turn == 0 or rng.random() < 0.5) else 255
        if rng.random() < 0.3:
            _letters(rng, out, word_HW, tone)
        else:
            _shape(rng, out, float(rng.uniform(0.25, 0.75)), tone, fill=filled and rng.random() < 0.5)
    return cv2.resize(out, (max(4, out.shape[1] // 4), side), interpolation=cv2.INTER_AREA)


def _shape(rng: np.random.Generator, out: np.ndarray, size: float, tone: int, *, fill: bool) -> None:
    height, width = out.shape
    b, a = 0.46 * size * height, 0.46 * size * width
    y, x = (int(v * (0.5 + (rng.uniform(-0.12, 0.12) if size < 0.7 else 0))) for v in (height, width))
    thick, kind = -1 if fill else max(3, int(height * rng.uniform(0.04, 0.14))), int(rng.integers(6))
    reach = int(b), int(a)
    if kind == 0:
        cv2.ellipse(out, (x, y), (reach[1], reach[0]), 0, 0, 360, tone, thick)
    elif kind == 1:
        cv2.rectangle(out, (x - reach[1], y - reach[0]), (x + reach[1], y + reach[0]), tone, thick)
    elif kind == 2:
        first, last = np.cumsum([rng.uniform(0, 360), rng.uniform(90, 300)]).tolist()
        cv2.ellipse(out, (x, y), (reach[1], reach[0]), 0, first, last, tone, abs(thick) + 4)
    elif kind == 3:
        angle = rng.uniform(0, np.pi)
        step = np.array([a * np.cos(angle), b * np.sin(angle)])
        for k in range(int(rng.integers(1, 4))):
            shift = (k - 1) * 0.35 * np.array([-step[1], step[0]])
            ends = [tuple((np.array([x, y]) + shift + sign * step).astype(int).tolist()) for sign in (-1, 1)]
            cv2.line(out, ends[0], ends[1], tone, max(3, abs(thick)))
    else:
        count = int(rng.integers(3, 11))
        if kind == 4:
            angles, far = np.sort(rng.uniform(0, 2 * np.pi, count)), rng.uniform(0.5, 1, count)
        else:
            spikes = np.arange(2 * count)
            angles, far = spikes * np.pi / count, np.where(spikes % 2, rng.uniform(0.3, 0.9), 1.0)
        points = np.stack([x + a * far * np.cos(angles), y + b * far * np.sin(angles)], axis=1).astype(np.int32)
        cv2.fillPoly(out, [points], tone) if fill else cv2.polylines(out, [points], True, tone, abs(thick))


def _letters(rng: np.random.Generator, out: np.ndarray, word_HW: np.ndarray, tone: int) -> None:
    height, width = out.shape
    wide = int(min(word_HW.shape[1], word_HW.shape[0] * rng.uniform(0.8, 3)))
    part = cv2.resize(word_HW[:, :wide], (int(0.7 * width), int(0.5 * height)), interpolation=cv2.INTER_LINEAR)
    placed(out, part, np.array([0.25 * height, 0.15 * width]), 1.0, float(tone))


def vehicle(rng: np.random.Generator, word_HW: np.ndarray | None) -> Look:
    """A car, van, bus or lorry from the side, or any of them from above; a name on it, if there is one."""
    wide = int(np.exp(rng.uniform(np.log(40), np.log(260))))
    tall = max(16, int(wide * rng.uniform(0.25, 0.6)))
    body, inside = rng.uniform(20, 235, 2)
    ramp = body + np.linspace(-1, 1, tall)[:, None] * rng.uniform(-40, 40) + np.zeros((1, wide))
    tones, cover = np.clip(ramp, 0, 255).astype(np.uint8), np.zeros((tall, wide), np.uint8)
    deck, above = int(tall * rng.uniform(0.3, 0.5)), rng.random() < 0.25
    floor = tall - 1 if above else int(tall * 0.86)
    cv2.rectangle(cover, (0, 0 if above else deck), (wide - 1, floor), 255, -1)
    left, right = sorted(int(v) for v in rng.uniform(0.02, 0.98, 2) * wide)
    right = max(right, left + wide // 4)
    slant = int(rng.uniform(0, 0.15) * wide)
    cabin = np.array([[left, deck], [left + slant, 1], [right - slant, 1], [right, deck]])
    cv2.fillPoly(cover, [cabin], 255)
    for k in range(count := int(rng.integers(1, 6))):
        a = left + slant + (right - left - 2 * slant) * k // count
        b = left + slant + (right - left - 2 * slant) * (k + 1) // count - max(1, wide // 60)
        cv2.rectangle(tones, (a, 2 + tall // 12), (max(a, b), deck - tall // 16), int(inside), -1)
    if not above:
        for x in (0.2, 0.8):
            hub = int(wide * x), floor
            cv2.circle(cover, hub, int(tall * 0.14), 255, -1)
            cv2.circle(tones, hub, int(tall * 0.14), int(rng.uniform(0, 60)), -1)
            cv2.circle(tones, hub, int(tall * 0.06), int(rng.uniform(80, 200)), -1)
    if word_HW is not None:
        placed(tones, word_HW, np.array([deck + 2, wide * 0.1]), 0.9, float(rng.uniform(0, 255)))
    return tones, cover


def creature(rng: np.random.Generator, phase: float, bird: bool) -> Look:
    """Somebody who walks, or a bird that flies, at one moment of their step; the same one for the same generator."""
    tall = int(np.exp(rng.uniform(np.log(8), np.log(30)) if bird else rng.uniform(np.log(24), np.log(190))))
    wide = int(tall * (2.2 if bird else 0.6)) + 4
    tones, cover = np.full((tall, wide), int(rng.integers(256)), np.uint8), np.zeros((tall, wide), np.uint8)
    if bird:
        tip = int(tall * (0.5 - 0.45 * np.sin(phase)))
        wings = np.array([[1, tip], [wide // 2, tall // 2], [wide - 2, tip]])
        cv2.polylines(cover, [wings], False, 255, max(1, tall // 6), cv2.LINE_AA)
        cv2.ellipse(cover, (wide // 2, tall // 2), (max(1, tall // 4), max(1, tall // 6)), 0, 0, 360, 255, -1)
        return tones, cover
    thick, hip, x = max(1, wide // 6), int(tall * 0.52), wide // 2
    swing = 0.32 * tall * np.sin(phase) * rng.uniform(0.4, 1)
    tones[hip:] = int(rng.integers(256))
    tones[: tall // 6] = int(rng.integers(60, 230))
    for sign in (-1, 1):
        cv2.line(cover, (x, hip), (int(x + sign * swing), tall - 1), 255, thick)
        cv2.line(cover, (x, int(tall * 0.24)), (int(x - 0.7 * sign * swing), hip), 255, max(1, thick // 2))
    cv2.ellipse(cover, (x, int(tall * 0.36)), (max(2, wide // 4), max(2, int(tall * 0.19))), 0, 0, 360, 255, -1)
    cv2.circle(cover, (x, int(tall * 0.09)), max(2, int(tall * 0.08)), 255, -1)
    return tones, cover
