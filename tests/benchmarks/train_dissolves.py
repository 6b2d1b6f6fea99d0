"""Train the small network of wanprep/signals/dissolves.py on films of the tuning half.

    python tests/benchmarks/train_dissolves.py --out dissolves.safetensors [--cache FOLDER] [--folds 5]

Edits of both sets and such of dissolves and fades only, single shots with traps, moves of the camera, jumps, slides and
frames that stay; of each the spans that are judged, with what its truth says of them. A span that shares half with a
dissolve and more than all others is one; spans that touch any transition besides are neither. `--folds`: first the loss
on films that a network has not seen, of so many parts. Some minutes of two cores where the films are in the cache, else
two hours.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from bench_cuts import remembered
from cut_scores import merged
from edits import Truth
from material import prepare
from moves import stills
from small_network import Fit, arguments, fitted, folds, joined, workers
from train_ends import mixes
from train_wipes import film

from wanprep.signals.dissolves import NAMES, candidates
from wanprep.signals.framing import inside
from wanprep.signals.jumps import Series, find_jumps
from wanprep.signals.leftovers import isolated_jumps
from wanprep.signals.one_layer import computed
from wanprep.signals.pictures import Pictures
from wanprep.signals.rules import ShotRules

FIT = Fit(networks=3, units=16, rounds=400, rate=1e-2, small=1e-4, shaken=0.2, least=1e-9)  # there are few dissolves
FILMS = {
    "first": 300, "frames": 80, "leaps": 120, "mixes": 400, "moves": 420, "second": 240, "slides": 120, "traps": 500,
}  # fmt: skip

Rows = tuple[np.ndarray, np.ndarray]


def examples(name: str, k: int, pool: list[Path], pictures: list[Path], cache: Path) -> Rows:
    """Evidence float[n, len(NAMES)] of a film's spans, and bool[n], whether each is a dissolve."""
    if name == "mixes":
        signals, truth = remembered(cache / "mixes" / f"tune_{k}.npz", lambda: mixes(k, pool), 0.0)
    else:
        signals, truth = film(name, k, pool, pictures, cache)
    rules = ShotRules()
    T = Pictures(signals.extra["tiny"].reshape(len(signals.pts), -1), inside(signals))
    limits = {"min_odds": rules.min_odds, "min_step": rules.min_step, "max_likeness": rules.max_likeness}
    jumps = find_jumps(Series.of(signals.frame), T, **limits)
    walls = sorted({*jumps.sure, *isolated_jumps(T, jumps.cuts, rules.isolation)})
    fps = 1.0 / (float(np.median(np.diff(signals.pts))) * float(signals.time_base))
    found = candidates(T, signals.frame, fps, rules.gradual, walls, np.ones(len(T), bool))
    return labelled(found, truth)


def labelled(found: dict[tuple[int, int], dict[str, float]], truth: Truth) -> Rows:
    spans = merged(truth.gradual)
    right = set()
    for kind, first, last in spans:
        if kind.startswith("dissolve") and found:
            share, best = max((overlap(s + 1, e - 1, first, last), (s, e)) for s, e in found)
            right |= {best} if share >= 0.5 else set()
    touching = [(first, last) for _, first, last in spans + truth.wipes]
    kept = [it for it in found if it in right or not any(it[0] < b + 1 and it[1] > a - 1 for a, b in touching)]
    rows = np.array([[found[it][name] for name in NAMES] for it in kept]).reshape(-1, len(NAMES))
    return rows, np.array([it in right for it in kept], bool)


def overlap(a: int, b: int, first: int, last: int) -> float:
    return max(0, min(b, last) - max(a, first) + 1) / (max(b, last) - min(a, first) + 1)


def trained(rows: np.ndarray, right: np.ndarray) -> dict[str, np.ndarray]:
    """The weights that ship, of rows of evidence and whether each is a dissolve."""
    import torch

    return fitted(rows, right, torch.nn.functional.binary_cross_entropy_with_logits, FIT)


def main() -> int:
    import torch
    from safetensors.numpy import save_file

    options = arguments(__doc__)
    torch.set_num_threads(2)
    pool, pictures = (make(options.cache, options.media, "tune") for make in (prepare, stills))
    with workers() as each:
        jobs = [(name, k, pool, pictures, options.cache) for name, count in FILMS.items() for k in range(count)]
        found = each(examples, jobs)
    for fold, (rest, (unseen, truth)) in enumerate(folds(found, options.folds)):
        odds = computed(unseen, trained(*rest))
        print(f"part {fold}: loss {np.logaddexp(0, np.where(truth, -odds, odds)).mean():.4f}")
    rows, right = joined(found)
    print(f"{len(rows)} spans, {int(right.sum())} of them dissolves")
    save_file(trained(rows, right), options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
