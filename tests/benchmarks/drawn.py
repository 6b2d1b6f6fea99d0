"""Good footage that repeats along the grid of a coder without any coding: textures, pixel art and screens.

Frames are luma, uint8[N, 360, 640]; everything is a function of a seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np
from good import SECONDS, Clip

SIZE = HEIGHT, WIDTH = 360, 640
MARGIN = 96  # pixels around, for what moves
PITCHES = (4, 5, 6, 8, 8, 10, 12, 15, 16, 16, 16, 17, 20, 24, 32, 32, 40)
TILES, TIMES = (8, 16, 16, 16, 24, 32), (1, 1, 2, 2, 3, 4)  # of pixel art: pixels of a tile, and of a pixel's side
Drawn = Callable[[int], np.ndarray]  # frame number -> luma


def drawn_clips(seed: int) -> Iterator[Clip]:
    """Twelve clips: six textures, four of pixel art, two screens."""
    seconds = np.arange(int(SECONDS * 24)) / 24
    for number in range(12):
        rng = np.random.default_rng([7000 + seed, number])
        view = (_texture if number < 6 else _pixel_art if number < 10 else _screen)(rng)
        yield np.stack([view(k) for k in range(len(seconds))]), seconds


def _texture(rng: np.random.Generator) -> Drawn:
    """A pattern over all of the picture or before a part of a scene: still, by whole pixels, or slowly nearer."""
    height, width = HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN
    scene = _scene(rng, height, width)
    pattern = _PATTERNS[int(rng.integers(len(_PATTERNS)))](rng, height, width, int(rng.choice(PITCHES)))
    low, high = np.sort(rng.uniform(20, 235, 2)) if rng.random() < 0.8 else (90.0, 150.0)
    flat = low + (high - low) * pattern
    material = rng.choice([0.0, 0.15, 0.5])
    made = flat * rng.uniform(0.75, 1.0) + material * (scene - scene.mean())
    if rng.random() < 0.3:  # a wall or a fence, the rest is scene
        left, right = np.sort(rng.integers(0, width, 2))
        made[:, left:right] = scene[:, left:right]
    made += rng.normal(0, rng.choice([0.0, 1.5, 4.0]), made.shape)
    made = np.clip(made, 0, 255).astype(np.float32)
    pace, zoom, way = rng.uniform(2, 25, 2) / 24, rng.uniform(-0.03, 0.03) / 24, rng.choice(["still", "whole", "near"])
    walker = _walker(rng)

    def view(k: int) -> np.ndarray:
        if way == "near":
            scale = 1 + zoom * k
            at = np.array([WIDTH, HEIGHT]) / 2
            shift = at + MARGIN + pace * k - scale * at
            matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
            out = cv2.warpAffine(made, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        else:
            x, y = MARGIN + (np.array([k, k // 2]) if way == "whole" else np.zeros(2, int))
            out = made[y : y + HEIGHT, x : x + WIDTH].copy()
        return walker(np.clip(out, 0, 255).astype(np.uint8), k)

    return view


def _scene(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    scene = np.full((height, width), 120.0, np.float32)
    for cells, gain in ((4, 30.0), (11, 18.0), (40, 12.0), (150, 9.0)):
        grid = rng.normal(0, gain, (cells, 2 * cells)).astype(np.float32)
        scene += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(scene, 0, 255)


def _walker(rng: np.random.Generator) -> Callable[[np.ndarray, int], np.ndarray]:
    """What moves over it, so that no clip stands still."""
    at, pace, radius = (
        rng.uniform(0.2, 0.8, 2) * (WIDTH, HEIGHT),
        rng.uniform(-70, 70, 2) / 24,
        int(rng.integers(15, 60)),
    )
    skin = _scene(rng, HEIGHT, WIDTH).astype(np.uint8)

    def over(frame: np.ndarray, k: int) -> np.ndarray:
        cover = np.zeros(SIZE, np.uint8)
        cv2.circle(cover, tuple(int(v * 16) for v in at + pace * k), radius * 16, 255, -1, cv2.LINE_AA, 4)
        share = cover.astype(np.float32) / 255
        return np.rint(frame * (1 - share) + skin * share).astype(np.uint8)

    return over


def _slabs(rng: np.random.Generator, height: int, width: int, pitch: int) -> np.ndarray:
    """Tiles of a wall: each has its tone, with joints between them."""
    y, x = np.indices((height, width))
    tone = rng.uniform(0.5, 1, (height // pitch + 1, width // pitch + 1))[y // pitch, x // pitch]
    joint = max(1, pitch // int(rng.integers(5, 12)))
    return np.where((y % pitch < joint) | (x % pitch < joint), rng.uniform(0, 0.4), tone)


def _planks(rng: np.random.Generator, height: int, width: int, pitch: int) -> np.ndarray:
    """Boards side by side, or blinds."""
    y, x = np.indices((height, width))
    along = x if rng.random() < 0.5 else y
    tone = rng.uniform(0.4, 1, max(height, width) // pitch + 1)[along // pitch]
    return np.where(along % pitch < max(1, pitch // 8), 0.1, tone - 0.2 * (along % pitch) / pitch)


def _dots(rng: np.random.Generator, height: int, width: int, pitch: int) -> np.ndarray:
    y, x = np.indices((height, width))
    staggered = (x + (y // pitch % 2) * (pitch // 2) * int(rng.integers(2))) % pitch
    far = np.hypot(staggered - pitch / 2 + 0.5, y % pitch - pitch / 2 + 0.5)
    return np.clip(far - pitch * rng.uniform(0.2, 0.4) + 0.5, 0, 1)


def _plaid(rng: np.random.Generator, height: int, width: int, pitch: int) -> np.ndarray:
    one, two = (rng.uniform(0, 0.5, pitch).round(1) for _ in range(2))
    return np.resize(one, height)[:, None] + np.resize(two, width)[None]


def _waves(rng: np.random.Generator, height: int, width: int, pitch: int) -> np.ndarray:
    """Cloth or roof tiles: smooth."""
    y, x = np.indices((height, width)) * (2 * np.pi / pitch)
    return 0.5 + 0.25 * (np.sin(x + rng.uniform(0, 6)) + np.sin(y + np.sin(x) * rng.uniform(0, 1)))


def _chequers(rng: np.random.Generator, height: int, width: int, pitch: int) -> np.ndarray:
    """Squares or lozenges, soft or hard."""
    y, x = np.indices((height, width))
    if rng.random() < 0.4:
        y, x = y + x, y - x
    squares = ((y // pitch + x // pitch) % 2).astype(np.float32)
    return cv2.GaussianBlur(squares, (0, 0), 0.6) if rng.random() < 0.5 else squares


_PATTERNS = (_slabs, _planks, _dots, _plaid, _waves, _chequers)


def _pixel_art(rng: np.random.Generator) -> Drawn:
    """A level of tiles, each pixel a square; it scrolls by its own pixels, a creature hops."""
    side, times = int(rng.choice(TILES)), int(rng.choice(TIMES))
    rows, columns = -(-HEIGHT // (side * times)) + 1, -(-(WIDTH // times + 120) // side) + 1
    tiles = [_sprite(rng, side) for _ in range(6)]
    level = np.repeat(np.linspace(220, 120, rows * side)[:, None] // 12 * 12, columns * side, axis=1)
    ground = rows * rng.uniform(0.4, 0.8) + np.cumsum(rng.integers(-1, 2, columns)).clip(-rows / 4, rows / 4)
    for column in range(columns):
        for row in range(rows):
            if row > ground[column] or rng.random() < 0.07:
                tile = tiles[int(rng.integers(2 if row > ground[column] + 1 else 6))]
                place = slice(row * side, (row + 1) * side), slice(column * side, (column + 1) * side)
                level[place] = np.where(tile >= 0, tile, level[place])
    creature, pace, hop = _sprite(rng, 2 * side), int(rng.integers(1, 3)), rng.uniform(4, 8)
    high, wide = -(-HEIGHT // times), -(-WIDTH // times)

    def view(k: int) -> np.ndarray:
        x = k * pace % 120
        part = level[:high, x : x + wide].copy()
        top, left = int(high * 0.3 + 0.2 * high * abs(np.sin(hop * k / 24))), wide // 2 + k // 2
        under = part[top : top + 2 * side, left : left + 2 * side]
        seen = creature[: under.shape[0], : under.shape[1]]
        under[:] = np.where(seen >= 0, seen, under)
        return np.kron(part, np.ones((times, times)))[:HEIGHT, :WIDTH].astype(np.uint8)

    return view


def _sprite(rng: np.random.Generator, side: int) -> np.ndarray:
    """float[side, side]: a tile or creature of four tones, alike left and right; negative is nothing."""
    tones = np.array([-1.0 if rng.random() < 0.3 else 150.0, *rng.integers(20, 240, 3)])
    coarse = int(rng.choice([1, 1, 2]))
    half = rng.integers(0, 4, (side // coarse, side // coarse // 2))
    half = cv2.medianBlur(half.astype(np.uint8), 3).repeat(coarse, axis=0).repeat(coarse, axis=1)
    sprite = np.pad(half, ((0, side - half.shape[0]), (0, side // 2 - half.shape[1])), mode="edge")
    whole = tones[np.hstack([sprite, sprite[:, ::-1]])]
    if rng.random() < 0.5:
        whole[0], whole[:, 0] = 30, 30
    return whole


def _screen(rng: np.random.Generator) -> Drawn:
    """Rows of icons and lines of text as bars, on a raster, under a bar that stays; it scrolls or a window is moved."""
    raster, dark = int(rng.choice([4, 8, 16])), rng.random() < 0.4
    paper, ink = (34, 170) if dark else (240, 100)
    page = np.full((3 * HEIGHT, WIDTH), paper, np.uint8)
    row = raster * int(rng.integers(2, 4)) if raster > 8 else raster * int(rng.integers(4, 7))
    for top in range(row, 3 * HEIGHT - row, row):
        page[top : top + row // 2, raster : raster + row // 2] = rng.integers(30, 230)
        for line in range(2):
            end = int(rng.uniform(0.3, 0.95) * WIDTH) // (1 + line)
            page[
                top + line * row // 3 : top + line * row // 3 + row // 6 + 1,
                2 * raster + row : end : rng.integers(1, 4),
            ] = ink
        page[top + row - 2] = (paper + ink) // 2
    window = cv2.copyMakeBorder(_scene(rng, 150, 220).astype(np.uint8), 16, 2, 2, 2, cv2.BORDER_CONSTANT, value=60)
    pace, scrolls = int(rng.integers(1, 4)), rng.random() < 0.5

    def view(k: int) -> np.ndarray:
        start = k * pace if scrolls else 0
        out = page[start : start + HEIGHT].copy()
        out[: 2 * raster] = 70
        x, y = int(200 + 80 * np.sin(k / 12)), int(90 + 30 * np.cos(k / 9))
        if not scrolls:
            out[y : y + window.shape[0], x : x + window.shape[1]] = window
        cv2.circle(out, (int(300 + 4 * k), 180), 5, 0, -1, cv2.LINE_AA)
        return out

    return view
