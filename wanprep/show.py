"""Listing clips and samples, and explaining one clip: data on stdout, tables for people, JSON for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click
import polars as pl

from wanprep.decide import planned_frames
from wanprep.near import did_you_mean, nearest
from wanprep.show_source import caption_lines, flags_of, show_named
from wanprep.stage import UsageError
from wanprep.stages.split import meanings
from wanprep.tables import console, plain, print_json, print_rows

if TYPE_CHECKING:
    from wanprep.dataset import Dataset

Row = Mapping[str, Any]
SHOWN = 10  # clips named that a CLIP could mean


def _select(rows: Sequence[Row], what: str, state: str | None, reason: str | None, source: str | None) -> list[Row]:
    """The rows asked for. what: "clips" or "samples", for errors.

    UsageError for a state or a reason that no row has and that is spelled almost like one that some have; one that is
    like none of them is told on stderr, because a set without it is no mistake.
    """
    states = Counter(state for row in rows for state in _states(row))
    reasons = Counter(reason for row in rows for reason in _reasons(row))
    for option, asked, there in (("--state", state, states), ("--reason", reason, reasons)):
        if asked and asked not in there:
            listed = ", ".join(f"{name} ({count})" for name, count in sorted(there.items())) or "none"
            said = f"{option} {asked}: no {what} of it{did_you_mean(asked, there)}; there are: {listed}"
            if nearest(asked, there):
                raise UsageError(said)
            click.echo(f"wanprep: {said}", err=True)
    return [
        row
        for row in rows
        if (not state or state in _states(row))
        and (not reason or reason in _reasons(row))
        and (not source or source in row["path"])
    ]


def _reasons(row: Row) -> list[str]:
    """What --reason finds a row by: a clip by flags of its caption, too."""
    return [*row["reasons"], *flags_of(row)] if "reasons" in row else [row["reason"]] if row["reason"] else []


def _states(row: Row) -> tuple[str, ...]:
    """What --state finds a row by. A good sample is `ok`, and `cached`, `pending`, ... as it is listed."""
    return (row["state"], row["cache_state"]) if _is_good_sample(row) else (row["state"],)


def _is_good_sample(row: Row) -> bool:
    return bool(row["state"] == "ok" and row.get("cache_state"))


def _listed_state(sample: Row) -> str:
    return sample["cache_state"] if _is_good_sample(sample) else sample["state"]


def _span(row: Row) -> str:
    return f"{row['start_s']:.2f}-{row['end_s']:.2f}"


def show_clips(dataset: Dataset, as_json: bool, **filters: Any) -> None:
    rows = _select(dataset.manifest.read("clips").to_dicts(), "clips", **filters)
    if as_json:
        print_json([{**row, "scores": json.loads(row["scores"])} for row in rows])
        return
    drawn = []
    for row in rows:
        scores = json.loads(row["scores"]) if row["reasons"] or row.get("by_hand") else {}
        why = ", ".join(_with_value(reason, scores) for reason in row["reasons"]) or _kept_by_hand(row, scores)
        why = why or (f"unknown: {', '.join(row['unknown'])}" if row["unknown"] else "")
        flags = ", ".join(flags_of(row))
        why = "; ".join(filter(None, (why, flags and f"caption: {flags}")))
        frames = f"{row['start_frame']}-{row['end_frame'] - 1}"
        drawn.append((row["clip_id"], plain(row["path"]), _span(row), frames, row["state"], why))
    print_rows(("#clip", "~source", ">seconds", ">?frames", "state", "why"), drawn)


def _kept_by_hand(row: Row, scores: Row) -> str:
    """`by_hand, over shake`; "" for other clips."""
    over = ", ".join(name for name, (_, _, said) in scores.items() if said == "reject")
    return f"by_hand{over and f', over {over}'}" if row.get("by_hand") == "keep" else ""


def _with_value(reason: str, scores: Row) -> str:
    """`blur 0.09 (limit 0.125)`, `duplicate of 3a4f9236`; a reason without a score, such as too_short, stands alone."""
    if reason == "duplicate" and "duplicate_of" in scores:
        return f"duplicate of {scores['duplicate_of'][0][:8]}" + _because(scores.get("duplicate_why"))
    value, limit, _ = scores.get(reason, (None, None, ""))
    return reason if value is None else f"{reason} {value:.3g} (limit {limit:.3g})"


def _because(why: Sequence[Any] | None) -> str:
    """Why the other one stays."""
    return f", because {why[0]}" if why else ""


def show_samples(dataset: Dataset, as_json: bool, **filters: Any) -> None:
    clips = {row["clip_id"]: row for row in dataset.manifest.read("clips").to_dicts()}
    rate = dataset.pipeline.model.fps
    planned = planned_frames(dataset.measured(), dataset.pipeline)
    rows: list[Row] = []
    for row in dataset.manifest.read("samples").to_dicts():
        clip = clips[row["clip_id"]]
        times = _times(row, clip, rate)
        window = planned.get(row["clip_id"], [])[row["start"] or 0 :][: row["frames"]]
        span = {"start_frame": window[0], "end_frame": window[-1] + 1} if window and row["start"] is not None else {}
        rows.append({**row, **times, **span, "path": clip["path"], "scores": json.loads(clip["scores"])})
    chosen = _select(rows, "samples", **filters)
    if as_json:
        print_json(chosen)
        return
    drawn = []
    for it in chosen:
        state = ": ".join(filter(None, (_listed_state(it), it["reason"])))
        frames = f"{it['start_frame']}-{it['end_frame'] - 1}" if "start_frame" in it else ""
        drawn.append((it["clip_id"], plain(it["path"]), _view(it), _bucket(it), _span(it), frames, state))
    print_rows(("#clip", "~source", "view", "bucket", ">seconds", ">?frames", "state"), drawn)


def _view(sample: Row) -> str:
    return f"{sample['view']} mirrored" if sample["flip"] else sample["view"]


def _bucket(sample: Row) -> str:
    """A rejected sample has no size."""
    if sample["width"]:
        return f"{sample['width']}x{sample['height']}x{sample['frames']}"
    return f"{sample['frames']} frames"


def show_explain(dataset: Dataset, clip: str, as_json: bool) -> None:
    """One clip: where it comes from, every score against its threshold, its caption, its samples. Or one source, named
    by its path or a part of it."""
    found = dataset.manifest.read("clips").filter(pl.col("clip_id").str.starts_with(clip.lower())).to_dicts()
    if not found:
        show_named(dataset, clip, as_json)
        return
    if len(found) > 1:
        first = [f"  {it['clip_id'][:8]}  {plain(it['path'])} {_span(it)} s" for it in found[:SHOWN]]
        rest = [f"  and {len(found) - SHOWN} more; wanprep clips lists them"] if len(found) > SHOWN else []
        raise UsageError("\n".join([f"{len(found)} clips have an id that starts with {clip!r}:", *first, *rest]))
    row = found[0]
    samples = dataset.manifest.read("samples").filter(pl.col("clip_id") == row["clip_id"]).to_dicts()
    scores = json.loads(row["scores"])
    if as_json:
        print_json({**row, "scores": scores, "samples": samples})
        return
    out = console()
    x, y, w, h = row["crop"]
    why = ", ".join(row["reasons"]) or _kept_by_hand(row, scores)
    out.print(f"clip {row['clip_id']} of {plain(row['path'])}: {row['state']} {why}")
    out.print(
        f"  {_span(row)} s, source frames {row['start_frame']}-{row['end_frame'] - 1}, picture {w}x{h} at ({x}, {y})"
    )
    out.print(f"  {row['n_frames']} frames at {dataset.pipeline.model.fps} fps, {row['duplicated']} of them repeats")
    for line in meanings(row["reasons"]):
        out.print(f"  {line}")
    if row["truncated"]:
        out.print(f"  the source is truncated: {row['truncated']}")
    for line in caption_lines(dataset, row):
        out.print(f"  {line}")
    repeated, why = scores.pop("duplicate_of", None), scores.pop("duplicate_why", None)
    if repeated:
        out.print(f"  shows the same as clip {plain(repeated[0])}; that one stays{_because(why)}")
    drawn = [
        (name, _number(value), _number(threshold), verdict, _meaning(name, verdict))
        for name, (value, threshold, verdict) in sorted(scores.items())
    ]
    if drawn:
        click.echo()
        print_rows(("score", ">value", ">threshold", "verdict", "meaning"), drawn)
    if "measured_part" in scores:
        from wanprep.stages.filter import measured_elsewhere

        out.print(measured_elsewhere(scores["measured_part"][0]))
    if samples:
        _draw_samples(samples, row, dataset.pipeline.model.fps)


def _draw_samples(samples: Sequence[Row], clip: Row, rate: int) -> None:
    """The samples of one clip. seconds: in the source, as everywhere."""
    drawn = []
    for it in samples:
        why = it["detail"] or it["reason"]
        drawn.append((_view(it), _bucket(it), _span(_times(it, clip, rate)), _listed_state(it), why))
    click.echo()
    print_rows(("view", "bucket", ">seconds", "state", "why"), drawn)


def _times(sample: Row, clip: Row, rate: int) -> dict[str, float]:
    """Where a sample's window lies in the source; its `start` and `frames` are in frames at the model's rate."""
    start = clip["start_s"] + (sample["start"] or 0) / rate
    return {"start_s": start, "end_s": min(start + (sample["frames"] or 0) / rate, clip["end_s"])}


def _number(value: Any) -> str:
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _meaning(name: str, verdict: str) -> str:
    """What a filter finds, in words; of a clip in which it found nothing, on which side of the threshold it would."""
    from wanprep.stages.filter import REGISTRY

    entry = REGISTRY.get(name)
    if entry is None:
        return ""
    found = "" if verdict == "reject" else f"{entry.bad} the threshold: "
    return f"{found}{entry.meaning} [{entry.unit}]"
