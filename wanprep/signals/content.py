"""Where a clip's content is: a weight map of its picture, kept as two short profiles that place a crop; and how much
of the picture moves against the camera.

A crop of another shape than the picture always spans one side of it whole, so all that placing it needs is how much
lies in each column (or row). Weight is what stands apart from the picture's borders, and of that what moves against the
camera and what differs from its surroundings. There is no model of faces or things in it: it finds the subject that a
camera operator already singled out. Settings were chosen on half of `tests/benchmarks/bench_crops.py`.

Legend: thumbs are uint8 BGR about 256 px wide. Profiles are uint8[BINS] over the whole source frame, left to right
and top to bottom, scaled so that the fullest bin is 255.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from wanprep.signals.marks import middle
from wanprep.signals.motion import camera_step, stands, still_rim
from wanprep.signals.store import Signals

BINS = 48
PAIRS = 8  # pairs of neighbouring thumbnails that are looked at, spread over the clip
WIDTH = 128  # of the map; a 3 % step of a crop needs no more
NOISE = 6.0  # levels that neighbouring thumbnails differ by for no reason (grain, coding)
STRONG = 40.0  # a larger difference counts no more than this: it says contrast, not importance
LIVELY = 0.6  # mean motion energy at which motion gets its full weight
MOVED = 6.0  # motion energy of a place that moves against the camera (bench_quality, stills of half the files)
MOTION, CONTRAST, APART = 1.0, 0.7, 0.3  # shares of the three parts
SMOOTH = 6.0  # pixels of the map over which motion and contrast are spread: a subject is more than its edges
COARSE = 64  # width of the pictures on which ways from the border are looked for
SLACK = 6.0  # a step of colour (CIELAB, between neighbours of those) that costs nothing: shading, texture
FLOOR = 0.1  # what a place at the border has of the cost of a way: a subject may touch it
STIRS = 1.5  # motion energy, in most pairs, of a place along a side that does not rest
ALONG, ENDS, DEEP, ASIDE = 0.4, 0.2, 0.25, 0.2  # see `_beside`
BLACK = 32  # border lines that never have 3 % of their pixels above this are bars, as in signals.bars


def clip_content(
    signals: Signals, start: int, end: int, part: tuple[slice, slice] | None = None
) -> tuple[bytes, float]:
    """Of the clip made of frames start..end-1: column and row profile (2·BINS bytes), b"" when nothing is known, and
    `subject_motion`. part: rows and columns of its thumbnails that count, where not all do."""
    inside = np.flatnonzero((signals.sampled >= start) & (signals.sampled < end))
    if len(inside) == 0:
        return b"", math.nan
    if len(inside) == 1:
        only = [signals.thumbs[int(inside[0])]]
        return profiles(content_map(only, [], inside_bars(only, part))), math.nan
    firsts = np.unique(np.linspace(0, len(inside) - 2, min(PAIRS, len(inside) - 1)).round().astype(int))
    pictures = {int(i): signals.thumbs[int(inside[i])] for i in {*firsts.tolist(), *(firsts + 1).tolist()}}
    moved = [_moved(pictures[i], pictures[i + 1], part) for i in firsts.tolist()]
    known = [energy for energy in moved if energy is not None]
    after = [pictures[i + 1] for i in firsts.tolist()]
    picture_HW = inside_bars(after, part)
    return profiles(content_map(after, known, picture_HW)), subject_motion(known, picture_HW)


def content_map(pictures: Sequence[np.ndarray], moved: Sequence[np.ndarray], picture_HW: np.ndarray) -> np.ndarray:
    """float64[h, WIDTH], sum 1 (or all 0 when there is nothing to see): weight of each place of the picture.

    pictures: uint8[H, W, 3] BGR of one shape. moved: `against_camera` of those of which it is known. picture_HW:
    `inside_bars` of them.
    """
    import cv2

    small = [cv2.resize(picture, _size(picture), interpolation=cv2.INTER_AREA) for picture in pictures]
    energies = np.stack(moved) * picture_HW if moved else np.zeros((1, *picture_HW.shape))
    usual = middle(list(energies))  # over time: what passes through, or flickers, is there in few pairs only
    counts = picture_HW * _beside(usual > STIRS, picture_HW)
    apart = from_border(small, picture_HW) * counts
    differs = _spread(np.mean([_contrast(picture) for picture in small], axis=0) * counts)
    moves = _spread(usual * counts) ** 0.75
    lively = energies.sum() / max(1, picture_HW.sum()) / len(pictures) / LIVELY
    floor = apart + FLOOR * picture_HW
    parts = (
        (APART, apart),
        (CONTRAST, differs * floor),
        (MOTION * min(1.0, lively), moves * np.sqrt(floor)),
    )
    total = sum(share * part / part.sum() for share, part in parts if part.sum() > 0)
    return np.zeros(picture_HW.shape) + (total / np.sum(total) if np.any(total) else 0.0)


def subject_motion(moved: Sequence[np.ndarray], picture_HW: np.ndarray) -> float:
    """Share of the picture (less its bars), 0..1, that moves against the camera from one picture to the next, half a
    second later: the median of all pairs. NaN where the camera's own motion is known of none, or all is black.

    moved, picture_HW: as for `content_map`. What is nearer than the rest counts, too, when the camera moves sideways
    (parallax), and so do water and shadows.
    """
    if not moved or not picture_HW.any():
        return math.nan
    return float(np.median([np.mean(energy[picture_HW] > MOVED) for energy in moved]))


def _size(picture: np.ndarray) -> tuple[int, int]:
    """(width, height) of its map."""
    return WIDTH, max(8, round(WIDTH * picture.shape[0] / picture.shape[1]))


def inside_bars(pictures: Sequence[np.ndarray], part: tuple[slice, slice] | None = None) -> np.ndarray:
    """bool[h, WIDTH]: False outside of a part of them, and in lines along the borders that are dark in all of them."""
    import cv2

    lit = [_lit(cv2.resize(picture, _size(picture), interpolation=cv2.INTER_AREA)) for picture in pictures]
    inside = np.logical_or.reduce(lit)
    if part is not None:
        found = inside[_of_map(part, inside.shape, pictures[0].shape)].copy()
        inside[:] = False
        inside[_of_map(part, inside.shape, pictures[0].shape)] = found
    return inside


def _of_map(part: tuple[slice, slice], shape: Sequence[int], whole: Sequence[int]) -> tuple[slice, slice]:
    """Rows and columns of the map that are those of a part of whole pictures."""
    rows, columns = (
        slice(round(own.start * size / length), round(own.stop * size / length))
        for own, size, length in zip(part, shape, whole)
    )
    return rows, columns


def from_border(small: Sequence[np.ndarray], picture_HW: np.ndarray) -> np.ndarray:
    """float64[h, w], mean over pictures uint8[h, w, 3] BGR: the least that a way from the borders of what is picture
    (True, a rectangle) costs, in CIELAB units, where each step costs its change of colour less SLACK.

    What a way leads to without crossing an edge is background (Wei et al. 2012, Geodesic Saliency): sky, ground, walls.
    """
    import cv2

    rows, columns = (np.flatnonzero(picture_HW.any(axis=axis)) for axis in (1, 0))
    out = np.zeros(picture_HW.shape)
    if not len(rows):
        return out
    inside = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    high, wide = (part.stop - part.start for part in inside)
    coarse = max(4, round(wide * COARSE / WIDTH)), max(4, round(high * COARSE / WIDTH))
    labs = [
        cv2.cvtColor(
            cv2.resize(picture[inside], coarse, interpolation=cv2.INTER_AREA).astype(np.float32) / 255,
            cv2.COLOR_BGR2LAB,
        )
        for picture in small
    ]
    cost = _least_cost(np.stack(labs)).mean(axis=0)
    out[inside] = cv2.resize(cost, (wide, high), interpolation=cv2.INTER_LINEAR)
    return out


def _least_cost(labs_NHWC: np.ndarray) -> np.ndarray:
    """float32[N, H, W]: the cost of the cheapest way from the border to each place, over its four neighbours.

    Rows and columns are swept there and back until nothing changes (Danielsson's order; Toivanen 1996).
    """
    cost = np.full(labs_NHWC.shape[:3], np.inf, np.float32)
    cost[:, (0, -1)] = 0
    cost[:, :, (0, -1)] = 0
    lines = []  # of both axes, those that are swept first: views of the cost, and what a step to the next line costs
    for axis in (1, 2):
        steps = np.maximum(np.sqrt((np.diff(labs_NHWC, axis=axis) ** 2).sum(axis=3)) - np.float32(SLACK), 0)
        lines.append((np.moveaxis(cost, axis, 0), np.moveaxis(steps, axis, 0)))
    while True:
        before = cost.copy()
        for line, step in lines:
            for k in range(len(step)):
                np.minimum(line[k + 1], line[k] + step[k], out=line[k + 1])
            for k in range(len(step) - 1, -1, -1):
                np.minimum(line[k], line[k + 1] + step[k], out=line[k])
        if np.array_equal(before, cost):
            return cost


def _beside(stirs_HW: np.ndarray, picture_HW: np.ndarray) -> np.ndarray:
    """float64[W]: ASIDE for the columns of something that moves along a whole side of the picture, else 1.

    Leaves, grass, a curtain: ALONG of the rows of the outer columns stir, and so it goes on, to columns of which less
    than ENDS do, before DEEP of the width. Hands that come in fill less of a side; what fills the picture ends nowhere.
    """
    out = np.ones(stirs_HW.shape[1])
    columns = np.flatnonzero(picture_HW.any(axis=0))
    if len(columns) < 16:
        return out
    share = stirs_HW[picture_HW.any(axis=1)][:, columns].mean(axis=0)
    outer = len(columns) // 16
    for inwards in (slice(None), slice(None, None, -1)):
        line = share[inwards]
        end = outer + int(np.argmax(line[outer:] < ENDS))
        if line[:outer].mean() >= ALONG and line[end] < ENDS and end <= DEEP * len(columns):
            out[columns[inwards][:end]] = ASIDE
    return out


def _spread(map_HW: np.ndarray) -> np.ndarray:
    import cv2

    return cv2.GaussianBlur(map_HW, (0, 0), SMOOTH)


def _lit(small_HWC: np.ndarray) -> np.ndarray:
    """bool[H, W]: False in dark lines along the borders."""
    luma = small_HWC.max(axis=2)
    inside = np.ones(luma.shape, bool)
    for axis, lit in ((0, np.percentile(luma, 97, axis=1) >= BLACK), (1, np.percentile(luma, 97, axis=0) >= BLACK)):
        found = np.flatnonzero(lit)
        line = np.zeros(len(lit), bool)
        if len(found):
            # Two lines more: where a bar ends the picture is mixed with it, and its edge is no content.
            first, last = int(found[0]), int(found[-1])
            line[first + 2 * (first > 0) : last + 1 - 2 * (last < len(lit) - 1)] = True
        inside &= line[:, None] if axis == 0 else line[None, :]
    return inside


def against_camera(before: np.ndarray, after: np.ndarray) -> np.ndarray | None:
    """float64[h, WIDTH], levels: what moved against the camera between two uint8[H, W, 3] BGR pictures some tenths of a
    second apart. None if the camera moved, and nobody knows how.

    The difference after the camera's motion is taken out, less where edges are strong (there a small error of
    registration already differs a lot).
    """
    import cv2

    gray = [cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) for picture in (before, after)]
    step = camera_step(*gray)
    shape = (gray[0].shape[1], gray[0].shape[0])
    smooth: list[Any] = [cv2.GaussianBlur(picture, (0, 0), 1.2).astype(np.float32) for picture in gray]
    seen: Any = np.ones(gray[0].shape, np.float32)
    if step.matrix is not None and not stands(*still_rim(gray[0], gray[1], step)):
        smooth[0] = cv2.warpAffine(smooth[0], step.matrix, shape)
        seen = cv2.warpAffine(seen, step.matrix, shape)
    difference = np.abs(smooth[1] - smooth[0])
    if step.matrix is None and np.median(_rim(difference)) > NOISE / 2:
        return None
    slope = np.hypot(cv2.Sobel(smooth[1], cv2.CV_32F, 1, 0), cv2.Sobel(smooth[1], cv2.CV_32F, 0, 1)) / 8
    energy = np.clip(difference - NOISE, 0, STRONG) / (1 + slope / 8) * (seen > 0.99)
    return cv2.resize(energy, _size(after), interpolation=cv2.INTER_AREA).astype(np.float64)


def _moved(before: np.ndarray, after: np.ndarray, part: tuple[slice, slice] | None) -> np.ndarray | None:
    """`against_camera` of a part of two pictures, and 0 elsewhere."""
    import cv2

    if part is None:
        return against_camera(before, after)
    found = against_camera(*(np.ascontiguousarray(picture[part]) for picture in (before, after)))
    if found is None:
        return None
    across, down = _size(before)
    out = np.zeros((down, across))
    rows, columns = _of_map(part, out.shape, before.shape)
    size = columns.stop - columns.start, rows.stop - rows.start
    out[rows, columns] = cv2.resize(found, size, interpolation=cv2.INTER_AREA)
    return out


def _rim(picture_HW: np.ndarray) -> np.ndarray:
    edge = max(1, picture_HW.shape[0] // 10)
    return np.concatenate([picture_HW[:edge].ravel(), picture_HW[:, :edge].ravel(), picture_HW[:, -edge:].ravel()])


def _contrast(small: np.ndarray) -> np.ndarray:
    """Difference of colour from the surroundings (an eighth of the picture) and from the whole picture.

    Centre-surround as in Itti, Koch and Niebur 1998, and frequency-tuned saliency as in Achanta et al. 2009.
    """
    import cv2

    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_BGR2LAB)
    centre = cv2.GaussianBlur(lab, (0, 0), WIDTH / 64)
    surround = cv2.GaussianBlur(lab, (0, 0), WIDTH / 8, borderType=cv2.BORDER_REFLECT)
    local = np.sqrt(((centre - surround) ** 2).sum(axis=2))
    tuned = np.sqrt(((centre - lab.mean(axis=(0, 1))) ** 2).sum(axis=2))
    both = local + 0.5 * tuned
    return np.maximum(0.0, both - np.median(both)).astype(np.float64)


def profiles(map_HW: np.ndarray) -> bytes:
    """Column profile, then row profile, of a weight map; b"" when it is empty."""
    if not map_HW.any():
        return b""
    return b"".join(_profile(map_HW.sum(axis=axis)) for axis in (0, 1))


def _profile(line: np.ndarray) -> bytes:
    edges = np.concatenate([[0.0], np.cumsum(line)])
    bins = np.diff(np.interp(np.linspace(0, len(line), BINS + 1), np.arange(len(line) + 1), edges))
    return np.round(255 * bins / bins.max()).astype(np.uint8).tobytes()
