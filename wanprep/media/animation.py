"""Animated PNG and WebP as videos: pictures with the times their file gives them. And the times of GIF.

FFmpeg cannot read animated WebP everywhere, Pillow reads both and composes their partial pictures. As browsers do, a
picture that claims 10 ms or less is shown for 100 ms: many GIFs say 0, and would run at ten times the speed they were
made for. Times are sums of exact fractions, so nothing drifts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wanprep.media.probe import Probe
from wanprep.stage import Reject

TIME_BASE = Fraction(1, 1_000_000)
MAX_TOTAL_PIXELS = 20_000_000_000  # ten thousand pictures of 1080p: a few bytes can claim many large pictures
_TOO_SHORT_S, _INSTEAD_S = Fraction(1, 100), Fraction(1, 10)


def as_video(still: Probe, path: Path) -> Probe | None:
    """The probe of an animation, or None for a still. Reject: image_too_large."""
    from wanprep.media.stills import bytes_at_fault, opened

    if still.container not in ("png", "webp"):
        return None
    with opened(path) as image, bytes_at_fault():
        count = getattr(image, "n_frames", 1) - bool(image.info.get("default_image"))
        if count < 2:
            return None
        if count * still.width * still.height > MAX_TOTAL_PIXELS:
            detail = f"{count} pictures of {still.width}x{still.height} (limit {MAX_TOTAL_PIXELS} pixels together)"
            raise Reject("image_too_large", detail)
    return dataclasses.replace(still, kind="video", time_base=TIME_BASE)


def pictures(path: Path) -> Iterator[tuple[NDArray[np.uint8], int, int]]:
    """(uint8 [H, W, 3] on black, pts, duration) in TIME_BASE units, from the first on.

    Reject("unreadable") at the first picture that does not decode.
    """
    from wanprep.media.stills import bytes_at_fault, opened, to_rgb

    with opened(path) as image:
        time = Fraction(0)
        first = int(bool(image.info.get("default_image")))  # shown only where animations are not understood
        for index in range(first, image.n_frames):
            with bytes_at_fault():
                image.seek(index)
                image.load()
                rgb = to_rgb(image)
            # Milliseconds of a fraction whose denominator has 16 bits (PNG) or is 1000 (WebP).
            length = Fraction(image.info.get("duration") or 0).limit_denominator(2**16) / 1000
            length = _INSTEAD_S if length <= _TOO_SHORT_S else length
            begin, time = round(time / TIME_BASE), time + length
            yield rgb, begin, round(time / TIME_BASE) - begin


def shown_as_in_browsers(gif: Iterator[Any], time_base: Fraction) -> Iterator[Any]:
    """The decoded pictures of a GIF, those that claim too short a time for long enough, the later ones later."""
    late, before = 0, None
    for picture in gif:
        if before is not None and (picture.pts - before) * time_base <= _TOO_SHORT_S:
            late += round(_INSTEAD_S / time_base) - (picture.pts - before)
        before = picture.pts
        picture.pts += late
        if picture.duration * time_base <= _TOO_SHORT_S:
            picture.duration = round(_INSTEAD_S / time_base)
        yield picture
