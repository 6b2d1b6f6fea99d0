"""The same items given to several consumers, each in a thread of its own and each in the order of the items.

For one source on a machine with cores to spare: the meters of the analysis need nothing of each other, and most of
their time is spent in OpenCV, which lets other threads run meanwhile. Items go over in batches, since handing one
over costs as much as a tenth of its measuring.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")

BATCH = 8  # items handed over at once
DEPTH = 4  # batches that may wait for a consumer: more is memory for nothing


class Lanes(Generic[T]):
    """A context manager; `add` items inside, and all are consumed when it is left without an error.

    threads = False: consumers are called by `add`, for comparison and where every core is busy anyway. What a consumer
    raises is raised by a later `add`, or on leaving.
    """

    def __init__(self, consumers: Sequence[Callable[[T], object]], *, threads: bool) -> None:
        self._consumers = consumers
        self._lanes = [_Lane(consumer) for consumer in consumers] if threads else []
        self._batch: list[T] = []

    def __enter__(self) -> Lanes[T]:
        for lane in self._lanes:
            lane.thread.start()
        return self

    def add(self, item: T) -> None:
        if not self._lanes:
            for consumer in self._consumers:
                consumer(item)
            return
        self._batch.append(item)
        if len(self._batch) == BATCH:
            self._hand_over()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        good = False
        try:
            if kind is None:
                self._hand_over()
                good = True
        finally:
            for lane in self._lanes:
                lane.close(drop=not good)
        for lane in self._lanes if good else []:
            lane.check()

    def _hand_over(self) -> None:
        batch, self._batch = self._batch, []
        for lane in self._lanes:
            lane.check()
            lane.put(batch)


class _Lane(Generic[T]):
    def __init__(self, consumer: Callable[[T], object]) -> None:
        self._consumer = consumer
        self._queue: queue.Queue[list[T] | None] = queue.Queue(DEPTH)
        self._error: BaseException | None = None
        self._drop = False
        self.thread = threading.Thread(target=self._work, daemon=True)

    def put(self, batch: list[T]) -> None:
        if batch:
            self._queue.put(batch)

    def check(self) -> None:
        if self._error is not None:
            raise self._error

    def close(self, *, drop: bool) -> None:
        """Wait until everything is consumed, or (drop) only until the consumer is out of the current item."""
        self._drop = drop
        self._queue.put(None)
        self.thread.join()

    def _work(self) -> None:
        while (batch := self._queue.get()) is not None:
            for item in batch:
                if self._drop or self._error is not None:
                    break  # the queue is still emptied: nobody may wait for a place in it
                try:
                    self._consumer(item)
                except BaseException as error:  # raised where items are added
                    self._error = error
