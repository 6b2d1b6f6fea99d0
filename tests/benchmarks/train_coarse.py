"""Train the small network of wanprep/signals/coarse.py on codings of half A of bench_quality's footage and of scenes.

    python tests/benchmarks/train_coarse.py --out coarse.safetensors [--cache FOLDER] [--folds 6]

What it learns from: `coarse_material`. `--folds`: first what it says of half A's footage with the sources of one in so
many left out, coding by coding, and LIMIT, beyond which INNOCENT of what shows nothing lies; printed for the weights
that ship, too. An hour of CPU, most of it encoders.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from coarse_material import GOOD, KINDS, Coded, half_a, jobs, work
from good_drawn import DRAWN
from likeness import SEEN
from small_network import Fit, arguments, fitted, workers

from wanprep.signals import coarse
from wanprep.signals.one_layer import computed
from wanprep.signals.quality import despite_chance

FIT = Fit(networks=6, units=16, rounds=300, rate=1e-2, small=1e-3, shaken=0.3, least=1e-6)
INNOCENT = 0.06  # share of what shows nothing that may be lost
UNSEEN, DAMAGED = 0.95, 0.92  # likeness: coarse above it, and innocent below it, count for FAINT
FAINT, BARELY = 0.25, 0.5
BORDER = ("svt-av1 45, then 18", "vp9 45, then 18")  # count for BARELY
# What people have counts for more than what was chosen to be hard.
USUAL = ("as it is", "x264 12", "x264 18", "x264 23", "medium 17", "medium 23", "x265 20", *GOOD)
USUAL_MORE = 4.0
DRAWN_KINDS = tuple(kind for kind in DRAWN if kind not in ("enlarged", "faded"))
DRAWN_MORE, LARGE_MORE = 3.0, 3.0  # what is drawn, and enlarged, are few kinds of many


def cached(name: str, media: Path, what: tuple[Any, ...], folder: Path) -> list[Coded]:
    path = folder / "coarse" / f"{name}.npz"
    if not path.exists():
        found = work(media, what)
        path.parent.mkdir(parents=True, exist_ok=True)
        told = {f"rows_{k}": it.rows for k, it in enumerate(found)}
        about = {"name": [it.name for it in found], "bad": [it.bad for it in found], "like": [it.like for it in found]}
        np.savez(path, **told, **about)
    with np.load(path) as kept:
        about = zip(kept["name"].tolist(), kept["bad"].tolist(), kept["like"].tolist())
        return [Coded(*each, kept[f"rows_{k}"]) for k, each in enumerate(about)]


def weight(source: str, it: Coded) -> float:
    """How much a coding counts before sources are made alike."""
    if it.bad:
        return FAINT if it.like > UNSEEN else 1.0
    found = BARELY if it.name in BORDER else 1.0
    if source in KINDS and it.like < DAMAGED:
        found = FAINT
    if it.name.startswith("enlarged"):
        found *= LARGE_MORE
    if it.name in USUAL:
        found *= USUAL_MORE
    return found * (DRAWN_MORE if source in DRAWN_KINDS or source.startswith("drawn") else 1.0)


def asked(it: Coded) -> np.ndarray:
    """bool[looks]: of which something is said."""
    known: np.ndarray = np.isfinite(it.rows[:, coarse.NAMES.index("hidden")])
    return known


def trained(found: list[tuple[str, list[Coded]]]) -> dict[str, np.ndarray]:
    """The weights that ship, of sources and their codings."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits

    names = [source for source, codings in found for _ in codings]
    rows, right, counts = [], [], []
    for source, codings in found:
        for it in codings:
            known = it.rows[asked(it)].astype(np.float64)
            if 2 * len(known) >= len(it.rows):
                rows.append(known)
                right += [float(it.bad)] * len(known)
                counts += [weight(source, it) / np.sqrt(names.count(source))] * len(known)
    x, y, each = np.concatenate(rows), np.array(right), np.array(counts)
    for label in (0, 1):  # both count for as much
        each[y == label] *= len(y) / 2 / each[y == label].sum()
    by_row = torch.tensor(each, dtype=torch.float32)

    def wrong(says: Any, true: Any) -> Any:
        return binary_cross_entropy_with_logits(says, true, weight=by_row)

    return fitted(np.where(np.isfinite(x), x, np.nanmean(x, axis=0)), y, wrong, FIT)


def said(w: dict[str, np.ndarray], it: Coded) -> float:
    """Log-odds of a clip, as `compression.quantiser` counts them; very low where nothing is said."""
    rows = np.where(np.isfinite(it.rows), it.rows, w["mean"]).astype(np.float64)
    odds = computed(rows, {name: values.astype(np.float64) for name, values in w.items()})
    odds[~asked(it)] = np.nan
    scaled = despite_chance(odds * coarse.STEEP)
    return scaled / coarse.STEEP if np.isfinite(scaled) else -np.inf


def shown(judged: list[tuple[Coded, float]]) -> None:
    """LIMIT, and what lies beyond it."""
    limit = float(np.quantile([odds for it, odds in judged if not it.bad], 1 - INNOCENT))
    print(f"LIMIT = {limit:.2f}; beyond it (where coarse ones show):")
    for name in dict.fromkeys(it.name for it, _ in judged):
        mine = [(it, odds > limit) for it, odds in judged if it.name == name]
        seen = [over for it, over in mine if it.bad and it.like < SEEN]
        print(f"  {name:36} {np.mean([over for _, over in mine]):4.0%}", f"({np.mean(seen):4.0%})" if seen else "")


def main() -> int:
    import torch
    from safetensors.numpy import save_file

    options = arguments(__doc__)
    torch.set_num_threads(1)
    wanted = jobs(options.media)
    with workers() as each:
        measured = each(cached, [(name, options.media, what, options.cache) for name, _, what in wanted])
    found = [(source, codings) for (_, source, _), codings in zip(wanted, measured)]
    films = [name for name, _ in half_a(options.media)]
    if options.folds:
        judged = []
        for fold in range(options.folds):
            left_out = sorted(films)[fold :: options.folds]
            w = trained([it for it in found if it[0] not in left_out])
            judged += [(it, said(w, it)) for source, codings in found if source in left_out for it in codings]
        shown(judged)
    save_file(trained(found), options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
