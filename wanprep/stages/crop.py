"""Sizes and crops: which bucket a picture gets in a view, and which part of the picture that keeps.

Pure geometry in whole pixels. Nothing is ever stretched: a picture of another shape is cut.

Legend: sizes are (width, height) in pixels. Crops are (x, y, w, h) in display pixels of the clip's picture after bars
are cut off (rotation and sample aspect ratio applied).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np

from wanprep.families import Family
from wanprep.signals import content
from wanprep.signals.placing import place
from wanprep.stage import Reject
from wanprep.stages.windows import View

Size = tuple[int, int]
Box = tuple[int, int, int, int]

MAX_ASPECT = 4.0
LITTLE = 0.05  # of a picture: a cut that is not worth another bucket
LEAST_AREA = 0.85  # of a view's: a bucket that is smaller for the sake of its shape


@lru_cache(maxsize=256)
def _buckets(area: int, grid: int, max_aspect: float) -> tuple[Size, ...]:
    cells = area // (grid * grid)
    if cells < 1:
        raise ValueError(f"an area of {area} pixels is below one {grid}x{grid} cell")
    square = math.isqrt(cells)
    found = [(square * grid, square * grid)] if (square * grid) ** 2 >= LEAST_AREA * area else []
    for wide in range(1, cells + 1):
        high = cells // wide
        if cells // high == wide and max(wide, high) <= max_aspect * min(wide, high):
            found.append((wide * grid, high * grid))
    return tuple(sorted(set(found)))


@lru_cache(maxsize=256)
def _smaller(area: int, grid: int, max_aspect: float) -> tuple[Size, ...]:
    """`_buckets`, and every other size on the grid of at least LEAST_AREA of the area."""
    found = set(_buckets(area, grid, max_aspect))
    for wide in range(1, area // grid**2 + 1):
        column = wide * grid**2
        for high in range(math.ceil(LEAST_AREA * area / column), area // column + 1):
            if max(wide, high) <= max_aspect * min(wide, high):
                found.add((wide * grid, high * grid))
    return tuple(sorted(found))


def buckets_of(area: int, grid: int, *, max_aspect: float = MAX_ASPECT) -> list[Size]:
    """Sizes on the grid of nearly `area` pixels and never more, between 1:max_aspect and max_aspect:1, by width.

    These are the sizes that cannot grow on either side without passing the area, so with n whole cells in it each is
    short by less than sqrt(n) cells (under 3 % for 832x480 on 16), and the largest square, the one shape that much
    footage has exactly, if it has LEAST_AREA. Never more than the area: a view's memory figure holds for all its
    buckets. ValueError when not even one cell fits.
    """
    return list(_buckets(area, grid, max_aspect))


def _bucket(width: int, height: int, area: int, grid: int, max_aspect: float) -> Size:
    """The bucket of `buckets_of` that cuts least; if that is more than LITTLE, the size of at least LEAST_AREA that
    does. On small areas the grid is coarse; where it is fine every odd shape would get a bucket of its own instead."""
    bucket = _nearest(width, height, _buckets(area, grid, max_aspect))
    if _excess(width, height, bucket) * (1 - LITTLE) <= 1:
        return bucket
    return _nearest(width, height, _smaller(area, grid, max_aspect))


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
    # Mirrored candidates tie exactly; then larger, then wider.
    return min(buckets, key=lambda size: (_excess(width, height, size), -size[0] * size[1], -size[0]))


def _excess(width: int, height: int, bucket: Size) -> float:
    """How many times what the bucket keeps of it the picture is. A quotient of integers, so correctly rounded."""
    a, b = width * bucket[1], height * bucket[0]
    return max(a, b) / min(a, b)


def _own_bucket(width: int, height: int, area: int, grid: int) -> Size:
    """The largest size on the grid inside the picture and the area (a side is 0 when no cell fits)."""
    wide, high = width // grid, height // grid
    while wide * high * grid * grid > area:
        wide, high = (wide - 1, high) if wide >= high else (wide, high - 1)
    return wide * grid, high * grid


def choose(width: int, height: int, view: View, family: Family) -> tuple[int, int, Box]:
    """Bucket and centred crop of a picture in a view: (width, height, crop); `follow` moves the crop to the content.

    Reject("would_upscale") when the view forbids enlarging and the picture is too small, Reject("crop_too_large")
    when more than the view's max_crop would be cut off.
    """
    hint_w, hint_h = view.size
    area = hint_w * hint_h
    if view.aspect_buckets:
        # A hint more extreme than the usual range still gets its own shape.
        widest = max(MAX_ASPECT, hint_w / hint_h, hint_h / hint_w)
        bucket = _bucket(width, height, area, family.grid, widest)
    else:
        bucket = (hint_w, hint_h)
    crop = crop_box(width, height, bucket)
    factor = max(bucket[0] / crop[2], bucket[1] / crop[3])
    if factor > 1 and view.no_upscale:
        own = _own_bucket(width, height, area, family.grid)
        share = own[0] * own[1] / area
        if not (view.min_area < 1 and share >= view.min_area):
            raise _would_upscale(width, height, bucket, factor, share, view)
        bucket, crop = own, crop_box(width, height, own)
    _check_loss(width, height, bucket, crop, view)
    return (*bucket, crop)


def _would_upscale(width: int, height: int, bucket: Size, factor: float, share: float, view: View) -> Reject:
    percent = int(100 * share)  # rounded down, so that following the advice works
    allow = f"set min_area <= {percent / 100:.2f}, " if percent and view.aspect_buckets else ""
    return Reject(
        "would_upscale",
        f"{width}x{height} is smaller than its bucket {bucket[0]}x{bucket[1]} of view {view.name!r} and would be "
        f"enlarged {factor:.2f} times; lower resolution, {allow}or set no_upscale = false",
    )


def _check_loss(width: int, height: int, bucket: Size, crop: Box, view: View) -> None:
    lost = 1 - crop[2] * crop[3] / (width * height)
    if view.max_crop is None or lost <= view.max_crop:
        return
    shape = "" if view.aspect_buckets else "set aspect_buckets = true, or "
    raise Reject(
        "crop_too_large",
        f"bucket {bucket[0]}x{bucket[1]} of view {view.name!r} would cut {100 * lost:.1f} % off {width}x{height}, more "
        f"than max_crop = {view.max_crop:g}; {shape}raise max_crop",
    )


def follow(
    width: int, height: int, frame: Box, crop: Box, profiles: Sequence[bytes], *, bins: int = content.BINS
) -> list[Box]:
    """The centred crop of one picture shape, moved to where each clip's content is.

    frame: (x, y, W, H): where the picture of width x height lies in the source frame, and that frame's size.
    profiles: of each clip (`content.clip_profiles`; b"" = unknown, which stays in the centre). One box a clip, of the
    crop's own size and inside the picture; at an even pixel of the source frame, where chroma samples lie in most
    footage: cut anywhere else, a 1080p frame takes four times as long (docs/measured/preparation.md).
    """
    x, y, w, h = crop
    if w == width and h == height:
        return [crop] * len(profiles)
    across = w < width
    offset, whole, side, length = (frame[0], frame[2], width, w) if across else (frame[1], frame[3], height, h)
    empty = bytes(2 * bins)
    both = np.frombuffer(b"".join(profile or empty for profile in profiles), np.uint8).reshape(-1, 2, bins)
    known: list[bool] = np.any(both, axis=(1, 2)).tolist()
    begins = place(both[:, 0 if across else 1], offset / whole, (offset + side) / whole, length / whole)
    moved = np.clip(2 * np.rint(begins * whole / 2).astype(int) - offset, 0, side - length).tolist()
    places: list[Box] = [(to, y, w, h) if across else (x, to, w, h) for to in moved]
    return [place if sure else crop for place, sure in zip(places, known)]
