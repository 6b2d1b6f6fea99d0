"""What a download shows: bars on a terminal, a line a file elsewhere."""

from __future__ import annotations

from typing import Any

import click

from wanprep.fetch import Wanted


class Silent:
    """Nothing."""

    def begin(self, wanted: Wanted) -> None:
        pass

    def at(self, wanted: Wanted, done: int) -> None:
        pass

    def end(self, wanted: Wanted) -> None:
        pass


class Lines(Silent):
    """A line when a file begins and one when it is whole."""

    def begin(self, wanted: Wanted) -> None:
        if not wanted.whole:
            click.echo(f"{wanted.path}: {wanted.left / 1e6:.1f} of {wanted.remote.size / 1e6:.1f} MB to come", err=True)

    def end(self, wanted: Wanted) -> None:
        click.echo(f"{wanted.path}: there, digest as listed", err=True)


class Bars(Silent):
    """A bar with speed and time left for the file that is coming."""

    def __init__(self) -> None:
        self.progress: Any = None
        self.task: Any = None

    def begin(self, wanted: Wanted) -> None:
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        from wanprep.tables import console

        if wanted.whole:
            return
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        self.progress = Progress(*columns, console=console(err=True))
        self.progress.start()
        done = wanted.remote.size - wanted.left
        self.task = self.progress.add_task(wanted.path, total=wanted.remote.size, completed=done)

    def at(self, wanted: Wanted, done: int) -> None:
        if self.progress is not None:
            self.progress.update(self.task, completed=done)

    def end(self, wanted: Wanted) -> None:
        if self.progress is not None:
            self.progress.stop()
            self.progress = None
