"""Whether a shot is drawn or painted, by the numbers that `screens` weighs (tests/benchmarks/train_drawn.py).

What is drawn itself looks drawn: to the networks of marks, signs, cups and outlines before a fixed camera are marks now
and then. So of such shots more is asked for before a mark convicts (stages/overlays.py).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from wanprep.signals.one_layer import computed, weights

SHOTS = Path(__file__).with_name("drawn.safetensors")
DRAWN = 0.5  # confidence from which on a shot is drawn


def drawn(evidence_K: np.ndarray) -> float:
    """Confidence 0..1 that the shot with this `screens.evidence` is drawn or painted, not filmed. 0.5 is undecided:
    training showed as many of either."""
    return float(1 / (1 + np.exp(-computed(evidence_K[None], weights(SHOTS))[0])))
