"""Listing clips and samples, and explaining one clip: data on stdout, tables for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from wanprep.decide import planned_frames
from wanprep.stage import UsageError
from wanprep.stats_render import keep_end, plain
from wanprep.tables import console, print_json, print_rows, table

if TYPE_CHECKING:
    from wanprep.dataset import Dataset

Row = Mapping[str, Any]


def _select(rows: Iterable[Row], state: str | None, reason: str | None, source: str | None) -> list[Row]:
    def fits(row: Row) -> bool:
        reasons = row.get("reasons") or [row.get("reason")]
        return (
            (not state or row["state"] == state)
            and (not reason or reason in reasons)
            and (not source or source in row["path"])
        )

    return [row for row in rows if fits(row)]


def _span(row: Row) -> str:
    return f"{row['start_s']:.2f}-{row['end_s']:.2f}"


def show_clips(dataset: Dataset, as_json: bool, **filters: Any) -> None:
    rows = _select(dataset.manifest.read("clips").to_dicts(), **filters)
    if as_json:
        print_json([{**row, "scores": json.loads(row["scores"])} for row in rows])
        return
    drawn = []
    for row in rows:
        scores = json.loads(row["scores"]) if row["reasons"] else {}
        why = ", ".join(_with_value(reason, scores) for reason in row["reasons"])
        why = why or (f"unknown: {', '.join(row['unknown'])}" if row["unknown"] else "")
        frames = f"{row['start_frame']}-{row['end_frame'] - 1}"
        drawn.append((row["clip_id"][:8], keep_end(row["path"], 17), _span(row), frames, row["state"], why))
    print_rows(("clip", "source", ">seconds", ">frames", "state", "why"), drawn)


def _with_value(reason: str, scores: Row) -> str:
    """`blur 0.09 (limit 0.125)`, `duplicate of 3a4f9236`; a reason without a score, such as too_short, stands alone."""
    if reason == "duplicate" and "duplicate_of" in scores:
        return f"duplicate of {scores['duplicate_of'][0][:8]}"
    value, limit, _ = scores.get(reason, (None, None, ""))
    return reason if value is None else f"{reason} {value:.3g} (limit {limit:.3g})"


def show_samples(dataset: Dataset, as_json: bool, **filters: Any) -> None:
    clips = {row["clip_id"]: row for row in dataset.manifest.read("clips").to_dicts()}
    rate = dataset.pipeline.model.fps
    planned = planned_frames(dataset.measured(), dataset.pipeline)
    rows: list[Row] = []
    for row in dataset.manifest.read("samples").to_dicts():
        clip = clips[row["clip_id"]]
        start = clip["start_s"] + (row["start"] or 0) / rate
        times = {"start_s": start, "end_s": min(start + (row["frames"] or 0) / rate, clip["end_s"])}
        window = planned.get(row["clip_id"], [])[row["start"] or 0 :][: row["frames"]]
        span = {"start_frame": window[0], "end_frame": window[-1] + 1} if window and row["start"] is not None else {}
        rows.append({**row, **times, **span, "path": clip["path"], "scores": json.loads(clip["scores"])})
    chosen = _select(rows, **filters)
    if as_json:
        print_json(chosen)
        return
    drawn = []
    for it in chosen:
        bucket = f"{it['width']}x{it['height']}x{it['frames']}" if it["width"] else f"-x{it['frames']}"
        state = it["cache_state"] if it["state"] == "ok" else it["state"]
        frames = f"{it['start_frame']}-{it['end_frame'] - 1}" if "start_frame" in it else ""
        where = (it["clip_id"][:6], keep_end(it["path"], 9), it["view"], bucket, _span(it), frames)
        drawn.append((*where, state, it["reason"]))
    print_rows(("clip", "source", "view", "bucket", ">seconds", ">frames", "state", "why"), drawn)


def show_explain(dataset: Dataset, clip: str, as_json: bool) -> None:
    """One clip: where it comes from, every score against its threshold, its caption, its samples."""
    found = dataset.manifest.read("clips").filter(pl.col("clip_id").str.starts_with(clip)).to_dicts()
    if len(found) != 1:
        many = "no clip" if not found else f"{len(found)} clips"
        raise UsageError(f"{many} with an id that starts with {clip!r}; wanprep clips lists them")
    row = found[0]
    samples = dataset.manifest.read("samples").filter(pl.col("clip_id") == row["clip_id"]).to_dicts()
    scores = json.loads(row["scores"])
    if as_json:
        print_json({**row, "scores": scores, "samples": samples})
        return
    out = console()
    x, y, w, h = row["crop"]
    out.print(f"clip {row['clip_id']} of {plain(row['path'])}: {row['state']} {', '.join(row['reasons'])}")
    out.print(
        f"  {_span(row)} s, source frames {row['start_frame']}-{row['end_frame'] - 1}, picture {w}x{h} at ({x}, {y})"
    )
    out.print(f"  {row['n_frames']} frames at {dataset.pipeline.model.fps} fps, {row['duplicated']} of them repeats")
    if row["truncated"]:
        out.print(f"  the source is truncated: {row['truncated']}")
    if row["caption"] is not None:
        out.print(f"  caption ({row['caption_origin']}): {plain(row['caption'])}")
    repeated = scores.pop("duplicate_of", None)
    if repeated:
        out.print(f"  shows the same as clip {plain(repeated[0])}")
    drawn = table("score", ">value", ">threshold", "verdict", "meaning")
    for name, (value, threshold, verdict) in sorted(scores.items()):
        drawn.add_row(name, _number(value), _number(threshold), verdict, _meaning(name))
    out.print(drawn)
    listing = table("view", "bucket", ">start", "state", "why")
    for sample in samples:
        bucket = f"{sample['width']}x{sample['height']}x{sample['frames']}"
        listing.add_row(
            sample["view"], bucket, str(sample["start"]), sample["state"], sample["detail"] or sample["reason"]
        )
    out.print(listing)


def _number(value: Any) -> str:
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _meaning(name: str) -> str:
    from wanprep.stages import filter

    entry = getattr(filter, "REGISTRY", {}).get(name)
    return f"{entry.meaning} [{entry.unit}]" if entry else ""
