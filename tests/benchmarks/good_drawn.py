"""Good scenes that are drawn: cartoons, pixel art, screens, diagrams, regular textures, enlarged pictures, fades.

The hard half of the benchmark of good clips: flat, regular, lettered or drawn to a grid, as faults are, and wanted all
the same by whoever collects such material. Scenes and makers are those of `good_scenes`.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from good_scenes import Maker, Scene, Stills, passing, photo, pick

WORDS = (
    *("File", "Edit", "View", "Insert", "Format", "Tools", "Window", "Help", "New", "Open", "Save", "Export"),
    *("Print", "Undo", "Layout", "Page", "Table", "Sort"),
)
INK = (20, 15, 25)


def colours(rng: np.random.Generator, count: int, low: int = 50, high: int = 235) -> list[tuple[int, ...]]:
    return [tuple(int(v) for v in rng.integers(low, high, 3)) for _ in range(count)]


def cartoon(rng: np.random.Generator, stills: Stills) -> Scene:
    """Flat shapes with outlines: hills and clouds, trees, and a figure that hops, under a fixed camera or a pan."""
    sky, *tones = colours(rng, 12)
    clouds, hills, trees = rng.uniform(0, 1, (4, 3)), rng.uniform(-1, 1, (5, 2)), rng.uniform(0, 1, (5, 2))
    start, pace, hop, pan = rng.uniform(0.1, 0.5), rng.uniform(0.08, 0.2), rng.uniform(3, 6), rng.choice([0, 0, 0.04])

    def scene(t: float, width: int, height: int) -> np.ndarray:
        unit, frame = height / 360, np.full((height, width, 3), sky, np.uint8)

        def blob(x: float, y: float, rx: float, ry: float, tone: tuple[int, ...]) -> None:
            about = ((int(16 * x), int(16 * y)), (int(16 * unit * rx), int(16 * unit * ry)), 0, 0, 360)
            cv2.ellipse(frame, *about, tone, -1, cv2.LINE_AA, 4)
            cv2.ellipse(frame, *about, INK, max(2, round(2 * unit)), cv2.LINE_AA, 4)

        for x, y, r in clouds:
            blob(
                ((x + (0.02 - pan / 2) * t) % 1.2 - 0.1) * width,
                (0.08 + 0.25 * y) * height,
                30 + 30 * r,
                14 + 9 * r,
                (246,) * 3,
            )
        for k, (dx, dy) in enumerate(hills):
            blob((k / 4 + 0.05 * dx - pan * t) * width, (0.85 + 0.05 * dy) * height, 150, 95, tones[k])
        for x, y in trees:
            at, foot = (1.2 * x - 0.1 - pan * t) * width, (0.72 + 0.1 * y) * height
            cv2.rectangle(
                frame, (int(at - 5 * unit), int(foot)), (int(at + 5 * unit), int(foot + 40 * unit)), tones[9], -1
            )
            blob(at, foot, 26, 32, tones[5])
        x, y = width * (start + pace * t), height * (0.68 - 0.11 * abs(math.sin(hop * t)))
        step = 8 * math.sin(2 * hop * t)
        blob(x - 18 * unit, y + (45 + step) * unit, 14, 9, tones[6])
        blob(x + 18 * unit, y + (45 - step) * unit, 14, 9, tones[6])
        blob(x, y, 38, 44, tones[7])
        blob(x, y - 60 * unit, 30, 28, tones[8])
        for side in (-10, 12):
            blob(x + side * unit, y - 64 * unit, 5, 7, (250, 250, 250))
        return frame

    return scene


def pixel_art(rng: np.random.Generator, stills: Stills) -> Scene:
    """Tiles of a few colours, scrolled by whole pixels, and a sprite of mirrored dots; enlarged by a whole factor."""
    tile, times = int(rng.choice([8, 16, 16, 32])), int(rng.choice([2, 3, 4]))
    palette = np.array(colours(rng, 10, 20, 245), np.uint8)
    kinds = [palette[rng.choice(10, 4)][_motif(rng, tile)] for _ in range(6)]
    rows, columns, ramp = 720 // tile, 1800 // tile, palette[:2].astype(float)
    ground = (0.5 + 0.1 * np.sin(np.arange(columns) / 3) + rng.normal(0, 0.02, columns)) % 1
    level = np.round((ramp[0] + (ramp[1] - ramp[0]) * np.linspace(0, 1, rows * tile)[:, None, None]) / 12) * 12
    level = np.repeat(level, columns * tile, axis=1).clip(0, 255).astype(np.uint8)
    extra, chosen = rng.random((rows, columns)) < 0.05, rng.integers(2, 6, (rows, columns))
    sprite, pace = kinds[0], float(rng.choice([12, 24, 48]))

    def scene(t: float, width: int, height: int) -> np.ndarray:
        w, h = -(-width // times), -(-height // times)
        shown, first = level[:h, : w + tile].copy(), int(pace * t) // tile
        shown[:] = level[:h, :1]
        for column in range(-(-w // tile) + 1):
            top = int(ground[first + column] * h) // tile
            for row in range(-(-h // tile)):
                if row >= top or extra[row, first + column]:
                    kind = kinds[min(1, row - top)] if row >= top else kinds[chosen[row, first + column]]
                    place = shown[row * tile : (row + 1) * tile, column * tile : (column + 1) * tile]
                    place[:] = kind[: place.shape[0], : place.shape[1]]
        shown = shown[:, int(pace * t) % tile :][:, :w]
        y, x = int(h * (0.3 - 0.15 * abs(math.sin(3 * t)))), int(w * 0.4 + 15 * math.sin(2 * t))
        shown[y : y + tile, x : x + tile] = sprite[: min(tile, h - y), : min(tile, w - x)]
        return cv2.resize(shown, None, fx=times, fy=times, interpolation=cv2.INTER_NEAREST)[:height, :width]

    return scene


def _motif(rng: np.random.Generator, size: int) -> np.ndarray:
    """int[size, size] of four tones: dots in mirror order, or stones, or dither."""
    kind = int(rng.integers(3))
    if kind == 0:
        half = rng.integers(0, 4, (size // 2, size // 4)).repeat(2, 0).repeat(2, 1)
        return np.concatenate([half, half[:, ::-1]], axis=1)
    rows, columns = np.mgrid[:size, :size]
    if kind == 1:
        return np.where(
            (rows % (size // 2) == 0) | ((columns + rows // (size // 2) * 4) % 8 == 0), 3, rng.integers(0, 2)
        )
    return ((rows + columns) % 2) * (rows > size // 2) + (rng.random((size, size)) < 0.1) * 2


def screen(rng: np.random.Generator, stills: Stills) -> Scene:
    """A program: menus, a list that scrolls or a window that is dragged, text, icons, and a pointer."""
    dark, drag, photo_still = bool(rng.random() < 0.5), bool(rng.random() < 0.4), pick(rng, stills)
    paper, ink, line = (
        ((34, 36, 42), (200, 202, 208), (66, 68, 76)) if dark else ((240, 241, 244), (40, 42, 50), (205, 208, 214))
    )
    bar, *tones = colours(rng, 50)
    texts = [" ".join(rng.choice(WORDS, int(rng.integers(2, 6)))) for _ in range(40)]
    phase, pace = rng.uniform(0, 6.3, 2), float(rng.uniform(40, 110))

    def scene(t: float, width: int, height: int) -> np.ndarray:
        frame, size = np.full((height, width, 3), paper, np.uint8), 0.35 + height / 3600

        def write(text: str, x: int, y: int, tone: tuple[int, ...]) -> None:
            cv2.putText(frame, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, size, tone, 1, cv2.LINE_AA)

        left, off = width // 5, 0 if drag else int(pace * t)
        for k in range(40):
            y = 44 + 36 * k - off
            cv2.rectangle(frame, (left + 16, y), (left + 40, y + 24), tones[k], -1)
            write(texts[k], left + 52, y + 16, ink)
            cv2.line(frame, (left + 16, y + 30), (width - 16, y + 30), line, 1)
        cv2.rectangle(frame, (0, 0), (left, height), line, -1)
        for k in range((height - 40) // 28):
            cv2.circle(frame, (18, 52 + 28 * k), 6, tones[k], -1, cv2.LINE_AA)
            write(WORDS[k % len(WORDS)], 32, 57 + 28 * k, ink)
        cv2.rectangle(frame, (0, 0), (width, 28), bar, -1)
        for k, word in enumerate(WORDS[:6]):
            write(word, 10 + 70 * k, 19, (245, 245, 245))
        if drag:
            x, y = int(width * (0.35 + 0.1 * math.sin(2 * t))), int(height * (0.25 + 0.08 * math.sin(3 * t)))
            w, h = width // 3, height // 2
            cv2.rectangle(frame, (x, y), (x + w, y + h), (250, 250, 252), -1)
            cv2.rectangle(frame, (x, y), (x + w, y + 22), tones[0], -1)
            frame[y + 28 : y + h - 6, x + 6 : x + w - 6] = cv2.resize(
                photo_still, (w - 12, h - 34), interpolation=cv2.INTER_AREA
            )
        x, y = (int(v * (0.5 + 0.3 * math.sin(1.2 * t + p))) for v, p in zip((width, height), phase))
        cv2.fillPoly(
            frame, [np.array([[x, y], [x, y + 17], [x + 4, y + 13], [x + 12, y + 12]])], (0, 0, 0), cv2.LINE_AA
        )
        return frame

    return scene


def diagram(rng: np.random.Generator, stills: Stills) -> Scene:
    """Boxes that arrows join and that go round, bars that grow, or a curve that is drawn; some on a grid."""
    kind, count, gridded = int(rng.integers(3)), int(rng.integers(4, 9)), bool(rng.random() < 0.4)
    tones, pace, phase = colours(rng, 12, 90), float(rng.uniform(0.2, 0.5)), rng.uniform(0, 6.3, 12)
    joined = rng.random((12, 12)) < 0.5

    def scene(t: float, width: int, height: int) -> np.ndarray:
        frame, unit = np.full((height, width, 3), (252, 252, 250), np.uint8), height / 360
        thick = max(1, round(2 * unit))
        for at in range(0, max(width, height), int(16 * unit)) if gridded else ():
            cv2.line(frame, (at, 0), (at, height), (224, 229, 238), 1)
            cv2.line(frame, (0, at), (width, at), (224, 229, 238), 1)
        if kind == 0:
            turn = np.arange(count) / count * 2 * math.pi + pace * t
            at = np.stack([width * (0.5 + 0.33 * np.cos(turn)), height * (0.5 + 0.36 * np.sin(turn))], 1).astype(int)
            for i, j in np.argwhere(joined[:count, :count]).tolist():
                if i != j:
                    cv2.arrowedLine(frame, at[i].tolist(), at[j].tolist(), (90, 90, 100), thick, cv2.LINE_AA, 0, 0.06)
            for k, (x, y) in enumerate(at.tolist()):
                box = (x - int(40 * unit), y - int(22 * unit)), (x + int(40 * unit), y + int(22 * unit))
                cv2.rectangle(frame, *box, tones[k], -1)
                cv2.rectangle(frame, *box, (40, 40, 50), thick, cv2.LINE_AA)
        else:
            cv2.line(frame, (int(30 * unit), int(330 * unit)), (width - int(20 * unit), int(330 * unit)), INK, thick)
            cv2.line(frame, (int(30 * unit), int(20 * unit)), (int(30 * unit), int(330 * unit)), INK, thick)
        if kind == 1:
            wide = (width - 60 * unit) / count
            for k in range(count):
                high = (150 + 120 * math.sin(1.5 * t + phase[k])) * unit
                x = 40 * unit + k * wide
                box = (int(x), int(330 * unit - high)), (int(x + 0.7 * wide), int(330 * unit))
                cv2.rectangle(frame, *box, tones[k], -1)
        if kind == 2:
            x = np.linspace(0, min(1.0, 0.15 + t / 2.8), 300)
            for k in range(3):
                y = 0.5 + 0.2 * np.sin(9 * x + phase[k]) + 0.12 * np.sin(23 * x + phase[k + 3])
                line = np.stack([30 * unit + x * (width - 60 * unit), y * 320 * unit], 1)
                cv2.polylines(frame, [np.round(line).astype(np.int32)], False, tones[k], thick, cv2.LINE_AA)
        return frame

    return scene


def pattern(rng: np.random.Generator, size: int) -> np.ndarray:
    """float32[size, size, 3]: bricks, checks, gingham, blinds, windows or a knit, 4 to 32 pixels a piece."""
    kind, p = (
        str(rng.choice(["bricks", "checks", "gingham", "blinds", "windows", "knit"])),
        int(rng.choice([4, 7, 8, 16, 17, 32])),
    )
    rows, columns = np.mgrid[:size, :size]
    one, two = (np.array(c, np.float32) for c in colours(rng, 2))
    if kind in ("bricks", "windows"):
        p = max(p, 8)
        shift = rows // p % 2 * p if kind == "bricks" else 0
        wide = 2 * p if kind == "bricks" else p
        gap = max(1, p // (8 if kind == "bricks" else 4))
        joint = (rows % p < gap) | ((columns + shift) % wide < gap)
        tone = rng.normal(0, 14 if kind == "bricks" else 35, (size // p + 2, size // wide + 3))
        each = one + tone[rows // p, (columns + shift) // wide][..., None]
        return np.where(joint[..., None], two, each).astype(np.float32)
    if kind == "knit":
        turn = 2 * math.pi / p
        wave = np.sin(turn * columns) * np.sin(turn * rows) + 0.5 * np.sin(turn * (columns + rows))
        return (one + 40 * wave[..., None]).astype(np.float32)
    share = {
        "checks": (rows // p + columns // p) % 2,
        "gingham": (rows // p % 2 + columns // p % 2) / 2,
        "blinds": (columns if rng.random() < 0.4 else rows) % p / p,
    }[kind]
    return (one + (two - one) * share[..., None]).astype(np.float32)


def regular(rng: np.random.Generator, stills: Stills, worn: bool = False) -> Scene:
    """A regular texture, at rest or under a camera that goes by whole pixels or by parts of them; something passes.
    worn: unevenly lit, soft and grained as if it were filmed."""
    size, move, mover = 1500, str(rng.choice(["rest", "whole", "parts"])), passing(pick(rng, stills), rng)
    drawn, pace = pattern(rng, size), rng.uniform(5, 14, 2)
    if worn:
        rows, columns = np.mgrid[:size, :size] / size
        drawn *= (0.8 + 0.2 * np.sin(5 * columns + pace[0]) * np.cos(4 * rows))[..., None].astype(np.float32)
        drawn += cv2.resize(rng.normal(0, 9, (size // 6, size // 6)).astype(np.float32), (size, size))[..., None]
        drawn = cv2.GaussianBlur(drawn + rng.normal(0, 3, (size, size, 1)).astype(np.float32), (0, 0), 0.5)
    drawn = np.clip(drawn, 0, 255).astype(np.uint8)

    def scene(t: float, width: int, height: int) -> np.ndarray:
        x, y = (pace * t).round().astype(int) if move == "whole" else pace * t if move == "parts" else (0, 0)
        matrix = np.array([[1, 0, -40 - x], [0, 1, -40 - y]], float)
        return mover(cv2.warpAffine(drawn, matrix, (width, height), flags=cv2.INTER_CUBIC), t)

    return scene


def filmed_texture(rng: np.random.Generator, stills: Stills) -> Scene:
    return regular(rng, stills, worn=True)


def enlarged(rng: np.random.Generator, stills: Stills) -> Scene:
    """A photo of fewer pixels: 1.5 and 2 times smoothly, 2 and 4 times as squares."""
    inside = photo(rng, stills)
    times, way = [(1.5, cv2.INTER_CUBIC), (2, cv2.INTER_CUBIC), (2, cv2.INTER_NEAREST), (4, cv2.INTER_NEAREST)][
        int(rng.integers(4))
    ]

    def scene(t: float, width: int, height: int) -> np.ndarray:
        small = inside(t, int(width / times), int(height / times))
        return cv2.resize(small, (width, height), interpolation=way)

    return scene


def faded(rng: np.random.Generator, stills: Stills) -> Scene:
    """One shot of 3.5 s that grows dark slowly, or fades in, out or both and is whole for at least half of its time."""
    inside, kind = photo(rng, stills), int(rng.integers(4))
    rest, slow = float(rng.uniform(0.2, 0.4)), float(rng.uniform(0.5, 1.2))

    def scene(t: float, width: int, height: int) -> np.ndarray:
        begins, ends = min(1.0, t / slow), min(1.0, (3.46 - t) / slow)
        gain = (1 - (1 - rest) * min(1.0, t / 3.2), begins, ends, min(begins, ends, 1.0))[kind]
        return (inside(t, width, height) * max(0.0, gain)).astype(np.uint8)

    return scene


DRAWN: dict[str, Maker] = {
    "cartoon": cartoon, "pixel art": pixel_art, "screen": screen, "diagram": diagram, "texture, drawn": regular,
    "texture, filmed": filmed_texture, "enlarged": enlarged, "faded": faded,
}  # fmt: skip
