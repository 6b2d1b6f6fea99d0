"""Every shot of every good source as a clip, before quality is judged: part of deciding (`wanprep.decide`), pure."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from wanprep import by_hand, keyed, keys
from wanprep.events import anchors
from wanprep.frames import frame_of, replaced, types_of
from wanprep.pipeline import Pipeline
from wanprep.schema import TABLES

if TYPE_CHECKING:
    from wanprep.decide import Measured

Row = dict[str, Any]
_TYPES = types_of(TABLES["clips"])
_FRAMES = re.compile(r', "frames": \[[^\]]*\]')
_SPAN: Mapping[str, Any] = {
    **dict.fromkeys(("start_pts", "end_pts", "start_frame", "end_frame"), pl.Int64),
    "crop": pl.List(pl.Int64),
    **dict.fromkeys(("state", "reason"), pl.String),
}
_PLAN: Mapping[str, Any] = dict.fromkeys(("n_frames", "duplicated"), pl.Int64)
_ABOUT: Mapping[str, Any] = {
    **dict.fromkeys(("source_id", "path", "group", "kind", "signals_key", "time_base", "truncated"), pl.String),
    # For times in seconds: in floats whole numbers up to 2^53 are exact.
    **dict.fromkeys(("first_pts", "numerator", "denominator"), pl.Float64),
}
NO_TEXTS = pl.lit([], dtype=pl.List(pl.String))


def rows_by_key(rows: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {row["key"]: row for row in rows}


def decide_clips(sources: Sequence[Row], measured: Measured, pipeline: Pipeline) -> pl.DataFrame:
    """Every shot of every good source as a clip, before quality is judged; with what a person said of it. As the table
    `clips`, by path and time."""
    clips = _clips(list(divided(sources, measured, pipeline)))
    said = by_hand.verdicts(measured.events, anchors(clips, measured.events))[0]
    if said:
        told = replaced(clips, pl.DataFrame({"clip_id": list(said), "by_hand": list(said.values())}), "clip_id")
        kept = pl.col("by_hand") == by_hand.KEEP  # over what split says of it, too: it is scored like any other
        pending = {"state": pl.lit("pending"), "reasons": NO_TEXTS}
        clips = told.with_columns(**{n: pl.when(kept).then(x).otherwise(pl.col(n)) for n, x in pending.items()})
    return clips


def divided(
    sources: Iterable[Row], measured: Measured, pipeline: Pipeline
) -> Iterator[tuple[Row, Mapping[str, Any], str, str | None]]:
    """(source, its signals, spans of its shots, their plans or None) of every good source; the latter two as JSON."""
    signals, shots, plans = (rows_by_key(rows) for rows in (measured.signals, measured.shots, measured.plans))
    rate, key_of = pipeline.model.fps, keys.shots_under(pipeline.split)
    for source in sources:
        if source["state"] != "ok":
            continue
        signal = signals[keys.signals(source["source_id"])]
        shots_key = key_of(signal["digest"])
        shot, plan = shots.get(shots_key), plans.get(keys.plans(shots_key, rate))
        if shot and shot["outcome"] == "done":
            yield source, signal, shot["spans"], plan["plans"] if plan and plan["outcome"] == "done" else None


def _clips(found: Sequence[tuple[Row, Mapping[str, Any], str, str | None]]) -> pl.DataFrame:
    about = frame_of([_about(source, signal) for source, signal, _, _ in found], _ABOUT)
    spans = _parsed((spans for _, _, spans, _ in found), _SPAN)
    # Most of a plan's text is its frames, which are not asked for.
    plans = _parsed((plans and _FRAMES.sub("", plans) for _, _, _, plans in found), _PLAN)
    counts = spans.list.len()
    whole = (plans.list.len() == counts).fill_null(False) & (counts > 0)
    owners = np.repeat(np.arange(len(found)), counts.to_numpy())
    rows = pl.concat([about[owners], spans.filter(counts > 0).explode().struct.unnest()], how="horizontal")
    planned = plans.filter(whole).explode().struct.unnest()
    has_plan = whole.gather(owners)
    place = pl.select(pl.when(has_plan).then(has_plan.cum_sum() - 1)).to_series()
    rows = rows.with_columns(column.gather(place) for column in planned)
    return _as_clips(rows.with_columns(still=has_plan & (rows["kind"] == "image")))


def _parsed(texts: Iterable[str | None], kind: Mapping[str, Any]) -> pl.Series:
    """Lists of such values of their JSON, null of none."""
    return pl.Series(list(texts), dtype=pl.String).str.json_decode(pl.List(pl.Struct(kind)))


def _about(source: Row, signal: Mapping[str, Any]) -> Row:
    numerator, denominator = _ratio(signal["time_base"])
    told = {"signals_key": signal["key"], "numerator": numerator, "denominator": denominator}
    return {**source, **{name: signal[name] for name in ("time_base", "truncated", "first_pts")}, **told}


def _as_clips(rows: pl.DataFrame) -> pl.DataFrame:
    """rows: of spans, with _ABOUT of the source, n_frames and duplicated, null without a plan, and still."""

    def seconds(pts: str) -> pl.Expr:
        return (pl.col(pts) - pl.col("first_pts")) * pl.col("numerator") / pl.col("denominator")

    good, still = pl.col("state") == "ok", pl.col("still")
    made = rows.with_columns(
        clip_id=keyed.clips(rows),
        start_s=seconds("start_pts"),
        end_s=seconds("end_pts"),
        width=pl.col("crop").list.get(2),
        height=pl.col("crop").list.get(3),
        # A still has one frame, whatever duration its file format gives it.
        n_frames=pl.when(still).then(1).otherwise("n_frames"),
        duplicated=pl.when(still).then(0).otherwise("duplicated"),
        state=pl.when(good).then(pl.lit("pending")).otherwise(pl.lit("rejected")),
        reasons=pl.when(good).then(NO_TEXTS).otherwise(pl.concat_list("reason")),
        unknown=NO_TEXTS,
        caption_flags=NO_TEXTS,
        scores=pl.lit("{}"),
    )
    later = [pl.lit(None, dtype=kind).alias(name) for name, kind in _TYPES.items() if name not in made.columns]
    return made.with_columns(later).select(*_TYPES).sort("path", "start_pts", "clip_id")


@functools.lru_cache(maxsize=1024)
def _ratio(time_base: str) -> tuple[int, int]:
    return Fraction(time_base).as_integer_ratio()
