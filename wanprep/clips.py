"""Every shot of every good source as a clip, before quality is judged: part of deciding (`wanprep.decide`), pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
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
    from wanprep.measured import Measured

Row = dict[str, Any]
_TYPES = types_of(TABLES["clips"])
_FRAMES = re.compile(r', "frames": \[[^\]]*\]')
_SPAN: Mapping[str, Any] = {
    **dict.fromkeys(("start_pts", "end_pts", "start_frame", "end_frame"), pl.Int64),
    "crop": pl.List(pl.Int64),
    **dict.fromkeys(("state", "reason"), pl.String),
}
_PLAN: Mapping[str, Any] = dict.fromkeys(("n_frames", "duplicated"), pl.Int64)
_OF_SOURCE: Mapping[str, Any] = dict.fromkeys(("source_id", "path", "group", "kind"), pl.String)
_CLOCK: Mapping[str, Any] = {"time_base": pl.String, "numerator": pl.Float64, "denominator": pl.Float64}
_OF_SIGNALS = ("time_base", "truncated", "first_pts")
NO_TEXTS = pl.lit([], dtype=pl.List(pl.String))


def decide_clips(sources: Sequence[Row], measured: Measured, pipeline: Pipeline) -> pl.DataFrame:
    """Every shot of every good source as a clip, before quality is judged; with what a person said of it. As the table
    `clips`, by path and time."""
    clips = _clips(divided(sources, measured, pipeline))
    said = by_hand.verdicts(measured.events, anchors(clips, measured.events))[0]
    if said:
        told = replaced(clips, pl.DataFrame({"clip_id": list(said), "by_hand": list(said.values())}), "clip_id")
        kept = pl.col("by_hand") == by_hand.KEEP  # over what split says of it, too: it is scored like any other
        pending = {"state": pl.lit("pending"), "reasons": NO_TEXTS}
        clips = told.with_columns(**{n: pl.when(kept).then(x).otherwise(pl.col(n)) for n, x in pending.items()})
    return clips


def divided(sources: Iterable[Row], measured: Measured, pipeline: Pipeline) -> pl.DataFrame:
    """Good sources whose shots are known: _OF_SOURCE, signals_key and _OF_SIGNALS, and as JSON the spans of their shots
    and the plans of these, null without any."""
    good = frame_of([source for source in sources if source["state"] == "ok"], _OF_SOURCE)
    good = good.with_columns(signals_key=pl.Series(list(map(keys.signals, good["source_id"])), dtype=pl.String))
    signals = measured.signals.select(*_OF_SIGNALS, "digest", signals_key="key")
    found = good.join(signals, on="signals_key", maintain_order="left")
    found = found.with_columns(shots=keyed.between(keys.shots_ends(pipeline.split), found["digest"]))
    found = found.join(_done(measured.shots, "spans"), left_on="shots", right_on="key", maintain_order="left")
    found = found.with_columns(key=keyed.between(keys.plans_ends(pipeline.model.fps), found["shots"]))
    found = found.join(_done(measured.plans, "plans"), on="key", how="left", maintain_order="left")
    return found.drop("digest", "shots", "key")


def _done(table: pl.DataFrame, name: str) -> pl.DataFrame:
    return table.filter(pl.col("outcome") == "done").select("key", name)


def _clips(found: pl.DataFrame) -> pl.DataFrame:
    """found: as `divided` makes it."""
    spans = _parsed(found["spans"], _SPAN)
    # Most of a plan's text is its frames, which are not asked for.
    short = [plans and _FRAMES.sub("", plans) for plans in found["plans"].to_list()]
    plans = _parsed(pl.Series(short, dtype=pl.String), _PLAN)
    counts = spans.list.len()
    whole = (plans.list.len() == counts).fill_null(False) & (counts > 0)
    owners = pl.Series(np.repeat(np.arange(len(found)), counts.to_numpy()))
    about = _with_clock(found.drop("spans", "plans")).select(pl.all().gather(owners))
    rows = pl.concat([about, spans.filter(counts > 0).explode().struct.unnest()], how="horizontal")
    planned = plans.filter(whole).explode().struct.unnest()
    has_plan = whole.gather(owners)
    place = pl.select(pl.when(has_plan).then(has_plan.cum_sum() - 1)).to_series()
    rows = rows.with_columns(column.gather(place) for column in planned)
    return _as_clips(rows.with_columns(still=has_plan & (rows["kind"] == "image")))


def _parsed(texts: pl.Series, kind: Mapping[str, Any]) -> pl.Series:
    """Lists of such values of their JSON, null of none."""
    return texts.str.json_decode(pl.List(pl.Struct(kind)))


def _with_clock(found: pl.DataFrame) -> pl.DataFrame:
    """With what times in seconds are worked out of, in floats, in which whole numbers up to 2^53 are exact."""
    bases = found["time_base"].unique().to_list()
    rows = [(base, *map(float, Fraction(base).as_integer_ratio())) for base in bases]
    clock = pl.DataFrame(rows, _CLOCK, orient="row")
    return found.with_columns(pl.col("first_pts").cast(pl.Float64)).join(clock, on="time_base", maintain_order="left")


def _as_clips(rows: pl.DataFrame) -> pl.DataFrame:
    """rows: of spans, with what is known of their source, n_frames and duplicated, null without a plan, and still."""

    def seconds(pts: str) -> pl.Series:
        # By numpy: where all are the same, polars multiplies by the reciprocal, and the last digit is another.
        since, by, of = (rows[name].to_numpy() for name in ("first_pts", "numerator", "denominator"))
        return pl.Series((rows[pts].to_numpy() - since) * by / of)

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
