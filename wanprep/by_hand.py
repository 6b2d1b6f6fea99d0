"""What people decided of single clips: keep it or leave it out, whatever the filters say. Pure.

Such a verdict is an event anchored to a span of a source (`wanprep.events`), so it follows its clip through other
detector settings, and the latest of a clip counts. A value of None takes earlier ones back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from wanprep.events import attach
from wanprep.ids import key_of

KIND = "verdict"
KEEP, DROP = "keep", "drop"
REASON = "by_hand"  # why a dropped clip is rejected

Row = Mapping[str, Any]


def verdicts(events: Iterable[Row], clips: Sequence[Row]) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """(clip_id -> KEEP or DROP, events of verdicts whose clip is no more: see `wanprep.lost`). events: in order of
    recording, of any kind."""
    mine = [event for event in events if event["kind"] == KIND]
    if not mine:
        return {}, []
    attached, orphaned = attach(mine, clips)
    latest = {event["clip_id"]: event["value"] for event in attached}
    return {clip_id: value for clip_id, value in latest.items() if value is not None}, orphaned


def event_of(clip: Row, value: str | None, before: int) -> dict[str, Any]:
    """A row of the table `events`. value: KEEP, DROP or None; before: how many events there are already."""
    anchor = {name: clip[name] for name in ("source_id", "start_pts", "end_pts")}
    key = key_of(kind=KIND, value=value, number=before, **anchor)
    return {"key": key, "kind": KIND, "clip_id": clip["clip_id"], "value": value, "origin": "human", **anchor}
