"""A file that changes while it is read: what was measured then belongs to no bytes that anybody has a digest of.

Sources are known by the digest of their bytes, and what is measured of them is final. A recording that still grows, or
a movie that is exported once more in the middle of a run, would leave the pictures of one file under the digest of
another.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path

from wanprep.ids import digest_file
from wanprep.stage import Failed

Seen = tuple[int, int]  # size in bytes, mtime in nanoseconds
_LATER = ": when it is complete, let `wanprep run` list it anew"


@contextlib.contextmanager
def unchanged(path: Path, seen: Sequence[int], digest: str) -> Iterator[None]:
    """seen: (size in bytes, mtime in nanoseconds) when `digest` was made of its bytes. Failed when the file is another
    one before, or not the same one after, whatever came of reading it.

    A file that was copied or touched is the same one: where only its time differs, its bytes are asked.
    """
    before = _stat(path)
    if before[0] != seen[0] or (before[1] != seen[1] and _digest(path, *before) != digest):
        raise _changed(before, seen)
    try:
        yield
    finally:
        after = _stat(path)
        if after != before:
            raise _changed(after, before)


def _stat(path: Path) -> Seen:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


@functools.lru_cache(maxsize=64)
def _digest(path: Path, size: int, mtime_ns: int) -> str:
    """Once for all clips of a file, as long as it is the same."""
    return digest_file(path)


def _changed(now: Sequence[int], seen: Sequence[int]) -> Failed:
    if now[0] != seen[0]:
        return Failed("file_changed", f"it had {seen[0]} bytes when this run began and has {now[0]} now{_LATER}")
    return Failed("file_changed", f"it was written anew since this run began{_LATER}")
