"""Every meter gets every item in order, whichever process it works in; errors come back, and nothing is left behind."""

import math
import mmap
import operator
import os
import platform
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wanprep.signals import analysis, lanes
from wanprep.signals.lanes import ALIGN, BATCH, LANES, SLOT_BYTES, SLOTS, Here, Pool, borrowed

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="no shared memory without a name here")


@pytest.fixture(scope="module")
def shared() -> Iterator[Pool]:
    pool = Pool()
    yield pool
    pool.close()


@pytest.fixture
def own() -> Iterator[Pool]:
    pool = Pool()
    yield pool
    pool.close()


@pytest.fixture
def kept(monkeypatch) -> Iterator[dict[int, Pool]]:
    """The pools that `borrowed` keeps, none at first."""
    pools: dict[int, Pool] = {}
    monkeypatch.setattr(lanes, "_kept", pools)
    yield pools
    for pool in pools.values():
        pool.close()


def give(lane: Pool | Here, items: Any, functions: Any) -> list[list[Any]]:
    """What each function made of the items."""
    seen: list[list[Any]] = [[] for _ in functions]
    lane.begin(functions, [one.append for one in seen])
    for item in items:
        lane.add(item)
    lane.end()
    return seen


TIMES = [partial(operator.mul, k) for k in range(1, LANES + 1)]


def test_processes_are_born_deaf_to_ctrl_c(shared):
    masked = partial(signal.pthread_sigmask, signal.SIG_BLOCK)
    assert all(signal.SIGINT in mask for (mask,) in give(shared, [()], [masked] * LANES))
    assert signal.SIGINT not in masked(())


@pytest.mark.parametrize("count", [0, 1, BATCH - 1, BATCH, BATCH * SLOTS * 3 + 1])
def test_everyone_gets_everything_in_order(shared, count):
    wanted = [[k * item for item in range(count)] for k in range(1, LANES + 1)]
    assert give(Here(), range(count), TIMES) == wanted
    assert give(shared, range(count), TIMES) == wanted


def test_arrays_arrive_whole_however_many_there_are(shared):
    rng = np.random.default_rng(0)
    items = [rng.integers(0, 256, int(size), np.uint8) for size in rng.integers(1, 40_000, BATCH * SLOTS * 3)]
    functions = [np.sum, np.max, np.ndarray.tobytes, len]
    assert give(shared, items, functions) == give(Here(), items, functions)


def page_faults(size: int) -> int:
    """How often the kernel had to give memory to somebody who takes and frees eight times `size` bytes 20 times."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        _ = [np.ones(size, np.uint8) for _ in range(8)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator, with settings of its own")
def test_memory_that_was_freed_is_used_again(shared):
    size = 1 << 20
    first, again = (give(shared, [size], [page_faults] * LANES) for _ in range(2))
    pages = 8 * size // mmap.PAGESIZE
    assert all(faults < 2 * pages for (faults,) in first)  # 20 times as many if each time anew
    assert all(faults < pages // 2 for (faults,) in again)


def test_large_arrays_go_over_in_smaller_batches(shared):
    items = [np.full(SLOT_BYTES // 3, k, np.uint8) for k in range(3 * SLOTS)]
    assert give(shared, items, [np.max] * LANES) == [list(range(3 * SLOTS))] * LANES
    with pytest.raises(ValueError, match="does not fit"):
        shared.add(np.zeros(SLOT_BYTES + 1, np.uint8))


def test_there_is_a_function_for_each(shared):
    with pytest.raises(ValueError, match=f"{LANES} processes"):
        shared.begin(TIMES[1:], [print] * (LANES - 1))


@pytest.mark.parametrize("count", [1, BATCH * (SLOTS + 3)])
def test_an_error_of_a_function_is_raised_where_items_are_added(own, count):
    fails = [*TIMES[1:], partial(operator.truediv, 1)]
    for lane in (Here(), own):
        with pytest.raises(ZeroDivisionError):
            give(lane, range(count), fails)
    assert own.closed


def test_a_function_that_cannot_be_loaded_is_an_error(own, monkeypatch, tmp_path):
    (tmp_path / "only_here.py").write_text("def found(item): return item")
    monkeypatch.syspath_prepend(str(tmp_path))  # after the processes began
    import only_here  # type: ignore[import-not-found]

    with pytest.raises(ModuleNotFoundError):
        give(own, [1], [only_here.found] * LANES)


def test_a_process_that_dies_is_an_error_and_not_a_wait(own):
    with pytest.raises(ChildProcessError):
        give(own, range(BATCH * SLOTS * 2), [*TIMES[1:], os._exit])
    assert own.closed


def test_processes_are_kept_for_the_next_source_and_replaced_when_broken(kept):
    with borrowed(start=True) as first:
        give(first, [1], TIMES)
        with borrowed(start=True) as meanwhile:
            assert isinstance(meanwhile, Here)
    with borrowed(start=False) as second:
        assert second is first
    with pytest.raises(KeyError), borrowed(start=False):
        raise KeyError
    assert first.closed
    with borrowed(start=False) as none:
        assert isinstance(none, Here)
    with borrowed(start=True) as third:
        assert give(third, [2], TIMES) == [[2 * k] for k in range(1, LANES + 1)]


def test_without_processes_everything_happens_here(kept, monkeypatch):
    def refuse(*_: Any, **__: Any) -> None:
        raise BlockingIOError("Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with borrowed(start=True) as lane:
        assert isinstance(lane, Here)
    assert kept == {}


def descendants(pid: int) -> list[int]:
    found = [int(child) for file in Path(f"/proc/{pid}/task").glob("*/children") for child in file.read_text().split()]
    return found + [below for child in found for below in descendants(child)]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")
def test_a_killed_process_takes_its_own_with_it():
    code = (
        "import sys; from wanprep.signals.lanes import LANES, Pool\n"
        "pool = Pool(); pool.begin([abs] * LANES, [abs] * LANES)\n"
        "pool.add(1); pool.end(); print('up', flush=True); sys.stdin.read()"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"up\n"  # all have answered
    children = descendants(parent.pid)
    assert len(children) == 1 + LANES
    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate()
    for _ in range(600):
        if not any(map(alive, children)):
            return
        time.sleep(0.1)
    pytest.fail(f"{[child for child in children if alive(child)]} live on")


class Picture:
    """Noise, so that no two are alike; every twelfth is sampled."""

    duration = 40

    def __init__(self, pts: int) -> None:
        self.pts = pts
        self._rng = np.random.default_rng(pts)

    def bgr(self, width: int, height: int) -> np.ndarray:
        return self._rng.integers(0, 256, (height, width, 3), np.uint8)

    def coded(self) -> tuple[float, bool, float]:
        return math.nan, True, math.nan

    def gray(self, width: int, height: int) -> np.ndarray:
        return self._rng.integers(0, 256, (height, width), np.uint8)


def analysed(count: int, **how: Any) -> bytes:
    pictures = (Picture(40 * k) for k in range(count))
    return analysis.analyse(pictures, time_base=Fraction(1, 1000), width=320, height=180, **how).to_bytes()


def test_analysis_with_processes_has_the_same_numbers(kept):
    count = BATCH * (SLOTS + 2) + 3  # memory is used again: a meter that kept a picture without a copy is found out
    alone = analysed(count)
    assert kept == {}
    assert analysed(count, threads=analysis.FREE, expected=analysis.MANY) == alone
    assert len(kept) == 1
    assert analysed(5, threads=4) == analysed(5)


def test_a_few_frames_few_threads_or_huge_pictures_start_no_processes(kept):
    analysed(3, threads=4, expected=analysis.MANY - 1)
    analysed(3, threads=analysis.FREE - 1, expected=analysis.MANY)
    side = math.isqrt(SLOT_BYTES) + ALIGN
    with analysis._beside(4, analysis.MANY, side, side) as lane:
        assert isinstance(lane, Here)
    assert kept == {}
