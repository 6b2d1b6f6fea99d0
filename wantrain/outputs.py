"""Whether a result can be written where it is wanted: asked before anything is computed for it."""

from __future__ import annotations

from pathlib import Path

from wanprep.ids import temporary_name
from wanprep.stage import UsageError


def require_writable(path: Path) -> None:
    """UsageError, with the system's cause, unless a file can be made at `path`. Leaves nothing behind.

    Folders that are not there yet are made later; what holds them is tried. Permission bits alone would not tell: a
    file system may be read-only, or (/proc) take no files at all.
    """
    try:
        if path.is_dir():
            raise UsageError(f"cannot write {path}: it is a folder; name a file in it")
        holder = path.parent
        while not holder.exists() and holder != holder.parent:
            holder = holder.parent
        if not holder.is_dir():
            raise UsageError(f"cannot write {path}: {holder} is not a folder; name another place")
        trial = temporary_name(path if holder == path.parent else holder / path.name)
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}; name another place") from error
