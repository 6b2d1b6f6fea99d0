"""Sudden changes of white balance: splices of two takes, a camera that makes up its mind.

Of every frame only the means of red and blue against luma are known, and a coloured thing that comes in moves these as
well. What tells them apart: another white balance leaves luma as it is, and is still there in the next picture that
was looked at, where colours of all kinds have moved by the same ratio.

Legend: T float32[N, P], luma (0..255) of the P tiles of each frame's tiny picture.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from wanprep.signals.light import LEAST_TILES, around, mean_jumps, of_most

GREY = 8.0  # levels added to means of colours and of what moves
DARK = 8.0  # tiles of luma below it have no colour
FAINT = 0.04  # jumps up to this are not looked into: 98 % of pieces of real films have at most 0.03


def largest_cast(means_NC: np.ndarray, T: np.ndarray, looks_K: np.ndarray, tiles: Callable[[int], np.ndarray]) -> float:
    """Largest |log| ratio by which red or blue jumps against luma within a clip of N >= 2 frames.

    means_NC: of luma, red and blue in each frame, 0..255. looks_K: frames whose pictures are kept, ascending.
    tiles: gives uint8[h, w, 3] BGR, a few tiles high and wide, of the k-th of them. Jumps before the first and after
    the last of these, and ones that are gone again until the next, cannot be told from things: they do not count.
    """
    size_CN = np.maximum(0.0, colour_jumps(means_NC) - stirred(T))
    largest = 0.0
    for k, (first, last) in enumerate(itertools.pairwise(looks_K)):
        size_C = size_CN[:, first + 1 : last + 1].max(axis=1)
        if size_C.max() > max(FAINT, largest):
            largest = max(largest, float(_of_most_tiles(size_C, tiles(k), tiles(k + 1)).max()))
    return largest


def colour_jumps(means_NC: np.ndarray) -> np.ndarray:
    """float64[2, N]: `mean_jumps` of red and of blue against luma. means_NC: of luma, red and blue, 0..255."""
    luma_N = means_NC[:, 0] + GREY
    return np.stack([mean_jumps(100 * (means_NC[:, c] + GREY) / luma_N) for c in (1, 2)])


def stirred(T: np.ndarray) -> np.ndarray:
    """float64[N >= 2]: by how much of their luma tiles change at each frame, beyond what is usual around it."""
    mean = T.mean(axis=1) + GREY
    change = np.abs(np.diff(T, axis=0)).mean(axis=1) / np.minimum(mean[1:], mean[:-1])
    return np.concatenate([[0.0], np.maximum(0.0, change - np.median(around(change), axis=0))])


def _of_most_tiles(size_C: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Jumps of red and blue as far as most tiles share them: the reddest before beside the reddest after and so on, for
    the camera goes on meanwhile."""
    before_PC, after_PC = (picture.reshape(-1, 3).astype(np.float32) for picture in (before, after))
    luma = np.array([0.114, 0.587, 0.299], np.float32)
    lit = np.maximum(before_PC @ luma, after_PC @ luma) > DARK
    if lit.sum() < LEAST_TILES:
        return np.zeros(2)
    tone = [np.log((x[lit][:, [2, 0]] + GREY) / ((x[lit] @ luma)[:, None] + GREY)) for x in (before_PC, after_PC)]
    first, second = (np.sort(x, axis=0).T for x in tone)
    return of_most(size_C, second - first)
