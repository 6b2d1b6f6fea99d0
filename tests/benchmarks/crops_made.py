"""Clips with a subject at a known place, for the benchmark of crops: textured figures, still and moving, before painted
scenes and real shots that hold none, and things along the rim that are no subject.

Legend: pictures are uint8[n, 144, w, 3] BGR, two a second, as the program keeps them. Boxes are (left, top, right,
bottom) in shares of the picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np

SIZE, SECONDS = (144, 256), np.arange(6) / 2
SIZES = {"small": 0.3, "middle": 0.55, "large": 0.85}  # of the picture's height
PLACES = {"A": ("valley", "town", "forest", "coast"), "B": ("market", "desert", "study")}
SEEDS = {"A": 100, "B": 200}
PAN = 0.12  # widths a second at most
SWAY = 0.02  # of the width, of somebody who stays about where he is
Box = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """pans: the background moves, as under a camera that follows the subject. lives: the subject moves its limbs and
    sways. rim: what else moves: leaves along a side, or a car that passes."""

    pans: bool = False
    lives: bool = True
    count: int = 1
    rim: str = ""


KINDS = {
    "still before still": Kind(lives=False),
    "moving before still": Kind(),
    "still before moving": Kind(pans=True, lives=False),
    "moving before moving": Kind(pans=True),
    "two": Kind(count=2),
    "leaves at the rim": Kind(rim="leaves"),
    "a car passes": Kind(rim="car"),
}


def texture(rng: np.random.Generator, height: int, width: int, strength: float) -> np.ndarray:
    """float32[height, width, 3] about 0: coarse and fine, a little coloured."""
    out = np.zeros((height, width, 3), np.float32)
    for cell in (3.0, 8.0):
        noise = cv2.GaussianBlur(rng.normal(size=(height, width, 3)).astype(np.float32), (0, 0), cell / 3)
        out += noise / noise.std()
    return strength * (0.7 * out.mean(axis=2, keepdims=True) + 0.3 * out)


class Figure:
    """Somebody about `tall` pixels high, in clothes of their own, who stands at `x` (pixels, the middle)."""

    def __init__(self, rng: np.random.Generator, tall: float, x: float, lives: bool) -> None:
        self.tall, self.x, self.lives = tall, x, lives
        self.feet = rng.uniform(0.9, 0.98) * SIZE[0] if tall > 0.5 * SIZE[0] else rng.uniform(0.55, 0.97) * SIZE[0]
        self.feet = max(self.feet, tall * 1.02)
        self.phase, self.seed = rng.uniform(0, 6), int(rng.integers(1 << 30))
        self.clothes = rng.uniform(15, 235, (3, 3))  # trousers, shirt, hair
        self.skin = np.array([120, 150, 205]) * rng.uniform(0.35, 1.15)

    def draw(self, picture: np.ndarray, seconds: float) -> Box:
        """Onto the picture (in place); where they are."""
        t = 2 * np.pi * 0.6 * seconds + self.phase if self.lives else self.phase
        s, x = self.tall, self.x + (SWAY * SIZE[1] * np.sin(t) if self.lives else 0.0)
        swing = 0.16 * s * np.sin(1.7 * t)
        look = np.zeros_like(picture)
        cover = np.zeros(picture.shape[:2], np.uint8)

        def part(points: list[tuple[float, float]], wide: float, tone: np.ndarray) -> None:
            ends = [(int((x + dx) * 8), int((self.feet - dy) * 8)) for dx, dy in points]
            for canvas, colour in ((look, tone.tolist()), (cover, (255,))):
                cv2.line(canvas, ends[0], ends[1], colour, max(1, round(wide)), cv2.LINE_AA, 3)

        trousers, shirt, hair = self.clothes
        part([(0, 0.47 * s), (swing, 0.03 * s)], 0.1 * s, trousers)
        part([(0, 0.47 * s), (-swing, 0.03 * s)], 0.1 * s, trousers * 0.8)
        part([(0, 0.78 * s), (0, 0.5 * s)], 0.2 * s, shirt)
        part([(0, 0.78 * s), (1.1 * swing + 0.06 * s, 0.5 * s)], 0.07 * s, shirt * 0.8)
        part([(0, 0.78 * s), (-1.1 * swing - 0.06 * s, 0.5 * s)], 0.07 * s, shirt * 0.9)
        part([(0, 0.92 * s), (0, 0.9 * s)], 0.15 * s, self.skin)
        part([(0, 0.97 * s), (0, 0.96 * s)], 0.12 * s, hair)
        grain = texture(np.random.default_rng(self.seed), *picture.shape[:2], 9.0)  # worn: it goes along
        grain = np.roll(grain, round(x - self.x), axis=1)
        share = cv2.GaussianBlur(cover, (0, 0), 0.6)[..., None].astype(np.float32) / 255
        picture[:] = np.clip(picture * (1 - share) + np.clip(look + grain, 0, 255) * share, 0, 255).astype(np.uint8)
        rows, columns = np.flatnonzero(cover.any(axis=1)), np.flatnonzero(cover.any(axis=0))
        high, wide = picture.shape[:2]
        return columns[0] / wide, rows[0] / high, (columns[-1] + 1) / wide, (rows[-1] + 1) / high


def leaves(picture: np.ndarray, rng: np.random.Generator, right: bool, seconds: float) -> None:
    """A branch that waves before one side of the picture (in place). rng: the same at each time."""
    high, wide = picture.shape[:2]
    for _ in range(60):
        x, y = rng.uniform(0, 0.12) * wide, rng.uniform(0, 0.8) * high
        size, tone = rng.uniform(4, 11), rng.uniform(20, 130)
        turn, pace = rng.uniform(0, 180), rng.uniform(1.5, 4)
        x += 5 * np.sin(pace * seconds + turn)
        at = (round(wide - 1 - x if right else x), round(y + 3 * np.cos(pace * seconds + turn)))
        axes = (round(size), max(1, round(size / 3)))
        cv2.ellipse(picture, at, axes, turn + 25 * np.sin(pace * seconds), 0, 360, (tone / 3, tone, tone / 2), -1)


def car(picture: np.ndarray, tone: np.ndarray, way: int, seconds: float) -> None:
    """A car that drives through within a second and a half (in place)."""
    high, wide = picture.shape[:2]
    x = round(wide * (0.5 + way * (seconds - 1.2) / 1.5))
    top, long = round(0.6 * high), round(0.3 * wide)
    cv2.rectangle(picture, (x - long // 2, top), (x + long // 2, top + high // 5), tone.tolist(), -1)
    cv2.rectangle(picture, (x - long // 4, top - high // 9), (x + long // 4, top), (tone * 0.6).tolist(), -1)


def painted(place: str, seed: int, pans: bool) -> np.ndarray:
    """A landscape without anybody in it, still or under a pan."""
    from wanprep.demo import movie
    from wanprep.demo.places import PLACES as PAINT
    from wanprep.demo.scenes import WIDTH, render

    rng = np.random.default_rng(seed)
    palettes = (movie.DAY, movie.DUSK, movie.AUTUMN, movie.STONE, movie.WOOD, movie.NIGHT)
    scene = replace(PAINT[place](rng, palettes[int(rng.integers(len(palettes)))]), walkers=())
    pace = rng.uniform(0.4, 1) * PAN * WIDTH * rng.choice([-1, 1]) if pans else 0.0
    views = [render(scene, float(t), (pace * (t - 1.25), 0.0), 1.04)[..., ::-1] for t in SECONDS]
    return np.stack([cv2.resize(view, SIZE[::-1], interpolation=cv2.INTER_AREA) for view in views])


def made(background: np.ndarray, kind: Kind, size: float, seed: int) -> tuple[np.ndarray, list[list[Box]]]:
    """(pictures, boxes of each subject at each time). background: uint8[n, 144, w, 3], which is not changed."""
    rng = np.random.default_rng(seed)
    wide = background.shape[2]
    xs = rng.permutation(np.linspace(0.06, 0.94, 12))[: kind.count] + rng.uniform(-0.03, 0.03)
    figures = [Figure(rng, size * SIZE[0], float(x) * wide, kind.lives) for x in xs]
    tone, way = rng.uniform(20, 235, 3), int(rng.choice([-1, 1]))
    pictures, boxes = background.copy(), [[] for _ in figures]
    for picture, t in zip(pictures, SECONDS):
        if kind.rim == "car":
            car(picture, tone, way, float(t))
        for figure, where in zip(figures, boxes):
            where.append(figure.draw(picture, float(t)))
        if kind.rim == "leaves":
            leaves(picture, np.random.default_rng(seed + 1), bool(xs[0] < 0.5), float(t))
    noise = rng.normal(0, 1.5, pictures.shape)
    return np.clip(pictures + noise, 0, 255).astype(np.uint8), boxes


def made_clips(half: str, empty: list[np.ndarray]) -> Iterator[tuple[str, str, np.ndarray, list[list[Box]]]]:
    """(kind, size, pictures, boxes) of every kind and size before every background. empty: real shots of this half
    that hold no subject, two pictures a second, 144 high; one without a next picture stands still."""
    number = SEEDS[half]
    for name, kind in KINDS.items():
        backgrounds = [painted(place, number + k, kind.pans) for k, place in enumerate(PLACES[half])]
        for shot in empty:
            shown = np.arange(len(SECONDS)) if kind.pans else np.zeros(len(SECONDS), int)
            backgrounds.append(shot[np.minimum(shown, len(shot) - 1)])
        for background in backgrounds:
            for size, share in SIZES.items():
                number += 1
                yield (name, size, *made(background, kind, share, 7919 * number))
