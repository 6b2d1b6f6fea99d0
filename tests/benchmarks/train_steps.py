"""Train the small network of wanprep/signals/steps.py on films of the tuning half.

    python tests/benchmarks/train_steps.py --out steps.safetensors [--cache FOLDER] [--folds 5]

Edits of both sets, of dissolves and fades only, of odd frames, and of which little is lit; films of slides, whips,
frames that stay; moves of the camera, jumps within a shot, and shots with traps. Of each every step that `find_steps`
is asked about, and the cuts found before: right are those at a cut, wrong those of no cut, transition or jump.
`--folds`: first what it says of films that it has not seen, of so many parts, and how many of the cuts found before,
true and false, would not be believed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from bench_cuts import remembered
from bench_odd import one
from edits import Truth, edit
from material import SEEDS, prepare
from moves import stills
from small_network import Fit, arguments, fitted, joined, workers
from train_crossings import known
from train_ends import mixes

from wanprep.signals import shots, steps
from wanprep.signals.one_layer import computed
from wanprep.signals.rules import ShotRules
from wanprep.signals.store import Signals

JOINS = {"blended": 0.35, "hard_similar": 0.3, "hard_dark": 0.2, "hard_motion": 0.15}
BRIGHT = 0.3, (1.2, 2.2)  # share of the edits of these that are overexposed, and how many times
FILMS = {
    "first": 300, "second": 240, "mixes": 400, "traps": 500, "moves": 560, "leaps": 320, "slides": 240, "frames": 120,
    "whips": 200, "odd": 60, "hard": 180, "darks": 120,
}  # fmt: skip
FIT = Fit(networks=3, units=20, rounds=400, rate=1e-2, small=3e-4, shaken=0.2, least=1e-6)
FOUND = 0.3  # how much a cut that is found without it counts, and a false one
PARTIAL = ("_small",)  # cuts within less than a third of the picture
KINDS = 14  # of moves, in turn: a part holds all
NEAR = 2  # frames beside a cut or a transition of which nothing is learned
WIDE = len(steps.NAMES)

Rows = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def hard(k: int, pool: list[Path]) -> tuple[np.ndarray, Truth, float]:
    """An edit of nothing but the cuts that are found least well."""
    rng = np.random.default_rng([SEEDS["tune"], k, 8])
    frames, truth, fps = edit(rng, pool, second=bool(k % 2), joins=JOINS)
    if rng.random() < BRIGHT[0]:
        gain = rng.uniform(*BRIGHT[1])
        frames = np.stack([np.minimum(frame * gain, 255).astype(np.uint8) for frame in frames])
    return frames, truth, fps


def film(name: str, k: int, pool: list[Path], pictures: list[Path], cache: Path) -> tuple[Signals, Truth]:
    if name == "mixes":
        return remembered(cache / "mixes" / f"tune_{k}.npz", lambda: mixes(k, pool), 0.0)
    if name == "hard":
        return remembered(cache / "hard" / f"tune_{k}.npz", lambda: hard(k, pool), 0.0)
    return one("tune", k, pool, cache) if name == "odd" else known(name, k, pool, pictures, cache)


def examples(name: str, k: int, pool: list[Path], pictures: list[Path], cache: Path) -> Rows:
    """Of a film's steps, of cuts that are found too: frames before and after, evidence, label (1 cut, 0 none,
    -1 neither), whether `find_steps` is asked about it, and whether `believed` is."""
    signals, truth = film(name, k, pool, pictures, cache)
    got: dict[str, Any] = {}

    def believe(T: Any, series: Any, frame: Any, cuts: list[int], _: ShotRules) -> list[int]:
        got["cuts"] = cuts
        return cuts

    def everywhere(cuts: list[int], *around: Any) -> np.ndarray:
        got["asked"] = unexplained(cuts, *around)
        return unexplained([], *around)

    def remember(T: Any, series: Any, frame: Any, free: np.ndarray, longest: int, _: ShotRules) -> list[Any]:
        before, after = steps.candidates(T, series, free)
        rows = steps.numbers(T, series, frame, before, after) if len(after) else np.zeros((0, WIDE))
        rows[:, steps.NAMES.index("flash")] = steps.flashes(T, before, after, longest)
        got.update(before=before, after=after, rows=rows.astype(np.float32))
        return []

    unexplained = shots.unexplained
    asked_of = {"find_steps": remember, "unexplained": everywhere, "believed": believe}
    with mock.patch.multiple(shots, find_turns=lambda *_: [], **asked_of):  # cuts in turns are learned from, too
        shots.find_shots(signals, ShotRules())
    before, after, free = got["before"], got["after"], got["asked"]
    right = np.array([label(truth, *step) for step in zip(before.tolist(), after.tolist())], int)
    cuts = np.isin(after, got["cuts"]) & (after - before == 1)
    return before, after, got["rows"], right, free[before] & free[after] & free[(before + after) // 2], cuts


def label(truth: Truth, before: int, after: int) -> int:
    for cut, kind in truth.cuts:
        if before < cut <= after + (kind == "blended"):
            return -1 if kind.endswith(PARTIAL) else 1
        if abs(cut - after) <= NEAR:
            return -1
    mixed = any(first - NEAR <= after and before <= last + NEAR for _, first, last in (*truth.gradual, *truth.wipes))
    return -int(mixed or any(before - NEAR <= it <= after + NEAR for it in truth.ambiguous))


def trained(rows: np.ndarray, right: np.ndarray, weight: np.ndarray) -> dict[str, np.ndarray]:
    """The weights that ship, of rows of evidence, whether each is a cut, and how much it counts."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits

    each = torch.tensor(weight, dtype=torch.float32)

    def wrong(says: Any, true: Any) -> Any:
        return binary_cross_entropy_with_logits(says, true, weight=each)

    return fitted(rows, right.astype(float), wrong, FIT)


def taught(found: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Evidence, labels and weights of a film's steps of which something is known."""
    _, _, rows, right, asked, cuts = found
    known = (right >= 0) & (asked | cuts | (right == 1))
    return rows[known], right[known], np.where(asked[known], 1.0, FOUND)


def told(name: str, found: list[Rows], odds: list[np.ndarray]) -> None:
    """What would be found and raised falsely of a set of films."""
    for least in (2.0, 1.0, 0.0, -1.0, -2.0, -3.0):
        hit, false = 0, 0
        for (_, after, _, right, asked, _), says in zip(found, odds):
            kept = steps.likeliest(after[asked], says[asked], least)
            hit += int((right[asked][kept] == 1).sum())
            false += int((right[asked][kept] == 0).sum())
        print(f"{name} from {least}: {hit} found, {false} false")
    lost = [right[cuts & (says < ShotRules().max_doubt)] for (*_, right, _, cuts), says in zip(found, odds)]
    right = np.concatenate(lost)
    print(f"{name}: not believed are {int((right == 1).sum())} cuts and {int((right == 0).sum())} that are none")


def main() -> int:
    import torch
    from safetensors.numpy import save_file

    options = arguments(__doc__)
    torch.set_num_threads(1)
    pool, pictures = (make(options.cache, options.media, "tune") for make in (prepare, stills))
    films = [(name, k) for name, n in FILMS.items() for k in range(n)]
    with workers() as each:
        found = each(examples, [(name, k, pool, pictures, options.cache) for name, k in films])
    learned = [taught(it) for it in found]
    if options.folds:
        part, odds = np.array([k // KINDS if name == "moves" else k for name, k in films]) % options.folds, {}
        for fold in range(options.folds):
            seen = trained(*joined([it for it, own in zip(learned, part) if own != fold]))
            odds |= {int(i): computed(found[i][2], seen) for i in np.flatnonzero(part == fold)}
        for name in FILMS:
            these = [i for i, (what, _) in enumerate(films) if what == name]
            told(name, [found[i] for i in these], [odds[i] for i in these])
    save_file(trained(*joined(learned)), options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
