"""Title cards of many kinds, and plain pictures that only look like them.

Frames are luma, uint8[N, 360, 640], 24 a second. Everything is a function of its Generator.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

WIDTH, HEIGHT, FRAMES = 640, 360, 36
WORDS = (
    "COMING SOON", "A film by nobody", "Chapter Three", "THE END", "Ten years later", "AND ONE GIANT PAYBACK",
    "based on a true story", "Directed by", "In memory of Anna", "www.example.org", "Summer 1987", "STARRING",
)  # fmt: skip
CARDS = ("static", "zoom", "slide", "fade in", "gradient", "grain", "credits scroll", "small", "large", "paragraph")
PLAIN = (
    "snow", "fog", "sky with birds", "cartoon", "line drawing", "product", "three products", "windows", "fence",
    "text on a photo", "sign in a scene", "snowfall", "blinds", "crowd on a ridge",
)  # fmt: skip


def _text(rng: np.random.Generator, size: int, lines: int, height: int = HEIGHT) -> np.ndarray:
    """float32[height, WIDTH], 0..1: where the lettering is."""
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("L", (WIDTH, height))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size)
    top = height / 2 - lines * size * 0.7
    for k in range(lines):
        words = WORDS[int(rng.integers(len(WORDS)))]
        left = (WIDTH - draw.textlength(words, font=font)) / 2
        draw.text((max(10.0, left), top + k * size * 1.4), words, fill=255, font=font)
    return np.asarray(picture, np.float32) / 255


def _ink(rng: np.random.Generator) -> tuple[float, float]:
    """Levels of background and lettering, at least 60 apart."""
    back = float(rng.choice([0, 8, 30, 128, 235, 255]))
    fore = back + 60 + rng.uniform(0, 130) if back < 128 else back - 60 - rng.uniform(0, 60)
    return back, float(np.clip(fore, 0, 255))


def title_card(kind: str, rng: np.random.Generator) -> np.ndarray:
    """One card of a kind of CARDS."""
    import cv2

    size = {"small": 16, "large": 64, "paragraph": 22, "credits scroll": 24}.get(kind, int(rng.integers(22, 50)))
    count = {"paragraph": 6, "credits scroll": 30, "large": 2}.get(kind, int(rng.integers(1, 4)))
    tall = HEIGHT if kind != "credits scroll" else 1200
    mask, (back, fore) = _text(rng, size, count, tall), _ink(rng)
    ground = np.full((HEIGHT, WIDTH), back, np.float32)
    if kind == "gradient":
        ground += np.linspace(-30, 30, HEIGHT)[:, None] * (-1 if back > 128 else 1)
    out = []
    for t in np.linspace(0, 1, FRAMES):
        cover = mask[:HEIGHT]
        if kind == "zoom":
            matrix = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), 0, 1 + 0.1 * t)
            cover = cv2.warpAffine(mask, matrix, (WIDTH, HEIGHT))
        elif kind == "slide":
            cover = cv2.warpAffine(mask, np.array([[1.0, 0, 40 * t - 20], [0, 1, 0]]), (WIDTH, HEIGHT))
        elif kind == "credits scroll":
            start = int(300 + 200 * t)
            cover = mask[start : start + HEIGHT]
        shown = cover * (min(1.0, 3 * t) if kind == "fade in" else 1.0)
        frame = ground + shown * (fore - back)
        if kind == "grain":
            frame = frame + rng.normal(0, 4, frame.shape)
        out.append(np.clip(frame, 0, 255).astype(np.uint8))
    return np.stack(out)


def plain_scene(kind: str, rng: np.random.Generator) -> np.ndarray:
    """One picture with much flat background and no card, of a kind of PLAIN, something in it moving."""
    return np.stack([np.clip(frame, 0, 255).astype(np.uint8) for frame in _plain(kind, rng)])


def _soft(rng: np.random.Generator, level: float, spread: float, cells: int = 6) -> np.ndarray:
    import cv2

    noise = rng.normal(level, spread, (cells, cells * 2)).astype(np.float32)
    return cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


def _plain(kind: str, rng: np.random.Generator) -> Iterator[np.ndarray]:
    import cv2

    def place() -> tuple[int, int]:
        return int(rng.integers(60, 580)), int(rng.integers(80, 280))

    ground = _soft(rng, {"fog": 190, "sky with birds": 200}.get(kind, 236), 8 if kind in ("snow", "fog") else 1.5)
    if kind in ("snow", "crowd on a ridge"):
        for x in rng.integers(0, WIDTH, 40 if kind == "snow" else 70):
            y, tall = int(230 + 30 * np.sin(x / 90)), int(rng.integers(8, 60 if kind == "snow" else 22))
            cv2.line(ground, (int(x), y), (int(x) + int(rng.integers(-4, 5)), y - tall), 60.0, int(rng.integers(2, 6)))
    elif kind == "line drawing":
        for _ in range(12):
            ends = np.cumsum(rng.normal(0, 45, (6, 2)), axis=0) + place()
            cv2.polylines(ground, [ends.astype(np.int32)], False, 20.0, 3, cv2.LINE_AA)
    elif kind in ("product", "three products", "cartoon"):
        for k in range(3 if kind == "three products" else 1):
            x, w, h = 150 + 150 * k, int(rng.integers(40, 90)), int(rng.integers(100, 220))
            cv2.ellipse(ground, (x + 50, 320 - h // 2), (w, h // 2), 0, 0, 360, float(rng.uniform(20, 150)), -1)
            if kind == "cartoon":
                for eye in (20, 70):
                    cv2.circle(ground, (x + eye, 290 - h // 2), 12, 255.0, -1)
                    cv2.circle(ground, (x + eye, 290 - h // 2), 5, 0.0, -1)
                cv2.ellipse(ground, (x + 45, 330 - h // 2), (25, 10), 0, 0, 180, 0.0, 3)
    elif kind in ("windows", "fence", "blinds"):
        step = int(rng.integers(24, 44))
        for x in range(20, WIDTH - 20, step):
            if kind == "windows":
                for y in range(80, 280, 70):
                    cv2.rectangle(ground, (x, y), (x + step // 2, y + 34), 60.0, -1)
            elif kind == "fence":
                cv2.rectangle(ground, (x, 200), (x + step // 3, 270), 90.0, -1)
        if kind == "blinds":
            for y in range(20, HEIGHT, step):
                cv2.line(ground, (0, y), (WIDTH, y), 120.0, 4)
    elif kind == "text on a photo":
        ground = _soft(rng, 120, 50, 12)
        ground += _text(rng, 40, 2) * 100
    elif kind == "sign in a scene":
        ground = _soft(rng, 130, 25, 20) + rng.normal(0, 10, ground.shape)
        ground[120:200, 220:420] = 240
        ground[120:200, 220:420] -= 200 * _text(rng, 20, 1)[140:220, 220:420]
    flakes = rng.uniform(0, (WIDTH, HEIGHT), (150, 2))
    start, step_px = np.array(place()), rng.normal(0, 3, 2)
    for k in range(FRAMES):
        frame = ground.astype(np.float32) + rng.normal(0, 1.5, ground.shape)
        x, y = (start + k * step_px).astype(int).tolist()
        if kind == "snowfall":
            for fx, fy in ((flakes + np.array([k, 4 * k])) % (WIDTH, HEIGHT)).astype(int).tolist():
                cv2.circle(frame, (fx, fy), 3, 90.0, -1)
        elif kind == "sky with birds":
            for n in range(7):
                cv2.line(frame, (x + 50 * n - 150, y + 9 * (n % 3)), (x + 50 * n - 138, y + 5), 40.0, 2)
                cv2.line(frame, (x + 50 * n - 138, y + 5), (x + 50 * n - 126, y + 9 * (n % 3)), 40.0, 2)
        elif kind != "blinds":
            cv2.circle(frame, (x, y), 16, 70.0, -1)
        yield frame
