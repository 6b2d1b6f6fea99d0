"""What people said of clips, from a CSV: reading it, and finding the clips that it means.

The file has a header: `label` (keep | drop), and `clip_id` (or its start), or `path` and `time` (a second of the source
inside the clip); optionally `reason`, a filter's name, on drops. Columns are divided by commas, semicolons (as
spreadsheets of many languages write them; their decimal commas are read, too) or tabs. Pure but for `load_labels`.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wanprep.stage import UsageError

Row = Mapping[str, Any]
Pair = tuple["Label", Row]
Bad = tuple[int, str]  # a line that says nothing: its number, and why


@dataclass(frozen=True, kw_only=True)
class Label:
    """What a person said of one clip. line: of the file, for messages. reason: "" or what is wrong with it."""

    line: int
    keep: bool
    clip_id: str = ""
    path: str = ""
    time: float = math.nan
    reason: str = ""


def load_labels(file: Path) -> tuple[list[Label], list[Bad]]:
    """`read_labels` of a file; UsageError where it cannot be read, too."""
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"cannot read {file}: {error}; save it as CSV UTF-8") from error
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error}") from error
    return read_labels(text, str(file))


def read_labels(text: str, where: str) -> tuple[list[Label], list[Bad]]:
    """Parse the CSV: (labels, lines that are none). UsageError when the first line does not name the columns."""
    text = text.removeprefix("\ufeff")
    reader = csv.DictReader(io.StringIO(text), delimiter=_divider(text.partition("\n")[0]))
    found: list[Label] = []
    bad: list[Bad] = []
    try:
        reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
        _check_columns(reader.fieldnames, where)
        for row in reader:
            cells = {name: (value or "").strip() for name, value in row.items() if isinstance(name, str)}
            try:
                found.append(_label(cells, reader.line_num))
            except ValueError as error:
                bad.append((reader.line_num, str(error)))
    except csv.Error as error:
        raise UsageError(f"{where}, line {reader.line_num}: {error}") from error
    return found, bad


def _check_columns(names: Sequence[str], where: str) -> None:
    """UsageError where the first line does not say what is what."""
    if "label" not in names or not ("clip_id" in names or {"path", "time"} <= set(names)):
        raise UsageError(
            f"{where}: the first line must name label and clip_id, or label, path and time, divided by commas, "
            f"semicolons or tabs; it has {', '.join(names) or 'nothing'}"
        )
    for name in ("label", "clip_id", "path", "time", "reason"):
        if names.count(name) > 1:
            raise UsageError(f"{where}: the first line names {name} more than once; leave one column of it")


def _divider(header: str) -> str:
    """What stands between the columns: what the first line has most of."""
    return max(",;\t", key=header.count)


def _label(cells: Mapping[str, str], line: int) -> Label:
    """ValueError that names the value and the remedy."""
    said = cells["label"].lower()
    if said not in ("keep", "drop"):
        raise ValueError(f"label is {cells['label']!r}; it must be keep or drop")
    clip_id, path, reason = cells.get("clip_id", ""), cells.get("path", ""), cells.get("reason", "")
    try:
        time = float(cells.get("time", "").replace(",", ".") or "nan")
    except ValueError:
        raise ValueError(f"time is {cells['time']!r}; it must be seconds, as 12.5") from None
    if not clip_id and (not path or math.isnan(time)):
        raise ValueError("names no clip; give clip_id, or path and time")
    return Label(line=line, keep=said == "keep", clip_id=clip_id, path=path, time=time, reason=reason)


def find_clips(labels: Sequence[Label], clips: Sequence[Row]) -> tuple[list[Pair], list[Label]]:
    """(labels with the clip each means, labels that mean none or several)."""
    found, lost = [], []
    for label in labels:
        fits = _meant(label, clips)
        if len(fits) == 1:
            found.append((label, fits[0]))
        else:
            lost.append(label)
    return found, lost


def _meant(label: Label, clips: Sequence[Row]) -> list[Row]:
    if label.clip_id:
        return [clip for clip in clips if clip["clip_id"].startswith(label.clip_id.lower())]
    return [clip for clip in _of_path(label, clips) if clip["start_s"] <= label.time < clip["end_s"]]


def _of_path(label: Label, clips: Sequence[Row]) -> list[Row]:
    return [clip for clip in clips if clip["path"] == label.path or clip["path"].endswith("/" + label.path)]


def why_lost(label: Label, clips: Sequence[Row]) -> str:
    """Why a label means no clip, or several; for people."""
    count = len(_meant(label, clips))
    if label.clip_id:
        what = f"an id that starts with {label.clip_id!r}"
        return f"{count} clips have {what}; give more of it" if count else f"no clip has {what}"
    if count:
        return f"{count} clips lie at {label.time:g} s of sources called {label.path!r}; give more of the path"
    if _of_path(label, clips):
        return f"{label.path!r} has no clip at {label.time:g} s"
    return f"no clip is of a source called {label.path!r}; paths are those that `wanprep clips` shows"


@dataclass(frozen=True, kw_only=True)
class Sifted:
    """Labels that say something, each once. repeated: lines that say what an earlier one does. torn: clips that are to
    be kept by one line and dropped by another, with their labels: these are in no other list."""

    pairs: list[Pair]
    repeated: list[Label]
    torn: list[tuple[Row, list[Label]]]


def sift(pairs: Sequence[Pair]) -> Sifted:
    """Take out repetitions and contradictions. Several reasons to drop one clip are no contradiction."""
    of_clip: dict[str, list[Pair]] = {}
    for label, clip in pairs:
        of_clip.setdefault(clip["clip_id"], []).append((label, clip))
    found = Sifted(pairs=[], repeated=[], torn=[])
    for own in of_clip.values():
        if len({label.keep for label, _ in own}) > 1:
            found.torn.append((own[0][1], [label for label, _ in own]))
            continue
        said: set[str] = set()
        for label, clip in own:
            what = "" if label.keep else label.reason
            if what in said:
                found.repeated.append(label)
            else:
                said.add(what)
                found.pairs.append((label, clip))
    return found
