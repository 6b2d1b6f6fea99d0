"""What programs are drawn with (programs.py and its neighbours): themes, lettering, icons, panes that scroll.

A template draws one program over a sheet and gives the panes of it that may scroll or play. All words are made up
(mark_material.py), all pictures painted or rendered here; lengths are pixels.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ink import Rng, Tone
from mark_material import fonts, spelled

SLANTED = ("Italic", "Oblique", "Hairline", "Thin", "BoldItalic", "Symbol")
BARRED = 0.07  # share of screens
KINDS = {"mono": ("Mono",), "serif": ("Serif", "FreeSerif"), "sans": ("Sans", "Roboto", "Lato")}


@functools.cache
def faces(half: str, kind: str, bold: bool) -> list[str]:
    """Upright fonts of this half of mark_material.py's that are of a kind of KINDS."""
    found = [path for path in fonts(half) if not any(slant in Path(path).stem for slant in SLANTED)]
    mono = [path for path in found if "Mono" in Path(path).stem]
    of = [path for path in found if any(name in Path(path).stem for name in KINDS[kind])]
    of = [path for path in of if kind == "mono" or path not in mono]
    return [path for path in of if any(w in Path(path).stem for w in ("Bold", "Black", "Heavy")) == bold] or of


@functools.lru_cache(512)
def _font(path: str, size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.truetype(path, size)


@dataclass(frozen=True, kw_only=True)
class Look:
    """A theme. paper: of pages; panel: of bars and columns; line: between them; size: of ordinary letters,
    pixels; barred: words are bars, as while a page is loaded and in sketches of programs."""

    dark: bool
    paper: Tone
    panel: Tone
    line: Tone
    ink: Tone
    faint: Tone
    accent: Tone
    tones: Sequence[Tone]
    size: int
    fonts: dict[tuple[str, bool], str]
    round: int
    barred: bool


def look(rng: Rng, size: int, half: str = "tune", dark: bool | None = None) -> Look:
    dark = bool(rng.random() < 0.45) if dark is None else dark
    tint = rng.uniform(-6, 6, 3) * float(rng.choice([0, 0, 0.5, 0.5, 1, 3]))
    base = float(rng.choice([0, 18, 24, 32, 40, 48]) if dark else rng.choice([255, 255, 250, 245, 238]))
    way = 1 if dark else -1

    def grey(off: float) -> Tone:
        return tuple(int(v) for v in np.clip(base + way * off + tint, 0, 255))

    def colour(low: float, high: float) -> Tone:
        return tuple(int(v) for v in rng.uniform(low, high, 3))

    contrast = float(rng.uniform(150, 225))
    return Look(
        dark=dark, paper=grey(0), panel=grey(float(rng.choice([0, 6, 10, 16, 26]))), line=grey(rng.uniform(18, 40)),
        ink=grey(contrast), faint=grey(0.55 * contrast), accent=colour(0, 220),
        tones=[colour(90, 255) if dark else colour(0, 190) for _ in range(10)], size=size,
        fonts={(k, b): str(rng.choice(faces(half, k, b))) for k in KINDS for b in (False, True)},
        round=int(rng.choice([0, 0, 3, 6, 10])), barred=bool(rng.random() < BARRED),
    )  # fmt: skip


class Sheet:
    """A picture of a program. rng: of all that is made up in it; stills: pictures to show in it, uint8[h, w, 3] RGB."""

    def __init__(self, wide: int, high: int, look: Look, rng: Rng, stills: Sequence[np.ndarray]) -> None:
        from PIL import Image, ImageDraw

        self.image = Image.new("RGB", (max(1, wide), max(1, high)), look.paper)
        self.draw, self.look, self.rng, self.stills = ImageDraw.Draw(self.image), look, rng, stills
        self.wide, self.high, self.unit = wide, high, look.size

    def more(self, wide: float, high: float, paper: Tone | None = None) -> Sheet:
        """An empty one of the same look."""
        sheet = Sheet(int(wide), int(high), self.look, self.rng, self.stills)
        sheet.box(0, 0, wide, high, paper or self.look.paper)
        return sheet

    def box(
        self, x: float, y: float, w: float, h: float, fill: Tone | None, line: Tone | None = None, corner: int = 0
    ) -> None:
        if w >= 1 and h >= 1:
            reach = (int(x), int(y), int(x + w) - 1, int(y + h) - 1)
            self.draw.rounded_rectangle(reach, min(corner, int(min(w, h) / 2)), fill=fill, outline=line)

    def rule(self, x: float, y: float, w: float, h: float = 0, tone: Tone | None = None, thick: int = 1) -> None:
        """Along a row (h = 0) or column."""
        self.draw.line((int(x), int(y), int(x + w), int(y + h)), tone or self.look.line, thick)

    def text(
        self, x: float, y: float, text: str, tone: Tone | None = None, *, size: float = 1.0, bold: bool = False,
        kind: str = "sans", room: float | None = None, at: str = "left",
    ) -> float:  # fmt: skip
        """One line below y; its width. size: of ordinary letters; room: what is wider is cut; at: left, middle or right
        of x."""
        font = _font(self.look.fonts[kind, bold], max(6, int(size * self.unit)))
        wide = font.getlength(text)
        if room is not None and wide > room:
            text = text[: max(0, int(len(text) * room / wide) - 1)]
            wide = font.getlength(text)
        left = x - {"left": 0, "middle": wide / 2, "right": wide}[at]
        if self.look.barred:
            self.box(left, y + 0.35 * size * self.unit, wide, 0.6 * size * self.unit, tone or self.look.ink)
        else:
            self.draw.text((left, y), text, tone or self.look.ink, font)
        return float(wide)

    def words(self, low: int = 1, high: int = 4) -> str:
        return " ".join(spelled(self.rng) for _ in range(int(self.rng.integers(low, high + 1))))

    def print(
        self, x: float, y: float, w: float, h: float, tone: Tone | None = None, *, size: float = 1.0,
        kind: str = "sans", gap: float = 1.5, lines: int = 999,
    ) -> float:  # fmt: skip
        """A paragraph in a box, so many lines at most; where it ends."""
        pitch, end = gap * size * self.unit, y + h
        while lines > 0 and y + pitch <= end:
            part = w if lines > 1 and y + 2 * pitch <= end else w * self.rng.uniform(0.2, 0.9)
            self.text(x, y, self.words(6, 9), tone, size=size, kind=kind, room=part)
            y, lines = y + pitch, lines - 1
        return y

    def icon(self, x: float, y: float, side: float, tone: Tone | None = None) -> None:
        """A glyph of a few strokes, as tool bars have."""
        rng, tone, s = self.rng, tone or self.look.faint, float(side)
        thick = max(1, int(s / 9))
        for _ in range(int(rng.choice([1, 1, 2]))):
            kind, a = int(rng.integers(6)), s * rng.uniform(0.05, 0.3)
            reach = (x + a, y + a, x + s - a, y + s - a)
            if kind == 0:
                self.draw.ellipse(reach, outline=tone, width=thick)
            elif kind == 1:
                self.draw.rectangle(reach, outline=tone, width=thick)
            elif kind == 2:
                for k in range(3):
                    self.draw.line((x + a, y + s * (k + 1) / 4, x + s - a, y + s * (k + 1) / 4), tone, thick)
            elif kind == 3:
                ends = [(x + s * u, y + s * v) for u, v in rng.uniform(0.1, 0.9, (3, 2))]
                self.draw.polygon(ends, outline=tone, fill=tone if rng.random() < 0.5 else None)
            elif kind == 4:
                self.draw.line((x + s / 2, y + a, x + s / 2, y + s - a), tone, thick)
                self.draw.line((x + a, y + s / 2, x + s - a, y + s / 2), tone, thick)
            else:
                self.draw.ellipse(reach, fill=tone)

    def icons(self, x: float, y: float, count: int, side: float, step: float, down: bool = False) -> None:
        for k in range(count):
            vivid = self.look.tones[k % 10] if self.rng.random() < 0.25 else None
            self.icon(x + (0 if down else k * step), y + (k * step if down else 0), side, vivid)

    def picture(self, x: float, y: float, w: float, h: float, round_: bool = False) -> None:
        """A part of one of the stills."""
        from PIL import Image, ImageDraw

        if w < 2 or h < 2:
            return
        part = Image.fromarray(cut(self.stills[int(self.rng.integers(len(self.stills)))], w / h, self.rng))
        part = part.resize((int(w), int(h)), Image.Resampling.BILINEAR, reducing_gap=2)
        mask = None
        if round_:
            mask = Image.new("L", part.size)
            ImageDraw.Draw(mask).ellipse((0, 0, part.width - 1, part.height - 1), fill=255)
        self.image.paste(part, (int(x), int(y)), mask)

    def button(self, x: float, y: float, text: str, full: bool = True, size: float = 1.0) -> float:
        """Its width."""
        wide = _font(self.look.fonts["sans", False], max(6, int(size * self.unit))).getlength(text) + 2 * self.unit
        fill, tone = (self.look.accent, self.light(self.look.accent)) if full else (self.look.panel, self.look.ink)
        self.box(x, y, wide, 2 * size * self.unit, fill, None if full else self.look.line, self.look.round)
        self.text(x + self.unit, y + 0.35 * size * self.unit, text, tone, size=size)
        return float(wide)

    def field(self, x: float, y: float, w: float, text: str = "") -> None:
        self.box(x, y, w, 2 * self.unit, self.look.paper, self.look.line, self.look.round)
        self.text(x + 0.6 * self.unit, y + 0.35 * self.unit, text, self.look.faint, room=w - self.unit)

    @staticmethod
    def light(ground: Tone) -> Tone:
        """A tone that can be read on it."""
        return (250, 250, 250) if sum(ground) < 400 else (20, 20, 25)

    def pixels(self) -> np.ndarray:
        """uint8[h, w, 3] RGB."""
        return np.asarray(self.image)


def cut(still: np.ndarray, aspect: float, rng: Rng) -> np.ndarray:
    """A part of a picture of that width over height."""
    high, wide = still.shape[:2]
    share = rng.uniform(0.5, 1.0)
    h = max(2, int(min(high, wide / aspect) * share))
    w = max(2, min(wide, int(h * aspect)))
    y, x = int(rng.integers(high - h + 1)), int(rng.integers(wide - w + 1))
    return still[y : y + h, x : x + w]


@dataclass(frozen=True, kw_only=True)
class Pane:
    """A part of a program that scrolls down `whole` (uint8[H, w, 3], taller than it is high), or plays: then `whole` is
    the still that a camera goes over. line: height of its rows, in which lines are typed."""

    x: int
    y: int
    wide: int
    high: int
    whole: np.ndarray
    line: int = 20
    plays: bool = False


def pane(x: float, y: float, w: float, h: float, sheet: Sheet, line: float = 20) -> Pane:
    return Pane(x=int(x), y=int(y), wide=int(w), high=int(h), whole=sheet.pixels(), line=max(8, int(line)))


Template = Callable[[Sheet], list[Pane]]
