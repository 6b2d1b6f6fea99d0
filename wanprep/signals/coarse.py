"""How likely it is that a picture was coded coarsely once, whatever it was coded by later: all its traces together.

What a coder leaves differs from coder to coder, and how much of it shows hangs on the scene: x264 leaves few steps in
the middle of blocks, x265, VP9 and AV1 detail that begins at the edges of larger ones, MPEG-4 at those of 8 x 8, and
each shows more the more there is to see. So a small network weighs what lies by the grid: how peaks and equal places
lie around the edges of macroblocks (`hidden`), how suddenly detail begins at those of blocks of 8, 16 and 32
(`detail`), how often steps stand out at those of blocks of 8 to 64 (`seams`), how uneven small differences are
(`compression.blockiness`), how much there was to count, and how finely the stream says it was coded last. It is told
nothing of how much detail or noise there is, or how it is spread: that is the scene. tests/benchmarks/train_coarse.py
fits its weights, which lie beside this file. Pure but for their file.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from wanprep.signals import detail, hidden, seams
from wanprep.signals.one_layer import computed, weights

FILE = Path(__file__).with_name("coarse.safetensors")
_PLACES = [f"{kind}_{k}" for kind in ("peaks", "equal") for k in range(hidden.GRID // 2 + 1)]
_LESS = [f"{name}_less" for name in _PLACES]  # of the direction that says less; the others are the mean of both
NAMES = (*_PLACES, *_LESS, "lopsided", "known", "hidden", *detail.NAMES, *seams.NAMES, "uneven", "said", "hevc")
USUAL_SAID = 20.0  # where a stream does not say
# Log-odds to H.264's scale: AT the threshold, beyond which so few innocent codings lie as the script's last lines say.
LIMIT, AT, STEEP = 0.73, 37.0, 3.0


def numbers(look: hidden.Look, luma_HW: np.ndarray, blockiness: float, said: float, leaves: float) -> np.ndarray:
    """float64[len(NAMES)] of a look at uint8 luma, NaN where unknown. blockiness: of `compression`. said, leaves: what
    the stream says, see `media.quantiser.Coded`."""
    x, y = look.corner
    both = look.shares.reshape(2, -1)
    rest = look.lopsided, math.log(max(look.known, 1.0)), look.quantiser
    last = math.log(max(blockiness, 1e-3)), said if math.isfinite(said) else USUAL_SAID, float(leaves > 0)
    inside = luma_HW[y:, x:]
    return np.concatenate([both.mean(axis=0), both.min(axis=0), rest, detail.steps(inside), seams.shares(inside), last])


def odds(rows: np.ndarray) -> np.ndarray:
    """float64[N]: log-odds that pictures were coded coarsely, of float[N, len(NAMES)]; what is unknown counts as it
    usually is."""
    known = weights(FILE)
    return computed(np.where(np.isfinite(rows), rows, known["mean"]), known)


def quantiser(row: np.ndarray) -> float:
    """How coarsely a picture of these `numbers` looks to have been quantised, on H.264's scale (not limited here)."""
    return AT + STEEP * (float(odds(row[None])[0]) - LIMIT)
