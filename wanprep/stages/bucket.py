"""From clips and views to samples: buckets, crops, and one row for every example wanted, made or not.

Pure and whole-table: changing a view decodes nothing by itself. The crop depends on the clip's picture and the bucket
only, never on the window, so one mp4 of a clip and size serves every window and every view that shares the size. A
mirrored copy is a sample of its own with a latent of its own; it is mirrored on its way to the VAE, and reads the
same mp4.

Legend: sizes are (width, height) in pixels. Crops are (x, y, w, h) in display pixels of the clip's picture after bars
are cut off (rotation and sample aspect ratio applied).
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from wanprep.families import Family
from wanprep.ids import key_maker
from wanprep.schema import TABLES
from wanprep.stage import Reject
from wanprep.stages.crop import MAX_ASPECT, Box, Size, buckets_of, choose, crop_box, follow
from wanprep.stages.windows import View, Window, check_views, shortfalls, windows

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "MAX_ASPECT",
    "SAMPLE_COLUMNS",
    "ClipInfo",
    "View",
    "buckets_of",
    "choose",
    "crop_box",
    "mp4_needs",
    "sample_frame",
    "samples_of",
]

# Columns of a sample row. None: `start` when there is no window; width, height and crop when there is no bucket.
# state: ok | rejected | duplicate; reason is "" when ok.
SAMPLE_COLUMNS = (
    *("sample_id", "clip_id", "source_id", "group", "view", "start", "frames", "width", "height", "crop"),
    *("flip", "repeats", "weight", "tokens", "state", "reason", "detail"),
)
_OF_CLIP = ("clip_id", "source_id", "group")


@dataclass(frozen=True, kw_only=True)
class ClipInfo:
    """What bucketing needs to know of a kept clip. width, height: its picture after bars, in display pixels.

    n_frames: slots of its frame plan (at the family's rate); 1 for a still. content: profiles of where its content is
    (`signals.content`), b"" when unknown; they are of the whole source frame, of which (x, y, W, H) `frame` says where
    the picture lies and how large that frame is (None: the picture is the frame).
    """

    clip_id: str
    source_id: str
    group: str
    width: int
    height: int
    n_frames: int
    is_image: bool = False
    content: bytes = b""
    frame: Box | None = None

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1 or self.n_frames < 1:
            raise ValueError(
                f"clip {self.clip_id}: {self.width}x{self.height} with {self.n_frames} frames; all must be at least 1"
            )
        if self.is_image and self.n_frames != 1:
            raise ValueError(f"clip {self.clip_id}: a still with {self.n_frames} frames; a still has 1")
        x, y, wide, high = self.frame or (0, 0, self.width, self.height)
        if x < 0 or y < 0 or x + self.width > wide or y + self.height > high:
            raise ValueError(
                f"clip {self.clip_id}: {self.width}x{self.height} at ({x}, {y}) is not inside the frame {wide}x{high}"
            )


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """One row of a clip: all columns, empty where they name the clip. `first`: index of the row it coincides with."""

    identity: dict[str, Any]
    columns: dict[str, Any]
    first: int | None = None
    follows: bool = False  # whether the crop moves to where the clip's content is

    @cached_property
    def sample_id(self) -> Callable[[str], str]:
        """Of a clip_id."""
        return key_maker("clip_id", **self.identity)


def _columns(view: View, frames: int, **more: Any) -> dict[str, Any]:
    base = {
        "view": view.name,
        "frames": frames,
        "repeats": view.repeats,
        "weight": float(view.weight),
        "tokens": 0,
        "flip": False,
    }
    return {**dict.fromkeys(SAMPLE_COLUMNS), **base, "state": "ok", "reason": "", "detail": "", **more}


def _made(view: View, window: Window, place: Any, family: Family) -> dict[str, Any]:
    start, frames = window.start, window.frames
    if isinstance(place, Reject):
        return _columns(view, frames, start=start, state="rejected", reason=place.reason, detail=place.detail)
    wide, high, crop = place
    tokens = family.tokens(wide, high, frames)
    return _columns(view, frames, start=start, width=wide, height=high, crop=list(crop), tokens=tokens)


def _plan(width: int, height: int, n_frames: int, is_image: bool, views: Sequence[View], family: Family) -> list[_Plan]:
    """Every row that a clip of this shape and length gets, in the order of the views."""
    rows: list[_Plan] = []
    seen: dict[tuple[Any, ...], int] = {}  # coinciding across views too: the same pixels twice are one sample
    for view in views:
        if not view.takes(is_image=is_image):
            continue
        place: Any
        try:
            place = choose(width, height, view, family)
        except Reject as reject:
            place = reject
        for slot, window in enumerate(windows(n_frames, view, longest=family.max_frames)):
            columns = _made(view, window, place, family)
            rows.append(_planned(columns, slot, view, len(rows), seen))
            if view.flip_x and columns["width"]:  # what cannot be made is not missing a second time, mirrored
                rows.append(_planned({**columns, "flip": True}, slot, view, len(rows), seen))
        for short in shortfalls(n_frames, view):
            columns = _columns(view, short.frames, state="rejected", reason=short.reason, detail=short.detail)
            identity = {"view": view.name, "frames": short.frames, "slot": short.slot, "reason": short.reason}
            rows.append(_Plan(identity=identity, columns=columns))
    return rows or [_unwanted(is_image)]


def _planned(columns: dict[str, Any], slot: int, view: View, index: int, seen: dict[tuple[Any, ...], int]) -> _Plan:
    identity = {name: columns[name] for name in ("view", "start", "frames", "width", "height")}
    if columns["flip"]:
        identity["flip"] = True
    first = None
    if columns["width"]:
        first = seen.setdefault(tuple(columns[n] for n in ("start", "frames", "width", "height", "flip")), index)
        first = None if first == index else first
    if first is not None:
        columns = {**columns, "state": "duplicate", "reason": "duplicate_window"}
    if columns["state"] != "ok":
        identity |= {"slot": slot, "reason": columns["reason"]}
    return _Plan(identity=identity, columns=columns, first=first, follows=view.crop == "content")


def _unwanted(is_image: bool) -> _Plan:
    media = "image" if is_image else "video"
    columns = dict.fromkeys(SAMPLE_COLUMNS) | {
        "view": "", "frames": 0, "repeats": 0, "weight": 0.0, "tokens": 0, "flip": False, "state": "rejected",
        "reason": f"no_view_for_{media}",
        "detail": f'no view takes this clip; add a [[views]] table with media = "{media}" or "any"',
    }  # fmt: skip
    return _Plan(identity={"view": "", "reason": columns["reason"]}, columns=columns)


def samples_of(clips: Iterable[ClipInfo], views: Sequence[View], family: Family) -> list[dict[str, Any]]:
    """The rows of `sample_frame`."""
    return sample_frame(clips, views, family).to_dicts()


def sample_frame(clips: Iterable[ClipInfo], views: Sequence[View], family: Family) -> pl.DataFrame:
    """Every sample of the kept clips, with SAMPLE_COLUMNS, by clip_id, then in the order of the views.

    state "ok": an example. "rejected": asked for, cannot be made (`too_short_for_<frames>`, `would_upscale`,
    `crop_too_large`, `no_view_for_<media>`). "duplicate" (`duplicate_window`): same clip, frames and size as an
    earlier row, which stands for both. UsageError for views that do not fit the family, ValueError for a clip_id given
    twice.
    """
    check_views(views, family)
    ordered = sorted(clips, key=lambda clip: clip.clip_id)
    plans: dict[tuple[Any, ...], list[_Plan]] = {}
    previous = None
    for clip in ordered:
        if clip.clip_id == previous:
            raise ValueError(f"clip {clip.clip_id} is given twice")
        previous = clip.clip_id
        shape = _shape(clip)
        if shape not in plans:
            plans[shape] = _plan(*shape, views, family)
    return _frame(ordered, plans, _moved_crops(ordered, plans))


def _shape(clip: ClipInfo) -> tuple[int, int, int, bool]:
    return clip.width, clip.height, clip.n_frames, clip.is_image


def _moved_crops(clips: Sequence[ClipInfo], plans: Mapping[Any, list[_Plan]]) -> dict[str, dict[Box, Box]]:
    """clip_id -> {centred crop: where the clip's content wants it}; all clips of one picture shape at once."""
    shapes: dict[tuple[Any, ...], list[ClipInfo]] = defaultdict(list)
    for clip in clips:
        if clip.content:
            frame = clip.frame or (0, 0, clip.width, clip.height)
            shapes[clip.width, clip.height, clip.is_image, frame].append(clip)
    moved: dict[str, dict[Box, Box]] = {}
    for (width, height, _, frame), members in shapes.items():
        lengths = {_shape(clip) for clip in members}
        wanted = {tuple(p.columns["crop"]) for s in lengths for p in plans[s] if p.follows and p.columns["crop"]}
        profiles = [clip.content for clip in members]
        for crop in sorted(wanted):
            for clip, box in zip(members, follow(width, height, frame, crop, profiles)):
                if box != crop:
                    moved.setdefault(clip.clip_id, {})[crop] = box
    return moved


def _frame(
    clips: Sequence[ClipInfo], plans: Mapping[Any, list[_Plan]], moved: Mapping[str, Mapping[Box, Box]]
) -> pl.DataFrame:
    """A sample is a row of a plan and a clip: most of its columns are gathered from the one or the other."""
    import polars as pl

    from wanprep.frames import frame_of, types_of

    types = types_of({name: TABLES["samples"][name] for name in SAMPLE_COLUMNS})
    planned = [item for plan in plans.values() for item in plan]
    starts = dict(zip(plans, itertools.accumulate(map(len, plans.values()), initial=0)))
    doubled = {shape for shape, plan in plans.items() if any(item.first is not None for item in plan)}
    rows: list[int] = []  # of each sample its place in `planned`
    owners: list[int] = []  # and its clip
    ids: list[str] = []
    crops: dict[int, list[int]] = {}  # by sample, where it is not that of the plan
    details: dict[int, str] = {}  # the same
    names = {shape: [item.sample_id for item in plan] for shape, plan in plans.items()}
    for number, clip in enumerate(clips):
        shape, first, clip_id = _shape(clip), len(ids), clip.clip_id
        plan, start = plans[shape], starts[shape]
        rows += range(start, start + len(plan))
        owners += [number] * len(plan)
        ids += [name(clip_id) for name in names[shape]]
        boxes: Mapping[Any, Box] = moved.get(clip_id, {})
        for k, item in enumerate(plan) if boxes or shape in doubled else ():
            box = tuple(item.columns["crop"] or ())
            if item.follows and box in boxes:
                crops[first + k] = list(boxes[box])
            if item.first is not None:
                view = plan[item.first].columns["view"]
                details[first + k] = f"same frames and size as sample {ids[first + item.first]} of view {view!r}"
    made = frame_of([item.columns for item in planned], types)
    whose = pl.Series(owners, dtype=pl.UInt32)
    about = {name: pl.Series([getattr(clip, name) for clip in clips], dtype=types[name]) for name in _OF_CLIP}
    return made[pl.Series(rows, dtype=pl.UInt32)].with_columns(
        crop=_gathered(made["crop"], rows, crops),
        detail=_gathered(made["detail"], rows, details),
        sample_id=pl.Series(ids, dtype=pl.String),
        **{name: column.gather(whose) for name, column in about.items()},
    )


def _gathered(column: pl.Series, rows: Sequence[int], others: Mapping[int, Any]) -> pl.Series:
    """The values of a column in these rows. others: values that stand in for them, by their place in `rows`."""
    import polars as pl

    places = list(rows)
    for place, number in zip(others, itertools.count(len(column))):
        places[place] = number
    held = pl.concat([column, pl.Series(column.name, list(others.values()), column.dtype)])
    return held.gather(pl.Series(places, dtype=pl.UInt32))


def mp4_needs(samples: Iterable[Mapping[str, Any]]) -> dict[str, list[tuple[int, int, Box]]]:
    """Which files each clip needs: clip_id -> [(width, height, crop), …] by size, once for each size.

    From rows of `samples_of`; only "ok" rows count. ValueError when two rows of a clip want one size cropped
    differently, which would make the file depend on their order.
    """
    needs: dict[str, dict[Size, Box]] = {}
    for row in samples:
        if row["state"] != "ok":
            continue
        size = (row["width"], row["height"])
        x, y, w, h = row["crop"]
        crop = (x, y, w, h)
        known = needs.setdefault(row["clip_id"], {}).setdefault(size, crop)
        if known != crop:
            raise ValueError(f"clip {row['clip_id']} at {size}: crops {known} and {crop}; one size has one crop")
    return {clip_id: [(*size, sizes[size]) for size in sorted(sizes)] for clip_id, sizes in needs.items()}
