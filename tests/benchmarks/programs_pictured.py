"""Programs that show pictures: shops, players, maps, galleries, editors of pictures and films, desktops, games.

Made-up pictures of screens (see desk.py).
"""

from __future__ import annotations

import numpy as np
from chrome import LONG, browser, menu_bar, title_bar, tool_bar
from desk import Pane, Sheet, cut, pane


def shop(s: Sheet) -> list[Pane]:
    """Rows of goods with names and prices, or one of them, large, with what is said of it."""
    u, y = s.unit, browser(s)
    s.box(0, y, s.wide, 3.4 * u, s.look.accent)
    s.text(2 * u, y + 0.6 * u, s.words(1, 1)[:8], s.light(s.look.accent), size=1.8, bold=True)
    s.field(16 * u, y + 0.7 * u, s.wide - 30 * u, s.words(1, 3))
    s.icons(s.wide - 10 * u, y + u, 3, 1.5 * u, 3 * u)
    y += 3.4 * u
    side, count = float(s.rng.choice([0, 13, 16])) * u, int(s.rng.integers(2, 6))
    for k, at in enumerate(np.arange(y + u, s.high - 2 * u, 1.8 * u) if side else ()):
        s.text(2.6 * u if k % 6 else u, at, s.words(1, 2), bold=not k % 6, room=side - 3 * u)
        if k % 6:
            s.box(u, at + 0.2 * u, u, u, s.look.paper, s.look.faint)
    whole = s.more(s.wide - side, LONG * s.high)
    wide = (whole.wide - 2 * u) / count
    high = wide * float(s.rng.uniform(0.6, 1.1))
    at, plain = 2 * u, bool(s.rng.random() < 0.6)
    while at < LONG * s.high - high - 8 * u:
        for k in range(count):
            x = u + k * wide
            if plain:
                whole.box(x + u, at, wide - 2 * u, high, (255, 255, 255))
                whole.picture(x + 0.25 * wide, at + 0.2 * high, 0.5 * wide, 0.6 * high, bool(s.rng.random() < 0.5))
            else:
                whole.picture(x + u, at, wide - 2 * u, high)
            whole.print(x + u, at + high + 0.5 * u, wide - 2 * u, 3.2 * u, lines=2)
            whole.text(x + u, at + high + 3.8 * u, f"{s.rng.integers(1, 9999) / 100:.2f} €", size=1.3, bold=True)
            whole.icons(x + u, at + high + 5.8 * u, 5, u, 1.2 * u)
        at += high + 8 * u
    return [pane(side, y, whole.wide, s.high - y, whole, 2 * u)]


def player(s: Sheet) -> list[Pane]:
    """A film that plays in a page, with its name and comments below, others at the side."""
    u, y = s.unit, browser(s)
    wide = float(s.rng.uniform(0.5, 0.66)) * s.wide
    high, left, y = wide * 9 / 16, float(s.rng.uniform(1, 4)) * u, y + float(s.rng.choice([1, 4])) * u
    film = Pane(x=int(left), y=int(y), wide=int(wide), high=int(high), whole=_still(s, wide / high), plays=True)
    s.text(left, y + high + u, s.words(3, 6), size=1.5, bold=True, room=wide)
    s.picture(left, y + high + 4 * u, 3 * u, 3 * u, True)
    s.text(left + 4 * u, y + high + 4 * u, s.words(1, 2), bold=True)
    s.button(left + wide - 9 * u, y + high + 4 * u, s.words(1, 1)[:8])
    s.print(left, y + high + 8.5 * u, wide, s.high)
    x = left + wide + 2 * u
    for at in np.arange(y, s.high, 7 * u):
        s.picture(x, at, 11 * u, 6.2 * u)
        s.print(x + 12 * u, at, s.wide - x - 13 * u, 3 * u, lines=2)
        s.text(x + 12 * u, at + 3.6 * u, s.words(1, 3), s.look.faint, size=0.85, room=s.wide - x - 13 * u)
    return [film]


def _still(s: Sheet, aspect: float) -> np.ndarray:
    return cut(s.stills[int(s.rng.integers(len(s.stills)))], aspect, s.rng)


def atlas(s: Sheet) -> list[Pane]:
    """Roads, waters, woods and names, with a box of places at the side."""
    u, wide, high = s.unit, int(1.6 * s.wide), int(2 * s.high)
    land, sea, wood, road = (
        ((38, 44, 58), (20, 30, 46), (34, 52, 48), (70, 78, 95)) if s.look.dark else
        ((242, 239, 233), (170, 211, 223), (200, 225, 190), (255, 255, 255))
    )  # fmt: skip
    whole = s.more(wide, high, land)
    for tone, count in ((wood, 14), (sea, 5)):
        for _ in range(count):
            turn = np.linspace(0, 2 * np.pi, 14, endpoint=False)
            ends = s.rng.uniform(0, 1, 2) * (wide, high) + (
                s.rng.uniform(0.3, 1, (14, 1)) * np.stack([np.cos(turn), np.sin(turn)], 1) * s.rng.uniform(2, 16) * u
            )
            whole.draw.polygon([tuple(p) for p in ends], fill=tone)
    for thick in (2, 2, 2, 2, 2, 3, 3, 5, 8):
        for _ in range(12 // thick + 2):
            ends = np.cumsum(s.rng.normal(0, 1, (16, 2)) * 2 * u + s.rng.normal(0, 5 * u, 2), 0)
            ends = [tuple(p) for p in ends + s.rng.uniform(0, 1, 2) * (wide, high)]
            whole.draw.line(ends, s.look.faint, int(thick * u / 12) + 2, joint="curve")
            whole.draw.line(ends, (250, 215, 120) if thick > 4 else road, int(thick * u / 12) + 1, joint="curve")
    for _ in range(90):
        x, y = s.rng.uniform(0, 1, 2) * (wide, high)
        whole.text(x, y, s.words(1, 2), s.look.faint, size=float(s.rng.choice([0.7, 0.9, 1.4])))
        if s.rng.random() < 0.3:
            whole.draw.ellipse((x - u, y, x, y + u), fill=s.look.tones[int(x) % 10])
    top = browser(s) if s.rng.random() < 0.5 else 0.0
    side = float(s.rng.choice([0, 20, 24])) * u
    for at in np.arange(top + u, s.high, 7 * u) if side else ():
        s.text(u, at, s.words(1, 3), bold=True, room=side - 2 * u)
        s.print(u, at + 1.6 * u, side - 8 * u, 3 * u, s.look.faint, lines=2)
        s.picture(side - 6 * u, at, 5 * u, 5 * u)
    return [pane(side, top, s.wide - side, s.high - top, whole, 2 * u)]


def retouch(s: Sheet) -> list[Pane]:
    """A picture amid tools, layers and curves."""
    u = s.unit
    y = menu_bar(s, 0.0)
    y += tool_bar(s, y)
    s.box(0, y, 3.4 * u, s.high, s.look.panel)
    s.icons(u, y + u, 18, 1.4 * u, 2.4 * u, down=True)
    side = float(s.rng.uniform(14, 22)) * u
    x, wide = 3.4 * u, s.wide - 3.4 * u - side
    s.box(x, y, wide, s.high, s.look.line)
    share = float(s.rng.uniform(0.55, 0.95))
    w = min(share * wide, share * (s.high - y) * 1.5)
    s.picture(x + (wide - w) / 2, y + (s.high - y - w / 1.5) / 2, w, w / 1.5)
    x += wide
    s.box(x, y, side, s.high, s.look.panel)
    heights = np.abs(np.cumsum(s.rng.normal(0, 1, 60)))
    for k, v in enumerate(heights / heights.max()):
        s.box(x + u + k * (side - 2 * u) / 60, y + u + 7 * u * (1 - v), (side - 2 * u) / 60, 7 * u * v, s.look.faint)
    for k, at in enumerate(np.arange(y + 10 * u, s.high - 3 * u, 3 * u)):
        s.box(x, at, side, 3 * u, s.look.accent if k == 2 else s.look.panel, s.look.line)
        if k < 5:
            s.text(x + u, at + 0.2 * u, s.words(1, 1), size=0.85, room=0.5 * side)
            s.rule(x + u, at + 2.1 * u, side - 2 * u, thick=2)
            s.box(x + s.rng.uniform(0.1, 0.9) * side, at + 1.7 * u, 0.8 * u, 0.8 * u, s.look.ink, None, 9)
        else:
            s.picture(x + 2 * u, at + 0.3 * u, 3 * u, 2.4 * u)
            s.text(x + 6 * u, at + 0.7 * u, s.words(1, 2), room=side - 7 * u)
    return []


def cutting(s: Sheet) -> list[Pane]:
    """A film that plays, a bin of others, and tracks below with their pictures and waves."""
    u, y = s.unit, menu_bar(s, 0.0)
    half = float(s.rng.uniform(0.4, 0.6)) * s.high
    wide = min(0.6 * s.wide, (half - 3 * u) * 16 / 9)
    x = s.wide - wide - u
    film = Pane(x=int(x), y=int(y), wide=int(wide), high=int(half - 3 * u), whole=_still(s, 16 / 9), plays=True)
    s.icons(x + wide / 2 - 5 * u, y + half - 2.4 * u, 5, 1.5 * u, 2.2 * u)
    for at in np.arange(y + u, y + half - 6 * u, 7 * u):
        for left in np.arange(u, x - 9 * u, 9 * u):
            s.picture(left, at, 8 * u, 4.5 * u)
            s.text(left, at + 4.7 * u, s.words(1, 1), s.look.faint, size=0.8, room=8 * u)
    top = y + half
    s.box(0, top, s.wide, s.high, s.look.panel)
    for k, at in enumerate(np.arange(top + 2 * u, s.high, 4 * u)):
        s.box(0, at, 8 * u, 3.8 * u, s.look.paper, s.look.line)
        s.text(u, at + u, s.words(1, 1), room=4 * u)
        end, tone = 8 * u, s.look.tones[k % 3]
        while end < s.wide:
            w = float(s.rng.uniform(4, 30)) * u
            if s.rng.random() < 0.75:
                s.box(end, at, w, 3.8 * u, tone, s.look.line)
                if k < 2:
                    s.picture(end + 1, at + u, min(w - 2, 5 * u), 2.7 * u)
                else:
                    wave = np.abs(s.rng.normal(0, 0.6 * u, int(w / 3)))
                    for n, v in enumerate(wave):
                        s.rule(end + 3 * n, at + 2 * u - v, 0, 2 * v, s.look.ink)
            end += w + 1
    s.rule(s.rng.uniform(0.2, 0.9) * s.wide, top, 0, s.high, (220, 40, 40), 2)
    return [film]


def gallery(s: Sheet) -> list[Pane]:
    """Pictures side by side, as of a camera's, with dates between or a column of names."""
    u, y = s.unit, title_bar(s)
    side = float(s.rng.choice([0, 12, 15])) * u
    s.box(0, y, side, s.high, s.look.panel)
    for at in np.arange(y + u, s.high - 2 * u, 2.1 * u) if side else ():
        s.icon(u, at, 1.2 * u)
        s.text(3 * u, at, s.words(1, 2), room=side - 4 * u)
    whole, high, gap = s.more(s.wide - side, LONG * s.high), float(s.rng.uniform(8, 16)) * u, int(s.rng.integers(2, 14))
    at = float(gap)
    while at < LONG * s.high - high:
        if s.rng.random() < 0.35:
            whole.text(u, at + 0.3 * u, s.words(1, 3), size=1.2, bold=True)
            at += 2.4 * u
        x = float(gap)
        while x < whole.wide:
            w = high * float(s.rng.choice([0.7, 1.0, 1.5, 1.5]))
            whole.picture(x, at, min(w, whole.wide - x), high)
            x += w + gap
        at += high + gap
    return [pane(side, y, whole.wide, s.high - y, whole, high + gap)]


def start(s: Sheet) -> list[Pane]:
    """A desktop: a plain or painted ground, icons with names, a bar with a clock, perhaps a menu."""
    u, low = s.unit, s.rng.random() < 0.7
    kind = s.rng.random()
    if kind < 0.3:
        s.picture(0, 0, s.wide, s.high)
    elif kind < 0.6:
        s.box(0, 0, s.wide, s.high, s.look.tones[0])
    else:
        ramp = np.linspace(s.look.tones[1], s.look.tones[2], s.high)[:, None] * np.ones((1, s.wide, 1))
        s.image.paste(_image(ramp), (0, 0))
    step = float(s.rng.uniform(6, 9)) * u
    for k in range(int(s.rng.integers(3, 26))):
        column, row = divmod(k, max(1, int((s.high - 4 * u) / step)))
        x, y = u + column * step, u + row * step
        s.box(x + 0.2 * step, y, 0.5 * step, 0.5 * step, s.look.tones[k % 10], None, int(0.1 * step))
        s.icon(x + 0.28 * step, y + 0.08 * step, 0.35 * step, (250, 250, 250))
        s.text(x + 0.45 * step, y + 0.55 * step, s.words(1, 1)[:9], (250, 250, 250), size=0.9, at="middle")
    y = s.high - 3.2 * u if low else 0
    s.box(0, y, s.wide, 3.2 * u, s.look.panel)
    s.icons(u, y + 0.7 * u, int(s.rng.integers(4, 14)), 1.8 * u, 3 * u)
    s.text(s.wide - u, y + 0.9 * u, f"{s.rng.integers(24):02d}:{s.rng.integers(60):02d}", at="right")
    if s.rng.random() < 0.5:
        high = float(s.rng.uniform(0.3, 0.7)) * s.high
        top = y - high if low else 3.2 * u
        s.box(0.5 * u, top, 20 * u, high, s.look.paper, s.look.line, s.look.round)
        for at in np.arange(top + u, top + high - 2 * u, 2.6 * u):
            s.icon(1.5 * u, at, 1.7 * u, s.look.tones[int(at) % 10])
            s.text(4.4 * u, at, s.words(1, 2), room=15 * u)
    return []


def _image(ramp: np.ndarray) -> object:
    from PIL import Image

    return Image.fromarray(ramp.astype(np.uint8))


def game(s: Sheet) -> list[Pane]:
    """The menu of a game: its name, large, choices below each other, before a plain, shaded or painted ground."""
    from PIL import Image, ImageFilter

    u, kind = s.unit, s.rng.random()
    if kind < 0.35:
        s.picture(0, 0, s.wide, s.high)
        soft = s.image.filter(ImageFilter.GaussianBlur(float(s.rng.uniform(4, 12))))
        s.image.paste(Image.blend(soft, Image.new("RGB", soft.size), float(s.rng.uniform(0.3, 0.7))))
    else:
        s.box(0, 0, s.wide, s.high, s.look.paper if kind < 0.7 else s.look.tones[0])
    left, size = float(s.rng.choice([0.1, 0.5])) * s.wide, float(s.rng.uniform(1.6, 3))
    ink = s.look.ink if 0.35 <= kind < 0.7 else (245, 245, 240)
    at = "middle" if left > 0.3 * s.wide else "left"
    s.text(left, 0.08 * s.high, s.words(1, 2).upper()[:14], s.look.accent, size=2.6 * size, bold=True, at=at)
    for k in range(int(s.rng.integers(4, 9))):
        y, wide = 0.3 * s.high + 2.2 * k * size * u, 16 * size * u
        if s.rng.random() < 0.6:
            s.box(left - (wide / 2 if at == "middle" else u), y - 0.2 * size * u, wide, 1.8 * size * u,
                  s.look.accent if k == 1 else s.look.panel, s.look.line, s.look.round)  # fmt: skip
            s.text(left, y, s.words(1, 2), s.light(s.look.accent) if k == 1 else s.look.ink, size=size, at=at)
        else:
            s.text(left, y, s.words(1, 2), ink, size=size, at=at)
    if s.rng.random() < 0.5:
        step = float(s.rng.uniform(3, 5)) * u
        for row in range(int(s.rng.integers(2, 7))):
            for column in range(6):
                x, y = s.wide - (7 - column) * step, 0.25 * s.high + row * step
                s.box(x, y, 0.92 * step, 0.92 * step, s.look.panel, s.look.line)
                if s.rng.random() < 0.5:
                    s.icon(x + 0.1 * step, y + 0.1 * step, 0.7 * step, s.look.tones[(row + column) % 10])
    s.text(u, s.high - 2 * u, s.words(1, 2), ink, size=0.8)
    return []


PICTURED = {
    "shop": shop, "player": player, "atlas": atlas, "retouch": retouch, "cutting": cutting, "gallery": gallery,
    "start": start, "game": game,
}  # fmt: skip
