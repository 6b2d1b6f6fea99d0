"""A second opinion on steps from frame to frame, by all numbers of each at once.

What the sum of weights of `jumps.py` misses are cuts between shots alike, amid motion, in the dark, over a frame of
both shots, and jumps within one framing; what it doubts is as often motion or light, and some of what it takes for a
cut is a drawing held for three frames. How much speaks against a cut depends on what else does, so a small network
judges every cut found there, and every step that stands out at all, of what no cut or transition explains: by what
jumps.py weighs, by what is lost and changes in colour, details and histograms against the steps around, by how alike
the pictures beside are, by where the picture changes, by what repeats, is lit and comes back (`beats.py`), and by
whether light alone would explain it.
tests/benchmarks/train_steps.py fits its weights, which lie beside this file.
Legend: T float32[N, P] (`Pictures`), one row of P = HEIGHT x WIDTH luma values (0..255) a frame. Pure but for the
weights' file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wanprep.signals.beats import AGAIN_NAMES, BEAT_NAMES, LIT_NAMES, again, rhythm, seen
from wanprep.signals.flashes import is_flash
from wanprep.signals.jumps import FAR, WEIGHTS, Series, around, evidence, log_odds, steps
from wanprep.signals.meter import TINY_HEIGHT as HEIGHT
from wanprep.signals.meter import TINY_WIDTH as WIDTH
from wanprep.signals.mixing import EPS, likeness, mean, rms, std
from wanprep.signals.one_layer import computed, weights
from wanprep.signals.pictures import Pictures, parts
from wanprep.signals.rules import ShotRules

FILE = Path(__file__).with_name("steps.safetensors")
LEAST = 2.5  # RMS luma step that is looked at
QUIET, LOUD = 1.5, 0.7  # as a multiple of the largest of the FAR steps on the quieter side, and of all around
LOST = 0.12  # or details lost, as less than on the better side
MIXED, OFF = 0.1, 0.35  # of a frame of both shots: least share of either; most distance from the line between them
STILL, LARGE = 2.0, 8.0  # levels by which a place changes more than it and those around it do in the FAR steps around
LIT = 0.2  # of the mean square change is left where light alone changes
CLEAR = 2.2  # ln of how far the mean colour jumps, over the farthest of the FAR steps around, at which it is a cut
APART = 5  # frames away, of pictures whose likeness is compared
COLOURED = "colour", "colour_quiet", "colour_loud"
NAMES = (
    *WEIGHTS, "odds", "ranks", "size", "loud", "mean", "match", "found_lost", "found_lost_both", "histogram_lost",
    "histogram_lost_both", "content_quiet", "content_loud", *COLOURED, "edges", "far", "far_before",
    "far_after", "bright", "weak", "strong", "flash", "least", "less", "most", "leap", "leaping", "mixed", "share",
    "off", *BEAT_NAMES, *LIT_NAMES, *AGAIN_NAMES,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Step:
    """at: first new frame; mixed: whether the frame before it shows both shots; odds: log-odds of a cut."""

    at: int
    mixed: bool
    odds: float


def find_steps(
    T: Pictures, series: Series, frame: Mapping[str, np.ndarray], free: np.ndarray, longest: int, rules: ShotRules
) -> list[Step]:
    """Steps between frames `free` (bool[N]) whose log-odds of a cut reach `max_doubt`, more than FAR apart, in order.
    frame: numbers of each frame (`meter.FIELDS`). longest: frames of a flash of light."""
    before, after = _seen(T, *candidates(T, series, free), rules)
    if not len(after):
        return []
    rows = numbers(T, series, frame, before, after)
    odds = computed(rows, weights(FILE))
    likely = np.flatnonzero(odds >= rules.max_doubt)  # light takes the longest to look for, and speaks against a cut
    rows[likely, NAMES.index("flash")] = flashes(T, before[likely], after[likely], longest)
    odds[likely] = computed(rows[likely], weights(FILE))
    found = [(int(after[i]), int(before[i]), float(odds[i])) for i in likeliest(after, odds, rules.max_doubt)]
    return [Step(at=at, mixed=at - last > 1, odds=it) for at, last, it in sorted(found)]


def believed(
    T: Pictures, series: Series, frame: Mapping[str, np.ndarray], cuts: Sequence[int], rules: ShotRules
) -> list[int]:
    """Those of `cuts` (first new frames) whose log-odds reach `max_doubt` at least, or at which the mean colour jumps
    as it does nowhere around. Light was asked about before."""
    after = np.array(cuts, np.int64)
    if not len(after):
        return []
    rows = numbers(T, series, frame, after - 1, after)
    clear = rows[:, NAMES.index("colour_loud")] >= CLEAR
    return after[clear | (computed(rows, weights(FILE)) >= rules.max_doubt)].tolist()


def _seen(T: Pictures, before: np.ndarray, after: np.ndarray, rules: ShotRules) -> tuple[np.ndarray, np.ndarray]:
    """Those of the steps of which light, a gain and an offset of the whole picture, does not explain nearly all, and
    that are large enough: of the others nothing more is asked."""
    seen = []
    for at in parts(np.arange(len(after))):
        A, B = T[before[at]], T[after[at]]
        size, like, strong = rms(B - A), likeness(A, B), np.maximum(std(A), std(B))
        left = strong**2 * (1 - like**2) / (size**2 + EPS)
        seen.append((size >= rules.min_step) & ~((like >= rules.max_likeness) & (left < LIT)))
    return before[np.concatenate(seen)], after[np.concatenate(seen)]


def likeliest(after: np.ndarray, odds: np.ndarray, least: float) -> list[int]:
    """Which of the steps to frames `after` (int[n]) reach `least` and have no likelier one within FAR."""
    taken: set[int] = set()
    kept = []
    for i in np.argsort(-odds, kind="stable").tolist():
        at = int(after[i])
        if odds[i] >= least and at not in taken:
            taken.update(range(at - FAR, at + FAR + 1))
            kept.append(i)
    return kept


def candidates(T: Pictures, series: Series, free: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int[n] each: the frames before and after every step worth judging, and those around a frame that may show both
    shots."""
    step = steps(T)
    at = np.flatnonzero(free[1:] & free[:-1] & (step[1:] >= LEAST)) + 1
    one = at[_stands_out(step, series, at - 1, at, step[at])]
    way = step[2:] + step[1:-1]
    mixed = free[2:] & free[1:-1] & free[:-2] & (np.minimum(step[2:], step[1:-1]) >= MIXED * way)
    at = np.flatnonzero(mixed & (way >= LEAST)) + 2
    two = [at[_stands_out(step, series, at - 2, at, way[at - 2] / 2)]]
    for at in parts(two.pop()):
        share, off, size = between(T, at - 2, at)
        two.append(at[(np.abs(share - 0.5) <= 0.5 - MIXED) & (off <= OFF) & (size >= LEAST)])
    after = np.concatenate([one, *two])
    return after - 1 - (np.arange(len(after)) >= len(one)), after


def _stands_out(
    step: np.ndarray, series: Series, before: np.ndarray, after: np.ndarray, size: np.ndarray
) -> np.ndarray:
    """size: luma step, a frame, from `before` to `after`."""
    near, details = around(step, before + 1, after, FAR), around(series.match, before + 1, after, FAR)
    quiet = np.minimum(near[:, :FAR].max(1), near[:, FAR:].max(1))
    better = np.maximum(details[:, :FAR].min(1), details[:, FAR:].min(1))
    lost = better - np.minimum(series.match[before + 1], series.match[after])
    return (size >= LOUD * near.max(1)) & ((size >= QUIET * quiet) | (lost >= LOST))


def between(T: Pictures, before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the frames between: how far along the line between their neighbours they lie, 0..1, their distance from it as
    a share of its length, and that (RMS luma). float[n] each; 0 where there is none between."""
    D, X = T[after] - T[before], T[before + 1] - T[before]
    size = rms(D) + 1e-6
    share = mean(X * D) / size**2
    off, one = rms(X - share[:, None] * D) / size, after - before == 1
    return np.where(one, 0.0, share), np.where(one, 0.0, off), size


def numbers(
    T: Pictures, series: Series, frame: Mapping[str, np.ndarray], before: np.ndarray, after: np.ndarray
) -> np.ndarray:
    """float64[n, len(NAMES)]: what the network is asked of steps from frames `before` to frames `after`, but for
    `flashes`."""
    rows = [_numbers(T, series, frame, before[at], after[at]) for at in parts(np.arange(len(after)))]
    return np.concatenate([np.column_stack([found[name] for name in NAMES]) for found in rows])


def _numbers(
    T: Pictures, series: Series, frame: Mapping[str, np.ndarray], before: np.ndarray, after: np.ndarray
) -> dict[str, np.ndarray]:
    step, ends = steps(T), (before + 1, after)
    A, B = T[before], T[after]
    D = np.sort(np.abs(B - A), axis=1)
    size = rms(D)
    near, contents = around(step, *ends, FAR), around(series.content, *ends, FAR)
    quiet, loud = _sides(contents)
    content = np.maximum(*(series.content[at] for at in ends))
    weighed = evidence(T, step, series, before, after)
    odds, ranks = log_odds(T, series, weighed, before, after)
    share, off, _ = between(T, before, after)
    far = np.maximum(before - APART, 0), np.minimum(after + APART, len(T) - 1)
    weak, strong = np.sort([std(A), std(B)], axis=0)
    tenth = D.shape[1] // 10
    found = {
        "odds": odds, "ranks": ranks, "size": np.log(size + 1),
        "loud": np.log((size + 1) / (near.max(1) + 1)), "mean": np.log((size + 1) / (near.mean(1) + 1)),
        "match": np.minimum(*(series.match[at] for at in ends)),
        "content_quiet": np.log((content + 1) / (quiet + 1)), "content_loud": np.log((content + 1) / (loud + 1)),
        "edges": np.abs(np.diff([np.log(frame["edge_energy"][at] + 1) for at in (before, after)], axis=0))[0],
        "far": likeness(T[far[0]], T[far[1]]), "far_before": likeness(T[far[0]], A),
        "far_after": likeness(B, T[far[1]]),
        "bright": np.abs(mean(A) - mean(B)) / (size + 1),
        "weak": np.log(weak + 1), "strong": np.log(strong + 1),
        "flash": np.zeros(len(after)),
        "least": D[:, tenth] / (size + 1), "less": D[:, 3 * tenth] / (size + 1), "most": D[:, -tenth] / (size + 1),
        "mixed": (after - before > 1).astype(float), "share": np.abs(share - 0.5), "off": off,
    }  # fmt: skip
    for name, values in (("found", series.best_match), ("histogram", series.histogram)):
        least = [part.min(1) for part in np.split(around(values, *ends, FAR), 2, axis=1)]
        own = np.minimum(*(values[at] for at in ends))
        found |= {f"{name}_lost": np.maximum(*least) - own, f"{name}_lost_both": np.minimum(*least) - own}
    jumped = np.maximum(0, np.abs(B - A) - _stirring(T, before, after) - STILL)
    found |= {"leap": np.log(rms(jumped) + 1), "leaping": (jumped > LARGE).mean(1)}
    found |= rhythm(step, before, after, size) | seen(T, before, after) | again(T, before, after)
    return weighed | _colours(frame, before, after) | found


def flashes(T: Pictures, before: np.ndarray, after: np.ndarray, longest: int) -> np.ndarray:
    """float64[n]: 1 where light alone, of at most `longest` frames, is what happens at the step."""
    return np.array([is_flash(T, int(a), int(b), longest) for a, b in zip(before, after)], np.float64)


def _sides(values: np.ndarray) -> np.ndarray:
    """float[2, n]: the largest of the steps before and after, float[n, 2 * FAR], the smaller one first."""
    return np.sort([part.max(1) for part in np.split(values, 2, axis=1)], axis=0)


def _colours(frame: Mapping[str, np.ndarray], before: np.ndarray, after: np.ndarray) -> dict[str, np.ndarray]:
    """How far the mean colour jumps, light aside, and as a multiple of what it does around."""
    luma = frame["luma_mean"].astype(np.float64)
    red, blue = frame["red"] - luma, frame["blue"] - luma
    paces = np.concatenate([[0.0], np.hypot(np.diff(red), np.diff(blue))])
    quiet, loud = _sides(around(paces, before + 1, after, FAR))
    own = np.hypot(red[after] - red[before], blue[after] - blue[before])
    logs = np.log(own + 0.5), np.log((own + 0.5) / (quiet + 0.5)), np.log((own + 0.5) / (loud + 0.5))
    return dict(zip(COLOURED, logs))


def _stirring(T: Pictures, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """float32[n, P]: by how much each place, or one of the eight around it, changes at most in the FAR steps before and
    after."""
    found, last = np.zeros((len(after), HEIGHT, WIDTH), np.float32), len(T) - 1
    for k in range(FAR):
        for at in (before - k, after + 1 + k):  # to this frame; there is no step beyond the ends
            change = T[np.clip(at, 0, last)] - T[np.clip(at - 1, 0, last)]
            found = np.maximum(found, np.abs(change).reshape(found.shape))
    padded = np.pad(found, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = np.maximum(np.maximum(padded[:, :-2], padded[:, 1:-1]), padded[:, 2:])
    return np.maximum(np.maximum(rows[:, :, :-2], rows[:, :, 1:-1]), rows[:, :, 2:]).reshape(len(after), -1)
