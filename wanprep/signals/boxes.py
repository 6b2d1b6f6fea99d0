"""Steps at which a rectangle changes at once and all around it stays: a cut inside of a frame.

A title bar, a logo, a studio's graphics or the template of a slide show hide a cut: details and a part of the picture
stay. But then what stays does so for seconds, to the level, and the rectangle has an edge before the step and after it,
with two unlike pictures in it. A panel, a title or an inset that comes over a shot or goes has that edge on one side of
the step only: nothing is cut there.
Legend: T float32[N, P] (`Pictures`), one row of P = HEIGHT x WIDTH luma values (0..255) a frame. Pure: arrays in,
frames out.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from wanprep.signals.jumps import FAR, steps
from wanprep.signals.meter import TINY_HEIGHT as HEIGHT
from wanprep.signals.meter import TINY_WIDTH as WIDTH
from wanprep.signals.mixing import likeness
from wanprep.signals.pictures import Pictures

STEP, TIMES = 2.0, 1.5  # RMS luma step of what is looked at, and as a multiple of the largest of FAR steps around
MORE = 6.0  # levels by which a place changes more than in any of those
LEAST = 6  # places, of a picture in a frame
FILLED = 0.4  # of the rectangle around them, by the places that change
APART = (1, 8, 16, 24)  # frames before and after that what stays is compared in
STAYS = 6.0  # levels, by which it differs in these
EDGE = 1.2  # change across its edge, before and after, as a multiple of that between neighbours
UNLIKE = 0.7  # most likeness of the two pictures in it
LARGE_SHARE = 0.3  # of the picture, where it is a cut; in a smaller one it is doubtful


@dataclass(frozen=True, kw_only=True)
class Box:
    """Rows top..bottom - 1 and columns left..right - 1 around the places that change at a step; `count` of them."""

    top: int
    bottom: int
    left: int
    right: int
    count: int

    @property
    def area(self) -> int:
        return (self.bottom - self.top) * (self.right - self.left)

    def mask(self) -> np.ndarray:
        inside = np.zeros((HEIGHT, WIDTH), bool)
        inside[self.top : self.bottom, self.left : self.right] = True
        return inside


def find_framed(T: Pictures) -> tuple[list[int], list[int]]:
    """Frames with which another picture begins in a frame that stays; those where it is too small to be sure."""
    step = steps(T)
    padded = np.pad(step, FAR)
    around = functools.reduce(np.maximum, (padded[FAR + k :][: len(step)] for k in range(-FAR, FAR + 1) if k))
    cuts: list[int] = []
    doubtful: list[int] = []
    for at in np.flatnonzero((step >= STEP) & (step >= TIMES * around)).tolist():
        box = changing(T, at, MORE)
        if box and framed(T, at, box):
            (cuts if box.area >= LARGE_SHARE * HEIGHT * WIDTH else doubtful).append(at)
    return cuts, doubtful


def changing(T: Pictures, at: int, more: float) -> Box | None:
    """Around the places that change by `more` levels more at the step to frame `at` than in the FAR steps around."""
    own, beside = _changes(T, at)
    places = own - beside.max(0) > more
    rows, columns = np.flatnonzero(places.any(1)), np.flatnonzero(places.any(0))
    if not len(rows):
        return None
    top, bottom, left, right = (int(v) for v in (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1))
    return Box(top=top, bottom=bottom, left=left, right=right, count=int(places.sum()))


def _changes(T: Pictures, at: int) -> tuple[np.ndarray, np.ndarray]:
    """float32[HEIGHT, WIDTH] and [n, HEIGHT, WIDTH]: of the step to frame `at`, and of those around."""
    low = max(0, at - FAR - 1)
    change = np.abs(np.diff(T[low : at + FAR + 1].reshape(-1, HEIGHT, WIDTH), axis=0))
    around = np.delete(change, at - 1 - low, axis=0)
    return change[at - 1 - low], around if len(around) else np.zeros_like(change)


def framed(T: Pictures, at: int, box: Box) -> bool:
    """Whether another picture begins in the box at frame `at`, and all around it stays."""
    inside = box.mask()
    if box.count < max(LEAST, FILLED * box.area) or inside.all():
        return False
    A, B = (T[i].reshape(HEIGHT, WIDTH) for i in (at - 1, at))
    if likeness(A[inside], B[inside]) > UNLIKE or min(_edge(A, box), _edge(B, box)) < EDGE * (_usual(A, B) + 1):
        return False
    return _stir(T, at, box) <= STAYS


def _stir(T: Pictures, at: int, box: Box) -> float:
    """Levels by which places outside of the box differ in some frames of the second before and that after."""
    near = [max(0, at - k) for k in APART] + [min(len(T) - 1, at - 1 + k) for k in APART]
    return float(np.ptp(T[np.array(near)][:, ~box.mask().ravel()], axis=0).mean())


def _edge(x: np.ndarray, box: Box) -> float:
    """Mean difference of picture x [HEIGHT, WIDTH] across the sides of the box that are not its own."""
    rows, columns = slice(box.top, box.bottom), slice(box.left, box.right)
    sides = [np.abs(x[at, columns] - x[at - 1, columns]) for at in (box.top, box.bottom) if 0 < at < HEIGHT]
    sides += [np.abs(x[rows, at] - x[rows, at - 1]) for at in (box.left, box.right) if 0 < at < WIDTH]
    return float(np.concatenate(sides).mean())


def _usual(A: np.ndarray, B: np.ndarray) -> float:
    """Mean difference of neighbours in both pictures."""
    return float(np.mean([np.abs(np.diff(x, axis=axis)).mean() for x in (A, B) for axis in (0, 1)]))
