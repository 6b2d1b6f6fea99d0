"""The lines that slides lie on: pictures that are put together of the last one of a shot and the first of the next.

Where one picture pushes the other out, comes over it or leaves from above it, each frame on the way is one of as many
pictures as the edge has places to go, or what two of them mix to: only how far the edge has come is unknown.
Legend: P = HEIGHT x WIDTH luma values (0..255) of a tiny picture. K: pictures that lie in a line. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wanprep.signals.meter import TINY_HEIGHT as HEIGHT
from wanprep.signals.meter import TINY_WIDTH as WIDTH
from wanprep.signals.mixing import EPS

KINDS = ("push", "cover", "reveal")
WAYS = 4  # from the right, the left, below, above


def off_lines(X: np.ndarray, A: np.ndarray, B: np.ndarray, way: int, kinds: Sequence[str] = KINDS) -> np.ndarray:
    """float32[n, kinds, K, P]: pictures X float32[n, P] less those of the lines of these kinds from A float32[n or 1,
    P] to B as the edge goes its WIDTH or HEIGHT = K - 1 places.

    Where both move they are a window that is moved over the two side by side, and no line need be made.
    """
    x, a, b = (pictures.reshape(-1, HEIGHT, WIDTH) for pictures in (X, A, B))
    axis, size = (1, HEIGHT) if way >= 2 else (2, WIDTH)
    both = np.concatenate([b, a] if way % 2 else [a, b], axis=axis)
    strides, step = both.strides, -both.strides[axis] if way % 2 else both.strides[axis]
    shape, begin = (len(a), size + 1, HEIGHT, WIDTH), size * both.strides[axis] if way % 2 else 0
    pushed = np.ndarray(shape, np.float32, both, begin, (strides[0], step, *strides[1:]))
    push = np.subtract(x[:, None], pushed, order="C").reshape(len(x), size + 1, -1).view(np.uint32)
    (old, new), out = _PLACES[way], np.empty((len(x), len(kinds), *push.shape[1:]), np.uint32)
    for k, kind in enumerate(kinds):  # by bits: where one of them stays, numpy's `where` takes five times as long
        if kind == "push":
            out[:, k] = push
        elif kind == "cover":
            np.bitwise_or(_bits(X - A) & old, push & new, out=out[:, k])
        else:
            np.bitwise_or(push & old, _bits(X - B) & new, out=out[:, k])
    return out.view(np.float32)


def _bits(x: np.ndarray) -> np.ndarray:
    return x.view(np.uint32)[:, None]


def _places(way: int) -> tuple[np.ndarray, np.ndarray]:
    """uint32[K, P] each: all bits where each picture of a line shows the old one still; where it does not."""
    size = HEIGHT if way >= 2 else WIDTH
    passed = np.arange(size)[::-1] if way % 2 else np.arange(size)  # the edge comes from the right, or from below
    old = passed < size - np.arange(size + 1)[:, None]
    old = np.broadcast_to(old[:, :, None] if way >= 2 else old[:, None, :], (size + 1, HEIGHT, WIDTH))
    bits = np.where(old, 0xFFFFFFFF, 0).astype(np.uint32).reshape(size + 1, -1)
    return bits, ~bits


_PLACES = [_places(way) for way in range(WAYS)]


def _turned(x: np.ndarray, way: int) -> np.ndarray:
    """Pictures [..., rows, columns] such that the edge comes from the right."""
    x = x.swapaxes(-1, -2) if way >= 2 else x
    return x[..., ::-1] if way % 2 else x


def nearly(off: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each piece between two pictures of a line, of float32[..., K, P] as of `off_lines`: where on it a picture lies
    best, 0..1 of the line, and how far off (mean square), float[..., K - 1] each. Between two pictures of a line lies
    what they mix to: the edge within a place."""
    square = np.einsum("...kp,...kp->...k", off, off)
    cross = np.einsum("...kp,...kp->...k", off[..., :-1, :], off[..., 1:, :])
    here = square[..., :-1]
    length = np.maximum(here + square[..., 1:] - 2 * cross, EPS)
    t = np.clip((here - cross) / length, 0, 1)
    near = np.maximum(here - 2 * t * (here - cross) + t * t * length, 0) / off.shape[-1]
    return (np.arange(t.shape[-1]) + t) / t.shape[-1], near


def onward(p: np.ndarray, near: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of pictures one after the other, where on a line each lies and how far off it is (RMS levels), float[n] each, if
    the edge never goes back by a place: what moves in the shots themselves may look like another place in one frame.
    p, near: float[n, K - 1], as of `nearly`."""
    far = np.sqrt(near)
    best, come = np.empty_like(far), np.empty(far.shape, int)
    total = np.zeros(far.shape[1])
    for i, here in enumerate(far):
        least = np.minimum.accumulate(total)
        come[i] = np.maximum.accumulate(np.where(total == least, np.arange(len(total)), 0))
        total = best[i] = least + here
    at = np.empty(len(far), int)
    at[-1] = best[-1].argmin()
    for i in range(len(far) - 1, 0, -1):
        at[i - 1] = come[i][at[i]]
    row = np.arange(len(far))
    return p[row, at], far[row, at]


def along(off: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far along lines pictures are, 0..1, and how far off them (RMS levels), of float32[n, lines, K, P] as of
    `off_lines`: float[n, lines] each."""
    p, near = nearly(off)
    best, row, column = near.argmin(-1), np.arange(len(off))[:, None], np.arange(off.shape[1])
    return p[row, column, best], np.sqrt(near[row, column, best])


def nearest(X: np.ndarray, A: np.ndarray, B: np.ndarray) -> tuple[tuple[str, int], np.ndarray, np.ndarray]:
    """(kind, way) of the slide from A float32[1, P] to B on whose line the pictures X float32[n, P] lie best, and
    `along` it."""
    ways = [along(off_lines(X, A, B, way)) for way in range(WAYS)]
    lines = (
        ((kind, way), ways[way][0][:, k], ways[way][1][:, k]) for k, kind in enumerate(KINDS) for way in range(WAYS)
    )
    return min(lines, key=lambda it: float(it[2].mean()))


def across_edge(X: np.ndarray, p: np.ndarray, way: int) -> float:
    """ln of the difference across the edge, over that across other places, mean of the frames X float32[n, P] in
    which the edge is p float[n] of its way."""
    x = _turned(X.reshape(-1, HEIGHT, WIDTH), way)
    size = x.shape[2]
    at = np.floor(size - p * size).astype(int)
    seen = np.flatnonzero((at >= 1) & (at <= size - 2) & (p > 0) & (p < 1))
    if not len(seen):
        return 0.0
    gaps = np.abs(x[seen, :, 2:] - x[seen, :, :-2]).mean(1)  # across places 1..size - 2
    own = gaps[np.arange(len(seen)), at[seen] - 1]
    return float(np.mean(np.log((own + 1) / ((gaps.sum(1) - own) / (size - 3) + 1))))
