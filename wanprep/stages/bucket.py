"""From clips and views to samples: buckets, crops, and one row for every example wanted, made or not; `stages.samples`
makes the rows of all clips of it.

Pure: changing a view decodes nothing by itself. The crop depends on the clip's picture and the bucket
only, never on the window, so one mp4 of a clip and size serves every window and every view that shares the size. A
mirrored copy is a sample of its own with a latent of its own; it is mirrored on its way to the VAE, and reads the
same mp4.

Legend: sizes are (width, height) in pixels. Crops are (x, y, w, h) in display pixels of the clip's picture after bars
are cut off (rotation and sample aspect ratio applied).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wanprep.families import Family
from wanprep.stage import Reject
from wanprep.stages.crop import MAX_ASPECT, Box, Size, buckets_of, choose, crop_box
from wanprep.stages.windows import View, Window, shortfalls, windows

__all__ = [
    "MAX_ASPECT",
    "SAMPLE_COLUMNS",
    "ClipInfo",
    "Plan",
    "View",
    "buckets_of",
    "choose",
    "crop_box",
    "mp4_needs",
    "plan_of",
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
class Plan:
    """One row of a clip: all columns, empty where they name the clip. `first`: index of the row it coincides with."""

    identity: dict[str, Any]
    columns: dict[str, Any]
    first: int | None = None
    follows: bool = False  # whether the crop moves to where the clip's content is


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


def plan_of(clip: ClipInfo, views: Sequence[View], family: Family) -> list[Plan]:
    """Every row that this clip, and any other of its shape and length, gets, in the order of the views."""
    rows: list[Plan] = []
    seen: dict[tuple[Any, ...], int] = {}  # coinciding across views too: the same pixels twice are one sample
    for view in views:
        if not view.takes(is_image=clip.is_image):
            continue
        place: Any
        try:
            place = choose(clip.width, clip.height, view, family)
        except Reject as reject:
            place = reject
        for slot, window in enumerate(windows(clip.n_frames, view, longest=family.max_frames)):
            columns = _made(view, window, place, family)
            rows.append(_planned(columns, slot, view, len(rows), seen))
            if view.flip_x and columns["width"]:  # what cannot be made is not missing a second time, mirrored
                rows.append(_planned({**columns, "flip": True}, slot, view, len(rows), seen))
        for short in shortfalls(clip.n_frames, view):
            columns = _columns(view, short.frames, state="rejected", reason=short.reason, detail=short.detail)
            identity = {"view": view.name, "frames": short.frames, "slot": short.slot, "reason": short.reason}
            rows.append(Plan(identity=identity, columns=columns))
    return rows or [_unwanted(clip.is_image)]


def _planned(columns: dict[str, Any], slot: int, view: View, index: int, seen: dict[tuple[Any, ...], int]) -> Plan:
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
    return Plan(identity=identity, columns=columns, first=first, follows=view.crop == "content")


def _unwanted(is_image: bool) -> Plan:
    media = "image" if is_image else "video"
    columns = dict.fromkeys(SAMPLE_COLUMNS) | {
        "view": "", "frames": 0, "repeats": 0, "weight": 0.0, "tokens": 0, "flip": False, "state": "rejected",
        "reason": f"no_view_for_{media}",
        "detail": f'no view takes this clip; add a [[views]] table with media = "{media}" or "any"',
    }  # fmt: skip
    return Plan(identity={"view": "", "reason": columns["reason"]}, columns=columns)


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
