"""Light that comes and goes: camera flashes, lightning, explosions. The picture returns, so nothing was cut.

Legend: T float32[N, P] (`Pictures`), P luma values (0..255) of each frame; mean, spread: their mean and deviation.
"""

from __future__ import annotations

import numpy as np

from wanprep.signals.mixing import likeness
from wanprep.signals.pictures import Pictures

SAME = 0.65  # likeness of pictures of one shot that the camera may have moved between
BRIGHTER = 1.0  # levels by which every frame of the event outshines the frames around it
PEAK = 12.0  # and the brightest one
SUDDEN = 0.25  # share of its height by which light rises in one frame; what a camera pans over does not
SURELY = 0.75
LEAST, SOON = 0.35, 5  # likeness of two frames of one shot however fast the camera is, if no more than SOON apart
FLAT = 2.5  # deviation of a picture in which there is nothing to recognise; a scene between two blacks is no flash
FAINT = 0.5  # likeness that is left of a picture washed out by light


def is_flash(T: Pictures, before: int, after: int, longest: int) -> bool:
    """Whether what happens between frames `before` and `after` (old state, new state) is light alone.

    It is when there are two frames, at most `longest` frames of event apart, one of them not after `before` and the
    other not before `after`, that show the same picture, while all frames between them are brighter; and the
    brightest of these is washed out or shows that picture too. An insert of another picture is neither.
    """
    low, high = max(0, before - longest), min(len(T), after + longest + 1)
    near = T[low:high]
    mean, spread = near.mean(-1), near.std(-1)
    x, y = np.arange(low, before + 1) - low, np.arange(after, high) - low
    inner = mean[before + 1 - low : after - low].min(initial=np.inf)
    # Darkest frame after x and up to `before`, and from `after` to the one before y.
    left = np.concatenate([np.minimum.accumulate(mean[x][:0:-1])[::-1], [np.inf]])
    right = np.concatenate([[np.inf], np.minimum.accumulate(mean[y][:-1])])
    x, y = (g.ravel() for g in np.meshgrid(x, y))
    darkest = np.minimum(inner, np.minimum(left[x], right[y - (after - low)]))
    around = np.maximum(mean[x], mean[y])
    fits = (y - x >= 2) & (y - x <= longest + 1) & np.isfinite(darkest) & (darkest >= around + BRIGHTER)
    fits &= np.minimum(spread[x], spread[y]) >= FLAT
    x, y = x[fits], y[fits]
    if not len(x):
        return False
    # A dip to white has the shape of an explosion, so after one the picture must be the same beyond doubt.
    alike = likeness(near[x], near[y]) >= allowed(near, x, y, SAME if after - before == 1 else SURELY)
    for a, b in zip(x[alike], y[alike]):
        peak = a + 1 + int(np.argmax(mean[a + 1 : b]))
        height = mean[peak] - max(mean[a], mean[b])
        own = abs(mean[after - low] - mean[before - low])
        rise = np.diff(mean[a : peak + 1]).max()
        if height < PEAK or rise < SUDDEN * height or (after - before == 1 and own < SUDDEN * height):
            continue
        # In the light nothing is to be seen, or the picture shines through somewhere on the way.
        lit = np.arange(a + 1, b)[mean[a + 1 : b] >= (max(mean[a], mean[b]) + mean[peak]) / 2]
        left = spread[lit].min() / min(spread[a], spread[b])
        if left <= 0.5 or (left <= 0.9 and likeness(near[lit], near[a]).max() >= FAINT):
            return True
    return not_left(near, x, y, mean)


def allowed(near: np.ndarray, x: np.ndarray, y: np.ndarray, enough: float) -> np.ndarray:
    """Likeness that frames x and y have if they are of one shot: as much as frames so far apart before and after."""
    lag = y - x
    before = likeness(near[np.maximum(0, x - lag)], near[x])
    after = likeness(near[y], near[np.minimum(len(near) - 1, y + lag)])
    return np.clip(np.minimum(before, after) - 0.1, np.where(lag <= SOON, LEAST, SAME), enough)


def not_left(near: np.ndarray, x: np.ndarray, y: np.ndarray, mean: np.ndarray) -> bool:
    """A moving camera does not come back to the same picture, but no step on its way changes the picture either."""
    a, b = int(x.min()), int(y.max())
    peak = a + int(np.argmax(mean[a : b + 1]))
    steps = likeness(near[a:b], near[a + 1 : b + 1])
    return bool(mean[peak] >= max(mean[a], mean[b]) + PEAK and steps.min() >= SAME)
