"""What the table of sources notes of a film for the day when a copy of it turns up: with which listing it came, and
which text lies beside it. Deciding opens no file, and a path says nothing of age.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wanprep.captioners.sidecar import Folder, find_sidecar, read_if_there
from wanprep.stage import Reject

if TYPE_CHECKING:
    from wanprep.dataset import Dataset

Row = dict[str, Any]
Place = tuple[str, str]  # root, path


def note(rows: Iterable[Row], known: Mapping[Place, Mapping[str, Any]], roots: Mapping[str, str]) -> None:
    """Fill in `since` and `beside` of sources that are listed now (in place).

    since: 0 for what the first listing found, one more for each that found anything new; it stays. known: the table
    before, by place; rows of earlier versions count as of the first listing. roots: id -> folder, as in the dataset.
    """
    this = 1 + max((row["since"] or 0 for row in known.values()), default=-1)
    folders = functools.cache(Folder.of)
    for row in rows:
        before = known.get((row["root"], row["path"]))
        row["since"] = this if before is None else before["since"] or 0
        row["beside"] = None
        if row["state"] != "gone" and row["root"] in roots:
            row["beside"] = _text_of(Path(f"{roots[row['root']]}/{row['path']}"), folders)


def look_again(dataset: Dataset) -> None:
    """Bring `beside` up to date where sources are not listed anew."""
    known = dataset.manifest.read("sources").to_dicts()
    rows = [dict(row) for row in known]
    note(rows, {(row["root"], row["path"]): row for row in known}, dataset.roots)
    if any(row["beside"] != before["beside"] for row, before in zip(rows, known)):
        dataset.manifest.replace("sources", rows)


def _text_of(film: Path, folders: Any) -> str | None:
    """Name of the text file that captions a film, if there are words in it that can be read."""
    found = find_sidecar(film, folders)
    if found is None:
        return None
    try:
        text = read_if_there(found)
    except Reject:
        return None
    return found.name if text and text.strip() else None
