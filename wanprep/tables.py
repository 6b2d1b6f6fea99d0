"""Printing data: plain tables of 80 columns and JSON, on stdout, without colour off a terminal."""

from __future__ import annotations

import json
import sys
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


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=1, ensure_ascii=False))
