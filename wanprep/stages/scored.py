"""The scores of clips as a table: a row a clip, a column a score, null where it is not known.

Whole columns are judged at once (`stages.judge`), so ten thousand clips are no more to Python than one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from wanprep.frames import frame_of

_NUMBERS = (
    *("sharpness", "smear", "shake", "light_jump", "motion", "frozen", "duplicate_rate", "luma", "quantiser", "coded"),
    *("lit", "noise", "camera_speed", "subject_motion", "card", "screen", "drawn"),
    *("mark", "second_mark", "brief_mark", "title_mark", "moving_mark"),
)
BOXES = ("mark_box", "brief_box", "title_box", "moving_box")
# What `scoring.measure_clip` finds and filters are judged on.
MEASURED: Mapping[str, Any] = {
    **dict.fromkeys(_NUMBERS, pl.Float64),
    **dict.fromkeys(BOXES, pl.List(pl.Float64)),
    "camera": pl.String,
    "measured_part": pl.List(pl.Int64),
    "map_rows": pl.Int64,
}
# What an image-text model makes of a clip (`stages.looks`).
LOOKED: Mapping[str, Any] = {
    **dict.fromkeys(("aesthetic", "nsfw", "likeness", "deviations"), pl.Float64),
    "embedding": pl.Binary,
}
CLIP: Mapping[str, Any] = {
    **dict.fromkeys(("clip_id", "source_id", "group", "kind", "path", "by_hand"), pl.String),
    **dict.fromkeys(("start_s", "end_s"), pl.Float64),
    **dict.fromkeys(("start_frame", "end_frame"), pl.Int64),
}
BESIDE: Mapping[str, Any] = {"scores_key": pl.String, **dict.fromkeys(("signature", "evidence"), pl.Binary)}
SCORED: Mapping[str, Any] = {**CLIP, **BESIDE, **MEASURED, **LOOKED}
# What deciding reads of the table `scores`, in which MEASURED is JSON.
STORED: Mapping[str, Any] = {
    **dict.fromkeys(("key", "outcome", "scores"), pl.String),
    **dict.fromkeys(("signature", "evidence", "content"), pl.Binary),
}


def scored(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Rows as such a table; what a row leaves out is null, what no filter asks for is left out."""
    return frame_of(rows, SCORED)


def stored(rows: Sequence[Mapping[str, Any]] = ()) -> pl.DataFrame:
    """Rows of the table `scores`, as far as deciding reads it."""
    return frame_of(rows, STORED)


def parsed(texts: pl.Series) -> pl.DataFrame:
    """The columns of MEASURED, of scores as JSON, in their order."""
    return texts.str.json_decode(pl.Struct(MEASURED)).struct.unnest()
