"""How much of a clip stands still to the frame: frozen, whatever its coding made of the picture that was held.

A run of equal frames alone will not do: key frames and what follows them are coded anew, so the run breaks up, in
MPEG-2 every half second. So what is asked first is whether anything changed within half a second, and only then whether
most frames repeat the one before: a still scene before a living camera has noise in each of them.
"""

from __future__ import annotations

import math

import numpy as np

from wanprep.signals.pictures import runs

QUIET = 0.0005  # share of the picture that changes within half a second: less is nothing
REPEATED = 0.7  # share of its frames that repeat the one before; 0.83 and more were seen in frozen pictures
LONG_S = 0.5  # a frame that is shown for longer is held
LEAST_S = 0.8  # drawn figures hold shorter poses
ROUNDING_S = 0.001  # timestamps are multiples of a time base


def frozen_share(seconds_N: np.ndarray, repeats_N: np.ndarray, change_N: np.ndarray, back_N: np.ndarray) -> float:
    """Share of a clip's time, 0..1, in stretches of LEAST_S and more in which it stands still; NaN for a single frame.

    A stretch lasts until the picture is another one, so its last frame counts for as long as it is shown.

    seconds_N: float[N], increasing. repeats_N: bool[N], whether a frame repeats the one before; the first is not asked.
    change_N: float[N], share of the picture that changed since back_N: float[N] seconds before (about half a second);
    NaN where not measured.
    """
    if len(seconds_N) < 2:
        return math.nan
    equal = repeats_N[1:]  # of steps, from a frame to the next: bool[N - 1]
    held = np.diff(seconds_N) > LONG_S
    with np.errstate(invalid="ignore"):
        looks = np.flatnonzero((change_N <= QUIET) & (seconds_N - back_N >= seconds_N[0] - 1e-4))
    thens = np.minimum(np.searchsorted(seconds_N, seconds_N[looks] - back_N[looks] - 1e-3), looks - 1)
    for then, now in zip(thens.tolist(), looks.tolist(), strict=True):
        held[then:now] |= bool(equal[then:now].mean() >= REPEATED)
    gone_N = np.append(seconds_N[1:], seconds_N[-1] + np.median(np.diff(seconds_N)))  # when the next frame is shown
    lasted = [
        float((gone_N if equal[end - 1] else seconds_N)[end] - seconds_N[first])
        for first, end in runs(held | equal)  # a hold begins and ends between two looks
        if held[first:end].any()
    ]
    return sum(s for s in lasted if s >= LEAST_S - ROUNDING_S) / float(gone_N[-1] - seconds_N[0])
