"""captions/<clip_id>.txt: one editable file a clip, and telling an edit by hand from a file of our own.

Our own files are remembered by rows of the table `published`. A row says what is about to be written (`intent`), that
it has been (`written`), or that an edit by hand was found and recorded (`seen`). The intent is recorded before the file
is touched, so a process killed anywhere leaves one of three states, all told apart by the next run:

    killed before the rename   the file holds what the last settled row (written, seen) says   ours
    killed after the rename    the file holds what a row of intent after that says            ours
    anything else              somebody typed                                                 an edit by hand

An older text of ours that somebody typed back is an edit too: only rows since the last settled one count. The text of
an edited file becomes an event of kind "caption" and is the caption from then on; no automatic caption ever overwrites
the file, only a newer one by hand (from review). A text that cannot be read is an event as well, of the origin DAMAGED:
somebody wrote it, so nothing else is trained on in its place. A file is compared by its text, so a line end added by an
editor is no edit.

An edited file that is deleted takes the edit back: an event without text, after which the automatic caption counts and
is written. Unless the folder was lost: then it is written again, edits too. It was where it lacks more than half of the
files that it should hold; nobody deletes so many to take edits back.

Files of other captions of a clip (`<clip>.2.txt`, see `several`) follow the same rules, each on its own; but one that
is deleted, edited or not, while the clip's first file stays was taken back, and one of ours that is wanted no more
goes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wanprep.captioners.base import Origin
from wanprep.captioners.several import clip_of, event_kind, split_weight
from wanprep.captioners.sidecar import NO_TEXT, is_there, read_if_there
from wanprep.ids import digest_bytes, digest_file, key_of
from wanprep.stage import Reject

FOLDER = "captions"
ANCHOR = ("source_id", "start_pts", "end_pts")
GONE = "gone"  # in place of a digest: there shall be no file
DAMAGED = "damaged"  # origin of an event whose text cannot be read; its value says why, a label first
Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The caption a clip has now. text: as trained on (trigger first); raw: as said or typed, before cleaning.

    more: its other captions; number (from 2) and weight are theirs, see `several`. lead: what became of an earlier
    trigger at the start of a caption by hand, see `leads`.
    """

    text: str
    raw: str
    origin: Origin
    provisional: bool = False
    flags: tuple[str, ...] = ()
    number: int = 1
    weight: float = 1.0
    lead: str = ""
    more: tuple[Chosen, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Known:
    """What the rows tell of one file.

    ours: digests the file may have without anybody having typed since. settled: the digest of the last settled row;
    edited: that row was an edit by hand. rows: how many there are. anchor: source_id, start_pts, end_pts of its clip.
    """

    ours: frozenset[str] = frozenset()
    settled: str | None = None
    edited: bool = False
    rows: int = 0
    anchor: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Scan:
    """What the folder holds that the rows do not know.

    events: rows for the table `events`, one an edit. seen: rows for `published`, to be recorded after the events.
    damaged: stem -> why its text cannot be read. unused: stem -> why it is passed over (no file, a weight that is no
    number); the caption before stays. unknown: names of .txt files that belong to no clip we know of. lost: files by
    hand that the folder lacks because it was lost.
    """

    events: tuple[Row, ...] = ()
    seen: tuple[Row, ...] = ()
    damaged: Mapping[str, str] = field(default_factory=dict)
    unused: Mapping[str, str] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


def text_digest(text: str) -> str:
    """Identity of a caption file's text: line ends and white space at the end of the file do not count."""
    return digest_bytes(text.replace("\r\n", "\n").rstrip().encode("utf-8", "surrogatepass"))


def known_files(published: Iterable[Mapping[str, Any]]) -> dict[str, Known]:
    """Fold the rows of `published`, in order of recording, into what is known of each clip's file. Pure."""
    known: dict[str, Known] = {}
    for row in published:
        before = known.get(row["clip_id"], Known())
        settled = row["kind"] != "intent"
        known[row["clip_id"]] = Known(
            ours=frozenset((row["digest"],)) if settled else before.ours | {row["digest"]},
            settled=row["digest"] if settled else before.settled,
            edited=row["kind"] == "seen" if settled else before.edited,
            rows=before.rows + 1,
            anchor={name: row[name] for name in ANCHOR},
        )
    return known


def scan(
    folder: Path,
    clips: Iterable[Mapping[str, Any]],
    known: Mapping[str, Known],
    only: Collection[str] | None = None,
    *,
    missing: Collection[str] = (),
    lost: bool = False,
) -> Scan:
    """Find edits by hand in `folder`. Reads only. only: stems of the files to open, None for all.

    clips: rows with clip_id, source_id, start_pts, end_pts; a file of a clip that is gone is anchored by what was
    known when it was written. missing: clips whose first caption is by hand and has no file; lost: with the folder.
    Record `events` first and `seen` after them: killed in between, the same edit is found again under the same event
    key.
    """
    anchors = anchors_of(clips)
    events: list[Row] = []
    seen: list[Row] = []
    damaged: dict[str, str] = {}
    unused: dict[str, str] = {}
    unknown: list[str] = []
    for path in sorted(folder.glob("*.txt") if only is None else (folder / f"{stem}.txt" for stem in only)):
        stem, state = path.stem, known.get(path.stem, Known())
        anchor = anchors.get(clip_of(stem)[0]) or state.anchor
        if not anchor:
            unknown.append(path.name)
            continue
        try:
            found = _typed(path, clip_of(stem)[1])
        except Reject as problem:
            unused[stem] = _said(path, problem)
            continue
        if found is None:
            continue
        value, digest, origin = found
        if origin == DAMAGED:
            damaged[stem] = value
        if digest not in state.ours:
            events.append(_event(stem, anchor, digest, value, state) | {"origin": origin})
            seen.append(row_of("seen", stem, anchor, digest, state))
    for stem in [] if lost else _taken_back(folder, known, missing):
        anchor = anchors.get(clip_of(stem)[0]) or known[stem].anchor
        events.append(_event(stem, anchor, GONE, None, known[stem]))
        seen.append(row_of("seen", stem, anchor, GONE, known[stem]))
    return Scan(
        events=tuple(events),
        seen=tuple(seen),
        damaged=damaged,
        unused=unused,
        unknown=tuple(unknown),
        lost=tuple(sorted(missing)) if lost else (),
    )


def _typed(path: Path, number: int) -> tuple[str, str, str] | None:
    """(text, its digest, "human") of a file; (why nobody can read it, digest of its bytes, DAMAGED); None where there
    is none. Reject for what is no caption's file, or a weight that is none."""
    try:
        value = read_if_there(path)
    except Reject as problem:
        if problem.reason not in NO_TEXT:
            raise
        return _said(path, problem), digest_file(path), DAMAGED
    if value is None:
        return None
    if number > 1:
        split_weight(value)
    return value, text_digest(value), "human"


def _said(path: Path, problem: Reject) -> str:
    """Without the file's name, which whoever tells of it says."""
    return f"{problem.reason}: {problem.detail.removeprefix(path.name).lstrip(': ')}"


def _taken_back(folder: Path, known: Mapping[str, Known], missing: Collection[str]) -> list[str]:
    """Files that somebody deleted: first ones by hand, and other ones of a clip whose first file is there or is one of
    these."""
    found = []
    for stem, state in sorted(known.items()):
        clip_id, number = clip_of(stem)
        settled = state.settled not in (None, GONE) and GONE not in state.ours
        if not settled or (number == 1 and stem not in missing) or is_there(folder / f"{stem}.txt"):
            continue
        if clip_id in missing or is_there(folder / f"{clip_id}.txt"):
            found.append(stem)
    return found


def anchors_of(clips: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """clip_id -> what ties its rows to the source."""
    return {row["clip_id"]: {name: row[name] for name in ANCHOR} for row in clips}


def row_of(kind: str, stem: str, anchor: Mapping[str, Any], digest: str, known: Known) -> Row:
    """A row of `published`; its key holds how many came before."""
    key = key_of(kind=kind, clip_id=stem, digest=digest, after=known.rows)
    return {"key": key, "kind": kind, "clip_id": stem, "digest": digest, **anchor}


def _event(stem: str, anchor: Mapping[str, Any], digest: str, text: str | None, known: Known) -> Row:
    """One edit. The key holds how many rows came before, so the same text typed again later is another event."""
    clip_id, number = clip_of(stem)
    key = key_of(kind=event_kind(number), clip_id=clip_id, digest=digest, after=known.rows)
    value = None if text is None else text.replace("\r\n", "\n").rstrip()
    row = {"key": key, "kind": event_kind(number), "clip_id": clip_id, **anchor}
    return row | {"value": value, "origin": "human"}
