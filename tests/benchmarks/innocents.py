"""Things of a scene that are sharp, bright or fine but no marks, to train the networks of marks with."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from cartoons import cartoon, perch
from charts import network, plot, screen
from ink import Rng, Word

DRAWN = (cartoon, cartoon, cartoon, perch, perch, perch, network, plot, screen, screen)


def over(x: np.ndarray, mark: np.ndarray, cover: float, level: float | np.ndarray) -> None:
    """Draw the mark (uint8[h, w], its opacity) over pictures x (uint8[n, h, w], or with 3 colours, in place) with
    `cover` of `level`, or of a level for each colour."""
    rows, columns = np.flatnonzero(mark.any(axis=1)), np.flatnonzero(mark.any(axis=0))
    if len(rows):
        box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        share = mark[box].astype(np.float32) * (cover / 255)
        share = share[..., None] if x.ndim == 4 else share
        x[:, *box] = (x[:, *box] * (1 - share) + level * share + 0.5).astype(np.uint8)


def detailed(still: np.ndarray, others: Sequence[np.ndarray], rng: Rng) -> np.ndarray:
    """Small and finely structured things of the scene, singly or in a row: parts of other pictures, shrunk."""
    out, (height, width) = still.astype(np.float32), still.shape
    for other in others:
        h, w = (max(8, int(v * rng.uniform(0.15, 0.6))) for v in other.shape)
        top, left = int(rng.integers(0, other.shape[0] - h + 1)), int(rng.integers(0, other.shape[1] - w + 1))
        tall = int(np.exp(rng.uniform(np.log(10), np.log(70))))
        wide = min(int(tall * np.exp(rng.normal(0.4, 0.7))) + 6, width // 2)
        part = cv2.resize(other[top : top + h, left : left + w], (wide, tall), interpolation=cv2.INTER_AREA)
        shape = np.zeros((tall, wide), np.float32)
        reach = int(0.38 * wide), int(0.38 * tall)
        cv2.ellipse(shape, (wide // 2, tall // 2), reach, 0, 0, 360, 1, -1)
        shape = cv2.GaussianBlur(shape, (0, 0), 0.08 * tall + float(rng.uniform(0.5, 2)))  # no sharp outline
        x, y = int(rng.integers(0, width - wide + 1)), int(rng.integers(0, max(1, height - tall)))
        tone = float(rng.choice([0.0, 0.8]))  # of the place, not its own
        for k in range(int(rng.choice([1, 1, 1, 3, 6]))):
            place = slice(y, y + tall), slice(x + k * wide, x + (k + 1) * wide)
            if x + (k + 1) * wide <= width and y + tall <= height:
                behind = out[place]
                out[place] = behind + shape * (part - tone * (part.mean() - behind.mean()) - behind)
    return np.clip(out, 0, 255).astype(np.uint8)


def sprinkled(still: np.ndarray, rng: Rng) -> np.ndarray:
    """Small sharp things that are part of the scene: flowers, lights, leaves or blades of grass, denser below."""
    out, (height, width) = still.copy(), still.shape
    count, size = int(np.exp(rng.uniform(np.log(8), np.log(300)))), rng.uniform(1, 7)
    tone, spread, blades = rng.uniform(0, 255), rng.choice([3.0, 25.0]), rng.random() < 0.4
    top = rng.uniform(-0.2, 0.8) * height
    below = top + rng.uniform(4, 40) if rng.random() < 0.3 else height  # a row of them, as grass in the light
    for x, y, s in zip(rng.uniform(0, width, count), rng.uniform(top, below, count), rng.uniform(0.4, 1.6, count)):
        reach, level = max(1, round(size * s)), float(np.clip(tone + rng.normal(0, spread), 0, 255))
        if blades:
            tip = int(x + rng.normal(0, reach)), int(y - 2.5 * reach)
            cv2.line(out, (int(x), int(y)), tip, level, 1 + reach // 5, cv2.LINE_AA)
        else:
            axes, turn = (reach, max(1, round(reach * rng.uniform(0.4, 1)))), float(rng.uniform(0, 180))
            cv2.ellipse(out, (int(x), int(y)), axes, turn, 0, 360, level, -1, cv2.LINE_AA)
    return out


def paved(still: np.ndarray, rng: Rng) -> np.ndarray:
    """Checks, bricks, bars or a weave over a picture or a part of it, as floors, walls and cloth are, in its light."""
    height, width = still.shape
    down, across = np.mgrid[:height, :width].astype(np.float32)
    turn, pitch = float(rng.choice([0.0, 0.0, rng.uniform(0, np.pi)])), np.exp(rng.uniform(np.log(4), np.log(44)))
    u = (across * np.cos(turn) + down * np.sin(turn)) / pitch
    v = (down * np.cos(turn) - across * np.sin(turn)) / (pitch * rng.choice([0.5, 1.0, 1.0]))
    kind, (low, high) = int(rng.integers(4)), rng.uniform(0.3, 1.6, 2)
    if kind == 0:
        share = (np.floor(u) + np.floor(v)) % 2
    elif kind == 1:
        share = ((u + 0.5 * (np.floor(v) % 2)) % 1 > 0.12) & (v % 1 > 0.15)
    elif kind == 2:
        share = u % 1 < rng.uniform(0.2, 0.8)
    else:
        share = 0.5 + 0.25 * (np.sin(2 * np.pi * u) + np.sin(2 * np.pi * v))
    light = cv2.GaussianBlur(still.astype(np.float32), (0, 0), 0.08 * width)
    part = light * (low + (high - low) * share) + rng.normal(0, rng.uniform(0, 6), still.shape)
    where = np.ones(still.shape, bool)
    if rng.random() < 0.3:
        where = down > rng.uniform(0.2, 0.8) * height
    elif rng.random() < 0.4:
        x, y, wide, tall = rng.uniform(0, 1, 4) * (width, height, 0.5 * width, 0.5 * height)
        where = (np.abs(across - x) < wide) & (np.abs(down - y) < tall)
    return np.where(where, np.clip(part, 0, 255), still).astype(np.uint8)


def falling(x: np.ndarray, rng: Rng) -> None:
    """Snow, rain, sparks or motes drift through pictures x (as `over`, in place), whatever the scene does."""
    n, height, width = x.shape[:3]
    count, size = int(np.exp(rng.uniform(np.log(10), np.log(400)))), rng.uniform(0.5, 5)
    place, reach = rng.uniform(0, 1, (count, 2)) * (height, width), np.maximum(1, size * rng.uniform(0.3, 1.5, count))
    pace = (rng.normal(0, 60, 2) + rng.normal(0, 12, (count, 2))) * reach[:, None] / size
    streak, level = rng.random() < 0.25, float(rng.choice([255, 240, 200, 30]))
    soft, cover = float(rng.choice([0.0, 0.8, 2.0])), float(rng.uniform(0.3, 1))
    for k in range(n):
        drawn = np.zeros((height, width), np.uint8)
        for (y, z), r in zip((place + k * pace) % (height, width), reach):
            if streak:
                cv2.line(drawn, (int(z), int(y)), (int(z + r), int(y + 6 * r)), 255, 1, cv2.LINE_AA)
            else:
                cv2.circle(drawn, (int(z), int(y)), round(r), 255, -1, cv2.LINE_AA)
        over(x[k : k + 1], cv2.GaussianBlur(drawn, (0, 0), soft) if soft else drawn, cover, level)


def swayed(still: np.ndarray, count: int, rng: Rng) -> np.ndarray:
    """uint8[count, h, w], or with 3 colours: parts of a picture stir, most in their middle, while what is around them
    holds on: feet below somebody who moves, a branch whose end the wind moves."""
    height, width = still.shape[:2]
    down, across = np.mgrid[:height, :width].astype(np.float32)
    bumps = []
    for _ in range(int(rng.integers(1, 5))):
        reach = np.exp(rng.uniform(np.log(12), np.log(130), 2))
        near = ((across - rng.uniform(0, width)) / reach[0]) ** 2 + ((down - rng.uniform(0, height)) / reach[1]) ** 2
        bumps.append((np.exp(-near), 0.35 * reach * rng.uniform(-1, 1, 2)))
    out = []
    for _ in range(count):
        x, y = across.copy(), down.copy()
        for near, far in bumps:
            step = far * rng.uniform(-1, 1)
            x += near * np.float32(step[0])
            y += near * np.float32(step[1])
        out.append(cv2.remap(still, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101))
    return np.stack(out)


def drawn_scene(rng: Rng, count: int, word: Word) -> np.ndarray:
    """uint8[count, h, w, 3]: one of all kinds of scenes that are drawn themselves, in grain or clean."""
    x = DRAWN[int(rng.integers(len(DRAWN)))](rng, count, word)
    if rng.random() < 0.25:
        x = np.clip(x + rng.normal(0, rng.uniform(1, 7), x.shape[:3])[..., None], 0, 255).astype(np.uint8)
    return x
