"""Steps at which things in the picture jump while the picture stays: frames left out of one shot, or another take.

A cut changes the whole picture; here most of it stays, so all that `jumps.py` asks of a cut is missing. But where
something moves on, places change that its way leads over just before and just after; where it jumps, places change far
from those. A light on a part of the picture does it too, so such a step is doubtful, no cut; a panel or an inset that
comes or goes does it as a rectangle (boxes.py).
Legend: T float32[N, P] (`Pictures`), one row of P = HEIGHT x WIDTH luma values (0..255) a frame. Pure.
"""

from __future__ import annotations

import numpy as np

from wanprep.signals.jumps import FAR
from wanprep.signals.meter import TINY_HEIGHT as HEIGHT
from wanprep.signals.meter import TINY_WIDTH as WIDTH
from wanprep.signals.pictures import Pictures, parts

STILL = 2.0  # levels by which a place may change more than before and after
LARGE = 8.0  # and more than which few places do: else it is light, or the whole picture
MOST = 0.5  # of the places
LEAST = 2.5  # RMS of what places change more: compression at the pictures that are coded whole changes less
TIMES = 1.0  # and as a multiple of the largest whole step around


def find_leaps(T: Pictures) -> list[int]:
    """Frames whose step from the one before changes places that no step just before or after changes, nor its
    surroundings."""
    found: list[int] = []
    for at in parts(np.arange(FAR, len(T) - FAR)):
        if len(at):
            low = int(at[0]) - FAR
            X = T[low : int(at[-1]) + FAR + 1].reshape(-1, HEIGHT, WIDTH)
            change = np.concatenate([np.zeros((1, HEIGHT, WIDTH), np.float32), np.abs(np.diff(X, axis=0))])
            if not low:
                change[0] = change[1]
            found += (at[_leaps(change)]).tolist()
    return found


def _leaps(change: np.ndarray) -> np.ndarray:
    """bool[n]: of change float32[n + 2 · FAR, HEIGHT, WIDTH], by which each place differs from the frame before."""
    n = len(change) - 2 * FAR
    beside = [k for k in range(2 * FAR + 1) if k != FAR]
    wide = _widened(change)
    near = np.max([wide[k : k + n] for k in beside], axis=0)
    own = change[FAR : FAR + n]
    more = np.maximum(0, own - near - STILL)
    whole = np.sqrt(np.einsum("nyx,nyx->n", change, change) / (HEIGHT * WIDTH))
    loud = np.max([whole[k : k + n] for k in beside], axis=0)
    size = np.sqrt(np.einsum("nyx,nyx->n", more, more) / (HEIGHT * WIDTH))
    few = (more > LARGE).mean((1, 2)) < MOST
    return few & (size >= LEAST) & (size >= TIMES * (1 + loud))


def _widened(change: np.ndarray) -> np.ndarray:
    """The largest of each place and the eight around it."""
    padded = np.pad(change, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = np.maximum(np.maximum(padded[:, :-2], padded[:, 1:-1]), padded[:, 2:])
    return np.maximum(np.maximum(rows[:, :, :-2], rows[:, :, 1:-1]), rows[:, :, 2:])
