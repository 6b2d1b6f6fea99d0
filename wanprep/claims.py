"""What speaks for a clip when others show the same: a person's words, the views it fills, how long it has been here.

Gathered for such clips alone, from what is measured and listed. Pure.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from wanprep.captioners import several
from wanprep.captioners.choose import last_human
from wanprep.captioners.files import DAMAGED
from wanprep.captioners.registry import AUTO
from wanprep.captioners.sidecar import FOLDER_DEFAULT
from wanprep.events import anchors, attach
from wanprep.families import Family
from wanprep.frames import rows_of
from wanprep.stage import Reject
from wanprep.stages.copies import Claims
from wanprep.stages.crop import choose
from wanprep.stages.precedence import FOLDER_TEXT, OWN_TEXT, TOUCHED, TYPED, Claim
from wanprep.stages.windows import View, windows

if TYPE_CHECKING:
    from wanprep.measured import Measured
    from wanprep.pipeline import Pipeline

Row = Mapping[str, Any]
_READ = ("clip_id", "source_id", "path", "kind", "width", "height", "n_frames")
Shape = tuple[int, int, int, bool]  # width, height of the picture after bars; frames of the plan; is it a still


def claims_of(clips: pl.DataFrame, measured: Measured, pipeline: Pipeline) -> Claims:
    """clips: all of them, for captions by hand find theirs among all."""

    def claims(clip_ids: Sequence[str]) -> Mapping[str, Claim]:
        typed = typed_in(measured.events, anchors(clips, measured.events))
        since, beside = _films(measured)
        read = pipeline.caption.captioner in (AUTO, "sidecar")
        views: dict[Shape, int] = {}  # most clips of a film are of the same size
        found = {}
        for clip in rows_of(clips.filter(pl.col("clip_id").is_in(clip_ids)).select(*_READ)):
            text = beside.get((clip["source_id"], clip["path"])) if read else None
            shape = clip["width"], clip["height"], clip["n_frames"], clip["kind"] == "image"
            if shape not in views:
                views[shape] = filled(shape, pipeline.views, pipeline.model)
            found[clip["clip_id"]] = Claim(
                words=typed.get(clip["clip_id"]) or _of_text(text),
                views=views[shape],
                width=clip["width"],
                height=clip["height"],
                since=since.get(clip["source_id"], 0),
            )
        return found

    return claims


def typed_in(events: Iterable[Row], clips: Sequence[Row]) -> dict[str, int]:
    """clip_id -> TYPED or TOUCHED, of clips of which a person wrote a caption. events: in order of recording."""
    captions = [event for event in events if several.number_of(event["kind"]) is not None]
    if not captions:
        return {}
    found = {}
    for clip_id, numbered in last_human(attach(captions, clips)[0]).items():
        standing = [event for event in numbered.values() if event is not None]
        said = any(event["value"].strip() and event.get("origin") != DAMAGED for event in standing)
        if standing:
            found[clip_id] = TYPED if said else TOUCHED
    return found


def _films(measured: Measured) -> tuple[dict[str, int], dict[tuple[str, str], str]]:
    """source_id -> with which listing its bytes came first, under whatever name; (source_id, path) -> the text beside
    it."""
    files = {row["key"]: row["source_id"] for row in measured.files}
    since: dict[str, int] = {}
    beside: dict[tuple[str, str], str] = {}
    for row in measured.sources:
        source_id = files.get(row["file_key"]) or row.get("source_id")
        if source_id is None:
            continue
        came = row.get("since") or 0
        since[source_id] = min(came, since.get(source_id, came))
        if row.get("beside") and row["state"] != "gone":
            beside[source_id, row["path"]] = row["beside"]
    return since, beside


def _of_text(name: str | None) -> int:
    return 0 if not name else FOLDER_TEXT if name.lower() == FOLDER_DEFAULT else OWN_TEXT


def filled(shape: Shape, views: Sequence[View], family: Family) -> int:
    """How many of the views get a sample of such a clip."""
    width, height, n_frames, is_image = shape
    found = 0
    for view in views:
        if view.takes(is_image=is_image) and windows(n_frames, view, longest=family.max_frames):
            with contextlib.suppress(Reject):
                choose(width, height, view, family)
                found += 1
    return found
