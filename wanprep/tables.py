"""Printing data: plain tables of 80 columns and JSON, on stdout, without colour off a terminal."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console


def console(err: bool = False) -> Console:
    """A console that never colours off a terminal and is 80 columns wide there."""
    from rich.console import Console

    stream = sys.stderr if err else sys.stdout
    return Console(stderr=err, width=None if stream.isatty() else 80, highlight=False, soft_wrap=False, markup=False)


def table(*columns: str, title: str | None = None) -> Any:
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        name = column.removeprefix(">")
        folds = column == columns[-1]  # the last one says why, and may be long
        made.add_column(name, justify="right" if column[0] == ">" else "left", overflow="fold", no_wrap=not folds)
    return made


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table of many rows on stdout, the last column folded. As `table` draws it, but rich takes half a millisecond a
    row, because it looks at every cell several times."""
    from rich.cells import cell_len, set_cell_size

    names = [column.removeprefix(">") for column in columns]
    widths = [max(map(cell_len, cells)) for cells in zip(names, *rows)][:-1]
    room = max(12, console().width - sum(widths) - 2 * len(columns))
    right = [column[0] == ">" for column in columns]

    def lines(row: Sequence[str]) -> Iterator[str]:
        cells = [
            " " * (width - cell_len(cell)) + cell if to_right else set_cell_size(cell, width)
            for cell, width, to_right in zip(row, widths, right)
        ]
        folded = textwrap.wrap(row[-1], room) or [""]
        yield " " + "  ".join([*cells, folded[0]]).rstrip()
        yield from (" " * (sum(widths) + 2 * len(widths) + 1) + rest for rest in folded[1:])

    rule = " " + "─" * (sum(widths) + 2 * len(widths) + room)
    click.echo("\n".join([*lines(names), rule, *(line for row in rows for line in lines(row))]))


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=1, ensure_ascii=False))
