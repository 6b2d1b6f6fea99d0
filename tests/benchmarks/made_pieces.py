"""Made-up films, pictures and things in colour, in folders that mark_found.py reads.

    python tests/benchmarks/made_pieces.py FOLDER [--media ../shared/media/dev]

FOLDER/videos gets links to the unmarked real files and short films of every kind of scene of bench_good (of seeds that
it does not report), FOLDER/photos painted places, FOLDER/things made-up things before a transparent ground. Nothing is
fetched: whoever has this repository and that footage can make the same.
"""

from __future__ import annotations

import argparse
import zlib
from pathlib import Path

import cv2
import numpy as np
from bench_good import painted
from good_drawn import DRAWN
from good_files import save
from good_scenes import ORDINARY
from ink import Rng, blob, fill, line, tone

UNMARKED = (  # real files without marks, titles and other lettering
    "bbb_1080p", "bikes", "bottle", "cars", "coffee", "crystal", "cups", "fire", "flower", "friday", "frog", "gopro",
    "popeye_t02", "popeye_t03",
)  # fmt: skip
SEEDS, FILMS, THINGS = range(11, 29), 3, 160  # of painted places; of each kind of scene; things
RATE, SECONDS, SIZE = 24, 3, (512, 288)
SIDE = 360  # of the picture of a thing


def films(folder: Path, media: Path) -> None:
    """Links to real files, and scenes over painted stills alone: those of real files are in one half or the other."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(media.iterdir()):
        if path.name.startswith(UNMARKED):
            (folder / path.name).symlink_to(path.resolve())
    stills = [still for seed in SEEDS for still in painted(seed)[1]]
    for kind, maker in {**ORDINARY, **DRAWN}.items():
        for k in range(FILMS if kind != "screen" else 0):
            scene = maker(np.random.default_rng([7, zlib.crc32(kind.encode()), k]), stills)
            frames = (scene(n / RATE, *SIZE) for n in range(RATE * SECONDS))
            name = f"made {kind} {k}.mp4".replace(" ", "_").replace(",", "")
            save(folder / name, frames, RATE, ("-c:v", "libx264", "-preset", "fast", "-crf", "17"))
    for k, still in enumerate(stills):
        (photos := folder.with_name("photos")).mkdir(exist_ok=True)
        cv2.imwrite(str(photos / f"painted_still_{k}.png"), still[..., ::-1])


def thing(rng: Rng, grounds: list[np.ndarray]) -> np.ndarray:
    """uint8[SIDE, SIDE, 4] BGRA: a body of one or a few parts, shaded, with lines, rows of keys, spots or a pattern."""
    middle = np.array([SIDE / 2, SIDE / 2])
    cover, view = np.zeros((SIDE, SIDE), np.uint8), np.zeros((SIDE, SIDE, 3), np.uint8)
    for _ in range(int(rng.choice([1, 1, 2, 3, 5]))):
        wide, tall = SIDE * rng.uniform(0.12, 0.38, 2)
        outline = blob(rng, wide, tall) + middle + rng.normal(0, 0.1 * SIDE, 2)
        part, colour = np.zeros((SIDE, SIDE), np.uint8), tone(rng)
        fill(part, outline, (255,), (255,), 0)
        surface = np.full_like(view, colour)
        if rng.random() < 0.35:
            surface = _patterned(rng, grounds)
        _furnish(surface, rng, outline)
        view = np.where(part[..., None] > 127, _shaded(surface, rng), view)
        if rng.random() < 0.4:
            line(view, outline, tone(rng), int(rng.choice([1, 1, 2, 4])), closed=True)
        cover = np.maximum(cover, part)
    return np.dstack([view, cover])


def _patterned(rng: Rng, grounds: list[np.ndarray]) -> np.ndarray:
    """A part of a painted place, in other colours, as cloth, bark or paint."""
    ground = grounds[int(rng.integers(len(grounds)))]
    side = int(rng.integers(60, min(ground.shape[:2]) + 1))
    top, left = (int(rng.integers(0, n - side + 1)) for n in ground.shape[:2])
    part = cv2.resize(ground[top : top + side, left : left + side], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(np.clip(part[..., rng.permutation(3)] * rng.uniform(0.5, 1.4), 0, 255).astype(np.uint8))


def _furnish(view: np.ndarray, rng: Rng, outline: np.ndarray) -> None:
    """Keys in rows, stripes, spots, a window or nothing, about the middle of a part (in place)."""
    (left, top), (right, bottom) = outline.min(axis=0), outline.max(axis=0)
    wide, tall, kind, colour = right - left, bottom - top, int(rng.integers(6)), tone(rng)
    rows, columns = (int(v) for v in rng.integers(1, 7, 2))
    if kind < 3:  # keys, spots, holes
        for i in range(rows):
            for j in range(columns):
                at = np.array(
                    [left + wide * (0.25 + 0.5 * (j + 0.5) / columns), top + tall * (0.2 + 0.6 * (i + 0.5) / rows)]
                )
                size = 0.35 * np.array([0.5 * wide / columns, 0.6 * tall / rows])
                corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) if kind == 0 else blob(rng, 1, 1, 0.0)
                fill(view, at + corners * size, colour, tone(rng), int(rng.random() < 0.2))
    elif kind == 3:
        for k in range(rows * 2):
            y = top + tall * (k + 0.5) / (rows * 2)
            line(view, np.array([[left, y], [right, y + rng.normal(0, 4)]]), colour, int(rng.integers(1, 6)))
    elif kind == 4:
        at = np.array([left + wide / 2, top + tall * rng.uniform(0.3, 0.7)])
        fill(view, at + blob(rng, wide * 0.3, tall * 0.2), colour, tone(rng), int(rng.integers(0, 4)))


def _shaded(view: np.ndarray, rng: Rng) -> np.ndarray:
    """Light from one side and, of what is polished, its reflection."""
    down, across = np.mgrid[:SIDE, :SIDE].astype(np.float32) / SIDE - 0.5
    angle = rng.uniform(0, 2 * np.pi)
    light = 1 + rng.uniform(0, 0.8) * (across * np.cos(angle) + down * np.sin(angle))
    x, y = rng.uniform(-0.2, 0.2, 2)
    gleam = 255 * rng.choice([0.0, 0.0, 0.6]) * np.exp(-((across - x) ** 2 + (down - y) ** 2) / 0.004)
    return np.clip(view * light[..., None] + gleam[..., None], 0, 255).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--media", type=Path, default=Path(__file__).parents[3] / "shared" / "media" / "dev")
    options = parser.parse_args()
    films(options.folder / "videos", options.media)
    grounds = [cv2.imread(str(path)) for path in sorted((options.folder / "photos").iterdir())]
    (options.folder / "things").mkdir(exist_ok=True)
    for k in range(THINGS):
        cv2.imwrite(str(options.folder / "things" / f"thing_{k}.png"), thing(np.random.default_rng([9, k]), grounds))


if __name__ == "__main__":
    main()
