"""Options that several commands share, and the decorators that add them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from wanprep.bulk import no_collection

OUT = click.option(
    "-o", "--out", "out", type=click.Path(path_type=Path), default=Path("dataset"), show_default=True,
    envvar="WANPREP_OUT", help="Dataset folder.",
)  # fmt: skip
JSON = click.option("--json", "as_json", is_flag=True, help="Machine-readable output on stdout.")
PIPELINE = click.option(
    "--pipeline", type=click.Path(path_type=Path), help="Pipeline file, instead of the dataset's own."
)
SET = click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Override a setting; repeatable.")
WORKERS = click.option("--workers", type=click.IntRange(min=1), help="Worker processes.  [default: one a core]")


def settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of every command that decides."""
    options = [
        OUT,
        PIPELINE,
        SET,
        click.option("-v", "--verbose", count=True, help="Tell of every item."),
        click.option("-q", "--quiet", is_flag=True, help="Errors only."),
        click.option("--log-file", type=click.Path(dir_okay=False), help="Also write all messages to this file."),
        JSON,
    ]
    for option in reversed(options):
        command = option(command)
    return command


def measuring(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of every command that measures."""
    options = [
        WORKERS,
        click.option("--limit", type=click.IntRange(min=0), help="Measure at most so many items in each step."),
        click.option("--only", metavar="TEXT", help="Measure only items with TEXT in path or clip id."),
        click.option("-n", "--dry-run", is_flag=True, help="Say what would be done; write nothing."),
    ]
    for option in reversed(options):
        command = option(command)
    return settings(command)


def reading(command: Callable[..., Any]) -> Callable[..., Any]:
    """A command that reads a dataset: gets it opened, and takes --out and --json."""

    @OUT
    @JSON
    @functools.wraps(command)
    def wrapped(out: Path, **rest: Any) -> Any:
        with no_collection():
            from wanprep.dataset import Dataset
            from wanprep.preview import as_it_is

            dataset, why = as_it_is(Dataset.open(out))
            if why:
                click.echo(f"wanprep: shown as a run would decide now, not stored yet: {why}", err=True)
            return command(dataset, **rest)

    return wrapped
