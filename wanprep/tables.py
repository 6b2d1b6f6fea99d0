"""Printing data: plain tables of 80 columns and JSON, on stdout, without colour off a terminal."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import click
from rich.cells import cell_len, set_cell_size

if TYPE_CHECKING:
    from rich.console import Console

PATH_LEAST = 11  # cells that a path keeps: five of its beginning, …, and its ending
PATH_GOOD = 20  # a column that may be left out or cut is, before a path has less
LAST_MOST = 28  # cells that the last column asks for; what is longer stands below its row
LAST_LEAST = 10
ID_LETTERS = 8  # of an id, where it does not fit whole: every command takes them for the id
CELL_LEAST = 6  # of any other cell, where nothing else helps


def console(err: bool = False) -> Console:
    """The console that everything is shown on: it never colours off a terminal and is 80 columns wide there, or as wide
    as COLUMNS says.

    Captions, prompts and file names come from people and models. Their `[bold]` and `:x:` stay what they are: rich's
    markup and codes of pictures are off.
    """
    from rich.console import Console

    asked = os.environ.get("COLUMNS", "")
    away = max(40, int(asked)) if asked.isdecimal() else 80
    width = None if (sys.stderr if err else sys.stdout).isatty() else away

    class Patient(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # rich would end the process as if something had failed: the command line decides

    return Patient(stderr=err, width=width, highlight=False, soft_wrap=False, markup=False, emoji=False)


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
    """A table of many rows on stdout, a line a row, none wider than the terminal. As `table` draws it, but rich takes
    half a millisecond a row, because it looks at every cell several times.

    columns: names, behind marks: `>` stands right; `?` is left out where it is empty or the rows are too wide; `#`
    holds ids, of which the first letters are enough; `~` holds paths, cut in the middle as far as is needed. A last
    cell that still does not fit goes below its row, whole.
    """
    marks = [column[: len(column) - len(column.lstrip(">?~#"))] for column in columns]
    names = [column.lstrip(">?~#") for column in columns]
    cells = [[name, *column] for name, column in zip(names, zip(*rows) if rows else [()] * len(names))]
    widths = [max(map(cell_len, column)) for column in cells]
    screen = console().width
    widths[-1] = min(widths[-1], LAST_MOST)
    kept = [k for k in range(len(columns)) if "?" not in marks[k] or any(cells[k][1:]) or not rows]
    good = [min(width, PATH_GOOD) if "~" in mark else width for width, mark in zip(widths, marks)]
    for k in reversed(kept):
        if "?" in marks[k] and _wide(good, kept) > screen:
            kept.remove(k)
    for k in kept:
        if "#" in marks[k] and _wide(good, kept) > screen:
            cells[k] = [cells[k][0], *(cell[:ID_LETTERS] for cell in cells[k][1:])]
            widths[k] = good[k] = max(map(cell_len, cells[k]))
    least = min(widths[-1], max(LAST_LEAST, cell_len(names[-1])))
    widths[-1] = max(least, widths[-1] - max(0, _wide(good, kept) - screen))
    for k in sorted(kept[:-1], key=lambda k: ("~" not in marks[k], -widths[k])):
        over = _wide(widths, kept) - screen
        if over > 0:
            room = max(PATH_LEAST if "~" in marks[k] else CELL_LEAST, widths[k] - over)
            short = short_names(cells[k], room)
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


def plain(text: str) -> str:
    """Without what a terminal would act on or could not encode (escapes, lone surrogates)."""
    return "".join(c if c.isprintable() else "?" for c in text)


def counted(count: int, what: str) -> str:
    """`1 caption`, `2 captions`."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def short_names(paths: Iterable[str], cells: int) -> dict[str, str]:
    """Each path in at most `cells` terminal cells, its middle left out; different paths stay different where they can.

    Paths whose two ends are alike are cut in another way, in which they differ among themselves and from all others:
    without what they begin with alike, or end with alike, or with more of their ends.
    """
    every = list(dict.fromkeys(paths))
    short = {path: keep_ends(path, cells) for path in every}
    taken = Counter(short.values())
    alike: dict[str, list[str]] = {}
    for path, name in short.items():
        alike.setdefault(name, []).append(path)
    for name, group in alike.items():
        if len(group) > 1:
            taken[name] -= len(group)
            short |= zip(group, max(_other_ways(group, cells), key=lambda names: sum(not taken[it] for it in {*names})))
            taken.update(short[path] for path in group)
    return short


def _other_ways(group: Sequence[str], cells: int) -> Iterator[list[str]]:
    """Names of the paths of a group in several ways, the best to read first."""
    start, end = max(0, _common(group) - 2), _common([path[::-1] for path in group])
    for first, last, share in ((start, 0, 0.4), (start, 0, 0.6), (start, end, 0.4), (start, end, 0.6), (0, 0, 0.8)):
        begin, tail = "…" * bool(first), "…" * bool(last)
        middles = (path[first : max(first + 1, len(path) - last)] for path in group)
        yield [keep_ends(begin + middle + tail, cells, share) for middle in middles]


def _common(texts: Sequence[str]) -> int:
    """How many letters all begin with."""
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, zip(*texts)))


def keep_ends(text: str, cells: int, share: float = 0.4) -> str:
    """Text in at most `cells` (3 or more) terminal cells: what it begins and ends with, … between. share: of the cells
    for the end."""
    text = "".join(c if c.isprintable() else "?" for c in text)
    if cell_len(text) <= cells:
        return text
    start, end = text, text
    while cell_len(end) > int(cells * share):
        end = end[1:]
    while cell_len(start) + cell_len(end) + 1 > cells:
        start = start[:-1]
    return f"{start}…{end}"


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=1, ensure_ascii=False))
