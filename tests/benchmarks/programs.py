"""Programs in which text is written, read and run: made-up pictures of screens (see desk.py for what draws them)."""

from __future__ import annotations

import numpy as np
from chrome import LONG, browser, menu_bar, table, title_bar, tool_bar
from desk import Pane, Sheet, pane


def coloured(s: Sheet, x: float, y: float, text: str, *, plain: float = 0.45) -> None:
    """A line of code, its words in the colours of their kinds."""
    for word in text.split(" "):
        tone = s.look.ink if s.rng.random() < plain else s.look.tones[int(s.rng.integers(5))]
        x += s.text(x, y, word + str(s.rng.choice([" ", " ", "(", ") ", " = ", ".", ", "])), tone, kind="mono")


def code(s: Sheet, wide: float, high: float, numbers: bool = True) -> Sheet:
    """Lines of source, indented, some of them comments."""
    sheet, u, pitch = s.more(wide, high), s.unit, float(s.rng.uniform(1.25, 1.6)) * s.unit
    deep, left = 0, 4 * u if numbers else u
    for k, y in enumerate(np.arange(0.3 * u, high - pitch, pitch)):
        if numbers:
            sheet.text(3 * u, y, str(k + 1), s.look.faint, kind="mono", at="right")
        if s.rng.random() < 0.15:
            deep = max(0, deep - int(s.rng.integers(1, 3)))
            continue
        x = left + 2.4 * u * deep
        if s.rng.random() < 0.12:
            sheet.text(x, y, "# " + s.words(4, 8), s.look.faint, kind="mono")
        else:
            coloured(sheet, x, y, s.words(1, 4))
        deep = min(5, max(0, deep + int(s.rng.choice([-1, 0, 0, 0, 1]))))
    return sheet


def editor(s: Sheet) -> list[Pane]:
    """Source code with a tree of files, tabs, line numbers, a small picture of it all, and a terminal at the foot."""
    u = s.unit
    top = title_bar(s, buttons=bool(s.rng.random() < 0.5))
    side, low = float(s.rng.choice([0, 12, 16, 20])) * u, float(s.rng.choice([0, 0, 0.25, 0.35])) * s.high
    s.box(0, top, 3 * u + side, s.high, s.look.panel)
    s.icons(0.7 * u, top + u, 6, 1.6 * u, 3 * u, down=True)
    for k, y in enumerate(np.arange(top + u, s.high - 2 * u, 1.6 * u) if side else ()):
        deep = float(s.rng.integers(0, 4)) * u if k else 0
        s.icon(3.5 * u + deep, y + 0.2 * u, u, s.look.tones[k % 4])
        s.text(5 * u + deep, y, s.words(1, 2), room=side - 3 * u - deep)
    x, tabs = 3 * u + side, int(s.rng.integers(1, 6))
    s.box(x, top, s.wide - x, 2.2 * u, s.look.panel)
    for k in range(tabs):
        s.box(x + 11 * k * u, top, 11 * u, 2.2 * u, s.look.paper if k == 0 else s.look.panel, s.look.line)
        s.text(x + (11 * k + 1) * u, top + 0.4 * u, s.words(1, 2), room=8 * u)
    map_, y = (7 * u if s.rng.random() < 0.5 else 0), top + 2.2 * u
    high, wide = s.high - y - low - 1.6 * u, s.wide - x - map_
    whole = code(s, wide, LONG * s.high)
    if map_:
        small = whole.image.resize((int(map_), int(LONG * s.high / 6)))
        s.image.paste(small.crop((0, 0, small.width, min(small.height, int(high)))), (int(s.wide - map_), int(y)))
    if low:
        s.box(x, s.high - low - 1.6 * u, s.wide - x, low, s.look.paper, s.look.line)
        for k in range(int(low / (1.4 * u)) - 2):
            s.text(x + u, s.high - low - u + 1.4 * k * u, s.words(2, 6), kind="mono", room=s.wide - x - 2 * u)
    s.box(0, s.high - 1.6 * u, s.wide, 1.6 * u, s.look.accent)
    s.text(u, s.high - 1.4 * u, s.words(3, 5), s.light(s.look.accent), size=0.85)
    return [pane(x, y, wide, high, whole, 1.4 * u)]


def terminal(s: Sheet) -> list[Pane]:
    """Prompts, commands and what they say, in one pane or two to four, with tables and bars of progress."""
    u, top = s.unit, title_bar(s) if s.rng.random() < 0.7 else 0.0
    columns, rows = (int(v) for v in s.rng.choice([1, 1, 2], 2))
    wide, high, panes = s.wide / columns, (s.high - top) / rows, []
    for k in range(columns * rows):
        whole = s.more(wide - 2, LONG * s.high)
        for y in np.arange(0.4 * u, LONG * s.high - 2 * u, 1.35 * u):
            _said(whole, y, wide)
        x, y = k % columns * wide, top + k // columns * high
        s.rule(x, y, wide)
        s.rule(x, y, 0, high)
        panes.append(pane(x + 1, y + 1, wide - 2, high - 2, whole, 1.35 * u))
    return panes


def _said(sheet: Sheet, y: float, wide: float) -> None:
    """One line of a terminal."""
    u, kind, rng = sheet.unit, sheet.rng.random(), sheet.rng
    if kind < 0.15:
        x = 0.5 * u + sheet.text(
            0.5 * u, y, sheet.words(1, 1)[:8] + ":~$ ", sheet.look.tones[0], kind="mono", bold=True
        )
        sheet.text(x, y, sheet.words(2, 5), kind="mono", room=wide - x)
    elif kind < 0.3:
        for k in range(5):
            sheet.text(0.5 * u + 9 * k * u, y, sheet.words(1, 1), sheet.look.tones[k] if k % 2 else None, kind="mono",
                       room=8 * u)  # fmt: skip
    elif kind < 0.36:
        share = rng.uniform(0.1, 0.6) * wide
        sheet.box(0.5 * u + 6 * u, y + 0.2 * u, share, 0.9 * u, sheet.look.tones[1])
        sheet.text(0.5 * u, y, f"{rng.integers(100)} %", kind="mono")
    elif kind < 0.9:
        tone = sheet.look.tones[int(rng.integers(4))] if rng.random() < 0.25 else sheet.look.ink
        sheet.text(0.5 * u, y, sheet.words(1, 9), tone, kind="mono", room=wide - u)


def article(s: Sheet) -> list[Pane]:
    """A page of documentation: contents at the side, headings, paragraphs, code, tables and pictures."""
    u, y = s.unit, browser(s) if s.rng.random() < 0.7 else 0.0
    side = float(s.rng.choice([0, 14, 18])) * u
    s.box(0, y, side, s.high, s.look.panel)
    for k, at in enumerate(np.arange(y + u, s.high - 2 * u, 1.8 * u) if side else ()):
        deep = 0 if k % 5 == 0 else 1.2 * u
        s.text(u + deep, at, s.words(1, 3), s.look.ink if k % 5 else s.look.accent, bold=not k % 5, room=side - 2 * u)
    whole = s.more(s.wide - side, LONG * s.high)
    margin = float(s.rng.uniform(0.02, 0.2)) * whole.wide
    wide, at, kind = whole.wide - 2 * margin, 2 * u, str(s.rng.choice(["sans", "sans", "serif"]))
    while at < LONG * s.high - 20 * u:
        part = int(s.rng.choice([0, 1, 1, 1, 2, 3, 4]))
        if part == 0:
            size = float(s.rng.choice([1.4, 1.8, 2.4]))
            whole.text(margin, at, s.words(1, 4), size=size, bold=True, kind=kind, room=wide)
            at += 1.8 * size * u
        elif part == 1:
            at = whole.print(margin, at, wide, 9 * u, kind=kind, lines=int(s.rng.integers(2, 7))) + u
        elif part == 2:
            lines = int(s.rng.integers(3, 9))
            whole.box(margin, at, wide, 1.5 * lines * u + u, s.look.panel, s.look.line, s.look.round)
            whole.image.paste(
                code(whole, wide - 2 * u, 1.5 * lines * u, False).image, (int(margin + u), int(at + u / 2))
            )
            at += 1.5 * lines * u + 2 * u
        elif part == 3:
            at = table(whole, margin, at, wide, int(s.rng.integers(3, 9))) + u
        else:
            high = float(s.rng.uniform(0.2, 0.5)) * s.high
            whole.picture(margin, at, min(wide, 1.6 * high), high)
            at += high + 1.5 * u
    return [pane(side, y, s.wide - side, s.high - y, whole, 1.5 * u)]


def mail(s: Sheet) -> list[Pane]:
    """Folders, a list of messages, and one of them."""
    u = s.unit
    y = title_bar(s) + tool_bar(s, 2.2 * u)
    side, list_ = 13 * u, float(s.rng.uniform(0.25, 0.4)) * s.wide
    s.box(0, y, side, s.high, s.look.panel)
    for k, at in enumerate(np.arange(y + u, min(s.high, y + 26 * u), 2 * u)):
        s.icon(u, at, 1.2 * u)
        s.text(3 * u, at, s.words(1, 2), bold=k == 0, room=side - 4 * u)
    whole = s.more(list_, LONG * s.high)
    for k, at in enumerate(np.arange(0, LONG * s.high - 5 * u, 4.6 * u)):
        if k == 1:
            whole.box(0, at, list_, 4.6 * u, s.look.accent)
        tone = s.light(s.look.accent) if k == 1 else s.look.ink
        whole.text(u, at + 0.4 * u, s.words(1, 2), tone, bold=k % 3 == 0, room=0.6 * list_)
        whole.text(list_ - u, at + 0.4 * u, f"{k % 24:02d}:{k * 7 % 60:02d}", tone, size=0.85, at="right")
        for line in range(2):
            whole.text(u, at + (1.8 + 1.3 * line) * u, s.words(4, 7), tone if k == 1 else s.look.faint, size=0.9,
                       room=list_ - 2 * u)  # fmt: skip
        whole.rule(0, at, list_)
    x = side + list_ + 2 * u
    s.rule(side + list_, y, 0, s.high)
    s.text(x, y + u, s.words(2, 5), size=1.6, bold=True, room=s.wide - x - u)
    s.picture(x, y + 4 * u, 3 * u, 3 * u, True)
    s.text(x + 4 * u, y + 4.6 * u, s.words(2, 3), room=s.wide - x - 5 * u)
    at = y + 8.5 * u
    while at < s.high - 4 * u:
        at = s.print(x, at, s.wide - x - 3 * u, s.high - at - u, lines=int(s.rng.integers(2, 6))) + u
        if s.rng.random() < 0.2:
            s.picture(x, at, 20 * u, 11 * u)
            at += 12 * u
    return [pane(side, y, list_, s.high - y, whole, 4.6 * u)]


def chat(s: Sheet) -> list[Pane]:
    """People at the side, and bubbles or rows of what they said."""
    u, side = s.unit, float(s.rng.uniform(0.15, 0.3)) * s.wide
    top, bubbles = title_bar(s), bool(s.rng.random() < 0.6)
    s.box(0, top, side, s.high, s.look.panel)
    for k, y in enumerate(np.arange(top + u, s.high - 4 * u, 4 * u)):
        if k == 2:
            s.box(0, y - 0.5 * u, side, 4 * u, s.look.line)
        s.picture(u, y, 3 * u, 3 * u, True)
        s.text(5 * u, y, s.words(1, 2), bold=True, room=side - 6 * u)
        s.text(5 * u, y + 1.5 * u, s.words(3, 5), s.look.faint, size=0.9, room=side - 6 * u)
    whole, y = s.more(s.wide - side, LONG * s.high), float(u)
    while y < LONG * s.high - 10 * u:
        lines, own = int(s.rng.integers(1, 5)), s.rng.random() < 0.4
        wide = float(s.rng.uniform(0.3, 0.65)) * whole.wide
        x = whole.wide - wide - 2 * u if own and bubbles else 5 * u
        if bubbles:
            fill = s.look.accent if own else s.look.panel
            whole.box(x, y, wide, (1.5 * lines + 1) * u, fill, None, int(u))
            whole.print(x + u, y + 0.5 * u, wide - 2 * u, 1.5 * lines * u, s.light(fill))
        else:
            whole.text(x, y, s.words(1, 2), s.look.tones[lines], bold=True)
            whole.print(x, y + 1.5 * u, whole.wide - x - 2 * u, 1.5 * lines * u)
        if not (own and bubbles):
            whole.picture(u, y, 3 * u, 3 * u, True)
        y += (1.5 * lines + (2 if bubbles else 3.5)) * u
        if s.rng.random() < 0.1:
            whole.picture(x, y, 18 * u, 10 * u)
            y += 11 * u
    s.box(side, s.high - 4 * u, s.wide - side, 4 * u, s.look.panel)
    s.field(side + 2 * u, s.high - 3 * u, s.wide - side - 8 * u, s.words(2, 4))
    s.icons(s.wide - 5 * u, s.high - 2.6 * u, 2, 1.4 * u, 2.2 * u)
    return [pane(side, top, s.wide - side, s.high - 4 * u - top, whole, 2 * u)]


def documents(s: Sheet) -> list[Pane]:
    """Pages of print on a grey ground, as of a word processor."""
    u = s.unit
    y = title_bar(s) + menu_bar(s, 2.2 * u)
    y += tool_bar(s, y)
    whole = s.more(s.wide, LONG * s.high, s.look.line)
    sheets, wide = int(s.rng.choice([1, 1, 2])), float(s.rng.uniform(0.35, 0.6)) * s.wide
    wide = min(wide, s.wide / sheets - 4 * u)
    white = (255, 255, 255) if s.rng.random() < 0.7 else s.look.paper
    ink = (20, 20, 25) if white[0] > 128 else s.look.ink
    for k in range(2 * sheets):
        x = s.wide / 2 + (k % sheets - sheets / 2) * (wide + 2 * u)
        at, high = 2 * u + k // sheets * 1.45 * wide, 1.41 * wide
        whole.box(x, at, wide, high, white)
        margin, at, end = 0.1 * wide, at + 0.08 * high, at + 0.92 * high
        while at < end - 3 * u:
            if s.rng.random() < 0.2:
                whole.text(x + margin, at, s.words(1, 4), ink, size=1.5, bold=True, kind="serif", room=0.8 * wide)
                at += 2.6 * u
            at = (
                whole.print(x + margin, at, 0.8 * wide, end - at, ink, kind="serif", lines=int(s.rng.integers(2, 8)))
                + u
            )
    return [pane(0, y, s.wide, s.high - y, whole, 1.5 * u)]


WRITTEN = {
    "editor": editor, "terminal": terminal, "article": article, "mail": mail, "chat": chat, "documents": documents,
}  # fmt: skip
