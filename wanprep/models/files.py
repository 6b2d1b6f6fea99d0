"""Single weight files among the folders of other programs, found by their well-known names.

A name only makes a file a candidate; its tensors are checked in full before it is used. Order: most exact first, so a
bf16 file is taken before an fp8 one of the same model.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from wanprep.families import Family
from wanprep.models import claims, fp8
from wanprep.models.tensorfile import PICKLED, SAFE

# Where ComfyUI and its downloads keep what, from any of its folders upwards.
DEPTH = 4
_EXACT = ("fp32", "bf16", "fp16", "fp8_e4m3fn scaled", "fp8_e5m2 scaled", "fp8_e4m3fn", "fp8_e5m2")


def weight_like(root: Path, depth: int = DEPTH) -> Iterator[Path]:
    """Files below `root` that end like weights, at most `depth` folders down, in order of name; links are followed."""
    for folder, folders, names in os.walk(root, followlinks=True):
        here = Path(folder)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if len(here.relative_to(root).parts) >= depth:
            folders[:] = []
        yield from (here / name for name in sorted(names) if Path(name).suffix.lower() in (*SAFE, *PICKLED))


def named_files(family: Family, part: str, root: Path) -> list[Path]:
    """Files below `root` whose names say that they are `part` of `family`, the most exact type first, unchecked."""
    found = [path for path in weight_like(root) if claims.is_of(family, part, path.name)]
    return sorted(found, key=_rank)


def _rank(path: Path) -> tuple[int, str]:
    """Exactness by the header; by the name alone for a .pth, whose header needs torch, and for what cannot be read."""
    from wanprep.models.single import header

    word = ""
    if path.suffix.lower() in SAFE:
        try:
            word = fp8.word(header(path))
        except (OSError, ValueError):
            return len(_EXACT) + 1, path.name
    return _EXACT.index(word) if word in _EXACT else len(_EXACT), str(path)
