"""What a listing of a folder makes of the table of sources: which files are there, and under which name each is known.

One file has one entry. A folder inside a known one, the folder around it, a single file, a link: each is another way to
files that the dataset may know already, and then the entry that was there before stays. A second one would be a copy
that is none, and would be missed as a loss of its own once the file is gone.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wanprep import arrivals, originals
from wanprep.ids import key_of
from wanprep.scan import MARKER, Listing, list_sources
from wanprep.stage import UsageError

if TYPE_CHECKING:
    from wanprep.dataset import Dataset

Row = dict[str, Any]
Place = tuple[str, str]  # root, path
SHOWN = 3  # other names of files, told one by one


@dataclass(frozen=True, kw_only=True)
class Taken:
    """rows: of the table of sources. ignored: files that are none, by extension. notes: for people. news: what rows
    that this listing missed first have in `gone_in`; 0 when it missed none."""

    rows: list[Row]
    ignored: Counter[str]
    notes: list[str]
    news: int


def take_sources(dataset: Dataset, source: Path, listing: Listing | None = None) -> Taken:
    """Bring the table of sources up to what lies under `source` now, and to what of other folders is still there.

    Sources of other folders (a movie that was moved, a disk that is not there) are gone as long as their files are, and
    come back with them.
    """
    taken = listed_sources(dataset, source, listing)
    known = dataset.manifest.read("sources")
    if _listing(taken.rows) != _listing(known.to_dicts()):
        dataset.manifest.replace("sources", taken.rows)
    return taken


def found_sources(dataset: Dataset, source: Path) -> Listing:
    """What lies under `source`. UsageError when that is nothing, or the dataset and the movies are in one place."""
    _check_apart(dataset.root, source)
    return list_sources(source)


def listed_sources(dataset: Dataset, source: Path, listing: Listing | None = None) -> Taken:
    """The table of sources as `take_sources` stores it; names the folder in `roots` unless all is known under others.

    listing: of `source`, where it is known already.
    """
    listing = listing or found_sources(dataset, source)
    root = dataset.add_root(source)
    fresh = {(row["root"], row["path"]): row for row in listing.rows}
    known = {(row["root"], row["path"]): row for row in dataset.manifest.read("sources").iter_rows(named=True)}
    unlisted = tuple(row["path"] for row in listing.rows if row["path"].endswith("/"))
    entries: dict[Place, Row] = {place: {**row, "state": "pending"} for place, row in fresh.items()}
    for place, old in known.items():
        if place not in fresh:
            hidden = old["root"] == root and old["path"].startswith(unlisted)  # nobody can tell whether it is gone
            here = hidden or (_is_there(dataset, old) and not (old["root"] == root and source.is_dir()))
            state = "gone" if not here else "pending" if old["state"] == "gone" else old["state"]
            if here or not old["path"].endswith("/"):  # a folder that is listed now is no source
                entries[place] = {**old, "state": state}
    rows, others = _settled(entries, fresh, known, _Names(dataset))
    notes = _notes(dataset, others, listing.again)
    _forget_roots(dataset, rows, others)
    arrivals.note(rows, known, dataset.roots)
    return Taken(rows=rows, ignored=listing.ignored, notes=notes, news=_note_gone(rows, known))


class _Names:
    """What the rows of a table are called on this machine."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._folders: dict[str, str] = {}  # real names, each looked up once

    def own(self, row: Row) -> str:
        known = row["root"] in self._dataset.roots
        return self._dataset.source_name(row) if known else f"{row['root']}:{row['path']}"

    def real(self, row: Row) -> str:
        """The file behind all links; a link to nothing is a file itself."""
        name = self.own(row)
        if row["root"] not in self._dataset.roots or name.endswith("/"):
            return name
        if os.path.islink(name) and os.path.exists(name):  # noqa: PTH110, PTH114
            return os.path.realpath(name)
        folder, slash, file = name.rpartition("/")
        if folder not in self._folders:
            self._folders[folder] = os.path.realpath(folder)
        return self._folders[folder] + slash + file


def _settled(
    entries: Mapping[Place, Row], fresh: Mapping[Place, Row], known: Mapping[Place, Row], names: _Names
) -> tuple[list[Row], list[tuple[Row, Row]]]:
    """Of the entries of each file the one that stays, and (the other, the one that stays) of all others."""
    of_file: dict[str, list[Place]] = {}
    for place, row in entries.items():
        of_file.setdefault(names.real(row), []).append(place)

    def order(place: Place) -> tuple[Any, ...]:
        """One that is there, stood for the file before, was known before, is no link, is listed now."""
        row, before = entries[place], known.get(place)
        stood = before is not None and before["state"] == "ok"
        is_link = names.real(row) != names.own(row)
        return row["state"] == "gone", not stood, before is None, is_link, place not in fresh, place

    rows, others = [], []
    for places in of_file.values():
        first, *rest = sorted(places, key=order) if len(places) > 1 else places
        claims = (originals.carried(known.get(place)) for place in (first, *rest))
        row = {**entries[first], "original_of": next(filter(None, claims), None)}
        listed = next((fresh[place] for place in places if place in fresh), None)
        if listed is not None and first not in fresh:  # it is there with this size and time, whatever it is called
            row |= {name: listed[name] for name in ("bytes", "mtime_ns")}
            row["file_key"] = key_of(**{name: row[name] for name in ("root", "path", "bytes", "mtime_ns")})
        rows.append(row)
        others += [(entries[place], row) for place in rest]
    return rows, others


def _forget_roots(dataset: Dataset, rows: Sequence[Row], others: Sequence[tuple[Row, Row]]) -> None:
    """Folders of which every file is known under another one are no roots."""
    used = {row["root"] for row in rows}
    for other, _ in others:
        if other["root"] not in used:
            dataset.roots.pop(other["root"], None)


def _note_gone(rows: Sequence[Row], known: Mapping[Place, Row]) -> int:
    """Fill in `gone_in` (in place): a number for each listing that missed files, so that the newest can be told first.
    Returns this one's, 0 when it missed none."""
    this = 1 + max((row["gone_in"] or 0 for row in known.values()), default=0)
    for row in rows:
        before = known.get((row["root"], row["path"]))
        since = before["gone_in"] or 0 if before and before["state"] == "gone" else this
        row["gone_in"] = since if row["state"] == "gone" else None
    return this if any(row["gone_in"] == this for row in rows) else 0


def _notes(dataset: Dataset, others: Sequence[tuple[Row, Row]], again: Sequence[tuple[str, str]]) -> list[str]:
    """What is said of names that are other ways to what is listed. again: (folder, what it is a link to)."""

    def whole(row: Row) -> str:
        return "/".join(filter(None, (Path(dataset.roots.get(row["root"], "")).name, row["path"])))

    pairs = [(whole(other), whole(row)) for other, row in others if other["state"] != "gone"]
    told = []
    for found, what in ((pairs, "another name of a file that is known"), (again, "another name of a folder")):
        if found:
            named = ", ".join(f"{name} (is {first})" for name, first in found[:SHOWN])
            more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
            told.append(f"counted once, because it is {what}: {named}{more}")
    return told


def _check_apart(out: Path, source: Path) -> None:
    """UsageError where the dataset would lie among the movies, or the movies are a dataset's own files."""
    if source.exists() and (source if source.is_dir() else source.parent).resolve() == out.resolve():
        raise UsageError(f"{out} holds the movies; the dataset needs a folder of its own: --out {out / 'dataset'}")
    if (source / MARKER).is_file():
        raise UsageError(
            f"{source} is a dataset (it has {MARKER}): its clips are no movies. If yours lie in it, move them to a "
            "folder of their own"
        )


def _is_there(dataset: Dataset, row: Mapping[str, Any]) -> bool:
    # Of names that are not UTF-8 the table has a readable form only, which no file bears: scan rejected them by name.
    unknown = row["reason"] == "name_not_utf8" or row["root"] not in dataset.roots
    return unknown or os.path.lexists(dataset.source_name(row))


def _listing(rows: Sequence[Mapping[str, Any]]) -> set[tuple[Any, ...]]:
    return {(row["file_key"], row["group"], row["state"] == "gone", row["beside"]) for row in rows}
