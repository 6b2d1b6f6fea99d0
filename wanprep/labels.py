"""What people said of clips, from a CSV: reading it, and finding the clips that it means.

The file has a header: `label` (keep | drop), and `clip_id` (or its start), or `path` and `time` (a second of the source
inside the clip); optionally `reason`, a filter's name, on drops. Pure.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wanprep.stage import UsageError

Row = Mapping[str, Any]
Pair = tuple["Label", Row]


@dataclass(frozen=True, kw_only=True)
class Label:
    """What a person said of one clip. line: of the file, for messages. reason: "" or what is wrong with it."""

    line: int
    keep: bool
    clip_id: str = ""
    path: str = ""
    time: float = math.nan
    reason: str = ""


def read_labels(text: str, where: str) -> list[Label]:
    """Parse the CSV; UsageError that names the line, the value and the remedy."""
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    names = set(reader.fieldnames or ())
    if "label" not in names or not ({"clip_id"} <= names or {"path", "time"} <= names):
        found = ", ".join(reader.fieldnames or ()) or "nothing"
        raise UsageError(
            f"{where}: the first line must name label and clip_id, or label, path and time; it has {found}"
        )
    return [_label(row, reader.line_num, where) for row in reader]


def _label(row: Mapping[str, str | None], line: int, where: str) -> Label:
    cells = {name: (value or "").strip() for name, value in row.items() if isinstance(name, str)}
    said = cells["label"].lower()
    if said not in ("keep", "drop"):
        raise UsageError(f"{where}, line {line}: label is {cells['label']!r}; it must be keep or drop")
    clip_id, path, reason = cells.get("clip_id", ""), cells.get("path", ""), cells.get("reason", "")
    try:
        time = float(cells.get("time") or "nan")
    except ValueError:
        raise UsageError(f"{where}, line {line}: time is {cells['time']!r}; it must be seconds, as 12.5") from None
    if not clip_id and (not path or math.isnan(time)):
        raise UsageError(f"{where}, line {line}: names no clip; give clip_id, or path and time")
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
        return [clip for clip in clips if clip["clip_id"].startswith(label.clip_id)]
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
