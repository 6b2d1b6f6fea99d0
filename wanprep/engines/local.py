"""Measure items in worker processes of this machine, one item a worker at a time.

A pool of our own instead of `concurrent.futures`, because there one dead worker (a crash in a decoder, the kernel's
memory killer) breaks the whole pool: here it costs the item it held, which is reported as failed, and a fresh worker
takes its place. Workers are spawned, never forked: decoders and torch keep threads that do not survive a fork.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from wanprep.stage import Item, Missing, Reject, Row, Stage

THREADS = "WANPREP_WORKER_THREADS"


def threads() -> int:
    """Threads that the code running here may use: this worker's share of the cores, all of them elsewhere."""
    return int(os.environ.get(THREADS) or os.cpu_count() or 1)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How measuring one item ended. rows: when done. reason, detail: when not."""

    item: Item
    kind: str  # done | rejected | failed | missing
    rows: tuple[Row, ...] = ()
    reason: str = ""
    detail: str = ""
    seconds: float = 0.0


def measure_one(stage: Stage, item: Item) -> Outcome:
    """Run `stage.measure`, turning whatever it raises into an outcome. KeyboardInterrupt passes."""
    start = time.perf_counter()

    def outcome(kind: str, **more: Any) -> Outcome:
        return Outcome(item=item, kind=kind, seconds=time.perf_counter() - start, **more)

    try:
        rows = tuple(stage.measure(item.args, item.parts))
    except Reject as reject:
        return outcome("rejected", reason=reject.reason, detail=reject.detail)
    except Missing as missing:
        return outcome("missing", reason=missing.what, detail=missing.remedy)
    except Exception as error:
        where = "".join(traceback.format_tb(error.__traceback__)[-1:]).strip().replace("\n", " | ")
        return outcome("failed", reason=type(error).__name__, detail=f"{error} [{where}]")
    lost = set(item.parts) - {row["key"] for row in rows}
    if lost:
        return outcome("failed", reason="lost_part", detail=f"{stage.name} gave no row for {len(lost)} of its parts")
    return outcome("done", rows=rows)


def run(stage: Stage, items: Iterable[Item], workers: int) -> Iterator[Outcome]:
    """Outcomes as they come, in no order. `workers` = 0 or a stage that is not parallel: in this process."""
    queue = list(items)
    if workers < 1 or not stage.parallel:
        for item in queue:
            yield measure_one(stage, item)
        return
    count = min(workers, len(queue))
    pool = [_Worker(stage, threads=max(1, (os.cpu_count() or 1) // count)) for _ in range(count)]
    queue.reverse()  # popped from the end
    try:
        for worker in pool:
            worker.give(queue.pop())
        while busy := [worker for worker in pool if worker.item]:
            ready = wait([worker.pipe for worker in busy])
            for worker in busy:
                if worker.pipe in ready:
                    yield worker.take()
                    if queue:
                        worker.give(queue.pop())
    finally:
        for worker in pool:
            worker.stop()


class _Worker:
    """A child process and the pipe to it."""

    def __init__(self, stage: Stage, threads: int) -> None:
        self.stage, self.threads = stage, threads
        self.item: Item | None = None
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, self.stage, self.threads), daemon=True)
        self.process.start()
        theirs.close()

    def give(self, item: Item) -> None:
        self.item = item
        try:
            self.pipe.send(item)
        except OSError:
            return  # it died while idle: `take` sees the closed pipe and reports it

    def take(self) -> Outcome:
        assert self.item
        item, self.item = self.item, None
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            code = self.process.exitcode or 0
            cause = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
            hint = "; the kernel may have run out of memory: try fewer --workers" if code == -signal.SIGKILL else ""
            self._start()
            return Outcome(item=item, kind="failed", reason="worker_died", detail=f"its process ended {cause}{hint}")

    def stop(self) -> None:
        self.pipe.close()
        if self.item:
            self.process.terminate()
        self.process.join(5)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def _serve(pipe: Connection, stage: Stage, threads: int) -> None:
    """Body of a worker: measure what comes until the pipe closes, which it does even if the parent is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the parent decides
    # Before the libraries that read them are loaded: no worker starts a thread for every core of its own.
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENCV_FOR_THREADS_NUM", THREADS), str(threads)))
    try:
        while True:
            pipe.send(measure_one(stage, pipe.recv()))
    except (EOFError, OSError):
        return
