"""A window on something that moves, followed from the middle picture of a clip through the others.

Shape legend: N pictures, h x w their size; parts are float32[2, N, h, w], as `speeds.soft_edges` says.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from wanprep.signals import hops

HEIGHT, WIDTH = hops.HEIGHT, hops.WIDTH
REACH = 2  # pixels beside the expected place
ALIKE, BESIDE = 0.22, 0.12  # correlation below which a picture does not show the thing again; the next does not
Track = dict[int, tuple[int, int, float]]  # picture: row and column of the window, correlation


@dataclass(frozen=True, kw_only=True)
class Found:
    """Something that moves as one. facts: what the network is told of it besides its look."""

    track: Track
    facts: tuple[float, ...]


def window_at(parts: np.ndarray, y: int, x: int) -> tuple[np.ndarray, float]:
    """The window of the middle picture at a place, and its energy."""
    window = np.ascontiguousarray(parts[:, parts.shape[1] // 2, y : y + HEIGHT, x : x + WIDTH])
    return window, float(np.vdot(window, window)) + 1e-3


def followed(parts: np.ndarray, y: int, x: int, speed: tuple[int, int], steady: bool = False) -> Track:
    """Where the window at (y, x) of the middle picture is in the others, as far as it is seen there. steady: wherever
    it would be at that pace, seen or not."""
    middle = parts.shape[1] // 2
    window, strength = window_at(parts, y, x)
    track: Track = {middle: (y, x, 1.0)}
    for way in (1, -1):
        at, step, t = (y, x), (speed[0] * way, speed[1] * way), middle + way
        while 0 <= t < parts.shape[1]:
            found = nearest(parts[:, t], window, strength, (at[0] + step[0], at[1] + step[1]))
            if found is None:
                break
            if steady or found[2] >= (BESIDE if abs(t - middle) == 1 else ALIKE):
                track[t] = found
            step = step if steady else (found[0] - at[0], found[1] - at[1])
            at, t = found[:2], t + way
    return track


def nearest(
    picture: np.ndarray, window: np.ndarray, strength: float, at: tuple[int, int]
) -> tuple[int, int, float] | None:
    """Row, column and correlation of what is most like the window near a place; None outside of the picture."""
    height, width = picture.shape[1:]
    top, left = max(0, at[0] - REACH), max(0, at[1] - REACH)
    rows, columns = min(height - HEIGHT, at[0] + REACH) - top + 1, min(width - WIDTH, at[1] + REACH) - left + 1
    if rows <= 0 or columns <= 0:
        return None
    near = picture[:, top:, left:]
    part, down, across = near.strides
    shifted = np.lib.stride_tricks.as_strided(
        near, (rows, columns, 2, HEIGHT, WIDTH), (down, across, part, down, across), writeable=False
    )
    match = np.einsum("ijpkl,pkl->ij", shifted, window)
    i, j = divmod(int(match.argmax()), columns)
    other = near[:, i : i + HEIGHT, j : j + WIDTH]
    energy = float(np.einsum("pkl,pkl->", other, other)) + 1e-3
    return top + i, left + j, float(match[i, j]) / math.sqrt(strength * energy)


def taken(near_hw: np.ndarray) -> tuple[int, int, float]:
    """(row, column, strength) of the window around the highest place, which is lowered so that the next is another."""
    height, width = near_hw.shape
    row, column = divmod(int(near_hw.argmax()), width)
    strength = float(near_hw[row, column])
    down, across = HEIGHT // 2, WIDTH // 2
    near_hw[max(0, row - down) : row + down + 1, max(0, column - across) : column + across + 1] = -math.inf
    return min(max(row - down, 0), height - HEIGHT), min(max(column - across, 0), width - WIDTH), strength


def same(one: Track, other: Track) -> bool:
    """Whether both are about the same thing in all pictures that show both."""
    shared = one.keys() & other.keys()
    return all(abs(one[t][0] - other[t][0]) <= 5 and abs(one[t][1] - other[t][1]) <= 8 for t in shared)
