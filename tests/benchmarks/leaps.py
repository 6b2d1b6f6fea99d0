"""Jump cuts: frames left out of one shot whose framing stays, so that only what moves in it jumps.

Truth is what can be seen: a step several times as large as those around it. Where less changes nobody sees a cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from edits import Truth, finish
from material import SEEDS, Take, plan, take

TRIES, SEEN, TIMES = 30, 4.0, 2.5  # mean difference over a jump: levels, and times the largest of the steps around it


def leap(half: str, k: int, pool: Sequence[Path]) -> tuple[np.ndarray, Truth, float]:
    """The k-th shot of a half with a jump in it: uint8[n, 144, 256, 3] BGR, its truth (without one where of TRIES
    jumps none is to be seen), its frame rate."""
    rng = np.random.default_rng([SEEDS[half], k, 9])
    cuts: list[tuple[int, str]] = []
    for _ in range(TRIES):
        big = np.load(pool[int(rng.integers(len(pool)))], mmap_mode="r")
        how = replace(plan(rng, len(big), len(big)), start=0, speed=1.0, hands=0.0, zoom=0.0)
        left, right, gap = (int(v) for v in (rng.integers(28, 71), rng.integers(28, 71), rng.integers(4, 90)))
        start = int(rng.integers(0, max(1, len(big) - 60 - gap)))
        shot = np.concatenate([_part(big, how, start, left, rng), _part(big, how, start + left + gap, right, rng)])
        if start + left + gap + right <= len(big) and seen(shot, left):
            cuts = [(left, "jump")]
            break
    return finish(shot, rng), Truth(cuts=cuts), float(rng.choice([24, 25, 30]))


def _part(big: np.ndarray, how: Take, start: int, n: int, rng: np.random.Generator) -> np.ndarray:
    return take(big, replace(how, start=start), n, rng)


def seen(shot: np.ndarray, cut: int) -> bool:
    """Whether the step to frame `cut` stands out from the four on both sides."""
    near = shot[cut - 5 : cut + 5, ::2, ::2].astype(np.int16)
    steps = np.abs(np.diff(near, axis=0)).mean((1, 2, 3))
    return bool(steps[4] >= max(SEEN, TIMES * np.delete(steps, 4).max()))
