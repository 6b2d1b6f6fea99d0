"""At what size clips are trained, and what of a coarse coding still shows there. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from wanprep.stages.windows import View

Sizes = tuple[float, float]  # pixels of the largest picture that clips and stills are trained at
USUAL: Sizes = (832 * 480, 832 * 480)
# How much coarser pictures may be quantised for each halving of their sides when they are scaled down for training: so
# coded, they have the same VMAF at 480 lines, of 10 films (docs/measured/filters.md).
OCTAVE = 5.0


def sizes(views: Sequence[View]) -> Sizes:
    """Of the views that take such clips; as usual where there is none."""
    largest = [
        max((math.prod(view.size) for view in views if view.takes(is_image=still)), default=usual)
        for still, usual in zip((False, True), USUAL)
    ]
    return largest[0], largest[1]


def scaled(quantiser_N: np.ndarray, pixels_N: np.ndarray, trained_N: np.ndarray) -> np.ndarray:
    """How coarse pictures of so many pixels look when they are scaled down to as many as they are trained at, which
    averages damage away: on the same scale, 0..51, NaN where unknown. Smaller ones, and those whose size is not known
    (NaN), keep their own: nothing is enlarged."""
    halvings = np.log2(np.fmax(pixels_N, trained_N) / trained_N) / 2
    return np.maximum(0.0, quantiser_N - OCTAVE * halvings)
