"""Run the measuring half of a stage: leave out what is final, measure, commit in batches.

The order that makes a kill at any moment harmless: an artefact gets its final name before its row exists, and rows are
committed in small batches, so whatever is lost is measured again to the same bytes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

from wanprep.bulk import collection, no_collection
from wanprep.engines import local
from wanprep.engines.local import Outcome
from wanprep.schema import STORED
from wanprep.stage import Item, Missing, Stage
from wanprep.wanted import wanted

if TYPE_CHECKING:
    from wanprep.dataset import Dataset

BATCH_ROWS = 256
BATCH_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a command asks of a run. only: glob against item labels; limit: at most so many items a stage."""

    workers: int = max(1, (os.cpu_count() or 1))
    limit: int | None = None
    only: str | None = None
    dry_run: bool = False


@dataclass(kw_only=True)
class Report:
    """What happened in one stage, counted in items."""

    stage: str
    wanted: int = 0
    final: int = 0  # were measured before
    pending: int = 0  # wanted, not measured, and left so (dry run, --limit, --only, weights not there)
    done: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    failed: list[tuple[str, str]] = field(default_factory=list)  # (label, why)
    waiting_for: str = ""  # what pending items wait for
    seconds: float = 0.0


Listener = Callable[[Report, Outcome | None, int], None]
"""Told after every item: the report so far, the outcome, how many items this run measures."""


def run_stage(stage: Stage, dataset: Dataset, options: Options, listen: Listener = lambda *_: None) -> Report:
    """Measure what is not final yet; the caller holds the dataset's lease. Raises Missing as the stage does."""
    start = time.perf_counter()
    report = Report(stage=stage.name)
    if options.dry_run:
        report.pending = len(_pending(stage, dataset, options, report))
        return report
    todo = _pending(stage, dataset, options, report)
    if todo and stage.table in STORED:  # what was being written when a command was killed is among it
        from wanprep import care

        care.sweep(dataset.root)
    listen(report, None, len(todo))
    batch = _Batch(dataset, stage.table)
    try:
        with collection() if todo else contextlib.nullcontext():
            # A way of a stage's own may load a model before it looks at its items.
            for outcome in _outcomes(stage, todo, options.workers if len(todo) > 1 else 0) if todo else ():
                if outcome.kind == "missing":
                    raise Missing(outcome.reason, outcome.detail)
                if outcome.reason == "disk_full":
                    raise OSError(errno.ENOSPC, outcome.detail)
                batch.add(rows_of(outcome))
                _count(report, outcome)
                listen(report, outcome, len(todo))
    finally:
        batch.commit()
    report.seconds = time.perf_counter() - start
    return report


def _outcomes(stage: Stage, todo: list[Item], workers: int) -> Iterator[Outcome]:
    """A stage may bring a way of its own to go through its items (threads, batches); others take local processes."""
    own = getattr(stage, "outcomes", None)
    return own(todo) if own else local.run(stage, todo, workers)


def _pending(stage: Stage, dataset: Dataset, options: Options, report: Report) -> list[Item]:
    with no_collection():
        final, listed = dataset.manifest.final_keys(stage.table), wanted(stage, dataset)
        if listed is not None and final.issuperset(listed["key"].to_list()):
            report.wanted = report.final = listed["item"].n_unique()
            return []
        items = stage.items(dataset)
    todo: list[Item] = []
    for item in items:
        report.wanted += 1
        parts = {key: part for key, part in item.parts.items() if key not in final}
        if not parts:
            report.final += 1
        elif (options.only and not fnmatch(item.label, f"*{options.only}*")) or len(todo) == options.limit:
            report.pending += 1
        else:
            todo.append(dataclasses.replace(item, parts=parts))
    return todo


def rows_of(outcome: Outcome) -> Iterator[dict[str, Any]]:
    """The manifest rows of one outcome: one for every part, whatever happened."""
    common = {**outcome.item.row, "seconds": outcome.seconds / len(outcome.item.parts)}
    if outcome.kind == "done":
        for row in outcome.rows:
            yield {"outcome": "done", "reason": "", "detail": "", **common, **row}
    else:
        for key in outcome.item.parts:
            ended = {"outcome": outcome.kind, "reason": outcome.reason, "detail": outcome.detail}
            yield {**common, **ended, "key": key}


def _count(report: Report, outcome: Outcome) -> None:
    if outcome.kind == "done":
        report.done += 1
    elif outcome.kind == "rejected":
        report.rejected[outcome.reason] += 1
    else:
        report.failed.append((outcome.item.label, f"{outcome.reason}: {outcome.detail}"))


class _Batch:
    """Rows waiting for a commit: a few at once, but never for long."""

    def __init__(self, dataset: Dataset, table: str) -> None:
        self.dataset, self.table = dataset, table
        self.rows: list[dict[str, Any]] = []
        self.last = time.monotonic()

    def add(self, rows: Iterator[dict[str, Any]]) -> None:
        self.rows += rows
        if len(self.rows) >= BATCH_ROWS or time.monotonic() - self.last > BATCH_SECONDS:
            self.commit()

    def commit(self) -> None:
        if self.rows:
            self.dataset.manifest.append(self.table, self.rows)
        self.rows, self.last = [], time.monotonic()
