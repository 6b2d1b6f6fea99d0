"""Writing captions/<clip_id>.txt, such that an edit by hand is never overwritten; how edits are told: `files`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wanprep.captioners.files import GONE, Chosen, Known, Row, anchors_of, row_of, text_digest
from wanprep.captioners.several import clip_of, stem_of, with_weight
from wanprep.captioners.sidecar import read_if_there
from wanprep.ids import write_atomic
from wanprep.stage import Reject


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
    anchors = anchors_of(clips)
    files = {stem_of(c, one.number): one for c, first in chosen.items() if c in anchors for one in (first, *first.more)}
    plan = {
        stem: choice
        for stem, choice in files.items()
        if _wants_writing(folder / f"{stem}.txt", choice, known.get(stem, Known()))
    }

    def rows(kind: str, stems: Iterable[str], gone: bool = False) -> list[Row]:
        digests = ((stem, GONE if gone else text_digest(file_text(plan[stem]))) for stem in stems)
        return [row_of(kind, s, anchors[clip_of(s)[0]], digest, known.get(s, Known())) for s, digest in digests]

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
