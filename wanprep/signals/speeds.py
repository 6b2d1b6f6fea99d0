"""Edges of thumbnails that go a way of their own, and the speeds at which many of them do.

What stays in place is left out of them, and what moves with its surroundings is made faint, so that the correlation of
thumbnails has its peaks where something small moves on its own (signals/moving.py).

Shape legend: N thumbnails, h x w their size; parts are float32[2, N, h, w], across and down.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np

from wanprep.signals import marks

SPEEDS = 16  # that are looked at
KNOWN = 0.9  # of edges that move with the scene, what is left out
BAND, SLOW = 8, 4  # rows that a ticker has at least; columns a picture, to which all that stays belongs
SOFT = 8.0  # gradient levels a pixel at which an edge counts half
Speed = tuple[int, int, float]  # rows and columns a picture, height of the peak in standard deviations


def soft_edges(thumbs_Nhw: Sequence[np.ndarray]) -> np.ndarray:
    """float32[2, N, h, w], across and down: gradient less what of it stays, soft: its length is below 1. What moves
    with its surroundings is faint in it."""
    parts = marks.gradients([thumb.astype(np.float32) for thumb in thumbs_Nhw])
    lasting = [marks.middle(part) for part in parts]
    out = np.empty((2, len(thumbs_Nhw), *thumbs_Nhw[0].shape), np.float32)
    for t, own in enumerate(_own_shares(thumbs_Nhw)):  # one by one: small arrays stay in the cache
        across, down = (part[t] - stays for part, stays in zip(parts, lasting))
        length = np.sqrt(across * across + down * down)
        length += SOFT
        length /= own
        np.divide(across, length, out=out[0, t])
        np.divide(down, length, out=out[1, t])
    return out


def _own_shares(thumbs_Nhw: Sequence[np.ndarray]) -> list[np.ndarray]:
    """float32[h, w] of each picture, 1 - KNOWN to 1: how little its edges are those of the picture before or after,
    moved as the scene moves there. The dense flow (Kroeger et al. 2016) is of half the size: too coarse for a mark."""
    import cv2

    height, width = thumbs_Nhw[0].shape
    small = [cv2.resize(t, (width // 2, height // 2), interpolation=cv2.INTER_AREA) for t in thumbs_Nhw]
    edges = []
    for across, down in zip(*marks.gradients([t.astype(np.float32) for t in small])):
        length = np.sqrt(across * across + down * down)
        length += SOFT
        edges.append((across / length, down / length))
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    columns, rows = np.meshgrid(*(np.arange(size, dtype=np.float32) for size in (width // 2, height // 2)))
    out = []
    for t, (across, down) in enumerate(edges):
        alike = []
        for other in {t - 1, t + 1} & set(range(len(small))):
            right, below = cv2.split(flow.calc(small[t], small[other], None))  # type: ignore[call-overload]
            x, y = (cv2.remap(edge, columns + right, rows + below, cv2.INTER_LINEAR) for edge in edges[other])
            alike.append(cv2.blur(across * x + down * y, (3, 3)))
        known = functools.reduce(np.maximum, alike) / (cv2.blur(across * across + down * down, (3, 3)) + 0.1)
        out.append(cv2.resize(1 - KNOWN * np.clip(known, 0, 1), (width, height), interpolation=cv2.INTER_LINEAR))
    return out


def speeds(waves: np.ndarray) -> list[Speed]:
    """The SPEEDS likeliest, of what `evened` says: where the correlation of pictures with the next, and with the
    next but one at twice the distance, is highest; each frequency counts about alike."""
    import cv2

    n, height, width = waves.shape
    peaks = correlation(waves, 1)
    if n >= 4:
        twice = cv2.dilate(correlation(waves, 2), np.ones((3, 3), np.uint8))
        twice = np.concatenate([twice[::2], twice[height % 2 :: 2]])
        peaks += 0.5 * np.concatenate([twice[:, ::2], twice[:, width % 2 :: 2]], axis=1)
    peaks /= peaks.std() + 1e-9
    out = []
    hide(peaks, 0, 0, 1)  # what stays, and its noise
    for _ in range(SPEEDS):
        dy, dx = divmod(int(peaks.argmax()), width)
        out.append((dy - height * (dy > height // 2), dx - width * (dx > width // 2), float(peaks[dy, dx])))
        hide(peaks, dy, dx, 3)
    return out


def band(parts: np.ndarray, within: Sequence[tuple[int, int]] = ()) -> tuple[int, Speed]:
    """(row, speed) of the BAND rows around it that go sideways most clearly, at a pace that is not that of the rest: a
    ticker does so over its whole width. In whole columns a picture; the height is in standard deviations of these rows
    under other paces, times the share of all agreement at that pace that they have. within: spans of rows, in one of
    which it must be."""
    import cv2

    n, height, width = parts.shape[1:]
    waves = np.empty((n, height, width), np.complex64)
    for t, picture in enumerate(zip(*parts)):
        rows = cv2.dft(cv2.merge(picture), flags=cv2.DFT_ROWS | cv2.DFT_COMPLEX_OUTPUT)
        waves[t] = rows.view(np.complex64)[..., 0]
    flat = waves.view(np.float32).reshape(-1, 2 * width)
    usual = np.sqrt(np.einsum("rk,rk->k", flat, flat).reshape(width, 2).sum(axis=1) / (n * height))
    even = 1 / np.square(usual + 0.5 * usual.mean() + 1e-6)
    bands = _bands(waves, 1, even)
    if n >= 4:
        near = np.arange(1 - width // 4, width // 4)
        bands[:, near % width] += _bands(waves, 2, even)[:, 2 * near % width]
    inside, whole = bands[1:] + bands[:-1], bands.sum(axis=0)
    spread = np.mean(inside * inside, axis=1)
    inside[:, np.arange(-SLOW, SLOW + 1) % width] = 0
    inside = np.maximum(inside, 0.0)
    around = np.pad(bands, ((1, 1), (0, 0)))
    rest = whole - around[:-3] - around[1:-2] - around[2:-1] - around[3:]
    share = inside / (inside + np.maximum(rest, 0.0) + 1e-6)
    clear = inside * share / np.sqrt(spread + np.median(spread) + 1e-9)[:, None]
    if within:
        rows = np.arange(1, len(clear) + 1) * BAND // 2
        clear[~np.any([(rows > first) & (rows < last) for first, last in within], axis=0)] = 0.0
    k, dx = divmod(int(clear.argmax()), width)
    return (k + 1) * BAND // 2, (0, dx - width * (dx > width // 2), float(clear[k, dx]))


def _bands(waves: np.ndarray, apart: int, even: np.ndarray) -> np.ndarray:
    """float32[h // (BAND / 2), w]: correlation across of pictures that many apart, each BAND / 2 rows together."""
    import cv2

    count, width = waves.shape[1] // (BAND // 2), waves.shape[2]
    product = sum(later * wave.conj() for wave, later in zip(waves, waves[apart:]))[: count * (BAND // 2)]
    product = product.reshape(count, BAND // 2, width).sum(axis=1) * (even / (len(waves) - apart))
    rows = product.astype(np.complex64).view(np.float32).reshape(count, width, 2)
    return cv2.idft(rows, flags=cv2.DFT_ROWS | cv2.DFT_SCALE)[..., 0].copy()


def evened(parts: np.ndarray) -> np.ndarray:
    """complex64[N, h, w]: transforms of pictures, in all of which together each frequency counts about alike."""
    import cv2

    n, height, width = parts.shape[1:]
    waves = np.empty((n, height, width), np.complex64)
    for t, picture in enumerate(zip(*parts)):
        cv2.dft(cv2.merge(picture), waves[t].view(np.float32).reshape(height, width, 2), flags=cv2.DFT_COMPLEX_OUTPUT)
    usual = np.sqrt(sum(wave.real * wave.real + wave.imag * wave.imag for wave in waves) / n)
    even = 1 / (usual + 0.5 * usual.mean() + 1e-6)
    for wave in waves:
        wave *= even
    return waves


def correlation(waves: np.ndarray, apart: int) -> np.ndarray:
    """float32[h, w]: mean correlation of pictures that many apart, by how far the later one is shifted."""
    import cv2

    product = sum(later * wave.conj() for wave, later in zip(waves, waves[apart:]))
    product *= np.float32(1 / (len(waves) - apart))
    height, width = product.shape
    back = cv2.idft(product.view(np.float32).reshape(height, width, 2), flags=cv2.DFT_SCALE)
    return np.ascontiguousarray(back[..., 0])


def hide(peaks_hw: np.ndarray, y: int, x: int, reach: int) -> None:
    height, width = peaks_hw.shape
    near = np.arange(-reach, reach + 1)
    peaks_hw[np.ix_((y + near) % height, (x + near) % width)] = -math.inf


def agreement(parts: np.ndarray, dy: int, dx: int) -> np.ndarray:
    """float32[h, w]: sum over neighbouring pictures of the products of their edges along a speed, at the place in the
    middle picture."""
    import cv2

    n, height, width = parts.shape[1:]
    out = np.zeros((height, width), np.float32)
    for t in range(n - 1):
        k = t - n // 2
        rows = shared(height, k * dy, (k + 1) * dy)
        columns = shared(width, k * dx, (k + 1) * dx)
        if rows and columns:
            here, one, two = zip(rows, columns)
            for part in parts:
                cv2.accumulateProduct(part[t][one], part[t + 1][two], out[here])
    return out


def shared(size: int, a: int, b: int) -> tuple[slice, slice, slice] | None:
    """The places 0..size-1 that stay inside when shifted by a, and by b: themselves, and the two shifted."""
    low, high = max(0, -a, -b), min(size, size - a, size - b)
    return (slice(low, high), slice(low + a, high + a), slice(low + b, high + b)) if low < high else None
