"""Videos found in public packages, labelled by eye: the table, and what of a file's labels `wanprep` agrees with.

found.json lists the files, one a line. No footage is kept here: a file is known by its digest, and the package that it
comes from is named, for whoever fetches it. Set A was looked at while wanprep was made. No threshold was fitted to
set B, but it has been looked at: docs/measured/found.md says what was mended for it.

cuts: every change of shot: a number is the first frame of the new shot, [first, last] a transition's mixing frames.
unclear: [first, last], where nobody can tell; what is predicted there counts neither way.
pieces: [start, end (exclusive), "keep" | "drop" | "unsure", fault], of shots of more than two seconds: whether somebody
who trains a LoRA on good video would keep it, and else why not. Small pictures ("small") are no fault of `score`.
frames: what plays; null: nobody knows. Frames are 0-based in presentation order.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

NEAR = 1  # frames that a predicted boundary may be off
ENOUGH = 0.5  # share of a piece that decides what became of it
TABLE = Path(__file__).with_name("found.json")
Span = tuple[int, int]  # first and last frame
Entry = Mapping[str, Any]  # of `wanprep cuts --json` or `score --json`


@dataclass(frozen=True, kw_only=True)
class File:
    """One line of the table; see the module."""

    set: str
    name: str
    registry: str
    package: str
    version: str
    path: str
    sha256: str
    frames: int | None
    cuts: Sequence[Any]
    unclear: Sequence[Sequence[int]]
    pieces: Sequence[Sequence[Any]]

    def changes(self) -> list[Span]:
        """Transitions, a hard cut as the last frame before it and the first one after; those that touch are one way
        from shot to shot."""
        spans = sorted((at - 1, at) if isinstance(at, int) else (at[0], at[1]) for at in self.cuts)
        out: list[Span] = []
        for first, last in spans:
            mixes = last - first > 1
            if out and mixes and out[-1][1] - out[-1][0] > 1 and first <= out[-1][1] + 1:
                out[-1] = (out[-1][0], max(last, out[-1][1]))
            else:
                out.append((first, last))
        return out


def table(path: Path = TABLE) -> list[File]:
    return [File(**line) for line in json.loads(path.read_text())]


def matched(files: Iterable[File], folder: Path, suffixes: frozenset[str]) -> dict[str, Path]:
    """Paths of the table's files below a folder, by digest, whatever they are called there."""
    wanted, found = {file.sha256 for file in files}, {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in suffixes and path.is_file():
            with path.open("rb") as opened:
                digest = hashlib.file_digest(opened, "sha256").hexdigest()
            if digest in wanted:
                found.setdefault(digest, path)
    return found


def misread(file: File, entry: Entry) -> str:
    """Why the labels cannot be compared with what was read; "" when they can."""
    if entry["state"] != "ok":
        return f"{entry['state']}: {entry['reason']} ({entry['detail']})"
    if file.frames is not None and abs(entry["frames"] - file.frames) > NEAR:
        return f"{entry['frames']} of {file.frames} frames read; said: {entry['truncated'] or 'nothing'}"
    return ""


def _touch(span: Span, others: Iterable[Sequence[int]], room: int = 0) -> bool:
    return any(span[0] - room <= last and span[1] + room >= first for first, last in others)


def judge_cuts(file: File, entry: Entry) -> tuple[Counter[str], list[str]]:
    """Counts of one file (found, missed, doubtful of the missed, false; clips and leaks) and lines about errors."""
    tally, log = Counter(files=1), []
    hard = [(cut - 1, cut) for cut in entry["hard"]]
    mixes = [(mix["first"], mix["last"]) for mix in entry["gradual"]]
    black = [(edge - 1, edge) for span in entry["black"] for edge in (span["first"], span["last"] + 1)]
    doubts = [(c["start_frame"], c["end_frame"] - 1) for c in entry["clips"] if c["reason"] == "maybe_mixed"]
    changes = [span for span in file.changes() if not _touch(span, file.unclear)]
    for first, last in changes:
        sharp = last - first == 1
        edges = [cut for _, cut in [*hard, *black]]
        near = any(abs(cut - last) <= NEAR for cut in edges) if sharp else _touch((first, last), hard)
        if near or _touch((first, last), mixes):
            tally["found"] += 1
            continue
        doubted = _touch((first, last), doubts, 1)
        tally.update({"missed": 1, "doubtful": doubted})
        log.append(f"missed {last if sharp else (first, last)}{' (doubtful)' * doubted}")
    for span in [*hard, *mixes]:
        shown = span[1] if span in hard else span
        at = (span[1], span[1] - NEAR) if span in hard else (span[0] - NEAR, span[1] + NEAR)
        if not _touch((min(at), max(at)), file.changes()) and not _touch(span, file.unclear):
            tally["false"] += 1
            log.append(f"false {shown}")
    _leaks(file, entry, tally, log)
    return tally, log


def _leaks(file: File, entry: Entry, tally: Counter[str], log: list[str]) -> None:
    """Clips that hold a cut, or a frame of a transition."""
    for clip in entry["clips"]:
        if clip["state"] == "ok":
            start, last = clip["start_frame"], clip["end_frame"] - 1
            within = [
                at if isinstance(at, int) else tuple(at)
                for at in file.cuts
                if (start < at <= last if isinstance(at, int) else at[0] <= last and at[1] >= start)
            ]
            tally["clips"] += 1
            tally["leaks"] += bool(within)
            if within:
                log.append(f"clip {start}-{last} holds {within}")


def judge_pieces(file: File, entry: Entry) -> list[dict[str, Any]]:
    """A row a piece: what it should be, the share [0, 1] of its frames in clips that are kept, and the filters (or
    reasons of the division) of the others that overlap it; "transition" where no clip does."""
    rows = []
    for start, end, verdict, *fault in file.pieces:
        kept, reasons = np.zeros(end - start, bool), Counter[str]()
        for clip in entry.get("clips", ()):
            a, b = max(start, clip["start_frame"]), min(end, clip["end_frame"])
            why = [name for name in clip["reasons"] if name != "duplicate"]
            if b > a and why:
                reasons.update(dict.fromkeys(why, b - a))
            elif b > a:
                kept[a - start : b - start] = True
        share = float(kept.mean())
        named = [name for name, frames in reasons.most_common() if frames >= 0.1 * (end - start)]
        rows.append(
            {"set": file.set, "shot": file.name, "start": start, "end": end, "verdict": verdict, "kept": share}
            | {"fault": fault[0] if fault else "", "reasons": (named or ["transition"]) if share < ENOUGH else []}
        )
    return rows


def rates(tally: Mapping[str, int]) -> dict[str, float]:
    """Precision, recall and F1 [0, 1] of the cuts; 0 where there is nothing."""
    found, missed, false = (tally.get(name, 0) for name in ("found", "missed", "false"))
    return {
        "precision": found / max(1, found + false),
        "recall": found / max(1, found + missed),
        "f1": 2 * found / max(1, 2 * found + missed + false),
    }
