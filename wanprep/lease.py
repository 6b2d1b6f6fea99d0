"""Locks that the kernel releases when their holder dies, however it dies.

`flock` needs no clean-up after SIGKILL or a power cut, so there is no stale lock to reason about. A short JSON note
beside it says who holds it, for the message only. Where a file system has no locks (some network mounts) taking one
fails, and so does the run: two runs at once would be worse.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path


class Held(Exception):
    """Another process holds the lock: exit code 4."""


@contextlib.contextmanager
def exclusive(path: Path, what: str = "", wait: bool = False) -> Iterator[None]:
    """Hold `path` as a lock. With `wait` block until it is free, otherwise raise Held naming the holder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise Held(
                f"{what or path.name} is held by {_holder(path)}; wait for it, or stop it and try again"
            ) from None
        except OSError as error:
            raise OSError(
                f"{path}: this file system has no locks ({error}); put the dataset on a local disk"
            ) from error
        os.ftruncate(handle, 0)
        os.pwrite(
            handle, json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}).encode(), 0
        )
        yield
    finally:
        os.close(handle)  # releases the lock


def _holder(path: Path) -> str:
    try:
        note = json.loads(path.read_text())
        return (
            f"process {note['pid']} on {note['host']} since {time.strftime('%H:%M:%S', time.localtime(note['since']))}"
        )
    except (OSError, ValueError, KeyError):
        return "another process"
