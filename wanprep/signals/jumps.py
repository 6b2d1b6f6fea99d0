"""Hard cuts: how likely each step from frame to frame is a cut, from stored numbers only.

No single number tells a cut from motion, light or an overlay (best of them: area under the curve 0.98, which is ten
false alarms a minute). Together they do: a cut stands out from the steps around it, the pictures before and after are
unlike even when brightness is ignored, hardly any part of the picture stays, and no quarter of the picture has details
that are found again, where just before and after they are. The weights are a logistic regression on the tuning half of
tests/benchmarks/bench_cuts.py; the held-back half shares no material with it.
Legend: T float32[N, P] (`Pictures`), P luma values (0..255) of each frame's tiny picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from wanprep.signals.mixing import likeness, mean, rms, std
from wanprep.signals.pictures import Pictures, parts

# Log-odds of a cut = BIAS + sum of weight times evidence.
BIAS = 0.8
WEIGHTS = {
    "quiet": 2.17,  # ln of the luma step over the largest of the FAR steps on the quieter side
    "standout": 1.6,  # ln of it over the largest on both sides, at most 2.5, times one less the likeness
    "likeness": -4.77,  # correlation of the pictures before and after
    "alike": -2.46,  # what it has above 0.5
    "kept": -3.33,  # share of the picture that changes by less than a fifth of the mean: overlays, insets
    "histogram": -3.89,  # PySceneDetect's correlation of histograms
    "found": -7.42,  # correlation of details in the quarter of the picture in which most are found again
    "lost": 4.78,  # mean of all quarters, as less than the least of FAR steps on the better side
    "lost_both": 3.28,  # and on both sides: fast motion loses them for many frames
    "bare": 3.06,  # ln of the flatter picture's contrast over the luma step: fades step to and from flat pictures
}
# PySceneDetect's AdaptiveDetector (ratio to the frames around, least content_val), for cuts that show in colour more
# than in luma; asked of pictures that are unlike and keep hardly any part or detail, and of a step that exceeds the FAR
# ones on the quieter side ASIDE times, which that of a drawing held for three frames does not.
ADAPTIVE, CONTENT, UNLIKE, KEPT, FOUND, ASIDE = 3.0, 15.0, 0.6, 0.4, 0.5, 1.5
SURE = 2.0  # log-odds above the threshold
LIKELY = -4.0  # log-odds from which on the ranks of pictures are compared
FLAT, BARE = 10.0, 2.0  # luma deviation (0..255) of pictures in which little, or nothing can be seen
CARD = 25.0  # luma step between two of them that is no fade's
NEAR, FAR = 2, 4  # steps on each side; animation moves on every second or third frame, which two do not show


@dataclass(frozen=True, kw_only=True)
class Jump:
    """cuts: index of the first new frame of each; blended: those whose last frame before is a mix of both shots;
    sure: those beyond doubt, which no transition spans."""

    cuts: tuple[int, ...]
    blended: tuple[int, ...]
    sure: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Series:
    """Numbers of each frame against the one before, as ShotMeter leaves them, float32[N], NaN on the first: content_val
    and histogram correlation of PySceneDetect, match and best_match of details."""

    content: np.ndarray
    histogram: np.ndarray
    match: np.ndarray
    best_match: np.ndarray

    @classmethod
    def of(cls, frame: Mapping[str, np.ndarray]) -> Series:
        """From `Signals.frame`; the first frame, with no predecessor, gets the numbers of no change."""
        names = {"content": "content_val", "histogram": "hist_diff", "match": "match", "best_match": "best_match"}
        values = {key: np.nan_to_num(frame[name], nan=0.0 if key == "content" else 1.0) for key, name in names.items()}
        return cls(**values)


def find_jumps(series: Series, T: Pictures, *, min_odds: float, min_step: float, max_likeness: float) -> Jump:
    """All steps whose log-odds of being a cut reach `min_odds`.

    min_step: least RMS luma step. max_likeness: pictures that correlate better, in luma or in its ranks, differ by
    light or noise only.
    """
    step = steps(T)

    def judged(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        size = rms(T[after] - T[before]) if len(after) else np.zeros(0)
        before, after, size = (values[size >= min_step] for values in (before, after, size))
        if not len(after):
            return after, size.astype(np.float64), np.zeros(0, bool)
        odds, like = log_odds(T, series, evidence(T, step, series, before, after), before, after)
        # The end of a fade is a step between two flat pictures; between cards of two tones it is a larger one.
        spread = np.sort([std(T[before]), std(T[after])], axis=0)
        bare = (spread[0] < BARE) & (spread[1] < FLAT) & (size < CARD)
        good = (odds >= min_odds) & (like < max_likeness) & ~bare
        # Steps of a fade, to or from a flat picture, look like cuts too.
        flat = spread[0] < FLAT
        return after[good], odds[good], flat[good]

    def likely(frames: np.ndarray) -> np.ndarray:
        # Only what sticks out a little can be a cut; the rest is not worth the sorting in log_odds.
        frames = frames[step[frames] >= min_step]
        return frames[step[frames] >= 0.5 * around(step, frames, frames, NEAR).mean(1)]

    clear = [judged(at - 1, at) for at in map(likely, parts(np.arange(1, len(T))))]
    hazy = [judged(at - 1, at + 1) for at in parts(blends(T, 0.3 * min_step))]
    (cuts, odds, flat), (mixed, *_) = ([np.concatenate(column) for column in zip(*it)] for it in (clear, hazy))
    # No transition spans a sure cut; one with a blended frame may be the heart of a short dissolve.
    sure = cuts[(odds >= min_odds + SURE) & ~flat]
    # A frame between two pictures of which either step is a cut by itself is a frame of one of them.
    known, late = set(cuts.tolist()), mixed.tolist()
    alone = [b for a, b in zip([-2, *late], late) if b - a > 1 and b not in known and b - 1 not in known]
    return Jump(cuts=tuple(sorted({*known, *alone})), blended=tuple(alone), sure=tuple(sure.tolist()))


def steps(T: Pictures) -> np.ndarray:
    """float64[N]: RMS luma difference from the frame before; 0 of the first. Several ask for it; read-only."""
    return T.once(_all_steps)


def _all_steps(T: Pictures) -> np.ndarray:
    return np.concatenate([[0.0], *(rms(T[at] - T[at - 1]) for at in parts(np.arange(1, len(T))))])


def blends(T: Pictures, least: float) -> np.ndarray:
    """Frames that lie on the line between their two neighbours, at least `least` (RMS luma) apart from both."""
    frames, step = np.arange(1, len(T) - 1), steps(T)
    found = [frames[:0]]
    frames = frames[np.minimum(step[frames], step[frames + 1]) >= least]
    for at in parts(frames) if len(frames) else ():
        D = T[at + 1] - T[at - 1]
        size = rms(D) + 1e-6
        X = T[at] - T[at - 1]
        share = mean(X * D) / size**2
        off = rms(X - share[:, None] * D) / size
        found.append(at[(share > 0.15) & (share < 0.85) & (off < 0.15)])
    return np.concatenate(found)


def evidence(
    T: Pictures, step: np.ndarray, series: Series, before: np.ndarray, after: np.ndarray
) -> dict[str, np.ndarray]:
    """What WEIGHTS weigh, float[n] each, of frames `before` and `after` (int[n] each, one or two apart). step: luma
    step of all frames."""
    A, B = T[before], T[after]
    D = np.abs(B - A)
    size = rms(D)
    steps, details = (around(values, before + 1, after, FAR) for values in (step, series.match))
    quiet, loud = np.sort([steps[:, :FAR].max(1), steps[:, FAR:].max(1)], axis=0)
    low, high = np.sort([details[:, :FAR].min(1), details[:, FAR:].min(1)], axis=0)
    first, last = np.minimum(after, before + 1), np.minimum(after, before + 2)
    match = np.minimum(series.match[first], series.match[last])
    like = likeness(A, B)
    return {
        "quiet": np.log((size + 1) / (quiet + 1)),
        "standout": np.minimum(np.log((size + 1) / (loud + 1)), 2.5) * (1 - np.maximum(like, 0)),
        "likeness": like,
        "alike": np.maximum(like - 0.5, 0),
        "kept": np.mean(0.2 * size[:, None] > D, axis=1),
        "histogram": np.minimum(series.histogram[first], series.histogram[last]),
        "found": np.minimum(series.best_match[first], series.best_match[last]),
        "lost": high - match,
        "lost_both": low - match,
        "bare": np.log((np.minimum(std(A), std(B)) + 1) / (size + 1)),
    }


def log_odds(
    T: Pictures, series: Series, found: Mapping[str, np.ndarray], before: np.ndarray, after: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds that a cut lies between frames `before` and `after` (int[n] each, one or two apart), of which `evidence`
    is found, and the larger likeness of theirs, of luma or of its ranks (asked of likely cuts only)."""
    odds = BIAS + sum(weight * found[name] for name, weight in WEIGHTS.items())
    contents = around(series.content, before + 1, after, FAR)
    first, last = np.minimum(after, before + 1), np.minimum(after, before + 2)
    own_content = np.maximum(series.content[first], series.content[last])
    match = np.minimum(series.match[first], series.match[last])
    near = contents[:, FAR - NEAR : FAR + NEAR].mean(1)
    coloured = (own_content >= CONTENT) & (own_content + 1 >= ADAPTIVE * (near + 1))
    coloured &= own_content + 1 >= ASIDE * (np.minimum(contents[:, :FAR].max(1), contents[:, FAR:].max(1)) + 1)
    coloured &= (found["kept"] < KEPT) & (match < FOUND)
    # Ranks are unmoved by any change of light, clipping included; they take longer than all the rest.
    alike = found["likeness"].copy()
    at = np.flatnonzero(coloured | (odds >= LIKELY))
    if len(at):
        alike[at] = np.maximum(alike[at], likeness(_ranks(T[before[at]]), _ranks(T[after[at]])))
    coloured &= alike < UNLIKE
    return np.where(coloured, np.maximum(odds, 0.0), odds), alike


def around(values: np.ndarray, first: np.ndarray, last: np.ndarray, count: int) -> np.ndarray:
    """float[n, 2·count]: values of the steps before step `first` and after step `last`; at the ends, where there are
    none, the mean of those that there are."""
    at = np.concatenate([first[:, None] + np.arange(-count, 0), last[:, None] + np.arange(1, count + 1)], axis=1)
    found = values.take(at, mode="clip")
    there = (at >= 1) & (at < len(values))
    if there.all():
        return found
    found[~there] = 0.0
    mean = found.sum(1) / np.maximum(1, there.sum(1))
    return np.where(there, found, mean[:, None])


def _ranks(x: np.ndarray) -> np.ndarray:
    return np.argsort(np.argsort(x, axis=-1, kind="stable"), axis=-1, kind="stable").astype(np.float32)
