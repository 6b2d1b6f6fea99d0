"""Which of several files with the same bytes stands for all: the one that did so before, as long as it is there.

A path tells nothing of age, and copies that are added later must not take a source's place: its group, and with it who
is held out in training, would change though nothing new came. So a source keeps what it stands for (`original_of`) in
the table of sources. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Row = Mapping[str, Any]


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
