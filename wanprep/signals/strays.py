"""Things that move as one but not straight on: a logo on a circle, one that stands and goes on, one that bounces.

`speeds` looks for one pace that all pictures share. Here two neighbours are enough: what goes the same way from the
middle picture to the next, or to it from the one before, is looked for in all other pictures, wherever it is there.

Shape legend: N pictures, h x w their size; parts are float32[2, N, h, w], as `speeds.soft_edges` says.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from wanprep.signals import speeds
from wanprep.signals.trails import HEIGHT, WIDTH, Found, Track, nearest, same, taken, window_at

PEAKS = 5  # ways from one picture to its neighbour that are looked at, and standing still
FOLLOWED = 5  # windows, the strongest
SURE = 0.3  # correlation below which a picture does not show the thing again, wherever it was looked for
TWICE = 0.5  # the same of another place of its own picture: a pattern that repeats
STILL = 6  # pixels that what strays has gone, at least
ALONG, AGAINST = 0.25, -0.2  # agreement of the rest of the picture with a way that is the scene's own; a pattern's
OWN = 0.02  # share of all that goes that way, what is followed has at least


@dataclass(frozen=True, kw_only=True)
class _Seed:
    """A window of the middle picture, by its upper left corner, that goes (dy, dx) pixels to or from a neighbour.
    peak: of that way, in standard deviations. agreement_hw: along it, at places of the middle picture."""

    y: int
    x: int
    dy: int
    dx: int
    peak: float
    strength: float
    agreement_hw: np.ndarray


def strays(parts: np.ndarray, waves: np.ndarray) -> list[Found]:
    """The strongest that at least one other picture shows. waves: of `speeds.evened`."""
    small = np.ascontiguousarray(_halved(parts))
    half = speeds.evened(small)
    out: list[Found] = []
    places: list[tuple[int, int]] = []
    for seed in sorted(_seeds(parts, waves), key=lambda seed: -seed.strength):
        if any(abs(seed.y - y) <= 6 and abs(seed.x - x) <= 10 for y, x in places):
            continue
        facts = _facts(seed, parts)
        if not AGAINST < facts[0] < ALONG or facts[1] < OWN:
            continue
        if len(places) == FOLLOWED:
            break
        places.append((seed.y, seed.x))
        track = _anywhere(parts, small, half, seed.y, seed.x)
        if not _strays(track, seed.y, seed.x) or any(same(track, found.track) for found in out):
            continue
        out.append(Found(track=track, facts=_told(seed, track, facts, parts.shape[1])))
    return out


def _halved(parts: np.ndarray) -> np.ndarray:
    n, height, width = parts.shape[1:]
    even = parts[..., : height // 2 * 2, : width // 2 * 2]
    return even.reshape(2, n, height // 2, 2, width // 2, 2).mean(axis=(3, 5))


def _seeds(parts: np.ndarray, waves: np.ndarray) -> Iterator[_Seed]:
    import cv2

    n, height, width = parts.shape[1:]
    middle = n // 2
    for other in (t for t in (middle - 1, middle + 1) if t < n):
        first = min(middle, other)
        peaks = speeds.correlation(waves[first : first + 2], 1)
        peaks /= peaks.std() + 1e-9
        ways = [(0, 0, max(0.0, float(peaks[0, 0])))]
        speeds.hide(peaks, 0, 0, 1)
        for _ in range(PEAKS):
            dy, dx = divmod(int(peaks.argmax()), width)
            ways.append((dy - height * (dy > height // 2), dx - width * (dx > width // 2), float(peaks[dy, dx])))
            speeds.hide(peaks, dy, dx, 3)
        for dy, dx, peak in ways:
            down, across = (dy, dx) if other > middle else (-dy, -dx)
            agreement_hw = _along(parts[:, middle], parts[:, other], down, across)
            near_hw = cv2.boxFilter(agreement_hw, -1, (48, 24), normalize=False, borderType=cv2.BORDER_CONSTANT)
            y, x, strength = taken(near_hw)
            yield _Seed(y=y, x=x, dy=dy, dx=dx, peak=peak, strength=strength, agreement_hw=agreement_hw)


def _along(here: np.ndarray, there: np.ndarray, dy: int, dx: int) -> np.ndarray:
    """float32[h, w]: product of the edges of one picture with those of another, shifted."""
    height, width = here.shape[1:]
    out = np.zeros((height, width), np.float32)
    rows, columns = speeds.shared(height, 0, dy), speeds.shared(width, 0, dx)
    if rows and columns:
        own, _, far = zip(rows, columns)
        out[own] = here[0][own] * there[0][far]
        out[own] += here[1][own] * there[1][far]
    return out


def _facts(seed: _Seed, parts: np.ndarray) -> tuple[float, float]:
    """How much of the rest of the picture goes that way, and how much of what does is in the window."""
    around = slice(max(0, seed.y - 8), seed.y + HEIGHT + 8), slice(max(0, seed.x - 12), seed.x + WIDTH + 12)
    middle = parts[:, parts.shape[1] // 2]
    energy, agreement_hw = float(np.vdot(middle, middle)), seed.agreement_hw
    rest = float(agreement_hw.sum() - agreement_hw[around].sum())
    near = middle[:, *around]
    along = rest / (energy - float(np.einsum("pkl,pkl->", near, near)) + 1.0)
    inside = float(agreement_hw[seed.y : seed.y + HEIGHT, seed.x : seed.x + WIDTH].sum())
    return along, inside / max(1.0, float(np.maximum(agreement_hw, 0.0).sum()))


def _anywhere(parts: np.ndarray, small: np.ndarray, half: np.ndarray, y: int, x: int) -> Track:
    """Where the window is in the other pictures, if it is at one place only in its own. small: parts of half the size;
    half: their waves."""
    import cv2

    n, height, width = small.shape[1:]
    middle = n // 2
    window, strength = window_at(parts, y, x)
    there = slice(y // 2, (y + HEIGHT) // 2), slice(x // 2, (x + WIDTH) // 2)
    alone = np.zeros_like(small[:, 0])
    alone[:, *there] = small[:, middle, *there]
    wave = np.empty((height, width), np.complex64)
    cv2.dft(cv2.merge(list(alone)), wave.view(np.float32).reshape(height, width, 2), flags=cv2.DFT_COMPLEX_OUTPUT)
    track: Track = {middle: (y, x, 1.0)}
    for t in (middle, *(t for t in range(n) if t != middle)):
        peaks = speeds.correlation(np.stack([wave, half[t]]), 1)
        if t == middle:
            speeds.hide(peaks, 0, 0, HEIGHT // 4)
        dy, dx = divmod(int(peaks.argmax()), width)
        at = y + 2 * (dy - height * (dy > height // 2)), x + 2 * (dx - width * (dx > width // 2))
        found = nearest(parts[:, t], window, strength, at)
        if t == middle and found and found[2] >= TWICE:
            break
        if t != middle and found and found[2] >= SURE:
            track[t] = found
    return track


def _strays(track: Track, y: int, x: int) -> bool:
    """Whether some picture shows it elsewhere."""
    return any(abs(row - y) > STILL or abs(column - x) > STILL for row, column, _ in track.values())


def _told(seed: _Seed, track: Track, facts: tuple[float, float], n: int) -> tuple[float, ...]:
    """What the network is told of it, as of what goes straight on."""
    again = [alike for t, (_, _, alike) in track.items() if t != n // 2]
    return (
        math.log(max(seed.peak, 1.0)), math.log(max(seed.strength, 1.0)), float(np.mean(again)), min(again),
        facts[0], facts[1], len(track) / n, math.log1p(math.hypot(seed.dy, seed.dx)) / 3,
    )  # fmt: skip
