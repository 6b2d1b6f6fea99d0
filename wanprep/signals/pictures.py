"""The tiny pictures of all frames, as numbers of those only that are being looked at.

They are stored as one byte a place: 33 MB for two hours of film, in a mapped file. All of them as float32, with the
differences that finding shots takes, were 440 MB. So every pass over a film is made in parts of PASS frames, with
whatever neighbours a frame is compared with, and what it finds does not depend on where one part ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

PASS = 1024  # frames that are looked at at once: 0.8 MB of numbers, which stay in a core's cache


class Pictures:
    """Like a read-only float32[N, P] array of the stored ones, [N, P] of any kind of number; indexing copies."""

    def __init__(self, stored: np.ndarray) -> None:
        self._stored = stored

    def __len__(self) -> int:
        return len(self._stored)

    def __getitem__(self, index: Any) -> np.ndarray:
        return self._stored[index].astype(np.float32)

    def backwards(self) -> Pictures:
        """The last frame first."""
        return Pictures(self._stored[::-1])


def parts(frames: np.ndarray) -> Iterator[np.ndarray]:
    """int[n] in parts of PASS; one empty part of none."""
    for start in range(0, max(1, len(frames)), PASS):
        yield frames[start : start + PASS]
