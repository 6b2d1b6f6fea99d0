"""What splitting left of each source: those without a kept clip, transitions between clips, and files cut already.

Splitting remembers what it found beside the clips; people are told where that is why something is missing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from statistics import median
from typing import TYPE_CHECKING, Any

import polars as pl

from wanprep import keys
from wanprep.ids import key_between

if TYPE_CHECKING:
    from wanprep.dataset import Dataset

Row = Mapping[str, Any]
SHOWN = 3  # sources named
# In rows of `shots`: what may be found by mistake.
SOFT = ('"dissolve"', '"wipe"', '"maybe_mixed"', '"only_transition"')
FEW, NEARLY_ALL, SHORT = 5, 0.8, 20.0  # sources, share of them, seconds: when files look as if they were cut before


def transitions(dataset: Dataset, source_id: str) -> list[dict[str, Any]]:
    """kind, first and last frame of each transition of a source that lies in no clip, in order."""
    (shots,) = _shots(dataset, source_id) or [{"transitions": "[]"}]
    return [{name: it[name] for name in ("kind", "first", "last")} for it in json.loads(shots["transitions"])]


def clipless(sources: Sequence[Row], clips: Sequence[Row]) -> tuple[list[str], Counter[str]]:
    """Names of good sources of which no clip is kept or undecided, and the reasons, each counted once a source."""
    why: dict[str, set[str]] = {}
    for clip in clips:
        if clip["state"] != "rejected":
            why[clip["source_id"]] = {""}
        elif "" not in why.setdefault(clip["source_id"], set()):
            why[clip["source_id"]].update(clip["reasons"])
    lost = [row for row in sources if row["state"] == "ok" and why.get(row["source_id"], {""}) != {""}]
    return [row["path"] for row in lost], Counter(reason for row in lost for reason in why[row["source_id"]])


def cut_before(dataset: Dataset, sources: Sequence[Row]) -> str:
    """A line for folders of single shots of which some lost frames to a transition found in them; "" for others.

    Films have many shots or last long, and of them nothing is said.
    """
    if not dataset.pipeline.split.shots.detect:
        return ""
    moving = {row["source_id"]: row["path"] for row in sources if row["state"] == "ok" and row["kind"] == "video"}
    rows = [row for row in _shots(dataset) if row["source_id"] in moving]
    single = [row for row in rows if row["spans"].count('"start_pts"') == 1 and row["transitions"] == "[]"]
    soft = [row for row in rows if any(word in row["transitions"] + row["spans"] for word in SOFT)]
    if len(rows) < FEW or not soft or len(single) < NEARLY_ALL * len(rows) or median(map(_seconds, rows)) > SHORT:
        return ""
    named = sorted(moving[row["source_id"]] for row in soft)
    more = f" and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
    return (
        f"{len(named)} of {len(rows)} sources, nearly all of them a single shot, lost frames to a transition that was "
        f"found in them ({', '.join(named[:SHOWN])}{more}); if they were cut before: --set split.shots.detect=false"
    )


def _shots(dataset: Dataset, source_id: str | None = None) -> list[dict[str, Any]]:
    """Rows of `shots` of today's settings, with the times of their signals; of all sources, or of one."""
    done = dataset.manifest.latest("signals").filter(pl.col("outcome") == "done")
    if source_id is not None:
        done = done.filter(pl.col("source_id") == source_id)
    analysed = {keys.signals(row["source_id"]): row for row in done.select(_OF_SIGNALS).to_dicts()}
    ends = keys.shots_ends(dataset.pipeline.split)
    wanted = {key_between(ends, row["digest"]): row for key, row in analysed.items() if key == row["key"]}
    shots = dataset.manifest.latest("shots").filter(pl.col("outcome") == "done")
    found = shots.select("key", "spans", "transitions").to_dicts()
    return [{**row, **wanted[row["key"]]} for row in found if row["key"] in wanted]


_OF_SIGNALS = ("key", "source_id", "digest", "time_base", "first_pts", "last_pts")


def _seconds(row: Row) -> float:
    return float((row["last_pts"] - row["first_pts"]) * Fraction(row["time_base"]))
