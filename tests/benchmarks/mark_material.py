"""Material to train the network of wanprep/signals/marks.py with (train_marks.py), in one file.

    python tests/benchmarks/mark_material.py material.npz [--media ../shared/media/dev]

Single shots of the real files, and painted and made-up scenes, two pictures a second, 512 px wide; words, most of them
spelled at random, in TrueType fonts, and logos, most of random shapes. Marks of the quality benchmark (Hershey
letters) are not among them. Needs fonts (Debian: fonts-dejavu, fonts-liberation, fonts-freefont-ttf, fonts-open-sans,
fonts-roboto-unhinted, fonts-lato).
"""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mark_examples import WIDTH, Clip
from movers import logo as random_logo
from movers import placed

FOLDER = Path("/usr/share/fonts/truetype")
FONTS = ("dejavu", "liberation", "freefont", "open-sans", "roboto", "lato")
HELD_FONTS = ("DejaVuSansCondensed-Bold", "LiberationSans-Bold", "LiberationMono-Regular", "DejaVuSerif", "Lato")
SYLLABLES = (
    "ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "qui", "ro", "su", "ta",
    "ve", "wi", "xo", "yu", "za", "st", "tr", "pl", "ing", "er", "ton", "sch", "ck", "ll", "oo",
)  # fmt: skip
ENDINGS = (".com", ".net", ".org", ".tv", ".io", ".de", "", "", "", "", "", "")
WORDS = {
    "tune": ("SAMPLE", "© Studio 2021", "www.example.com", "preview", "@maker_tv", "NOT FOR RESALE", "HD 7",
             "Stock Media", "Channel Nine", "demo", "12:34:56", "2021-03-04 REC", "http://files.example.net/?id=317",
             "All our videos: clips.example.com", "Licensed to nobody in particular", "fm 101", "b&w", "K", "Ünïté 9",
             "(c) A. Photographer", "What did you say to them?", "I never went back there. Not once."),
    "held": ("WATERMARK", "getvids.net", "@someone", "COPYRIGHT", "LIVE", "News 24", "shutterpix", "Trial version",
             "film.io", "Property of Acme"),
}  # fmt: skip
MARKED = ("watermark", "bbb_trailer")  # files with marks of their own
MARKED_CLIPS = {("bbb_480p_24fps.mp4", 3), ("bbb_480p_24fps.mp4", 4), ("bbb_480p_24fps.mp4", 5)}


def has_fonts() -> bool:
    """Whether all FONTS are on this machine."""
    return all((FOLDER / family).is_dir() for family in FONTS)


@functools.cache
def fonts(half: str) -> list[str]:
    folders = [FOLDER / family for family in FONTS]
    found = sorted(path for folder in folders for path in folder.rglob("*.ttf") if "Math" not in path.stem)
    return [str(path) for path in found if path.stem.startswith(HELD_FONTS) == (half == "held")]


def spelled(rng: np.random.Generator) -> str:
    """Words, addresses, names, dates and numbers that nobody has written yet."""
    word = lambda: "".join(rng.choice(SYLLABLES, int(rng.integers(1, 4))).tolist())  # noqa: E731
    kind = rng.random()
    if kind < 0.3:
        text = "www." * int(rng.random() < 0.4) + word() + str(rng.choice(ENDINGS))
    elif kind < 0.45:
        text = f"{rng.choice(['@', '© ', '(c) ', '#', '&', '+'])}{word()} {rng.integers(1950, 2040)}"
    elif kind < 0.55:
        text = f"{rng.integers(24):02d}{rng.choice([':', '.', '-'])}{rng.integers(60):02d} {word()}"
    else:
        text = " ".join(word() for _ in range(int(rng.choice([1, 1, 2, 3, 5, 7]))))
    return [text, text, text.upper(), text.title(), text.capitalize()][int(rng.integers(5))]


def written(rng: np.random.Generator, size: int, half: str) -> np.ndarray:
    """uint8[h, w]: a text of that size, no larger than it must be."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.truetype(fonts(half)[rng.integers(len(fonts(half)))], max(7, size))
    text = spelled(rng) if half == "tune" and rng.random() < 0.7 else WORDS[half][rng.integers(len(WORDS[half]))]
    left, top, right, bottom = font.getbbox(text)
    picture = Image.new("L", (max(4, int(right - left)), max(4, int(bottom - top))))
    ImageDraw.Draw(picture).text((-left, -top), text, fill=255, font=font)
    return np.asarray(picture)[:, : WIDTH - 12]


def words(rng: np.random.Generator, height: int, half: str) -> np.ndarray:
    """uint8[height, WIDTH]: a word in a corner, anywhere, at the bottom or, larger, in the middle; or many of them."""
    import cv2

    place = str(rng.choice(["tl", "tr", "bl", "br", "bottom", "bottom", "centre", "any"]))
    low, high = (0.08, 0.22) if place == "centre" else (0.026, 0.09)
    size = int(height * np.exp(rng.uniform(np.log(low), np.log(high))))
    part = written(rng, size, half)
    out, (tall, wide) = np.zeros((height, WIDTH), np.uint8), part.shape
    if half == "tune" and rng.random() < 0.04:  # all over the picture
        for y in range(int(rng.integers(0, 40)), height, tall + int(rng.integers(30, 90))):
            for x in range(int(rng.integers(-80, 0)), WIDTH, wide + int(rng.integers(30, 120))):
                placed(out, part, np.array([y, x]), 1.0, 255.0)
    else:
        dx, dy = int(rng.uniform(0.015, 0.07) * WIDTH), int(rng.uniform(0.02, 0.09) * height)
        x = dx if place in ("tl", "bl") else WIDTH - dx - wide if place in ("tr", "br") else (WIDTH - wide) // 2
        y = dy if place in ("tl", "tr") else (height - tall) // 2 if place == "centre" else height - dy - tall
        if place == "any":
            x, y = int(rng.integers(0, max(1, WIDTH - wide))), int(rng.integers(0, max(1, height - tall)))
        placed(out, part, np.array([y, x]), 1.0, 255.0)
        if place == "bottom" and rng.random() < 0.3:  # a second line
            more = written(rng, size, half)
            placed(out, more, np.array([y - int(1.4 * size), (WIDTH - more.shape[1]) // 2]), 1.0, 255.0)
    if half == "tune" and place in ("any", "centre") and rng.random() < 0.25:
        turn = cv2.getRotationMatrix2D((WIDTH / 2, height / 2), float(rng.uniform(-40, 40)), 1.0)
        out = cv2.warpAffine(out, turn, (WIDTH, height))
    return out


def logo(rng: np.random.Generator, height: int, half: str) -> np.ndarray:
    """uint8[height, WIDTH]: lines and shapes, or of the other half a star, badge or eye, in a corner or anywhere."""
    out, side = np.zeros((height, WIDTH), np.uint8), int(height * np.exp(rng.uniform(np.log(0.08), np.log(0.22))))
    drawn = _simple(rng, side) if half == "held" else _made_up(rng, side)
    tall, wide = drawn.shape
    dx, dy = (int(side_ * rng.uniform(0.015, 0.07)) for side_ in (WIDTH, height))
    x, y = (dx, WIDTH - wide - dx)[int(rng.random() < 0.5)], (height - tall - dy, dy)[int(rng.random() < 0.6)]
    if half == "tune" and rng.random() < 0.25:
        x, y = int(rng.integers(0, max(1, WIDTH - wide))), int(rng.integers(0, max(1, height - tall)))
    placed(out, drawn, np.array([y, x]), 1.0, 255.0)
    return out


def _made_up(rng: np.random.Generator, side: int) -> np.ndarray:
    """A ring, frame or triangle, or random shapes, now and then before a name."""
    import cv2

    if rng.random() < 0.25:
        drawn = _simple(rng, side, first=0)
    else:
        drawn = random_logo(rng, written(rng, 20, "tune"))
        wide = max(4, drawn.shape[1] * side // drawn.shape[0])
        drawn = cv2.resize(drawn, (wide, side), interpolation=cv2.INTER_AREA)
    if rng.random() < 0.15:
        name, room = written(rng, side // 2, "tune"), np.zeros((drawn.shape[0], side // 5), np.uint8)
        rows = np.zeros((drawn.shape[0], name.shape[1]), np.uint8)
        placed(rows, name, np.array([(len(rows) - len(name)) // 2, 0]), 1.0, 255.0)
        drawn = np.hstack([drawn, room, rows])[:, : WIDTH - 12]
    return drawn


def _simple(rng: np.random.Generator, side: int, first: int = 3) -> np.ndarray:
    """uint8[side, side]: of the three shapes from the first on."""
    import cv2

    out, s, kind = np.zeros((side, side), np.uint8), side // 2 - 1, first + int(rng.integers(3))
    x = y = side // 2
    if kind == 0:
        cv2.circle(out, (x, y), s, 255, -1, cv2.LINE_AA)
        cv2.circle(out, (x, y), s // 2, 0, -1, cv2.LINE_AA)
    elif kind == 1:
        cv2.rectangle(out, (x - s, y - s // 2), (x + s, y + s // 2), 255, max(2, s // 5))
        cv2.line(out, (x - s, y), (x + s, y), 255, max(1, s // 6))
    elif kind == 2:
        cv2.fillPoly(out, [np.array([[x, y - s], [x + s, y + s], [x - s, y + s]])], 255, cv2.LINE_AA)
    elif kind == 3:
        turn, reach = np.arange(10) * np.pi / 5, np.where(np.arange(10) % 2, 0.4, 1.0) * s
        star = np.stack([x + reach * np.sin(turn), y - reach * np.cos(turn)], axis=1)
        cv2.fillPoly(out, [star.astype(np.int32)], 255, cv2.LINE_AA)
    elif kind == 4:
        cv2.rectangle(out, (x - s, y - s // 2), (x + s, y + s // 2), 255, -1)
        cv2.putText(out, "TV", (x - s // 2, y + s // 4), 3, s / 35, 0, max(1, s // 10), cv2.LINE_AA)
    else:
        cv2.ellipse(out, (x, y), (s, int(s * 0.6)), 0, 0, 360, 255, max(2, s // 4), cv2.LINE_AA)
        cv2.circle(out, (x, y), s // 4, 255, -1, cv2.LINE_AA)
    return out


def painted_stills(seed: int) -> Iterator[list[np.ndarray]]:
    """Five pictures each of the seven painted landscapes, most of them under a pan."""
    import cv2

    from wanprep.demo import movie
    from wanprep.demo.places import PLACES

    rng = np.random.default_rng(5000 + seed)
    palettes = [getattr(movie, name) for name in ("DAY", "DUSK", "AUTUMN", "STONE", "WOOD", "NIGHT", "SAND", "SHORE")]
    for place in PLACES:
        pan = 0.0 if rng.random() < 0.25 else float(rng.uniform(15, 60) * rng.choice([-1, 1]))
        palette = palettes[int(rng.integers(len(palettes)))]
        shot = movie.Shot(label="painted", place=place, palette=palette, frames=60, pan=pan)
        scene = PLACES[place](np.random.default_rng(int(rng.integers(1 << 30))), palette)
        pictures = []
        for second in np.arange(0, 2.5, 0.5):
            picture = movie._picture(scene, shot, float(second), np.zeros(2), 0.0) + rng.normal(0, 2, (360, 640, 1))
            luma = cv2.cvtColor(np.clip(picture, 0, 255).astype(np.uint8), cv2.COLOR_RGB2GRAY)
            pictures.append(cv2.resize(luma, (WIDTH, 288), interpolation=cv2.INTER_AREA))
        yield pictures


def pack(target: Path, media: Path) -> None:
    """Write the material into one file: WebP pictures of the clips, PNG marks."""
    import cv2
    from good import clips_of, sources

    files: list[bytes] = []
    clips: list[dict[str, Any]] = []

    def add(source: str, number: int, pictures: Sequence[np.ndarray]) -> None:
        clips.append({"source": source, "clip": number, "pictures": len(pictures)})
        files.extend(cv2.imencode(".webp", p, [cv2.IMWRITE_WEBP_QUALITY, 85])[1].tobytes() for p in pictures)

    for name, what in sources(media, painted=6, generated=8):
        for number, (frames, seconds) in enumerate(clips_of(*what)):
            slots = np.floor(seconds * 2).astype(int)
            size = (WIDTH, 4 * round(WIDTH * frames.shape[1] / frames.shape[2] / 4))
            first = [int(np.argmax(slots == slot)) for slot in np.unique(slots)]
            add(name, number, [cv2.resize(frames[i], size, interpolation=cv2.INTER_AREA) for i in first])
    for seed in range(6, 24):
        for number, pictures in enumerate(painted_stills(seed)):
            add(f"painted_{seed}", number, pictures)
    counts = {"tune": 8000, "held": 400}
    for half, count in counts.items():
        rng = np.random.default_rng([7, half == "held"])
        for _ in range(count):
            height = int(rng.choice([216, 288, 288, 288, 340, 384]))
            mark = (words if rng.random() < 0.6 else logo)(rng, height, half)
            files.append(cv2.imencode(".png", mark, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes())
    about = json.dumps({"clips": clips, "marks": counts}).encode()
    data = np.frombuffer(b"".join(files), np.uint8)
    np.savez(target, data=data, sizes=[len(f) for f in files], about=np.frombuffer(about, np.uint8))


def load(path: Path) -> tuple[list[Clip], dict[str, list[np.ndarray]]]:
    """(every unmarked clip, marks of both halves)."""
    import cv2

    stored = np.load(path)
    about = json.loads(stored["about"].tobytes())
    ends = np.cumsum(stored["sizes"])
    pictures = (cv2.imdecode(f, cv2.IMREAD_GRAYSCALE) for f in np.split(stored["data"], ends[:-1]))
    clips = []
    for clip in about["clips"]:
        frames = [next(pictures) for _ in range(clip["pictures"])]
        marked = clip["source"].startswith(MARKED) or (clip["source"], clip["clip"]) in MARKED_CLIPS
        if not marked and len(frames) > 1:
            clips.append((clip["source"], clip["clip"], np.stack(frames)))
    return clips, {half: [next(pictures) for _ in range(n)] for half, n in about["marks"].items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("material", type=Path)
    parser.add_argument("--media", type=Path, default=Path(__file__).parents[3] / "shared" / "media" / "dev")
    options = parser.parse_args()
    pack(options.material, options.media)


if __name__ == "__main__":
    main()
