"""Generated edits with exact truth: procedural scenes and given shots, joined by cuts, dissolves and fades."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

SIZE = (144, 256)


@dataclass
class Truth:
    cuts: list[int] = field(default_factory=list)
    gradual: list[tuple[str, int, int]] = field(default_factory=list)  # kind, first, last mixing frame
    ambiguous: list[int] = field(default_factory=list)


def texture(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """float32[height, width, 3]: coloured noise at four scales with a few hard-edged shapes."""
    import cv2

    base = np.array(rng.uniform(40, 200, 3), np.float32)
    image = np.tile(base, (height, width, 1))
    for cells, gain in ((3, 50), (8, 35), (24, 20), (80, 10)):
        noise = rng.normal(0, gain, (cells, cells * 2, 3)).astype(np.float32)
        image += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(rng.integers(2, 9)):
        x, y, r = rng.integers(0, width), rng.integers(0, height), int(rng.integers(height // 20, height // 4))
        cv2.circle(image, (int(x), int(y)), r, tuple(float(v) for v in rng.uniform(0, 255, 3)), -1)
    return image * rng.uniform(0.35, 1.0)


def scene(rng: np.random.Generator, n: int, speed: float | None = None) -> np.ndarray:
    """uint8[n, 144, 256, 3]: a camera over a texture with an object crossing it. speed: pixels a frame."""
    import cv2

    height, width = SIZE
    canvas = texture(rng, height * 4, width * 4)
    speed = float(rng.choice([0, 0.3, 1.5, 5])) if speed is None else speed
    angle, zoom = rng.uniform(0, 2 * np.pi), rng.uniform(-0.004, 0.004)
    start = np.array([width * 2, height * 2]) + rng.uniform(-200, 200, 2)
    colour = tuple(float(v) for v in rng.uniform(0, 255, 3))
    place, pace, radius = rng.uniform(0, 1, 2) * (width, height), rng.uniform(-4, 4, 2), int(rng.integers(5, 40))
    out, flags = [], cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    for t in range(n):
        scale = np.exp(zoom * t)
        x, y = start + speed * t * np.array([np.cos(angle), np.sin(angle)])
        matrix = np.array([[scale, 0, x - scale * width / 2], [0, scale, y - scale * height / 2]], np.float32)
        view = cv2.warpAffine(
            canvas,
            matrix,
            (width, height),
            flags=flags,
            borderMode=cv2.BORDER_REFLECT,
        )
        centre = np.abs((place + pace * t) % (2 * width, 2 * height) - (width, height))  # bounces off the edges
        cv2.circle(view, (int(centre[0]), int(centre[1])), radius, colour, -1)
        out.append(np.clip(view + rng.normal(0, 2, (height, width, 1)), 0, 255).astype(np.uint8))
    return np.stack(out)


def joined(a: np.ndarray, b: np.ndarray, kind: str, length: int, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """Sequence of `a` then `b`, and the index of the first mixing frame (or of the first frame of b)."""
    if kind == "cut":
        return np.concatenate([a, b]), len(a)
    ramp = (np.arange(length) + 1) / (length + 1)
    if rng.random() < 0.4:  # eased in and out
        ramp = (1 - np.cos(np.pi * ramp)) / 2
    ramp = ramp[:, None, None, None]
    if kind == "dissolve":
        mixed = a[-length:] * (1 - ramp) + b[:length] * ramp
        return np.concatenate([a[:-length], mixed.round().astype(np.uint8), b[length:]]), len(a) - length
    tone = 255.0 if kind == "fade_white" else 0.0
    down = (a[-length:] * (1 - ramp) + tone * ramp).round().astype(np.uint8)
    up = (b[:length] * ramp + tone * (1 - ramp)).round().astype(np.uint8)
    hold = np.full((int(rng.integers(0, 8)), *a.shape[1:]), int(tone), np.uint8)
    return np.concatenate([a[:-length], down, hold, up, b[length:]]), len(a) - length


def add_flash(shot: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A photographic flash: one or two washed-out frames, then decay."""
    out = shot.astype(np.float32)
    at = int(rng.integers(34, len(shot) - 34))  # clear of the transitions at either end
    for k, gain in enumerate(
        [0.95, *([0.9] if rng.random() < 0.5 else []), *([0.5, 0.2] if rng.random() < 0.5 else [])]
    ):
        out[at + k] = out[at + k] * (1 - gain) + 255 * gain
    return out.round().astype(np.uint8)


def edit(rng: np.random.Generator, pool: list[np.ndarray]) -> tuple[np.ndarray, Truth]:
    """One edited sequence of 5 shots and its truth."""
    shots = []
    previous = -1
    for _ in range(5):
        n = int(rng.integers(70, 120))
        if pool and rng.random() < 0.7:
            previous = int(rng.choice([i for i in range(len(pool)) if i != previous]))
            at = int(rng.integers(0, max(1, len(pool[previous]) - n)))
            shot = pool[previous][at : at + n]
        else:
            shot = scene(rng, n, 14.0 if rng.random() < 0.15 else None)
        shots.append(add_flash(shot, rng) if rng.random() < 0.25 else shot)
    truth, out = Truth(), shots[0]
    for shot in shots[1:]:
        kind = str(rng.choice(["cut", "cut", "dissolve", "fade", "fade_white"], p=[0.3, 0.1, 0.3, 0.2, 0.1]))
        length = int(rng.integers(4, 31))
        size = len(out) + len(shot)
        out, first = joined(out, shot, kind, min(length, len(shot) // 2 - 4), rng)
        if kind == "cut":
            truth.cuts.append(first)
        else:
            # mixing ends where the untouched rest of the new shot begins
            last = len(out) - (len(shot) - min(length, len(shot) // 2 - 4)) - 1
            assert size >= last
            truth.gradual.append((kind, first, last))
    return out, truth
