"""Programs that nothing is trained on: made-up pictures of screens (see desk.py) of other kinds than the rest."""

from __future__ import annotations

import numpy as np
from chrome import LONG, browser, menu_bar, title_bar, tool_bar
from desk import Pane, Sheet, pane


def calendar(s: Sheet) -> list[Pane]:
    """Days of a month, or hours of a week, with what is to be done in them."""
    u = s.unit
    y = title_bar(s)
    s.text(2 * u, y + u, s.words(1, 2), size=1.8, bold=True)
    s.icons(s.wide - 12 * u, y + u, 4, 1.6 * u, 2.6 * u)
    y += 4 * u
    month, rows, x = s.rng.random() < 0.5, int(s.rng.choice([5, 6])), 4 * u
    wide, high = (s.wide - x) / 7, (s.high - y - 2 * u) / rows
    for k in range(7):
        s.text(x + k * wide + 0.5 * u, y, s.words(1, 1)[:3], s.look.faint, bold=True)
    y += 2 * u
    for k in range(rows * 7 if month else 0):
        left, top = x + k % 7 * wide, y + k // 7 * high
        s.box(left, top, wide, high, s.look.panel if k % 7 > 4 else s.look.paper, s.look.line)
        s.text(left + 0.5 * u, top + 0.3 * u, str(k % 31 + 1), s.look.faint)
        for n in range(int(s.rng.integers(0, 4))):
            at, tone = top + (2 + 1.8 * n) * u, s.look.tones[int(s.rng.integers(10))]
            if at + 1.7 * u < top + high:
                s.box(left + 2, at, wide - 4, 1.6 * u, tone, None, s.look.round)
                s.text(left + 0.5 * u, at + 0.1 * u, s.words(1, 2), s.light(tone), size=0.9, room=wide - u)
    for hour in range(0 if month else 30):
        s.rule(x, y + 2.6 * hour * u, s.wide)
        s.text(3.5 * u, y + 2.6 * hour * u, f"{hour % 24:02d}:00", s.look.faint, size=0.8, at="right")
    for k in range(0 if month else 7):
        s.rule(x + k * wide, y, 0, s.high)
        at = y
        while at < s.high:
            gap, tall, tone = *(2.6 * u * s.rng.integers(1, 5, 2) / 2), s.look.tones[int(s.rng.integers(10))]
            s.box(x + k * wide + 2, at + gap, 0.92 * wide, tall, tone, None, s.look.round)
            s.print(x + k * wide + 0.5 * u, at + gap + 2, 0.85 * wide, tall, s.light(tone), size=0.9)
            at += gap + tall
    return []


def board(s: Sheet) -> list[Pane]:
    """Columns of cards with names, labels and faces."""
    u, y = s.unit, browser(s)
    columns, panes = int(s.rng.integers(3, 7)), []
    wide = s.wide / columns
    ground = s.look.tones[0] if s.rng.random() < 0.3 else s.look.panel
    s.box(0, y, s.wide, s.high, ground)
    for k in range(columns):
        s.text(k * wide + 1.2 * u, y + u, s.words(1, 2), s.light(ground), bold=True, room=wide - 2 * u)
        whole = s.more(wide - u, LONG * s.high, ground)
        at = 0.5 * u
        while at < LONG * s.high - 20 * u:
            lines, pictured = int(s.rng.integers(1, 4)), s.rng.random() < 0.15
            high = (3.6 + 1.5 * lines + 7 * pictured) * u
            whole.box(0.5 * u, at, wide - 2 * u, high, s.look.paper, s.look.line, s.look.round)
            if pictured:
                whole.picture(0.5 * u, at, wide - 2 * u, 6.5 * u)
            for n in range(int(s.rng.integers(0, 4))):
                whole.box((1 + 4 * n) * u, at + (0.6 + 7 * pictured) * u, 3.4 * u, 0.6 * u, s.look.tones[n], None, 4)
            whole.print(u, at + (1.6 + 7 * pictured) * u, wide - 3 * u, 1.5 * lines * u, lines=lines)
            whole.picture(wide - 3.8 * u, at + high - 2 * u, 1.7 * u, 1.7 * u, True)
            at += high + 0.8 * u
        panes.append(pane(k * wide, y + 3 * u, wide - u, s.high - y - 3 * u, whole, 4 * u))
    return panes


def feed(s: Sheet) -> list[Pane]:
    """What people have to say below each other, with pictures, names at one side and news at the other."""
    u, y = s.unit, browser(s)
    wide = float(s.rng.uniform(0.35, 0.5)) * s.wide
    left = (s.wide - wide) / 2
    for at in np.arange(y + u, y + 24 * u, 3 * u):
        s.icon(2 * u, at, 1.6 * u)
        s.text(4.6 * u, at, s.words(1, 1), size=1.2, room=left - 6 * u)
    right = left + wide + 2 * u
    s.box(right, y + u, s.wide - right - 2 * u, 30 * u, s.look.panel, None, s.look.round)
    for at in np.arange(y + 2 * u, y + 27 * u, 4.4 * u):
        s.text(right + u, at, s.words(1, 2), bold=True, room=s.wide - right - 4 * u)
        s.text(right + u, at + 1.6 * u, s.words(2, 3), s.look.faint, size=0.9, room=s.wide - right - 4 * u)
    whole, at = s.more(wide, LONG * s.high), float(u)
    while at < LONG * s.high - wide:
        whole.picture(u, at, 3 * u, 3 * u, True)
        whole.text(5 * u, at, s.words(1, 2), bold=True, room=wide - 8 * u)
        at = whole.print(5 * u, at + 1.6 * u, wide - 7 * u, 8 * u, lines=int(s.rng.integers(1, 5))) + 0.6 * u
        if s.rng.random() < 0.4:
            high = (wide - 7 * u) * float(s.rng.uniform(0.4, 0.7))
            whole.picture(5 * u, at, wide - 7 * u, high)
            at += high + 0.6 * u
        whole.icons(5 * u, at, 4, 1.2 * u, 6 * u)
        at += 2 * u
        whole.rule(0, at, wide)
        at += u
    return [pane(left, y, wide, s.high - y, whole, 3 * u)]


def debugger(s: Sheet) -> list[Pane]:
    """Numbers of bytes in rows, what they are as letters, registers and a list of calls."""
    u = s.unit
    y = menu_bar(s, 0.0)
    y += tool_bar(s, y)
    wide = float(s.rng.uniform(0.55, 0.75)) * s.wide
    whole, letters = s.more(wide, LONG * s.high), "0123456789ABCDEF"
    many = int(wide / (2.3 * u)) - 6
    for row, at in enumerate(np.arange(0, LONG * s.high - 2 * u, 1.4 * u)):
        whole.text(0.5 * u, at, f"{16 * row:06X}", s.look.tones[0], kind="mono")
        digits = s.rng.integers(0, 16, (max(1, many), 2)) * (s.rng.random() < 0.85)
        told = " ".join(letters[a] + letters[b] for a, b in digits)
        whole.text(6 * u, at, told, kind="mono", room=0.7 * wide)
        whole.text(0.82 * wide, at, s.words(2, 3), s.look.faint, kind="mono", room=0.17 * wide)
    s.rule(wide + u, y, 0, s.high)
    for k, at in enumerate(np.arange(y + u, s.high, 1.6 * u)):
        if k == 12:
            s.box(wide + u, at, s.wide, 1.6 * u, s.look.panel)
            s.text(wide + 2 * u, at, s.words(1, 2), bold=True)
        elif k < 12:
            s.text(wide + 2 * u, at, s.words(1, 1)[:3].upper(), s.look.tones[1], kind="mono")
            s.text(wide + 7 * u, at, f"{s.rng.integers(1 << 30):08X}", kind="mono", room=s.wide - wide - 8 * u)
        else:
            s.text(wide + 2 * u, at, s.words(1, 3), kind="mono", room=s.wide - wide - 3 * u)
    return [pane(0, y, wide, s.high - y, whole, 1.4 * u)]


def telephone(s: Sheet) -> list[Pane]:
    """Recorded from a telephone: rows or cards in a narrow column, the rest black or soft."""
    from PIL import ImageFilter

    s.picture(0, 0, s.wide, s.high)
    s.image.paste(s.image.filter(ImageFilter.GaussianBlur(s.high / 30)))
    if s.rng.random() < 0.6:
        s.box(0, 0, s.wide, s.high, (0, 0, 0) if s.rng.random() < 0.7 else s.look.panel)
    wide = s.high * float(s.rng.uniform(0.46, 0.6))
    left, u = (s.wide - wide) / 2, wide / 22
    s.unit = int(u)
    whole, at = s.more(wide, LONG * s.high), 0.0
    cards = s.rng.random() < 0.5
    while at < LONG * s.high - 14 * u:
        if cards:
            whole.picture(u, at, wide - 2 * u, 9 * u)
            whole.text(u, at + 9.4 * u, s.words(1, 3), bold=True, room=wide - 2 * u)
            whole.text(u, at + 11 * u, s.words(3, 5), s.look.faint, size=0.85, room=wide - 2 * u)
            at += 13.4 * u
        else:
            whole.box(u, at + 0.5 * u, 2.4 * u, 2.4 * u, s.look.tones[int(at) % 10], None, int(u))
            whole.text(4.4 * u, at + 0.4 * u, s.words(1, 2), room=wide - 6 * u)
            whole.text(4.4 * u, at + 1.8 * u, s.words(2, 4), s.look.faint, size=0.85, room=wide - 6 * u)
            at += 3.6 * u
            whole.rule(4.4 * u, at, wide)
    s.box(left, 0, wide, 4 * u, s.look.accent)
    s.text(left + u, 1.8 * u, s.words(1, 2), s.light(s.look.accent), size=1.3, bold=True, room=wide - 2 * u)
    s.box(left, s.high - 3 * u, wide, 3 * u, s.look.panel, s.look.line)
    s.icons(left + 2 * u, s.high - 2.2 * u, 4, 1.6 * u, 5.4 * u)
    return [pane(left, 4 * u, wide, s.high - 7 * u, whole, 3.6 * u)]


def lecture(s: Sheet) -> list[Pane]:
    """A slide of a talk: a heading, points and a picture; full, or among its neighbours in the program."""
    u, edited = s.unit, s.rng.random() < 0.5
    x = y = 0.0
    if edited:
        y = title_bar(s) + tool_bar(s, 2.2 * u)
        x = 15 * u
        s.box(0, y, s.wide, s.high, s.look.panel)
        for k, at in enumerate(np.arange(y + u, s.high, 8.5 * u)):
            s.box(2 * u, at, 12 * u, 7 * u, s.look.paper, s.look.accent if k == 1 else s.look.line)
            s.text(3 * u, at + 0.6 * u, s.words(1, 2), size=0.7, bold=True, room=10 * u)
            s.print(3 * u, at + 2 * u, 9 * u, 4 * u, size=0.5)
    wide = s.wide - x - (4 * u if edited else 0)
    high = min(s.high - y - (4 * u if edited else 0), wide * 9 / 16)
    left, top = x + (2 * u if edited else 0), y + (2 * u if edited else (s.high - high) / 2)
    s.box(left, top, wide, high, s.look.paper)
    v, pictured = wide / 50, s.rng.random() < 0.5
    if s.rng.random() < 0.5:
        s.box(left, top, wide, 6 * v, s.look.accent)
    s.text(left + 3 * v, top + 1.5 * v, s.words(1, 4), size=2.4 * v / s.unit, bold=True, room=wide - 6 * v)
    for k in range(int(s.rng.integers(2, 6))):
        at = top + (8 + 3.2 * k) * v
        s.box(left + 3 * v, at + 0.5 * v, 0.7 * v, 0.7 * v, s.look.accent)
        s.text(left + 5 * v, at, s.words(2, 5), size=1.5 * v / s.unit, room=wide * (0.5 if pictured else 0.85))
    if pictured:
        s.picture(left + 0.62 * wide, top + 0.32 * high, 0.33 * wide, 0.5 * high)
    return []


def streams(s: Sheet) -> list[Pane]:
    """Posters in rows below a large one, as where films are chosen."""
    u, side = s.unit, float(s.rng.choice([0, 4, 5])) * s.unit
    s.box(0, 0, side, s.high, s.look.panel)
    s.icons(1.2 * u, 6 * u, int(side > 0) * 6, 1.8 * u, 4 * u, down=True)
    whole, at = s.more(s.wide - side, LONG * s.high), 0.0
    if s.rng.random() < 0.6:
        high = float(s.rng.uniform(0.3, 0.5)) * s.high
        whole.picture(0.4 * whole.wide, 0, 0.6 * whole.wide, high)
        whole.text(2 * u, 0.2 * high, s.words(1, 2), size=3, bold=True, room=0.37 * whole.wide)
        whole.print(2 * u, 0.45 * high, 0.35 * whole.wide, 0.3 * high)
        whole.button(2 * u, high - 4 * u, s.words(1, 1)[:8])
        at = high
    tall = s.rng.random() < 0.5
    wide = float(s.rng.uniform(9, 14)) * u * (1 if tall else 1.7)
    high = wide * (1.45 if tall else 0.5625)
    while at < LONG * s.high - high - 6 * u:
        whole.text(2 * u, at + u, s.words(1, 3), size=1.3, bold=True)
        for x in np.arange(2 * u, whole.wide, wide + u):
            whole.picture(x, at + 3.4 * u, min(wide, whole.wide - x), high)
            whole.text(x, at + 3.8 * u + high, s.words(1, 2), s.look.faint, size=0.9, room=wide)
        at += high + 7 * u
    return [pane(side, 0, whole.wide, s.high, whole, high)]


def asked(s: Sheet) -> list[Pane]:
    """A box with a question, a bar that grows or steps of an installation, over a program or a plain ground."""
    u = s.unit
    if s.rng.random() < 0.6:
        s.box(0, 0, s.wide, s.high, s.look.tones[0] if s.rng.random() < 0.6 else s.look.panel)
    else:
        tool_bar(s, title_bar(s))
        s.print(u, 8 * u, s.wide - 2 * u, s.high, s.look.faint)
    wide, high = float(s.rng.uniform(0.4, 0.8)) * s.wide, float(s.rng.uniform(0.4, 0.8)) * s.high
    left, top = (s.wide - wide) / 2, (s.high - high) / 2
    s.box(left, top, wide, high, s.look.paper, s.look.line, s.look.round)
    s.box(left, top, wide, 2.4 * u, s.look.accent)
    s.text(left + u, top + 0.5 * u, s.words(1, 3), s.light(s.look.accent), bold=True)
    if s.rng.random() < 0.4:
        s.picture(left, top + 2.4 * u, 0.25 * wide, high - 2.4 * u)
        left, wide = left + 0.25 * wide, 0.75 * wide
    s.text(left + 2 * u, top + 4 * u, s.words(2, 4), size=1.4, bold=True, room=wide - 4 * u)
    s.print(left + 2 * u, top + 7 * u, wide - 4 * u, high - 14 * u, lines=int(s.rng.integers(2, 12)))
    share = float(s.rng.uniform(0.1, 0.95))
    s.box(left + 2 * u, top + high - 6.4 * u, wide - 4 * u, 1.2 * u, s.look.panel, s.look.line)
    s.box(left + 2 * u, top + high - 6.4 * u, share * (wide - 4 * u), 1.2 * u, s.look.accent)
    for k in range(3):
        s.button(left + wide - 9 * (k + 1) * u, top + high - 3 * u, s.words(1, 1)[:6], k == 0)
    return []


def meeting(s: Sheet) -> list[Pane]:
    """Somebody's screen or slide that is shown to others, whose pictures are at the side."""
    u, strip = s.unit, float(s.rng.uniform(0.13, 0.2)) * s.wide
    s.box(0, 0, s.wide, s.high, (24, 26, 30))
    high = strip * 9 / 16
    for k in range(int((s.high - 5 * u) / (high + u))):
        s.picture(s.wide - strip - u, u + k * (high + u), strip, high)
        s.box(s.wide - strip - u, u + k * (high + u) + high - 1.6 * u, 8 * u, 1.6 * u, (0, 0, 0))
        s.text(s.wide - strip - 0.6 * u, u + k * (high + u) + high - 1.5 * u, s.words(1, 1), (240,) * 3, size=0.8)
    inner = s.more(s.wide - strip - 3 * u, s.high - 6 * u)
    panes = (lecture, debugger, calendar)[int(s.rng.integers(3))](inner)
    s.image.paste(inner.image, (int(u), int(u)))
    s.icons(s.wide / 2 - 10 * u, s.high - 3.4 * u, 7, 2 * u, 3.4 * u)
    return [Pane(x=p.x + int(u), y=p.y + int(u), wide=p.wide, high=p.high, whole=p.whole, line=p.line) for p in panes]


HELD = {
    "calendar": calendar, "board": board, "feed": feed, "debugger": debugger, "telephone": telephone,
    "lecture": lecture, "streams": streams, "asked": asked, "meeting": meeting,
}  # fmt: skip
