"""Ordinary good scenes for the benchmark of good clips: filmed stills under a camera, renders, water, particles.

A scene is a function of its time: Scene(seconds, width, height) -> uint8[height, width, 3] RGB; a maker draws all that
is random about one from its Generator at once. Stills are uint8[h, w, 3] RGB. Nothing here is faulty.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np

Scene = Callable[[float, int, int], np.ndarray]
Stills = Sequence[np.ndarray]
Maker = Callable[[np.random.Generator, Stills], Scene]


def pick(rng: np.random.Generator, stills: Stills) -> np.ndarray:
    return stills[int(rng.integers(len(stills)))]


def seen(still: np.ndarray, size: tuple[int, int], at: tuple[float, float], zoom: float, turn: float) -> np.ndarray:
    """What a camera sees of a still. at: its aim, 0..1 of the still; zoom: 1 shows as much as fits; turn: radians."""
    (width, height), (h, w) = size, still.shape[:2]
    scale = zoom * max(width / w, height / h)
    if scale < 0.9:  # no finer detail than the picture can hold
        still = cv2.GaussianBlur(still, (0, 0), max(0.01, 0.45 / scale - 0.3))
    c, s, x, y = math.cos(turn) * scale, math.sin(turn) * scale, at[0] * w, at[1] * h
    matrix = np.array([[c, -s, width / 2 - c * x + s * y], [s, c, height / 2 - s * x - c * y]])
    return cv2.warpAffine(still, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)


def camera(still: np.ndarray, rng: np.random.Generator, move: str = "") -> Scene:
    """A pan, tilt, zoom or roll over a still, or none, of an ordinary pace."""
    move = move or str(rng.choice(["pan", "tilt", "zoom", "roll", "rest"]))
    pace, way = float(rng.uniform(0.03, 0.09)), float(rng.choice([-1, 1]))
    x, y = rng.uniform(0.45, 0.55, 2)

    def scene(t: float, width: int, height: int) -> np.ndarray:
        far = way * pace * (t - 1.25)
        at = (x + (move == "pan") * far, y + (move == "tilt") * far)
        zoom, turn = 1.3 * math.exp((move == "zoom") * far), (move == "roll") * far
        return seen(still, (width, height), at, zoom, turn)

    return scene


def passing(still: np.ndarray, rng: np.random.Generator, size: float = 0.0, soft: float = 0.0) -> Callable:
    """A round cut-out of a still that wanders over frames. size: its radius in heights; soft: its edge, in heights."""
    size = size or float(rng.uniform(0.1, 0.22))
    phase, pace = rng.uniform(0, 6.3, 2), rng.uniform(0.8, 1.8, 2)

    def over(frame: np.ndarray, t: float) -> np.ndarray:
        height, width = frame.shape[:2]
        r = int(size * height)
        x = width * (0.5 + 0.3 * math.sin(pace[0] * t + phase[0]))
        y = height * (0.55 + 0.2 * math.sin(pace[1] * t + phase[1]))
        part = cv2.resize(still[:, : still.shape[0]], (2 * r, 2 * r), interpolation=cv2.INTER_AREA)
        rows, columns = np.mgrid[: 2 * r, : 2 * r] - r + 0.5
        edge = 1 + soft * height
        cover = np.clip((r - 1 - np.hypot(rows, columns)) / edge, 0, 1).astype(np.float32)
        matrix = np.array([[1, 0, x - r], [0, 1, y - r]])
        alpha = cv2.warpAffine(cover, matrix, (width, height))[..., None]
        moved = cv2.warpAffine(part, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
        return (frame * (1 - alpha) + moved * alpha).astype(np.uint8)

    return over


def photo(rng: np.random.Generator, stills: Stills, move: str = "") -> Scene:
    """A filmed still under a camera, with something that passes."""
    behind, mover = camera(pick(rng, stills), rng, move), passing(pick(rng, stills), rng)
    return lambda t, width, height: mover(behind(t, width, height), t)


def shallow(rng: np.random.Generator, stills: Stills) -> Scene:
    """A sharp subject before a background far out of focus."""
    behind, subject = (
        camera(pick(rng, stills), rng),
        passing(pick(rng, stills), rng, float(rng.uniform(0.25, 0.35)), 0.01),
    )
    blur = float(rng.uniform(0.008, 0.02))

    def scene(t: float, width: int, height: int) -> np.ndarray:
        return subject(cv2.GaussianBlur(behind(t, width, height), (0, 0), blur * height), t)

    return scene


def dark(rng: np.random.Generator, stills: Stills) -> Scene:
    """A photo in little light, with a trace of noise."""
    lit, gain, gamma = photo(rng, stills), float(rng.uniform(0.15, 0.4)), float(rng.choice([1.0, 1.3]))
    level = 255 * gain * (np.arange(256) / 255) ** gamma + 4
    return grained(lambda t, w, h: level[lit(t, w, h)], rng, 1.0)


def grainy(rng: np.random.Generator, stills: Stills) -> Scene:
    return grained(photo(rng, stills), rng, float(rng.uniform(3, 8)), float(rng.choice([0.0, 0.8])))


def grained(scene: Scene, rng: np.random.Generator, sigma: float, size: float = 0.0) -> Scene:
    """With noise of luma. size: of its grains, pixels of standard deviation (0: each pixel has its own)."""
    seed = int(rng.integers(1 << 30))

    def noisy(t: float, width: int, height: int) -> np.ndarray:
        noise = np.random.default_rng([seed, round(1000 * t)]).normal(0, sigma, (height, width)).astype(np.float32)
        if size:
            noise = cv2.GaussianBlur(noise, (0, 0), size) * (2 * size * math.sqrt(math.pi))
        return np.clip(scene(t, width, height) + noise[..., None], 0, 255).astype(np.uint8)

    return noisy


def barred(rng: np.random.Generator, stills: Stills) -> Scene:
    """A photo between black bars, above and below or at the sides."""
    inside, share, across = photo(rng, stills), float(rng.uniform(0.06, 0.14)), bool(rng.random() < 0.4)

    def scene(t: float, width: int, height: int) -> np.ndarray:
        frame = np.zeros((height, width, 3), np.uint8)
        x, y = (int(share * width), 0) if across else (0, int(share * height))
        frame[y : height - y, x : width - x] = inside(t, width - 2 * x, height - 2 * y)
        return frame

    return scene


def sharpened(rng: np.random.Generator, stills: Stills) -> Scene:
    inside, amount, reach = photo(rng, stills), float(rng.uniform(0.6, 1.5)), float(rng.uniform(0.8, 1.6))

    def scene(t: float, width: int, height: int) -> np.ndarray:
        frame = inside(t, width, height).astype(np.float32)
        return np.clip(frame + amount * (frame - cv2.GaussianBlur(frame, (0, 0), reach)), 0, 255).astype(np.uint8)

    return scene


def particles(rng: np.random.Generator, stills: Stills) -> Scene:
    """Snow, sparks or motes over a still or over a gradient."""
    count, drift = int(rng.integers(60, 250)), rng.normal(0, 0.1, 2)
    place, pace = rng.uniform(0, 1, (count, 2)), rng.normal(0, 0.08, (count, 2)) + drift
    size, tone = rng.uniform(1.2, 6, count), rng.integers(120, 255, (count, 3))
    plain, behind, colour = bool(rng.random() < 0.5), camera(pick(rng, stills), rng), rng.uniform(0.3, 1.0, 3)

    def scene(t: float, width: int, height: int) -> np.ndarray:
        ramp = np.linspace(20, 80, height)[:, None, None] * colour * np.ones((1, width, 1))
        frame = ramp.astype(np.uint8) if plain else behind(t, width, height)
        for (x, y), r, level in zip((place + pace * t) % 1 * (width, height), size * height / 360, tone.tolist()):
            cv2.circle(frame, (int(16 * x), int(16 * y)), int(16 * r), level, -1, cv2.LINE_AA, 4)
        return frame

    return scene


def water(rng: np.random.Generator, stills: Stills) -> Scene:
    """Waves seen along the surface, under a sky."""
    count = 7
    across, along = rng.normal(0, 7, count), rng.uniform(-11, 11, count)
    pace, phase = rng.uniform(2, 8, count), rng.uniform(0, 6.3, count)
    tone, horizon = rng.uniform(0.7, 1.3, 3) * (40, 90, 125), float(rng.uniform(0.15, 0.35))
    above = camera(pick(rng, stills), rng, "rest")

    def scene(t: float, width: int, height: int) -> np.ndarray:
        rows, columns = np.mgrid[:height, :width].astype(np.float32) / height
        depth = np.maximum(rows - horizon, 0) + 0.08
        swell = sum(
            np.sin((a * (columns - 0.9) / depth + b / depth) * 0.9 + s * t + p) / (k + 1.5)
            for k, (a, b, s, p) in enumerate(zip(across, along, pace, phase))
        )
        sea = tone + swell[..., None] * (22, 32, 38) + 70 * (swell > 1.0)[..., None]
        return np.where((rows > horizon)[..., None], np.clip(sea, 0, 255), above(t, width, height)).astype(np.uint8)

    return scene


def render(rng: np.random.Generator, stills: Stills) -> Scene:
    """A made-up camera over a floor, with shiny balls that bounce before it."""
    balls = int(rng.integers(2, 6))
    colour, phase = rng.uniform(0.15, 0.95, (balls, 3)), rng.uniform(0, 6.3, balls)
    go, light = rng.uniform(-0.4, 0.6, 2), np.array([-0.5, -0.7, -0.5])
    floor, sky, tiles = rng.uniform(0.4, 1.0, 3), rng.uniform(0.4, 1.0, 3), float(rng.choice([0.5, 1.0, 2.0]))
    striped = bool(rng.random() < 0.5)

    def scene(t: float, width: int, height: int) -> np.ndarray:
        rows, columns = np.mgrid[:height, :width].astype(np.float32)
        ray = np.stack([(columns - width / 2) / height, (rows - height / 2) / height, np.ones_like(rows)], -1)
        ray /= np.linalg.norm(ray, axis=-1, keepdims=True)
        eye = np.array([go[0] * t, -0.2, go[1] * t])
        down = ray[..., 1] > 0.01
        far = np.where(down, 1.2 / np.maximum(ray[..., 1], 0.01), 1e6)
        x, z = eye[0] + ray[..., 0] * far, eye[2] + ray[..., 2] * far
        check = np.where((np.floor(x * tiles) + np.floor(z * tiles)) % 2 > 0, 0.9, 0.3)
        check = check + 0.08 * np.sin(9 * x) * np.sin(8 * z)
        haze = np.exp(-far / 12)[..., None]
        above = sky + 0.3 * ray[..., 1:2]
        shade = np.where(down[..., None], check[..., None] * floor * haze + above * (1 - haze), above)
        nearest = far
        for k in range(balls):
            side = 1.5 * math.sin(2 * t + phase[k])
            middle = np.array([side, 0.4 - 0.6 * abs(math.sin(2 * t + k)), 4 + 1.3 * k])
            along = ray @ middle
            inside = along**2 - middle @ middle + 0.36
            reach = along - np.sqrt(np.maximum(inside, 0))
            hit = (inside > 0) & (reach > 0) & (reach < nearest)
            normal = (ray * reach[..., None] - middle) / 0.6
            lit = np.clip(normal @ light, 0, 1)
            bands = 1 + 0.25 * striped * np.sin(20 * normal[..., 0] + 15 * normal[..., 1])
            ball = colour[k] * ((0.15 + 0.85 * lit) * bands)[..., None] + 0.6 * lit[..., None] ** 40
            shade, nearest = np.where(hit[..., None], ball, shade), np.where(hit, reach, nearest)
        return np.clip(255 * shade, 0, 255).astype(np.uint8)

    return scene


ORDINARY: dict[str, Maker] = {
    "photo": photo, "shallow": shallow, "dark": dark, "grainy": grainy, "barred": barred, "sharpened": sharpened,
    "particles": particles, "water": water, "render": render,
}  # fmt: skip
