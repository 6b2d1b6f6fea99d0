"""The worst that light does in one clip: jumps of exposure and of colour, and bands."""

from __future__ import annotations

import math

import numpy as np

from wanprep.signals.bands import rolling_bands
from wanprep.signals.casts import largest_cast
from wanprep.signals.framing import Part
from wanprep.signals.light import largest_jump
from wanprep.signals.pictures import Inside
from wanprep.signals.store import Signals


def lighting(
    signals: Signals, i0: int, i1: int, jump_N: np.ndarray, pair_N: np.ndarray, part: Part | None = None
) -> float:
    """Largest |log| ratio of exposure, colour or bands in frames i0..i1-1; NaN without a pair of them.

    jump_N, pair_N: as `largest_jump` wants them. part: rows and columns of thumbnails that are picture; None: all. The
    means of frames, which are of all, are those of the part if the rest is black.
    """
    tiny = signals.extra["tiny"][i0:i1]
    T, share = tiny.reshape(len(tiny), -1).astype(np.float32), 1.0
    if part is not None:
        spans = [(own.start / size, own.stop / size) for own, size in zip(part, signals.thumbs.shape[1:3])]
        T = Inside((tiny.shape[1], tiny.shape[2]), spans[0], spans[1])(tiny.reshape(len(tiny), -1))
        tiny, share = T.reshape(tiny.shape), math.prod(end - start for start, end in spans)
    means = [signals.frame[name][i0:i1].astype(np.float64) / share for name in ("luma_mean", "red", "blue")]
    jump = largest_jump(jump_N, pair_N, means[0], T)
    if math.isnan(jump):
        return jump
    looks = np.flatnonzero((signals.sampled >= i0) & (signals.sampled < i1))
    at = signals.sampled[looks] - i0
    cast = largest_cast(np.stack(means, axis=1), T, at, lambda k: _tiles(signals, int(looks[k]), part))
    return max(jump, cast, rolling_bands(tiny, signals.seconds(i0, i1)))


def _tiles(signals: Signals, look: int, part: Part | None) -> np.ndarray:
    """uint8[h, w, 3] BGR: a kept picture, or a part of it, as small as the tiny one of every frame."""
    import cv2

    picture = np.ascontiguousarray(signals.thumbs[look][part or ...])
    return cv2.resize(picture, signals.extra["tiny"].shape[:0:-1], interpolation=cv2.INTER_AREA)
