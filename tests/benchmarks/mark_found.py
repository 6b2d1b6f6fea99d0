"""Other footage and pictures than the benchmark's, in colour, to train the network of wanprep/signals/marks.py with.

    python tests/benchmarks/made_pieces.py FOLDER
    python tests/benchmarks/mark_found.py found.npz FOLDER [FOLDER ...]

FOLDER/videos, photos, screens and things hold files or folders of them, each a source: films, photographs, pictures of
computer screens and, with a transparent ground, of single things. None may bear a mark of its own. Shots of films are
kept twice a second and, slowed down, as if the camera stood still; what becomes of the rest `Found` says.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from ink import Rng
from innocents import swayed

KINDS = ("videos", "photos", "screens", "things")
OFTEN = (0.5, 0.22, 0.16, 0.12)  # how often each kind is shown
GROUPS, PICTURES, FINE = 8, 6, 640  # of a film; of a group; width of pictures, that a part of them may be shown
WIDTH, HEIGHT = 512, 288  # as in mark_examples.py
Piece = tuple[str, str, np.ndarray]  # kind, source, uint8[n, h, w, 3] or, of things, 4


class Found:
    """Scenes of this material. pieces: those that may be shown."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._of = {kind: [piece[2] for piece in pieces if piece[0] == kind] for kind in KINDS}
        share = np.array([often * bool(self._of[kind]) for kind, often in zip(KINDS, OFTEN)])
        self._share = share / share.sum()

    def scene(self, rng: Rng, count: int, filmed: Callable[[np.ndarray, int], Any]) -> tuple[np.ndarray, bool]:
        """(uint8[count, HEIGHT, WIDTH, 3], whether nothing in it moves). filmed: puts a picture before a camera."""
        kind = KINDS[int(rng.choice(len(KINDS), p=self._share))]
        piece = self._any(kind, rng)
        if kind == "videos":
            return self._shot(piece, rng, count)
        if kind == "things":
            return self._things(rng, count), False
        if kind == "screens":
            return self.screen(piece[0], rng, count), False
        x, fixed = filmed(piece[0], count)
        return (swayed(x[0], count, rng), False) if fixed and rng.random() < 0.5 else (x, fixed)

    def _any(self, kind: str, rng: Rng) -> np.ndarray:
        return self._of[kind][int(rng.integers(len(self._of[kind])))]

    def _shot(self, frames: np.ndarray, rng: Rng, count: int) -> tuple[np.ndarray, bool]:
        """A part of a shot, forwards or backwards, now and then one picture throughout."""
        which = np.linspace(0, len(frames) - 1, count).round().astype(int)
        fixed = bool(rng.random() < 0.08)
        which = which[:1].repeat(count) if fixed else which[:: int(rng.choice([1, -1]))]
        height, width = frames.shape[1:3]
        zoom = rng.uniform(0.6, 1.0) if rng.random() < 0.6 else 1.0
        h, w = int(height * zoom), int(width * zoom * rng.uniform(0.85, 1))
        top, left = rng.integers(height - h + 1), rng.integers(width - w + 1)
        part = frames[which, top : top + h, left : left + w]
        return np.stack([cv2.resize(p, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA) for p in part]), fixed

    def _things(self, rng: Rng, count: int) -> np.ndarray:
        """One or a few things before a plain or shaded ground, which turn, tilt and come nearer, or hold still."""
        ground = np.linspace(rng.uniform(0, 255, 3), rng.uniform(0, 255, 3), HEIGHT)[:, None] + np.zeros((1, WIDTH, 1))
        if rng.random() < 0.6:
            ground[:] = rng.choice([255, 255, 240, 0, rng.uniform(0, 255)])
        out = np.repeat(ground[None], count, 0).astype(np.float32)
        for _ in range(int(rng.choice([1, 1, 1, 2, 4]))):
            thing = self._any("things", rng)[0]
            h, w = thing.shape[:2]
            size = HEIGHT * float(np.exp(rng.uniform(np.log(0.4), np.log(1.5)))) / max(h, w)
            middle, still = rng.uniform(0.1, 0.9, 2) * (WIDTH, HEIGHT), rng.random() < 0.35
            grow, turn, tilt = (0.0, 0.0, 0.0) if still else rng.normal(0, 1, 3) * (0.03, 3, 0.06)
            step = (0.0 if still else 1.0) * rng.normal(0, 1, 2) * rng.choice([0.0, 1.0, 12.0])
            for k in range(count):
                m = cv2.getRotationMatrix2D((w / 2, h / 2), turn * k, size * np.exp(grow * k))
                m[1] *= np.exp(tilt * k)  # as if it were tipped
                m[:, 2] += middle + step * k - m[:, :2] @ (w / 2, h / 2) - m[:, 2]
                seen = cv2.warpAffine(thing, m, (WIDTH, HEIGHT), flags=cv2.INTER_AREA).astype(np.float32)
                cover = seen[..., 3:] / 255
                out[k] += cover * (seen[..., :3] - out[k])
        return np.clip(out, 0, 255).astype(np.uint8)

    def screen(self, picture: np.ndarray, rng: Rng, count: int) -> np.ndarray:
        """uint8[count, HEIGHT, WIDTH, 3]: a part of a screen in which windows open, rows come and a pointer goes; all
        or a pane of it may scroll."""
        height, width = picture.shape[:2]
        w = int(rng.uniform(0.5, 1.0) * width)
        h = min(height, int(w * HEIGHT / WIDTH))
        top, left = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
        part = picture[top : top + h, left : left + w]
        x = np.repeat(cv2.resize(part, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)[None], count, 0)
        if rng.random() < 0.6:
            pane = (0, 0) if rng.random() < 0.3 else (rng.uniform(0.05, 0.3, 2) * (HEIGHT, WIDTH)).astype(int)
            step = int(rng.integers(2, 60))
            for k in range(count):
                x[k, pane[0] :, pane[1] :] = np.roll(x[0, pane[0] :, pane[1] :], -step * k, 0)
        for _ in range(int(rng.integers(0, 4))):  # what opens, stays and closes
            other = self._any("screens", rng)[0]
            tall, wide = (int(v) for v in np.exp(rng.uniform(np.log(20), np.log(200), 2)))
            part = cv2.resize(other, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)[:tall, :wide]
            a, b = int(rng.integers(HEIGHT - len(part) + 1)), int(rng.integers(WIDTH - part.shape[1] + 1))
            first, last = np.sort(rng.integers(0, count + 1, 2))
            x[first:last, a : a + len(part), b : b + part.shape[1]] = part
        arrow = np.array([[0, 0], [0, 14], [4, 11], [9, 11]])
        for picture_ in x:
            at = (rng.uniform(0, 1, 2) * (WIDTH, HEIGHT)).astype(int)
            cv2.fillPoly(picture_, [(arrow + at).astype(np.int32)], (0, 0, 0), cv2.LINE_AA)
        return x


def groups(path: Path, rng: Rng) -> Iterator[np.ndarray]:
    """uint8[PICTURES, h, WIDTH, 3] of the shots of a film: half a second apart, or a frame to a tenth of a second."""
    from wanprep.media.read import open_video
    from wanprep.stages.split import SplitConfig, measure_source, split

    signals, facts, _ = measure_source(path, threads=1)
    times = signals.seconds()
    shots = [(c.start_frame, c.end_frame) for c in split(signals, SplitConfig())[0] if c.state == "ok"]
    lengths = np.array([b - a for a, b in shots], np.float64)
    wanted: list[list[int]] = []
    for k in range(GROUPS if shots else 0):
        a, b = shots[int(rng.choice(len(shots), p=lengths / lengths.sum()))] if k >= len(shots) else shots[k]
        rate = (b - a) / max(1e-3, times[b - 1] - times[a])
        step = round(0.5 * rate) if k % 2 == 0 else round(rate * float(np.exp(rng.uniform(np.log(0.03), np.log(0.12)))))
        step = max(1, min(step, (b - a - 1) // (PICTURES - 1)))
        first = int(rng.integers(a, max(a + 1, b - step * (PICTURES - 1))))
        wanted.append(list(range(first, b, step))[:PICTURES])
    size = WIDTH, 4 * round(WIDTH * facts.height / facts.width / 4)
    need, seen = {i for group in wanted for i in group}, {}
    with open_video(path, facts) as video:
        for index, frame in enumerate(video.frames()):
            if index in need:
                seen[index] = frame.bgr(*size)
    for group in wanted:
        if len(group) > 2 and all(i in seen for i in group):
            yield np.stack([seen[i] for i in group])


def pieces_of(folder: Path) -> Iterator[Piece]:
    for kind in KINDS:
        for place in sorted((folder / kind).glob("*")):
            rng = np.random.default_rng(13)
            for path in sorted(place.glob("*")) if place.is_dir() else [place]:
                if kind == "videos":
                    yield from ((kind, place.stem, group) for group in groups(path, rng))
                    continue
                picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED if kind == "things" else cv2.IMREAD_COLOR)
                if picture is None or picture.ndim != 3 or (kind == "things") != (picture.shape[2] == 4):
                    raise ValueError(f"{path} is no picture {'with' if kind == 'things' else 'without'} transparency")
                scale = min(1.0, FINE / picture.shape[1])
                yield (
                    kind,
                    place.stem,
                    cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)[None],
                )


def pack(target: Path, folders: Sequence[Path]) -> None:
    """Write everything into one file, as WebP pictures."""
    files, about = [], []
    for kind, source, pictures in (piece for folder in folders for piece in pieces_of(folder)):
        about.append({"kind": kind, "source": f"{kind}/{source}", "pictures": len(pictures)})
        files += [cv2.imencode(".webp", p, [cv2.IMWRITE_WEBP_QUALITY, 80])[1].tobytes() for p in pictures]
    told = np.frombuffer(json.dumps(about).encode(), np.uint8)
    np.savez(target, data=np.frombuffer(b"".join(files), np.uint8), sizes=[len(f) for f in files], about=told)


def load(path: Path) -> list[Piece]:
    """What `pack` wrote."""
    stored = np.load(path)
    files = iter(np.split(stored["data"], np.cumsum(stored["sizes"])[:-1]))
    return [
        (
            p["kind"],
            p["source"],
            np.stack([cv2.imdecode(next(files), cv2.IMREAD_UNCHANGED) for _ in range(p["pictures"])]),
        )
        for p in json.loads(stored["about"].tobytes())
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    options = parser.parse_args()
    pack(options.target, options.folders)


if __name__ == "__main__":
    main()
