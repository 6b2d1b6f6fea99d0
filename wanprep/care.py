"""Looking after a dataset's files: is each what its row says, and which does no row speak of.

Both read what is there and change nothing unless told to; what was left half written alone goes by itself, with the
next run that writes files. What is repaired or removed was made by us and can be made again: names that are not ours
are left alone, and so are captions, sources and everything outside the folders of artefacts. While another command
changes the dataset, neither repairs nor removes.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wanprep import shards
from wanprep.ids import digest_bytes, digest_file
from wanprep.schema import STORED
from wanprep.stage import Damaged

if TYPE_CHECKING:
    from wanprep.dataset import Dataset

VOID = "void"  # outcome of a row that takes back what was measured under its key
_HEX = "[0-9a-f]"
_OURS = re.compile(
    rf"signals/{_HEX}{{2}}/{_HEX}{{32}}\.safetensors|cache/(latents|text)/{_HEX}{{2}}/{_HEX}{{32}}\.safetensors"
    rf"|cache/shards/(latents|text)-{_HEX}{{32}}\.tar|clips/\d+x\d+/{_HEX}{{16}}\.(mp4|png)"
)
_TEMPORARY = re.compile(rf"(signals|clips|cache)/(.+/)?\.tmp-{_HEX}{{32}}(\.\w+)?")
FOLDERS = ("signals", "clips", "cache")


@dataclass(frozen=True, kw_only=True)
class Artefact:
    """A stored file (or member of a shard) and the row that speaks of it. path: as in the manifest."""

    table: str
    key: str
    path: str
    digest: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Something that is not as its row says. reason: missing, cut_short, damaged, or unreadable_table."""

    reason: str
    path: str
    detail: str = ""
    artefact: Artefact | None = None


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What `verify` saw. repaired: faults whose artefact is pending again."""

    files: int
    bytes: int
    faults: tuple[Fault, ...]
    repaired: int = 0


@dataclass(frozen=True, kw_only=True)
class Leftovers:
    """Files of ours that may go. orphans: no row speaks of them. unused: today's settings do not want them.

    Pairs (path relative to the dataset, bytes). foreign: other files in our folders, which stay. void: artefacts whose
    rows are taken back before `unused` goes. unknown: these stay, since only the weights tell whether they are wanted.
    """

    orphans: tuple[tuple[str, int], ...] = ()
    unused: tuple[tuple[str, int], ...] = ()
    foreign: int = 0
    void: tuple[Artefact, ...] = ()
    unknown: int = 0


def artefacts(dataset: Dataset) -> Iterator[Artefact]:
    """Every stored artefact that a row speaks of. Damaged when a table cannot be read."""
    for table in STORED:
        for row in dataset.manifest.latest(table).iter_rows(named=True):
            if row["outcome"] == "done" and row["path"]:
                named = {name: row[name] for name in ("key", "path", "digest", "bytes")}
                yield Artefact(table=table, **named)


def verify(dataset: Dataset, *, repair: bool = False, workers: int = 4) -> Checked:
    """Compare the digest of every artefact, and of every table's parts, with what was recorded.

    repair: what is not as recorded becomes pending, so that the next run makes it again; nothing is deleted. Held when
    another command changes the dataset meanwhile.
    """
    from concurrent.futures import ThreadPoolExecutor

    with dataset.lease() if repair else contextlib.nullcontext():
        faults = _tables(dataset)
        listed = [] if faults else list(artefacts(dataset))
        with ThreadPoolExecutor(workers) as pool:
            found = list(pool.map(lambda artefact: _fault(dataset.root, artefact), listed))
        faults += [fault for fault in found if fault is not None]
        broken = [fault.artefact for fault in faults if fault.artefact is not None]
        if repair and broken:
            take_back(dataset, broken, "damaged")
            if dataset.encoder() is not None:
                dataset.decide()
        size = sum(artefact.bytes for artefact in listed)
        done = len(broken) if repair else 0
        return Checked(files=len(listed), bytes=size, faults=tuple(faults), repaired=done)


def take_back(dataset: Dataset, what: Iterable[Artefact], reason: str) -> None:
    """Record that these keys count as never measured; a later row of a key counts again."""
    rows: dict[str, list[dict[str, str]]] = {}
    for artefact in what:
        row = {"key": artefact.key, "outcome": VOID, "reason": reason, "detail": artefact.path}
        rows.setdefault(artefact.table, []).append(row)
    for table, added in rows.items():
        dataset.manifest.append(table, added)


def _tables(dataset: Dataset) -> list[Fault]:
    from wanprep.schema import TABLES

    faults = []
    for name in TABLES:
        try:
            dataset.manifest.read(name)
        except (Damaged, OSError) as error:
            faults.append(Fault(reason="unreadable_table", path=f"manifest/{name}", detail=str(error)))
    return faults


def _fault(root: Path, artefact: Artefact) -> Fault | None:
    try:
        whole = shards.place(artefact.path).length is None
        path = root / artefact.path
        digest = digest_file(path) if whole else digest_bytes(shards.read(root, artefact.path))
        size = shards.stored_bytes(root, artefact.path, shards.file_bytes)
    except FileNotFoundError:
        return Fault(reason="missing", path=artefact.path, artefact=artefact)
    except OSError as error:
        return Fault(reason="damaged", path=artefact.path, detail=str(error), artefact=artefact)
    if digest == artefact.digest:
        return None
    if size < artefact.bytes:
        detail = f"{size} of {artefact.bytes} bytes"
        return Fault(reason="cut_short", path=artefact.path, detail=detail, artefact=artefact)
    return Fault(reason="damaged", path=artefact.path, detail="its digest is another", artefact=artefact)


def leftovers(dataset: Dataset, *, unused: bool = False) -> Leftovers:
    """What may go. unused: also look for what no sample, clip or source of today's settings wants.

    Latents and embeddings are known by the weights that make them: where these are not on this machine, all stay.
    """
    live = list(artefacts(dataset))
    named = {shards.place(artefact.path).file for artefact in live}
    spare = _unwanted(dataset, live) if unused else set()
    kept = {shards.place(artefact.path).file for artefact in live if artefact not in spare}  # a shard by any member
    orphans, going, foreign = [], [], 0
    for path, size in _files(dataset.root):
        if not _OURS.fullmatch(path) and not _TEMPORARY.fullmatch(path):
            foreign += 1
        elif path not in named:
            orphans.append((path, size))
        elif path not in kept:
            going.append((path, size))
    leaving = {path for path, _ in going}
    void = tuple(sorted((a for a in spare if shards.place(a.path).file in leaving), key=lambda a: a.path))
    unknown = sum(_of_weights(artefact) for artefact in live) if unused and dataset.encoder() is None else 0
    return Leftovers(orphans=tuple(orphans), unused=tuple(going), foreign=foreign, void=void, unknown=unknown)


def collect(dataset: Dataset, *, unused: bool = False, delete: bool = False) -> Leftovers:
    """What may go, and with `delete` gone. Held when another command changes the dataset: a run writes
    files before their rows."""
    if not delete:
        return leftovers(dataset, unused=unused)
    with dataset.lease():
        found = leftovers(dataset, unused=unused)
        if found.void:
            take_back(dataset, found.void, "unused")  # first, so that no row speaks of a file that is gone
        for path, _ in (*found.orphans, *found.unused):
            (dataset.root / path).unlink(missing_ok=True)
        return found


def sweep(root: Path) -> list[str]:
    """Remove what commands that were killed left half written in our folders; returns the paths, relative to `root`.

    The caller holds the dataset's lease and writes nothing yet. A worker that has outlived its command fails when its
    file is gone, and nobody waits for it.
    """
    names = (Path(folder, file) for name in FOLDERS for folder, _, files in os.walk(root / name) for file in files)
    hidden = (path.relative_to(root).as_posix() for path in names if path.name.startswith("."))
    gone = sorted(path for path in hidden if _TEMPORARY.fullmatch(path))
    for path in gone:
        (root / path).unlink(missing_ok=True)
    return gone


def _unwanted(dataset: Dataset, live: list[Artefact]) -> set[Artefact]:
    from wanprep.steps import STAGES, steps

    stored = [step for stage in STAGES for step in steps(dataset, stage) if step.table in STORED]
    wanted = {key for step in stored for item in step.items(dataset) for key in item.parts}
    blind = dataset.encoder() is None
    return {a for a in live if a.key not in wanted and not (blind and _of_weights(a))}


def _of_weights(artefact: Artefact) -> bool:
    return artefact.path.startswith("cache/")


def _files(root: Path) -> Iterator[tuple[str, int]]:
    """Regular files below our folders, as (path relative to the dataset, bytes). Links are not followed."""
    for name in FOLDERS:
        for folder, _, files in os.walk(root / name):
            for file in sorted(files):
                path = Path(folder, file)
                if path.is_file() and not path.is_symlink():
                    yield path.relative_to(root).as_posix(), path.stat().st_size
