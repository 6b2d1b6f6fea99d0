"""A file that changes while it is read: what was measured then belongs to no bytes that anybody has a digest of.

Sources are known by the digest of their bytes, and what is measured of them is final. A recording that still grows, or
a movie that is exported once more in the middle of a run, would leave the pictures of one file under the digest of
another.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from wanprep.stage import Failed


@contextlib.contextmanager
def unchanged(path: Path, seen: Sequence[int]) -> Iterator[None]:
    """seen: (size in bytes, mtime in nanoseconds) when the digest was made. Failed when it differs before or after,
    whatever came of reading the file."""
    _check(path, seen)
    try:
        yield
    finally:
        _check(path, seen)


def _check(path: Path, seen: Sequence[int]) -> None:
    status = path.stat()
    size, mtime_ns = seen
    if status.st_size != size:
        raise Failed("file_changed", f"it had {size} bytes when this run began and has {status.st_size} now{_LATER}")
    if status.st_mtime_ns != mtime_ns:
        raise Failed("file_changed", f"it was written anew since this run began{_LATER}")


_LATER = ": run again when it is complete"
