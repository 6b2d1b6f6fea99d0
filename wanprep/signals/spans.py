"""Every span of frames at a glance: how alike its ends are, its middle and what lies beside it.

What a dissolve is judged by are sums of products of pictures, so covariances of frames are all that is needed; those
of frames a few lags apart are a tenth of the work of looking at the pictures of each span. Growing a span from a place
that looks like mixing loses the dissolves in which much moves: trying all lengths everywhere does not.
Legend: T float32[N, P] (`Pictures`), one row of P luma values (0..255) a frame. Pure: arrays and numbers in and out.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from wanprep.signals import pictures
from wanprep.signals.mixing import BIAS, EPS, WEIGHTS, rms
from wanprep.signals.pictures import Pictures, all_spans

LENGTHS = (3, 4, 5, 7, 9, 12, 16, 22, 30, 41, 56, 75)  # frames from the last pure one to the first pure one
HALF = 0.5  # spans that share so much (intersection over union) grow into the same one
MARGIN = 60  # frames on both sides that are loaded beside those asked for


class Near:
    """Frames around a place, and their covariances: rows are frames `first`, `first` + 1, ...

    Covariances are taken one frame against all when they are asked for: a product of matrices would start threads,
    which wait for each other where a machine is busy.
    """

    def __init__(self, T: Pictures) -> None:
        self.T, self.first, self.last = T, 0, -1

    def load(self, low: int, high: int) -> None:
        """Have at least frames low..high at hand (as far as there are any)."""
        low, high = max(0, low), min(len(self.T) - 1, high)
        if self.first <= low and high <= self.last:
            return
        self.first, self.last = max(0, low - MARGIN), min(len(self.T) - 1, high + MARGIN)
        self.X = self.T[self.first : self.last + 1]
        self.mean, self.var = self.X.mean(1).astype(np.float64), self.X.var(1).astype(np.float64)
        self.Z = self.X - self.X.mean(1, keepdims=True)
        self.columns: dict[int, np.ndarray] = {}

    def column(self, i: int) -> np.ndarray:
        """float64[loaded frames]: covariance of each with frame i, a loaded one."""
        if i not in self.columns:
            products = np.einsum("tp,p->t", self.Z, self.Z[i - self.first])
            self.columns[i] = products.astype(np.float64) / self.Z.shape[1]
        return self.columns[i]

    def distance(self, i: int, j: int) -> float:
        """RMS luma difference of two loaded frames."""
        a, b = i - self.first, j - self.first
        squared = self.var[a] + self.var[b] - 2 * self.column(i)[b] + (self.mean[a] - self.mean[b]) ** 2
        return math.sqrt(max(squared, 0.0))

    def steps(self, s: int, e: int) -> np.ndarray:
        """RMS luma differences of loaded frames s..e from the frame before each of s + 1..e."""
        return rms(np.diff(self.X[s - self.first : e - self.first + 1], axis=0))


def likely_spans(
    T: Pictures, edges: np.ndarray, blocked: np.ndarray, longest: int, least: float, *, min_change: float,
    max_likeness: float,
) -> list[tuple[int, int]]:  # fmt: skip
    """Spans (last pure frame, first pure frame after) that may be dissolves, likeliest first, no two much alike.

    edges: float[N], energy of each frame's edges. blocked: int[N + 1], sum over the frames before each of what no span
    may hold. least: rough log-odds that one must reach, of the ends, the middle and what lies beside.
    """
    found, half = [np.zeros((0, 3))], LENGTHS[-1] // 2 + 1
    strides = {length: max(1, length // 5) for length in LENGTHS if length <= longest}
    for number, (first, last) in enumerate(all_spans(len(T), strides, pictures.PASS) if strides else ()):
        start = number * pictures.PASS
        low, high = max(0, start - half), min(len(T), start + pictures.PASS + LENGTHS[-1] + half)
        part = _Part(T[low:high], edges[low:high], low, len(T))
        first, last = (frames[blocked[last + 1] == blocked[first]] for frames in (first, last))
        odds = part.rough_odds(first, last - first, min_change, max_likeness)
        found.append(np.stack([odds, first, last], axis=1)[odds >= least])
    spans = np.concatenate(found)
    peaks = [_peaks(spans[spans[:, 2] - spans[:, 1] == length], length // 4) for length in strides]
    spans = np.concatenate([*peaks, np.zeros((0, 3))])
    return _unlike(spans[np.argsort(-spans[:, 0], kind="stable")])


def _peaks(spans: np.ndarray, room: int) -> np.ndarray:
    """Of rows (odds, first, last), by their first frames, those no worse than any that begins at most `room` beside."""
    if len(spans) < 2:
        return spans
    odds, first = spans[:, 0], spans[:, 1]
    best = np.ones(len(spans), bool)
    for shift in range(1, min(room, len(spans) - 1) + 1):
        near = first[shift:] - first[:-shift] <= room
        best[:-shift] &= ~(near & (odds[shift:] > odds[:-shift]))
        best[shift:] &= ~(near & (odds[:-shift] > odds[shift:]))
    return spans[best]


def _unlike(spans: np.ndarray) -> list[tuple[int, int]]:
    """Spans (in order of odds) that share less than HALF with every better one."""
    kept: dict[int, list[tuple[int, int]]] = {}
    out = []
    for s, e in spans[:, 1:].astype(int).tolist():
        cell = (s + e) // 2 // LENGTHS[-1]
        others = [it for c in (cell - 1, cell, cell + 1) for it in kept.get(c, ())]
        if all((min(e, b) - max(s, a) + 1) < HALF * (max(e, b) - min(s, a) + 1) for a, b in others):
            kept.setdefault(cell, []).append((s, e))
            out.append((s, e))
    return out


class _Part:
    """Frames low..low + len(X) of a film of `total`, and their covariances at any lag. Spans come by their lengths,
    the shortest first."""

    def __init__(self, X: np.ndarray, edges: np.ndarray, low: int, total: int) -> None:
        self.X, self.edges, self.low, self.total = X, edges, low, total
        self.mean, self.var = X.mean(1).astype(np.float64), X.var(1).astype(np.float64)
        self.lags: dict[int, np.ndarray] = {}

    def covariance(self, i: np.ndarray, lag: np.ndarray) -> np.ndarray:
        """Of frames i and i + lag; lags ascend."""
        edges = [0, *(np.flatnonzero(lag[1:] != lag[:-1]) + 1).tolist(), len(lag)]
        return np.concatenate([self._lagged(int(lag[a]))[i[a:b]] for a, b in itertools.pairwise(edges)])

    def _lagged(self, lag: int) -> np.ndarray:
        if lag not in self.lags:
            products = np.einsum("ij,ij->i", self.X[:-lag], self.X[lag:]) / self.X.shape[1]
            self.lags[lag] = products - self.mean[:-lag] * self.mean[lag:]
        return self.lags[lag]

    def rough_odds(self, first: np.ndarray, length: np.ndarray, min_change: float, max_likeness: float) -> np.ndarray:
        """Log-odds of dissolves as of mixing.py, from one frame in the middle; −inf where the ends rule it out."""
        odds = np.full(len(first), -np.inf)
        if not len(first):
            return odds
        s = first - self.low
        e, c = s + length, self.covariance(s, length)
        power = np.maximum(self.var[s] + self.var[e] - 2 * c, EPS)
        like = c / (np.sqrt(self.var[s] * self.var[e]) + EPS)
        change = np.sqrt(power + (self.mean[e] - self.mean[s]) ** 2)
        fair = (change >= min_change) & (like <= max_likeness)
        if not fair.any():
            return odds
        s, e, c, power, like, change, length = (values[fair] for values in (s, e, c, power, like, change, length))
        weak = np.sort([np.sqrt(self.var[s]), np.sqrt(self.var[e])], axis=0)
        total = BIAS + WEIGHTS["change"] * np.log(np.sqrt(power) + 1) + WEIGHTS["length"] * np.log(length)
        total += WEIGHTS["likeness"] * like + WEIGHTS["weak"] * np.log((weak[0] + 1) / (weak[1] + 1))
        total += WEIGHTS["outside"] * np.minimum(3, self._beside(s, e, np.maximum(2, length // 2)) / change)
        odds[fair] = total + self._middle(s, e, c, power, change)
        return odds

    def _beside(self, s: np.ndarray, e: np.ndarray, half: np.ndarray) -> np.ndarray:
        """RMS change in `half` frames before s or after e, whichever is less; none at the ends of the film."""

        def moved(i: np.ndarray, there: np.ndarray) -> np.ndarray:
            at = np.where(there, i, 0)
            squared = self.var[at] + self.var[at + half] - 2 * self.covariance(at, half)
            return np.where(there, np.sqrt(np.maximum(squared + (self.mean[at] - self.mean[at + half]) ** 2, 0)), 0.0)

        before, after = s + self.low >= half, e + self.low + half < self.total
        return np.minimum(moved(s - half, before), moved(e, after))

    def _middle(self, s: np.ndarray, e: np.ndarray, c: np.ndarray, power: np.ndarray, change: np.ndarray) -> np.ndarray:
        """What the frame in the middle says for and against."""
        length = e - s
        to = length // 2
        m, t = s + to, to / length
        old, new = (1 - t).astype(self.edges.dtype), t.astype(self.edges.dtype)
        left, right, own = self.covariance(s, to), self.covariance(m, length - to), self.var[m]
        along = right - left - c + self.var[s]
        bright = (self.mean[m] - self.mean[s]) * (self.mean[e] - self.mean[s])
        a = np.clip((along + bright) / change**2, 0, 1)
        straight = (1 - a) * self.var[s] + a * self.var[e]
        mixed = (1 - a) ** 2 * self.var[s] + a**2 * self.var[e] + 2 * a * (1 - a) * c
        dip = (straight - own) / (straight - mixed + EPS)
        low, high, middle = self.edges[s], self.edges[e], self.edges[m]
        level = old * low + new * high
        faded = ((1 - t) ** 2).astype(low.dtype) * low
        edges_dip = (level - middle) / (level - faded - (t**2).astype(low.dtype) * high + EPS)
        square = left**2 * self.var[e] - 2 * left * right * c + right**2 * self.var[s]
        both = square / np.maximum(self.var[s] * self.var[e] - c**2, EPS) / (own + EPS)
        # Of a frame the deviations are larger than of all frames in the mean: hence 0.5 and 0.7.
        odds = WEIGHTS["both_ends"] * np.clip(both, 0, 1) + 0.5 * WEIGHTS["uneven"] * np.abs(along / power - t)
        odds += 0.7 * WEIGHTS["dip_off"] * np.minimum(1.5, np.abs(dip - 1))
        return odds + 0.7 * WEIGHTS["edges_dip_off"] * np.minimum(1.5, np.abs(edges_dip - 1))
