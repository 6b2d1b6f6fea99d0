"""Cartoons, and animals on branches before the sky, to train the networks of marks with as unmarked (innocents.py).

Their outlines are as sharp as those of a mark; some stay to the pixel while others move, and some move as one. Each is
uint8[count, HEIGHT, WIDTH, 3] BGR, pictures about half a second apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from ink import HEIGHT, WIDTH, Rng, Tone, Word, blob, fill, line, tone, turned


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of somebody: where, what it turns about, how far (radians) and when."""

    points: np.ndarray
    colour: Tone
    pivot: np.ndarray
    swing: float = 0.0
    phase: float = 0.0


def somebody(rng: Rng) -> list[Part]:
    """Legs, body, arms, head and face, or fewer of them, standing on the origin."""
    tall = float(np.exp(rng.uniform(np.log(30), np.log(170))))
    wide, legs = tall * rng.uniform(0.2, 0.7), rng.uniform(0, 0.35) * tall
    body, skin, cloth = np.array([0, -legs - 0.3 * tall]), tone(rng, 90), tone(rng)
    parts, swing = [], float(rng.choice([0.0, 0.3, 0.8]))
    for side in (-1, 1):
        hip = np.array([side * wide * 0.25, -legs])
        if legs > 6:
            leg = np.array([[-0.07, 0], [0.07, 0], [0.07, 1], [0.2 * side + 0.07, 1.05], [-0.07, 1.05]]) * legs + hip
            parts.append(Part(points=leg, colour=cloth, pivot=hip, swing=swing, phase=side * 1.57))
    parts.append(Part(points=blob(rng, wide / 2, 0.32 * tall) + body, colour=tone(rng), pivot=body))
    for side in (-1, 1) if rng.random() < 0.7 else ():
        reach = body + np.array([side * wide * 0.45, -0.15 * tall])
        arm = blob(rng, 0.06 * tall, 0.17 * tall, 0.0) + reach + [0, 0.15 * tall]
        parts.append(Part(points=arm, colour=skin, pivot=reach, swing=swing, phase=-side * 1.57))
    head = body + np.array([rng.normal(0, 0.05) * tall, -0.42 * tall])
    size = tall * rng.uniform(0.1, 0.25)
    parts.append(Part(points=blob(rng, size, size * rng.uniform(0.8, 1.3)) + head, colour=skin, pivot=head))
    if rng.random() < 0.5:  # a hat, hair or ears
        crown = head - [0, 0.9 * size]
        top = blob(rng, size * rng.uniform(0.5, 1.3), size * rng.uniform(0.2, 0.7)) + crown
        parts.append(Part(points=top, colour=tone(rng), pivot=head))
    look = rng.uniform(-0.3, 0.3) * size
    for side in (-1, 1):
        eye = head + np.array([side * size * rng.uniform(0.3, 0.4) + look, -0.1 * size])
        ball = blob(rng, size * rng.uniform(0.12, 0.3), size * rng.uniform(0.15, 0.4), 0.0)
        parts.append(Part(points=ball + eye, colour=(250, 250, 250), pivot=head))
        parts.append(Part(points=0.4 * ball + eye, colour=(20, 10, 10), pivot=head))
    mouth = blob(rng, size * rng.uniform(0.15, 0.5), size * rng.uniform(0.03, 0.2), 0.0) + head + [look, 0.5 * size]
    parts.append(Part(points=mouth, colour=tone(rng, 20, 160), pivot=head))
    return parts


def way(rng: Rng, count: int) -> np.ndarray:
    """float[count, 2]: across and down; holds still, goes, hops, or holds still and goes."""
    t, how = np.arange(count) - rng.uniform(0, count), rng.random()
    pace = rng.normal(0, 1, 2) * (40, 3) if rng.random() < 0.85 else rng.normal(0, 1, 2) * (60, 40)
    out = t[:, None] * pace
    if how < 0.25:
        out *= 0
    elif how < 0.5:
        out *= (t > 0)[:, None]
    if rng.random() < 0.4:
        out[:, 1] -= rng.uniform(2, 50) * np.abs(np.sin(rng.uniform(0.5, 6) * t))
    return out


def cartoon(rng: Rng, count: int, word: Word) -> np.ndarray:
    """Somebody, or several, before hills, houses or walls, under a camera that mostly stands still."""
    thick, ink = int(rng.choice([0, 1, 2, 2, 3, 4, 6])), tone(rng, 0, float(rng.choice([30, 30, 90])))
    back, rows = _painted(rng, ink, thick), np.linspace(0, 1, HEIGHT)[:, None, None]
    people = [(somebody(rng), way(rng, count), rng.uniform(0.2, 1.1, 2)) for _ in range(int(rng.integers(1, 5)))]
    clouds = [(blob(rng, rng.uniform(20, 80), rng.uniform(8, 25)), rng.uniform(0, 1, 2)) for _ in range(4)]
    drift, pan = rng.normal(0, 8), 0.0 if rng.random() < 0.6 else rng.normal(0, 25)
    out = []
    for k in range(count):
        left = int(np.clip(WIDTH + pan * k, 0, 2 * WIDTH))
        view = back[:, left : left + WIDTH].copy()
        for points, at in clouds:
            fill(view, points + at * (WIDTH, 0.4 * HEIGHT) + [drift * k, 0], (250, 248, 245), ink, thick)
        for parts, course, at in people:
            stand = at * (WIDTH, HEIGHT) + course[k]
            for part in parts:
                angle = part.swing * np.sin(2.3 * k + part.phase)
                fill(view, turned(part.points, angle, part.pivot) + stand, part.colour, ink, thick)
        out.append(view)
    x = np.stack(out)
    if rng.random() < 0.25:  # light from above
        x = np.clip(x * (1.1 - rng.uniform(0, 0.5) * rows), 0, 255).astype(np.uint8)
    return x


def _painted(rng: Rng, ink: Tone, thick: int) -> np.ndarray:
    """uint8[HEIGHT, 3 * WIDTH, 3]: hills, houses, trees, or a wall with pictures."""
    back = np.empty((HEIGHT, 3 * WIDTH, 3), np.uint8)
    top, low = np.array(tone(rng, 60)), np.array(tone(rng, 60))
    ramp = np.linspace(0, float(rng.choice([0, 1])), HEIGHT)[:, None, None]
    back[:] = (top * (1 - ramp) + low * ramp).astype(np.uint8)
    for _ in range(int(rng.integers(0, 7))):
        at = np.array([rng.uniform(0, 3 * WIDTH), HEIGHT * rng.uniform(0.8, 1.3)])
        fill(back, blob(rng, rng.uniform(60, 300), rng.uniform(40, 160), 0.03) + at, tone(rng), ink, thick)
    for _ in range(int(rng.integers(0, 14))):
        x, y = rng.uniform(0, 3 * WIDTH), rng.uniform(0.2, 1.0) * HEIGHT
        w, h = rng.uniform(8, 90, 2)
        box = np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]])
        fill(back, box, tone(rng), ink, thick)
        if rng.random() < 0.5:  # a roof, panes, or a crown
            fill(back, np.array([[x - 5, y], [x + w / 2, y - h / 2], [x + w + 5, y]]), tone(rng), ink, thick)
            for i, j in np.ndindex(2, 3):
                pane = np.array([[0, 0], [w / 6, 0], [w / 6, h / 4], [0, h / 4]])
                at = np.array([x + w * (0.1 + 0.3 * j), y + h * (0.1 + 0.4 * i)])
                fill(back, pane + at, tone(rng), ink, max(0, thick - 1))
        elif rng.random() < 0.4:
            fill(back, blob(rng, 0.8 * w, 0.6 * h) + np.array([x + w / 2, y]), tone(rng), ink, thick)
    return back


def perch(rng: Rng, count: int, word: Word) -> np.ndarray:
    """Trunk, branches and leaves, and an animal that stirs or hops while its feet hold on, before a soft sky."""
    sky = rng.normal(0, 1, (int(rng.integers(3, 9)), int(rng.integers(3, 14)), 1)).astype(np.float32)
    sky = cv2.resize(sky, (2 * WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)[..., None] * rng.uniform(0, 25)
    ramp = np.linspace(0, 1, HEIGHT)[:, None, None]
    back = np.array(tone(rng, 90)) * (1 - ramp) + np.array(tone(rng, 90)) * ramp + sky
    far = np.clip(back, 0, 255).astype(np.uint8)
    for _ in range(int(rng.integers(0, 30))):
        at = rng.uniform(0, 1, 2) * (2 * WIDTH, 0.4 * HEIGHT) + [0, HEIGHT * float(rng.choice([0, 0.75]))]
        fill(far, blob(rng, *rng.uniform(4, 40, 2)) + at, tone(rng, 0, 220), (0, 0, 0), 0)
    far = cv2.GaussianBlur(far, (0, 0), float(np.exp(rng.uniform(-0.7, 2))))
    near, mask = _branches(rng)
    beast, course = _animal(rng), way(rng, count)
    course[:, 0] *= 0.15
    course[:, 1] = np.minimum(course[:, 1], 0)
    if rng.random() < 0.4:
        course[count // 2 :] = 0
    at = np.array([rng.uniform(0.2, 0.8) * WIDTH, 0.0])
    column = np.flatnonzero(mask[:, int(at[0])])
    at[1] = float(column[len(column) // 2]) if len(column) else 0.7 * HEIGHT
    soft, slide = float(rng.choice([0, 0, 0.7, 1.2])), rng.normal(0, float(rng.choice([0, 0, 0, 1.5])), 2)
    out = []
    for k in range(count):
        begin = int(np.clip(WIDTH / 2 + rng.choice([0, 3]) * k, 0, WIDTH))
        view = far[:, begin : begin + WIDTH].copy()
        np.copyto(view, near, where=mask[..., None] > 127)
        beast(view, at, course[k], k)
        if soft:
            view = cv2.GaussianBlur(view, (0, 0), soft)
        if slide.any():
            move = np.array([[1, 0, slide[0] * k], [0, 1, slide[1] * k]])
            view = cv2.warpAffine(view, move, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT_101)
        out.append(view)
    return np.stack(out)


def _branches(rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    """(their bark, where they are) of HEIGHT x WIDTH."""
    bark = rng.normal(0, rng.uniform(3, 25), (HEIGHT // 2, WIDTH // 8, 1)).astype(np.float32)
    bark = cv2.resize(bark, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)[..., None] + np.array(tone(rng, 10, 130))
    light = cv2.resize(rng.normal(0, 15, (4, 6)).astype(np.float32), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    near, mask = np.clip(bark + light[..., None], 0, 255).astype(np.uint8), np.zeros((HEIGHT, WIDTH), np.uint8)
    if rng.random() < 0.5:
        x, w = rng.uniform(0, 1) * WIDTH, rng.uniform(8, 60)
        fill(mask[..., None], np.array([[x - w, -9], [x + w, -9], [x + 1.3 * w, HEIGHT + 9], [x - w, HEIGHT + 9]]),
             (255,), (0,), 0)  # fmt: skip
    grow = [(np.array([rng.choice([-5, WIDTH + 5]), rng.uniform(0.3, 0.9) * HEIGHT]), None, rng.uniform(4, 26))]
    grow *= int(rng.integers(1, 3))
    while grow and len(grow) < 60:
        start, angle, thick = grow.pop()
        angle = (0.0 if start[0] < WIDTH / 2 else np.pi) + rng.normal(0, 0.15) if angle is None else angle
        bend, points = rng.normal(0, 0.06), [start]
        for _ in range(int(rng.integers(4, 14))):
            angle += bend + rng.normal(0, 0.08)
            points.append(points[-1] + thick * 2.2 * np.array([np.cos(angle), np.sin(angle)]) + rng.normal(0, 1, 2))
            if thick > 2 and rng.random() < 0.3:
                grow.append((points[-1], angle + rng.choice([-1, 1]) * rng.uniform(0.3, 1), thick * 0.5))
        line(mask[..., None], np.array(points), (255,), int(thick))
    leaf = tone(rng, 0, 200)
    for _ in range(int(rng.choice([0, 0, 20, 80]))):
        at, points = rng.uniform(0, 1, 2) * (WIDTH, HEIGHT), np.zeros((HEIGHT, WIDTH, 1), np.uint8)
        fill(points, turned(blob(rng, 9, 3, 0.0), rng.uniform(0, 3), np.zeros(2)) + at, (255,), (0,), 0)
        np.copyto(near, np.array(leaf, np.uint8), where=points > 127)
        mask |= points[..., 0]
    return near, mask


def _animal(rng: Rng) -> Callable[[np.ndarray, np.ndarray, np.ndarray, int], None]:
    """Draws it over a picture: where its feet are, by how far its body is off, and when."""
    tall = float(np.exp(rng.uniform(np.log(24), np.log(130))))
    fur = 0.03 * rng.normal(0, 1, 96)
    turn = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    round_ = np.stack([(1 + fur) * np.cos(turn), (1 + fur) * np.sin(turn)], axis=1)
    body, head = round_ * tall * (rng.uniform(0.2, 0.4), 0.4), round_ * tall * rng.uniform(0.14, 0.22)
    coat, feet, beak = tone(rng, 20, 200), tone(rng, 20, 230), tone(rng)
    shade, toes = tuple(int(0.6 * v) for v in coat), int(rng.integers(1, 5))

    def draw(view: np.ndarray, at: np.ndarray, off: np.ndarray, k: int) -> None:
        nod = 0.1 * tall * np.sin(1.7 * k) * np.array([1.0, 0.3])
        waist, crown = at + off - [0, 0.5 * tall], at + off + nod - [0, tall]
        for side in (-1, 1):
            hip, foot = waist + np.array([0.12 * side, 0.3]) * tall, at + np.array([0.15 * side, 0]) * tall
            line(view, np.array([hip, foot]), feet, int(0.05 * tall))
            for toe in range(toes):
                spread = (toe - (toes - 1) / 2) * 0.07 * tall
                line(view, foot + np.array([[0, 0], [spread, 0.06 * tall]]), feet, int(0.03 * tall))
        fill(view, body + waist, coat, shade, 1)
        fill(view, 0.6 * body + waist + [0.1 * tall, 0.05 * tall], shade, shade, 0)
        fill(view, head + crown, coat, shade, 1)
        fill(view, crown + np.array([[0, 0], [0.3, 0.06], [0, 0.12]]) * tall, beak, shade, 1)
        fill(view, 0.25 * head + crown - [0, 0.05 * tall], (245, 245, 245), shade, 1)
        fill(view, 0.1 * head + crown - [0, 0.05 * tall], (10, 10, 10), shade, 0)

    return draw
