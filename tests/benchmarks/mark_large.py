"""Titles: words of a tenth of the picture's height and more, and examples to train their network with.

    python tests/benchmarks/mark_large.py large.npz
    python tests/benchmarks/train_marks.py material.npz slow.npz made.npz --large large.npz --anew --out folder

Needs the fonts of mark_material.py.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
from mark_examples import HEIGHT, HIDDEN, MARK, WIDTH, Examples
from mark_material import WORDS, fonts, spelled

LOW, HIGH = 0.11, 0.42  # height of letters, of the picture
COUNTS = {"tune": 3000, "held": 300}
TITLES = {
    "tune": ("THE END", "Chapter One", "Part II", "1987", "Once upon\na time", "PARIS", "Day 3", "THE\nLONG\nROAD",
             "Nobody's\nIsland", "INTRO", "Ready?", "GO!", "Episode 12", "TEASER", "New York", "Winter", "LEVEL 4"),
    "held": ("PREVIEW", "Act Two", "The Last\nHarbour", "BERLIN", "Finale", "3", "SUMMER\nNIGHTS", "Round 1"),
}  # fmt: skip


def title(rng: np.random.Generator, half: str) -> np.ndarray:
    """uint8[HEIGHT, WIDTH]: a few large words, most often in the middle."""
    while True:
        tall = HEIGHT * float(np.exp(rng.uniform(np.log(LOW), np.log(HIGH))))
        part = _lines(rng, tall, half)
        if part.shape[0] < 0.97 * HEIGHT and part.shape[1] < 0.98 * WIDTH:
            return _put(rng, part)


def _lines(rng: np.random.Generator, tall: float, half: str) -> np.ndarray:
    """uint8[h, w]: words whose capitals are so high, about, no larger than they must be."""
    from PIL import Image, ImageDraw, ImageFont

    known = fonts(half)
    font = ImageFont.truetype(known[rng.integers(len(known))], max(12, int(tall / 0.72)))
    kind = rng.random()
    if half == "held" or kind < 0.35:
        texts = TITLES[half] if kind < 0.7 else tuple(text for text in WORDS[half] if len(text) < 12)
        text = str(texts[rng.integers(len(texts))])
    else:
        text = spelled(rng)[: int(rng.integers(2, 14))].strip() or "o"
        if rng.random() < 0.25:
            text += "\n" + spelled(rng)[: int(rng.integers(2, 14))].strip()
    if rng.random() < 0.12:
        text = " ".join(text)
    draw = ImageDraw.Draw(Image.new("L", (8, 8)))
    left, top, right, bottom = draw.multiline_textbbox((0, 0), text, font=font)
    picture = Image.new("L", (max(4, int(right - left)), max(4, int(bottom - top))))
    ImageDraw.Draw(picture).multiline_text((-left, -top), text, fill=255, font=font, align="center")
    return np.asarray(picture)


def _put(rng: np.random.Generator, part: np.ndarray) -> np.ndarray:
    out, (tall, wide) = np.zeros((HEIGHT, WIDTH), np.uint8), part.shape
    y, x = (HEIGHT - tall) // 2, (WIDTH - wide) // 2
    if rng.random() < 0.45:
        x = int(rng.integers(0, WIDTH - wide + 1))
    if rng.random() < 0.45:
        y = int(rng.integers(0, HEIGHT - tall + 1))
    out[y : y + tall, x : x + wide] = part
    if rng.random() < 0.1:
        turn = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), float(rng.uniform(-25, 25)), 0.8)
        out = cv2.warpAffine(out, turn, (WIDTH, HEIGHT))
    return out


class LargeExamples(Examples):
    """Examples of titles, on thumbnails of half the size."""

    FURNITURE, FURNISHED = (8, 150), 0.6

    def draw(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """As `Examples.draw`, of half the size."""
        thumbs, target = super().draw(count)
        size = WIDTH // 4, HEIGHT // 4
        halves = np.stack([cv2.resize(thumb, size, interpolation=cv2.INTER_AREA) for thumb in thumbs])
        four = target.reshape(HEIGHT // 16, 2, WIDTH // 16, 2)
        hidden = np.where((four == HIDDEN).any(axis=(1, 3)), HIDDEN, 0)
        return halves, np.where((four == MARK).any(axis=(1, 3)), MARK, hidden).astype(np.uint8)


def pack(target: Path) -> None:
    files = []
    for half, count in COUNTS.items():
        rng = np.random.default_rng([17, half == "held"])
        for _ in range(count):
            files.append(cv2.imencode(".png", title(rng, half), [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes())
    about = np.frombuffer(json.dumps(COUNTS).encode(), np.uint8)
    np.savez(target, data=np.frombuffer(b"".join(files), np.uint8), sizes=[len(f) for f in files], about=about)


def load(path: Path) -> dict[str, list[np.ndarray]]:
    """Titles of both halves."""
    stored = np.load(path)
    files = np.split(stored["data"], np.cumsum(stored["sizes"])[:-1])
    pictures = (cv2.imdecode(file, cv2.IMREAD_GRAYSCALE) for file in files)
    return {half: [next(pictures) for _ in range(n)] for half, n in json.loads(stored["about"].tobytes()).items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", type=Path)
    pack(parser.parse_args().target)


if __name__ == "__main__":
    main()
