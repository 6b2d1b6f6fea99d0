"""How Python processes of ours are born: deaf to Ctrl-C, and importing nothing from the folder a user happens to be in.

`python -c` and `python -m` put the current folder before everything else on the path of what they start: a `random.py`
among the downloads there would be run, and a folder named `wanprep` (the clone's) taken for the package.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

PYTHON = (sys.executable, "-P")  # how a command line begins
# glibc, which reads this when a process starts, would give a picture's memory back to the kernel when it is freed, and
# have it zeroed for the next one.
KEPT = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(64 << 20)}


def environment() -> dict[str, str]:
    """This process's, in which our packages are found from any folder, installed or not."""
    here, given = str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")
    return os.environ | {"PYTHONPATH": os.pathsep.join(path for path in (here, given) if path)}


@contextlib.contextmanager
def deaf() -> Iterator[None]:
    """Processes started inside never hear Ctrl-C, which goes to the whole group: the parent decides. They may still be
    loading modules when it comes, so being told later is too late. Here it is heard when this ends."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def still_deaf() -> None:
    """Where Ctrl-C is ignored already (a script's `&`, `nohup` there), it stays so, for what is started from here too.
    polars hears it from its import on, whatever was said before: it would end what it is at, and of a signal that is
    heard programs that are started know nothing."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
