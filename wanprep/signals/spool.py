"""What grows with a film and is not needed before its end, put aside in a file without a name while it is decoded.

The thumbnails, tiny pictures and line percentiles of two hours are 210 MB (250 of 1080p). The first few megabytes stay
in memory, so that a folder of thousands of short clips makes no files.
"""

from __future__ import annotations

import mmap
import tempfile
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

IN_MEMORY = 1 << 21  # bytes of one spool


class Spool(Sequence):
    """Pieces of bytes in the order in which they were added; adding ends with the first one read.

    Where each lies is only remembered once they differ in size: eight bytes a frame are much of what grows.
    folder: of the file (None: the system's temporary one), which is gone with this object whatever happens to the
    process. OSError when it cannot be written.
    """

    def __init__(self, folder: Path | None = None) -> None:
        where = None if folder is None else str(folder)
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY, dir=where)  # noqa: SIM115 - lives as long as this
        self._count = self._bytes = self._each = 0
        self._ends: array | None = None

    def add(self, piece: bytes) -> None:
        self._file.write(piece)
        self._each = len(piece) if not self._count else self._each
        if self._ends is None and len(piece) != self._each:
            self._ends = array("q", [k * self._each for k in range(self._count + 1)])
        self._count, self._bytes = self._count + 1, self._bytes + len(piece)
        if self._ends is not None:
            self._ends.append(self._bytes)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> bytes:
        """bytes of one piece (int, counted from 0), read from the file each time."""
        if not 0 <= index < len(self):
            raise IndexError(f"piece {index} of {len(self)}")
        start, end = (k * self._each if self._ends is None else self._ends[k] for k in (index, index + 1))
        self._file.seek(start)
        return self._file.read(end - start)

    def sizes(self) -> np.ndarray:
        """int64[n]: bytes of each piece."""
        return np.full(self._count, self._each) if self._ends is None else np.diff(np.array(self._ends, np.int64))

    def whole(self) -> np.ndarray:
        """uint8[bytes], read-only: all pieces end to end, in place where they are in a file."""
        if self._bytes <= IN_MEMORY:
            self._file.seek(0)
            return np.frombuffer(self._file.read(), np.uint8)
        self._file.flush()
        return np.frombuffer(mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)

    def __del__(self) -> None:
        self._file.close()


def aside(columns: Iterable[tuple[str, np.ndarray]], folder: Path | None = None) -> dict[str, np.ndarray]:
    """float32[N] by name: the same numbers, read-only, put aside one after the other."""
    kept, names = Spool(folder), []
    for name, values in columns:
        names.append(name)
        kept.add(values.tobytes())
    return dict(zip(names, kept.whole().view(np.float32).reshape(len(names), -1)))
