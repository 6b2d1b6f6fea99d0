"""What the second network of marks learns from: shots, most of them drawn, and marks to put over them.

    python tests/benchmarks/second_look_material.py footage.npz [--media FOLDER]

packs the footage of the tuning half (25 shots) for a machine that has no films; all else is made up as it is asked for
(made_shots.py, mark_colours.py, good_scenes.py, good_drawn.py). Nothing is found elsewhere.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import good_files
import mark_large
import numpy as np
from cartoons import perch
from charts import network, plot, screen
from good_drawn import DRAWN
from good_scenes import ORDINARY
from ink import HEIGHT, WIDTH
from made_shots import OLDER, SHOTS
from mark_colours import KINDS, overlay
from mark_examples import coded
from mark_material import written

COUNT, SIZE = 5, (256, 144)  # pictures of a shot, and their size as they are kept
FILMED, OTHER = 0.25, 0.13  # share of footage, and of the scenes of the benchmark of good clips; the rest is drawn
OFTEN = 4  # times that rooms and streets of drawn_places are there
LETTERED, STRIPS = 0.34, 0.06  # shares of marks that are large words, or strips of news
PIECES, PICTURES = 14, 8  # of a film of footage, of a piece


class Maker:
    """Random shots and marks, by one seed."""

    def __init__(self, footage: Path, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.filmed = unpacked(footage)
        self.stills = [picture[..., ::-1] for shot in self.filmed for picture in shot[::4]]
        self.others = [*ORDINARY.values(), *DRAWN.values()]
        more = [*OLDER.values()] * OFTEN + [perch, perch, perch, network, plot, screen]
        self.drawn = [*SHOTS.values()] * 2 + more
        self.words = [written(self.rng, int(self.rng.integers(20, 50)), "tune") for _ in range(300)]

    def shot(self) -> np.ndarray:
        """uint8[COUNT, 144, 256, 3] BGR without a mark, as thumbnails of a film are."""
        rng, x = self.rng, self._varied(self._scene())
        if rng.random() < 0.08:
            wide, level = int(rng.integers(8, 40)), int(rng.integers(0, 14))
            x[:, :wide] = x[:, -wide:] = level
        quality, sigma = int(rng.integers(25, 85)) * int(rng.random() < 0.35), rng.uniform(0, 4) * (rng.random() < 0.35)
        out = []
        for picture in x:
            small = cv2.resize(coded(picture, quality) if quality else picture, SIZE, interpolation=cv2.INTER_AREA)
            grain = rng.normal(0, sigma, (SIZE[1], SIZE[0], 1)) if sigma else 0.0
            out.append(np.clip(small + grain, 0, 255).astype(np.uint8))
        return np.stack(out)

    def mark(self) -> np.ndarray:
        """uint8[144, 256, 4]: a mark's colour times its alpha, and its alpha."""
        rng, how = self.rng, self.rng.random()
        half = "tune" if rng.random() < 0.8 else "held"
        if how < LETTERED:
            kind = str(rng.choice(["large", "large", "title", "title", "subtitles"]))
            colour, alpha = title(rng, half) if kind == "title" else KINDS[kind](rng, half)
            alpha = alpha * np.float32(rng.uniform(0.22, 0.7) if rng.random() < 0.75 else 1.0)
        else:
            colour, alpha = strip(rng, half) if how < LETTERED + STRIPS else overlay(rng, half)
        both = np.concatenate([colour * alpha[..., None], 255 * alpha[..., None]], axis=-1)
        return np.clip(np.rint(cv2.resize(both, SIZE, interpolation=cv2.INTER_AREA)), 0, 255).astype(np.uint8)

    def _scene(self) -> np.ndarray:
        """uint8[COUNT, HEIGHT, WIDTH, 3] BGR."""
        rng, how = self.rng, self.rng.random()
        if how < FILMED:
            shot = self.filmed[rng.integers(len(self.filmed))]
            which = np.linspace(0, len(shot) - 1, COUNT).astype(int)
            if rng.random() < 0.2:
                which[:] = rng.integers(len(shot))
            return _part([shot[k] for k in which], rng, float(rng.uniform(0.35, 1.0)))
        if how < FILMED + OTHER:
            scene = self.others[rng.integers(len(self.others))](rng, self.stills)
            return np.stack([scene(t / 2, WIDTH, HEIGHT) for t in range(COUNT)])[..., ::-1]
        return self.drawn[rng.integers(len(self.drawn))](rng, COUNT, lambda: self.words[rng.integers(len(self.words))])

    def _varied(self, x: np.ndarray) -> np.ndarray:
        """In a mirror, a part of it, lighter or darker, in other colours or fewer, soft, or in the opposite tone."""
        rng = self.rng
        if rng.random() < 0.5:
            x = x[:, :, ::-1]
        if rng.random() < 0.35:
            x = _part(list(x), rng, float(rng.uniform(0.5, 0.95)))
        if rng.random() < 0.35:
            gain, offset = rng.uniform(0.5, 1.3), rng.uniform(-20, 40)
            x = np.clip(np.arange(256) * gain + offset, 0, 255).astype(np.uint8)[x]
        how = rng.random()
        if how < 0.15:
            x = x[..., rng.permutation(3)]
        elif how < 0.3:
            share = rng.uniform(0, 0.9)
            x = np.clip(x.mean(axis=-1, keepdims=True) * share + x * (1 - share), 0, 255).astype(np.uint8)
        if rng.random() < 0.2:
            reach = 2 * int(rng.integers(1, 3)) + 1
            x = np.stack([cv2.blur(picture, (reach, reach)) for picture in x])
        return np.ascontiguousarray(255 - x if rng.random() < 0.05 else x)


def title(rng: np.random.Generator, half: str) -> tuple[np.ndarray, np.ndarray]:
    """(colour, alpha) of words up to four tenths as high as the picture, most often white; some with a rim."""
    alpha = cv2.resize(mark_large.title(rng, half), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA) / np.float32(255)
    tone = np.full(3, 255) if rng.random() < 0.6 else rng.integers(0, 256, 3)
    colour = np.full((HEIGHT, WIDTH, 3), tone, np.uint8)
    if rng.random() < 0.2:
        rim = cv2.dilate(alpha, np.ones((7, 7), np.uint8))
        return np.uint8(colour * (alpha / np.maximum(rim, 1e-3))[..., None]), rim
    return colour, alpha


def strip(rng: np.random.Generator, half: str) -> tuple[np.ndarray, np.ndarray]:
    """(colour, alpha) of a strip across the picture, with words all along it: news that pass when it is rolled."""
    low, tall = int(rng.uniform(0.6, 0.93) * HEIGHT), int(rng.uniform(0.055, 0.16) * HEIGHT)
    low = int(rng.uniform(0, 0.08) * HEIGHT) if rng.random() < 0.2 else min(low, HEIGHT - tall)
    ground, ink = rng.integers(0, 256, (2, 3))
    while abs(int(ground.sum()) - int(ink.sum())) < 240:
        ground, ink = rng.integers(0, 256, (2, 3))
    if rng.random() < 0.4:
        ground, ink = np.full(3, int(rng.integers(0, 50))), np.full(3, 255)
    words = written(rng, max(8, int(tall * rng.uniform(0.5, 0.85))), half)
    gap = np.zeros((len(words), len(words) // 2), words.dtype)
    line = np.tile(np.concatenate([words, gap], axis=1), WIDTH // words.shape[1] + 2)[:tall, :WIDTH] / np.float32(255)
    colour, alpha = np.zeros((HEIGHT, WIDTH, 3), np.uint8), np.zeros((HEIGHT, WIDTH), np.float32)
    cover, top = np.zeros((tall, WIDTH), np.float32), (tall - len(line)) // 2
    cover[top : top + len(line)] = line
    colour[low : low + tall] = np.uint8(ground + (ink - ground) * cover[..., None])
    alpha[low : low + tall] = np.maximum(cover, 1.0 if rng.random() < 0.4 else rng.uniform(0.4, 0.95))
    return colour, alpha


def _part(pictures: list[np.ndarray], rng: np.random.Generator, share: float) -> np.ndarray:
    """A part of pictures, so large."""
    height, width = pictures[0].shape[:2]
    h, w = int(height * share), int(width * share)
    y, x = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
    how = cv2.INTER_AREA if w >= WIDTH else cv2.INTER_LINEAR
    return np.stack([cv2.resize(p[y : y + h, x : x + w], (WIDTH, HEIGHT), interpolation=how) for p in pictures])


def pack(target: Path, media: Path) -> None:
    good_files.A_FILE, shots = PIECES, []
    for path, about in good_files.films(media, "tune"):
        rate, pieces, _ = good_files.footage(path, about, 360)
        step = max(1, round(float(rate) / 2))
        shots += [piece[step // 2 :: step][:PICTURES] for piece in pieces]
    shots = [shot for shot in shots if len(shot) > 2]
    size = [(WIDTH, round(WIDTH * shot[0].shape[0] / shot[0].shape[1])) for shot in shots]
    small = [
        cv2.resize(p[..., ::-1].copy(), s, interpolation=cv2.INTER_AREA) for s, shot in zip(size, shots) for p in shot
    ]
    files = [cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 90])[1] for picture in small]
    np.savez(target, data=np.concatenate(files), sizes=[len(f) for f in files], counts=[len(shot) for shot in shots])


def unpacked(path: Path) -> list[list[np.ndarray]]:
    """Pictures uint8[h, WIDTH, 3] BGR of each shot."""
    packed = np.load(path)
    ends = np.cumsum(packed["sizes"])
    pictures = [cv2.imdecode(packed["data"][end - size : end], 1) for end, size in zip(ends, packed["sizes"])]
    return [pictures[end - count : end] for end, count in zip(np.cumsum(packed["counts"]), packed["counts"])]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", type=Path)
    parser.add_argument("--media", type=Path, default=Path(__file__).resolve().parents[3] / "shared/media/dev")
    options = parser.parse_args()
    pack(options.target, options.media)
    return 0


if __name__ == "__main__":
    sys.exit(main())
