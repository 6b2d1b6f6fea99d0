"""Views and frame windows: which runs of frames of a clip become examples.

The window arithmetic is exactly musubi-tuner's (`target_frames`, `frame_extraction`, `frame_stride`, `frame_sample`,
`max_frames` of its dataset configuration), so that a set moved here from there gives the same examples. Two things
differ on purpose: a window that is asked for and cannot be made is named with a reason, and frame counts that are
not 4n+1 are an error, where others silently train on the next smaller latent.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field as setting
from functools import lru_cache
from typing import Any, Literal, get_args

import numpy as np

from wanprep.families import Family
from wanprep.stage import UsageError

Media = Literal["video", "image", "any"]
Mode = Literal["head", "chunk", "slide", "uniform", "full"]
Crop = Literal["content", "centre"]

TEMPORAL = 4  # design, section 2: frame counts are 4n+1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def snap_down(frames: int) -> int:
    """The longest 4n+1 that is not above `frames` (>= 1)."""
    return (frames - 1) // TEMPORAL * TEMPORAL + 1


@dataclass(frozen=True, kw_only=True)
class View:
    """How clips become examples; one `[[views]]` table of a pipeline file.

    name: unique; part of a sample's identity.
    media: which clips it takes: "video", "image" (stills) or "any".
    resolution: [w, h] or n (= [n, n]) in pixels. With `aspect_buckets` only the area w·h counts and each clip gets the
        bucket nearest to its own aspect; without, it is the exact size and must lie on the family's grid.
    frames: window lengths, each 4n+1; every one is extracted from every clip. Not used by mode "full".
    mode: "head" the first T frames; "chunk" one after the other; "slide" every `stride` frames; "uniform" `samples`
        windows evenly spread, the first at the start and the last at the end; "full" one window of the whole clip,
        cut to 4n+1 and to `max_frames` (by default the family's).
    repeats: how often an epoch visits each sample (>= 1). weight: factor on the loss of its samples (> 0).
    no_upscale: a clip smaller than its bucket is rejected for this view (`would_upscale`) instead of being enlarged.
    min_area: share (0, 1] of the view's area. With `no_upscale`, a clip too small for its bucket gets a smaller bucket
        of its own, as long as that has at least this share; 1.0 allows none.
    crop: where a picture of another shape is cut: "content" keeps what moves and stands out, "centre" the middle.
    max_crop: a clip of whose picture more than this share [0, 1) would be cut off is rejected (`crop_too_large`);
        None cuts as much as the bucket asks for.
    flip_x: also make a mirrored copy of every sample. Off for motion with a direction, for writing, and for characters
        and places that are not symmetric; a copy whose caption says left or right is rejected, unless the template said
        so of the camera: its copy's caption says the other.
    """

    name: str = setting(metadata={"example": '"main"'})
    resolution: int | tuple[int, int] = setting(metadata={"example": "[832, 480]"})
    media: Media = "video"
    frames: tuple[int, ...] = ()
    mode: Mode = "head"
    stride: int | None = None
    samples: int | None = None
    max_frames: int | None = None
    repeats: int = 1
    weight: float = 1.0
    aspect_buckets: bool = True
    no_upscale: bool = True
    min_area: float = 1.0
    crop: Crop = "content"
    max_crop: float | None = None
    flip_x: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.resolution, list):  # TOML and JSON have no tuples
            object.__setattr__(self, "resolution", tuple(self.resolution))
        frames: Any = (self.frames,) if isinstance(self.frames, int) else tuple(self.frames)
        if not frames and self.media == "image" and self.mode != "full":
            frames = (1,)
        object.__setattr__(self, "frames", frames)
        _check_names(self)
        _check_resolution(self)
        _check_frames(self)
        _check_mode(self)
        _check_numbers(self)

    @property
    def size(self) -> tuple[int, int]:
        """The hinted (width, height) in pixels."""
        return (self.resolution, self.resolution) if isinstance(self.resolution, int) else self.resolution

    def takes(self, *, is_image: bool) -> bool:
        return self.media == "any" or (self.media == "image") == is_image


def _bad(view: View, message: str) -> UsageError:
    return UsageError(f"view {view.name!r}: {message}")


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_names(view: View) -> None:
    if not isinstance(view.name, str) or not _NAME.fullmatch(view.name):
        raise _bad(view, "name must be letters, digits, '.', '_' and '-'; for example name = \"motion-45\"")
    for field, allowed in (("media", get_args(Media)), ("mode", get_args(Mode)), ("crop", get_args(Crop))):
        if getattr(view, field) not in allowed:
            raise _bad(view, f"{field} = {getattr(view, field)!r}; use one of {', '.join(allowed)}")


def _check_resolution(view: View) -> None:
    value = view.resolution
    sides = value if isinstance(value, tuple) else (value, value)
    if len(sides) != 2 or not all(_is_int(side) and side > 0 for side in sides):
        raise _bad(view, f"resolution = {value!r}; write [width, height] in pixels, or one number n for the area n x n")


def _check_frames(view: View) -> None:
    if view.mode == "full":
        if view.frames:
            raise _bad(view, f"frames = {list(view.frames)} has no meaning with mode full; remove it or set max_frames")
        return
    if not view.frames:
        raise _bad(view, "frames is missing; for example frames = [1, 21] or frames = [45]")
    for count in view.frames:
        if not _is_int(count) or count < 1:
            raise _bad(view, f"frames has {count!r}; each must be a whole number of at least 1")
        if count != snap_down(count):
            low = snap_down(count)
            raise _bad(view, f"frames has {count}, which is not 4n+1; use {low} or {low + TEMPORAL}")
    if len(set(view.frames)) != len(view.frames):
        raise _bad(view, f"frames = {list(view.frames)} names a length twice; use repeats to visit samples more often")
    if view.media == "image" and view.frames != (1,):
        raise _bad(view, f'frames = {list(view.frames)} but a still has one; use frames = [1] or media = "any"')


def _check_mode(view: View) -> None:
    for field, mode, example in (("stride", "slide", "stride = 16"), ("samples", "uniform", "samples = 2")):
        value = getattr(view, field)
        if view.mode == mode and value is None:
            raise _bad(view, f"mode {mode} needs {field}; for example {example}")
        if view.mode != mode and value is not None:
            raise _bad(view, f'{field} = {value!r} only has a meaning with mode = "{mode}"; this one is {view.mode}')
        if value is not None and (not _is_int(value) or value < 1):
            raise _bad(view, f"{field} = {value!r}; must be a whole number of at least 1")
    if view.max_frames is not None:
        if view.mode != "full":
            raise _bad(view, f'max_frames = {view.max_frames} only has a meaning with mode = "full"; use frames')
        if not _is_int(view.max_frames) or view.max_frames < 1:
            raise _bad(view, f"max_frames = {view.max_frames!r}; must be a whole number of at least 1")


def _check_numbers(view: View) -> None:
    if not _is_int(view.repeats) or view.repeats < 1:
        raise _bad(view, f"repeats = {view.repeats!r}; must be a whole number from 1 (remove the view to skip it)")
    if not 0 < view.weight < float("inf"):
        raise _bad(view, f"weight = {view.weight!r}; must be above 0 (remove the view to skip it)")
    if not 0 < view.min_area <= 1:
        raise _bad(view, f"min_area = {view.min_area!r}; must be a share above 0 and up to 1")
    if view.min_area < 1 and not view.no_upscale:
        raise _bad(view, f"min_area = {view.min_area} only has a meaning with no_upscale = true")
    if view.min_area < 1 and not view.aspect_buckets:
        raise _bad(view, f"min_area = {view.min_area} makes buckets of other sizes, but aspect_buckets is false")
    if view.max_crop is not None and not 0 <= view.max_crop < 1:
        raise _bad(view, f"max_crop = {view.max_crop!r}; must be a share of the picture from 0 to below 1, like 0.25")


def check_views(views: Sequence[View], family: Family) -> None:
    """Raise UsageError when the views do not fit each other or the family (length, grid)."""
    if not views:
        raise UsageError("no views: add at least one [[views]] table, for example one with frames = [41]")
    names = [view.name for view in views]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two views are called {name!r}; give each its own name")
    for view, other in itertools.combinations(views, 2):
        both = view.media == other.media or "any" in (view.media, other.media)
        if both and view.crop != other.crop:
            # Their buckets may coincide, and one file serves all views of a size.
            raise _bad(view, f'crop = "{view.crop}", but view {other.name!r} has "{other.crop}"; use one for both')
    for view in views:
        longest = max((*view.frames, view.max_frames or 1))
        if longest > family.max_frames:
            raise _bad(view, f"{longest} frames, but {family.name} takes up to {family.max_frames}; use fewer")
        width, height = view.size
        grid = family.grid
        if width * height < grid * grid:
            raise _bad(view, f"resolution {width}x{height} is below one {grid}x{grid} cell of {family.name}")
        if not view.aspect_buckets and (width % grid or height % grid):
            near = [max(grid, (side + grid // 2) // grid * grid) for side in (width, height)]
            raise _bad(
                view,
                f"resolution {width}x{height} is not on the {grid}-pixel grid of {family.name}; "
                f"use {near} or aspect_buckets = true",
            )


@dataclass(frozen=True, kw_only=True)
class Window:
    """Frames [start, start + frames) of a clip at the family's rate."""

    start: int
    frames: int


@dataclass(frozen=True, kw_only=True)
class Shortfall:
    """A window that was asked for and cannot be made. slot: 0, 1, … among those of this length."""

    frames: int
    slot: int
    reason: str
    detail: str


def _starts(n_frames: int, count: int, view: View) -> list[int]:
    last = n_frames - count
    if last < 0:
        return []
    if view.mode == "head":
        return [0]
    if view.mode == "chunk":
        return list(range(0, last + 1, count))
    if view.mode == "slide":
        assert view.stride is not None
        return list(range(0, last + 1, view.stride))
    assert view.samples is not None
    # numpy's own linspace and not k·last//(samples−1): musubi's starts come from it, float rounding included.
    return [int(start) for start in np.linspace(0, last, view.samples, dtype=int)]


@lru_cache(maxsize=65536)
def _windows(n_frames: int, view: View, longest: int | None) -> tuple[Window, ...]:
    if view.mode == "full":
        limits = [limit for limit in (n_frames, view.max_frames, longest) if limit is not None]
        return (Window(start=0, frames=snap_down(min(limits))),)
    return tuple(Window(start=start, frames=count) for count in view.frames for start in _starts(n_frames, count, view))


def windows(n_frames: int, view: View, *, longest: int | None = None) -> list[Window]:
    """The windows of a clip of `n_frames` (>= 1, at the family's rate), by length as the view lists them, then start.

    Equal windows are returned as often as the rule makes them (uniform on a clip hardly longer than the window); the
    caller decides about them. `longest` caps mode "full" (the family's max_frames). ValueError for n_frames < 1.
    """
    if n_frames < 1:
        raise ValueError(f"a clip has at least one frame, not {n_frames}")
    return list(_windows(n_frames, view, longest))


def shortfalls(n_frames: int, view: View) -> list[Shortfall]:
    """What `windows` could not make, one entry for each window missing, so that made + missing = asked.

    Asked of each length are `samples` windows in mode uniform and at least one in the others; mode "full" always
    makes its one. The reason is `too_short_for_<frames>`.
    """
    asked = view.samples or 1
    return [
        Shortfall(
            frames=count,
            slot=slot,
            reason=f"too_short_for_{count}",
            detail=f"the clip has {n_frames} of the {count} frames that view {view.name!r} asks for",
        )
        for count in view.frames
        if n_frames < count
        for slot in range(asked)
    ]
