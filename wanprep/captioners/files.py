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

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wanprep.captioners.base import Origin
from wanprep.captioners.several import clip_of, event_kind, split_weight, stem_of, with_weight
from wanprep.captioners.sidecar import NO_TEXT, is_there, read_if_there
from wanprep.ids import digest_bytes, digest_file, key_of, write_atomic
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
    anchors = _anchors(clips)
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
            seen.append(_row("seen", stem, anchor, digest, state))
    for stem in [] if lost else _taken_back(folder, known, missing):
        anchor = anchors.get(clip_of(stem)[0]) or known[stem].anchor
        events.append(_event(stem, anchor, GONE, None, known[stem]))
        seen.append(_row("seen", stem, anchor, GONE, known[stem]))
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


def publish(
    folder: Path,
    clips: Iterable[Mapping[str, Any]],
    chosen: Mapping[str, Chosen],
    known: Mapping[str, Known],
    record: Callable[[Sequence[Row]], Any],
) -> tuple[str, ...]:
    """Bring the files up to the chosen captions; returns the stems of the files that were written.

    record: appends rows to the table `published` and returns once they are durable; called with the intents before the
    first file is touched, and with `written` rows after the last. A file that holds an edit which `scan` has not seen
    yet is left for the next scan, and so is one that cannot be read. A missing file is written again.
    """
    anchors = _anchors(clips)
    files = {stem_of(c, one.number): one for c, first in chosen.items() if c in anchors for one in (first, *first.more)}
    plan = {
        stem: choice
        for stem, choice in files.items()
        if _wants_writing(folder / f"{stem}.txt", choice, known.get(stem, Known()))
    }

    def rows(kind: str, stems: Iterable[str], gone: bool = False) -> list[Row]:
        digests = ((stem, GONE if gone else text_digest(file_text(plan[stem]))) for stem in stems)
        return [_row(kind, s, anchors[clip_of(s)[0]], digest, known.get(s, Known())) for s, digest in digests]

    stale = [
        stem for stem in known if clip_of(stem)[0] in chosen and stem not in files and _is_ours(folder, stem, known)
    ]
    if plan or stale:
        record([*rows("intent", plan), *rows("intent", stale, gone=True)])
    written = []
    for stem, choice in plan.items():
        path = folder / f"{stem}.txt"
        if _may_write(path, choice, known.get(stem, Known())):  # once more, right before: people type while we work
            write_atomic(path, (file_text(choice).rstrip() + "\n").encode("utf-8", "surrogatepass"))
            written.append(stem)
    removed = [stem for stem in stale if _is_ours(folder, stem, known)]
    for stem in removed:
        (folder / f"{stem}.txt").unlink()
    if written or removed:
        record([*rows("written", written), *rows("written", removed, gone=True)])
    return tuple(written)


def _anchors(clips: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["clip_id"]: {name: row[name] for name in ANCHOR} for row in clips}


def _is_ours(folder: Path, stem: str, known: Mapping[str, Known]) -> bool:
    """Is this a file of another caption that we wrote and nobody has touched since?"""
    try:
        digest = _digest(folder / f"{stem}.txt")
    except Reject:
        return False
    return clip_of(stem)[1] > 1 and digest is not None and digest in known[stem].ours and not known[stem].edited


def file_text(choice: Chosen) -> str:
    """What a caption file holds: a caption by hand as typed, any other as trained on."""
    return choice.raw if choice.origin == "human" else with_weight(choice.weight, choice.text)


def _wants_writing(path: Path, choice: Chosen, known: Known) -> bool:
    """False when the file has this text and the rows say so, or when it is not ours to write."""
    digest = text_digest(file_text(choice))
    settled = known.settled == digest and len(known.ours) == 1
    return _may_write(path, choice, known) and not (settled and _digest(path) == digest)


def _may_write(path: Path, choice: Chosen, known: Known) -> bool:
    """May the file be replaced? A missing one: yes. One without any row: only if it holds what we would write anyway,
    as after the manifest was made anew. An edited one: only by a caption by hand."""
    try:
        digest = _digest(path)
    except Reject:
        return False
    if digest is None:
        return True
    if not known.rows:
        return digest == text_digest(file_text(choice))
    return digest in known.ours and (choice.origin == "human" or not known.edited)


def _digest(path: Path) -> str | None:
    text = read_if_there(path)
    return None if text is None else text_digest(text)


def _row(kind: str, stem: str, anchor: Mapping[str, Any], digest: str, known: Known) -> Row:
    key = key_of(kind=kind, clip_id=stem, digest=digest, after=known.rows)
    return {"key": key, "kind": kind, "clip_id": stem, "digest": digest, **anchor}


def _event(stem: str, anchor: Mapping[str, Any], digest: str, text: str | None, known: Known) -> Row:
    """One edit. The key holds how many rows came before, so the same text typed again later is another event."""
    clip_id, number = clip_of(stem)
    key = key_of(kind=event_kind(number), clip_id=clip_id, digest=digest, after=known.rows)
    value = None if text is None else text.replace("\r\n", "\n").rstrip()
    row = {"key": key, "kind": event_kind(number), "clip_id": clip_id, **anchor}
    return row | {"value": value, "origin": "human"}
