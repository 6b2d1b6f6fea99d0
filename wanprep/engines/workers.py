"""Worker processes of this machine, one item a worker at a time.

A pool of our own instead of `concurrent.futures`, because there one dead worker (a crash in a decoder, the kernel's
memory killer) breaks the whole pool: here it costs the item it held, which is reported as failed, and a fresh worker
takes its place. Workers are never forked from this process, where decoders and torch keep threads that do not survive
it, but from a server that has loaded what they need and does nothing else: importing costs 0.6 s of CPU time a worker
otherwise, again in every step of a run.
"""

from __future__ import annotations

import atexit
import functools
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

from wanprep.engines.children import KEPT, deaf
from wanprep.engines.local import THREADS, Outcome, measure_one
from wanprep.stage import Item, Stage

# Read when the server starts. Workers never need more than one thread of numpy's; for the path see engines/children.py.
SERVER = {"OPENBLAS_NUM_THREADS": "1", "PYTHONSAFEPATH": "1", **KEPT}
# What workers load sooner or later; a name that cannot be imported is left out.
PRELOAD = (
    *("__main__", "av", "cv2", "ffmpeg", "safetensors.numpy", "wanprep.steps", "wanprep.engines.workers"),
    *("wanprep.media.read", "wanprep.media.write", "wanprep.signals.analysis", "wanprep.signals.shots"),
    *("wanprep.stages.scoring", "wanprep.engines.settled"),  # this one last
)


@functools.cache
def _context() -> Any:
    """Where workers come from: a server that lives as long as this process, or nothing but `spawn` on Windows."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOAD))
    # Waited for, so that the time its workers took is found among that of our children.
    stop = getattr(getattr(forkserver, "_forkserver", None), "_stop", None)
    if stop:
        atexit.register(stop)
    return context


def _ensure_server() -> None:
    """Start what workers come from, unless it is there: the first time, and when it has died."""
    before = {name: os.environ.get(name) for name in SERVER}
    os.environ.update(SERVER)
    try:
        resource_tracker.ensure_running()  # before: having started, it lets Ctrl-C through again
        with deaf():
            forkserver.ensure_running()
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def in_workers(stage: Stage, queue: list[Item], count: int) -> Iterator[Outcome]:
    """Outcomes of the items as they come, in no order. queue: is emptied from its end; count: of workers."""
    pool = [_Worker(stage, threads=max(1, (os.cpu_count() or 1) // count)) for _ in range(count)]
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
        context = _context()
        if context.get_start_method() == "forkserver":
            _ensure_server()
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(
            target=_serve, args=(theirs, self.stage, self.threads, dict(os.environ)), daemon=True
        )
        try:
            self.process.start()
        except (EOFError, OSError) as error:
            raise ChildProcessError("the process that starts workers ended; is there memory left?") from error
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


def _serve(pipe: Connection, stage: Stage, threads: int, environment: Mapping[str, str]) -> None:
    """Body of a worker: measure what comes until the pipe closes, which it does even if the parent is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the parent decides
    os.environ.update(environment)  # of now, not of when the server began
    # Before the libraries that read them are loaded: no worker starts a thread for every core of its own.
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENCV_FOR_THREADS_NUM", THREADS), str(threads)))
    if "cv2" in sys.modules:  # it has read them in the server
        sys.modules["cv2"].setNumThreads(threads)
    try:
        while True:
            pipe.send(measure_one(stage, pipe.recv()))
    except (EOFError, OSError):
        return
