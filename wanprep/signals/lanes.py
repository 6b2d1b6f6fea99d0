"""The same items given to several meters, each in the order of the items: here, or in processes of their own.

For one source on a machine with cores to spare: the meters of the analysis need nothing of each other. In threads of
one interpreter they waited for its lock more than they worked (480p on four free cores: twice the CPU time of one
thread). So pictures go over through shared memory, and numbers come back through pipes. The processes cost a start
(0.3 s, once for any number of sources).

The memory has no name and the pipes end with the process that holds them: whatever happens to it, its processes go,
and nothing is left behind. Linux only (memfd); elsewhere everything happens here.
"""

from __future__ import annotations

import contextlib
import functools
import json
import mmap
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import is_dataclass
from multiprocessing import util
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from typing import Any, NamedTuple

import numpy as np

from wanprep.engines.children import KEPT, PYTHON, deaf

LANES = 4  # processes
BATCH = 16  # items a message: each wakes four processes
SLOTS = 4  # batches on their way at once
SLOT_BYTES = 12 << 20  # of one batch; pages that nobody writes to take no memory
ALIGN = 64
START = "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from wanprep.signals import lanes; lanes.serve()"


class Place(NamedTuple):
    """Where an array lies in the shared memory."""

    at: int
    shape: tuple[int, ...]
    dtype: str


class Here:
    """As `Pool`, without processes: a function is called when an item is added."""

    def begin(self, functions: Sequence[Callable[[Any], Any]], keep: Sequence[Callable[[Any], object]]) -> None:
        self._pairs = list(zip(functions, keep, strict=True))

    def add(self, item: object) -> None:
        for function, keep in self._pairs:
            keep(function(item))

    def end(self) -> None:
        pass


class Pool:
    """LANES processes, each of which calls a function of its own on all items, in order.

    `begin` names the functions (of modules, or parts of such), `add` gives an item to all of them: an array, a
    dataclass some of whose fields are arrays, or what a pipe carries. `end` waits for the last result. Results come to
    `keep` in the order of the items, one function's independent of the others'. What a function raises is raised by one
    of these calls, and so is ChildProcessError when a process died; after either the pool is closed. Arrays are valid,
    and may be read only, while the function that got them runs: who keeps one copies it.
    """

    def __init__(self) -> None:
        handle = os.memfd_create("wanprep")
        os.ftruncate(handle, SLOTS * SLOT_BYTES)
        self._memory = mmap.mmap(handle, SLOTS * SLOT_BYTES)
        pairs = [socket.socketpair() for _ in range(LANES)]
        theirs = [handle, *(their.fileno() for _, their in pairs)]
        command = [*PYTHON, "-c", START, json.dumps(sys.path), *map(str, theirs)]
        environment = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1") | KEPT
        try:
            with deaf():
                self._process = subprocess.Popen(command, pass_fds=theirs, stdin=subprocess.DEVNULL, env=environment)
        finally:
            for _, their in pairs:
                their.close()
            os.close(handle)
        self._pipes = [Connection(ours.detach()) for ours, _ in pairs]
        self._keep: Sequence[Callable[[Any], object]] = ()
        self._sent, self._answered = 0, [0] * LANES  # batches
        self._batch: list[Any] = []
        self._used = 0  # bytes of the slot that is being filled

    def begin(self, functions: Sequence[Callable[[Any], Any]], keep: Sequence[Callable[[Any], object]]) -> None:
        if len(functions) != LANES:
            raise ValueError(f"there are {LANES} processes, not {len(functions)}: give one function to each")
        self._keep = keep
        with self._closing():
            for pipe, function in zip(self._pipes, functions):
                pipe.send(function)

    def add(self, item: object) -> None:
        arrays = _arrays(item)
        size = sum(-(-array.nbytes // ALIGN) * ALIGN for array in arrays.values())
        if size > SLOT_BYTES:
            raise ValueError(f"an item of {size} bytes does not fit into {SLOT_BYTES}: measure such pictures without")
        if len(self._batch) == BATCH or self._used + size > SLOT_BYTES:
            self._send()
        if not self._batch:
            with self._closing():
                self._receive(self._sent - SLOTS)
        self._batch.append(_with(item, {name: self._put(array) for name, array in arrays.items()}))

    def _put(self, array: np.ndarray) -> Place:
        place = Place(self._sent % SLOTS * SLOT_BYTES + self._used, array.shape, array.dtype.str)
        _view(self._memory, place)[...] = array
        self._used += -(-array.nbytes // ALIGN) * ALIGN
        return place

    def end(self) -> None:
        self._send()
        with self._closing():
            self._receive(self._sent - 1)

    def _send(self) -> None:
        if not self._batch:
            return
        with self._closing():
            message = ForkingPickler.dumps(self._batch)
            for pipe in self._pipes:
                pipe.send_bytes(message)
            self._sent += 1
            self._receive(-1)
        self._batch, self._used = [], 0

    def _receive(self, needed: int) -> None:
        """Take what has been answered; wait until all have answered batch `needed` (counted from 0)."""
        behind = [lane for lane in range(LANES) if self._answered[lane] < self._sent]
        while behind:
            late = [lane for lane in behind if self._answered[lane] <= needed]
            ready = wait([self._pipes[lane] for lane in late or behind], None if late else 0)
            if not ready:
                return
            for lane in behind:
                if self._pipes[lane] in ready:
                    self._take(lane)
            behind = [lane for lane in behind if self._answered[lane] < self._sent]

    def _take(self, lane: int) -> None:
        results, error = self._pipes[lane].recv()
        if error is not None:
            raise error
        self._answered[lane] += 1
        for result in results:
            self._keep[lane](result)

    @contextlib.contextmanager
    def _closing(self) -> Iterator[None]:
        """A pool that failed once is in the middle of something: nobody may use it again."""
        try:
            yield
        except (EOFError, ConnectionError) as error:
            self.close()
            raise ChildProcessError(f"a process that measures pictures ended: {self._process.returncode}") from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the processes and wait for them; may be called twice."""
        for pipe in self._pipes:
            pipe.close()
        self._process.wait()

    @property
    def closed(self) -> bool:
        return self._process.returncode is not None


_lock = threading.Lock()
_kept: dict[int, Pool] = {}  # by process id: a forked child must not talk to its parent's


@contextlib.contextmanager
def borrowed(*, start: bool) -> Iterator[Pool | Here]:
    """This process's pool, kept for the next source. `Here` when somebody else uses it, when this system has none, or
    when there is none yet and `start` is False. Left with an error inside, it is closed."""
    if not hasattr(os, "memfd_create") or not sys.executable or not _lock.acquire(blocking=False):
        yield Here()
        return
    try:
        pool = _kept.get(os.getpid())
        if (pool is None or pool.closed) and start:
            with contextlib.suppress(OSError):  # no more processes or files allowed: it takes longer, and that is all
                pool = _kept[os.getpid()] = Pool()
                util.Finalize(pool, pool.close, exitpriority=10)  # where a worker ends, too: atexit is not asked there
        good = False
        try:
            yield Here() if pool is None or pool.closed else pool
            good = True
        finally:
            if pool is not None and not good:
                pool.close()
    finally:
        _lock.release()


def serve() -> None:
    """Body of the processes: one loads what they need and divides into LANES, then waits for them."""
    import cv2

    import wanprep.signals.analysis  # noqa: F401 - loaded once, before the process divides

    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the parent decides
    handle, *pipes = map(int, sys.argv[2:])
    for mine in pipes:
        if os.fork() == 0:
            for other in pipes:
                if other != mine:  # else the parent would wait for a dead one: its pipe would still be open here
                    os.close(other)
            _measure(memoryview(mmap.mmap(handle, 0, access=mmap.ACCESS_READ)), Connection(mine))
            os._exit(0)
    for pipe in pipes:
        os.close(pipe)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()


def _measure(memory: memoryview, pipe: Connection) -> None:
    """Answer batches until the pipe ends, which it does even if the parent is killed."""
    function: Any = None
    while True:
        try:
            message = pipe.recv()
        except (EOFError, OSError):
            return
        except Exception as error:  # the function cannot be loaded here: batches will be answered so
            function = functools.partial(_fail, error)
            continue
        if not isinstance(message, list):
            function = message
            continue
        try:
            answer: tuple[list[Any], Exception | None] = [function(_read(item, memory)) for item in message], None
        except Exception as error:
            answer = [], error
        try:
            pipe.send(answer)
        except OSError:
            return
        except Exception:
            pipe.send(([], RuntimeError(f"{type(answer[1]).__name__}: {answer[1]}")))


def _fail(error: Exception, item: object) -> None:
    raise error


def _arrays(item: object) -> dict[str, np.ndarray]:
    """Those of an item, by field; under "" where it is one."""
    if isinstance(item, np.ndarray):
        return {"": item}
    named = vars(item) if is_dataclass(item) else {}
    return {name: value for name, value in named.items() if isinstance(value, np.ndarray)}


def _with(item: Any, parts: dict[str, Any]) -> Any:
    """The item with these in the place of its arrays."""
    if "" in parts or not parts:
        return parts.get("", item)
    made = object.__new__(type(item))  # `dataclasses.replace` takes three times as long
    vars(made).update(vars(item), **parts)
    return made


def _read(item: Any, memory: memoryview) -> Any:
    """The item with arrays in the place of places; it has just come through a pipe, and nobody else has it."""
    if isinstance(item, Place):
        return _view(memory, item)
    if is_dataclass(item):
        named = vars(item)
        named |= {name: _view(memory, value) for name, value in named.items() if isinstance(value, Place)}
    return item


def _view(memory: Any, place: Place) -> np.ndarray:
    return np.ndarray(place.shape, place.dtype, memory, place.at)
