"""Measure items in this process with reading, computing and writing side by side, so that a GPU waits for neither.

Several threads read ahead of the device, this thread gives it work without waiting for results, others wait for the
results and write them. No more than a few items are in memory at any moment.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Any, Protocol

from wanprep.engines.batches import Made
from wanprep.engines.local import Outcome, measure_one
from wanprep.stage import Item, Row, Stage

Group = Sequence[Item]
POLL_SECONDS = 0.2

IN_FLIGHT = 2  # groups on the device: one that computes and one that is ready to follow it


class Work(Protocol):
    """What is done with a group of items. Each step may raise: then its items end as the exception says."""

    def read(self, group: Group) -> Any:
        """In one of several threads: what `launch` needs."""
        ...

    def launch(self, group: Group, data: Any) -> Any:
        """In the caller's thread, in order: begin the computation and return at once."""
        ...

    def finish(self, group: Group, handle: Any) -> Sequence[Iterable[Row] | Exception]:
        """In another thread: wait for the result, write it; a result for each item."""
        ...


@dataclass(frozen=True)
class _Under:
    """A group that was launched: `future` gives its outcomes."""

    group: Group
    future: Future[list[Outcome]]


def run(
    stage: Stage, groups: Iterable[Group], work: Work, *, readers: int = 4, writers: int = 2
) -> Iterator[list[Outcome]]:
    """Outcomes of each group, in order. Left early (Ctrl-C), no further group is begun; those begun are waited for."""
    todo = iter(groups)
    reading: deque[tuple[Group, Future[Any]]] = deque()
    under: deque[_Under] = deque()
    with ThreadPoolExecutor(readers, "read") as read, ThreadPoolExecutor(writers, "write") as write:
        try:
            while True:
                while len(reading) < readers + 1 and (group := next(todo, None)) is not None:
                    reading.append((group, read.submit(work.read, group)))
                if not reading:
                    break
                group, data = reading.popleft()
                began = time.perf_counter()
                handle = _launched(work, group, data)
                under.append(_Under(group, write.submit(_finished, stage, work, group, handle, began)))
                while len(under) > IN_FLIGHT or (under and under[0].future.done()):
                    yield _result(under.popleft().future)
            while under:
                yield _result(under.popleft().future)
        finally:
            for _, data in reading:
                data.cancel()


def _launched(work: Work, group: Group, data: Future[Any]) -> Any:
    try:
        return work.launch(group, _result(data))
    except Exception as error:
        return error


def _finished(stage: Stage, work: Work, group: Group, handle: Any, began: float) -> list[Outcome]:
    results: Sequence[Iterable[Row] | Exception]
    try:
        results = [handle] * len(group) if isinstance(handle, Exception) else work.finish(group, handle)
    except Exception as error:
        results = [error] * len(group)
    share = (time.perf_counter() - began) / len(group)
    made = zip(group, results, strict=True)
    return [replace(measure_one(Made(stage.name, result), item), seconds=share) for item, result in made]


def _result(future: Future[Any]) -> Any:
    """Wait with a time-out: a wait without one may be restarted after Ctrl-C (polars installs signal handlers)."""
    while not future.done():
        wait([future], POLL_SECONDS)
    return future.result()
