"""Commands that look at files, without a dataset."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from wanprep.cli_options import JSON, SET, WORKERS


def inspecting(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of the commands that look at files without a dataset."""
    path = click.Path(
        path_type=str, readable=False
    )  # as it was typed; one that cannot be read costs no other its entry
    options = [
        click.argument("files", nargs=-1, required=True, type=path, metavar="FILE..."),
        click.option("--pipeline", type=click.Path(path_type=Path), help="Pipeline file, instead of the defaults."),
        SET,
        WORKERS,
        JSON,
    ]
    for option in reversed(options):
        command = option(command)
    return command


def _inspect(files: tuple[str, ...], scores: bool, workers: int | None, as_json: bool, **rest: Any) -> None:
    from wanprep import inspect
    from wanprep.pipeline import resolve

    def say(line: str) -> None:
        click.echo(line, err=True)

    pipeline = resolve(file=rest["pipeline"], assignments=rest["assignments"])
    workers = workers or os.cpu_count() or 1
    try:
        entries = inspect.look(files, pipeline.split, scores=scores, workers=workers, say=say)
    except KeyboardInterrupt:
        say("\nwanprep: interrupted; nothing is kept of it")
        raise SystemExit(130) from None
    if scores:
        for warning in inspect.judge(entries, pipeline.filter, pipeline.views):
            say(warning)
    (inspect.show_scores if scores else inspect.show_cuts)(entries, as_json)
    if any(entry["state"] == "failed" for entry in entries):
        raise SystemExit(1)


@click.command()
@inspecting
def cuts(files: tuple[str, ...], **options: Any) -> None:
    """Cuts, transitions and clips of each FILE; no dataset, nothing is written.

    \b
    wanprep cuts film.mp4
    wanprep cuts *.mp4 --set split.margin=0 --json
    """
    _inspect(files, scores=False, **options)


@click.command()
@inspecting
def score(files: tuple[str, ...], **options: Any) -> None:
    """Every score of every clip of each FILE, and the verdict on it; nothing is written.

    \b
    wanprep score film.mp4
    wanprep score *.mp4 --set filter.blur.threshold=0.1 --json
    """
    _inspect(files, scores=True, **options)


COMMANDS = (cuts, score)
