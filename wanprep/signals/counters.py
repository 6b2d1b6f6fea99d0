"""Whether what looks drawn in a clip counts: a clock or timecode, some of whose digits are others in every picture.

The network of marks that stay (signals/marks.py) sees what is left of such a line where all pictures agree, which is
half of it and less: under a fixed camera it is undecided. But beside what it sees something changes from each picture
to the next, in the same few rows, and nothing does so above or below. Leaves, water and crowds change all around, and
what goes by beyond an edge that stays, a window's or a shore's, changes most outside the line.

Shape legend: M thumbnails, h x w their size, I x J places.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from wanprep.signals import marks

WORTH = 2.0  # log-odds of a mark
LEAST = -3.0  # log-odds below which nothing looks drawn at all, and it is not asked
BEST, LINE = 9, 6  # places that look most drawn; so many of them, at least, are in one line
NEAR, HIGH = 2, 0.1  # places up and down from the middle one; share of the picture's height that a line has at most
BESIDE = 36  # pixels to its left and right
INSIDE, OUTSIDE = 1, 3  # rows above and below it where a digit may change most, and where it does not
DIGIT = 9, 7  # pixels across and down
CHANGE, AROUND = 8.0, 0.4  # levels that a digit changes by, and share of it that the rows around may
APART, REACH = (-12, -10, 10, 12), 8  # rows from the digit, and columns, that are around it


def counts(thumbs_MhwC: np.ndarray, places_IJ: np.ndarray | None) -> bool:
    """Of uint8[M, h, w, 3] BGR thumbnails of one clip and what `marks.places` says of them."""
    if places_IJ is None or len(thumbs_MhwC) < 3 or marks.mean_of_best(places_IJ, BEST) < LEAST:
        return False
    pictures = marks.lumas(thumbs_MhwC[marks.chosen(len(thumbs_MhwC))])
    line = _line(places_IJ, pictures[0].shape)
    return line is not None and _changes(pictures, line)


def _line(places_IJ: np.ndarray, shape: Sequence[int]) -> tuple[slice, slice] | None:
    """Rows and columns, in pixels, of the line that most of the best places are in, and of what is beside it."""
    best = np.argpartition(places_IJ.ravel(), -BEST)[-BEST:]
    rows, columns = np.divmod(best, places_IJ.shape[1])
    inside = np.abs(rows - np.median(rows)) <= NEAR
    tall, wide = (size / count for size, count in zip(shape, places_IJ.shape))
    top, bottom = int(rows[inside].min() * tall), int((rows[inside].max() + 1) * tall)
    left, right = int(columns[inside].min() * wide), int((columns[inside].max() + 1) * wide)
    if inside.sum() < LINE or bottom - top > HIGH * shape[0]:
        return None
    return slice(top, bottom), slice(max(0, left - BESIDE), right + BESIDE)


def _changes(pictures: Sequence[np.ndarray], line: tuple[slice, slice]) -> bool:
    """Whether some digit in the line changes from each picture to the next, and nothing around it does."""
    import cv2

    steps = (cv2.blur(cv2.absdiff(a, b).astype(np.float32), DIGIT) for a, b in itertools.pairwise(pictures))
    always_hw = np.minimum.reduce(list(steps))
    top, bottom = max(0, line[0].start - OUTSIDE), line[0].stop + OUTSIDE
    part = always_hw[top:bottom, line[1]]
    row, column = np.unravel_index(int(part.argmax()), part.shape)
    row, column = int(row) + top, int(column) + line[1].start
    if not line[0].start - INSIDE <= row < line[0].stop + INSIDE:
        return False
    rows = [row + apart for apart in APART if 0 <= row + apart < len(always_hw)]
    around = always_hw[rows, max(0, column - REACH) : column + REACH + 1]
    return bool(always_hw[row, column] >= CHANGE and around.max() <= AROUND * always_hw[row, column])
