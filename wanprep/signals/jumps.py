"""Hard cuts: how likely each step from frame to frame is a cut, from stored numbers only.

No single number tells a cut from motion, light or an overlay (best of them: area under the curve 0.98, which is ten
false alarms a minute). Together they do: a cut stands out from the steps around it, the pictures before and after are
unlike even when brightness is ignored, and hardly any part of the picture stays. The weights are a logistic
regression on the tuning half of tests/benchmarks/bench_cuts.py; the held-back half shares no material with it.
Legend: T float32[N, P], P luma values (0..255) of each frame's tiny picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wanprep.signals.mixing import likeness, rms

# Log-odds of a cut = BIAS + sum of weight times evidence.
BIAS = -0.7
WEIGHTS = {
    "quiet": 1.7,  # ln of the luma step over the largest of the FAR steps on the quieter side
    "standout": 2.0,  # ln of it over the largest on both sides, at most 2.5, times one less the likeness
    "content": 1.05,  # ln of PySceneDetect's content_val, which sees colour too, over the mean of two on each side
    "likeness": -1.05,  # correlation of the pictures before and after
    "alike": -6.0,  # what it has above 0.5
    "rank_likeness": -3.7,  # correlation of ranks: unmoved by any change of light, clipping included
    "kept": -6.9,  # share of the picture that changes by less than a fifth of the mean: overlays, insets
    "histogram": -1.9,  # PySceneDetect's correlation of histograms
}
# PySceneDetect's AdaptiveDetector (ratio to the frames around, least content_val), for cuts that show in colour more
# than in luma; asked of pictures that are unlike and hardly keep any part.
ADAPTIVE, CONTENT, UNLIKE, KEPT = 3.0, 15.0, 0.6, 0.4
SURE = 2.0  # log-odds above the threshold
FLAT, BARE = 10.0, 2.0  # luma deviation (0..255) of pictures in which little, or nothing can be seen
NEAR, FAR = 2, 4  # steps on each side; animation moves on every second or third frame, which two do not show


@dataclass(frozen=True, kw_only=True)
class Jump:
    """cuts: index of the first new frame of each; blended: those whose last frame before is a mix of both shots;
    sure: those beyond doubt, which no transition spans."""

    cuts: tuple[int, ...]
    blended: tuple[int, ...]
    sure: tuple[int, ...]


def find_jumps(
    content: np.ndarray, histogram: np.ndarray, T: np.ndarray, *, min_odds: float, min_step: float, max_likeness: float
) -> Jump:
    """All steps whose log-odds of being a cut reach `min_odds`.

    content, histogram: float32[N], PySceneDetect's content_val and histogram correlation of each frame with the one
    before (NaN on the first). min_step: least RMS luma step. max_likeness: pictures that correlate better, in luma or
    in its ranks, differ by light or noise only.
    """
    step = np.concatenate([[0.0], rms(T[1:] - T[:-1])])
    series = step, np.nan_to_num(content), np.nan_to_num(histogram, nan=1.0)

    def judged(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        size = rms(T[after] - T[before])
        # The end of a fade is a step between two flat pictures; between cards of two tones it is a larger one.
        spread = np.sort([T[before].std(-1), T[after].std(-1)], axis=0)
        bare = (spread[0] < BARE) & (spread[1] < FLAT)
        keep = size >= np.where(bare, 5 * min_step, min_step)
        before, after = before[keep], after[keep]
        odds, like = log_odds(T, series, before, after)
        good = (odds >= min_odds) & (like < max_likeness)
        # Steps of a fade, to or from a flat picture, look like cuts too.
        flat = np.minimum(T[before].std(-1), T[after].std(-1)) < FLAT
        return after[good], (odds >= min_odds + SURE)[good] & ~flat[good]

    frames = np.arange(1, len(T))
    # Only what sticks out a little can be a cut; the rest is not worth the sorting below.
    frames = frames[(step[1:] >= min_step) & (step[1:] >= 0.5 * _near(step, frames, frames, NEAR).mean(1))]
    cuts, sure = judged(frames - 1, frames)
    mixed = blends(T, step, min_step)
    after, sure_after = judged(mixed - 1, mixed + 1)
    # A frame between two pictures of which either step is a cut by itself is a frame of one of them.
    alone = ~np.isin(after, cuts) & ~np.isin(after - 1, cuts)
    alone &= np.concatenate([[True], np.diff(after) > 1])[: len(after)]
    after, sure_after = after[alone], sure_after[alone]
    # No transition spans a sure cut; one with a blended frame may be the heart of a short dissolve.
    order = tuple(sorted({*cuts.tolist(), *after.tolist()}))
    return Jump(cuts=order, blended=tuple(after.tolist()), sure=tuple(cuts[sure].tolist()))


def blends(T: np.ndarray, step: np.ndarray, min_step: float) -> np.ndarray:
    """Frames that lie on the line between their two neighbours, apart from both."""
    frames = np.arange(1, len(T) - 1)
    frames = frames[np.minimum(step[frames], step[frames + 1]) >= 0.3 * min_step]
    D = T[frames + 1] - T[frames - 1]
    size = rms(D) + 1e-6
    X = T[frames] - T[frames - 1]
    share = np.mean(X * D, axis=-1) / size**2
    off = rms(X - share[:, None] * D) / size
    return frames[(share > 0.15) & (share < 0.85) & (off < 0.15)]


def log_odds(
    T: np.ndarray, series: tuple[np.ndarray, np.ndarray, np.ndarray], before: np.ndarray, after: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds that a cut lies between frames `before` and `after` (int[n] each, one or two apart), and the larger of
    both likenesses. series: luma step, content_val, histogram correlation of all frames."""
    step, content, histogram = series
    A, B = T[before], T[after]
    D = np.abs(B - A)
    size = rms(D)
    steps, contents = _near(step, before + 1, after, FAR), _near(content, before + 1, after, NEAR)
    quiet, loud = np.sort([steps[:, :FAR].max(1), steps[:, FAR:].max(1)], axis=0)
    inside = [np.minimum(after, k) for k in (before + 1, before + 2)]
    own_content = np.maximum(content[inside[0]], content[inside[1]])
    own_histogram = np.minimum(histogram[inside[0]], histogram[inside[1]])
    like, rank_like = likeness(A, B), likeness(_ranks(A), _ranks(B))
    evidence = {
        "quiet": np.log((size + 1) / (quiet + 1)),
        "standout": np.minimum(np.log((size + 1) / (loud + 1)), 2.5) * (1 - np.maximum(like, 0)),
        "content": np.log((own_content + 1) / (contents.mean(1) + 1)),
        "likeness": like,
        "alike": np.maximum(like - 0.5, 0),
        "rank_likeness": rank_like,
        "kept": np.mean(0.2 * size[:, None] > D, axis=1),
        "histogram": own_histogram,
    }
    odds = BIAS + sum(weight * evidence[name] for name, weight in WEIGHTS.items())
    alike = np.maximum(like, rank_like)
    coloured = (own_content >= CONTENT) & (evidence["content"] >= np.log(ADAPTIVE))
    coloured &= (evidence["kept"] < KEPT) & (alike < UNLIKE)
    return np.where(coloured, np.maximum(odds, 0.0), odds), alike


def _near(values: np.ndarray, first: np.ndarray, last: np.ndarray, count: int) -> np.ndarray:
    """float[n, 2·count]: values of the steps before step `first` and after step `last`; at the ends, where there are
    none, the mean of those that there are."""
    at = np.concatenate([first[:, None] + np.arange(-count, 0), last[:, None] + np.arange(1, count + 1)], axis=1)
    there = (at >= 1) & (at < len(values))
    found = np.where(there, values[np.clip(at, 0, len(values) - 1)], 0.0)
    mean = found.sum(1) / np.maximum(1, there.sum(1))
    return np.where(there, found, mean[:, None])


def _ranks(x: np.ndarray) -> np.ndarray:
    return np.argsort(np.argsort(x, axis=-1, kind="stable"), axis=-1, kind="stable").astype(np.float32)
