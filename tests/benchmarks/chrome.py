"""What programs have around them: bars of titles, menus and tools, a browser's head; and tables (see desk.py)."""

from __future__ import annotations

from desk import Sheet

LONG = 3  # heights of a screen that there is to scroll through


def title_bar(s: Sheet, high: float = 2.2, buttons: bool = True) -> float:
    """The bar of a window; its height."""
    u, high = s.unit, high * s.unit
    s.box(0, 0, s.wide, high, s.look.panel)
    s.text(s.wide / 2, 0.25 * high, s.words(1, 3), s.look.faint, at="middle")
    if buttons:
        for k in range(3):
            s.draw.ellipse(
                (u + 1.5 * k * u, high / 2 - 0.4 * u, 1.8 * u + 1.5 * k * u, high / 2 + 0.4 * u), s.look.tones[k]
            )
    return high


def menu_bar(s: Sheet, y: float, x: float = 0.0) -> float:
    """Words in a row; the height."""
    u = s.unit
    s.box(x, y, s.wide - x, 1.9 * u, s.look.panel)
    at = x + u
    for _ in range(int(s.rng.integers(4, 10))):
        at += s.text(at, y + 0.3 * u, s.words(1, 1)[:9]) + 1.4 * u
    return 1.9 * u


def tool_bar(s: Sheet, y: float, x: float = 0.0) -> float:
    u, rows = s.unit, int(s.rng.choice([1, 1, 2]))
    s.box(x, y, s.wide - x, 2.4 * u * rows, s.look.panel)
    for row in range(rows):
        many = int((s.wide - x) / (2.2 * u) * s.rng.uniform(0.3, 0.95))
        s.icons(x + u, y + (2.4 * row + 0.6) * u, many, 1.3 * u, 2.2 * u)
    s.rule(x, y + 2.4 * u * rows - 1, s.wide - x)
    return 2.4 * u * rows


def browser(s: Sheet) -> float:
    """Tabs and the address of a browser; where its page begins."""
    u, tabs = s.unit, int(s.rng.integers(1, 7))
    s.box(0, 0, s.wide, 4.8 * u, s.look.panel)
    for k in range(tabs):
        x, wide = 4 * u + 13 * k * u, 12.6 * u
        s.box(x, 0.4 * u, wide, 2 * u, s.look.paper if k == 0 else s.look.panel, s.look.line, s.look.round)
        s.icon(x + 0.6 * u, 0.9 * u, u, s.look.tones[k % 10])
        s.text(x + 2 * u, 0.7 * u, s.words(1, 3), room=wide - 3 * u)
    s.box(0, 2.4 * u, s.wide, 2.4 * u, s.look.paper, s.look.line)
    s.icons(u, 3 * u, 3, 1.2 * u, 2 * u)
    s.field(8 * u, 2.6 * u, s.wide - 16 * u, "https://" + s.words(1, 1).replace(" ", "") + "/" + s.words(1, 2))
    s.icons(s.wide - 7 * u, 3 * u, 3, 1.2 * u, 2 * u)
    return 4.8 * u


def table(s: Sheet, x: float, y: float, wide: float, rows: int, columns: int = 0) -> float:
    """Cells of words and numbers, ruled or striped; where it ends."""
    u, columns, ruled = s.unit, columns or int(s.rng.integers(3, 7)), bool(s.rng.random() < 0.5)
    for row in range(rows):
        at = y + 1.9 * u * row
        s.box(x, at, wide, 1.9 * u, s.look.panel if row == 0 or (row % 2 and not ruled) else s.look.paper)
        for k in range(columns):
            text = s.words(1, 2) if k == 0 or row == 0 else f"{s.rng.integers(1, 99999) / 100:.2f}"
            s.text(x + wide * k / columns + 0.5 * u, at + 0.3 * u, text, bold=row == 0, room=wide / columns - u)
        if ruled:
            s.rule(x, at, wide)
    for k in range(columns + 1 if ruled else 0):
        s.rule(x + wide * k / columns, y, 0, 1.9 * u * rows)
    return y + 1.9 * u * rows
