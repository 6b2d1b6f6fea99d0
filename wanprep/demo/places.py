"""The places where the demo movie was shot: each function paints one scene from a Generator and a palette."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from wanprep.demo.scenes import (
    CANVAS_H,
    CANVAS_W,
    Color,
    Layer,
    Scene,
    any_color,
    empty,
    jitter,
    land,
    noise,
    paint,
    ridge,
    scaled,
    shaded,
    sky,
    to_canvas,
    walkers,
)


@dataclass(frozen=True, kw_only=True)
class Palette:
    """top, low: sky; far, mid, near: land or walls from back to front; accent: what stands out."""

    top: Color = (70, 130, 205)
    low: Color = (205, 220, 235)
    far: Color = (120, 135, 160)
    mid: Color = (85, 115, 70)
    near: Color = (100, 140, 60)
    accent: Color = (215, 60, 50)
    clouds: float = 0.5


def valley(rng: np.random.Generator, p: Palette) -> Scene:
    """Mountains, wooded hills, a meadow with flowers."""
    snow = land(rng, p.far, ridge(rng, 0.62, 0.13, 420), 0.18, 110, 0.45)
    hills = land(rng, p.mid, ridge(rng, 0.45, 0.07, 500), 0.45, 60, 0.5)

    def wood(canvas: np.ndarray) -> None:
        for _ in range(520):
            x, y = int(rng.integers(0, CANVAS_W)), int(rng.uniform(0.56, 0.74) * CANVAS_H)
            tall = int(rng.uniform(22, 60))
            points = np.array([[x - tall // 4, y], [x + tall // 4, y], [x, y - tall]])
            cv2.fillPoly(canvas, [points], jitter(rng, scaled(p.mid, 0.6), 28), cv2.LINE_AA)

    meadow = land(rng, p.near, ridge(rng, 0.25, 0.02, 700), 1.0, 40, 0.45)

    def grass(canvas: np.ndarray) -> None:
        for _ in range(6000):
            x, y = int(rng.integers(0, CANVAS_W)), int(rng.uniform(0.74, 1.0) * CANVAS_H)
            tip = (x + int(rng.integers(-8, 9)), y - int(rng.uniform(8, 34)))
            cv2.line(canvas, (x, y), tip, jitter(rng, p.near, 55), 2, cv2.LINE_AA)
        for _ in range(350):
            x, y = int(rng.integers(0, CANVAS_W)), int(rng.uniform(0.76, 1.0) * CANVAS_H)
            cv2.circle(canvas, (x, y), int(rng.integers(3, 7)), jitter(rng, p.accent, 60), -1, cv2.LINE_AA)

    layers = (sky(rng, p.top, p.low, p.clouds), snow, paint(hills, wood), paint(meadow, grass))
    return Scene(layers=layers, walkers=walkers(rng, 2, 330, 92))


def _houses(rng: np.random.Generator, layer: Layer, walls: Color, floor: float, tall: tuple[float, float]) -> Layer:
    """A row of houses with windows; floor: row of their feet, tall: range of heights, both 0..1 of the canvas."""

    def draw(canvas: np.ndarray) -> None:
        x = 0
        while x < CANVAS_W:
            wide = int(rng.uniform(110, 240))
            top = int((floor - rng.uniform(*tall)) * CANVAS_H)
            bottom = int(floor * CANVAS_H)
            cv2.rectangle(canvas, (x, top), (x + wide, bottom), jitter(rng, walls, 50), -1)
            part = canvas[top:bottom, x : x + wide, :3]
            grain = noise(rng, part.shape[0], part.shape[1], 26, 4)
            part[:] = np.clip(part * (1 + 0.22 * grain[..., None]), 0, 255).astype(np.uint8)
            cv2.rectangle(canvas, (x - 6, top - 14), (x + wide + 6, top), jitter(rng, (90, 60, 50), 25), -1)
            lit = rng.uniform() < 0.5
            for wy in range(top + 22, bottom - 40, 58):
                for wx in range(x + 16, x + wide - 34, 46):
                    glass = (225, 205, 130) if lit and rng.uniform() < 0.5 else (50, 65, 90)
                    cv2.rectangle(canvas, (wx, wy), (wx + 24, wy + 34), jitter(rng, glass, 25), -1)
                    cv2.rectangle(canvas, (wx, wy), (wx + 24, wy + 34), (235, 230, 220, 255), 2)
                    cv2.line(canvas, (wx + 12, wy), (wx + 12, wy + 34), (235, 230, 220, 255), 2)
            x += wide + int(rng.integers(0, 14))

    return paint(layer, draw)


def town(rng: np.random.Generator, p: Palette) -> Scene:
    """Two rows of houses and a paved street with people."""
    far = _houses(rng, empty(0.4), p.far, 0.68, (0.22, 0.5))
    near = _houses(rng, empty(0.75), p.mid, 0.76, (0.12, 0.32))
    street = land(rng, p.near, np.full(CANVAS_W, 0.75 * CANVAS_H, np.float32), 1.0, 24, 0.3)

    def paving(canvas: np.ndarray) -> None:
        for row in range(int(0.77 * CANVAS_H), CANVAS_H, 26):
            cv2.line(canvas, (0, row), (CANVAS_W, row), jitter(rng, (70, 70, 74), 6), 2)
            for x in range(int(rng.integers(0, 50)), CANVAS_W, 52):
                cv2.line(canvas, (x, row), (x, row + 26), jitter(rng, (70, 70, 74), 6), 2)
        for x in range(120, CANVAS_W, 430):
            cv2.line(canvas, (x, int(0.78 * CANVAS_H)), (x, int(0.45 * CANVAS_H)), (40, 44, 48, 255), 8, cv2.LINE_AA)
            cv2.circle(canvas, (x, int(0.45 * CANVAS_H)), 17, jitter(rng, p.accent, 10), -1, cv2.LINE_AA)

    layers = (sky(rng, p.top, p.low, p.clouds), far, near, paint(street, paving))
    return Scene(layers=layers, walkers=walkers(rng, 4, 325, 88))


def forest(rng: np.random.Generator, p: Palette) -> Scene:
    """Trunks at three depths over a floor of leaves."""
    back = Layer(canvas=to_canvas(shaded(p.far, noise(rng, CANVAS_H, CANVAS_W, 60, 6), 0.5)), depth=0.12)
    layers = [back]
    for depth, count, wide, tone in ((0.3, 46, 22, 0.75), (0.6, 22, 44, 0.6), (1.0, 8, 86, 0.5)):
        layers.append(paint(empty(depth), _trunks(rng, p, count, wide, tone)))
        if depth < 1:
            floor = ridge(rng, 0.22 - 0.12 * depth, 0.015, 300)
            layers.append(land(rng, scaled(p.near, 1.1 - 0.3 * depth), floor, depth, 22, 0.6))

    def leaves(canvas: np.ndarray) -> None:
        for _ in range(2600):
            share = rng.uniform(0, 0.16) if rng.uniform() < 0.5 else rng.uniform(0.86, 1)
            at = (int(rng.integers(0, CANVAS_W)), int(share * CANVAS_H))
            turn, size = int(rng.integers(0, 180)), int(rng.integers(6, 15))
            cv2.ellipse(canvas, at, (size, size // 2), turn, 0, 360, jitter(rng, p.accent, 60), -1, cv2.LINE_AA)

    layers.append(paint(empty(1.0), leaves))
    return Scene(layers=tuple(layers), walkers=walkers(rng, 1, 318, 84))


def _trunks(rng: np.random.Generator, p: Palette, count: int, wide: int, tone: float) -> Callable[[np.ndarray], None]:
    def draw(canvas: np.ndarray) -> None:
        for x in np.sort(rng.uniform(0, CANVAS_W, count)).astype(int):
            half = int(wide * rng.uniform(0.35, 0.6))
            lo, hi = max(0, x - half), min(CANVAS_W, x + half)
            if hi - lo < 4:
                continue
            across = np.linspace(-1, 1, hi - lo, dtype=np.float32)
            bark = noise(rng, CANVAS_H // 6, hi - lo, 6, 4)  # stretched along the trunk
            bark = cv2.resize(bark, (hi - lo, CANVAS_H), interpolation=cv2.INTER_LINEAR)
            light = tone * (1.25 - 0.55 * np.abs(across + 0.3))
            canvas[:, lo:hi] = to_canvas(shaded(p.mid, bark, 0.7) * light[None, :, None])

    return draw


def coast(rng: np.random.Generator, p: Palette) -> Scene:
    """Sea to the horizon, sail boats, a beach in front."""
    rows = np.full(CANVAS_W, 0.5 * CANVAS_H, np.float32)
    sea = land(rng, p.far, rows, 0.25, 30, 0.2)

    def waves(canvas: np.ndarray) -> None:
        for _ in range(3200):
            down = rng.uniform(0, 1) ** 1.4
            x, y = int(rng.integers(0, CANVAS_W)), int((0.505 + 0.3 * down) * CANVAS_H)
            half = int(6 + 46 * down * rng.uniform(0.4, 1))
            color = jitter(rng, (225, 235, 240) if rng.uniform() < 0.35 else p.mid, 25)
            cv2.ellipse(canvas, (x, y), (half, 1 + int(3 * down)), 0, 180, 360, color, 2, cv2.LINE_AA)

    def boats(canvas: np.ndarray) -> None:
        for x in rng.uniform(100, CANVAS_W - 100, 7).astype(int):
            y, s = int(rng.uniform(0.53, 0.6) * CANVAS_H), int(rng.uniform(30, 80))
            hull = [[x - s, y], [x + s, y], [x + s * 2 // 3, y + s // 3], [x - s * 2 // 3, y + s // 3]]
            main = [[x, y - 4], [x, y - 2 * s], [x + s * 4 // 5, y - 4]]
            jib = [[x - 5, y - 4], [x - 5, y - 3 * s // 2], [x - s // 2, y - 4]]
            cv2.fillPoly(canvas, [np.array(hull)], jitter(rng, (110, 60, 40), 30), cv2.LINE_AA)
            cv2.fillPoly(canvas, [np.array(main)], jitter(rng, p.accent, 30), cv2.LINE_AA)
            cv2.fillPoly(canvas, [np.array(jib)], (240, 238, 230, 255), cv2.LINE_AA)

    beach = land(rng, p.near, ridge(rng, 0.2, 0.02, 500), 1.0, 34, 0.3)

    def stones(canvas: np.ndarray) -> None:
        for _ in range(700):
            x, y = int(rng.integers(0, CANVAS_W)), int(rng.uniform(0.84, 1) * CANVAS_H)
            size = int(rng.integers(4, 16))
            cv2.ellipse(
                canvas, (x, y), (size, size * 2 // 3), 0, 0, 360, jitter(rng, (125, 118, 110), 50), -1, cv2.LINE_AA
            )
            cv2.ellipse(canvas, (x, y), (size, size * 2 // 3), 0, 20, 160, (60, 56, 52, 255), 2, cv2.LINE_AA)

    layers = (sky(rng, p.top, p.low, p.clouds), paint(sea, waves), paint(empty(0.5), boats), paint(beach, stones))
    return Scene(layers=layers, walkers=walkers(rng, 2, 322, 80))


def market(rng: np.random.Generator, p: Palette) -> Scene:
    """Stalls with striped awnings and heaps of fruit."""
    wall = Layer(canvas=to_canvas(shaded(p.far, noise(rng, CANVAS_H, CANVAS_W, 40, 6), 0.35)), depth=0.35)

    def bricks(canvas: np.ndarray) -> None:
        for row in range(0, CANVAS_H, 30):
            cv2.line(canvas, (0, row), (CANVAS_W, row), jitter(rng, (95, 80, 72), 8), 2)
            for x in range((row // 30 % 2) * 32, CANVAS_W, 64):
                cv2.line(canvas, (x, row), (x, row + 30), jitter(rng, (95, 80, 72), 8), 2)

    def stalls(canvas: np.ndarray) -> None:
        for x in range(30, CANVAS_W, 420):
            top, table, color = int(0.22 * CANVAS_H), int(0.62 * CANVAS_H), jitter(rng, p.accent, 90)
            for stripe in range(0, 360, 30):
                tone = color if stripe // 30 % 2 else (240, 235, 225, 255)
                cv2.rectangle(canvas, (x + stripe, top), (x + stripe + 29, top + 90), tone, -1)
                cv2.circle(canvas, (x + stripe + 15, top + 90), 15, tone, -1, cv2.LINE_AA)
            for pole in (x + 6, x + 352):
                cv2.line(canvas, (pole, top + 80), (pole, CANVAS_H), (92, 70, 52, 255), 9)
            cv2.rectangle(canvas, (x, table), (x + 360, CANVAS_H), jitter(rng, p.mid, 20), -1)
            for crate in range(x + 10, x + 340, 84):
                fruit = jitter(rng, (205, 120, 50), 75)
                for _ in range(60):
                    at = (crate + int(rng.uniform(0, 76)), table - int(rng.triangular(0, 4, 60)))
                    cv2.circle(canvas, at, 11, jitter(rng, fruit[:3], 22), -1, cv2.LINE_AA)
                    cv2.circle(canvas, (at[0] - 3, at[1] - 3), 3, (250, 240, 220, 255), -1, cv2.LINE_AA)
                cv2.rectangle(
                    canvas, (crate - 2, table - 4), (crate + 78, table + 30), jitter(rng, (140, 105, 70), 20), -1
                )

    ground = land(rng, p.near, np.full(CANVAS_W, 0.86 * CANVAS_H, np.float32), 1.0, 18, 0.4)
    layers = (paint(wall, bricks), paint(empty(0.75), stalls), ground)
    return Scene(layers=layers, walkers=walkers(rng, 3, 345, 120))


def desert(rng: np.random.Generator, p: Palette) -> Scene:
    """Mesas, rippled dunes, cacti."""
    steps = np.floor(2.2 * noise(rng, 2, CANVAS_W, 260, 5)[0]) / 2.2
    mesas = land(rng, p.far, (CANVAS_H * (0.56 - 0.16 * steps)).astype(np.float32), 0.25, 34, 0.5)
    dunes = land(rng, p.mid, ridge(rng, 0.36, 0.05, 420), 0.6, 26, 0.35)
    front = land(rng, p.near, ridge(rng, 0.2, 0.03, 600), 1.0, 20, 0.35)

    def scrub(canvas: np.ndarray) -> None:
        for _ in range(900):
            x, y = int(rng.integers(0, CANVAS_W)), int(rng.uniform(0.8, 1) * CANVAS_H)
            tuft = jitter(rng, scaled(p.accent, 0.7), 30)
            for tip in range(-9, 10, 6):
                cv2.line(canvas, (x, y), (x + tip, y - int(rng.uniform(9, 20))), tuft, 2, cv2.LINE_AA)

    def cacti(canvas: np.ndarray) -> None:
        for x in rng.uniform(0, CANVAS_W, 11).astype(int):
            foot, tall = int(rng.uniform(0.74, 0.9) * CANVAS_H), int(rng.uniform(110, 230))
            green = jitter(rng, p.accent, 22)
            wide = tall // 6
            arm = tall // 3
            cv2.line(canvas, (x, foot), (x, foot - tall), green, wide, cv2.LINE_AA)
            for side, low in ((-1, 0.45), (1, 0.6)):
                y = foot - int(low * tall)
                cv2.line(canvas, (x, y), (x + side * arm, y), green, wide * 2 // 3, cv2.LINE_AA)
                cv2.line(canvas, (x + side * arm, y), (x + side * arm, y - arm), green, wide * 2 // 3, cv2.LINE_AA)
            for rib in (-wide // 3, 0, wide // 3):
                cv2.line(canvas, (x + rib, foot), (x + rib, foot - tall), jitter(rng, green[:3], 30), 2, cv2.LINE_AA)

    layers = (sky(rng, p.top, p.low, p.clouds), mesas, dunes, paint(paint(front, scrub), cacti))
    return Scene(layers=layers, walkers=walkers(rng, 2, 300, 76))


def study(rng: np.random.Generator, p: Palette) -> Scene:
    """A wall of books, a desk with a lamp. Nobody moves."""
    wall = Layer(canvas=to_canvas(shaded(p.far, noise(rng, CANVAS_H, CANVAS_W, 50, 5), 0.2)), depth=0.8)

    def books(canvas: np.ndarray) -> None:
        for shelf in range(150, CANVAS_H - 60, 150):
            x = 20
            while x < CANVAS_W - 40:
                wide, tall = int(rng.uniform(14, 36)), int(rng.uniform(88, 132))
                color = (*any_color(rng, 40, 200), 255)
                cv2.rectangle(canvas, (x, shelf - tall), (x + wide, shelf), color, -1)
                cv2.rectangle(canvas, (x, shelf - tall), (x + wide, shelf), (35, 28, 24, 255), 2)
                for band in (0.2, 0.3, 0.78):
                    y = shelf - int(band * tall)
                    cv2.line(canvas, (x + 4, y), (x + wide - 4, y), jitter(rng, (215, 190, 120), 25), 2)
                x += wide + 1
            cv2.rectangle(canvas, (0, shelf), (CANVAS_W, shelf + 14), jitter(rng, p.mid, 8), -1)

    desk = land(rng, p.near, np.full(CANVAS_W, 0.8 * CANVAS_H, np.float32), 1.0, 12, 0.35)

    def lamp(canvas: np.ndarray) -> None:
        x, y = CANVAS_W // 2 + 170, int(0.8 * CANVAS_H)
        cv2.line(canvas, (x, y), (x, y - 190), (50, 46, 44, 255), 9, cv2.LINE_AA)
        shade = np.array([[x - 40, y - 250], [x + 40, y - 250], [x + 84, y - 165], [x - 84, y - 165]])
        cv2.fillPoly(canvas, [shade], jitter(rng, p.accent, 10), cv2.LINE_AA)
        cv2.ellipse(canvas, (x, y + 6), (62, 14), 0, 0, 360, (50, 46, 44, 255), -1, cv2.LINE_AA)

    return Scene(layers=(paint(wall, books), paint(desk, lamp)))


PLACES: Mapping[str, Callable[[np.random.Generator, Palette], Scene]] = {
    "valley": valley,
    "town": town,
    "forest": forest,
    "coast": coast,
    "market": market,
    "desert": desert,
    "study": study,
}
