"""Human decisions find their clip again, whatever the detector settings of today make of the footage.

An event is anchored to a span of a source. It belongs to the clip of that source whose span overlaps most, if their
intersection over union is at least 0.8; otherwise it is orphaned: listed, and never dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from wanprep.frames import rows_of

MIN_IOU = 0.8

Row = Mapping[str, Any]


def anchors(clips: pl.DataFrame, events: Sequence[Row]) -> Sequence[Row]:
    """What `attach` reads of a table of clips; nothing where there are no events, which are few, if any."""
    return rows_of(clips.select("clip_id", "source_id", "start_pts", "end_pts")) if events else []


def overlap(a: Row, b: Row) -> float:
    """Intersection over union of two spans [start_pts, end_pts) of one source; 0 to 1."""
    common = min(a["end_pts"], b["end_pts"]) - max(a["start_pts"], b["start_pts"])
    union = max(a["end_pts"], b["end_pts"]) - min(a["start_pts"], b["start_pts"])
    return max(0, common) / union if union > 0 else float(a["start_pts"] == b["start_pts"])


def attach(events: Iterable[Row], clips: Sequence[Row]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(attached, orphaned): attached events carry the clip_id of today's clip. Order is kept."""
    by_source: dict[str, list[Row]] = {}
    for clip in clips:
        by_source.setdefault(clip["source_id"], []).append(clip)
    attached, orphaned = [], []
    for event in events:
        candidates = by_source.get(event["source_id"], [])
        best = max(candidates, key=lambda clip: (overlap(event, clip), -clip["start_pts"]), default=None)
        if best is not None and overlap(event, best) >= MIN_IOU:
            attached.append({**event, "clip_id": best["clip_id"]})
        else:
            orphaned.append(dict(event))
    return attached, orphaned
