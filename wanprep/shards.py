"""Many small artefacts in few files: shards are plain tar files of the very safetensors files they stand for.

A member has the bytes, and so the digest, that its loose file would have. Where it lies is part of its path in the
manifest (`cache/shards/latents-….tar#<offset>+<length>`), so reading one opens the file and reads once; `tar xf` gives
ordinary files back. A shard gets its final name when it is complete; a process that is killed loses only the shard it
was filling, and no row speaks of that one yet.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from wanprep.ids import fsync_folder, key_of, temporary_name

SHARD_ABOVE = 10_000  # samples
FOLDER = "cache/shards"
LIMIT_BYTES = 256 << 20
LIMIT_SECONDS = 120.0  # a shard is closed after that, so that a kill costs no more work
MEMBER = r"^(?P<file>.+\.tar)#(?P<offset>\d+)\+(?P<length>\d+)$"
_MEMBER = re.compile(MEMBER)
_BLOCK = 512


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where an artefact's bytes are. file: relative to the dataset. length: None for a whole file."""

    file: str
    offset: int = 0
    length: int | None = None


def place(path: str) -> Place:
    """The place that an artefact's path in the manifest names."""
    found = _MEMBER.fullmatch(path)
    if found is None:
        return Place(file=path)
    return Place(file=found["file"], offset=int(found["offset"]), length=int(found["length"]))


def read(root: Path, path: str) -> bytes:
    """The artefact's bytes; OSError as reading raises it. A shard that ends too early gives fewer."""
    where = place(path)
    if where.length is None:
        return (root / where.file).read_bytes()
    with (root / where.file).open("rb") as file:
        file.seek(where.offset)
        return file.read(where.length)


def file_bytes(path: Path | str) -> int:
    """Size of a file; -1 where there is none."""
    try:
        return os.stat(path).st_size  # noqa: PTH116 (a path of text takes a third of the time)
    except FileNotFoundError:
        return -1


def stored_bytes(root: Path, path: str, size_of: Callable[[Path], int]) -> int:
    """Bytes of the artefact that are on disk, -1 where its file is not. size_of: a file's size, -1 without one."""
    where = place(path)
    size = size_of(root / where.file)
    return size if where.length is None or size < 0 else min(where.length, max(0, size - where.offset))


@dataclass(frozen=True, kw_only=True)
class Member:
    """An artefact in a shard."""

    key: str
    path: str
    digest: str
    bytes: int


class ShardWriter:
    """Fills one shard after the other, from any number of threads. kind: "latents" or "text"."""

    def __init__(
        self, root: Path, kind: str, *, limit_bytes: int = LIMIT_BYTES, limit_seconds: float = LIMIT_SECONDS
    ) -> None:
        self.root, self.kind = root, kind
        self.limit_bytes, self.limit_seconds = limit_bytes, limit_seconds
        self._lock = threading.Lock()
        self._path: Path | None = None
        self._members: list[tuple[str, str, int, int]] = []  # key, digest, offset, length
        self._end = 0
        self._since = 0.0

    def add(self, key: str, data: bytes, digest: str) -> None:
        """Append one artefact to the open shard; it is not safe before `seal`."""
        import tarfile

        header = tarfile.TarInfo(f"{key}.safetensors")
        header.size, header.mode = len(data), 0o644  # no time, no owner: equal members give equal shards
        head = header.tobuf(tarfile.USTAR_FORMAT)
        with self._lock:
            if self._path is None:
                folder = self.root / FOLDER
                folder.mkdir(parents=True, exist_ok=True)
                self._path, self._since = temporary_name(folder / "shard.tar"), time.monotonic()
            with self._path.open("ab") as file:
                file.write(head)
                file.write(data)
                file.write(b"\0" * (-len(data) % _BLOCK))
            self._members.append((key, digest, self._end + len(head), len(data)))
            self._end += len(head) + len(data) + -len(data) % _BLOCK

    @property
    def due(self) -> bool:
        """Whether the open shard is large or old enough to be closed."""
        old = bool(self._members) and time.monotonic() - self._since > self.limit_seconds
        return old or self._end >= self.limit_bytes

    def seal(self) -> list[Member]:
        """Close the open shard under its final name and say what is in it; nothing when none is open."""
        with self._lock:
            if self._path is None:
                return []
            with self._path.open("ab") as file:
                file.write(b"\0" * (2 * _BLOCK))  # the end mark of a tar file
                file.flush()
                os.fsync(file.fileno())
            content = key_of(members=[[key, digest] for key, digest, _, _ in self._members])
            name = f"{FOLDER}/{self.kind}-{content}.tar"
            self._path.replace(self.root / name)
            fsync_folder(self.root / FOLDER)
            sealed = [
                Member(key=key, path=f"{name}#{offset}+{length}", digest=digest, bytes=length)
                for key, digest, offset, length in self._members
            ]
            self._path, self._members, self._end = None, [], 0
            return sealed

    def drop(self) -> None:
        """Remove the open shard: nothing speaks of it."""
        with self._lock:
            if self._path is not None:
                self._path.unlink(missing_ok=True)
            self._path, self._members, self._end = None, [], 0
