"""Black bars of one small picture after the other, while it is measured: the crop of a clip is known only afterwards.

Measured with its bars, a picture is other footage: their still edges are the best corners there are, which a fit of the
camera clings to, and their black dilutes every share and mean. A bar is dark, level, still, from the picture's border
inward, ends at a straight edge, and has one opposite. Frames that do not show their bars' edges (dark scenes, a
subtitle on one) have those that the frames before them had, where nothing speaks against it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from wanprep.signals.bars import FAINT

DARKEST = 32  # luma of a bar, at most (bars.BarRules.dark)
EVEN = 8  # levels: range of one of its lines, and how much brighter than its outer one a line may be
# By so many levels this share of a picture's line is brighter than the bar, on one side; by FAINT on both.
EDGE, LIT = 14, 0.3
FILLED, ALL = 0.3, 0.97  # of the picture between them, what is brighter than they are; and lines with such a place
STILL = 1  # lines that an edge may move by from frame to frame
LEAST, FEWEST = 0.2, 24  # of each side, what a picture between bars has; and in lines
WRITTEN = 0.4  # of each line of a bar with lettering on it, what is black at least
SPARE = 2  # lines of the picture beside a bar that are left out: its edge shines on them


class Bars(NamedTuple):
    """Lines of black at each side of a small picture."""

    top: int
    bottom: int
    left: int
    right: int

    def inside(self, shape: tuple[int, ...]) -> tuple[slice, slice]:
        """Rows and columns of the picture between them, a little away from their edges, in pictures of `shape`."""
        top, bottom, left, right = (lines + SPARE * (lines > 0) for lines in self)
        return slice(top, shape[0] - bottom), slice(left, shape[1] - right)

    def scaled(self, small: tuple[int, ...], shape: tuple[int, ...], grid: int = 1) -> tuple[slice, slice]:
        """`inside` of the same picture in another size. grid: it begins and ends on one of so many pixels, where there
        are bars, for that of the coder began at the border."""
        parts = []
        for own, size, length in zip(self.inside(small), small, shape):
            first, end = math.ceil(own.start * length / size / grid) * grid, length
            if own.stop < size:
                end = own.stop * length // size
                end = max(first + 1, end // grid * grid)
            parts.append(slice(first, end))
        return parts[0], parts[1]


NONE = Bars(0, 0, 0, 0)


class BarWatch:
    """Feed every frame in presentation order. One object a source."""

    def __init__(self) -> None:
        self._known = NONE
        self._last: Bars | None = None

    def feed(self, luma: np.ndarray) -> Bars:
        """luma: uint8[h, w], about 256 px wide -> its bars, NONE without any."""
        h, w = luma.shape
        # One pixel of each border: of most pictures no more is looked at.
        across = max(luma.item(0, w // 2), luma.item(h - 1, w // 2))
        if self._known == NONE and min(across, max(luma.item(h // 2, 0), luma.item(h // 2, w - 1))) > DARKEST:
            self._last = NONE
            return NONE
        found = _seen(luma)
        last, self._last = self._last, found
        still = last is None or max(abs(a - b) for a, b in zip(found, last)) <= STILL
        if found != NONE and still:
            self._known = found
        elif self._known != NONE and not _fits(luma, self._known):
            self._known = NONE
        return self._known


def common(before: Bars, after: Bars) -> Bars:
    """Of two pictures that are compared: what is picture in both of them is not in these."""
    return before if before == after else Bars(*map(max, before, after))


def usual(lumas: Sequence[np.ndarray]) -> Bars:
    """Of pictures uint8[h, w] of one clip, in order: the bars that most of them have."""
    watch = BarWatch()
    found = [watch.feed(luma) for luma in lumas]
    return Bars(*(int(np.median(side)) for side in zip(*found))) if found else NONE


def as_wide(picture: np.ndarray, bars: Bars) -> np.ndarray:
    """What is between the bars, as wide as the whole: sizes of features are shares of the picture's width."""
    import cv2

    if bars == NONE:
        return picture
    inside = np.ascontiguousarray(picture[bars.inside(picture.shape)])
    height, width = inside.shape
    if width == picture.shape[1]:
        return inside
    size = picture.shape[1], max(16, round(height * picture.shape[1] / width))
    return cv2.resize(inside, size, interpolation=cv2.INTER_LINEAR)


def _seen(luma: np.ndarray) -> Bars:
    """Bars whose edges this picture shows."""
    left, right = _pair(luma.T)
    top, bottom = _pair(luma[:, left : luma.shape[1] - right])
    if top and not left:
        left, right = _pair(luma[top : len(luma) - bottom].T)
    return Bars(top, bottom, left, right)


def _pair(luma: np.ndarray) -> tuple[int, int]:
    """Lines of bars at the beginning and at the end; (0, 0) where they are no pair."""
    tones = [int(line.max()) if int(line.max()) - int(line.min()) <= EVEN else 255 for line in (luma[0], luma[-1])]
    tone = min(tones) if max(tones) == 255 else max(tones)
    if tone > DARKEST or (max(tones) < 255 and abs(tones[0] - tones[1]) > EVEN):
        return 0, 0
    light = np.flatnonzero(luma.max(axis=1) > tone + EVEN // 2)
    if not len(light):
        return 0, 0
    near, far = int(light[0]), len(luma) - 1 - int(light[-1])
    if abs(near - far) > STILL:
        near, far = _mirrored(luma, near, far, tone)
    picture = luma[near : len(luma) - far]
    if not near or not far or len(picture) < max(FEWEST, LEAST * len(luma)):
        return 0, 0
    across = np.flatnonzero(picture.max(axis=0) > tone + EVEN // 2)  # there may be bars on these sides as well
    picture = picture[:, across[0] : across[-1] + 1]
    if not _filled(picture, tone):
        return 0, 0
    faint, clear = sorted((_step(picture, tone), _step(picture[::-1], tone)))
    return (near, far) if faint >= FAINT and clear >= _least(picture, tone) else (0, 0)


def _filled(picture: np.ndarray, tone: int) -> bool:
    """Whether it is a picture: of lettering on black most is black, and so are whole lines and columns."""
    light = picture > tone + FAINT // 2
    lines = min(float(light.any(axis=axis).mean()) for axis in (0, 1))
    return lines >= ALL and bool(np.count_nonzero(light) >= FILLED * light.size)


def _mirrored(luma: np.ndarray, near: int, far: int, tone: int) -> tuple[int, int]:
    """A bar with lettering on it is as thick as the one opposite: half of each of its lines is black."""
    thick = max(near, far)
    bar = luma[:thick] if near < far else luma[-thick:]
    written = ((bar <= tone + EVEN).mean(axis=1) >= WRITTEN).all()
    return (thick, thick) if written and 2 * thick < len(luma) else (near, far)


def _step(picture: np.ndarray, tone: int) -> float:
    """By how much a share of LIT of the picture's first lines is brighter than the bar before them."""
    return _top(picture[:3].max(axis=0), LIT) - tone


def _least(picture: np.ndarray, tone: int) -> float:
    """Of a dark picture less is asked."""
    return min(EDGE, max(FAINT, 0.25 * (_top(picture[:: max(1, len(picture) // 16)].ravel(), 0.1) - tone)))


def _top(values: np.ndarray, share: float) -> float:
    """What that share of uint8 values reaches."""
    at = int((1 - share) * len(values))
    return float(np.partition(values, at)[at])


def _fits(luma: np.ndarray, known: Bars) -> bool:
    """Whether there may be such bars: they are dark, but for lettering."""
    h, w = luma.shape
    top, bottom, left, right = known
    sides = luma[:top], luma[h - bottom :], luma[:, :left], luma[:, w - right :]
    return all(np.count_nonzero(side <= DARKEST) >= WRITTEN * side.size for side in sides if side.size)
