"""More material to train the network of wanprep/signals/moving.py with (train_moving.py), in one small file.

    python tests/benchmarks/moving_material.py material.npz moving.npz [--media ../shared/media/dev]

What mark_material.py made, coded once more, with whole shots of the real files at four pictures a second beside it
(things that move by themselves, at any pace), and words that are spelled at random in every TrueType font there is.
Marks of the quality benchmark (Hershey letters) are not among them.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from good import sources, spans
from mark_examples import WIDTH, Clip
from mark_material import MARKED, MARKED_CLIPS, fonts, load, spelled

RATE, LONGEST = 4, 48  # pictures a second, pictures of a shot
WORDS = 3000


def shots(media: Path) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Whole unmarked shots of the real files: uint8[h, WIDTH] lumas, RATE a second."""
    from wanprep.media.probe import probe
    from wanprep.media.read import open_video

    for name, what in sources(media, generated=0, painted=0, traffic=0):
        if name.startswith(MARKED):
            continue
        _, path, cuts = what
        facts = probe(path)
        size = WIDTH, 4 * round(WIDTH * facts.height / facts.width / 4)
        last = min([spans(cuts)[k][0] for n, k in MARKED_CLIPS if n == name], default=cuts["n_frames"])
        holes = [g["range"] for g in cuts["gradual"]]
        edges = sorted({0, last, *cuts["hard_cuts"], *itertools.chain(*((a, b + 1) for a, b in holes))})
        pieces = [(a, b) for a, b in itertools.pairwise(edges)
                  if b <= last and not any(a >= first and b <= end + 1 for first, end in holes)]  # fmt: skip
        found: dict[tuple[int, int], dict[int, np.ndarray]] = {piece: {} for piece in pieces}
        with open_video(path, facts) as video:
            for index, frame in enumerate(video.frames()):
                slot = int(frame.pts * float(facts.time_base) * RATE)
                for (a, b), pictures in found.items():
                    if a <= index < b and slot not in pictures:
                        pictures[slot] = frame.gray(*size)
        for pictures in found.values():
            shot = [picture for _, picture in sorted(pictures.items())]
            for begin in range(0, len(shot), LONGEST):
                if len(shot[begin : begin + LONGEST]) >= RATE and np.mean(shot[begin]) > 4:
                    yield name, shot[begin : begin + LONGEST]


def lettering(rng: np.random.Generator) -> np.ndarray:
    """uint8[h, w]: one line or two, plain, in outline or in a frame; no larger than it must be."""
    from PIL import Image, ImageDraw, ImageFont

    known = fonts("tune") + fonts("held")
    size = int(np.exp(rng.uniform(np.log(8), np.log(44))))
    font = ImageFont.truetype(known[int(rng.integers(len(known)))], size)
    text = spelled(rng) + ("\n" + spelled(rng) if rng.random() < 0.12 else "")
    how = {"font": font, "spacing": 2, "align": "center"}
    left, top, right, bottom = ImageDraw.Draw(Image.new("L", (8, 8))).multiline_textbbox((0, 0), text, **how)
    pad = int(size * 0.4) + 2
    picture = Image.new("L", (int(right - left) + 2 * pad, int(bottom - top) + 2 * pad))
    draw, style = ImageDraw.Draw(picture), rng.random()
    edge = {"stroke_width": 1, "stroke_fill": 255} if style < 0.12 and size > 20 else {}
    draw.multiline_text((pad - left, pad - top), text, fill=0 if edge else 255, **how, **edge)
    if style > 0.92:
        draw.rectangle((1, 1, picture.width - 2, picture.height - 2), outline=255, width=max(1, size // 14))
    return np.asarray(picture)[:, : WIDTH - 16]


def pack(made: Path, target: Path, media: Path) -> None:
    """Write everything into one file: JPEG pictures of the clips, PNG words."""
    import cv2

    files: list[bytes] = []
    clips: list[dict[str, Any]] = []

    def add(source: str, number: int, pictures: list[np.ndarray], quality: int) -> None:
        clips.append({"source": source, "clip": number, "pictures": len(pictures)})
        files.extend(cv2.imencode(".jpg", p, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes() for p in pictures)

    rng = np.random.default_rng(11)
    for source, number, pictures in load(made)[0]:
        if source.startswith(("generated", "traffic")) or (source.startswith("painted") and rng.random() < 0.3):
            add(source, number, [cv2.GaussianBlur(p, (3, 3), 0.6) for p in pictures], 65)
    numbers: dict[str, int] = {}
    for source, shot in shots(media):
        numbers[source] = numbers.get(source, -1) + 1
        add(source, numbers[source], shot, 70)
    small = [cv2.IMWRITE_PNG_COMPRESSION, 9]
    files.extend(cv2.imencode(".png", lettering(rng), small)[1].tobytes() for _ in range(WORDS))
    about = json.dumps({"clips": clips, "words": WORDS}).encode()
    data = np.frombuffer(b"".join(files), np.uint8)
    np.savez(target, data=data, sizes=[len(f) for f in files], about=np.frombuffer(about, np.uint8))


def unpack(path: Path) -> tuple[list[Clip], list[np.ndarray]]:
    """(clips, words)."""
    import cv2

    stored = np.load(path)
    about = json.loads(stored["about"].tobytes())
    files = np.split(stored["data"], np.cumsum(stored["sizes"])[:-1])
    pictures = (cv2.imdecode(file, cv2.IMREAD_GRAYSCALE) for file in files)
    clips = [(c["source"], c["clip"], np.stack([next(pictures) for _ in range(c["pictures"])])) for c in about["clips"]]
    return clips, [next(pictures) for _ in range(about["words"])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("made", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--media", type=Path, default=Path(__file__).parents[3] / "shared" / "media" / "dev")
    options = parser.parse_args()
    pack(options.made, options.target, options.media)


if __name__ == "__main__":
    main()
