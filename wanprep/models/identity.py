"""What a cached latent or embedding depends on: which weights, exactly.

An identity is a digest over the configuration and the whole content of every weight file; names, revisions and dates
do not count, so the same weights from another place keep the cache valid. Reading 11 GB takes a while, so the digest
of a large file is remembered under `home()/digests`, for the exact (device, inode, size, mtime, ctime) it was read at.
Sampling blocks instead would be quicker once and wrong for a fine-tune that differs in between.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from wanprep.ids import digest_file, key_of, write_atomic
from wanprep.models.check import part_folder, tokenizer_folder, weight_files
from wanprep.models.tiny import home

SMALL = 64 << 20  # bytes; below this reading is quicker than remembering
_SETTLED_NS = 2_000_000_000  # a file changed this recently may change again within its time stamp's resolution

LAYOUT = 1  # of single files; raise it when `layout.arguments` or the way they are read changes what a model computes
_VOLATILE = ("_diffusers_version", "_name_or_path", "transformers_version", "torch_dtype", "dtype")


def model_id(folder: Path, part: str) -> str:
    """Identity of the weights of `part` ("vae", "text", …) in a diffusers folder or a single file, 32 hex characters.

    The text encoder's includes its tokenizer. The configuration counts without library versions and names; a single
    file has none (ours is meant, and the file fits no other).
    """
    if folder.is_file():
        from wanprep.models.tokenizer import tokenizer_digest

        more = {"tokenizer": tokenizer_digest(folder)} if part == "text" else {}
        return key_of(layout=LAYOUT, file=remembered_digest(folder), **more)
    inner = part_folder(folder, part)
    config = json.loads((inner / "config.json").read_text())
    files = weight_files(inner)
    if part == "text":
        files += _tokenizer_files(tokenizer_folder(inner))
    return key_of(
        config={name: value for name, value in config.items() if name not in _VOLATILE},
        files={path.name: remembered_digest(path) for path in files},
    )


def remembered_digest(path: Path, *, memory: Path | None = None, small: int = SMALL) -> str:
    """`digest_file(path)`, remembered for files of at least `small` bytes in `memory` (default home()/digests).

    A file that changes while it is read raises RuntimeError rather than being remembered wrongly.
    """
    path = path.resolve()  # the Hugging Face cache is made of links
    before = _stamp(path)
    if before["size"] < small:
        return digest_file(path)
    note = (home() / "digests" if memory is None else memory) / key_of(path=str(path), **before)
    if note.is_file() and len(known := note.read_text().strip()) == 32:
        return known
    now = time.time_ns()
    digest = digest_file(path)
    if _stamp(path) != before:
        raise RuntimeError(f"{path} changed while it was read; try again when its download has finished")
    if now - max(before["mtime_ns"], before["ctime_ns"]) > _SETTLED_NS:
        write_atomic(note, digest.encode())
    return digest


def _stamp(path: Path) -> dict[str, Any]:
    stat: os.stat_result = path.stat()
    return {
        "device": stat.st_dev,
        "inode": stat.st_ino,
        "size": stat.st_size,
        "mtime_ns": stat.st_mtime_ns,
        "ctime_ns": stat.st_ctime_ns,
    }


def _tokenizer_files(folder: Path) -> list[Path]:
    """tokenizer.json is what fast tokenizers read; spiece.model counts only where that is absent."""
    found = [folder / name for name in ("tokenizer.json", "spiece.model") if (folder / name).is_file()]
    return found[:1]
