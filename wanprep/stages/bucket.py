"""From clips and views to samples: buckets, crops, and one row for every example wanted, made or not.

Pure and whole-table: changing a view decodes nothing by itself. The crop depends on the clip's picture and the bucket
only, never on the window, so one mp4 of a clip and size serves every window and every view that shares the size.

Legend: sizes are (width, height) in pixels. Crops are (x, y, w, h) in display pixels of the clip's picture after bars
are cut off (rotation and sample aspect ratio applied).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from wanprep.families import Family
from wanprep.ids import key_of
from wanprep.stage import Reject
from wanprep.stages.windows import View, Window, check_views, shortfalls, windows

__all__ = ["SAMPLE_COLUMNS", "ClipInfo", "View", "buckets_of", "choose", "crop_box", "mp4_needs", "samples_of"]

Size = tuple[int, int]
Box = tuple[int, int, int, int]

MAX_ASPECT = 4.0

# Columns of a sample row. None: `start` when there is no window; width, height and crop when there is no bucket.
# state: ok | rejected | duplicate; reason is "" when ok.
SAMPLE_COLUMNS = (
    *("sample_id", "clip_id", "source_id", "group", "view", "start", "frames", "width", "height", "crop"),
    *("repeats", "weight", "tokens", "state", "reason", "detail"),
)


@dataclass(frozen=True, kw_only=True)
class ClipInfo:
    """What bucketing needs to know of a kept clip. width, height: its picture after bars, in display pixels.

    n_frames: slots of its frame plan (at the family's rate); 1 for a still.
    """

    clip_id: str
    source_id: str
    group: str
    width: int
    height: int
    n_frames: int
    is_image: bool = False

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1 or self.n_frames < 1:
            raise ValueError(
                f"clip {self.clip_id}: {self.width}x{self.height} with {self.n_frames} frames; all must be at least 1"
            )
        if self.is_image and self.n_frames != 1:
            raise ValueError(f"clip {self.clip_id}: a still with {self.n_frames} frames; a still has 1")


@lru_cache(maxsize=256)
def _buckets(area: int, grid: int, max_aspect: float) -> tuple[Size, ...]:
    cells = area // (grid * grid)
    if cells < 1:
        raise ValueError(f"an area of {area} pixels is below one {grid}x{grid} cell")
    found = []
    for wide in range(1, cells + 1):
        high = cells // wide
        if cells // high == wide and max(wide, high) <= max_aspect * min(wide, high):
            found.append((wide * grid, high * grid))
    return tuple(found)


def buckets_of(area: int, grid: int, *, max_aspect: float = MAX_ASPECT) -> list[Size]:
    """Sizes on the grid of nearly `area` pixels and never more, between 1:max_aspect and max_aspect:1, by width.

    These are the sizes that cannot grow on either side without passing the area, so with n whole cells in it each is
    short by less than sqrt(n) cells (under 3 % for 832x480 on 16). Never more than the area: a view's memory figure
    holds for all its buckets. ValueError when not even one cell fits.
    """
    return list(_buckets(area, grid, max_aspect))


def crop_box(width: int, height: int, bucket: Size) -> Box:
    """The largest centred box of the bucket's aspect in a picture; off that aspect by half a pixel at most."""
    wide, high = bucket
    if width * high >= height * wide:
        w = min(width, max(1, (2 * height * wide + high) // (2 * high)))
        return (width - w) // 2, 0, w, height
    h = min(height, max(1, (2 * width * high + wide) // (2 * wide)))
    return 0, (height - h) // 2, width, h


def _nearest(width: int, height: int, buckets: Iterable[Size]) -> Size:
    """Least crop: smallest distance of log aspects, which is the smallest ratio of the two aspects."""

    def cost(bucket: Size) -> tuple[float, int, int]:
        a, b = width * bucket[1], height * bucket[0]
        # A quotient of integers is correctly rounded, so mirrored candidates tie exactly; then larger, then wider.
        return max(a, b) / min(a, b), -bucket[0] * bucket[1], -bucket[0]

    return min(buckets, key=cost)


def _own_bucket(width: int, height: int, area: int, grid: int) -> Size:
    """The largest size on the grid inside the picture and the area (a side is 0 when no cell fits)."""
    wide, high = width // grid, height // grid
    while wide * high * grid * grid > area:
        wide, high = (wide - 1, high) if wide >= high else (wide, high - 1)
    return wide * grid, high * grid


def choose(width: int, height: int, view: View, family: Family) -> tuple[int, int, Box]:
    """Bucket and crop of a picture in a view: (width, height, crop).

    Reject("would_upscale") when the view forbids enlarging and the picture is too small.
    """
    hint_w, hint_h = view.size
    area = hint_w * hint_h
    if view.aspect_buckets:
        # A hint more extreme than the usual range still gets its own shape.
        widest = max(MAX_ASPECT, hint_w / hint_h, hint_h / hint_w)
        bucket = _nearest(width, height, _buckets(area, family.grid, widest))
    else:
        bucket = (hint_w, hint_h)
    crop = crop_box(width, height, bucket)
    factor = max(bucket[0] / crop[2], bucket[1] / crop[3])
    if factor <= 1 or not view.no_upscale:
        return (*bucket, crop)
    own = _own_bucket(width, height, area, family.grid)
    share = own[0] * own[1] / area
    if view.min_area < 1 and share >= view.min_area:
        return (*own, crop_box(width, height, own))
    percent = int(100 * share)  # rounded down, so that following the advice works
    allow = f"set min_area <= {percent / 100:.2f}, " if percent and view.aspect_buckets else ""
    raise Reject(
        "would_upscale",
        f"{width}x{height} is smaller than its bucket {bucket[0]}x{bucket[1]} of view {view.name!r} and would be "
        f"enlarged {factor:.2f} times; lower resolution, {allow}or set no_upscale = false",
    )


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """One row of a clip, less everything that names the clip. `first`: index of the row it coincides with."""

    identity: dict[str, Any]
    columns: dict[str, Any]
    first: int | None = None


def _columns(view: View, frames: int, **more: Any) -> dict[str, Any]:
    empty = dict.fromkeys(("start", "width", "height", "crop"))
    base = {"view": view.name, "frames": frames, "repeats": view.repeats, "weight": float(view.weight), "tokens": 0}
    return {**empty, **base, "state": "ok", "reason": "", "detail": "", **more}


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
            identity = {name: columns[name] for name in ("view", "start", "frames", "width", "height")}
            key = (window.start, window.frames, columns["width"], columns["height"])
            first = seen.get(key) if columns["state"] == "ok" else None
            if first is not None:
                columns |= {"state": "duplicate", "reason": "duplicate_window"}
            elif columns["state"] == "ok":
                seen[key] = len(rows)
            if columns["state"] != "ok":
                identity |= {"slot": slot, "reason": columns["reason"]}
            rows.append(_Plan(identity=identity, columns=columns, first=first))
        for short in shortfalls(n_frames, view):
            columns = _columns(view, short.frames, state="rejected", reason=short.reason, detail=short.detail)
            identity = {"view": view.name, "frames": short.frames, "slot": short.slot, "reason": short.reason}
            rows.append(_Plan(identity=identity, columns=columns))
    return rows or [_unwanted(is_image)]


def _unwanted(is_image: bool) -> _Plan:
    media = "image" if is_image else "video"
    columns = dict.fromkeys(SAMPLE_COLUMNS) | {
        "view": "", "frames": 0, "repeats": 0, "weight": 0.0, "tokens": 0, "state": "rejected",
        "reason": f"no_view_for_{media}",
        "detail": f'no view takes this clip; add a [[views]] table with media = "{media}" or "any"',
    }  # fmt: skip
    return _Plan(identity={"view": "", "reason": columns["reason"]}, columns=columns)


def samples_of(clips: Iterable[ClipInfo], views: Sequence[View], family: Family) -> list[dict[str, Any]]:
    """Every sample of the kept clips, as rows of SAMPLE_COLUMNS, by clip_id, then in the order of the views.

    state "ok": an example. "rejected": asked for, cannot be made (`too_short_for_<frames>`, `would_upscale`,
    `no_view_for_<media>`). "duplicate" (`duplicate_window`): same clip, frames and size as an earlier row, which
    stands for both. UsageError for views that do not fit the family, ValueError for a clip_id given twice.
    """
    check_views(views, family)
    ordered = sorted(clips, key=lambda clip: clip.clip_id)
    plans: dict[tuple[Any, ...], list[_Plan]] = {}
    rows: list[dict[str, Any]] = []
    previous = None
    for clip in ordered:
        if clip.clip_id == previous:
            raise ValueError(f"clip {clip.clip_id} is given twice")
        previous = clip.clip_id
        shape = (clip.width, clip.height, clip.n_frames, clip.is_image)
        if shape not in plans:
            plans[shape] = _plan(*shape, views, family)
        rows += _rows(clip, plans[shape])
    return rows


def _rows(clip: ClipInfo, plan: list[_Plan]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for item in plan:
        names = {
            "sample_id": key_of(clip_id=clip.clip_id, **item.identity),
            "clip_id": clip.clip_id,
            "source_id": clip.source_id,
            "group": clip.group,
        }
        row = dict.fromkeys(SAMPLE_COLUMNS) | item.columns | names
        if item.first is not None:
            first = rows[item.first]
            row["detail"] = f"same frames and size as sample {first['sample_id']} of view {first['view']!r}"
        rows.append(row)
    return rows


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
