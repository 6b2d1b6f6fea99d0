"""Marks that jump: the same drawing stays at one place for a part of the clip and at another for the rest.

What stayed in the first pictures and not in the last is correlated with what stayed in the last and not in the first,
at half the size. A texture that repeats is at both places all the time, and a car has been between them: at full size
every picture must show the drawing at one place or the other, the first ones here, the last ones there. What is left
is judged by its look (signals/moving.py).

Shape legend: N pictures, h x w their size, H x W a window (HEIGHT x WIDTH); edges are float32[2, ...], across and down.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from wanprep.signals import marks, speeds

HEIGHT, WIDTH = 32, 64  # of a window, in pixels of a thumbnail 256 wide
OVER = (20, 44)  # how far one may hang over the edges of the picture: marks are often in corners
NEAR = (8, 12)  # rows and columns of half the size: shorter jumps are the scene's own motion
PEAKS, KEPT = 2, 2  # shifts that are looked at between two parts; things that are told
ALONG = 0.1  # agreement of the rest of the picture with a jump that is the scene's own
LEAST = 20.0  # agreement, in pixels, of what is told
SHOWN = 0.5  # of a drawing, what every picture must show
REFINED = 2  # pixels: half the size is right to one
OUTSIDE = OVER[0] + REFINED, OVER[1] + REFINED
Places = tuple[tuple[int, int], ...]


@dataclass(frozen=True, kw_only=True)
class Hop:
    """A drawing that jumps. places: row and column of the upper left corner of its window in each picture, OUTSIDE of
    it at most. again: correlation of the windows with that of the middle picture. edges: float32[2, H, W],
    what both places share, soft: below 1. peak, strength, share: of its shift in standard deviations, of its agreement
    in pixels, and of all agreement."""

    places: Places
    again: tuple[float, ...]
    edges: np.ndarray
    peak: float
    strength: float
    share: float


@dataclass(frozen=True, kw_only=True)
class _Pair:
    """A window (upper left corner) in one part and how far away it is in the other, in pixels of a picture."""

    y: int
    x: int
    dy: int
    dx: int
    parts: tuple[slice, slice]
    peak: float
    strength: float
    share: float


def hops(thumbs_Nhw: Sequence[np.ndarray]) -> list[Hop]:
    """What jumps once over lumas of one clip, the strongest first; none without three pictures."""
    if len(thumbs_Nhw) < 3:
        return []
    pairs = sorted(_pairs(thumbs_Nhw), key=lambda pair: -pair.strength * pair.share)
    kept: list[_Pair] = []
    for pair in pairs:
        if not any(abs(pair.dy - k.dy) <= 2 * REFINED and abs(pair.dx - k.dx) <= 2 * REFINED for k in kept):
            kept.append(pair)
    if not kept:
        return []
    edges = _edges(thumbs_Nhw)
    length = np.sqrt(np.einsum("pnhw,pnhw->nhw", edges, edges)) + speeds.SOFT
    room = np.pad(edges / length, ((0, 0), (0, 0), *((size, size) for size in OUTSIDE)))
    found = (_told(room, pair) for pair in kept[:KEPT])
    return [hop for hop in found if hop is not None]


def _edges(pictures: Sequence[np.ndarray]) -> np.ndarray:
    return np.stack([np.stack(part) for part in marks.gradients([p.astype(np.float32) for p in pictures])])


def _pairs(thumbs_Nhw: Sequence[np.ndarray]) -> Iterator[_Pair]:
    """Windows that agree best along the likeliest shifts between parts of the clip."""
    import cv2

    n, (height, width) = len(thumbs_Nhw), thumbs_Nhw[0].shape
    size = width // 2, height // 2
    edges = _edges([cv2.resize(thumb, size, interpolation=cv2.INTER_AREA) for thumb in thumbs_Nhw])
    first, last = slice(0, 1), slice(n - 1, n)
    parts = [(first, slice(1, n)), (slice(0, n - 1), last)]
    if n > 3:
        parts.append((slice(0, 2), slice(n - 2, n)))
    for one, other in parts:
        before, after = _apart(*(np.stack([marks.middle(part[when]) for part in edges]) for when in (one, other)))
        energy = math.sqrt(float(np.vdot(before, before)) * float(np.vdot(after, after))) + 1.0
        for dy, dx, peak in _shifts(before, after):
            agreement_hw = np.einsum("phw,phw->hw", before, np.roll(after, (-dy, -dx), axis=(1, 2)))
            near_hw = cv2.boxFilter(agreement_hw, -1, (24, 12), normalize=False, borderType=cv2.BORDER_CONSTANT)
            row, column = divmod(int(near_hw.argmax()), size[0])
            y, x = row - HEIGHT // 4, column - WIDTH // 4
            inside = float(agreement_hw[max(0, y) : y + HEIGHT // 2, max(0, x) : x + WIDTH // 2].sum())
            strength = 2 * float(near_hw[row, column])
            if strength < LEAST or (float(agreement_hw.sum()) - inside) / energy > ALONG:
                continue
            yield _Pair(
                y=2 * y, x=2 * x, dy=2 * (dy - size[1] * (row + dy >= size[1])),
                dx=2 * (dx - size[0] * (column + dx >= size[0])), parts=(one, other), peak=peak, strength=strength,
                share=inside / max(1.0, float(np.maximum(agreement_hw, 0.0).sum())),
            )  # fmt: skip


def _apart(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, ...]:
    """Lasting edges of two parts, soft, less what both share at the same place."""
    import cv2

    both = cv2.blur(np.maximum(np.einsum("phw,phw->hw", before, after), 0.0), (3, 3))
    out = []
    for edges in (before, after):
        energy = np.einsum("phw,phw->hw", edges, edges)
        own = 1 - np.minimum(both / (cv2.blur(energy, (3, 3)) + 4), 1)
        out.append(edges * (own / (np.sqrt(energy) + speeds.SOFT)))
    return tuple(out)


def _shifts(before: np.ndarray, after: np.ndarray) -> Iterator[tuple[int, int, float]]:
    """Rows and columns (from 0, round the edges) by which the second is shifted, and the height of the peak."""
    height, width = before.shape[1:]
    peaks = speeds.correlation(speeds.evened(np.stack([before, after], axis=1)), 1)
    peaks /= peaks.std() + 1e-9
    near = (np.arange(-reach, reach + 1) for reach in NEAR)
    peaks[np.ix_(*(steps % size for steps, size in zip(near, (height, width))))] = -math.inf
    for _ in range(PEAKS):
        dy, dx = divmod(int(peaks.argmax()), width)
        yield dy, dx, float(peaks[dy, dx])
        speeds.hide(peaks, dy, dx, 3)


def _told(room: np.ndarray, pair: _Pair) -> Hop | None:
    """Which picture shows the drawing where; None unless all show it, the first ones at one place and
    the last ones at the other.

    room: soft edges of all pictures, with margins of OUTSIDE.
    """
    n = room.shape[1]
    height, width = (size - 2 * out for size, out in zip(room.shape[2:], OUTSIDE))
    one = _within(pair.y, pair.x, pair.dy, pair.dx, height, width)
    if one is None:
        return None
    before = _lasting(room, one, pair.parts[0])
    around = _lasting(room, (one[0] + pair.dy, one[1] + pair.dx), pair.parts[1], REFINED)
    turns = [(i, j) for i in range(2 * REFINED + 1) for j in range(2 * REFINED + 1)]
    match = [float(np.vdot(before, around[:, i : i + HEIGHT, j : j + WIDTH])) for i, j in turns]
    i, j = turns[int(np.argmax(match))]
    dy, dx, after = pair.dy + i - REFINED, pair.dx + j - REFINED, around[:, i : i + HEIGHT, j : j + WIDTH]
    other = one[0] + dy, one[1] + dx
    drawing = (before + after) / 2 * (np.einsum("phw,phw->hw", before, after) > 0)
    here, there = ([float(np.vdot(drawing, _window(room[:, t], at))) for t in range(n)] for at in (one, other))
    moved = [a < b for a, b in zip(here, there)]
    seen = min(max(pair) for pair in zip(here, there)) > SHOWN * float(np.vdot(drawing, drawing))
    if not seen or moved != sorted(moved) or moved[0] == moved[-1]:
        return None
    places = tuple(other if late else one for late in moved)
    shown = [_window(room[:, t], at) for t, at in enumerate(places)]
    lengths = [math.sqrt(float(np.vdot(window, window)) + 1e-3) for window in shown]
    middle = n // 2
    alike = [float(np.vdot(shown[middle], w)) / (lengths[middle] * length) for w, length in zip(shown, lengths)]
    return Hop(
        places=places, again=tuple(alike[:middle] + alike[middle + 1 :]), edges=drawing, peak=pair.peak,
        strength=pair.strength, share=pair.share,
    )  # fmt: skip


def _within(y: int, x: int, dy: int, dx: int, height: int, width: int) -> tuple[int, int] | None:
    """The window moved so that neither it nor the other one hangs over the edges by more than OVER."""
    out = []
    for at, step, size, over, room in ((y, dy, HEIGHT, OVER[0], height), (x, dx, WIDTH, OVER[1], width)):
        low, high = -over - min(0, step), room - size + over - max(0, step)
        if low > high:
            return None
        out.append(min(max(at, low), high))
    return out[0], out[1]


def _window(room_phw: np.ndarray, at: tuple[int, int], more: int = 0) -> np.ndarray:
    y, x = at[0] + OUTSIDE[0] - more, at[1] + OUTSIDE[1] - more
    return room_phw[..., y : y + HEIGHT + 2 * more, x : x + WIDTH + 2 * more]


def _lasting(room: np.ndarray, at: tuple[int, int], when: slice, more: int = 0) -> np.ndarray:
    return np.stack([marks.middle(list(_window(part, at, more))) for part in room[:, when]])
