"""Train the two small networks of wanprep/signals/crossings.py on films of the tuning half.

    python tests/benchmarks/train_crossings.py --out FOLDER [--cache FOLDER] [--folds 3]

Edits of both sets, edits of wipes and slides only, with wide soft edges too, films of slides, whip pans, zooms and
flicker, moves of the camera, films of which little is lit, and single shots with traps. The first network learns from
every span that `spans` knows of, the second from those that the first lets pass: right is what shares more than half
with a wipe of the truth, wrong what touches no transition and no cut. `--folds`: first what it says of films that it
has not seen, of so many parts.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from bench_cuts import remembered, single
from edits import Truth, edit
from material import SEEDS, prepare
from moves import stills
from small_network import Fit, arguments, fitted, joined, workers
from train_wipes import KINDS, film

from wanprep.signals import crossings, shots
from wanprep.signals.one_layer import computed
from wanprep.signals.pictures import Pictures
from wanprep.signals.rules import ShotRules
from wanprep.signals.store import Signals

FILMS = {
    "first": 300, "second": 240, "sweeps": 140, "soft": 140, "slides": 240, "whips": 200, "moves": 560, "traps": 500,
    "darks": 120,
}  # fmt: skip
ROUGH = Fit(networks=2, units=12, rounds=200, rate=2e-2, small=1e-5, shaken=0.1, least=1e-6)
CLOSE = Fit(networks=4, units=40, rounds=500, rate=1e-2, small=3e-4, shaken=0.15, least=1e-6)
MOVED = 3.0  # times as much as any other false alarm counts one in a move of the camera
LEARNED = -3.5  # rough log-odds of spans that the second network learns from
NEAR = 2  # frames beside a cut or a transition of which nothing is learned
Film = tuple[str, int]


def known(name: str, k: int, pool: list[Path], pictures: list[Path], cache: Path) -> tuple[Signals, Truth]:
    if name == "sweeps":
        joins = {"sweep": 0.6, "slide": 0.4}
        rng = np.random.default_rng([SEEDS["tune"], k, 6])
        path = cache / "sweeps" / f"tune_{k}.npz"
        return remembered(path, lambda: edit(rng, pool, second=True, joins=joins), 0.0)
    if name in ("whips", "soft", "darks"):
        return single(name, "tune", k, pictures, pool, cache)
    return film(name, k, pool, pictures, cache)


def asked(signals: Signals) -> dict[str, Any]:
    """What `find_shots` asks `find_crossings`, were there no wipes found before."""
    got: dict[str, Any] = {}

    def remember(T: Pictures, numbers: Any, walls: list[int], free: np.ndarray, _: Any) -> list[Any]:
        got.update(T=T, numbers=numbers, walls=list(walls), free=free)
        return []

    nothing = {name: lambda *_: [] for name in ("find_sweeps", "find_dissolves")}
    with patch.multiple(shots, find_crossings=remember, **nothing):
        shots.find_shots(signals, ShotRules())
    return got


def labels(S: np.ndarray, E: np.ndarray, truth: Truth) -> tuple[np.ndarray, np.ndarray]:
    """Of spans: 1 right, 0 wrong, -1 neither; the number of the wipe they share most with."""
    share, which, touched = np.zeros(len(S)), np.full(len(S), -1), np.zeros(len(S), bool)
    for i, (_, a, b) in enumerate(truth.wipes):
        both = np.minimum(E - 1, b) - np.maximum(S + 1, a) + 1
        found = both / (np.maximum(E - 1, b) - np.minimum(S + 1, a) + 1)
        which, share = np.where(found > share, i, which), np.maximum(share, found)
        touched |= both > 0
    for _, a, b in truth.gradual:
        touched |= (a - NEAR <= E) & (b + NEAR >= S)
    for cut in [cut for cut, _ in truth.cuts] + ([] if truth.wipes else truth.ambiguous):
        touched |= (cut >= S) & (cut <= E + 1)
    return np.where(share > 0.5, 1, np.where(touched, -1, 0)), which


def rough(name: str, k: int, pool: list[Path], pictures: list[Path], cache: Path) -> tuple[np.ndarray, np.ndarray]:
    """Evidence and labels of all spans of a film."""
    signals, truth = known(name, k, pool, pictures, cache)
    it = asked(signals)
    S, E, rows, _ = crossings.spans(**it)
    right, _ = labels(S, E, truth)
    return rows[right >= 0].astype(np.float32), right[right >= 0]


def close(
    name: str, k: int, pool: list[Path], pictures: list[Path], cache: Path, weights: dict[str, np.ndarray]
) -> tuple[np.ndarray, ...]:
    """Of the spans of a film that the first network lets pass: place, evidence, label, number of the wipe."""
    signals, truth = known(name, k, pool, pictures, cache)
    it = asked(signals)
    with patch.multiple(crossings, weights=lambda _: weights, LIKELY=LEARNED):
        found = [(place, span) for place, near in enumerate(crossings.candidates(**it)) for span in near]
    seen = [crossings.evidence(it["T"], it["numbers"], span) for _, span in found]
    rows = np.array([[one[key] for key in crossings.NAMES] for one in seen]).reshape(-1, len(crossings.NAMES))
    S, E = (np.array([span[i] for _, span in found], int) for i in (0, 1))
    return np.array([place for place, _ in found], int), rows, *labels(S, E, truth)


def trained(rows: np.ndarray, right: np.ndarray, fit: Fit, weight: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """weight: float[N], of each row; without them all count the same."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits

    each = None if weight is None else torch.tensor(weight, dtype=torch.float32)

    def wrong(says: Any, true: Any) -> Any:
        return binary_cross_entropy_with_logits(says, true, weight=each)

    return fitted(rows, right.astype(float), wrong, fit)


def taught(name: str, place: np.ndarray, rows: np.ndarray, right: np.ndarray, *_: np.ndarray) -> tuple[np.ndarray, ...]:
    """Evidence, labels and weights of a film's spans of which something is known."""
    known = right >= 0
    return rows[known], right[known], np.full(int(known.sum()), MOVED if name == "moves" else 1.0)


def trained_close(learned: list[tuple[np.ndarray, ...]]) -> dict[str, np.ndarray]:
    rows, right, weight = joined(learned)
    return trained(rows, right, CLOSE, weight)


def told(films: list[Film], found: list[tuple[np.ndarray, ...]], odds: list[np.ndarray]) -> None:
    """What the second network would find and raise falsely, of each set of films."""
    for name in FILMS:
        for least in (-1.0, 0.0, 1.0, 2.0):
            hit, false = 0, 0
            for (what, _), (place, _, right, which, *_), values in zip(films, found, odds):
                if what == name and len(place):
                    best = [max(np.flatnonzero(place == p), key=lambda i: values[i]) for p in np.unique(place)]
                    best = [i for i in best if values[i] >= least]
                    hit += len({int(which[i]) for i in best if which[i] >= 0})
                    false += sum(int(right[i]) == 0 for i in best)
            print(f"{name} from {least}: {hit} found, {false} false")


def main() -> int:
    import torch
    from safetensors.numpy import save_file

    options = arguments(__doc__)
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    pool, pictures = (make(options.cache, options.media, "tune") for make in (prepare, stills))
    films = [(name, k) for name, n in FILMS.items() for k in range(n)]
    jobs = [(name, k, pool, pictures, options.cache) for name, k in films]
    with workers() as each:
        rows, right = joined(each(rough, jobs))
        print(f"{len(rows)} spans, {int(right.sum())} of wipes")
        first = trained(rows, right, ROUGH)
        save_file(first, options.out / crossings.ROUGH_FILE.name)
        first = {key: value.astype(np.float64) for key, value in first.items()}
        found = each(close, [(*job, first) for job in jobs])
    learned = [taught(name, *it) for (name, _), it in zip(films, found)]
    right = np.concatenate([right for _, right, _ in learned])
    print(f"{len(right)} spans looked at closely, {int(right.sum())} of wipes")
    if options.folds:
        part, odds = np.arange(len(films)) // KINDS % options.folds, [np.zeros(0)] * len(films)
        for fold in range(options.folds):
            seen = [it for it, own in zip(learned, part) if own != fold]
            second = trained_close(seen)
            for i in np.flatnonzero(part == fold):
                odds[i] = computed(found[i][1], second)
        told(films, found, odds)
    save_file(trained_close(learned), options.out / crossings.FILE.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
