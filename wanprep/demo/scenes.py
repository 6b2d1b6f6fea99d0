"""Painted scenes for the demo movie: layers of textured landscape that slide past each other, and a few walkers.

Everything is drawn from one Generator, so the same seed gives the same pictures. Canvases are painted at twice the
size of the frame and sampled down, which gives edges and textures about as sharp as those of real footage: detectors
that look at gradients must not be able to tell by that alone.

Legend: colours are RGB 0..255; a canvas is uint8 [H,W,4], colour premultiplied by alpha; a frame is uint8 [h,w,3] RGB.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

WIDTH, HEIGHT = 640, 360
OVER = 2  # canvases are painted this many times larger than the frame
MARGIN = 260  # frame pixels that the camera may travel to either side
CANVAS_W, CANVAS_H = (WIDTH + 2 * MARGIN) * OVER, (HEIGHT + 80) * OVER

Color = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A painted canvas and how fast it slides: depth 0 stays with the camera (sky), 1 is where the subject walks."""

    canvas: np.ndarray
    depth: float


@dataclass(frozen=True, kw_only=True)
class Walker:
    """A figure crossing the picture. x0, x1: where it is at the start and end of 4 s, in frame pixels; y: its feet."""

    x0: float
    x1: float
    y: float
    size: float
    shirt: Color
    trousers: Color


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Layers from back to front, and who walks in front of them."""

    layers: tuple[Layer, ...]
    walkers: tuple[Walker, ...] = ()


def noise(rng: np.random.Generator, height: int, width: int, cell: float, octaves: int = 5) -> np.ndarray:
    """Value noise, float32 [height, width], mean about 0, range about -1..1; `cell`: size of its largest blobs."""
    total, weight, field = 0.0, 1.0, np.zeros((height, width), np.float32)
    for _ in range(octaves):
        shape = (max(2, int(height / cell) + 2), max(2, int(width / cell) + 2))
        grid = rng.uniform(-1, 1, shape).astype(np.float32)
        field += weight * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        total, weight, cell = total + weight, weight * 0.6, max(2.0, cell / 2.3)
    return field / total * 1.8


def shaded(color: Color, texture: np.ndarray, contrast: float) -> np.ndarray:
    """One colour made lighter and darker by a texture: float32 [H,W,3]."""
    return np.asarray(color, np.float32) * (1 + contrast * texture[..., None])


def to_canvas(color: np.ndarray, alpha: np.ndarray | None = None) -> np.ndarray:
    """Colour [H,W,3] and alpha 0..1 [H,W] as a premultiplied canvas."""
    cover = np.ones(color.shape[:2], np.float32) if alpha is None else alpha
    return np.dstack([np.clip(color, 0, 255) * cover[..., None], 255 * cover]).astype(np.uint8)


def sky(rng: np.random.Generator, top: Color, low: Color, clouds: float) -> Layer:
    """A gradient with clouds; clouds: 0 none .. 1 overcast."""
    ramp = np.linspace(0, 1, CANVAS_H, dtype=np.float32)[:, None, None] ** 0.8
    color = np.asarray(top, np.float32) * (1 - ramp) + np.asarray(low, np.float32) * ramp
    billow = noise(rng, CANVAS_H, CANVAS_W, 320, 7) - 0.6 * ramp[..., 0]
    cover = np.clip((billow + 0.9 * clouds - 0.4) * 2.2, 0, 1)[..., None]
    light = 225 + 40 * noise(rng, CANVAS_H, CANVAS_W, 90, 5)[..., None]
    return Layer(canvas=to_canvas(color * (1 - 0.85 * cover) + light * 0.85 * cover), depth=0.06)


def ridge(rng: np.random.Generator, height: float, roughness: float, cell: float) -> np.ndarray:
    """A skyline: row of the edge for each canvas column. height: of its mean above the bottom, 0..1."""
    line = noise(rng, 2, CANVAS_W, cell, 7)[0]
    return (CANVAS_H * (1 - height - roughness * line)).astype(np.float32)


def land(
    rng: np.random.Generator, color: Color, line: np.ndarray, depth: float, grain: float, contrast: float
) -> Layer:
    """Everything below a skyline, in one textured colour, lighter towards its edge. grain: blob size of the texture."""
    rows = np.arange(CANVAS_H, dtype=np.float32)[:, None]
    alpha = np.clip(rows - line[None, :], 0, 1)
    relief = noise(rng, CANVAS_H, CANVAS_W, grain, 6)
    fine = noise(rng, CANVAS_H, CANVAS_W, 7, 2)
    edge = np.exp(-np.clip(rows - line[None, :], 0, None) / 60)
    return Layer(canvas=to_canvas(shaded(color, relief + 0.5 * fine + 0.5 * edge, contrast), alpha), depth=depth)


def paint(layer: Layer, draw: Callable[[np.ndarray], None]) -> Layer:
    """Draw on a layer's canvas with OpenCV calls that pass colours as (r, g, b, 255)."""
    canvas = np.ascontiguousarray(layer.canvas)
    draw(canvas)
    return Layer(canvas=canvas, depth=layer.depth)


def empty(depth: float) -> Layer:
    return Layer(canvas=np.zeros((CANVAS_H, CANVAS_W, 4), np.uint8), depth=depth)


def jitter(rng: np.random.Generator, color: Color, amount: int) -> tuple[int, int, int, int]:
    """A colour a little off, with full alpha, for OpenCV."""
    r, g, b = (int(np.clip(c + rng.integers(-amount, amount + 1), 0, 255)) for c in color)
    return r, g, b, 255


def scaled(color: Color, factor: float) -> Color:
    r, g, b = (min(255, int(c * factor)) for c in color)
    return r, g, b


def any_color(rng: np.random.Generator, low: int, high: int) -> Color:
    r, g, b = (int(c) for c in rng.integers(low, high, 3))
    return r, g, b


def walkers(rng: np.random.Generator, count: int, y: float, size: float) -> tuple[Walker, ...]:
    """Figures at random places, half of them going left."""
    made = []
    for index in range(count):
        start, way = rng.uniform(40, 560), 130 * (1 if index % 2 else -1) * rng.uniform(0.7, 1.4)
        near = rng.uniform(0, 1)
        at, tall = y + 22 * near, size * (1 + 0.2 * near)
        look = {"shirt": any_color(rng, 40, 240), "trousers": any_color(rng, 20, 90)}
        made.append(Walker(x0=start, x1=start + way, y=at, size=tall, **look))
    return tuple(sorted(made, key=lambda walker: walker.y))


def render(scene: Scene, seconds: float, camera: tuple[float, float], zoom: float, angle: float = 0.0) -> np.ndarray:
    """One frame. camera: x, y in frame pixels at depth 1; zoom >= 1; angle in degrees about the centre."""
    frame: np.ndarray = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    for layer in scene.layers:
        x = CANVAS_W / 2 + camera[0] * layer.depth * OVER
        y = CANVAS_H / 2 + camera[1] * layer.depth * OVER
        grow = zoom ** max(layer.depth, 0.2)
        turn = cv2.getRotationMatrix2D((x, y), angle, grow / OVER)
        turn[:, 2] += np.array([WIDTH / 2 - x, HEIGHT / 2 - y])
        seen = cv2.warpAffine(
            layer.canvas, turn, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        )
        keep = (255 - seen[..., 3:].astype(np.float32)) / 255
        frame = frame * keep + seen[..., :3]
    picture = np.clip(frame, 0, 255).astype(np.uint8)
    for walker in scene.walkers:
        _walk(picture, walker, seconds, camera)
    return picture


def _walk(frame: np.ndarray, walker: Walker, seconds: float, camera: tuple[float, float]) -> None:
    """Draw a figure in mid-step, legs and arms swinging at about two steps a second."""
    s, pace = walker.size, 2 * np.pi * seconds + walker.x0
    x = walker.x0 + (walker.x1 - walker.x0) * seconds / 4 - camera[0]
    y = walker.y - camera[1] - abs(np.sin(pace)) * 0.04 * s
    swing = np.sin(pace) * 0.22 * s
    thick = max(2, int(0.11 * s))

    def line(ax: float, ay: float, bx: float, by: float, color: Color, width: int) -> None:
        a, b = (int((x + ax) * 8), int((y - ay) * 8)), (int((x + bx) * 8), int((y - by) * 8))
        cv2.line(frame, a, b, color, width, cv2.LINE_AA, 3)

    dark = (int(walker.shirt[0] * 0.7), int(walker.shirt[1] * 0.7), int(walker.shirt[2] * 0.7))
    line(0, 0.48 * s, swing, 0, walker.trousers, thick)
    line(0, 0.48 * s, -swing, 0, walker.trousers, thick)
    line(0, 0.8 * s, -swing * 0.8, 0.45 * s, dark, max(2, thick - 2))
    line(0, 0.82 * s, 0, 0.48 * s, walker.shirt, int(1.9 * thick))
    line(0, 0.8 * s, swing * 0.8, 0.45 * s, dark, max(2, thick - 2))
    centre = (int(x * 8), int((y - 0.98 * s) * 8))
    cv2.circle(frame, centre, int(0.11 * s * 8), (214, 170, 140), -1, cv2.LINE_AA, 3)
    cv2.ellipse(
        frame, (centre[0] >> 3, (centre[1] >> 3) - 1), (int(0.11 * s), int(0.1 * s)), 0, 180, 360, (60, 40, 30), -1
    )
