"""The same items given to several meters, each in the order of the items: here, or in processes of their own.

For one source on a machine with cores to spare: the meters of the analysis need nothing of each other. In threads of
one interpreter they waited for its lock more than they worked (480p on four free cores: twice the CPU time of one
thread). So pictures go over through shared memory, and numbers come back through pipes. The processes cost a start
(0.3 s, once for any number of sources). Pickles go between processes of ours only, never to a file.

The memory has no name and the pipes end with the process that holds them: whatever happens to it, its processes go,
and nothing is left behind. Linux only (memfd); elsewhere everything happens here.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import util
from multiprocessing.connection import Connection, wait
from typing import Any

LANES = 4  # processes
BATCH = 16  # items a message: each wakes four processes
SLOTS = 4  # batches on their way at once
SLOT_BYTES = 12 << 20  # of one batch; pages that nobody writes to take no memory
ALIGN = 64
START = "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from wanprep.signals import lanes; lanes.serve()"


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

    `begin` names the functions (picklable), `add` gives an item to all of them, `end` waits for the last result.
    Results come to `keep` in the order of the items, one function's independent of the others'. What a function raises
    is raised by one of these calls, and so is ChildProcessError when a process died; after either the pool is closed.
    Arrays in items are valid, and may be read only, while the function that got them runs: who keeps one copies it.
    """

    def __init__(self) -> None:
        handle = os.memfd_create("wanprep")
        os.ftruncate(handle, SLOTS * SLOT_BYTES)
        self._memory = mmap.mmap(handle, SLOTS * SLOT_BYTES)
        pairs = [socket.socketpair() for _ in range(LANES)]
        theirs = [handle, *(their.fileno() for _, their in pairs)]
        command = [sys.executable, "-c", START, json.dumps(sys.path), *map(str, theirs)]
        environment = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        try:
            self._process = subprocess.Popen(command, pass_fds=theirs, stdin=subprocess.DEVNULL, env=environment)
        finally:
            for _, their in pairs:
                their.close()
            os.close(handle)
        self._pipes = [Connection(ours.detach()) for ours, _ in pairs]
        self._keep: Sequence[Callable[[Any], object]] = ()
        self._sent, self._answered = 0, [0] * LANES  # batches
        self._batch: list[tuple[bytes, list[tuple[int, int]]]] = []
        self._used = 0  # bytes of the slot that is being filled

    def begin(self, functions: Sequence[Callable[[Any], Any]], keep: Sequence[Callable[[Any], object]]) -> None:
        if len(functions) != LANES:
            raise ValueError(f"there are {LANES} processes, not {len(functions)}: give one function to each")
        self._keep = keep
        with self._closing():
            for pipe, function in zip(self._pipes, functions):
                pipe.send(pickle.dumps(function))

    def add(self, item: object) -> None:
        buffers: list[pickle.PickleBuffer] = []
        data = pickle.dumps(item, protocol=5, buffer_callback=buffers.append)
        pieces = [buffer.raw() for buffer in buffers]
        size = sum(-(-len(piece) // ALIGN) * ALIGN for piece in pieces)
        if size > SLOT_BYTES:
            raise ValueError(f"an item of {size} bytes does not fit into {SLOT_BYTES}: measure such pictures without")
        if len(self._batch) == BATCH or self._used + size > SLOT_BYTES:
            self._send()
        if not self._batch:
            with self._closing():
                self._receive(self._sent - SLOTS)
        spans, start = [], self._sent % SLOTS * SLOT_BYTES
        for piece in pieces:
            at = start + self._used
            self._memory[at : at + len(piece)] = piece
            spans.append((at, at + len(piece)))
            self._used += -(-len(piece) // ALIGN) * ALIGN
        self._batch.append((data, spans))

    def end(self) -> None:
        self._send()
        with self._closing():
            self._receive(self._sent - 1)

    def _send(self) -> None:
        if not self._batch:
            return
        message = pickle.dumps(self._batch)
        with self._closing():
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
    """Answer messages until the pipe ends, which it does even if the parent is killed."""
    named, function = b"", None
    with contextlib.suppress(EOFError, OSError):
        while True:
            message = pipe.recv()
            if isinstance(message, bytes):
                named, function = message, None
                continue
            try:
                function = function or _load(named, memory, ())
                answer = pickle.dumps(([function(_load(data, memory, spans)) for data, spans in message], None))
            except Exception as error:
                answer = pickle.dumps(([], _sendable(error)))
            pipe.send_bytes(answer)


def _load(data: bytes, memory: memoryview, spans: Sequence[tuple[int, int]]) -> Any:
    return pickle.loads(data, buffers=[memory[a:b] for a, b in spans])  # noqa: S301 - from a process of ours


def _sendable(error: Exception) -> Exception:
    try:
        _load(pickle.dumps(error), memoryview(b""), ())
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
