"""Printing data: plain tables of 80 columns and JSON, on stdout, without colour off a terminal."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import click
from rich.cells import cell_len, set_cell_size

if TYPE_CHECKING:
    from rich.console import Console

PATH_LEAST = 11  # cells that a path keeps: five of its beginning, …, and its ending
PATH_GOOD = 20  # a column that may be left out is, before a path has less
LAST_MOST = 28  # cells that the last column asks for; what is longer stands below its row


def console(err: bool = False) -> Console:
    """The console that everything is shown on: it never colours off a terminal and is 80 columns wide there.

    Captions, prompts and file names come from people and models. Their `[bold]` and `:x:` stay what they are: rich's
    markup and codes of pictures are off.
    """
    from rich.console import Console

    width = None if (sys.stderr if err else sys.stdout).isatty() else 80
    return Console(stderr=err, width=width, highlight=False, soft_wrap=False, markup=False, emoji=False)


def table(*columns: str, title: str | None = None) -> Any:
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        name = column.removeprefix(">")
        folds = column == columns[-1]  # the last one says why, and may be long
        made.add_column(name, justify="right" if column.startswith(">") else "left", overflow="fold", no_wrap=not folds)
    return made


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table of many rows on stdout, a line a row. As `table` draws it, but rich takes half a millisecond a row,
    because it looks at every cell several times.

    columns: names, behind marks: `>` stands right; `?` is left out where the rows are too wide for the terminal; `~`
    holds paths, cut in the middle as far as is needed. A last cell that still does not fit goes below its row, whole.
    """
    marks = [column[: len(column) - len(column.lstrip(">?~"))] for column in columns]
    names = [column.lstrip(">?~") for column in columns]
    cells = [[name, *column] for name, column in zip(names, zip(*rows) if rows else [()] * len(names))]
    widths = [max(map(cell_len, column)) for column in cells]
    screen = console().width
    kept = list(range(len(columns)))
    widths[-1] = min(widths[-1], LAST_MOST)
    good = [min(width, PATH_GOOD) if "~" in mark else width for width, mark in zip(widths, marks)]
    for k in reversed(range(len(columns))):
        if "?" in marks[k] and _wide(good, kept) > screen:
            kept.remove(k)
    for k in kept:
        over = _wide(widths, kept) - screen
        if "~" in marks[k] and over > 0:
            widths[k] = max(PATH_LEAST, widths[k] - over)
            short = short_names(cells[k], widths[k])
            cells[k] = [short[cell] for cell in cells[k]]
            widths[k] = max(map(cell_len, cells[k]))
    _echo([(cells[k], widths[k], ">" in marks[k]) for k in kept], screen)


def _wide(widths: Sequence[int], kept: Sequence[int]) -> int:
    return 1 + sum(widths[k] for k in kept) + 2 * (len(kept) - 1)


def _echo(columns: Sequence[tuple[Sequence[str], int, bool]], screen: int) -> None:
    """columns: (the name and the cells, how wide, whether to the right)."""
    taken = 1 + sum(width + 2 for _, width, _ in columns[:-1])
    room = max(columns[-1][1], screen - taken)

    def lines(row: Sequence[str]) -> Iterator[str]:
        drawn = [
            " " * (width - cell_len(cell)) + cell if right else set_cell_size(cell, width)
            for cell, (_, width, right) in zip(row[:-1], columns)
        ]
        last, (_, width, right) = row[-1], columns[-1]
        if cell_len(last) <= room:
            yield " " + "  ".join([*drawn, last.rjust(width) if right else last]).rstrip()
            return
        yield " " + "  ".join(drawn).rstrip()
        yield from ("    " + part for part in textwrap.wrap(last, screen - 4))

    head, *rest = zip(*(cells for cells, _, _ in columns))
    rule = " " + "─" * (taken - 1 + columns[-1][1])
    click.echo("\n".join([*lines(head), rule, *(line for row in rest for line in lines(row))]))


def counted(count: int, what: str) -> str:
    """`1 caption`, `2 captions`."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def short_names(paths: Iterable[str], cells: int) -> dict[str, str]:
    """Each path in at most `cells` terminal cells, its middle left out; different paths stay different where they can.

    Paths whose two ends are alike lose what they begin with alike instead.
    """
    every = list(dict.fromkeys(paths))
    short = {path: keep_ends(path, cells) for path in every}
    alike: dict[str, list[str]] = {}
    for path, name in short.items():
        alike.setdefault(name, []).append(path)
    for group in alike.values():
        if len(group) > 1:
            common = sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, zip(*group)))
            short |= {path: keep_ends("…" + path[max(0, common - 2) :], cells) for path in group}
    return short


def keep_ends(text: str, cells: int) -> str:
    """Text in at most `cells` (3 or more) terminal cells: what it begins and ends with, … between."""
    text = "".join(c if c.isprintable() else "?" for c in text)
    if cell_len(text) <= cells:
        return text
    start, end = text, text
    while cell_len(end) > cells * 2 // 5:
        end = end[1:]
    while cell_len(start) + cell_len(end) + 1 > cells:
        start = start[:-1]
    return f"{start}…{end}"


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=1, ensure_ascii=False))
