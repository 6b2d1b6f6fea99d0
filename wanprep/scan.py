"""Find the source files under a folder, and give each its identity: the digest of its bytes.

A file is a source when its extension is one that people use for movies, sound or pictures; the probe decides later
what it really is, and rejects it by name when it is something else. Other files (captions, notes) are left alone and
counted. Root, relative path, size and mtime together are only a hint that saves hashing a file again.
"""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wanprep.ids import digest_bytes, digest_file, key_of
from wanprep.stage import Item, Reject, Row, UsageError

if TYPE_CHECKING:
    from wanprep.dataset import Dataset

VIDEO = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".m2v", ".ts", ".mts", ".m2ts"})
VIDEO |= {".vob", ".wmv", ".flv", ".f4v", ".3gp", ".3g2", ".ogv", ".mxf", ".y4m", ".gif"}
VIDEO |= {".asf", ".divx", ".dv", ".ivf", ".m1v", ".m2t", ".mk3d", ".mpe", ".nut", ".ogm", ".qt", ".rm", ".rmvb"}
IMAGE = frozenset({".png", ".apng", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})
# Sound, playlists, bare streams and other pictures are listed so that they are rejected by name instead of being
# passed over.
OTHER = frozenset([".mp3", ".wav", ".flac", ".m4a", ".aac", ".ogg", ".opus", ".m3u8", ".mpd", ".sdp"])
OTHER |= {".h264", ".264", ".hevc", ".h265", ".265", ".obu", ".mjpeg", ".mjpg"}
OTHER |= {".heic", ".heif", ".avif", ".jxl", ".jp2", ".exr", ".psd", ".qoi"}
MARKER = "wanprep.toml"  # a folder with this file is a dataset of ours, not a source


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What a walk found: rows for the `sources` table (still without identity), and other files by extension.

    A folder that could not be listed has a row, too (its path ends with a slash): `Hash` fails on it by name. again:
    linked folders that are listed anyway, and as what.
    """

    rows: tuple[dict[str, Any], ...]
    ignored: Counter[str]
    again: tuple[tuple[str, str], ...] = ()


def root_id(root: Path) -> str:
    """Short name of a root folder, stable for one path."""
    return digest_bytes(os.fsencode(root.resolve()))[:12]


def list_sources(root: Path) -> Listing:
    """Walk `root` (or take the one file it names) and list sources, ordered by path.

    UsageError when `root` does not exist, cannot be listed or holds no source. Linked folders are followed once each.
    """
    if not root.exists():
        raise UsageError(f"{root} does not exist; give the folder with your movies")
    base = root if root.is_dir() else root.parent
    unlisted: list[OSError] = []
    again: list[tuple[str, str]] = []
    files = _walk(root, unlisted, again) if root.is_dir() else iter([root])
    rows, ignored = [], Counter[str]()
    for path in files:
        suffix = path.suffix.lower()
        if suffix in VIDEO or suffix in IMAGE or suffix in OTHER:
            rows.append(_row(base, path))
        else:
            ignored[suffix or "without extension"] += 1
    for error in unlisted:
        if Path(error.filename) == root:
            raise UsageError(f"{root} cannot be listed: {error.strerror}")
        rows.append(_row(base, Path(error.filename), end="/"))
    if not rows:
        raise UsageError(f"{root} holds no movie or picture (looked for {' '.join(sorted(VIDEO | IMAGE))})")
    return Listing(rows=tuple(sorted(rows, key=lambda row: row["path"])), ignored=ignored, again=tuple(again))


def _walk(root: Path, unlisted: list[OSError], again: list[tuple[str, str]]) -> Iterator[Path]:
    seen: dict[tuple[int, int], str] = {}
    for folder, names, files in os.walk(root, onerror=unlisted.append, followlinks=True):
        status = Path(folder).stat()
        folder_id, name = (status.st_dev, status.st_ino), _text(Path(folder).relative_to(root)) + "/"
        if folder_id in seen or MARKER in files:
            names.clear()
            again += [(name, seen[folder_id])] if folder_id in seen else []
            continue
        seen[folder_id] = name
        names[:] = sorted(name for name in names if not name.startswith(".") and name != "lost+found")
        yield from (Path(folder) / name for name in sorted(files) if not name.startswith("."))


def _text(path: Path) -> str:
    """Tables hold UTF-8 only. A name that is not keeps a readable form here and is rejected by `Hash`."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")


def _row(base: Path, path: Path, end: str = "") -> dict[str, Any]:
    relative = path.relative_to(base)
    text, group = _text(relative) + end, _text(relative.parent)
    try:
        status = path.stat()
        size, mtime = status.st_size, status.st_mtime_ns
    except OSError:  # a dangling link, say: `Hash` will name it
        size, mtime = -1, 0
    root = root_id(base)
    return {
        "root": root,
        "path": text,
        "group": base.resolve().name if group == "." else group,
        "bytes": size,
        "mtime_ns": mtime,
        "file_key": key_of(root=root, path=text, bytes=size, mtime_ns=mtime),
    }


@dataclass(frozen=True)
class Hash:
    """Measure the identity of every listed file."""

    name: str = "scan"
    table: str = "files"
    parallel: bool = True
    plain: bool = True

    def items(self, dataset: Dataset) -> list[Item]:
        return [
            Item(label=row["path"], parts={row["file_key"]: None}, args={"path": dataset.source_name(row)})
            for row in dataset.manifest.read("sources").to_dicts()
            if row["state"] != "gone"
        ]

    def measure(self, args: Mapping[str, Any], parts: Mapping[str, Any]) -> Iterable[Row]:
        path = Path(args["path"])
        if "\\x" in path.name and not path.exists():
            raise Reject("name_not_utf8", "the file name is not UTF-8; rename the file")
        check_link(path)
        path.stat()  # raises where it is gone since it was listed
        if path.is_dir():
            next(path.iterdir(), None)  # raises again, with the reason
            raise OSError(f"the folder {path} could not be listed a moment ago; run again")
        if not path.is_file():
            raise Reject("not_a_file", "a pipe, socket or device, not a regular file")
        digest = digest_file(path)
        return [{"key": key, "source_id": digest} for key in parts]


def check_link(path: Path) -> None:
    """Reject a link that leads nowhere. What is simply not there is for whoever opens it."""
    if path.is_symlink() and not path.exists():
        raise Reject("broken_link", f"the link points to {'itself' if _is_loop(path) else 'nothing'}")


def _is_loop(path: Path) -> bool:
    try:
        path.stat()
    except OSError as error:
        return error.errno == errno.ELOOP
    return False
