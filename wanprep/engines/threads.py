"""Measure items that mostly wait (for a server) in threads of this process, several at a time.

Threads that wait are left behind when a run ends early; threads that compute never are. A process that ends takes the
Python thread away from under the code of a library: C++ (cv2, tokenizers) answers that with `terminate`, and the exit
code would be that of a crash.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator, Sequence

from wanprep.engines.local import Outcome, measure_one
from wanprep.stage import Item, Stage

POLL_SECONDS = 0.2


class Left(BaseException):
    """The run that this lane belongs to has ended; nobody takes what it would compute."""


class _Lanes:
    """Which lanes of a run compute."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._computing: set[int] = set()
        self.left = False

    def begin(self, lane: int) -> None:
        with self._changed:
            if self.left:
                raise Left
            self._computing.add(lane)

    def end(self, lane: int) -> None:
        with self._changed:
            self._computing.discard(lane)
            self._changed.notify_all()

    def leave(self) -> None:
        """From here no lane begins to compute; back when none does."""
        with self._changed:
            self.left = True
            while self._computing:
                self._changed.wait(POLL_SECONDS)


_here = threading.local()  # lanes, number: of this thread, if it is a lane


@contextlib.contextmanager
def waiting() -> Iterator[None]:
    """Around what waits for somebody else (a server, a pause): a run that ends early does not wait for it.

    Nothing but Python's own code may run inside. Left afterwards, when the run has ended meanwhile."""
    lanes, number = getattr(_here, "lane", (None, 0))
    if lanes is None:
        yield
        return
    lanes.end(number)
    try:
        yield
    finally:
        lanes.begin(number)


def run(stage: Stage, items: Sequence[Item], lanes: int) -> Iterator[Outcome]:
    """Outcomes as they come, in no order. Left early (Ctrl-C), no new item is begun, and of those begun only what
    computes is waited for (see `waiting`): an item without a row is measured by the next run."""
    todo: queue.SimpleQueue[Item] = queue.SimpleQueue()
    done: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    state = _Lanes()
    for item in items:
        todo.put(item)

    def lane(number: int) -> None:
        _here.lane = (state, number)
        try:
            while not state.left:
                item = todo.get_nowait()
                try:
                    done.put(measure_one(stage, item))
                except BaseException as error:  # a thread that died silently would be waited for without end
                    done.put(Outcome(item=item, kind="failed", reason=type(error).__name__, detail=str(error)))
        except queue.Empty:
            return
        finally:
            state.end(number)

    for number in range(min(lanes, len(items))):
        state.begin(number)
        threading.Thread(target=lane, args=(number,), name=f"{stage.name}-{number}", daemon=True).start()
    try:
        for _ in items:
            yield _next(done)
    finally:
        state.leave()


def _next(done: queue.SimpleQueue[Outcome]) -> Outcome:
    """Wait with a time-out: libraries (polars) install signal handlers that restart a wait without one, and Ctrl-C
    would not be noticed before the next outcome."""
    while True:
        try:
            return done.get(timeout=POLL_SECONDS)
        except queue.Empty:
            continue
