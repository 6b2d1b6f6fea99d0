"""Where blocks do not quite meet: along the edges of large ones, steps stand out a little more than inside them.

x265, VP9 and AV1 predict calm parts in blocks of 32 and 64, each by itself, x264 in macroblocks of 16. Their filters
leave a faint step where two of them meet, and a finer coding keeps it. How large it is hangs on the scene, and so does
how large steps are anywhere; so pieces of edges are compared with what lies half a block to both sides of them, and
counted: nothing in a scene makes those at every 32nd pixel the larger ones. Blocks begin at the corner of the picture.
"""

from __future__ import annotations

import math

import numpy as np

BAND, PIECE = 4, 8  # lines that are added up, and bands that a piece of an edge is long: 32 lines
MOST_LINES = 540  # of a picture with more, every k-th band is looked at
CALM = 4  # levels: a step counts where those on both sides of it are smaller
MOST = 8  # levels: one that stands out by more counts as this
CELL, SIZES = 4, (8, 16, 32, 64)  # edges are looked at every so many pixels; sides of blocks
FEWEST = 20  # pieces in each direction; fewer say nothing
NAMES = tuple(f"seams_{size}{less}" for less in ("", "_less") for size in SIZES)


def shares(luma_HW: np.ndarray) -> np.ndarray:
    """float64[8] by NAMES, -1..1, of uint8 luma: of the pieces of edges of blocks of each size, how large a share
    stands out more than what lies half a block beside it, less the share that stands out less. The mean of both
    directions, and the one that says less. Of 8 and 16, edges that larger blocks have, too, do not count. NaN if too
    little is calm.

    Medians of clips at 32: fine codings -0.08, x265 crf 40 0.20 and SVT-AV1 crf 60 0.14 inside x264 crf 18. 0.6 ms at
    480p.
    """
    import cv2

    found = np.stack([_of_edges(_pieces(lines)) for lines in (luma_HW, cv2.transpose(luma_HW))])
    return np.concatenate([found.mean(axis=0), found.min(axis=0)])


def _of_edges(pieces_RC: np.ndarray) -> np.ndarray:
    """float64[4] by SIZES along one direction."""
    found = np.full(len(SIZES), math.nan)
    for k, size in enumerate(SIZES):
        every, half = size // CELL, size // CELL // 2
        edges = np.arange(every, pieces_RC.shape[1] - half, every if size > 16 else 2 * every)
        more = pieces_RC[:, edges] - (pieces_RC[:, edges - half] + pieces_RC[:, edges + half]) / 2
        more = more[np.isfinite(more)]
        if len(more) >= FEWEST:
            found[k] = np.sign(more).mean()
    return found


def _pieces(lines_HW: np.ndarray) -> np.ndarray:
    """float64[R, C]: by how many levels, times 8, the step before every fourth pixel stands out of those on both sides:
    means of pieces of edges, NaN where less than half of one is calm, and at the rim."""
    import cv2

    bands, cells = len(lines_HW) // BAND, lines_HW.shape[1] // CELL
    every = BAND * max(1, -(-bands * BAND // MOST_LINES))
    one, two, three, four = (lines_HW[k : bands * BAND : every, : cells * CELL] for k in range(BAND))
    count = len(one) // PIECE
    if not count or cells < 2:
        return np.full((0, cells), math.nan)
    sums = cv2.add(cv2.add(one, two, dtype=cv2.CV_16S), cv2.add(three, four, dtype=cv2.CV_16S))
    at = np.ascontiguousarray(sums[: count * PIECE].reshape(-1, cells, CELL).transpose(2, 0, 1))
    before, middle = at[3, :, :-1] - at[2, :, :-1], at[0, :, 1:] - at[3, :, :-1]
    after = at[1, :, 1:] - at[0, :, 1:]
    calm = (np.maximum(np.abs(before), np.abs(after)) < CALM * BAND).astype(np.int16)
    stands = np.minimum(np.abs(2 * middle - before - after), 2 * BAND * MOST) * calm
    added, known = (each.reshape(count, PIECE, -1).sum(axis=1) for each in (stands, calm))
    found = np.full((count, cells), math.nan)
    found[:, 1:] = np.where(2 * known >= PIECE, added / np.maximum(known, 1), math.nan)
    return found
