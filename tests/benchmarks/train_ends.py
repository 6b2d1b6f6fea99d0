"""Train the small network of wanprep/signals/ends.py on edits of the tuning half.

    python tests/benchmarks/train_ends.py --out ends.safetensors [--cache FOLDER] [--folds 5]

Edits of both sets, of dissolves and fades only, and by wipes, of which those with a wide soft edge are mostly found as
dissolves, and films of which little is lit; of each the ends of what is found, with how far beyond them the film still
mixes, as a multiple of the usual margin. The network answers what one in twenty exceeds. `--folds`: first what of films
that a network has not seen leaks and is given up, of so many parts. Six minutes of two cores where the films are in the
cache, else an hour.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from bench_cuts import remembered
from edits import Truth, edit
from material import SEEDS, prepare
from moves import stills
from small_network import Fit, arguments, fitted, folds, joined, workers
from train_crossings import known

from wanprep.signals import shots
from wanprep.signals.ends import FADES, MIXES, NAMES, SPARE, sides
from wanprep.signals.one_layer import computed
from wanprep.signals.pictures import Pictures
from wanprep.stages.margins import margin_of
from wanprep.stages.split import SplitConfig

JOINS = {
    "dissolve": 0.3, "dissolve_eased": 0.12, "dissolve_similar": 0.1, "dissolve_slow": 0.28, "fade_slow": 0.1,
    "fade_black": 0.07, "fade_white": 0.03,
}  # fmt: skip
FILMS = {"first": 300, "mixes": 400, "second": 240, "sweeps": 140, "soft": 140, "darks": 120}
FIT = Fit(networks=3, units=16, rounds=1000, rate=1e-2, small=1e-4, shaken=0.3, least=1e-6)
EXCEEDED = 0.05  # share of ends of which the mix reaches farther
FARTHEST = -1.5, 6.0  # bounds of the answer

Rows = tuple[np.ndarray, np.ndarray]


def examples(name: str, k: int, pool: list[Path], pictures: list[Path], cache: Path) -> Rows:
    """Evidence float[n, len(NAMES)] of a film's ends, and of each float[n, 2]: frames of the usual margin, frames by
    which the edit mixes beyond it."""
    if name == "mixes":
        signals, truth = remembered(cache / "mixes" / f"tune_{k}.npz", lambda: mixes(k, pool), 0.0)
    else:
        signals, truth = known(name, k, pool, pictures, cache)
    found: list[Any] = []

    def remember(T: Pictures, edges: np.ndarray, cuts: list[int], spans: list[shots.Transition], swept: Any) -> Any:
        found.extend((spans[index], side, it) for index, side, it in sides(T, edges, cuts, spans, swept))
        return spans

    with mock.patch.object(shots, "with_widths", remember):
        shots.find_shots(signals, shots.ShotRules())
    step, config = float(np.median(np.diff(signals.pts)) * signals.time_base), SplitConfig()
    ends = [(it, t, far) for t, side, it in found if (far := farther(t, side, truth)) is not None]
    rows = np.array([[it[key] for key in NAMES] for it, *_ in ends]).reshape(-1, len(NAMES))
    return rows, np.array([(margin_of(t, config, step)[0], far) for _, t, far in ends], float).reshape(-1, 2)


def mixes(k: int, pool: list[Path]) -> tuple[np.ndarray, Truth, float]:
    return edit(np.random.default_rng([SEEDS["tune"], k, 5]), pool, second=True, joins=JOINS)


def farther(t: shots.Transition, side: int, truth: Truth) -> int | None:
    """Frames by which the edit mixes beyond an end of t; None where t is not one mix or wipe of the edit."""
    near = [it for it in (*truth.gradual, *truth.wipes) if it[1] <= t.last and it[2] >= t.first]
    if t.kind not in MIXES or len(near) != 1 or any(t.first <= cut <= t.last for cut, _ in truth.cuts):
        return None
    ((kind, first, last),) = near
    if (near[0] in truth.wipes or kind.startswith("dissolve")) == (t.kind in FADES):
        return None
    return last - t.last if side else t.first - first


def trained(fit: Fit, rows: np.ndarray, right: np.ndarray) -> dict[str, np.ndarray]:
    """The weights that ship, of rows of evidence and (usual margin, frames that the mix reaches farther) of each."""
    import torch

    def exceeded(says: Any, true: Any) -> Any:  # pinball loss (Koenker & Bassett 1978)
        off = true - says
        return torch.maximum((1 - EXCEEDED) * off, -EXCEEDED * off).mean()

    return fitted(rows, (right[:, 1] / right[:, 0]).clip(*FARTHEST), exceeded, fit)


def told(name: str, wide: np.ndarray, right: np.ndarray) -> None:
    margin, far = right.T
    margin = np.maximum(2, np.ceil(wide * margin))
    leaks, frames, lost = (far > margin).sum(), np.maximum(0, far - margin).sum(), np.maximum(0, margin - far).mean()
    print(f"{name}: {leaks} of {len(far)} ends leak, {frames:.0f} frames; {lost:.2f} good frames given up at each")


def finish(found: list[Rows], options: argparse.Namespace, fit: Fit, spare: float) -> None:
    """Tell what ends of films not seen would leak, and fit to all of them. spare: added to what the network says."""
    from safetensors.numpy import save_file

    seen = [(computed(own[0], trained(fit, *rest)) + spare, own[1]) for rest, own in folds(found, options.folds)]
    if seen:
        wide, right = joined(seen)
        told("unseen", wide, right)
        told("the usual margins", np.ones(len(right)), right)
    save_file(trained(fit, *joined(found)), options.out)


def main() -> int:
    import torch

    options = arguments(__doc__)
    torch.set_num_threads(1)
    pool, pictures = (make(options.cache, options.media, "tune") for make in (prepare, stills))
    with workers() as each:
        jobs = [(name, k, pool, pictures, options.cache) for name, count in FILMS.items() for k in range(count)]
        finish(each(examples, jobs), options, FIT, SPARE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
