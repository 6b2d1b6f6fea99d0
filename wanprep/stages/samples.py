"""The samples of all kept clips at once: the rows that `stages.bucket` plans for each shape of a clip, by columns.
Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from wanprep import keyed
from wanprep.families import Family
from wanprep.frames import frame_of, rows_of, types_of
from wanprep.ids import key_ends
from wanprep.schema import TABLES
from wanprep.stages.bucket import SAMPLE_COLUMNS, ClipInfo, Plan, plan_of
from wanprep.stages.crop import Box, follow
from wanprep.stages.windows import View, check_views

_TYPES = types_of({name: TABLES["samples"][name] for name in SAMPLE_COLUMNS})
_OF_CLIP = ("clip_id", "source_id", "group")
_FRAME = ("x", "y", "whole_width", "whole_height")
_PICTURE = ("width", "height", "is_image", *_FRAME)
# `ClipInfo` as columns, its frame as four.
INFO: Mapping[str, Any] = {
    **dict.fromkeys(_OF_CLIP, pl.String),
    **dict.fromkeys(("width", "height", "n_frames", *_FRAME), pl.Int64),
    "is_image": pl.Boolean,
    "content": pl.Binary,
}


def infos_in(clips: pl.DataFrame) -> list[ClipInfo]:
    """Clips one by one. ValueError for one that cannot be. clips: INFO."""
    rows = rows_of(clips)
    return [ClipInfo(frame=tuple(row.pop(name) for name in _FRAME), **row) for row in rows]  # type: ignore[arg-type]


def samples_of(clips: Iterable[ClipInfo], views: Sequence[View], family: Family) -> list[dict[str, Any]]:
    """The rows of `sample_frame`."""
    told = [{**vars(c), **dict(zip(_FRAME, c.frame or (0, 0, c.width, c.height)))} for c in clips]
    return rows_of(sample_frame(frame_of(told, INFO), views, family))


def sample_frame(clips: pl.DataFrame, views: Sequence[View], family: Family) -> pl.DataFrame:
    """Every sample of the kept clips, with SAMPLE_COLUMNS, by clip_id, then in the order of the views. clips: INFO.

    state "ok": an example. "rejected": asked for, cannot be made (`too_short_for_<frames>`, `would_upscale`,
    `crop_too_large`, `no_view_for_<media>`). "duplicate" (`duplicate_window`): same clip, frames and size as an
    earlier row, which stands for both. UsageError for views that do not fit the family, ValueError for a clip_id given
    twice.
    """
    check_views(views, family)
    clips = clips.sort("clip_id")
    if clips["clip_id"].is_duplicated().any():
        raise ValueError(f"clip {clips.filter(pl.col('clip_id').is_duplicated())['clip_id'][0]} is given twice")
    shape = [*_PICTURE, "n_frames"]
    shapes = clips.unique(shape, keep="first", maintain_order=True)
    plans = [plan_of(clip, views, family) for clip in infos_in(shapes)]
    place = clips.join(shapes.select(shape).with_row_index("place"), on=shape, how="left", maintain_order="left")
    return _Samples(clips, plans, place["place"].to_numpy()).frame()


class _Samples:
    """A sample is a row of a plan and a clip. plans: of each shape; shapes: int[N], the shape of each clip."""

    def __init__(self, clips: pl.DataFrame, plans: Sequence[Sequence[Plan]], shapes: np.ndarray) -> None:
        self.clips, self.plans, self.shapes = clips, plans, shapes
        self.planned = [item for plan in plans for item in plan]
        self.starts = np.cumsum([0, *map(len, plans)])  # of each plan in `planned`
        count = np.diff(self.starts)[shapes]
        self.firsts = np.cumsum(count) - count  # of each clip its first sample
        self.owners = np.repeat(np.arange(len(clips)), count)  # of each sample its clip
        # Of each sample its place in `planned`.
        self.kinds = np.arange(count.sum()) + np.repeat(self.starts[:-1][shapes] - self.firsts, count)

    def frame(self) -> pl.DataFrame:
        made = frame_of([item.columns for item in self.planned], _TYPES)
        owners, kinds = (pl.Series(places, dtype=pl.UInt32) for places in (self.owners, self.kinds))
        ends = [key_ends("clip_id", **item.identity) for item in self.planned]
        ids = keyed.between_ends(self.clips["clip_id"], ends, owners, kinds)
        return made[kinds].with_columns(
            crop=_gathered(made["crop"], self.kinds, self._moved_crops()),
            detail=_gathered(made["detail"], self.kinds, self._stand_ins(ids)),
            sample_id=ids,
            **{name: self.clips[name].gather(owners) for name in _OF_CLIP},
        )

    def _stand_ins(self, ids: pl.Series) -> dict[int, str]:
        """Of each sample that coincides with an earlier one of its clip, what is said of it."""
        doubled = np.array([item.first is not None for item in self.planned], bool)
        found = {}
        for sample in np.flatnonzero(doubled[self.kinds]).tolist():
            clip = self.owners[sample]
            first = self.planned[self.kinds[sample]].first
            view = self.plans[self.shapes[clip]][first].columns["view"]
            found[sample] = f"same frames and size as sample {ids[int(self.firsts[clip]) + first]} of view {view!r}"
        return found

    def _moved_crops(self) -> dict[int, list[int]]:
        """Of each sample whose crop is moved to its clip's content, that crop; all clips of one picture at once."""
        known = self.clips.with_row_index("clip").filter(pl.col("content").bin.size() > 0)
        moved: dict[int, list[int]] = {}
        for (width, height, _, *frame), members in known.group_by(_PICTURE):
            clips, profiles = members["clip"].to_list(), members["content"].to_list()
            samples = self._following(clips)
            for crop, mine in samples.items():
                boxes = dict(zip(clips, follow(width, height, tuple(frame), crop, profiles)))
                moved |= {sample: list(boxes[self.owners[sample]]) for sample in mine}
        return moved

    def _following(self, clips: Sequence[int]) -> dict[Box, list[int]]:
        """Samples of these clips whose crop moves, by the crop."""
        found: dict[Box, list[int]] = {}
        for clip in clips:
            for k, item in enumerate(self.plans[self.shapes[clip]]):
                if item.follows and item.columns["crop"]:
                    found.setdefault(tuple(item.columns["crop"]), []).append(int(self.firsts[clip]) + k)
        return found


def _gathered(column: pl.Series, rows: np.ndarray, others: Mapping[int, Any]) -> pl.Series:
    """The values of a column in these rows. others: values that stand in for them, by their place in `rows`."""
    places = rows.copy()
    places[list(others)] = np.arange(len(column), len(column) + len(others))
    held = pl.concat([column, pl.Series(column.name, list(others.values()), column.dtype)])
    return held.gather(pl.Series(places, dtype=pl.UInt32))
