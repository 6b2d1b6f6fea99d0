"""Shots joined by pushes, covers and reveals, and pictures that change within a frame that stays.

Slides: three shots, one picture pushes the other out, comes over it or leaves from above it, at an even pace or eased,
with the shutter open for half of each frame or not. Frames: a title bar, a logo, a border or a studio's graphics stay
exactly as they are, while the picture inside of them changes from one frame to the next: slides of one template,
stills or text, and films in an inset. Beside the cuts there are frames in which nothing is cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from edits import Truth, finish, pick
from material import SEEDS, SIZE, noise_scene, plan, take
from traps import letters
from wipes import SLIDES, slide

H, W = SIZE
SHARES = (0.35, 0.9)  # of the picture that the frame leaves free


def slid(half: str, k: int, pool: Sequence[Path]) -> tuple[np.ndarray, Truth, float]:
    """The k-th edit of a half: uint8[n, 144, 256, 3] BGR, its truth, its frame rate."""
    rng = np.random.default_rng([SEEDS[half], k, 10])
    truth, out, index = Truth(), [], -1
    for number in range(3):
        big, index = pick(rng, list(pool), index)
        n = int(rng.integers(60, 100))
        shot = take(big, plan(rng, len(big), n), n, rng)
        if number:
            kind, length = SLIDES[int(rng.integers(3))], int(rng.integers(5, 25))
            now = sum(len(part) for part in out)
            truth.wipes.append((kind, now - length, now - 1))
            mixed = _smeared(out[-1][-length:], shot[:length], kind, rng)
            out[-1] = out[-1][:-length]
            out += [mixed, shot[length:]]
        else:
            out.append(shot)
    return finish(np.concatenate(out), rng), truth, float(rng.choice([24, 25, 30]))


def _smeared(old: np.ndarray, new: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    """As `wipes.slide`; of half of all frames of half of all slides the mean of three moments."""
    n, eased = len(old), rng.random() < 0.6
    moments = (0.0, 0.25, 0.5) if rng.random() < 0.5 else (0.0,)
    seed = rng.integers(1 << 30)
    found = np.zeros(old.shape, np.float32)
    for part in moments:
        times = (np.arange(n) + 1 + part - np.mean(moments)) / (n + 1)
        times = (1 - np.cos(np.pi * times)) / 2 if eased else times
        found += slide(old, new, kind, times, np.random.default_rng(seed))
    return (found / len(moments)).round().astype(np.uint8)


def framed(half: str, k: int, pool: Sequence[Path], pictures: Sequence[Path]) -> tuple[np.ndarray, Truth, float]:
    """The k-th film of a half with something that stays around its pictures."""
    rng = np.random.default_rng([SEEDS[half], k, 11])
    kind = ("stills", "text", "film", "uncut")[k % 4]
    y, x, h, w, share = _free(rng)
    ground = _ground(rng, pictures)
    parts, truth, index, now = [], Truth(), -1, 0
    for number in range(1 if kind == "uncut" else 4):
        n = int(rng.integers(150, 220)) if kind == "uncut" else int(rng.integers(40, 70))
        if kind in ("film", "uncut"):
            big, index = pick(rng, list(pool), index)
            inner = take(big, plan(rng, len(big), n), n, rng)
        elif kind == "stills":
            inner = np.repeat(_still(rng, pictures)[None], n, 0)
        else:
            inner = np.repeat(_written(rng, pictures, ground)[None], n, 0)
        parts.append(_put(ground, inner, y, x, h, w))
        if number:
            truth.cuts.append((now, f"{kind}_{'small' if share < 0.5 else 'large'}"))
        now += n
    if kind == "uncut":
        truth.traps.append(("in_frame", 0, now - 1))
    return finish(np.concatenate(parts), rng), truth, float(rng.choice([24, 25, 30]))


def _free(rng: np.random.Generator) -> tuple[int, int, int, int, float]:
    """Top, left, height and width of what changes, and its share of the picture."""
    share = rng.uniform(*SHARES)
    if rng.random() < 0.5 and share > 0.6:  # a bar above, and may be one below
        h, w = round(share * H), W
        return (H - h if rng.random() < 0.6 else (H - h) // 2), 0, h, w, share
    side = np.sqrt(share)
    h, w = round(side * H), round(side * W)
    y, x = int(rng.uniform(0.2, 0.8) * (H - h)), int(rng.uniform(0.1, 0.9) * (W - w))
    return y, x, h, w, share


def _ground(rng: np.random.Generator, pictures: Sequence[Path]) -> np.ndarray:
    """uint8[H, W, 3]: what stays: one tone, a gradient or a picture, with lettering and a logo."""
    import cv2

    tone = rng.uniform(0, 255, 3)
    ground = np.tile(tone.astype(np.float32), (H, W, 1))
    what = rng.random()
    if what < 0.3:
        ground += (np.mgrid[0:H, 0:W][int(rng.integers(2))] / H * rng.uniform(-90, 90))[..., None]
    elif what < 0.6:
        ground = 0.6 * cv2.GaussianBlur(_still(rng, pictures), (0, 0), float(rng.uniform(0.5, 8))).astype(np.float32)
    text = letters(rng, 0.5, 1, 0.1)
    ground = ground * (1 - text) + (255 if ground.mean() < 128 else 0) * text
    top, left = int(rng.integers(2, 12)), W - int(rng.integers(24, 60))
    ground[top : top + 14, left : left + 20] = rng.uniform(0, 255, 3)
    return np.clip(ground, 0, 255).astype(np.uint8)


def _still(rng: np.random.Generator, pictures: Sequence[Path]) -> np.ndarray:
    import cv2

    if not pictures or rng.random() < 0.2:
        return cv2.resize(noise_scene(rng, 1)[0], (W, H), interpolation=cv2.INTER_AREA)
    picture = np.load(pictures[int(rng.integers(len(pictures)))])
    h, w = picture.shape[:2]
    share = rng.uniform(0.5, 1.0)
    y, x = int(rng.uniform(0, 1 - share) * h), int(rng.uniform(0, 1 - share) * w)
    part = picture[y : y + int(share * h), x : x + int(share * w)]
    return cv2.resize(part, (W, H), interpolation=cv2.INTER_AREA)


def _written(rng: np.random.Generator, pictures: Sequence[Path], ground: np.ndarray) -> np.ndarray:
    """Lines of text, and mostly a picture beside them, on one tone that all slides of a film share."""
    import cv2

    page = np.full((H, W, 3), 240 if ground.mean() < 128 else 20, np.float32)
    cover = letters(rng, float(rng.uniform(0.5, 0.8)), int(rng.integers(2, 6)), 0.2)
    page = page * (1 - cover) + (20 if ground.mean() < 128 else 235) * cover
    if rng.random() < 0.75:
        share = rng.uniform(0.3, 0.6)
        h, w = int(H * rng.uniform(0.5, 0.9)), int(W * share)
        y, x = int(rng.uniform(0, H - h)), int(rng.choice([4, W - w - 4]))
        page[y : y + h, x : x + w] = cv2.resize(_still(rng, pictures), (w, h), interpolation=cv2.INTER_AREA)
    return page.astype(np.uint8)


def _put(ground: np.ndarray, inner: np.ndarray, y: int, x: int, h: int, w: int) -> np.ndarray:
    import cv2

    out = np.repeat(ground[None], len(inner), 0)
    for k, picture in enumerate(inner):
        out[k, y : y + h, x : x + w] = cv2.resize(picture, (w, h), interpolation=cv2.INTER_AREA)
    return out
