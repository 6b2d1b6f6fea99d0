"""The frame plan: which source frames stand for a clip at the family's rate.

Everything that turns seconds into frames goes wrong somewhere: counting `duration * fps` misses frames on one real
clip in five, taking every n-th frame speeds motion up, and VFR footage has no rate at all. So slots are laid out in
exact time, each takes the nearest frame that is really there, and all of it is integer arithmetic.

Slot k = 0, 1, ... exists while k/rate < clip duration; it takes the frame of [start_pts, end_pts) which minimises
abs(pts - (start_pts + k/rate)), the earlier of two equally near ones (design, section 2).
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Ten million slots are a week at 16 fps: beyond that the timestamps are nonsense, and the plan would fill memory.
MAX_SLOTS = 10_000_000
_INT64_SAFE = 2**62  # differences of two such values still fit


def frame_plan(
    pts: NDArray[np.int64], start_pts: int, end_pts: int, time_base: Fraction, rate: int
) -> NDArray[np.int64]:
    """Indices into `pts`, one per slot of the clip [start_pts, end_pts) at `rate` slots a second.

    pts: int64 [N], strictly increasing presentation times in units of `time_base` (seconds per unit).
    Returns int64 [K], never decreasing, K = ceil((end_pts - start_pts) * time_base * rate).
    Raises ValueError: empty or reversed clip, unsorted pts, no frame inside the clip, more than MAX_SLOTS slots.
    """
    pts = np.asarray(pts, dtype=np.int64)
    start, end = int(start_pts), int(end_pts)
    if rate < 1 or time_base <= 0:
        raise ValueError(f"rate must be >= 1 and time_base > 0, got {rate} and {time_base}")
    if end <= start:
        raise ValueError(f"empty clip: start_pts {start} is not before end_pts {end}")
    if pts.ndim != 1 or (pts.size > 1 and not (pts[1:] > pts[:-1]).all()):
        raise ValueError("pts must be one strictly increasing row of timestamps")
    first, last = (int(i) for i in np.searchsorted(pts, [start, end], side="left"))
    if first == last:
        raise ValueError(f"no frame inside [{start}, {end}): the clip cannot be planned")

    # With time measured in 1/(rate*tb) units of a slot, frame i lies at (pts_i - start)*num and slot k at k*den.
    num, den = rate * time_base.numerator, time_base.denominator
    common = math.gcd(num, den)
    num, den = num // common, den // common
    slots = slots_of(start, end, time_base, rate)
    if slots > MAX_SLOTS:
        raise ValueError(f"{slots} slots in one clip (limit {MAX_SLOTS}): check the timestamps {start}..{end}")

    # Python integers (object arrays) are slow and never overflow: only for absurd timestamps.
    kind: Any = np.int64 if max((end - start) * num, slots * den) < _INT64_SAFE else object
    at = np.array([int(p) - start for p in pts[first:last]] if kind is object else pts[first:last] - start, kind) * num
    wanted = np.arange(slots, dtype=kind) * den
    right = np.searchsorted(at, wanted, side="left")
    after = np.minimum(right, len(at) - 1)
    before = np.maximum(right - 1, 0)
    # abs() because at both ends `before` and `after` name the same frame; <= sends a tie to the earlier one.
    nearest = np.where(np.abs(wanted - at[before]) <= np.abs(at[after] - wanted), before, after)
    return first + nearest.astype(np.int64)


def slots_of(start_pts: int, end_pts: int, time_base: Fraction, rate: int) -> int:
    """How many slots the clip [start_pts, end_pts) has at `rate` slots a second."""
    return math.ceil((end_pts - start_pts) * time_base * rate)


def duplicated(plan: NDArray[np.int64]) -> int:
    """How many slots repeat the frame of the slot before: more than 0 when the source is slower than the rate."""
    return int((np.diff(plan) == 0).sum())
