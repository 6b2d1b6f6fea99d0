"""Progress for people: a live bar on a terminal, a plain line every few seconds anywhere else. Always on stderr."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from wanprep.runner import Listener, Report

if TYPE_CHECKING:
    from wanprep.engines.local import Outcome

PLAIN_SECONDS = 5.0
TITLES = {
    "scan": "scan    hash the files",
    "split": "split   analyse sources",
    "shots": "split   find the shots",
    "fps": "fps     plan the frames",
    "filter": "filter  score the clips",
    "looks": "filter  look at the clips",
    "appraise": "filter  judge their looks",
    "agreement": "caption check captions against pictures",
    "bucket": "bucket  write the clips",
    "rewrite": "caption rewrite the captions",
    "caption": "caption the clips",
    "cache": "cache   encode the texts",
    "latents": "cache   encode the clips",
}

log = logging.getLogger("wanprep")


@contextlib.contextmanager
def listener(quiet: bool = False) -> Iterator[Listener]:
    """A listener for `run_stage`. Every item that did not end well gets a line of its own, whatever the verbosity."""
    if quiet or not sys.stderr.isatty():
        yield _Plain(quiet)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from wanprep.tables import console

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(err=True)) as progress:
        tasks: dict[str, int] = {}

        def listen(report: Report, outcome: Outcome | None, total: int) -> None:
            if report.stage not in tasks:
                if not total:
                    return
                tasks[report.stage] = progress.add_task(TITLES[report.stage], total=total)
            if outcome:
                _tell(outcome)
                progress.advance(tasks[report.stage])  # type: ignore[arg-type]

        yield listen


class _Plain:
    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self.began = self.last = time.monotonic()
        self.count = 0

    def __call__(self, report: Report, outcome: Outcome | None, total: int) -> None:
        if outcome is None:
            self.count, self.began = 0, time.monotonic()
            if total and not self.quiet:
                log.info("%s: %d to do, %d were done before", TITLES[report.stage], total, report.final)
            return
        self.count += 1
        _tell(outcome)
        if not self.quiet and time.monotonic() - self.last > PLAIN_SECONDS:
            self.last = time.monotonic()
            rest = time_left(self.count, total, self.last - self.began)
            log.info("%s: %d of %d, about %s left", TITLES[report.stage], self.count, total, rest)


def time_left(done: int, total: int, seconds: float) -> str:
    """What the rest takes if it goes on as the first `done` items did: "40 s", "12 min", "3 h 05 min"."""
    rest = seconds * (total - done) / done
    if rest < 90:
        return f"{rest:.0f} s"
    minutes = round(rest / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def _tell(outcome: Outcome) -> None:
    label, reason, detail = (_plain(text) for text in (outcome.item.label, outcome.reason, outcome.detail))
    if outcome.kind == "rejected":
        log.warning("rejected  %s: %s (%s)", label, reason, detail)
    elif outcome.kind == "failed":
        log.error("failed    %s: %s: %s", label, reason, detail)
    else:
        log.debug("done      %s in %.2f s", label, outcome.seconds)


def _plain(text: str) -> str:
    """One line without control characters: file names are not ours, and a terminal obeys what it is sent."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split("\n")))


def set_up_logging(verbose: int, quiet: bool, log_file: str | None) -> None:
    """Messages to stderr (through rich when it is a terminal, so that bars survive), everything to --log-file."""
    level = logging.ERROR if quiet else logging.DEBUG if verbose else logging.INFO
    log.setLevel(logging.DEBUG)
    log.propagate = False
    log.handlers.clear()
    screen: logging.Handler
    if sys.stderr.isatty():
        from rich.logging import RichHandler

        from wanprep.tables import console

        screen = RichHandler(console=console(err=True), show_time=False, show_path=False, show_level=False)
    else:
        screen = logging.StreamHandler(sys.stderr)
    screen.setLevel(level)
    log.addHandler(screen)
    if log_file:
        file = logging.FileHandler(log_file, encoding="utf-8")
        file.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s"))
        log.addHandler(file)
