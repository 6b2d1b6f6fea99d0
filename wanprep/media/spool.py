"""Frames put aside to be gone over again: in memory while they fit, then in an unnamed temporary file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray


class Spool:
    """Arrays of one shape and uint8. What is in memory is the caller's array itself: it must not be changed."""

    def __init__(self, folder: Path, memory_bytes: int) -> None:
        self._folder, self._room = folder, memory_bytes
        self._held: list[NDArray[np.uint8]] = []
        self._file: IO[bytes] | None = None
        self._in_file = 0

    def add(self, frame: NDArray[np.uint8]) -> None:
        # A repeated frame is the same object and takes no room.
        needed = 0 if self._held and self._held[-1] is frame else frame.nbytes
        if self._file is None and needed <= self._room:
            self._held.append(frame)
            self._room -= needed
            return
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=str(self._folder))  # noqa: SIM115 - closed by close()
            self._shape = frame.shape
        self._file.write(frame.data)
        self._in_file += 1

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        yield from self._held
        if self._file is None:
            return
        self._file.seek(0)
        for _ in range(self._in_file):
            data = self._file.read(int(np.prod(self._shape)))
            yield np.frombuffer(data, np.uint8).reshape(self._shape)

    def close(self) -> None:
        self._held.clear()
        if self._file is not None:
            self._file.close()
