"""Idle heads and tails of a clip, trimmed to where something moves. For motion sets: frames in which nothing happens
yet teach that nothing happens.

Pure: it reads the numbers of the analysis decode. What is cut off stays listed, as rejected clips (`idle`). A trimmed
clip is a clip of its own, with a span and an id of its own; a caption or decision given to the whole clip follows it
while the spans overlap by 80 % (`wanprep.events`), and is listed as orphaned otherwise, so switch this on before you
caption by hand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wanprep.signals.store import Signals

LEAST_MOTION = 0.002  # share of the picture: a clip livelier nowhere is left whole, for the `static` filter to judge
LASTING = 4  # measurements in a row; a single step (a pop of the coding, a flash) is in two or three
QUIET = 0.1  # of a clip's own liveliness: where all motion is small, small motion is no idleness


@dataclass(frozen=True, kw_only=True)
class TrimRules:
    """[split.trim]. idle: share of the picture, 0..1; a stretch is idle where less than this changes by 8/255 within
    half a second. pad_s: seconds kept before and after the motion. least_s: shorter idle stretches stay.
    """

    enabled: bool = False
    idle: float = 0.01
    pad_s: float = 0.25
    least_s: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.idle < 1:
            raise ValueError(f"idle is a share of the picture between 0 and 1, not {self.idle}")
        for name in ("pad_s", "least_s"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, not {getattr(self, name)} seconds")


def trim(
    signals: Signals, start: int, end: int, rules: TrimRules, *, min_seconds: float = 0.0
) -> tuple[int, int, list[tuple[int, int]]]:
    """(first, last + 1, idle spans) of the clip made of frames start..end-1; all in frames of the source.

    The clip stays at least min_seconds long (as far as it was), and whole when nothing moves in it or motion was not
    measured. Idle spans and the clip together are exactly [start, end).
    """
    if not rules.enabled:
        return start, end, []
    seconds = signals.seconds()
    times = seconds[start:end]
    finish = (
        float(seconds[end]) if end < len(seconds) else float((signals.end_pts() - signals.pts[0]) * signals.time_base)
    )
    moving = moving_span(
        times, signals.frame["change"][start:end], signals.frame["change_s"][start:end], finish, rules.idle
    )
    if moving is None:
        return start, end, []
    begin, stop = widen(moving[0] - rules.pad_s, moving[1] + rules.pad_s, float(times[0]), finish, min_seconds)
    first = start if begin - times[0] < rules.least_s else start + int(np.searchsorted(times, begin, side="right")) - 1
    last = end if finish - stop < rules.least_s else start + int(np.searchsorted(times, stop, side="left"))
    return first, last, [span for span in ((start, first), (last, end)) if span[0] < span[1]]


def moving_span(
    seconds_N: np.ndarray, change_N: np.ndarray, back_N: np.ndarray, finish: float, idle: float
) -> tuple[float, float] | None:
    """(begin, stop) in seconds: outside of it less than `idle` changes; None when nothing is known or nothing moves.

    seconds_N: times of a clip's frames. change_N, back_N: share of the picture that changed since back_N seconds
    before, NaN where not measured. finish: end of the clip.
    """
    with np.errstate(invalid="ignore"):
        inside = np.isfinite(change_N) & (seconds_N - back_N >= seconds_N[0] - 1e-4)  # float32 seconds
    times, change, back = seconds_N[inside], change_N[inside], back_N[inside]
    if len(change) < 2:
        return None
    lively = _liveliness(change)
    active = np.flatnonzero(change >= min(idle, QUIET * lively))
    if lively < LEAST_MOTION or not len(active):
        return None
    # A change is found up to half a second after it happened: the quiet measurement before the first active one, and
    # the one after the last, say more exactly where.
    first, last = int(active[0]), int(active[-1])
    begin = float(times[first - 1]) if first > 0 else float(seconds_N[0])
    stop = float(times[last + 1] - back[last + 1]) if last + 1 < len(times) else finish
    return begin, max(stop, begin)


def _liveliness(change_N: np.ndarray) -> float:
    """What changes in the liveliest tenth of the time; where that is nothing, in the liveliest moment that lasts."""
    usual = float(np.quantile(change_N, 0.9))
    if usual >= LEAST_MOTION or len(change_N) < LASTING:
        return usual
    return float(np.lib.stride_tricks.sliding_window_view(change_N, LASTING).min(axis=1).max())


def widen(begin: float, stop: float, low: float, high: float, least: float) -> tuple[float, float]:
    """[begin, stop] inside [low, high], made `least` long where there is room, evenly on both sides at first."""
    missing = max(0.0, least - (stop - begin)) / 2
    begin, stop = max(low, begin - missing), min(high, stop + missing)
    begin = max(low, min(begin, stop - least))
    return begin, min(high, max(stop, begin + least))
