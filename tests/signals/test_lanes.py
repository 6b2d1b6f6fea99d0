"""Every consumer gets every item in order, whichever thread it runs in; errors come back to who adds."""

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pytest

from wanprep.signals.lanes import BATCH, DEPTH, Lanes


def give(consumers: list[Callable[[int], object]], items: Iterable[int], *, threads: bool) -> None:
    with Lanes(consumers, threads=threads) as lanes:
        for item in items:
            lanes.add(item)


COUNTS = [0, 1, BATCH - 1, BATCH, BATCH * DEPTH * 3 + 1]


@pytest.mark.parametrize("threads", [False, True])
@pytest.mark.parametrize("count", COUNTS)
def test_everyone_gets_everything_in_order(threads, count):
    seen: list[list[int]] = [[], []]
    with Lanes([seen[0].append, seen[1].append], threads=threads) as lanes:
        for item in range(count):
            lanes.add(item)
    assert seen == [list(range(count))] * 2


def test_consumers_run_beside_each_other():
    both = threading.Barrier(2, timeout=10)  # broken unless both are inside at once
    with Lanes([lambda _: both.wait(), lambda _: both.wait()], threads=True) as lanes:
        lanes.add(0)


@pytest.mark.parametrize("threads", [False, True])
@pytest.mark.parametrize("count", [1, BATCH * (DEPTH + 3)])
def test_an_error_of_a_consumer_is_raised_where_items_are_added(threads, count):
    def fail(item: int) -> None:
        raise ZeroDivisionError(item)

    with pytest.raises(ZeroDivisionError):
        give([fail, lambda _: None], range(count), threads=threads)


def test_an_error_outside_stops_the_consumers_soon():
    seen: list[int] = []

    def slow(item: int) -> None:
        time.sleep(0.005)
        seen.append(item)

    def items() -> Iterator[int]:
        yield from range(BATCH * DEPTH)
        raise ZeroDivisionError

    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        give([slow], items(), threads=True)
    assert len(seen) < BATCH * DEPTH
    assert threading.active_count() == before


def test_memory_is_bounded():
    taken = threading.Event()
    with Lanes([lambda _: taken.wait(10)], threads=True) as lanes:
        added: list[int] = []

        def fill() -> None:
            for item in range(BATCH * DEPTH * 4):
                lanes.add(item)
                added.append(item)

        filler = threading.Thread(target=fill)
        filler.start()
        time.sleep(0.1)
        assert len(added) <= BATCH * (DEPTH + 2)
        taken.set()
        filler.join()
    assert len(added) == BATCH * DEPTH * 4


def test_analysis_with_lanes_has_the_same_numbers():
    from fractions import Fraction

    from wanprep.signals.analysis import analyse

    class Picture:
        duration = 40

        def __init__(self, pts: int) -> None:
            self.pts = pts
            self._rng = np.random.default_rng(pts)

        def bgr(self, width: int, height: int) -> np.ndarray:
            return self._rng.integers(0, 256, (height, width, 3), np.uint8)

        def coded(self) -> tuple[float, bool]:
            return math.nan, True

        def gray(self, width: int, height: int) -> np.ndarray:
            return self._rng.integers(0, 256, (height, width), np.uint8)

    one, many = (
        analyse((Picture(40 * k) for k in range(50)), time_base=Fraction(1, 1000), width=320, height=180, threads=n)
        for n in (1, 4)
    )
    assert one.to_bytes() == many.to_bytes()
