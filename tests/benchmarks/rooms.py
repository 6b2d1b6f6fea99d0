"""Scenes that have screens, print or straight edges in them and are none: filmed by a camera in a hand or on a stand.

Each is a plane (a wall, a shelf, a page, a monitor on a desk) seen from somewhere, lit unevenly, a little soft, with
noise; a maker gives planes, uint8[HIGH, WIDE, 3] RGB, and filmed.py the pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from desk import Sheet, Template, cut, look
from good_drawn import pattern
from ink import Rng, blob, fill, tone

WIDE, HIGH = 1600, 1000
Plane = Callable[[Rng, Sequence[np.ndarray], Sequence[Template]], np.ndarray]


def sheet(rng: Rng, stills: Sequence[np.ndarray], wide: int = WIDE, high: int = HIGH, letters: int = 0) -> Sheet:
    return Sheet(wide, high, look(rng, letters or int(rng.integers(14, 40))), rng, stills)


def rough(rng: Rng, tone: np.ndarray | None = None, high: int = HIGH, wide: int = WIDE) -> np.ndarray:
    """float32[high, wide, 3]: plaster, wood or cloth: one tone with stains and grain."""
    if tone is None:
        tone = rng.uniform(40, 230) + rng.normal(0, float(rng.choice([4, 15, 60])), 3)
    out = np.full((high, wide, 3), tone, np.float32)
    for cells, gain in ((4, 12.0), (14, 7.0), (int(rng.choice([60, 200])), float(rng.uniform(1, 7)))):
        long = int(rng.choice([1, 1, 8])) if cells > 20 else 1
        grid = rng.normal(0, gain, (cells, max(2, 2 * cells // long))).astype(np.float32)
        out += cv2.resize(grid, (wide, high), interpolation=cv2.INTER_CUBIC)[..., None]
    return out


def level(plane: np.ndarray) -> np.ndarray:
    return np.clip(plane, 0, 255).astype(np.uint8)


def office(rng: Rng, stills: Sequence[np.ndarray], templates: Sequence[Template]) -> np.ndarray:
    """One to three monitors or a telephone on a desk or wall, things around them."""
    plane = rough(rng)
    desk = int(rng.uniform(0.6, 0.95) * HIGH)
    plane[desk:] = rough(rng)[desk:]
    out = level(plane)
    for _ in range(int(rng.integers(1, 6))):  # what stands about
        part = cut(stills[int(rng.integers(len(stills)))], 1.0, rng)
        side = int(rng.uniform(0.1, 0.35) * HIGH)
        x, y = int(rng.integers(0, WIDE - side)), min(HIGH - side, desk - side // 2)
        mask = cv2.circle(np.zeros((side, side), np.uint8), (side // 2, side // 2), side // 2, 1, -1)[..., None] > 0
        place = out[y : y + side, x : x + side]
        place[:] = np.where(mask, cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA), place)
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        wide = int(rng.uniform(0.3, 0.6) * WIDE)
        high = int(wide * float(rng.choice([0.5625, 0.625, 0.75, 1.8])))
        high, wide = (high, wide) if high < 0.8 * HIGH else (int(0.75 * HIGH), int(0.42 * HIGH))
        s = sheet(rng, stills, wide, high, int(rng.integers(9, 18)))
        panes = templates[int(rng.integers(len(templates)))](s)
        for p in panes:
            part = p.whole[: p.high, : p.wide]
            s.image.paste(_picture(part), (p.x, p.y))
        frame, x = int(rng.uniform(6, 24)), int(rng.uniform(0.05, 0.95) * (WIDE - wide))
        y = int(rng.uniform(0.0, 0.9) * (HIGH - high))
        out[max(0, y - frame) : y + high + frame, max(0, x - frame) : x + wide + frame] = rng.integers(5, 60)
        out[y : y + high, x : x + wide] = s.pixels()
    return out


def _picture(part: np.ndarray) -> object:
    from PIL import Image

    return Image.fromarray(np.ascontiguousarray(part))


def street(rng: Rng, stills: Sequence[np.ndarray], templates: Sequence[Template]) -> np.ndarray:
    """Houses with windows above shops with signs."""
    out, x = level(rough(rng)), 0
    while x < WIDE:
        wide = int(rng.integers(200, 520))
        out[:, x : x + wide] = level(rough(rng, wide=wide))[:, : WIDE - x]
        rows, columns = int(rng.integers(2, 6)), int(rng.integers(2, 6))
        sign = int(rng.uniform(0.6, 0.75) * HIGH)
        glass = rng.uniform(10, 120, 3)
        for row in range(rows):
            for column in range(columns):
                a, b = x + int((column + 0.2) * wide / columns), int((row + 0.2) * sign / rows)
                c, d = x + int((column + 0.8) * wide / columns), int((row + 0.8) * sign / rows)
                tone = np.clip(glass * rng.uniform(0.4, 1.6), 0, 255).tolist()
                cv2.rectangle(out, (a, b), (c, d), tone, -1)
                cv2.rectangle(out, (a, b), (c, d), (220, 220, 215), 5)
                cv2.line(out, ((a + c) // 2, b), ((a + c) // 2, d), (220, 220, 215), 4)
        s = sheet(rng, stills, max(60, wide - 20), 90, int(rng.integers(26, 52)))
        s.box(0, 0, s.wide, 90, s.look.accent)
        s.text(s.wide / 2, 12, s.words(1, 2), s.light(s.look.accent), bold=True, at="middle", room=s.wide - 20)
        part = s.pixels()[:, : max(0, WIDE - x - 10)]
        if part.shape[1] > 10:
            out[sign : sign + 90, x + 10 : x + 10 + part.shape[1]] = part
            still = cut(stills[int(rng.integers(len(stills)))], 1.6, rng)
            inside = cv2.resize(still, (max(8, wide - 60), 200))[:, : max(0, WIDE - x - 30)]
            out[sign + 110 : sign + 310, x + 30 : x + 30 + inside.shape[1]] = inside[: HIGH - sign - 110]
        x += wide
    return out


def book(rng: Rng, stills: Sequence[np.ndarray], templates: Sequence[Template]) -> np.ndarray:
    """An open book or sheets of paper on a table: print, in columns, with pictures."""
    out = level(rough(rng))
    for _ in range(int(rng.choice([1, 1, 2, 4]))):
        wide, high = int(rng.uniform(0.3, 0.7) * WIDE), int(rng.uniform(0.4, 0.8) * HIGH)
        s = sheet(rng, stills, wide, high, int(rng.integers(9, 22)))
        paper = tuple(int(v) for v in rng.uniform(205, 250) * np.array([1, 0.98, rng.uniform(0.82, 1)]))
        s.box(0, 0, wide, high, paper)
        columns = int(rng.integers(1, 4))
        for k in range(columns):
            a, b = wide * (k + 0.12) / columns, wide * 0.8 / columns
            top = 0.08 * high
            if rng.random() < 0.4:
                s.picture(a, top, b, 0.3 * high)
                top += 0.33 * high
            s.print(a, top, b, 0.94 * high - top, (40, 36, 34), kind="serif")
        x, y = int(rng.uniform(0, WIDE - wide)), int(rng.uniform(0, HIGH - high))
        page = s.pixels().astype(np.float32)
        page *= (1 - 0.35 * np.exp(-(((np.arange(wide) - wide / 2) / (0.06 * wide)) ** 2)))[None, :, None]
        out[y : y + high, x : x + wide] = page
    return out


def tiles(rng: Rng, stills: Sequence[np.ndarray], templates: Sequence[Template]) -> np.ndarray:
    """Tiles, bricks, panels or windows of one wall, each of another tone, with a few things before it."""
    out = rough(rng)
    high = int(rng.integers(30, 240))
    wide, joint = int(high * float(rng.choice([1, 1, 2, 3, 0.6]))), int(rng.integers(2, 14))
    spread, shifted = float(rng.choice([2, 8, 20])), rng.random() < 0.4
    seam = float(rng.uniform(20, 240))
    for row, y in enumerate(range(0, HIGH, high)):
        for x in range(-(wide // 2) * (row % 2) * shifted, WIDE, wide):
            out[y : y + high, max(0, x) : x + wide] += rng.normal(0, spread)
            out[y : y + joint, max(0, x) : x + wide] = seam
            out[y : y + high, max(0, x) : x + joint] = seam
    return level(before(out, rng, stills))


def before(plane: np.ndarray, rng: Rng, stills: Sequence[np.ndarray]) -> np.ndarray:
    """Round things before it (in place)."""
    for _ in range(int(rng.integers(0, 4))):
        part = cut(stills[int(rng.integers(len(stills)))], 1.0, rng)
        side = int(rng.uniform(0.15, 0.5) * HIGH)
        x, y = int(rng.integers(0, WIDE - side)), int(rng.integers(0, HIGH - side))
        mask = cv2.circle(np.zeros((side, side), np.uint8), (side // 2, side // 2), side // 2 - 2, 1, -1)[..., None] > 0
        place = plane[y : y + side, x : x + side]
        place[:] = np.where(mask, cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA), place)
    return plane


def shelves(rng: Rng, stills: Sequence[np.ndarray], templates: Sequence[Template]) -> np.ndarray:
    """Boards with boxes, jars and spines, most with a label."""
    out, y = level(rough(rng)), 0
    while y < HIGH:
        high, x = int(rng.integers(110, 320)), int(rng.integers(0, 60))
        thin = rng.random() < 0.4
        while x < WIDE - 20:
            wide = int(rng.integers(14, 60) if thin else rng.integers(60, 240))
            tall, tone = int(high * rng.uniform(0.5, 0.9)), rng.uniform(10, 240, 3)
            part = level(rough(rng, tone, tall, wide))
            if wide > 50 and rng.random() < 0.8:
                s = sheet(rng, stills, int(0.8 * wide), max(8, int(0.4 * tall)), int(rng.integers(9, 24)))
                s.box(0, 0, s.wide, s.high, s.look.tones[0])
                s.print(4, 4, s.wide - 8, s.high - 8, s.light(s.look.tones[0]))
                a, b = int(0.3 * tall), int(0.1 * wide)
                part[a : a + s.high, b : b + s.wide] = s.pixels()[: tall - a]
            part = (part * np.linspace(1, rng.uniform(0.4, 1), wide)[None, :, None]).astype(np.uint8)
            end = min(HIGH, y + high - 12)
            place = out[max(0, end - tall) : end, x : x + wide]
            place[:] = part[: place.shape[0], : place.shape[1]]
            x += wide + int(rng.integers(0, 12))
        out[y + high - 12 : y + high] = rng.integers(30, 200)
        y += high
    return out


def poster(rng: Rng, stills: Sequence[np.ndarray], templates: Sequence[Template]) -> np.ndarray:
    """Posters, notes and pictures on a wall."""
    out = level(rough(rng))
    for _ in range(int(rng.integers(1, 8))):
        wide, high = int(rng.integers(160, 620)), int(rng.integers(160, 760))
        s = sheet(rng, stills, wide, high, int(rng.integers(14, 50)))
        s.box(0, 0, wide, high, s.look.tones[0] if rng.random() < 0.5 else s.look.paper)
        if rng.random() < 0.7:
            s.picture(0.08 * wide, 0.25 * high, 0.84 * wide, 0.5 * high)
        s.text(wide / 2, 0.06 * high, s.words(1, 2), s.look.accent, size=2, bold=True, at="middle", room=0.9 * wide)
        s.print(0.1 * wide, 0.78 * high, 0.8 * wide, 0.2 * high)
        x, y = int(rng.integers(0, WIDE - wide)), int(rng.integers(0, HIGH - high))
        out[y : y + high, x : x + wide] = s.pixels()
    return out


def cloth(rng: Rng, stills: Sequence[np.ndarray], templates: Sequence[Template]) -> np.ndarray:
    """A chequered or striped shirt or curtain, in folds."""
    drawn = cv2.resize(pattern(rng, 500), (WIDE, WIDE), interpolation=cv2.INTER_LINEAR)[:HIGH]
    rows, columns = np.mgrid[:HIGH, :WIDE].astype(np.float32)
    bend = sum(
        float(rng.uniform(3, 14)) * np.sin(columns / float(rng.uniform(30, 150)) + rows / float(rng.uniform(100, 900)))
        for _ in range(3)
    )
    folds = cv2.remap(drawn, columns + bend, rows + 0.5 * bend, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    light = 1 + np.diff(bend, axis=1, prepend=bend[:, :1]) * float(rng.uniform(0.3, 1.2))
    return level(before(level(folds * light[..., None]), rng, stills))


def goods(rng: Rng, stills: Sequence[np.ndarray], templates: Sequence[Template]) -> np.ndarray:
    """A few things on a plain or shaded ground, as for sale."""
    ground = np.linspace(rng.uniform(0, 255, 3), rng.uniform(0, 255, 3), HIGH)[:, None] + np.zeros((1, WIDE, 1))
    if rng.random() < 0.6:
        ground[:] = rng.choice([255, 255, 240, 8, rng.uniform(0, 255)])
    out = level(ground)
    for _ in range(int(rng.choice([1, 1, 2, 4]))):
        size, at, colour = rng.uniform(80, 380), rng.uniform(0.2, 0.8, 2) * (WIDE, HIGH), tone(rng)
        shape = blob(rng, size, size * float(rng.uniform(0.4, 1.2)))
        for k in range(12):  # lit from one side
            share = 1 - k / 14
            lit = tuple(int(v * (0.5 + 0.5 * k / 11)) for v in colour)
            fill(out, shape * share + at - np.array([1, 1]) * size * 0.03 * k, lit, lit, 0)
        if rng.random() < 0.4:
            s = sheet(rng, stills, int(0.8 * size), max(8, int(0.4 * size)), int(rng.integers(14, 40)))
            s.print(4, 4, s.wide - 8, s.high - 8)
            x, y = (int(v) for v in np.clip(at - 0.4 * size, 0, (WIDE - s.wide, HIGH - s.high)))
            out[y : y + s.high, x : x + s.wide] = s.pixels()
    return out


def night(rng: Rng, stills: Sequence[np.ndarray], templates: Sequence[Template]) -> np.ndarray:
    """Tall houses at night, some of their windows lit."""
    out = np.full((HIGH, WIDE, 3), rng.uniform(2, 30, 3), np.float32)
    x = 0
    while x < WIDE:
        wide, top = int(rng.integers(120, 480)), int(rng.uniform(0.02, 0.6) * HIGH)
        out[top:, x : x + wide] = rng.uniform(12, 60, 3)
        step, lit, share = int(rng.integers(14, 44)), rng.uniform(140, 255, 3) * (1, 0.9, 0.6), rng.uniform(0.05, 0.6)
        for y in range(top + step, HIGH - step, step):
            for at in range(x + step // 2, min(WIDE, x + wide) - step, step):
                if rng.random() < share:
                    out[y : y + step // 2, at : at + int(0.6 * step)] = lit * rng.uniform(0.4, 1)
        x += wide + int(rng.choice([0, 0, 30]))
    return level(cv2.GaussianBlur(out, (0, 0), 1.5))


PLANES: dict[str, Plane] = {
    "office": office, "street": street, "book": book, "tiles": tiles, "shelves": shelves, "poster": poster,
    "cloth": cloth, "goods": goods, "night": night,
}  # fmt: skip
