"""Dissolves through pictures that move, found by trying every span and judged by all evidence at once.

`gradual.py` grows spans from places that look like mixing, which finds what stands out; where the camera or the actors
move meanwhile no step is straight, and half of what it misses is never tried. Here the likeliest of all spans
(`spans.py`) are moved to where the log-odds of mixing.py are highest, and a network of three times 16 units judges
them by 36 numbers, sixteen of them not of pictures (`paces.py`): how much speaks against a dissolve depends on what
else does, which no sum of weights can say. Its 1,900 numbers lie beside this file; tests/benchmarks/train_dissolves.py
trained it.
Legend: T float32[N, P] (`Pictures`), one row of P luma values (0..255) a frame. Pure but for the weights' file.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from wanprep.signals.gradual import Mix
from wanprep.signals.mixing import BIAS, EPS, WEIGHTS, curve_dip, median, rms
from wanprep.signals.mixing import mean as average
from wanprep.signals.one_layer import answers
from wanprep.signals.paces import COLOURS, PACES, colours, paces
from wanprep.signals.pictures import Pictures, counts
from wanprep.signals.rules import GradualRules
from wanprep.signals.spans import Near, likely_spans
from wanprep.signals.wipes import unmoved

FILE = Path(__file__).with_name("dissolves.safetensors")
KNOWN = 1024  # spans whose evidence is remembered: those looked at one after the other climb over the same ones
ROUGH = -1.5  # rough log-odds of spans that are looked at (of some hundred that are tried at each place)
HOPELESS, FAIR = -4.0, -2.5  # log-odds (mixing.py) of spans that are moved, and that the network judges
BESIDE = ("outside_most", "path_least", "path_most", "net", "steepest", "darkest", "bright", "residual", "unmoved")
NAMES = (*WEIGHTS, *BESIDE, *COLOURS, *PACES)  # what the network is asked


def find_dissolves(
    T: Pictures, frame: Mapping[str, np.ndarray], fps: float, rules: GradualRules, cuts: Sequence[int],
    free: np.ndarray,
) -> list[Mix]:  # fmt: skip
    """Dissolves and doubtful ones among the frames `free` (bool[N]), in order, none overlapping.

    frame: numbers of each frame, float[N] (`meter.FIELDS`). cuts: first frames of shots, which nothing spans. The
    fitness of each is the network's log-odds.
    """
    least = min(rules.scan_odds, rules.scan_doubt)
    asked = candidates(T, frame, fps, rules, cuts, free)
    judged = zip(network(asked.values()), asked.items())
    left, kept = free.copy(), []
    for odds, ((s, e), found) in sorted(judged, key=lambda it: -it[0]):
        wanted = odds >= least and found["kept"] <= rules.max_kept and found["steepest"] <= rules.max_step
        if wanted and left[s + 1 : e].all():
            kind = "dissolve" if odds >= rules.scan_odds else "doubtful"
            change = float(rms(T[e] - T[s]))
            left[s + 1 : e] = False
            kept.append(Mix(kind=kind, first=s + 1, last=e - 1, change=change, fitness=odds))
    return sorted(kept, key=lambda mix: mix.first)


def candidates(
    T: Pictures, frame: Mapping[str, np.ndarray], fps: float, rules: GradualRules, cuts: Sequence[int],
    free: np.ndarray,
) -> dict[tuple[int, int], dict[str, float]]:  # fmt: skip
    """Evidence of every span (last pure frame, first pure frame after) that is worth judging."""
    edges, longest = frame["edge_energy"], max(3, round(rules.max_seconds * fps))
    taken, begins = counts(~free), np.zeros(len(T) + 1, bool)
    begins[list(cuts)] = True
    jumps = counts(begins)
    limits = {"min_change": rules.min_change, "max_likeness": rules.max_likeness}

    def allowed(s: int, e: int) -> bool:
        inside = s >= 0 and e < len(T) and 3 <= e - s <= longest
        return bool(inside and taken[e] == taken[s + 1] and jumps[e + 1] == jumps[s + 1])

    near = Near(T)

    @functools.lru_cache(maxsize=KNOWN)
    def seen(s: int, e: int) -> tuple[dict[str, float], float]:
        found = evidence(near, edges, s, e)
        return found, _odds(found)

    found: dict[tuple[int, int], dict[str, float]] = {}
    for s, e in sorted(likely_spans(T, edges, taken + jumps[:-1], longest, ROUGH, **limits)):
        if allowed(s, e) and seen(s, e)[1] >= HOPELESS:
            s, e = _climb(seen, s, e, allowed)
            found[s, e] = seen(s, e)[0]
    fair = {span: it for span, it in found.items() if _odds(it) >= FAIR}
    return {span: it | beside(near, *span) | colours(frame, *span) | paces(frame, *span) for span, it in fair.items()}


def _odds(found: dict[str, float]) -> float:
    return BIAS + sum(weight * found[name] for name, weight in WEIGHTS.items())


def _climb(
    seen: Callable[[int, int], tuple[dict[str, float], float]], s: int, e: int, allowed: Callable[[int, int], bool]
) -> tuple[int, int]:
    """The span nearby whose log-odds no small move of its ends raises. seen: evidence and log-odds of a span."""

    def odds(span: tuple[int, int]) -> float:
        return seen(*span)[1]

    step = max(1, (e - s) // 5)
    while step >= 1:
        moves = ((-1, 0), (1, 0), (0, -1), (0, 1), (-1, 1), (1, -1), (1, 1), (-1, -1))
        around = [(s + a * step, e + b * step) for a, b in moves]
        best = max((span for span in around if allowed(*span)), key=odds, default=(s, e))
        if odds(best) > odds((s, e)) + 1e-9:
            s, e = best
        else:
            step //= 2
    return s, e


def evidence(near: Near, edges: np.ndarray, s: int, e: int) -> dict[str, float]:
    """As mixing.evidence, from covariances: names as in WEIGHTS; `steepest`: largest step of alpha."""
    n, half = e - s, max(2, (e - s) // 2)
    near.load(s - half, e + half)
    a, b, low = s - near.first, e - near.first, max(0, s - 3)
    mean, var = near.mean[a : b + 1], near.var[a : b + 1]
    left, right = near.column(s)[a : b + 1], near.column(e)[a : b + 1]
    own, other, c = float(var[0]), float(var[-1]), float(left[-1])
    power, bright = max(own + other - 2 * c, EPS), float(mean[-1] - mean[0])
    change = math.sqrt(power + bright**2)
    along = right - left - c + own
    ramp, alpha = along / power, (along + (mean - mean[0]) * bright) / change**2
    steps, mixing = ramp[1:] - ramp[:-1], np.minimum(np.maximum(alpha, 0), 1)
    step = float(average(steps))
    straight = (1 - mixing) * own + mixing * other
    mixed = (1 - mixing) ** 2 * own + mixing**2 * other + 2 * mixing * (1 - mixing) * c
    both = (left**2 * other - 2 * left * right * c + right**2 * own) / max(own * other - c * c, EPS) / (var + EPS)
    before, after = near.distance(s, max(0, s - half)), near.distance(e, min(len(near.T) - 1, e + half))
    weak, strong = sorted((own, other))
    return {
        "change": float(np.log(math.sqrt(power) + 1)),
        "length": float(np.log(n)),
        "likeness": c / (math.sqrt(own * other) + EPS),
        "kept": np.count_nonzero(np.abs(near.X[b] - near.X[a]) < 0.25 * change) / near.X.shape[1],
        "outside": min(3.0, min(before, after) / change),
        "both_ends": median(both[1:-1]),
        "uneven": min(0.5, float(average(np.abs(ramp - np.arange(n + 1) / n)))),
        "rough": min(3.0, math.sqrt(average((steps - step) ** 2)) / (abs(step) + EPS)),
        "dip_off": min(1.5, abs(float((straight - var).sum() / ((straight - mixed).sum() + EPS)) - 1)),
        "edges_dip_off": min(1.5, abs(curve_dip(edges[low : e + 4], s - low, n) - 1)),
        "weak": float(np.log((math.sqrt(weak) + 1) / (math.sqrt(strong) + 1))),
        "outside_most": min(3.0, max(before, after) / change),
        "steepest": float((alpha[1:] - alpha[:-1]).max()),
        "bright": abs(bright) / change,
    }


def beside(near: Near, s: int, e: int) -> dict[str, float]:
    """What else the network is asked: the pace inside and beside, what lies off the line, what no camera does."""
    n, end = e - s, len(near.T) - 1
    near.load(s - n, e + n)
    a, b = s - near.first, e - near.first
    steps = near.steps(s, e)
    sides = [near.steps(max(0, s - n), s), near.steps(e, min(end, e + n))]
    paths = sorted(float(side.mean()) for side in sides if len(side) >= 2) or [0.0]
    var, left, right = near.var[a : b + 1], near.column(s)[a : b + 1], near.column(e)[a : b + 1]
    own, other = var[0], var[-1]
    power = max(own + other - 2 * left[-1], EPS)
    along = right - left - left[-1] + own
    off = np.maximum(var + own - 2 * left - along**2 / power, 0)[1:-1] / power
    return {
        "path_least": float(np.log((paths[0] + 0.5) / (steps.mean() + 0.5))),
        "path_most": float(np.log((paths[-1] + 0.5) / (steps.mean() + 0.5))),
        "net": float(np.log(near.distance(s, e) / (steps.sum() + 0.5))),
        "darkest": float(np.clip(1 - var[1:-1].min() / (min(own, other) + 1), -1, 1)),
        "residual": min(2.0, float(np.sqrt(off.mean()))),
        "unmoved": unmoved(near.X[a : b + 1]),
    }


def network(found: Iterable[Mapping[str, float]]) -> list[float]:
    """Log-odds of a dissolve, of each of some spans' evidence."""
    return answers(FILE, NAMES, found)
