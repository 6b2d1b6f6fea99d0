"""Marks as they are put over films, in colour and drawn at random: logos, names, captions, stamps, frames, stickers.

To train the network of marks with; fonts and words are those of a half, "tune" or "held" (mark_material.py)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from ink import HEIGHT, WIDTH, Rng, fill, line, turned
from mark_large import TITLES
from mark_material import FOLDER, SYLLABLES, WORDS, fonts, logo, spelled
from PIL import Image, ImageDraw, ImageFont

Mark = tuple[np.ndarray, np.ndarray]
Part = np.ndarray  # float32[h, w, 4]: BGR times alpha, and alpha: so layers and new sizes come out right at edges
SIZE, LARGER = np.array([WIDTH, HEIGHT]), 3  # all is drawn so much larger and shrunk, as marks of large films are
LUMA, SMALL = np.float32([0.11, 0.59, 0.3]), np.ones((3, 3), np.uint8)
WHITE, BLACK, YELLOW, RED, GOLD = np.float32([[255] * 3, [0] * 3, [40, 220, 250], [40, 30, 215], [50, 160, 235]])


def ring(x: float, y: float, wide: float, tall: float = 0, n: int = 40, far: float = 1, start: float = 0) -> np.ndarray:
    """float[n, 2]: an ellipse; a polygon of few points, or a star where every second one is only so far out."""
    turn, reach = 2 * np.pi * (np.arange(n) / n + start), np.where(np.arange(n) % 2, far, 1)
    return np.stack([x + wide * reach * np.sin(turn), y - (tall or wide) * reach * np.cos(turn)], axis=1)


def box(x0: float, y0: float, x1: float, y1: float, r: float = 0) -> np.ndarray:
    unit, size = ring(0, 0, 1, start=1 / 80), np.array([x1 - x0, y1 - y0])  # its points are moved out to the corners
    return (x0, y0) + size / 2 + np.sign(unit) * (size / 2 - r) + unit * r


D = np.linspace(-1, 1, 30)
SIDE = np.stack([0.88 * np.cos(np.pi / 2 * np.clip((D + 0.1) / 1.1, 0, 1) ** 1.5), D], axis=1)
LEAF = np.concatenate([np.stack([s * 0.5 * np.sin(np.pi * (D + 1) / 2), s * D], axis=1) for s in (1, -1)])
WAVE = np.stack([0.95 * D, 0.17 * np.sin(6.5 * D)], axis=1)
OUTLINES = [  # of badges, from -1 to 1, and the share of their width for what they show
    (ring(0, 0, 1), 1.1), (box(-0.95, -0.95, 0.95, 0.95, 0.3), 1.2), (ring(0, 0, 1, n=6), 1), (ring(0, 0, 1, n=4), 0.8),
    (np.concatenate([SIDE, SIDE[::-1] * (-1, 1)]), 1), (box(-1, -0.6, 1, 0.6, 0.1) @ [[1, 0], [-0.3, 1]], 0.9),
    (np.array([(-0.7, -1), (0.7, -1), (0.7, 1), (0, 0.6), (-0.7, 1)]), 0.95), (ring(0, 0, 1.05, n=10, far=0.5), 0.66),
    (ring(0, 0, 1, n=36, far=0.88), 1)]  # fmt: skip
SYMBOLS, FACES = "★♥☻♛♜♞♣☘⚡▶▶◉✿❄☂☀♫✈☎⚓⚙✔✪☁☯♻✉❦❀●🐭🐮🐱🐵", "😀😁😃😎😍☺☹"  # of DejaVuSans
GLYPHS: dict[str, list[tuple]] = {  # level, points from -1 to 1 and, of a line, its thickness (closed: less than 0)
    "globe": [(255, ring(0, 0, 0.4, 0.88), -0.12), (255, ring(0, 0, 0.88), -0.12), (255, [(-1, 0), (1, 0)], 0.1)],
    "leaf": [(255, turned(LEAF, 0.7, np.zeros(2))), (0, [(0.5, -0.6), (-0.65, 0.78)], 0.08)],
    "wave": [(255, WAVE - [[0, y]], 0.2) for y in (-0.5, 0, 0.5)],
    "eye": [(255, LEAF[:, ::-1]), (0, ring(0, 0, 0.4)), (255, ring(0, 0, 0.2))],
    "hill": [(255, [(-1, 0.7), (-0.3, -0.6), (0.1, 0.1), (0.4, -0.3), (1, 0.7)]), (255, ring(0.6, -0.65, 0.2))],
    "bird": [(255, ring(0, 0.1, 0.7, 0.4)), (255, ring(0.4, -0.3, 0.3)), (255, [(0.5, -0.5), (1, -0.3), (0.5, 0)])],
    "camera": [(255, box(-0.95, -0.45, 0.95, 0.75, 0.15)), (255, box(-0.4, -0.75, 0.4, 0)), (0, ring(0, 0.1, 0.4))],
}  # fmt: skip


def ink(mask: np.ndarray, colour: np.ndarray, below: np.ndarray | None = None) -> Part:
    """A mask (0 to 255) in one colour, or in one that runs into another downwards."""
    paint = colour if below is None else colour + (below - colour) * np.linspace(0, 1, len(mask))[:, None, None]
    alpha = mask[..., None].astype(np.float32) / 255
    return np.concatenate([alpha * paint, alpha], axis=2, dtype=np.float32)


def drawn(tall: float, wide: float, strokes: Sequence[tuple], unit: float = 0) -> np.ndarray:
    """uint8[tall, wide]: strokes one over the other, in pixels, or in units of so many from the middle."""
    size = np.array([max(2, round(wide)), max(2, round(tall))])
    view, scale = np.zeros(size[::-1] * LARGER, np.uint8), (unit or 1) * LARGER
    for level, points, *thick in strokes:
        points = np.array(points) * scale + size * (LARGER / 2 * bool(unit)) - 0.5
        if thick:
            line(view, points, (level,), round(abs(thick[0]) * scale), thick[0] < 0)
        else:
            fill(view, points, (level,), (level,), 0)
    return cv2.resize(view, size.tolist(), interpolation=cv2.INTER_AREA)


def over(out: Part, part: Part, y: float | None = None, x: float | None = None) -> Part:
    """Put a part with its corner there, or centred, over another (in place)."""
    (tall, wide), (rows, columns) = part.shape[:2], out.shape[:2]
    top, left = int((rows - tall) / 2 if y is None else y), int((columns - wide) / 2 if x is None else x)
    view = out[max(top, 0) : max(top + tall, 0), max(left, 0) : max(left + wide, 0)]
    new = part[max(-top, 0) :, max(-left, 0) :][: view.shape[0], : view.shape[1]]
    view[:] = new + view * (1 - new[..., 3:])
    return out


def joined(parts: Sequence[Part], gap: float = 0, down: bool = False, lean: float = 0.5) -> Part:
    """Parts side by side or below each other, at the start, middle or end of the other side (lean 0, 0.5, 1)."""
    parts = [part.swapaxes(0, 1) for part in parts] if down else parts
    ends = np.cumsum([part.shape[1] + int(gap) for part in parts])
    out = np.zeros((max(map(len, parts)), ends[-1] - int(gap), 4), np.float32)
    for part, end in zip(parts, ends):
        over(out, part, (len(out) - len(part)) * lean, end - part.shape[1] - int(gap))
    return np.ascontiguousarray(out.swapaxes(0, 1)) if down else out


def boxed(part: Part, ground: np.ndarray, pad: float, r: float = 0, line: float = 0, share: float = 1) -> Part:
    """On a bar, which may let pictures through, or in a frame with lines of that thickness."""
    tall, wide, edge = part.shape[0] + 1.2 * pad, part.shape[1] + 2 * pad, line / 2
    shape = 255, box(edge, edge, wide - edge, tall - edge, min(r, tall / 2 - edge)), -line
    return over(ink(drawn(tall, wide, [shape if line else shape[:2]]), ground) * np.float32(share), part)


def fitted(part: Part, wide: float, tall: float = HEIGHT, spin: float = 0) -> Part:
    """No larger than that, after a turn by an angle."""
    if spin:
        turn, size = cv2.getRotationMatrix2D((0, 0), spin, 1.0), np.array(part.shape[1::-1])
        turn[:, 2] = np.abs(turn[:, :2]) @ size / 2 - turn[:, :2] @ size / 2 + 1
        part = cv2.warpAffine(part, turn, (np.abs(turn[:, :2]) @ size + 2).astype(int).tolist())
    share = min(1.0, wide / part.shape[1], tall / part.shape[0])
    return cv2.resize(part, [max(2, int(n * share)) for n in part.shape[1::-1]], interpolation=cv2.INTER_AREA)


def backed(part: Part, colour: np.ndarray, soft: float, off: float = 0, strength: float = 1, thick: int = 0) -> Part:
    """With a shadow, a glow (where not `off`) or an outline (where thick)."""
    pad = int(2 * soft + off) + thick + 1
    out = cv2.copyMakeBorder(part, pad, pad, pad, pad, cv2.BORDER_CONSTANT)
    below = cv2.dilate(out[..., 3], cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * thick + 1,) * 2))
    below = cv2.warpAffine(below, np.float32([[1, 0, off], [0, 1, off]]), out.shape[1::-1])
    below = cv2.GaussianBlur(below, (0, 0), soft) if soft else below
    return over(ink(255 * np.minimum(1, below * strength), colour), out)


class Maker:
    """Draws one mark, with one font and one scheme of colours."""

    def __init__(self, rng: Rng, half: str) -> None:
        self.rng, self.half, self.u = rng, half, rng.uniform
        self.any: Callable[..., Any] = lambda *among: among[int(rng.integers(len(among)))]
        hsv = rng.uniform((0, 110, 100), (180, 255, 255), (1, 3, 3)).astype(np.uint8)
        self.accent, other, ground = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0].astype(np.float32)
        self.colour = self.any(*[WHITE] * 9, WHITE * 0.55, WHITE * 0.8, BLACK + 20, BLACK, other, other)  # of lettering
        self.font, self.ground = self.any(*fonts(half)), self.any(*[ground] * 5, WHITE, BLACK + 20)
        self.figure = (WHITE if self.ground @ LUMA < 140 else BLACK) * np.float32(0.85) + other * np.float32(0.15)

    def name(self, many: int = 1) -> str:
        known = [word for text in WORDS[self.half] + TITLES[self.half] for word in text.split() if word.isalpha()]
        made = ["".join(self.any(*SYLLABLES) for _ in range(self.any(1, 2, 3, 4))) for _ in range(2 * many)]
        words = " ".join(self.any(*known, *(made * 30 if self.half == "tune" else ())) for _ in range(many))
        return self.any(words.upper(), words.title(), words.lower())

    def address(self) -> str:
        some, word = spelled(self.rng) if self.half == "tune" else self.any(*WORDS["held"]), self.name()
        site = self.any("www.", "") + word.lower() + self.any(".com", ".net", ".tv", ".io", ".org")
        return self.any(site, self.any("© ", "by ", "") + word + self.any(" Films", " 2019", " TV"), some[:24])

    def text(self, said: str, size: float, colour: np.ndarray, path: str = "") -> Part:
        """As high as its line, or as its capitals where there are no other letters."""
        font, said = ImageFont.truetype(path or self.font, max(12, round(size * LARGER))), said.strip() or "o"
        top, bottom = font.getbbox(said if said == said.upper() else said + "Aglj")[1::2]
        left, _, right, _ = font.getbbox(said)
        view = Image.new("L", (int(right - left) + 6, int(bottom - top) + 6))
        ImageDraw.Draw(view).text((3 - left, 3 - top), said, fill=255, font=font)
        return ink(np.asarray(view.reduce(LARGER)), colour)

    def glyph(self, side: float, colour: np.ndarray, which: str = "") -> Part:
        if not which and self.any(*range(6)) == 0:
            x, y, wide, tall = cv2.boundingRect(mask := logo(self.rng, HEIGHT, self.half))
            if wide:  # one in many thousands is empty
                return fitted(ink(mask[y : y + tall, x : x + wide], colour), 2 * side, side)
        if (which := which or self.any(*SYMBOLS, *[*GLYPHS] * 3)) in GLYPHS:
            return ink(drawn(side, side, GLYPHS[which], side / 2), colour, self.any(None, None, self.accent))
        return fitted(self.text(which, side * 1.2, colour, str(FOLDER / "dejavu/DejaVuSans.ttf")), side, side)

    def badge(self, side: float = 0, bare: float = 0.25) -> Part:
        """A shape, most with a rim or in two halves, with initials or a picture in it; or the picture alone."""
        side, (shape, space) = side or WIDTH * np.exp(self.u(np.log(0.04), np.log(0.14))), self.any(*OUTLINES)
        kind, ground, tone = self.any(*range(8)), self.ground, self.figure
        if self.rng.random() < bare:
            return self.glyph(side, self.any(ground, self.accent, WHITE))
        view = lambda k, gap=0: drawn(side, side, [(255, shape * k), (0, shape * gap)], side / 2)  # noqa: E731
        tone = ground if kind == 4 else tone  # an outline only
        out = ink(view(0.97, 0.83 * (kind == 4)), ground, self.any(None, None, self.accent, ground * 0.5))
        if kind < 4:
            half = np.where(np.tri(len(out)) > 0, view(0.97), 0)
            over(out, ink(half if kind == 3 else view(0.88, 0.77), self.any(tone * 0.9, self.accent)))
        said = self.text(self.any(self.name()[: self.any(1, 2, 3)], f"{self.rng.integers(99)}"), side * 0.7, tone)
        over(out, fitted(self.any(said, self.glyph(side * 0.6, tone)), side * space * 0.58, side * space * 0.55))
        band = boxed(fitted(self.text(self.name(), side * 0.22, WHITE), side), self.accent * 0.7, 3, 2)
        return joined([out, band], -0.35 * side, True) if side > 30 and self.any(*range(5)) == 0 else out

    def subtitles(self) -> Part:
        size, colour, edge = self.u(12, 20), self.any(WHITE, YELLOW), self.any((0, 0, 1, 1), (0, 0, 1, 2), (1, 1, 1))
        said = [self.name(self.any(2, 3, 4, 5, 6)).capitalize() + self.any(*".?!,") for _ in range(self.any(1, 1, 2))]
        out = joined([fitted(self.text(row, size, colour), 0.85 * WIDTH) for row in said], 0, True)
        return self.any(boxed(out, BLACK, 6, 0, 0, self.u(0.4, 0.9)), *[backed(out, BLACK, *edge)] * 3)

    def lower_third(self) -> Part:
        size, pad, share, wide, rows = self.u(10, 20), self.u(5, 12), self.any(1, 1, 0.7), self.any(1, 150, 400), []
        for ground, figure in ((self.ground, self.figure), self.any((WHITE, BLACK), (BLACK, WHITE))):
            row = joined([fitted(self.text(self.name(2), size, figure), 220), np.zeros((1, wide, 4), np.float32)])
            rows, size = [*rows, boxed(row, ground, pad, 0, 0, share)], size * 0.7
        out = joined(rows[: self.any(1, 2, 2)], self.any(0, 0, 2), True, 0)
        return self.any(out, joined([self.badge(len(out) * 0.9), out], 2))

    def tiled(self) -> Part:
        part, shift = self.text(self.address(), self.u(8, 15), self.colour), self.u(0, 1)
        part = fitted(self.any(part, joined([self.badge(16), part], 3)), 170, 99, self.any(0, self.u(-45, 45), 30))
        down, across = np.array(part.shape[:2]) + self.u(12, 80, 2)
        rows = [(255, [(x, 0), (x + 300 * k, 300)], 0.8) for x in range(-300, 812, 128) for k in (-1, 1)]
        out = ink(drawn(HEIGHT, WIDTH, self.any(rows, [], [], [])), WHITE)  # lines as over stock films
        for k, y in enumerate(np.arange(-self.u(0, down), HEIGHT, down)):
            for x in np.arange(-across + (k * shift % 1) * across, WIDTH, across):
                over(out, part, y, x)
        return out

    def clock(self) -> Part:
        n, size, colour = lambda m: f"{self.rng.integers(m):02d}", self.u(9, 18), self.any(self.colour, YELLOW, GOLD)
        date = self.any(f"20{n(30)}-{n(12)}-{n(28)}", f"{n(28)}.{n(12)}.20{n(30)}", f"{n(28)} MAR 20{n(30)}")
        time = self.any(f"{n(24)}:{n(60)}:{n(60)}", f"PM {n(12)}:{n(60)}", f"{n(3)}:{n(60)}:{n(60)}:{n(25)}")
        rows = self.any([date], [time], [date + " " + time], [date, time], [f"CAM {n(9)}", time], [f"REC {time}"])
        out = joined([self.text(row, size, colour) for row in rows], self.any(1, 3), True, self.any(0, 1))
        return self.any(out, out, joined([self.glyph(size * 0.8, RED, "●"), out], 4), boxed(out, BLACK, 3))

    def seal(self) -> Part:
        tone, side, word = self.any(self.ground, RED, self.colour), int(self.u(40, 84)), self.name().upper()
        strip = self.text(f"{word} {self.address()} *".upper(), side * 0.36, BLACK)[..., 3] * 255
        y, x = np.mgrid[: 2 * side, : 2 * side].astype(np.float32) - side + 0.5  # bent at twice the size
        turn = np.arctan2(x, -y) / np.float32(2 * np.pi) % 1 * (strip.shape[1] - 1)
        bent = cv2.remap(strip, turn, np.float32(0.76 * side + len(strip) / 2) - np.hypot(x, y), cv2.INTER_LINEAR)
        rims = drawn(side, side, [(255, ring(0, 0, r), -0.035) for r in (0.97, self.any(0.52, 0.91))], side / 2)
        disc = ink(drawn(side, side, [(255, self.any(*OUTLINES[::8])[0])], side / 2), self.ground)  # even or with teeth
        tone, out = self.any((self.figure, disc), (tone, disc * 0))
        over(out, ink(np.maximum(rims, cv2.resize(bent, (side, side), interpolation=cv2.INTER_AREA)), tone))
        over(out, self.any(fitted(self.text(word[:6], 20, tone), side * 0.45), self.glyph(side * 0.4, tone)))
        plate = boxed(self.text(word, self.u(14, 30), tone), tone, 6, 3, self.u(1.2, 3))
        return fitted(self.any(out, out, plate), 200, 200, self.u(-30, 30))

    def frame(self) -> Part:
        inset, bar, kind, (far, low) = self.u(1, 16), self.u(16, 34), self.any(*range(4)), SIZE * self.u(0.2, 0.45)
        rim = box(inset, inset, *(SIZE - inset), self.any(0, 0, 10))
        strokes = [(255, rim, -self.u(1, 6)), (255, rim * 0.96 + SIZE * 0.02, -1)][: self.any(1, 2)]
        if kind == 0:  # corners, as in a finder
            strokes += [(0, box(0, low, WIDTH, HEIGHT - low)), (0, box(far, 0, WIDTH - far, HEIGHT))]
        bars = [(255, box(0, y, WIDTH, y + bar)) for y in self.any((0, HEIGHT - bar), (HEIGHT - bar,))]
        out = ink(drawn(HEIGHT, WIDTH, bars if kind == 1 else strokes), self.ground if kind == 1 else self.colour)
        word = self.text(self.address(), self.u(9, 13), self.figure if kind == 1 else self.colour)
        return over(out, word, HEIGHT - 15 - (kind != 1) * (inset + 12), self.any(None, inset + 12, WIDTH))

    def signature(self) -> Part:
        """Handwriting: loops that lean, of a height that changes from letter to letter, by a broad nib."""
        count, nib = self.any(*range(4, 11)), self.u(0.5, 1.3)
        t, knots = np.linspace(0, count, count * 24), np.arange(count + 1)
        high = np.interp(t, knots, 0.4 + 0.75 * (self.rng.random(count + 1) < 0.3) + 0.6 * (knots < 1))
        y = 0.15 * np.sin(t * 1.7) - high * np.sin(2 * np.pi * t)
        x = 0.62 * t + 0.4 * np.cos(2 * np.pi * t + np.interp(t, knots, self.u(0, 1.6, count + 1))) - 0.35 * y
        points = np.stack([x - x.min(), y - y.min()], axis=1) * self.u(8, 17) + 3
        out = ink(drawn(*points.max(0)[::-1] + 4, [(255, points, 1), (255, points - [[nib, -nib]], 1)]), self.colour)
        return fitted(self.any(out, joined([out, self.text(self.name(), self.u(8, 11), self.colour)], 0, True)), 180)

    def code(self, side: int) -> Part:
        finder = np.pad(np.pad(np.pad(np.ones((3, 3)), 1), 1, constant_values=1), (0, 1))
        bits = np.pad(self.rng.random((n := self.any(21, 25, 29), n)) < 0.5, 2).astype(np.float32)
        bits[2:10, 2:10], bits[2:10, -10:-2], bits[-10:-2, 2:10] = finder, finder[:, ::-1], finder[::-1]
        bits = cv2.resize(np.kron(bits, np.full((6, 6), 255)), (side, side), interpolation=cv2.INTER_AREA)
        return over(ink(bits * 0 + 255, WHITE), ink(bits, self.any(BLACK, BLACK, self.ground * 0.4)))

    def dressed(self, part: Part, bare: float) -> Part:
        kind, alpha, off = self.any(*range(12)), part[..., 3], self.u(0.5, 2.2)
        if kind < 2:  # white, and what is darker than the rest becomes clear
            light = part[..., :3] @ LUMA / np.maximum(alpha, 1e-3)
            low, high = np.percentile(light[alpha > 0.4], (4, 96))
            part = ink(255 * alpha * (np.clip((light - low) / (high - low), 0, 1) if high > low + 40 else 1), WHITE)
        elif kind == 2:  # see-through between its edges
            part = part * (1 - cv2.erode(alpha, SMALL)[..., None] * np.float32(self.u(0.4, 0.75)))
        far = BLACK if part[..., :3].sum() > 330 * part[..., 3].sum() else WHITE
        how = self.any((BLACK, off, off), (BLACK, 0.5, off), (far, 1.5 * off, 0, self.u(0.6, 1.8)), (far, 0, 0, 1, 1))
        return part if self.rng.random() < bare else backed(part, *how)

    def placed(self, part: Part, where: str) -> Mark:
        """In a corner, at an edge, or one time in six anywhere; now and then soft, as from a smaller film."""
        part, kind = fitted(part, WIDTH * (1 if where == "whole" else 0.93)), self.rng.random()
        room, margin, spot = SIZE - part.shape[1::-1], self.u(0.01, 0.08, 2) * SIZE, self.u(0, 1, 2)
        x, y = np.where(self.rng.random(2) < 0.5, margin, room - margin)
        if where in ("whole", "middle") or kind > 0.83:
            x, y = room * (spot if kind > 0.83 else self.any(0.5, 0.5, spot * 0.6 + 0.2))
        elif where:
            x, y = room[0] / 2 if where == "below" else self.any(margin[0], x), room[1] - margin[1]
        elif kind > 0.63:
            x, y = (room[0] / 2, y) if kind > 0.7 else (x, room[1] / 2)
        out = over(np.zeros((HEIGHT, WIDTH, 4), np.float32), part, y, x)
        out = cv2.GaussianBlur(out, (0, 0), float(self.u(0.35, 0.8))) if self.any(*range(5)) == 0 else out
        alpha = np.clip(out[..., 3], 0, 1)
        return np.clip(out[..., :3] / np.maximum(alpha, 1 / 255)[..., None] + 0.5, 0, 255).astype(np.uint8), alpha


ABOUT: dict[str, tuple] = {  # percent, how often bare, how often opaque, place, how it is drawn where not by a method
    "plain_name": (13, 0.35, 0.4, "", lambda m: m.text(m.address(), m.u(9, 17), m.colour)),
    "handle": (5, 0.5, 0.4, "", lambda m: joined([*(m.badge(m.u(12, 20), 0.4) for _ in range(m.any(1, 1, 3))), m.text(
        m.any("@", "@", "/", "") + m.name().lower() + m.any("", "_tv", "99"), m.u(10, 16), m.colour)], m.u(3, 6))),
    "icon_word": (12, 0.5, 0.4, "", lambda m: fitted(joined([m.badge(m.u(16, 44), 0.4), joined([
        m.text(m.name(m.any(1, 1, 2)), m.u(11, 30), m.any(m.ground, WHITE, m.colour)),
        *m.any([], [], [m.text(m.address(), m.u(7, 11), m.colour)])], 1, True, 0)], m.u(3, 9)), 0.45 * WIDTH)),
    "two_colours": (6, 0.5, 0.4, "", lambda m: fitted(joined([m.text(m.name(), 24, m.any(m.ground, WHITE, m.colour)),
        m.any(m.text(m.name(), 24, m.accent), boxed(m.text(m.name(), 24, m.figure), m.ground, 3, 4))]), m.u(60, 200))),
    "large": (5, 0.7, 0.1, "middle", lambda m: fitted(fitted(m.text(m.any(
        m.any(*TITLES[m.half]).replace("\n", " "), m.address(), m.name()), HEIGHT * m.u(0.13, 0.4), m.colour),
        WIDTH * m.u(0.6, 1.1)), 0.98 * WIDTH, 0.95 * HEIGHT, m.any(0, 0, m.u(-45, 45), -30, 29, 90))),
    "sticker": (3, 0.6, 0.5, "", lambda m: fitted(backed(m.any(
        over(m.glyph(44, YELLOW, "●"), m.glyph(44, BLACK, m.any(*FACES))), m.glyph(44, m.any(RED, GOLD, m.accent)),
        boxed(m.text(m.any("SUBSCRIBE", "Follow", "LIKE", "NEW", m.name() + "!"), 20, m.figure), m.ground, 9, 20)),
        WHITE, 0, 0, m.any(0, 1), m.any(1, 2, 3)), m.u(30, 90), 200, m.any(0, m.u(-20, 20)))),
    "bug": (9, 0.6, 0.4, "", lambda m: joined([m.any(
        boxed(m.text(f"{m.rng.integers(60)}", size, m.figure), m.ground, 6, m.any(0, 20)), m.badge(size * 1.5),
        boxed(m.text(m.any("LIVE", "NEWS", "NEW"), size, WHITE), m.any(RED, m.accent * 0.7), 4, m.any(0, 4, 20)),
        joined([m.glyph(size * 0.6, RED, "●"), m.text(m.any("LIVE", "ON AIR"), size, m.colour)], 3),
        boxed(m.text(m.any("HD", "4K"), 9, m.colour), m.colour, 4, 2, 1.2), m.glyph(size * 1.5, m.colour, "globe"),
        ) for size in m.u(9, 22, m.any(1, 2, 3))], m.any(1, 4), m.any(True, False), m.any(0, 0.5, 1))),
    "square": (2, 0.9, 0.4, "", lambda m: m.any(m.code(int(m.u(34, 72))), boxed(boxed(m.text(m.any(
        "16", "18+", "12", "PG", "R", "TV-MA"), m.u(12, 26), m.figure), m.ground, 6, 2), m.figure, m.any(0, 2)))),
    "subtitles": (8, 1, 0.7, "below"), "badge": (17, 0.5, 0.4, ""), "clock": (4, 0.6, 0.5, ""),
    "lower_third": (5, 0.9, 0.6, "left"), "tiled": (3, 1, 0.05, "whole"), "frame": (3, 1, 0.4, "whole"),
    "seal": (3, 0.8, 0.4, ""), "signature": (2, 0.6, 0.4, "")}  # fmt: skip


def mark(kind: str, rng: Rng, half: str) -> Mark:
    part, (_, bare, _, where, *make) = np.zeros((1, 1, 4), np.float32), ABOUT[kind]
    while part[..., 3].max() < 0.5:
        part = (make or [getattr(Maker, kind)])[0](maker := Maker(rng, half))
    return maker.placed(part if bare == 1 else maker.dressed(part, bare), where)


KINDS: dict[str, Callable[[Rng, str], Mark]] = {kind: functools.partial(mark, kind) for kind in ABOUT}


def overlay(rng: Rng, half: str = "tune") -> Mark:
    """(uint8[288, 512, 3] colour, float32[288, 512] alpha) of a mark of any kind, as opaque as such marks are."""
    kind = rng.choice(list(ABOUT), p=np.array([about[0] for about in ABOUT.values()]) / 100)
    colour, alpha = KINDS[kind](rng, half)
    return colour, alpha if rng.random() < ABOUT[kind][2] else alpha * np.float32(rng.uniform(0.25, 0.9))


def put(pictures: np.ndarray, colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The pictures (uint8[M, 288, 512, 3]) with the mark over each."""
    return np.stack([(p + (colour - p.astype(np.float32)) * alpha[..., None] + 0.5).astype(np.uint8) for p in pictures])
