"""Train the small network of wanprep/signals/wipe_ends.py on films of the tuning half.

    python tests/benchmarks/train_wipe_ends.py --out wipe_ends.safetensors [--cache FOLDER] [--folds 5]

As train_ends.py, of the ends of wipes, slides, whip pans and zooms that are found, doubtful ones too, in edits of both
sets, edits of wipes and slides only, films of slides, and of whip pans, zooms and flicker.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from edits import Truth
from material import prepare
from moves import stills
from small_network import Fit, arguments, workers
from train_crossings import FILMS, known
from train_ends import Rows, finish

from wanprep.signals import shots
from wanprep.signals.pictures import Pictures
from wanprep.signals.rules import GradualRules, ShotRules, WipeRules
from wanprep.signals.wipe_ends import NAMES, SPARE, sides
from wanprep.stages.margins import margin_of
from wanprep.stages.split import SplitConfig

LEARNED = ShotRules(  # by which spans were found
    gradual=GradualRules(max_doubt=-0.25, scan_doubt=-1.5),
    wipes=WipeRules(max_doubt=-0.5, scan_odds=2.0, scan_doubt=1.0),
)
FIT = Fit(networks=3, units=16, rounds=250, rate=1e-2, small=1e-4, shaken=0.2, least=1e-6)
OF = ("first", "second", "sweeps", "soft", "slides", "whips")


def examples(name: str, k: int, pool: list[Path], pictures: list[Path], cache: Path) -> Rows:
    """Evidence float[n, len(NAMES)] of a film's ends, and of each float[n, 2]: frames of the usual margin, frames by
    which the wipe goes on beyond it."""
    signals, truth = known(name, k, pool, pictures, cache)
    found: list[Any] = []

    def remember(T: Pictures, edges: np.ndarray, cuts: list[int], spans: list[shots.Transition], swept: Any) -> Any:
        found.extend((spans[index], side, it) for index, side, it in sides(T, edges, cuts, spans, swept))
        return spans

    with patch.object(shots, "with_wipe_widths", remember):
        shots.find_shots(signals, LEARNED)
    step, config = float(np.median(np.diff(signals.pts)) * signals.time_base), SplitConfig()
    ends = [(it, t, far) for t, side, it in found if (far := farther(t, side, truth)) is not None]
    rows = np.array([[it[key] for key in NAMES] for it, *_ in ends]).reshape(-1, len(NAMES))
    return rows, np.array([(margin_of(t, config, step)[0], far) for _, t, far in ends], float).reshape(-1, 2)


def farther(t: shots.Transition, side: int, truth: Truth) -> int | None:
    """Frames by which a wipe goes on beyond an end of t; None where t is not one wipe of the truth."""
    near = [it for it in (*truth.gradual, *truth.wipes) if it[1] <= t.last and it[2] >= t.first]
    if len(near) != 1 or near[0] not in truth.wipes or any(t.first <= cut <= t.last for cut, _ in truth.cuts):
        return None
    ((_, first, last),) = near
    return last - t.last if side else t.first - first


def main() -> int:
    import torch

    options = arguments(__doc__)
    torch.set_num_threads(1)
    pool, pictures = (make(options.cache, options.media, "tune") for make in (prepare, stills))
    with workers() as each:
        jobs = [(name, k, pool, pictures, options.cache) for name in OF for k in range(FILMS[name])]
        finish(each(examples, jobs), options, FIT, SPARE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
