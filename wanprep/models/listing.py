"""What `wanprep models` says of each part: where it is, how large, in which form and type, or how to get it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wanprep.families import Family
from wanprep.models import fp8
from wanprep.models.check import part_folder, parts_of, weight_files
from wanprep.models.find import download_hint, find_weights, wanting
from wanprep.models.tensorfile import read_header


def listing(family: Family) -> dict[str, Any]:
    """Plain values for one family. A part: {part, path, form, dtype, bytes} or {part, path: None, refused, get}."""
    parts = [_entry(family, part) for part in parts_of(family)]
    return {
        "family": family.name, "hub": family.hub_id, "task": family.task, "fps": family.fps,
        "frames": family.max_frames, "complete": all(part["path"] for part in parts), "parts": parts,
    }  # fmt: skip


def _entry(family: Family, part: str) -> dict[str, Any]:
    path = find_weights(family, part)
    if path is None:
        return {"part": part, "path": None, "refused": wanting(family, part), "get": download_hint(family, part)}
    files = [path] if path.is_file() else weight_files(part_folder(path, part))
    total = sum(file.stat().st_size for file in files)
    shown = path if path.is_file() else part_folder(path, part)
    form = "file" if path.is_file() else "diffusers"
    return {"part": part, "path": str(shown), "form": form, "dtype": _type(files), "bytes": total}


def _type(files: list[Path]) -> str:
    """The type of most bytes; of several shards the first's, which are cut from one model."""
    return fp8.word(read_header(files[0]))


def lines(entry: dict[str, Any]) -> list[str]:
    """The same for people."""
    there = sum(bool(part["path"]) for part in entry["parts"])
    state = "complete" if entry["complete"] else f"{there} of {len(entry['parts'])} parts"
    found = [f"{entry['family']} ({entry['task']}, {entry['fps']} fps, up to {entry['frames']} frames): {state}"]
    for part in entry["parts"]:
        if part["path"]:
            size = f"{part['bytes'] / 1e9:.2f} GB" if part["bytes"] > 1e8 else f"{part['bytes'] / 1e6:.1f} MB"
            found.append(f"  {part['part']:14}{part['form']:10}{part['dtype']:18}{size:>10}  {part['path']}")
        else:
            found.append(
                f"  {part['part']:14}not here   wanprep fetch {entry['family']} --part {_word(entry, part['part'])}"
            )
            found += [f"    refused: {reason}" for reason in part["refused"][:3]]
    return found


def _word(entry: dict[str, Any], part: str) -> str:
    two = any(other["part"] == "transformer_2" for other in entry["parts"])
    return {"transformer": "high" if two else "transformer", "transformer_2": "low"}.get(part, part)
