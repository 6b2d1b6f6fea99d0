"""What grows with a film and is not needed before its end, put aside in a file without a name while it is decoded.

The thumbnails, tiny pictures and line percentiles of two hours are 210 MB (250 of 1080p). The first few megabytes stay
in memory, so that a folder of thousands of short clips makes no files.
"""

from __future__ import annotations

import mmap
import tempfile
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

IN_MEMORY = 1 << 21  # bytes of one spool


class Spool(Sequence):
    """Pieces of bytes in the order in which they were added; adding ends with the first one read.

    folder: of the file (None: the system's temporary one), which is gone with this object whatever happens to the
    process. OSError when it cannot be written.
    """

    def __init__(self, folder: Path | None = None) -> None:
        where = None if folder is None else str(folder)
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY, dir=where)  # noqa: SIM115 - lives as long as this
        self._ends = array("q", [0])

    def add(self, piece: bytes) -> None:
        self._file.write(piece)
        self._ends.append(self._ends[-1] + len(piece))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: Any) -> bytes:
        """bytes of one piece (int, counted from 0), read from the file each time."""
        if not 0 <= index < len(self):
            raise IndexError(f"piece {index} of {len(self)}")
        start, end = self._ends[index : index + 2]
        self._file.seek(start)
        return self._file.read(end - start)

    def sizes(self) -> np.ndarray:
        """int64[n]: bytes of each piece."""
        return np.diff(np.array(self._ends, np.int64))

    def whole(self) -> np.ndarray:
        """uint8[bytes], read-only: all pieces end to end, in place where they are in a file."""
        if self._ends[-1] <= IN_MEMORY:
            self._file.seek(0)
            return np.frombuffer(self._file.read(), np.uint8)
        self._file.flush()
        return np.frombuffer(mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)

    def __del__(self) -> None:
        self._file.close()


def aside(columns: Mapping[str, np.ndarray], folder: Path | None = None) -> dict[str, np.ndarray]:
    """float32[N] by name: the same numbers, read-only, put aside together."""
    kept = Spool(folder)
    for values in columns.values():
        kept.add(values.tobytes())
    return dict(zip(columns, kept.whole().view(np.float32).reshape(len(columns), -1)))
