"""Which of several files with the same bytes stands for all: the one that did so before, as long as it is there.

A path tells nothing of age, and copies that are added later must not take a source's place: its group, and with it who
is held out in training, would change though nothing new came. So a source keeps what it stands for (`original_of`) in
the table of sources. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
MOVED = "moved"  # reason of a source that is gone while its bytes are there under another name


def carried(known: Row | None) -> str | None:
    """What a listed source takes over from its row of the run before; None without one.

    A file that was gone and came back has no claim: a copy may stand in its place by now. Rows of earlier versions do
    not say what they stand for, but only one of several copies is ok.
    """
    if known is None or known["state"] == "gone":
        return None
    return known["original_of"] or (known["source_id"] if known["state"] == "ok" else None)


def in_turn(sources: Iterable[Row], files: Mapping[str, Row]) -> list[tuple[Row, str | None]]:
    """(source, the source_id that it has a claim to or None), those with a claim first, then by folder and path.

    files: by key. The claim stands while the file is there and its bytes are not known to be others: after a `touch`
    they are not known at all until it has been read.
    """
    found = []
    for row in sources:
        file, before = files.get(row["file_key"]), row.get("original_of")
        other = file is not None and file["outcome"] != "failed" and file["source_id"] != before
        found.append((row, None if row["state"] == "gone" or other else before))
    return sorted(found, key=lambda pair: (pair[1] is None, pair[0]["root"], pair[0]["path"]))


def tell_moved(sources: Sequence[dict[str, Any]]) -> None:
    """Tell files that are gone while their bytes are there under another name from those that are lost (in place); of
    several names of bytes that are nowhere any more the last one is lost."""
    gone = sorted((row for row in sources if row["state"] == "gone"), key=lambda row: row.get("gone_in") or 0)
    last = {row["source_id"]: row for row in gone}
    last |= {row["source_id"]: row for row in sources if row["state"] != "gone" and not row["duplicate_of"]}
    for row in gone:
        now = last[row["source_id"]]
        if row["source_id"] and now is not row:
            row |= {"reason": MOVED, "detail": f"the same bytes {_are(now)} there as {now['path']}"}


def _are(row: Row) -> str:
    return "were" if row["state"] == "gone" else "are"
