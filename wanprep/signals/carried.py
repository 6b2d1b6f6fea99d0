"""Whether the camera's own motion explains what changes: how well each picture, moved, is the next one.

A pan, a tilt, a turn or a zoom brings another picture in as a cut, a dissolve or a wipe does, but all the way each
picture is the one before it, shifted, turned or magnified as a whole. Nothing is left then of what changed where the
two overlap; where shots mix or meet, most of it is.
Legend: T float32[N, P] (`Pictures`), one row of P = HEIGHT x WIDTH luma values (0..255) a frame. Pure: arrays in,
numbers out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from wanprep.signals.gradual import Mix
from wanprep.signals.meter import TINY_HEIGHT as HEIGHT
from wanprep.signals.meter import TINY_WIDTH as WIDTH
from wanprep.signals.mixing import rms
from wanprep.signals.pictures import Pictures

FARTHEST = HEIGHT // 2, WIDTH // 2  # places down and across that the camera moves between two pictures
LEAST = 0.4  # of the picture must overlap
ROUNDS = 4  # of fitting a shift, a zoom and a turn, from the best shift by whole places
PARTS = 8  # pairs of pictures of a span that are compared
AT_ONCE = 64  # pairs of pictures that are compared at once: 40 kB of numbers each
NOISE = 0.5  # levels², of rounding and compression: where less changes nothing is claimed
MIX, FADE, CUT = 0.2, 0.15, 0.025  # shares left (see `uncarried`) below which there is none
STOP, MOVING, LIKE = (
    0.12,
    0.05,
    0.5,
)  # CUT of a step next to one that leaves at most MOVING and is at least LIKE as large
EVEN, WEIGHT = 0.15, 3.7  # share at which nothing speaks against a wipe; log-odds for each e-fold of less


def uncarried(X: np.ndarray) -> float:
    """Share 0..1 of what changes in the span X float32[n + 1, P] that no motion of the camera explains: means of
    PARTS pairs of pictures, weighted by how much changes between them."""
    n = len(X) - 1
    lag = max(1, n // PARTS)
    at = np.arange(0, n - lag + 1, lag)
    left, change = unexplained(X[at], X[at + lag])
    return float(np.average(left / (change + NOISE), weights=np.sqrt(change) + 0.1))


def _steps(T: Pictures, before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of single steps, from frames `before` to frames `after` (int[n] each): the same share, and the RMS change."""
    shares, sizes = [np.zeros(0)], [np.zeros(0)]
    for start in range(0, len(after), AT_ONCE):
        A, B = (T[frames[start : start + AT_ONCE]] for frames in (before, after))
        left, change = unexplained(A, B)
        shares.append(left / (change + NOISE))
        sizes.append(rms(B - A))
    return np.concatenate(shares), np.concatenate(sizes)


def without_moves(T: Pictures, mixes: Iterable[Mix]) -> list[Mix]:
    """Those that the camera's motion does not explain. Of one mixed frame nothing can be said."""

    def carried(mix: Mix) -> bool:
        least = FADE if mix.kind.startswith("fade") else MIX
        return mix.last > mix.first and uncarried(T[max(0, mix.first - 1) : mix.last + 2]) < least

    return [mix for mix in mixes if not carried(mix)]


def against_wipe(T: Pictures, first: int, last: int) -> float:
    """Log-odds, 0 or less, by which the camera's motion speaks against a wipe in frames first..last: where the new
    shot pushes the old one out the two move as one picture would, so this alone decides nothing."""
    share = uncarried(T[max(0, first - 1) : last + 2])
    return WEIGHT * min(0.0, float(np.log((share + 0.01) / EVEN)))


def not_carried(T: Pictures, cuts: Sequence[int], blended: Sequence[int] = ()) -> list[int]:
    """Those of `cuts` (first new frames) whose step the camera's motion does not explain; blended: those of them with
    a frame of both shots before. Where a fast camera stops, the picture is sharp again: less of it is explained."""
    if not len(cuts):
        return []
    after = np.array(cuts, np.int64)
    before = np.maximum(after - 1 - np.array([cut in blended for cut in cuts]), 0)
    share, size = _steps(T, before, after)
    least = np.full(len(after), CUT)
    open_ = np.flatnonzero((share >= CUT) & (share < STOP))  # of these alone the steps beside them decide
    for first in (np.maximum(before[open_] - 1, 0), np.minimum(after[open_], len(T) - 2)) if len(open_) else ():
        near, large = _steps(T, first, first + 1)
        least[open_[(near <= MOVING) & (large >= LIKE * size[open_])]] = STOP
    return after[share >= least].tolist()


def unexplained(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean square (levels²) of what is left of each pair's change once the first picture is moved as well as it can
    be, and of the change itself, both where the two overlap. before, after: float32[n, P].

    From the best shift by whole places, a shift, a zoom and a turn are fitted as Lucas and Kanade (1981) do.
    """
    A, B = (x.reshape(-1, HEIGHT, WIDTH).astype(np.float64) for x in (before, after))
    n = len(A)
    move = np.zeros((n, 4))  # across, down, zoom, turn
    move[:, 1], move[:, 0] = _shift(A, B).T
    seen = np.stack([*np.gradient(A, axis=(1, 2)), A])
    best_left, best_change = np.zeros(n), np.zeros(n)
    for fitted in range(ROUNDS + 1):
        y, x, inside = _places(move)
        down, across, shown = _shown(seen, y, x)
        off = (B - shown) * inside
        count = np.maximum(1, inside.sum((1, 2)))
        left, change = (off**2).sum((1, 2)) / count, ((B - A) ** 2 * inside).sum((1, 2)) / count
        better = (left / (change + NOISE) < best_left / (best_change + NOISE)) & (count >= LEAST / 2 * A[0].size)
        better |= fitted == 0
        best_left, best_change = np.where(better, left, best_left), np.where(better, change, best_change)
        ways = np.stack([across, down, across * _X + down * _Y, down * _X - across * _Y], axis=1) * inside[:, None]
        ways = ways.reshape(n, 4, -1)
        power = np.einsum("nip,njp->nij", ways, ways) + np.diag([1e-2, 1e-2, 1.0, 1.0])
        along = np.einsum("nip,np->ni", ways, off.reshape(n, -1))
        move += np.clip(np.linalg.solve(power, along[..., None])[..., 0], -_FIRST, _FIRST)
        move = np.clip(move, -_MOST, _MOST)
    return best_left, best_change


_Y, _X = np.mgrid[0:HEIGHT, 0:WIDTH] - (np.array([HEIGHT, WIDTH])[:, None, None] - 1) / 2
_FIRST, _MOST = np.array([1.0, 1.0, 0.1, 0.1]), np.array([WIDTH, HEIGHT, 0.5, 0.6])  # of a round, and of all


def _shift(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """int[n, 2]: places down and across by which A float64[n, HEIGHT, WIDTH] moved is B at best. Large moves must fit
    better: the less overlaps, the more easily it agrees."""
    n, (high, wide) = len(A), FARTHEST
    beyond = np.zeros((n, HEIGHT + 2 * high, WIDTH + 2 * wide))
    beyond[:, high : high + HEIGHT, wide : wide + WIDTH] = B
    moved = np.lib.stride_tricks.sliding_window_view(beyond, (HEIGHT, WIDTH), axis=(1, 2))
    both = np.einsum("nklyx,nyx->nkl", moved, A).reshape(n, -1)[:, ::-1][:, _ENOUGH]
    # Of squares of differences, where A and B overlap; B shifted by less is A shifted by more.
    first, second = ((X * X).reshape(n, -1) @ _OVERLAP for X in (A, B))
    costs = ((first + second[:, ::-1] - 2 * both) / _WEIGHTS).T
    best, found = np.full(len(A), np.inf), np.zeros((len(A), 2), int)
    lower = (costs[1:] < np.minimum.accumulate(costs)[:-1]).any(1)
    for k in [0, *(np.flatnonzero(lower) + 1).tolist()]:  # at no other one is any of them lower than before
        better = costs[k] < best - 1e-9
        best[better], found[better] = costs[k][better], _SHIFTS[k]
    return found


def _shifts() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """bool[m]: which shifts leave enough, of all, down and across; int[k, 2]: these; float[P, k]: the places of the
    first picture that they leave, 1 each; float[k]: what their differences are divided by."""
    down, across = np.mgrid[-FARTHEST[0] : FARTHEST[0] + 1, -FARTHEST[1] : FARTHEST[1] + 1].reshape(2, -1)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].reshape(2, -1, 1)
    overlap = (y >= down) & (y < HEIGHT + down) & (x >= across) & (x < WIDTH + across)
    left = overlap.sum(0)
    share = left / (HEIGHT * WIDTH)
    enough = share >= LEAST
    shifts, weights = np.stack([down, across], 1), left * np.sqrt(share)
    return enough, shifts[enough], overlap[:, enough].astype(float), weights[enough]


_ENOUGH, _SHIFTS, _OVERLAP, _WEIGHTS = _shifts()


def _places(move: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where in the first picture each place of the second lies, rows and columns, and whether inside of it."""
    across, down, zoom, turn = (values[:, None, None] for values in move.T)
    y = _Y * (1 + zoom) + _X * turn + down + (HEIGHT - 1) / 2
    x = _X * (1 + zoom) - _Y * turn + across + (WIDTH - 1) / 2
    inside = (y > -0.01) & (y < HEIGHT - 0.99) & (x > -0.01) & (x < WIDTH - 0.99)
    return np.clip(y, 0, HEIGHT - 1.001), np.clip(x, 0, WIDTH - 1.001), inside


def _shown(seen: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Several kinds of pictures, float64[kinds, n, HEIGHT, WIDTH], between their places."""
    top, left = y.astype(int), x.astype(int)
    v, u = y - top, x - left
    at, flat = (np.arange(len(y))[:, None, None] * HEIGHT + top) * WIDTH + left, seen.reshape(len(seen), -1)
    above, beside, below, across = (flat.take(at + step, axis=1) for step in (0, 1, WIDTH, WIDTH + 1))
    upper = above * (1 - u) + beside * u
    return upper * (1 - v) + (below * (1 - u) + across * u) * v
