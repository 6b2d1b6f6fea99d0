"""Programs of rows, cells, boxes and curves: made-up pictures of screens (see desk.py)."""

from __future__ import annotations

import itertools
import math

import numpy as np
from chrome import LONG, browser, menu_bar, table, title_bar, tool_bar
from desk import Pane, Sheet, pane


def files(s: Sheet) -> list[Pane]:
    """Folders at the side; rows of names, dates and sizes, or icons and pictures with names."""
    u = s.unit
    y = title_bar(s) + tool_bar(s, 2.2 * u)
    side = float(s.rng.uniform(10, 18)) * u
    s.box(0, y, side, s.high, s.look.panel)
    for k, at in enumerate(np.arange(y + u, s.high - 2 * u, 1.9 * u)):
        if k == 3:
            s.box(0, at - 0.3 * u, side, 1.9 * u, s.look.accent)
        s.icon(u + k % 3 * 0.5 * u, at, 1.1 * u, s.look.tones[k % 3])
        s.text(3 * u, at, s.words(1, 2), room=side - 4 * u)
    whole, rows = s.more(s.wide - side, LONG * s.high), s.rng.random() < 0.55
    if rows:
        ends, pitch = np.array([0, 0.45, 0.65, 0.85]) * whole.wide, float(s.rng.uniform(1.6, 2.2)) * u
        for k, at in enumerate(np.arange(0, LONG * s.high - 2 * u, pitch)):
            whole.box(0, at, whole.wide, pitch, s.look.panel if k % 2 else s.look.paper)
            whole.icon(0.6 * u, at + 0.2 * u, 1.1 * u, s.look.tones[k % 4])
            told = (s.words(1, 3), f"2026-{k % 12 + 1:02d}-{k % 28 + 1:02d}", s.words(1, 1), f"{k * 37 % 999} kB")
            for n, (x, text) in enumerate(zip(ends, told)):
                whole.text(x + 2.2 * u, at + 0.2 * u, text, s.look.faint if n else None, room=0.2 * whole.wide)
    else:
        pictured, step = s.rng.random() < 0.4, float(s.rng.uniform(7, 13)) * u
        for at in np.arange(u, LONG * s.high - step, step):
            for x in np.arange(u, whole.wide - step, step):
                if pictured:
                    whole.picture(x, at, 0.8 * step, 0.6 * step)
                else:
                    whole.box(x + 0.2 * step, at, 0.4 * step, 0.5 * step, s.look.tones[int(x) % 3], None, 4)
                whole.text(x + 0.4 * step, at + 0.65 * step, s.words(1, 2), room=0.9 * step, at="middle")
    return [pane(side, y, whole.wide, s.high - y, whole, 1.9 * u)]


def spreadsheet(s: Sheet) -> list[Pane]:
    """Cells with letters and numbers at their heads, some of them filled, and perhaps a chart."""
    u = s.unit
    y = title_bar(s) + menu_bar(s, 2.2 * u)
    y += tool_bar(s, y)
    s.field(6 * u, y, s.wide - 7 * u, "=" + s.words(1, 2))
    y += 2.1 * u
    whole, x = s.more(s.wide, LONG * s.high), 3 * u
    ends = [x]
    while ends[-1] < s.wide:
        ends.append(ends[-1] + float(s.rng.uniform(5, 11)) * u)
    filled, empty = s.rng.random((len(ends), 2)), float(s.rng.uniform(0, 0.6))
    last = float(s.rng.uniform(0.3, 1.0)) * len(ends)
    whole.box(0, 0, x, LONG * s.high, s.look.panel)
    for row, at in enumerate(np.arange(0, LONG * s.high, 1.6 * u)):
        whole.rule(0, at, s.wide)
        whole.text(1.5 * u, at + 0.15 * u, str(row), s.look.faint, at="middle")
        for k, (a, b) in enumerate(itertools.pairwise(ends)):
            if k > last or s.rng.random() < empty:
                continue
            if filled[k, 0] < 0.1 or (row % 12 == 1 and filled[k, 1] < 0.5):
                whole.box(a + 1, at + 1, b - a - 1, 1.6 * u - 1, s.look.tones[k % 10])
            if filled[k, 1] < 0.4:
                whole.text(a + 0.3 * u, at + 0.15 * u, s.words(1, 2), room=b - a - 0.5 * u)
            else:
                whole.text(b - 0.3 * u, at + 0.15 * u, f"{s.rng.integers(9999) / 10:.1f}", at="right")
    for k, a in enumerate(ends):
        whole.rule(a, 0, 0, LONG * s.high)
        s.box(a, y, 12 * u, 1.6 * u, s.look.panel, s.look.line)
        s.text(a + 2.5 * u, y + 0.15 * u, chr(65 + k % 26), s.look.faint)
    if s.rng.random() < 0.4:
        chart(whole, s.wide * 0.5, s.high * 0.2, s.wide * 0.4, s.high * 0.45)
    return [pane(0, y + 1.6 * u, s.wide, s.high - y - 3.4 * u, whole, 1.6 * u)]


def chart(s: Sheet, x: float, y: float, w: float, h: float) -> None:
    """Columns, curves, an area or a disc in a frame with a title."""
    u, kind, n = s.unit, int(s.rng.integers(4)), int(s.rng.integers(5, 24))
    s.box(x, y, w, h, s.look.paper, s.look.line, s.look.round)
    s.text(x + u, y + 0.5 * u, s.words(1, 3), bold=True, room=w - 2 * u)
    left, top, wide, high = x + 2.5 * u, y + 3 * u, w - 4 * u, h - 5 * u
    if wide < 4 * u or high < 3 * u:
        return
    for k in range(5 if kind < 3 else 0):
        s.rule(left, top + high * k / 4, wide)
        s.text(left - 0.3 * u, top + high * k / 4 - 0.6 * u, str(40 - 10 * k), s.look.faint, size=0.75, at="right")
    values = np.clip(0.5 + np.cumsum(s.rng.normal(0, 0.15, (3, n)), axis=1), 0.03, 1)
    if kind == 0:
        for k, v in enumerate(values[0]):
            s.box(left + wide * k / n, top + high * (1 - v), 0.7 * wide / n, high * v, s.look.tones[k % 2])
    elif kind == 3:
        edges, r = np.r_[0, np.cumsum(values[0, :5])] / values[0, :5].sum() * 360, min(wide, high) / 2
        for a, b, tone in zip(edges, edges[1:], s.look.tones):
            middle = left + wide / 2, top + high / 2
            s.draw.pieslice((middle[0] - r, middle[1] - r, middle[0] + r, middle[1] + r), a, b, fill=tone)
    else:
        for line, tone in zip(values, s.look.tones):
            ends = [(left + wide * k / (n - 1), top + high * (1 - v)) for k, v in enumerate(line)]
            if kind == 2:
                s.draw.polygon([(left, top + high), *ends, (left + wide, top + high)], fill=tone)
            else:
                s.draw.line(ends, tone, max(2, int(u / 6)), joint="curve")


def dashboard(s: Sheet) -> list[Pane]:
    """Cards with numbers, charts and a table."""
    u, y = s.unit, browser(s) if s.rng.random() < 0.5 else title_bar(s)
    side = float(s.rng.choice([0, 4, 14])) * u
    s.box(0, y, side, s.high, s.look.accent if s.rng.random() < 0.3 else s.look.panel)
    s.icons(1.2 * u, y + 2 * u, int(side > 0) * 8, 1.6 * u, 3.2 * u, down=True)
    whole = s.more(s.wide - side, LONG * s.high, s.look.panel)
    count, gap, at = int(s.rng.integers(2, 5)), float(s.rng.uniform(0.5, 1.6)) * u, 1.5 * u
    wide = (whole.wide - gap) / count - gap
    for k in range(count):
        x = gap + k * (wide + gap)
        whole.box(x, at, wide, 6 * u, s.look.paper, s.look.line, s.look.round)
        whole.text(x + u, at + 0.7 * u, s.words(1, 2), s.look.faint, room=wide - 2 * u)
        whole.text(x + u, at + 2.4 * u, f"{s.rng.integers(1, 9999)}", s.look.tones[k], size=2, bold=True)
    at += 6 * u + gap
    while at < LONG * s.high - 18 * u:
        many, high = int(s.rng.integers(1, count + 1)), float(s.rng.uniform(12, 20)) * u
        wide = (whole.wide - gap) / many - gap
        for k in range(many):
            chart(whole, gap + k * (wide + gap), at, wide, high)
        at += high + gap
        if s.rng.random() < 0.4:
            at = table(whole, gap, at, whole.wide - 2 * gap, int(s.rng.integers(4, 9))) + gap
    return [pane(side, y, whole.wide, s.high - y, whole, 2 * u)]


def settings(s: Sheet) -> list[Pane]:
    """Headings at the side; names, what they mean, switches, boxes and lists."""
    u, y = s.unit, title_bar(s)
    side = float(s.rng.uniform(12, 20)) * u
    s.box(0, y, side, s.high, s.look.panel)
    s.field(u, y + u, side - 2 * u, s.words(1, 1))
    for k, at in enumerate(np.arange(y + 4 * u, s.high - 2 * u, 2.6 * u)):
        if k == 1:
            s.box(0.5 * u, at - 0.5 * u, side - u, 2.3 * u, s.look.accent, None, s.look.round)
        s.icon(1.2 * u, at, 1.2 * u)
        s.text(3.4 * u, at, s.words(1, 2), room=side - 4 * u)
    whole, at, right = s.more(s.wide - side, LONG * s.high), 2 * u, min(s.wide - side - 3 * u, 60 * u)
    while at < LONG * s.high - 6 * u:
        if s.rng.random() < 0.18:
            whole.text(3 * u, at, s.words(1, 2), size=1.5, bold=True)
            at += 3 * u
        whole.text(3 * u, at, s.words(1, 4), room=0.6 * right)
        whole.text(3 * u, at + 1.4 * u, s.words(4, 8), s.look.faint, size=0.85, room=0.7 * right)
        kind = int(s.rng.integers(4))
        if kind == 0:
            on = s.rng.random() < 0.5
            whole.box(right - 3 * u, at, 3 * u, 1.6 * u, s.look.accent if on else s.look.line, None, int(u))
            whole.box(right - (1.5 if on else 2.9) * u, at + 0.1 * u, 1.4 * u, 1.4 * u, (250, 250, 250), None, int(u))
        elif kind == 1:
            whole.field(right - 12 * u, at, 12 * u, s.words(1, 2))
        elif kind == 2:
            whole.rule(right - 12 * u, at + u, 12 * u, thick=3)
            whole.box(right - 12 * u + s.rng.uniform(0, 11) * u, at + 0.4 * u, 1.2 * u, 1.2 * u, s.look.accent, None, 9)
        else:
            whole.button(right - 8 * u, at, s.words(1, 1)[:8], bool(s.rng.random() < 0.4))
        at += 3.6 * u
        whole.rule(3 * u, at - 0.5 * u, right - 3 * u)
    return [pane(side, y, whole.wide, s.high - y, whole, 3.6 * u)]


def monitor(s: Sheet) -> list[Pane]:
    """What a machine does: curves on grids above, rows of processes below."""
    u, y = s.unit, title_bar(s)
    many, high = int(s.rng.integers(2, 5)), float(s.rng.uniform(0.2, 0.45)) * s.high
    for k in range(many):
        x, wide = s.wide * k / many + u, s.wide / many - 2 * u
        s.text(x, y + 0.4 * u, s.words(1, 2), room=wide)
        top, tall = y + 2 * u, high - 3 * u
        s.box(x, top, wide, tall, s.look.panel, s.look.line)
        for step in range(1, 8):
            s.rule(x + wide * step / 8, top, 0, tall)
            s.rule(x, top + tall * step / 8, wide)
        for tone in s.look.tones[: int(s.rng.integers(1, 5))]:
            level = np.clip(0.4 + np.cumsum(s.rng.normal(0, 0.06, 80)), 0.02, 0.98)
            ends = [(x + wide * t / 79, top + tall * (1 - v)) for t, v in enumerate(level)]
            s.draw.line(ends, tone, max(1, int(u / 9)))
    whole = s.more(s.wide, LONG * s.high)
    table(whole, 0, 0, s.wide, int(LONG * s.high / (1.9 * u)), int(s.rng.integers(6, 12)))
    return [pane(0, y + high, s.wide, s.high - y - high, whole, 1.9 * u)]


def form(s: Sheet) -> list[Pane]:
    """Labels, fields and buttons, or a small box for a name and a password in the middle."""
    u, y = s.unit, browser(s)
    s.box(0, y, s.wide, 3.4 * u, s.look.accent)
    s.text(3 * u, y + 0.8 * u, s.words(1, 2), s.light(s.look.accent), size=1.4, bold=True)
    y += 3.4 * u
    whole = s.more(s.wide, LONG * s.high, s.look.panel if s.rng.random() < 0.5 else None)
    wide = float(s.rng.uniform(0.3, 0.8)) * s.wide
    left, at = (s.wide - wide) / 2, 2 * u
    whole.box(left - 2 * u, u, wide + 4 * u, LONG * s.high - 3 * u, s.look.paper, s.look.line, s.look.round)
    while at < LONG * s.high - 8 * u:
        part = s.rng.random()
        if part < 0.12:
            whole.text(left, at, s.words(1, 3), size=1.6, bold=True, room=wide)
        elif part < 0.25:
            whole.print(left, at, wide, 4 * u, s.look.faint, lines=2)
        elif part < 0.4:
            for k in range(3):
                whole.box(left + 11 * k * u, at, 1.2 * u, 1.2 * u, s.look.paper, s.look.ink, 2 * (k % 2) * int(u))
                whole.text(left + (11 * k + 1.8) * u, at, s.words(1, 1), room=9 * u)
        elif part < 0.5:
            whole.button(left, at, s.words(1, 2))
        else:
            whole.text(left, at, s.words(1, 2), bold=True)
            whole.field(left, at + 1.5 * u, wide * float(s.rng.choice([0.5, 1, 1])), s.words(1, 3))
            at += 1.6 * u
        at += 3 * u
    return [pane(0, y, s.wide, s.high - y, whole, 3 * u)]


def found(s: Sheet) -> list[Pane]:
    """What a search finds: links, addresses and two lines of each."""
    u, y = s.unit, browser(s)
    whole, left, wide = s.more(s.wide, LONG * s.high), float(s.rng.uniform(0.03, 0.2)) * s.wide, 42 * s.unit
    whole.field(left, u, wide, s.words(2, 4))
    at = 5 * u
    while at < LONG * s.high - 7 * u:
        whole.text(left, at, s.words(1, 2), s.look.faint, size=0.85)
        whole.text(left, at + 1.2 * u, s.words(2, 5), s.look.accent, size=1.35, room=wide)
        whole.print(left, at + 3.2 * u, wide, 3.1 * u, lines=2)
        if s.rng.random() < 0.15:
            for k in range(4):
                whole.picture(left + 10 * k * u, at + 7 * u, 9.5 * u, 7 * u)
            at += 8 * u
        at += 7.6 * u
    if s.rng.random() < 0.5 and left + wide + 24 * u < s.wide:
        whole.box(left + wide + 3 * u, 5 * u, 20 * u, 26 * u, s.look.paper, s.look.line, s.look.round)
        whole.picture(left + wide + 3 * u, 5 * u, 20 * u, 11 * u)
        whole.print(left + wide + 4 * u, 17 * u, 18 * u, 12 * u)
    return [pane(0, y, s.wide, s.high - y, whole, 2 * u)]


def items(s: Sheet) -> list[Pane]:
    """Large rows with a square or disc, a name and perhaps a line below it; entries at the side, a bar above."""
    u, side = s.unit, float(s.rng.choice([0, 8, 12])) * s.unit
    y = menu_bar(s, 0.0) if s.rng.random() < 0.5 else 2 * u
    s.box(0, 0, s.wide, y, s.look.accent)
    s.text(u, 0.3 * u, s.words(1, 3), s.light(s.look.accent), bold=True)
    s.box(0, y, side, s.high, s.look.panel)
    pitch, round_ = float(s.rng.uniform(2, 4.5)) * u, s.rng.random() < 0.5
    for k, at in enumerate(np.arange(y + u, s.high - 2 * u, 2 * u) if side else ()):
        s.box(u, at + 0.2 * u, u, u, s.look.tones[k % 10], None, int(u) * round_)
        s.text(2.6 * u, at, s.words(1, 1), room=side - 3 * u)
    whole, ruled, second = s.more(s.wide - side, LONG * s.high), s.rng.random() < 0.6, pitch > 3 * u
    for at in np.arange(0.5 * u, LONG * s.high - pitch, pitch):
        whole.box(u, at, 0.7 * pitch, 0.7 * pitch, s.look.tones[int(s.rng.integers(10))], None, int(pitch) * round_)
        whole.text(1.6 * u + 0.7 * pitch, at, s.words(1, 5), room=0.8 * whole.wide)
        if second:
            whole.text(
                1.6 * u + 0.7 * pitch, at + 1.4 * u, s.words(1, 5), s.look.faint, size=0.9, room=0.7 * whole.wide
            )
        if ruled:
            whole.rule(u, at + 0.85 * pitch, whole.wide - 2 * u)
    return [pane(side, y, whole.wide, s.high - y, whole, pitch)]


def nodes(s: Sheet) -> list[Pane]:
    """Boxes with lines between them on a grid, and a column of values, as in programs for sound, light and drawings."""
    u = s.unit
    y = menu_bar(s, 0.0)
    y += tool_bar(s, y)
    side, pitch = float(s.rng.choice([0, 16, 20])) * u, float(s.rng.uniform(1.5, 4)) * u
    for at in np.arange(0, s.wide, pitch):
        s.rule(at, y, 0, s.high, s.look.panel)
        s.rule(0, y + at, s.wide, 0, s.look.panel)
    at = s.rng.uniform(0.03, 0.8, (int(s.rng.integers(4, 14)), 2)) * (s.wide - side, s.high - y) + (0, y)
    for (a, b), (c, d) in itertools.pairwise(at):
        bend = [(a + (c - a) * t, b + (d - b) * (0.5 - 0.5 * math.cos(math.pi * t)) + u) for t in np.linspace(0, 1, 20)]
        s.draw.line(bend, s.look.faint, max(2, int(u / 6)), joint="curve")
    for k, (a, b) in enumerate(at):
        rows, wide = int(s.rng.integers(2, 8)), float(s.rng.uniform(8, 14)) * u
        s.box(a, b, wide, (1.6 * rows + 2) * u, s.look.panel, s.look.line, s.look.round)
        s.box(a, b, wide, 1.8 * u, s.look.tones[k % 10], None, s.look.round)
        for row in range(rows):
            s.text(a + u, b + (2 + 1.6 * row) * u, s.words(1, 2), room=wide - 2 * u)
    s.box(s.wide - side, y, side, s.high, s.look.panel)
    for k in range(int((s.high - y) / (2.4 * u)) if side else 0):
        s.text(s.wide - side + u, y + (2.4 * k + 0.5) * u, s.words(1, 1), s.look.faint, room=0.4 * side)
        s.field(s.wide - 0.5 * side, y + (2.4 * k + 0.2) * u, 0.45 * side, f"{s.rng.integers(999) / 100}")
    return []


LISTED = {
    "files": files, "spreadsheet": spreadsheet, "dashboard": dashboard, "settings": settings, "monitor": monitor,
    "form": form, "found": found, "items": items, "nodes": nodes,
}  # fmt: skip
