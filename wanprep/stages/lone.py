"""What was taken for a transition in a file of one shot: pans, things that pass, and a shot that grows dark or bright.

Pure: numbers, pictures and spans in and out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wanprep.signals.followed import found_again
from wanprep.stages.margins import margin_of, too_short

if TYPE_CHECKING:
    from wanprep.signals.shotlist import ShotList, Transition
    from wanprep.signals.store import Signals
    from wanprep.stages.split import SplitConfig

SAME = 0.8  # share of the picture that is found again where nothing mixed; after a dissolve hardly half ever is
LIT = 0.15  # least contrast on the way, as a share of the fullest; a fade and a dip leave none


def joins_nothing(signals: Signals, found: ShotList, config: SplitConfig, step: float) -> bool:
    """Whether all that was found in a source is one transition with no clip on either side of it, and none at all.

    A transition joins two shots. In a file of a few seconds without either, what looked like a wipe is the shot itself.
    Dissolves and fades are far more often made, so they are believed unless the same things are seen before and after.
    step: seconds from frame to frame.
    """
    if len(found.transitions) != 1 or found.cuts or signals.holes:
        return False
    (t,) = found.transitions
    (before, after), n = margin_of(t, config, step), len(signals.pts)
    rest = (0, t.first - before), (t.last + 1 + after, n)
    if any(a < b and not too_short(signals, a, b, config) for a, b in rest):
        return False
    return t.kind == "wipe" or _goes_on(signals, t)


def _goes_on(signals: Signals, t: Transition) -> bool:
    """Whether the picture before t is still there after it, wherever the camera went and however dark it grew."""
    first, last = max(0, t.first - 1), min(len(signals.pts) - 1, t.last + 1)
    contrast = signals.extra["tiny"][first : last + 1].std(axis=(1, 2))
    if contrast.min() < LIT * contrast.max():
        return False
    at = np.flatnonzero((signals.sampled >= first) & (signals.sampled <= last))
    return found_again(signals.thumbs[int(k)] for k in at) >= SAME
