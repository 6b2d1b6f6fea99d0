"""The weights of `wanprep.signals.wipes` and `….slides`, fitted to films of the tuning half of bench_cuts.

    python tests/benchmarks/train_wipes.py [--films 20] [--cache FOLDER] [--media ../shared/media/dev] [--jobs 2]

Edits of both sets, moves of the camera, films of slides, and single shots with traps. Of each film every span that the
shipped modules judge, with its evidence and what the film's truth says of it; of each wipe and each false alarm only
the likeliest span counts, found anew with the weights of each round. Two ridge logistic regressions, no sign forced.
Prints the constants, and what they find and raise falsely among these spans, each film by weights from the others,
beside those that are shipped. `--films`: at most so many of each set.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import numpy as np
from bench_cuts import MEASURED, remembered, sequence, single
from edits import Truth, finish, pick
from material import SEEDS, plan, prepare
from moves import stills
from traps import add_trap
from wipes import SLIDES

from wanprep.signals import carried, slides, wipes
from wanprep.signals.carried import against_wipe, not_carried
from wanprep.signals.framing import inside
from wanprep.signals.jumps import Series, find_jumps
from wanprep.signals.leftovers import isolated_jumps
from wanprep.signals.pictures import Pictures
from wanprep.signals.rules import ShotRules
from wanprep.signals.store import Signals

FILMS = {"first": 150, "second": 200, "moves": 560, "traps": 500, "slides": 240, "whips": 200}
OF_WIPES = {"first": 150, "second": 80, "moves": 420, "traps": 300}  # wipes are taught by no films of slides
LIKELIEST, LEAST = 3, (-6.0, -4.0)  # spans with about one middle that are kept; log-odds of wipes, slides among them
RIDGE, ROUNDS, KINDS = 1.0, 4, 14  # KINDS of moves come in turn: a fold holds all
AGAINST = "against"  # of wipes: carried.WEIGHT, fitted with the others
ADDED = {"wipes": 0.6, "slides": -0.8}  # to the fitted bias: wipes are wanted from lower odds on than slides
SLID_BY = (7.97, {  # bias and weights by which spans of slides were picked
    "rough": -6.07, "short": -36.77, "edge": 1.11, "still": -1.15, "stir": -0.95, "near_least": -1.36,
    "near_most": -0.66, "returns": -6.73, "uncarried": 2.41, "push": -1.51, "push_edge": 2.52,
})  # fmt: skip
LIMITS = wipes.WipeRules().min_odds, wipes.WipeRules().max_doubt


@dataclass(frozen=True)
class Span:
    """Pure frames s and e of a film (set, number), and what is known of them. wipes: those of the truth in it; mixed:
    whether it touches another transition or a cut; share: intersection over union with a wipe that is looked for."""

    film: tuple[str, int]
    s: int
    e: int
    evidence: dict[str, float] = field(repr=False)
    odds: float
    wipes: list[tuple[str, int, int]]
    mixed: bool
    share: float


def trapped(half: str, k: int, pool: list[Path]) -> tuple[np.ndarray, Truth, float]:
    """One shot in which something happens that is no cut; from the 300th on something passes."""
    rng = np.random.default_rng([SEEDS[half], k, 77])
    trap = "passing" if k >= 300 else ("whip", "tilt", "passing", "slow_zoom", "tilt", "whip")[k % 6]
    big, _ = pick(rng, pool, -1)
    n = int(rng.integers(80, 116))
    shot, span = add_trap(big, plan(rng, len(big), n), n, rng, trap, pool)
    return finish(shot, rng), Truth(traps=[(trap, *map(int, span))] if span else []), 25.0


def film(name: str, k: int, pool: list[Path], pictures: list[Path], cache: Path) -> tuple[Signals, Truth]:
    if name in ("first", "second"):
        return sequence("tune", k, pool, cache, name == "second")
    if name == "traps":
        return remembered(cache / f"traps{MEASURED}" / f"tune_{k}.npz", lambda: trapped("tune", k, pool), 0.0)
    return single(name, "tune", k, pictures, pool, cache)


def examples(name: str, k: int, pool: list[Path], pictures: list[Path], cache: Path) -> tuple[list[Span], list[Span]]:
    """Spans of a film that may be wipes, and such that may be slides."""
    signals, truth = film(name, k, pool, pictures, cache)
    T = Pictures(signals.extra["tiny"].reshape(len(signals.pts), -1), inside(signals))
    rules = ShotRules()
    limits = {limit: getattr(rules, limit) for limit in ("min_odds", "min_step", "max_likeness")}
    jumps = find_jumps(Series.of(signals.frame), T, **limits)
    cuts = not_carried(T, jumps.cuts, jumps.blended)
    walls = sorted({*jumps.sure, *isolated_jumps(T, cuts, rules.isolation)}.intersection(cuts))
    swept = sweeping(T, walls, (name, k), truth) if k < OF_WIPES.get(name, 0) else []
    return swept, sliding(T, walls, (name, k), truth)


def sweeping(T: Pictures, walls: list[int], film: tuple[str, int], truth: Truth) -> list[Span]:
    """What `find_wipes` judges."""
    with patch.object(wipes, "judge", wraps=wipes.judge) as judge:
        wipes.find_wipes(T, wipes.WipeRules(), walls, np.ones(len(T), bool))
    asked = {call.args[1:] for call in judge.call_args_list}
    known = {span: found for span in sorted(asked) if (found := wipes.judge(T, *span))}
    spans = []
    for s, e in likeliest({(s, e): it.odds for (s, e), it in known.items()}, 6, LEAST[0]):
        seen = wipes.evidence(T, s, e)
        assert seen is not None
        against = against_wipe(T, known[s, e].first, known[s, e].last)
        evidence = {**seen[0], **wipes.slow_evidence(T, s, e), AGAINST: against / carried.WEIGHT}
        odds = wipes.BIAS + wipes.weighed(evidence, shipped("wipes")[1])
        spans.append(labelled(film, s, e, evidence, odds, truth, ()))
    return spans


def sliding(T: Pictures, walls: list[int], film: tuple[str, int], truth: Truth) -> list[Span]:
    """What `find_slides` judges, also around what would be enough for it."""
    known: dict[tuple[str, int], dict[tuple[int, int], float]] = {}
    with patch.multiple(slides, BIAS=SLID_BY[0], WEIGHTS=SLID_BY[1]):
        with patch.object(slides, "judge", wraps=slides.judge) as judge:
            slides.find_slides(T, wipes.WipeRules(min_odds=50, max_doubt=-3), walls, np.ones(len(T), bool))
        for s, e, kind, way in sorted({call.args[1:] for call in judge.call_args_list}):
            known.setdefault((kind, way), {})[s, e] = slides.judge(T, s, e, kind, way)[0]
    spans = []
    for line, odds in known.items():
        for s, e in likeliest(odds, 8, LEAST[1]):
            seen = slides.evidence(T, s, e, *line)
            assert seen is not None
            evidence = {**seen[0], **slides.slow_evidence(T, s, e)}
            value = slides.BIAS + wipes.weighed(evidence, slides.WEIGHTS)
            spans.append(labelled(film, s, e, evidence, value, truth, SLIDES))
    return spans


def likeliest(odds: dict[tuple[int, int], float], room: int, least: float) -> list[tuple[int, int]]:
    """Of spans with their ends' sum within `room` of each other the LIKELIEST that reach `least`."""
    near: dict[int, list[tuple[int, int]]] = {}
    for s, e in sorted(odds, key=lambda span: -odds[span]):
        near.setdefault((s + e) // room, []).append((s, e))
    return [span for few in near.values() for span in few[:LIKELIEST] if odds[span] >= least]


def labelled(
    film: tuple[str, int], s: int, e: int, evidence: dict[str, float], odds: float, truth: Truth, kinds: tuple[str, ...]
) -> Span:
    """kinds: of wipes that are looked for; none: all, but a span of slides alone is neither."""
    within = [it for it in truth.wipes if it[1] <= e - 1 and it[2] >= s + 1]
    mixed = any(first - 2 <= e and last + 2 >= s for _, first, last in truth.gradual)
    mixed |= any(s <= cut <= e + 1 for cut, _ in truth.cuts)
    right = [it for it in within if it[0] in kinds or (not kinds and any(w[0] not in SLIDES for w in within))]
    shares = [(min(e - 1, b) - max(s + 1, a) + 1) / (max(e - 1, b) - min(s + 1, a) + 1) for _, a, b in right]
    return Span(film, s, e, evidence, odds, within, mixed, max(shares, default=0.0))


def chosen(spans: list[Span], odds: np.ndarray, kinds: tuple[str, ...]) -> tuple[list[int], np.ndarray]:
    """Which spans teach: the likeliest of each wipe and of each false alarm; bool[n], whether each is a wipe."""
    best: dict[tuple, int] = {}
    for i in np.argsort(-odds, kind="stable"):
        it = spans[i]
        if it.share > 0.5:
            wipe = next(w for w in it.wipes if not kinds or w[0] in kinds)
            best.setdefault((True, it.film, wipe), int(i))
        elif not it.wipes and not it.mixed:
            best.setdefault((False, it.film, (it.s + it.e) // 30), int(i))
    return list(best.values()), np.array([key[0] for key in best], bool)


def logistic(X: np.ndarray, right: np.ndarray) -> tuple[float, np.ndarray]:
    """Bias and weights of evidence float[n, K], by Newton's method; the ridge is on weights times deviations."""
    mean, spread = X.mean(0), X.std(0) + 1e-9
    Z = np.column_stack([np.ones(len(X)), (X - mean) / spread])
    ridge, b = np.r_[0.0, np.full(X.shape[1], RIDGE)], np.zeros(X.shape[1] + 1)
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(Z @ b, -30, 30)))
        bent = (Z * (p * (1 - p))[:, None]).T @ Z + np.diag(ridge + 1e-6)
        step = np.linalg.solve(bent, Z.T @ (right - p) - ridge * b)
        b += step
        if np.abs(step).max() < 1e-6:
            break
    return float(b[0] - (mean * b[1:] / spread).sum()), b[1:] / spread


def fitted(spans: list[Span], name: str) -> tuple[float, dict[str, float]]:
    """BIAS and WEIGHTS. The first round begins with the odds that spans were picked by, each further one with those of
    the last."""
    names, (bias, picked) = list(shipped(name)[1]), SLID_BY if name == "slides" else shipped(name)
    X = np.array([[it.evidence[key] for key in names] for it in spans])
    odds = bias + X @ np.array([picked[key] for key in names])
    for _ in range(ROUNDS):
        at, right = chosen(spans, odds, SLIDES if name == "slides" else ())
        bias, weights = logistic(X[at], right)
        odds = bias + X @ weights
    return bias + ADDED[name], dict(zip(names, weights.tolist()))


def shipped(name: str) -> tuple[float, dict[str, float]]:
    if name == "slides":
        return slides.BIAS, slides.WEIGHTS
    return wipes.BIAS, {**wipes.WEIGHTS, AGAINST: carried.WEIGHT}


def scores(spans: list[Span], odds: np.ndarray, least: float) -> str:
    """Wipes found and false alarms, of spans that reach `least` and overlap no likelier one."""
    taken: dict[tuple[str, int], list[Span]] = {}
    for i in np.argsort(-odds, kind="stable"):
        mine, it = taken.setdefault(spans[i].film, []), spans[i]
        if odds[i] >= least and all(it.e <= other.s or other.e <= it.s for other in mine):
            mine.append(it)
    found = {(film, wipe) for film, mine in taken.items() for it in mine for wipe in it.wipes}
    false = {film: sum(not it.wipes and not it.mixed for it in mine) for film, mine in taken.items()}
    sets = {name: sum(n for film, n in false.items() if film[0] == name) for name in FILMS}
    slid = sum(wipe[0] in SLIDES for _, wipe in found)
    return f"{slid} slides, {len(found) - slid} other wipes found; false: {sum(false.values())} {sets}"


def told(spans: list[Span], name: str, folds: int) -> None:
    """Prints the constants, and what they find."""
    unseen, fold = np.zeros(len(spans)), np.array([it.film[1] // KINDS % folds for it in spans])
    for part in range(folds):
        bias, weights = fitted([it for it, k in zip(spans, fold) if k != part], name)
        unseen[fold == part] = [bias + wipes.weighed(it.evidence, weights) for it, k in zip(spans, fold) if k == part]
    bias, weights = fitted(spans, name)
    of_all = np.array([bias + wipes.weighed(it.evidence, weights) for it in spans])
    print(f"== {name}: {len(spans)} spans of {len({it.film for it in spans})} films")
    print(f"BIAS = {bias:.2f}  (shipped {shipped(name)[0]})")
    for key, weight in weights.items():
        print(f'    "{key}": {weight:.3g},  (shipped {shipped(name)[1][key]})')
    for least in LIMITS:
        print(f"from {least} on, shipped: {scores(spans, np.array([it.odds for it in spans]), least)}")
        print(f"  refitted, films unseen: {scores(spans, unseen, least)}")
        print(f"  refitted, all of them:  {scores(spans, of_all, least)}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "cutbench")
    parser.add_argument("--media", type=Path, default=Path(__file__).resolve().parents[3] / "shared/media/dev")
    parser.add_argument("--films", type=int, default=max(FILMS.values()))
    parser.add_argument("--folds", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    if options.films <= KINDS * (options.folds - 1):
        parser.error(f"each of {options.folds} folds needs films: more than {KINDS * (options.folds - 1)} of a set")
    pool, pictures = (make(options.cache, options.media, "tune") for make in (prepare, stills))
    films = [(name, k) for name, n in FILMS.items() for k in range(min(n, options.films))]
    with ProcessPoolExecutor(options.jobs, multiprocessing.get_context("spawn")) as workers:
        jobs = [(name, k, pool, pictures, options.cache) for name, k in films]
        found = list(workers.map(examples, *zip(*jobs), chunksize=5))
    told([span for swept, _ in found for span in swept], "wipes", options.folds)
    told([span for _, slid in found for span in slid], "slides", options.folds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
