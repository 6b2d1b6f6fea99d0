"""Rooms, streets and fields full of drawn things in which somebody acts, as in cartoons made for television.

What the thousandth cartoon has and `cartoons.py` has not: shelves, cupboards, tiles, houses with signs; straight edges
and level areas all over the picture, as on a screen, but many colours and hardly any print. To train the network of
screens with, as scenes (train_screens.py). Each is uint8[count, HEIGHT, WIDTH, 3] BGR, pictures half a second apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from cartoons import somebody, way
from ink import HEIGHT, WIDTH, Rng, Tone, Word, blob, fill, label, line, tone, turned

WIDE = WIDTH + WIDTH // 2  # of what is painted, where the camera goes along it
Box = tuple[float, float, float, float]  # left, top, wide, high


@dataclass(frozen=True, kw_only=True)
class Pen:
    """What a scene is drawn with. thick: of its outlines, pixels; tones: the colours it is of."""

    rng: Rng
    ink: Tone
    thick: int
    tones: Sequence[Tone]
    word: Word

    def tone(self) -> Tone:
        """One of its colours, lighter or darker."""
        base = np.array(self.tones[int(self.rng.integers(len(self.tones)))])
        return tuple(int(v) for v in np.clip(base * self.rng.uniform(0.6, 1.25), 0, 255))

    def box(self, view: np.ndarray, box: Box, colour: Tone | None = None, slant: float = 0.0) -> None:
        x, y, w, h = box
        corners = np.array([[x + slant, y], [x + w - slant, y], [x + w, y + h], [x, y + h]])
        fill(view, corners, colour or self.tone(), self.ink, self.thick)

    def round(
        self, view: np.ndarray, at: Sequence[float], wide: float, tall: float, colour: Tone | None = None
    ) -> None:
        fill(view, blob(self.rng, wide, tall, 0.02) + np.array(at), colour or self.tone(), self.ink, self.thick)


Thing = Callable[[np.ndarray, Box, Pen], None]


def shelves(view: np.ndarray, box: Box, pen: Pen) -> None:
    """Boards with bottles, jars or books on them."""
    (x, y, w, h), rows = box, int(pen.rng.integers(2, 5))
    pen.box(view, box)
    for row in range(rows):
        foot, left = y + h * (row + 1) / rows, x + 3
        while left < x + w - 8:
            wide, tall = pen.rng.uniform(4, 14), h / rows * pen.rng.uniform(0.4, 0.85)
            if pen.rng.random() < 0.8:
                pen.box(view, (left, foot - tall, min(wide, x + w - 3 - left), tall), slant=pen.rng.choice([0, 0, 2]))
            left += wide + pen.rng.choice([1, 1, 5])
        line(view, np.array([[x, foot], [x + w, foot]]), pen.ink, max(1, pen.thick))


def panes(view: np.ndarray, box: Box, pen: Pen) -> None:
    """A window, with curtains or not."""
    x, y, w, h = box
    pen.box(view, box)
    glass, (across, down) = pen.tone(), pen.rng.integers(1, 4, 2)
    for i, j in np.ndindex(int(down), int(across)):
        pen.box(
            view, (x + w * (j + 0.08) / across, y + h * (i + 0.08) / down, 0.84 * w / across, 0.84 * h / down), glass
        )
    if pen.rng.random() < 0.4:
        cloth = pen.tone()
        for side in (x - 0.1 * w, x + 0.8 * w):
            pen.box(view, (side, y - 4, 0.3 * w, h + 8), cloth, slant=pen.rng.uniform(0, 4))


def picture(view: np.ndarray, box: Box, pen: Pen) -> None:
    x, y, w, h = box
    pen.box(view, box)
    pen.box(view, (x + 3, y + 3, w - 6, h - 6))
    for _ in range(int(pen.rng.integers(0, 4))):
        at = x + w * pen.rng.uniform(0.3, 0.7), y + h * pen.rng.uniform(0.35, 0.7)
        pen.round(view, at, w * pen.rng.uniform(0.05, 0.25), h * pen.rng.uniform(0.05, 0.25))


def doors(view: np.ndarray, box: Box, pen: Pen) -> None:
    """Of a cupboard, with knobs; or one."""
    (x, y, w, h), (across, down), wood, knob = box, pen.rng.integers(1, 4, 2), pen.tone(), pen.tone()
    for i, j in np.ndindex(int(down), int(across)):
        left, top, wide, high = x + w * j / across, y + h * i / down, w / across, h / down
        pen.box(view, (left, top, wide, high), wood)
        if min(wide, high) > 16:
            pen.box(view, (left + 5, top + 5, wide - 10, high - 10), wood)
        pen.round(view, (left + 0.85 * wide, top + 0.5 * high), 2, 2, knob)


def machine(view: np.ndarray, box: Box, pen: Pen) -> None:
    """A stove, a desk of knobs or a robot's chest."""
    x, y, w, h = box
    pen.box(view, box)
    pen.box(view, (x + 0.1 * w, y + 0.4 * h, 0.8 * w, 0.5 * h))
    for i, j in np.ndindex(int(pen.rng.integers(1, 3)), int(pen.rng.integers(2, 7))):
        pen.round(view, (x + w * (0.12 + 0.13 * j), y + h * (0.12 + 0.14 * i)), *pen.rng.uniform(2, 4, 2))


def table(view: np.ndarray, box: Box, pen: Pen) -> None:
    (x, y, w, h), wood = box, pen.tone()
    for left in (x + 0.05 * w, x + 0.85 * w):
        pen.box(view, (left, y + 0.3 * h, 0.1 * w, 0.7 * h), wood)
    pen.box(view, (x, y + 0.3 * h, w, 0.14 * h), wood, slant=pen.rng.uniform(0, 8))
    for _ in range(int(pen.rng.integers(1, 5))):
        wide, tall = w * pen.rng.uniform(0.05, 0.15), h * pen.rng.uniform(0.1, 0.3)
        pen.round(view, (x + w * pen.rng.uniform(0.1, 0.9), y + 0.3 * h - tall), wide, tall)


def plant(view: np.ndarray, box: Box, pen: Pen) -> None:
    (x, y, w, h), leaf = box, tone(pen.rng, 30, 200)
    pen.box(view, (x + 0.25 * w, y + 0.7 * h, 0.5 * w, 0.3 * h))
    for _ in range(int(pen.rng.integers(3, 9))):
        at = np.array([x + 0.5 * w, y + 0.7 * h])
        long = blob(pen.rng, 0.1 * w, 0.35 * h, 0.0) + at - [0, 0.35 * h]
        fill(view, turned(long, pen.rng.normal(0, 0.7), at), leaf, pen.ink, pen.thick)


def clock(view: np.ndarray, box: Box, pen: Pen) -> None:
    x, y, w, h = box
    at, far = np.array([x + w / 2, y + h / 2]), min(w, h) / 2
    pen.round(view, at, far, far)
    pen.round(view, at, 0.8 * far, 0.8 * far)
    for angle in pen.rng.uniform(0, 6.3, 2):
        line(view, np.stack([at, at + 0.6 * far * np.array([np.cos(angle), np.sin(angle)])]), pen.ink, pen.thick)


def sign(view: np.ndarray, box: Box, pen: Pen) -> None:
    """A board with a word or two."""
    (x, y, w, h), chalk = box, pen.tone()
    pen.box(view, box)
    for k in range(int(pen.rng.integers(1, 3))):
        label(view, pen.word(), (x + w / 2, y + h * (0.35 + 0.35 * k)), min(0.3 * h, 14), chalk)


def house(view: np.ndarray, box: Box, pen: Pen) -> None:
    (x, y, w, h), wall, roof, glass = box, pen.tone(), pen.tone(), pen.tone()
    pen.box(view, box, wall)
    if pen.rng.random() < 0.6:
        fill(view, np.array([[x - 4, y], [x + w / 2, y - 0.3 * h], [x + w + 4, y]]), roof, pen.ink, pen.thick)
    for i, j in np.ndindex(int(pen.rng.integers(1, 5)), int(pen.rng.integers(2, 5))):
        if y + 12 + 26 * i < y + h - 24 and x + 8 + 22 * j < x + w - 14:
            pen.box(view, (x + 8 + 22 * j, y + 12 + 26 * i, 13, 17), glass)
    if pen.rng.random() < 0.5:
        sign(view, (x + 0.1 * w, y + 0.72 * h, 0.8 * w, min(22, 0.15 * h)), pen)
    pen.box(view, (x + w * pen.rng.uniform(0.2, 0.6), y + h - 24, 13, 24))


def tree(view: np.ndarray, box: Box, pen: Pen) -> None:
    (x, y, w, h), leaf = box, tone(pen.rng, 30, 220)
    pen.box(view, (x + 0.42 * w, y + 0.4 * h, 0.16 * w, 0.6 * h))
    for _ in range(int(pen.rng.integers(1, 6))):
        at = x + w * pen.rng.uniform(0.3, 0.7), y + h * pen.rng.uniform(0.15, 0.45)
        pen.round(view, at, 0.35 * w, 0.2 * h, leaf)


def car(view: np.ndarray, box: Box, pen: Pen) -> None:
    (x, y, w, h), paint = box, pen.tone()
    pen.box(view, (x + 0.2 * w, y + 0.2 * h, 0.55 * w, 0.35 * h), paint, slant=0.1 * w)
    pen.box(view, (x, y + 0.5 * h, w, 0.35 * h), paint)
    for left in (0.2, 0.78):
        pen.round(view, (x + left * w, y + 0.85 * h), 0.14 * h, 0.14 * h, (30, 30, 30))


def crates(view: np.ndarray, box: Box, pen: Pen) -> None:
    """A fence, crates or planks."""
    (x, y, w, h), wood, count = box, pen.tone(), int(pen.rng.integers(2, 9))
    for k in range(count):
        pen.box(view, (x + w * k / count, y, 0.9 * w / count, h), wood)
    pen.box(view, (x, y + 0.4 * h, w, 0.12 * h), wood)


INSIDE: tuple[Thing, ...] = (shelves, panes, picture, doors, machine, clock, sign)
STANDING: tuple[Thing, ...] = (shelves, doors, machine, table, plant, crates)
OUTSIDE: tuple[Thing, ...] = (house, house, tree)
BEFORE: tuple[Thing, ...] = (tree, car, crates, plant, table)


def ruled(view: np.ndarray, top: float, low: float, pen: Pen) -> None:
    """A wall or a ground from top to low: plain, of planks, tiles, bricks or a chequered floor in perspective."""
    how, base, step = pen.rng.integers(6), pen.tone(), int(pen.rng.integers(8, 40))
    pen.box(view, (-9, top, WIDE + 18, low - top), base)
    mark = tuple(int(v * pen.rng.uniform(0.75, 1.1)) for v in base) if pen.rng.random() < 0.7 else pen.ink
    if how in (1, 2, 3):
        for n, y in enumerate(np.arange(top, low, step)):
            line(view, np.array([[0, y], [WIDE, y]]), mark, 1)
            for x in np.arange(step * (n % 2) * (how == 3), WIDE, 2 * step if how == 3 else step) if how > 1 else ():
                line(view, np.array([[x, y], [x, min(y + step, low)]]), mark, 1)
    elif how == 4:
        for x in np.arange(-WIDE, 2 * WIDE, 2 * step):
            line(view, np.array([[WIDE / 2 + (x - WIDE / 2) * 0.5, top], [x, low]]), mark, 1)
        for y in top + (low - top) * np.linspace(0, 1, 6) ** 2:
            line(view, np.array([[0, y], [WIDE, y]]), mark, 1)


def row(
    view: np.ndarray, things: Sequence[Thing], foot: tuple[float, float], pen: Pen, size: tuple[float, float]
) -> None:
    """Things side by side, their feet between two heights."""
    left, gap = pen.rng.uniform(-20, 40), float(pen.rng.choice([2, 15, 60]))
    while left < WIDE:
        wide, high = pen.rng.uniform(*size, 2) * (1.2, 1.0)
        low = pen.rng.uniform(*foot)
        things[int(pen.rng.integers(len(things)))](view, (left, low - high, wide, high), pen)
        left += wide + pen.rng.uniform(0, 2) * gap


def room(pen: Pen) -> np.ndarray:
    """uint8[HEIGHT, WIDE, 3]: a wall and a floor, things on both."""
    view = np.empty((HEIGHT, WIDE, 3), np.uint8)
    floor = HEIGHT * pen.rng.uniform(0.6, 0.85)
    ruled(view, -9, floor, pen)
    row(view, INSIDE, (0.4 * floor, 0.75 * floor), pen, (30, 80))
    ruled(view, floor, HEIGHT + 9, pen)
    row(view, STANDING, (floor, floor + 12), pen, (40, 110))
    return view


def street(pen: Pen) -> np.ndarray:
    """uint8[HEIGHT, WIDE, 3]: houses or trees before the sky, and what stands before them."""
    view = np.empty((HEIGHT, WIDE, 3), np.uint8)
    floor = HEIGHT * pen.rng.uniform(0.6, 0.85)
    ramp = np.linspace(0, float(pen.rng.choice([0, 1])), HEIGHT)[:, None, None]
    view[:] = (np.array(pen.tone()) * (1 - ramp) + np.array(pen.tone()) * ramp).astype(np.uint8)
    for _ in range(int(pen.rng.integers(0, 8))):
        pen.round(view, (pen.rng.uniform(0, WIDE), floor), *pen.rng.uniform(20, 150, 2))
    row(view, OUTSIDE, (floor - 4, floor + 4), pen, (60, 170))
    ruled(view, floor, HEIGHT + 9, pen)
    row(view, BEFORE, (floor + 8, HEIGHT), pen, (25, 80))
    return view


def finished(x: np.ndarray, rng: Rng) -> np.ndarray:
    """As drawn, or shaded by a light, painted on paper, grained, of large pixels, soft, or dark."""
    how = rng.choice(["flat", "flat", "light", "paper", "grain", "pixels", "soft", "dark"])
    if how == "pixels":
        size = WIDTH // int(rng.choice([2, 3, 4])), HEIGHT // int(rng.choice([2, 3, 4]))
        small = [cv2.resize(view, size, interpolation=cv2.INTER_AREA) for view in x]
        return np.stack([cv2.resize(view, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST) for view in small])
    if how == "soft":
        return np.stack([cv2.GaussianBlur(view, (0, 0), 0.9) for view in x])
    if how == "flat":
        return x
    by = np.ones((HEIGHT, WIDTH), np.float32)
    if how in ("light", "dark"):
        rows_, columns = np.mgrid[:HEIGHT, :WIDTH]
        far = np.hypot(rows_ - HEIGHT * rng.uniform(0, 1), columns - WIDTH * rng.uniform(0, 1)) / WIDTH
        by = (0.45 if how == "dark" else 1.1) * (1.05 - far * rng.uniform(0.2, 0.9)).astype(np.float32)
    elif how == "paper":
        for size in (3, 20):
            by += cv2.resize(rng.normal(0, 0.06, (9 * size, 16 * size)).astype(np.float32), (WIDTH, HEIGHT))
    out = x * by[..., None]
    if how == "grain":
        out = out + rng.normal(0, rng.uniform(2, 6), (*x.shape[:3], 1))
    return np.clip(out, 0, 255).astype(np.uint8)


def muted(colour: Tone, rng: Rng) -> Tone:
    """The same, more or less grey."""
    grey, share = sum(colour) / 3, rng.uniform(0, 0.9)
    return tuple(int(share * grey + (1 - share) * level) for level in colour)


def place(rng: Rng, count: int, word: Word, backdrop: Callable[[Pen], np.ndarray] = room) -> np.ndarray:
    """Somebody, or several, in a room or a street, under a camera that mostly stands still, near or far."""
    ink = tone(rng, 0, float(rng.choice([30, 30, 90])))
    tones = [muted(tone(rng, 20), rng) for _ in range(int(rng.integers(4, 12)))]
    pen = Pen(rng=rng, ink=ink, thick=int(rng.choice([0, 1, 1, 2, 2, 3])), tones=tones, word=word)
    back, pan = backdrop(pen), 0.0 if rng.random() < 0.75 else rng.normal(0, 20)
    people = [(somebody(rng), way(rng, count), rng.uniform(0.6, 1.0), rng.random()) for _ in range(rng.integers(1, 4))]
    near = float(rng.choice([1.0, rng.uniform(1.2, 2.2)]))
    wide, high = int(WIDTH / near), int(HEIGHT / near)
    y, x = int(rng.integers(HEIGHT - high + 1)), int(rng.integers(WIDTH - wide + 1))
    views = []
    for k in range(count):
        left = int(np.clip((WIDE - WIDTH) / 2 + pan * k, 0, WIDE - WIDTH))
        view = back[:, left : left + WIDTH].copy()
        for parts, course, down, across in people:
            stand = np.array([across * WIDTH, down * HEIGHT]) + course[k]
            for part in parts:
                angle = part.swing * np.sin(2.3 * k + part.phase)
                fill(view, turned(part.points, angle, part.pivot) + stand, part.colour, ink, pen.thick)
        views.append(cv2.resize(view[y : y + high, x : x + wide], (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC))
    return finished(np.stack(views), rng)
