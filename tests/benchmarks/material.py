"""Shots to edit with: painted scenes with parallax, noise scenes, and single shots of real footage, in two halves.

No picture of the held-back half comes from a file, place or seed of the tuning half. Material is kept as
uint8[n, 216, 384, 3] BGR in a cache folder; `take` makes a shot of 144 x 256 of it that nobody has seen before: another
crop, speed, zoom, side, exposure, and hands that hold the camera.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

BIG, SIZE = (216, 384), (144, 256)
LONGEST = 170  # frames of one piece of material
PLACES = {"tune": ("valley", "town", "forest", "coast"), "held": ("market", "desert", "study")}
FILES = {
    "tune": ("cups_720", "cars", "bottle", "crystal", "friday", "bbb_", "popeye"),
    "held": ("coffee", "frog", "gopro", "flower", "bikes_", "fire", "watermark"),
}
SEEDS = {"tune": 1000, "held": 700_000}


def fit(frame: np.ndarray) -> np.ndarray:
    """The middle 16:9 of a picture at 384 x 216."""
    import cv2

    h, w = frame.shape[:2]
    ch, cw = min(h, round(w * 9 / 16)), min(w, round(h * 16 / 9))
    y, x = (h - ch) // 2, (w - cw) // 2
    return cv2.resize(frame[y : y + ch, x : x + cw], BIG[::-1], interpolation=cv2.INTER_AREA)


def prepare(cache: Path, media: Path, half: str) -> list[Path]:
    """Files of material of one half, made where they are missing."""
    folder = cache / "material" / half
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "done").exists():
        painted(folder, half)
        if (media / "cuts.json").is_file():
            filmed(folder, media, half)
        (folder / "done").touch()
    return sorted(folder.glob("*.npy"))


def painted(folder: Path, half: str) -> None:
    import cv2

    from wanprep.demo import movie
    from wanprep.demo.places import PLACES as PAINT
    from wanprep.demo.scenes import render

    palettes = (movie.DAY, movie.DUSK, movie.AUTUMN, movie.STONE, movie.WOOD, movie.NIGHT)
    rng = np.random.default_rng(SEEDS[half])
    for name in PLACES[half]:
        for k in range(6 // len(PLACES[half]) + 1):
            scene = PAINT[name](rng, palettes[int(rng.integers(len(palettes)))])
            pan, zoom = rng.uniform(25, 90) * rng.choice([-1, 1]), rng.uniform(0, 0.03)
            frames = []
            for t in range(130):
                at = (pan * (t / 24 - 2.7), 5 * np.sin(t / 30))
                frames.append(cv2.resize(render(scene, t / 24, at, 1.05 + zoom * t / 24), BIG[::-1])[..., ::-1])
            np.save(folder / f"place_{name}_{k}.npy", np.stack(frames))


def filmed(folder: Path, media: Path, half: str) -> None:
    """Single shots of the footage, by its written truth."""
    from wanprep.media.probe import probe
    from wanprep.media.read import open_video

    truth = json.loads((media / "cuts.json").read_text())
    for name, entry in truth.items():
        if name.startswith(("_", "derived")) or not name.startswith(FILES[half]):
            continue
        facts = probe(media / name)
        width = 480
        height = max(2, round(width * facts.height / facts.width / 2) * 2)
        with open_video(media / name, facts, threads=2) as reader:
            frames = [fit(frame.bgr(width, height)) for frame in reader.frames()]
        inside = np.ones(len(frames) + 1, bool)
        inside[[0, len(frames)]] = False
        for cut in (*entry["hard_cuts"], *entry["ambiguous"]):
            inside[max(0, cut - 2) : cut + 2] = False
        for mix in entry["gradual"]:
            inside[max(0, mix["range"][0] - 3) : mix["range"][1] + 4] = False
        edges = np.flatnonzero(np.diff(np.concatenate([[False], inside, [False]]).astype(int)))
        for a, b in zip(edges[::2], edges[1::2]):
            for part, start in enumerate(range(int(a), int(b) - 60, 400)):
                piece = np.stack(frames[start : min(int(b), start + LONGEST)])
                if len(piece) >= 60 and piece.mean() > 12:
                    np.save(folder / f"{Path(name).stem}_{a}_{part}.npy", piece)


def noise_scene(rng: np.random.Generator, n: int) -> np.ndarray:
    """uint8[n, 216, 384, 3]: a camera over coloured noise at four scales with hard-edged shapes, an object crossing."""
    import cv2

    height, width = BIG
    canvas = np.tile(np.array(rng.uniform(40, 200, 3), np.float32), (height * 3, width * 3, 1))
    for cells, gain in ((3, 50), (8, 35), (24, 20), (80, 10)):
        grid = rng.normal(0, gain, (cells, cells * 2, 3)).astype(np.float32)
        canvas += cv2.resize(grid, canvas.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    for _ in range(rng.integers(2, 12)):
        x, y, r = rng.integers(0, width * 3), rng.integers(0, height * 3), int(rng.integers(10, 120))
        cv2.circle(canvas, (int(x), int(y)), r, tuple(float(v) for v in rng.uniform(0, 255, 3)), -1)
    canvas = np.clip(canvas * rng.uniform(0.4, 1.0), 0, 255).astype(np.uint8)
    step = rng.choice([0, 0.5, 2, 6]) * np.array([np.cos(a := rng.uniform(0, 6.3)), np.sin(a)])
    place, pace, r = rng.uniform(0, 1, 2) * (width, height), rng.uniform(-5, 5, 2), int(rng.integers(8, 50))
    colour = tuple(float(v) for v in rng.uniform(0, 255, 3))
    out = []
    for t in range(n):
        matrix = np.array([[1, 0, -width - step[0] * t], [0, 1, -height - step[1] * t]], np.float32)
        view = cv2.warpAffine(canvas, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)
        at = np.abs((place + pace * t) % (2 * width, 2 * height) - (width, height))
        cv2.circle(view, (int(at[0]), int(at[1])), r, colour, -1)
        out.append(view)
    return np.stack(out)


@dataclass(frozen=True, kw_only=True)
class Take:
    """How a shot is made of material. crop: share of the width; x, y: middle; path: more offset of each frame, px."""

    start: int
    speed: float
    crop: float
    x: float
    y: float
    zoom: float
    mirror: bool
    gain: float
    offset: float
    hands: float


def plan(rng: np.random.Generator, length: int, n: int) -> Take:
    speed = float(rng.choice([0.5, 1, 1, 1, 1.5, 2]))
    room = max(0, length - 1 - int(n * speed))
    crop = rng.uniform(0.62, 1.0)
    hands = float(rng.choice([0, 0, 1, 3], p=[0.4, 0.2, 0.25, 0.15]))
    return Take(
        start=int(rng.integers(0, room + 1)), speed=speed, crop=crop, x=rng.uniform(-1, 1) * (1 - crop) / 2,
        y=rng.uniform(-1, 1) * (1 - crop) / 2, zoom=float(rng.choice([0, 0, 0.002, -0.002])),
        mirror=bool(rng.random() < 0.5), gain=rng.uniform(0.75, 1.25), offset=rng.uniform(-10, 15), hands=hands,
    )  # fmt: skip


def take(
    big: np.ndarray, how: Take, n: int, rng: np.random.Generator, path: np.ndarray | None = None,
    scale: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """uint8[n, 144, 256, 3]. path: [n, 2] extra camera offsets in shares of the picture; scale: [n] extra zoom.

    Beyond its edges the material goes on mirrored, so a whip pan ends on another picture. Fast steps are smeared.
    """
    import cv2

    out = np.empty((n, *SIZE, 3), np.uint8)
    times = np.arange(n) / 25
    waves = rng.uniform(1.5, 6, (2, 4)), rng.uniform(0, 6.3, (2, 4))
    sway = np.stack([np.sin(times[:, None] * 6.3 * f + p).mean(1) for f, p in zip(*waves)], 1) * how.hands * 0.012
    move = sway + (0 if path is None else path)
    for k in range(n):
        at = how.start + k * how.speed
        index = int(at) % (2 * len(big))
        source = big[min(index, 2 * len(big) - 1 - index)]  # plays back and forth when it is too short
        share = how.crop * np.exp(-how.zoom * k) / (1 if scale is None else scale[k])
        share = min(share, 1.0) if path is None else share
        w, h = BIG[1] * share, BIG[0] * share
        x = BIG[1] * (0.5 + how.x + move[k, 0]) - w / 2
        y = BIG[0] * (0.5 + how.y + move[k, 1]) - h / 2
        fx, fy = SIZE[1] / w, SIZE[0] / h
        matrix = np.array([[fx, 0, -x * fx], [0, fy, -y * fy]], np.float32)
        view = cv2.warpAffine(source, matrix, SIZE[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        if path is not None and k:
            step = int(abs(path[k, 0] - path[k - 1, 0]) * BIG[1] * fx * 0.6)
            if step > 2:
                view = cv2.blur(view, (step, 1))
        out[k] = view
    if how.mirror:
        out = out[:, :, ::-1]
    lut = np.clip(np.arange(256) * how.gain + how.offset, 0, 255).astype(np.uint8)
    return lut[out]
