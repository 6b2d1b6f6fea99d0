"""Captions edited by hand in captions/: those that the dataset does not know yet.

Every command that decides takes them up. Those that only read, and a trainer, cannot: they say how many there are, and
a look at the files' times is enough for that, so that it costs nothing in a large dataset.
"""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from wanprep.captioners import files
from wanprep.captioners.several import number_of, stem_of
from wanprep.events import attach
from wanprep.standing import out_of
from wanprep.tables import counted

if TYPE_CHECKING:
    from wanprep.dataset import Dataset

SHOWN = 5  # files that a note names
MARGIN_S = 2.0  # clocks of file systems are this coarse


def found(dataset: Dataset, only: Collection[str] | None = None) -> files.Scan:
    """What is in captions/ that the rows do not know. only: stems of the files to look at, besides deleted ones."""
    folder = dataset.root / files.FOLDER
    published = dataset.manifest.read("published").sort("seq", maintain_order=True)
    names = {name.removesuffix(".txt") for name in (os.listdir(folder) if folder.is_dir() else ())}  # noqa: PTH208
    if not names and published.is_empty():  # nothing was captioned yet
        return files.Scan()
    clips = dataset.manifest.read("clips", ("clip_id", *files.ANCHOR, "caption_origin"))
    expected = set(published["clip_id"]) & set(clips["clip_id"])
    absent = expected - names
    missing = absent & set(clips.filter(pl.col("caption_origin") == "human")["clip_id"])
    if only is not None:  # and numbered ones, which say something by not being there
        numbered = pl.col("clip_id").str.contains(".", literal=True)
        published = published.filter(pl.col("clip_id").is_in({*only, *missing}) | numbered)
        clips = clips.filter(pl.col("clip_id").is_in({files.clip_of(stem)[0] for stem in only}))
    known = files.known_files(published.to_dicts())
    lost = 2 * len(absent) > len(expected)
    return files.scan(folder, clips.to_dicts(), known, only, missing=missing, lost=lost)


def waiting(dataset: Dataset) -> tuple[int, list[str]]:
    """How many captions were edited and not taken up, and what is to be said of them and of files that cannot be read.

    Opens only files that were written, moved or copied after the dataset last wrote or read them, by their times.
    """
    last = dataset.manifest.read("published").group_by("clip_id").agg(pl.col("at").max())
    scan = found(dataset, _younger(dataset.root / files.FOLDER, dict(last.iter_rows())))
    notes, count = notes_of(dataset, scan), len(scan.events)
    if count:
        said = f"{counted(count, 'caption')} {'was' if count == 1 else 'were'} edited and not taken up yet"
        notes.insert(0, f"{said}; training shows the texts before: {_command(dataset)}")
    return count, notes


def typed(scan: files.Scan) -> int:
    """How many captions were written by hand; neither those deleted nor those that cannot be read."""
    return sum(event["origin"] == "human" and event["value"] is not None for event in scan.events)


def notes_of(dataset: Dataset, scan: files.Scan) -> list[str]:
    """What is to be said of files that are not what they should be, and of deleted ones."""
    mute = "cannot be read, so its clip is not trained on"
    notes = [f"{_file(stem)} {mute}: {why}" for stem, why in scan.damaged.items()]
    notes += [f"{_file(stem)} is not used: {why}" for stem, why in scan.unused.items()]
    deleted = [event for event in scan.events if event["value"] is None]
    if deleted:
        stems = [stem_of(event["clip_id"], number_of(event["kind"]) or 1) for event in deleted]
        explain = shlex.join(["wanprep", "explain", deleted[0]["clip_id"], *out_of(dataset)])
        notes.append(f"deleted, so what was typed is taken back: {_named(stems)}; it is still shown by {explain}")
    if scan.lost:
        notes.append(
            "captions/ lacks more than half of its files: taken for lost and to be written again, "
            f"the words of {counted(len(scan.lost), 'edit')}, too: {_named(scan.lost)}"
        )
    return notes


def _file(stem: str) -> str:
    return f"{files.FOLDER}/{stem}.txt"


def _named(stems: Sequence[str]) -> str:
    more = f" and {len(stems) - SHOWN} more" if len(stems) > SHOWN else ""
    return ", ".join(map(_file, stems[:SHOWN])) + more


def history(dataset: Dataset, clip: Mapping[str, Any]) -> dict[int, list[dict[str, Any]]]:
    """Events of a clip's captions by their number, oldest first."""
    events = dataset.manifest.read("events").sort("seq", maintain_order=True)
    mine = events.filter(pl.col("source_id") == clip["source_id"]).to_dicts()
    by_number: dict[int, list[dict[str, Any]]] = {}
    for event in attach(mine, [clip])[0]:
        number = number_of(event["kind"])
        if number is not None:
            by_number.setdefault(number, []).append(event)
    return by_number


def of_clip(dataset: Dataset, clip_id: str) -> list[str]:
    """Names of this clip's caption files that were edited, or taken away, and not taken up."""
    stems = {clip_id, *(path.stem for path in (dataset.root / files.FOLDER).glob(f"{clip_id}.*.txt"))}
    events = [event for event in found(dataset, stems).events if event["clip_id"] == clip_id]
    numbers = sorted(number_of(event["kind"]) or 1 for event in events)
    return [_file(stem_of(clip_id, number)) for number in numbers]


def _younger(folder: Path, last: dict[str, float]) -> set[str]:
    """Stems of files changed after `last`, by stem in seconds. A file moved in keeps its mtime, not its ctime."""
    stems: set[str] = set()
    if not folder.is_dir():
        return stems
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
    encoded = (dataset.manifest.read("samples")["cache_state"] == "cached").any()
    return shlex.join(["wanprep", "cache" if encoded else "caption", *out_of(dataset)])
