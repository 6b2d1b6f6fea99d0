"""Measure items that mostly wait (for a server) in threads of this process, several at a time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence

from wanprep.engines.local import Outcome, measure_one
from wanprep.stage import Item, Stage

POLL_SECONDS = 0.2


def run(stage: Stage, items: Sequence[Item], lanes: int) -> Iterator[Outcome]:
    """Outcomes as they come, in no order. Left early (Ctrl-C), no new item is begun and nobody waits for those begun:
    the threads are daemons, and an item without a row is measured by the next run."""
    todo: queue.SimpleQueue[Item] = queue.SimpleQueue()
    done: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    stop = threading.Event()
    for item in items:
        todo.put(item)

    def lane() -> None:
        while not stop.is_set():
            try:
                item = todo.get_nowait()
            except queue.Empty:
                return
            try:
                done.put(measure_one(stage, item))
            except BaseException as error:  # a thread that died silently would be waited for without end
                done.put(Outcome(item=item, kind="failed", reason=type(error).__name__, detail=str(error)))

    for number in range(min(lanes, len(items))):
        threading.Thread(target=lane, name=f"{stage.name}-{number}", daemon=True).start()
    try:
        for _ in items:
            yield _next(done)
    finally:
        stop.set()


def _next(done: queue.SimpleQueue[Outcome]) -> Outcome:
    """Wait with a time-out: libraries (polars) install signal handlers that restart a wait without one, and Ctrl-C
    would not be noticed before the next outcome."""
    while True:
        try:
            return done.get(timeout=POLL_SECONDS)
        except queue.Empty:
            continue
