"""The tiny pictures of all frames, as numbers of those only that are being looked at.

They are stored as one byte a place: 33 MB for two hours of film, in a mapped file. All of them as float32, with the
differences that finding shots takes, were 440 MB. So every pass over a film is made in parts of PASS frames, with
whatever neighbours a frame is compared with, and what it finds does not depend on where one part ends.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

PASS = 1024  # frames that are looked at at once: 0.8 MB of numbers, which stay in a core's cache
TOGETHER = 256  # frames of which spans of all lengths are looked at at once: two to four times as many


class Inside:
    """A part of pictures of height x width places, stretched to their whole size; in whole numbers, so that no sum
    depends on how many are asked for at once."""

    LEAST = 6  # places of a side: of fewer not enough is to be seen

    def __init__(self, shape: tuple[int, int], rows: tuple[float, float], columns: tuple[float, float]) -> None:
        """rows, columns: where the part begins and ends, 0..1 of the side; places that lie wholly inside are taken."""
        self._shape = shape
        self._rows, self._columns = _stretched(shape[0], *rows), _stretched(shape[1], *columns)

    def __call__(self, stored: np.ndarray) -> np.ndarray:
        """uint8[..., P] -> float32[..., P]."""
        (top, bottom, down), (left, right, over) = self._rows, self._columns
        x = stored.reshape(*stored.shape[:-1], *self._shape).astype(np.int32)
        x = x[..., top, :] * (256 - down)[:, None] + x[..., bottom, :] * down[:, None]
        x = x[..., left] * (256 - over) + x[..., right] * over
        return (x.astype(np.float32) / 65536.0).reshape(stored.shape)


def _stretched(count: int, start: float, end: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each of `count` places the two that it lies between, and how much of 256 the second has in it."""
    first, last = math.ceil(count * start - 1e-6), math.floor(count * end + 1e-6)
    if last - first < Inside.LEAST:
        first, last = 0, count
    at = np.clip(first + (np.arange(count) + 0.5) * (last - first) / count - 0.5, first, last - 1)
    low = np.minimum(np.floor(at).astype(int), max(first, last - 2))
    return low, low + 1, np.rint((at - low) * 256).astype(np.int32)


class Pictures:
    """Like a read-only float32[N, P] array of the stored ones, [N, P] of any kind of number; indexing copies.

    inside: what is shown of each, which then are bytes.
    """

    def __init__(self, stored: np.ndarray, inside: Inside | None = None) -> None:
        if inside is not None and len(stored) <= PASS:  # few: stretched once, not whenever one is asked for
            stored, inside = inside(stored), None
        self._stored, self._inside = stored, inside
        self._known: dict[Any, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self._stored)

    def __getitem__(self, index: Any) -> np.ndarray:
        found = self._stored[index]
        return found.astype(np.float32) if self._inside is None else self._inside(found)

    def only(self, low: int, high: int, places: np.ndarray) -> Pictures:
        """Frames low..high - 1 with but some of their places, bool[P]."""
        return Pictures(self[max(0, low) : high][:, places])

    def once(self, asked: Callable[[Pictures], np.ndarray]) -> np.ndarray:
        """What is asked of all pictures, worked out the first time; read-only."""
        if asked not in self._known:
            self._known[asked] = asked(self)
            self._known[asked].setflags(write=False)
        return self._known[asked]

    def backwards(self) -> Pictures:
        """The last frame first."""
        return Pictures(self._stored[::-1], self._inside)


def all_spans(n: int, strides: Mapping[int, int], room: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """First and last frames, int[k] each, of all spans of n frames whose length (last - first) is a key of `strides`
    and whose first frame is a multiple of its value. Those of all lengths that begin within the same `room` frames
    (0: TOGETHER) come at once, by their lengths: of a short film that is one part, where one a length would be many
    calls on few numbers."""
    room = room or TOGETHER
    for start in range(0, n, room):
        first = [
            np.arange(-(-start // stride) * stride, min(start + room, n - length), stride)
            for length, stride in strides.items()
        ]
        yield np.concatenate(first), np.concatenate([at + length for at, length in zip(first, strides)])


def counts(flags: np.ndarray) -> np.ndarray:
    """int32[n + 1]: how many of bool[n] are set before each place."""
    found = np.zeros(len(flags) + 1, np.int32)
    np.cumsum(flags, dtype=np.int32, out=found[1:])
    return found


def parts(frames: np.ndarray) -> Iterator[np.ndarray]:
    """int[n] in parts of PASS; one empty part of none."""
    for start in range(0, max(1, len(frames)), PASS):
        yield frames[start : start + PASS]


def runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """First and end, exclusive, of each run of True in bool[n]."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(first), int(end)) for first, end in edges.reshape(-1, 2)]
