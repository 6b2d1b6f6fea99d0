"""Captions edited by hand in captions/: those that the dataset does not know yet.

Every command that decides takes them up. Those that only read, and a trainer, cannot: they say how many there are, and
a look at the files' times is enough for that, so that it costs nothing in a large dataset.
"""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from wanprep.captioners import files
from wanprep.captioners.several import number_of, stem_of
from wanprep.tables import counted

if TYPE_CHECKING:
    from wanprep.dataset import Dataset

MARGIN_S = 2.0  # clocks of file systems are this coarse


def found(dataset: Dataset, only: Collection[str] | None = None) -> files.Scan:
    """What is in captions/ that the rows do not know. only: stems of the files to look at."""
    folder = dataset.root / files.FOLDER
    if not folder.is_dir():
        return files.Scan()
    published = dataset.manifest.read("published").sort("seq", maintain_order=True)
    clips = dataset.manifest.read("clips").select("clip_id", *files.ANCHOR)
    if only is not None:  # and numbered ones, which say something by not being there
        numbered = pl.col("clip_id").str.contains(".", literal=True)
        published = published.filter(pl.col("clip_id").is_in(only) | numbered)
        clips = clips.filter(pl.col("clip_id").is_in([files.clip_of(stem)[0] for stem in only]))
    return files.scan(folder, clips.to_dicts(), files.known_files(published.to_dicts()), only)


def waiting(dataset: Dataset) -> tuple[int, list[str]]:
    """How many captions were edited and not taken up, and what is to be said of them and of files that cannot be read.

    Opens only files that were written, moved or copied after the dataset last wrote or read them, by their times.
    """
    folder = dataset.root / files.FOLDER
    if not folder.is_dir():
        return 0, []
    last = dataset.manifest.read("published").group_by("clip_id").agg(pl.col("at").max())
    scan = found(dataset, _younger(folder, dict(last.iter_rows())))
    notes = [f"captions/{name}.txt is not used: {why}" for name, why in scan.unreadable.items()]
    count = len(scan.events)
    if count:
        said = f"{counted(count, 'caption')} {'was' if count == 1 else 'were'} edited and not taken up yet"
        notes.insert(0, f"{said}; training shows the texts before: {_command(dataset)}")
    return count, notes


def of_clip(dataset: Dataset, clip_id: str) -> list[str]:
    """Names of this clip's caption files that were edited, or taken away, and not taken up."""
    stems = {clip_id, *(path.stem for path in (dataset.root / files.FOLDER).glob(f"{clip_id}.*.txt"))}
    events = [event for event in found(dataset, stems).events if event["clip_id"] == clip_id]
    numbers = sorted(number_of(event["kind"]) or 1 for event in events)
    return [f"{files.FOLDER}/{stem_of(clip_id, number)}.txt" for number in numbers]


def _younger(folder: Path, last: dict[str, float]) -> set[str]:
    """Stems of files changed after `last`, by stem in seconds. A file moved in keeps its mtime, not its ctime."""
    stems = set()
    with os.scandir(folder) as entries:
        for entry in entries:
            stem = entry.name.removesuffix(".txt")
            with contextlib.suppress(FileNotFoundError):
                status = entry.stat()
                if stem != entry.name and max(status.st_mtime, status.st_ctime) > last.get(stem, 0.0) - MARGIN_S:
                    stems.add(stem)
    return stems


def _command(dataset: Dataset) -> str:
    """Encoding a caption takes it up as well; what never was encoded, for want of weights, is captioned only."""
    from wanprep.standing import out_of

    encoded = (dataset.manifest.read("samples")["cache_state"] == "cached").any()
    return shlex.join(["wanprep", "cache" if encoded else "caption", *out_of(dataset)])
