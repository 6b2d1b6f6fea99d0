"""Thresholds with the fewest errors on clips that a person labelled. Pure.

A threshold lies between the score of a clip that it is about and the nearest other score of the dataset, in the
direction of the present one: of all that treat the labels alike, it changes the fewest decisions. It never leaves the
range of its score; a filter that the labels speak against altogether is switched off instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from wanprep.labels import Pair, Row
from wanprep.stages.filter import REGISTRY, FilterConfig

FITTED = tuple(name for name in REGISTRY if name != "duplicate")  # repeats are no matter of degree
ROUNDS = 5
FEW = 5  # labels of one filter, below which they say little of it
LITTLE = 0.1  # of what a filter rejects: a threshold that leaves no more is as good as none
DIGITS = range(4, 18)  # of a threshold: as few as leave it between its two scores


@dataclass(frozen=True, kw_only=True)
class _Scale:
    """A filter's scores, higher is worse. known: those that occur, ascending; rejected: how many clips a limit rejects;
    low, high: the range of thresholds; ending: whether `high`, at which nothing is rejected, may be one."""

    known: np.ndarray
    rejected: Callable[[float], int]
    low: float
    high: float
    ending: bool = True

    def sparing(self, value: float) -> float | None:
        """The lowest threshold that spares `value`: half way to the next score that occurs. None if there is none."""
        above = self.known[self.known > value]
        if value >= self.high:
            return value if value == self.high and self.ending else None
        return _between(value, min(float(above[0]) if len(above) else value + self._edge(self.high - value), self.high))

    def hitting(self, value: float) -> float | None:
        """The highest threshold that rejects `value`, in the same way."""
        below = self.known[self.known < value]
        if value <= self.low:
            return None
        return _between(max(float(below[-1]) if len(below) else value - self._edge(value - self.low), self.low), value)

    def _edge(self, room: float) -> float:
        """How far to go from the last score. room: as far as the range does."""
        return 0.05 * min(max(float(np.ptp(self.known)), 1e-5), room)


def _between(low: float, high: float) -> float:
    """Half way between two numbers, in few digits."""
    middle = (low + high) / 2
    rounded = (float(f"{middle:.{digits}g}") for digits in DIGITS)
    return next((number for number in rounded if low < number < high), low)


@dataclass(frozen=True, kw_only=True)
class _Table:
    """The labelled clips, F filters x N clips. values: float[F, N], higher is worse, NaN unknown. keep: bool[N].
    wanted: bool[F, N], the filters that could rightly reject a drop. lost: bool[N], wrong whatever the limits are.
    scales: F.
    """

    values: np.ndarray
    keep: np.ndarray
    lost: np.ndarray
    wanted: np.ndarray
    scales: list[_Scale]

    def errors(self, limits_F: np.ndarray) -> np.ndarray:
        """bool[N]: clips to keep that some filter rejects, and drops that no right filter does."""
        with np.errstate(invalid="ignore"):
            said_FN = self.values > limits_F[:, None]
        return np.where(self.keep, said_FN.any(axis=0), ~(said_FN & self.wanted).any(axis=0)) & ~self.lost


def fit(
    pairs: Sequence[Pair], config: FilterConfig, clips: Sequence[Row] = (), lost: Container[str] = ()
) -> FilterConfig:
    """Thresholds with the fewest errors on labelled clips (rows with `scores` decoded); see the module. A filter that
    is off takes part, and is switched on, only where some drop names it. clips: the whole dataset, in the same way.
    lost: ids of clips that no threshold frees."""
    asked = {label.reason for label, _ in pairs if not label.keep}
    names = [name for name in FITTED if getattr(config, name).enabled or name in asked]
    present = np.array([_sign(name) * getattr(config, name).threshold for name in names])
    table = _table(pairs, names, clips, lost, present)
    limits = present.copy()
    for _ in range(ROUNDS):
        before = limits.copy()
        for f in range(len(names)):
            limits[f] = _best(table, limits, f, float(present[f]))
        limits = _let_go(table, limits)
        if (limits == before).all():
            break
    fitted = {}
    for f, name in enumerate(names):
        rule, limit = getattr(config, name), float(limits[f])
        if rule.enabled and limit > present[f] and _speak_against(table, f, float(present[f]), limit):
            fitted[name] = replace(rule, enabled=False)
        elif limit != present[f] or not rule.enabled:
            fitted[name] = replace(rule, enabled=True, threshold=_sign(name) * limit + 0.0)
    return replace(config, **fitted)


def _sign(name: str) -> float:
    return 1.0 if REGISTRY[name].bad == "above" else -1.0


def _table(
    pairs: Sequence[Pair], names: Sequence[str], clips: Sequence[Row], lost: Container[str], present_F: np.ndarray
) -> _Table:
    values = np.array([[_sign(n) * _value(clip, n) for _, clip in pairs] for n in names], float)
    wanted = [[not label.keep and label.reason in ("", name) for label, _ in pairs] for name in names]
    keep = np.array([label.keep for label, _ in pairs], bool)
    shape = (len(names), len(pairs))
    scales = []
    for name, own, present in zip(names, values.reshape(shape), present_F, strict=True):
        every = np.array([_sign(name) * _value(clip, name) for clip in clips], float) if clips else own
        known = np.unique(np.concatenate([own, every]))
        ends = sorted(_sign(name) * end for end in (REGISTRY[name].least, REGISTRY[name].most))
        rejected = partial(_above, every)
        # Where only the end of the range frees a clip, the filter would be off: a few labels are too few for that.
        ending = bool((keep & (own > present)).sum() >= FEW)
        known = known[np.isfinite(known)]
        scales.append(_Scale(known=known, rejected=rejected, low=ends[0], high=ends[1], ending=ending))
    return _Table(
        values=values.reshape(shape),
        keep=keep,
        lost=np.array([clip["clip_id"] in lost for _, clip in pairs], bool),
        wanted=np.array(wanted, bool).reshape(shape),
        scales=scales,
    )


def _above(values: np.ndarray, limit: float) -> int:
    with np.errstate(invalid="ignore"):
        return int((values > limit).sum())


def _value(clip: Row, name: str) -> float:
    value = clip["scores"].get(name, (None,))[0]
    return math.nan if value is None else float(value)


def _best(table: _Table, limits_F: np.ndarray, f: int, present: float) -> float:
    """The limit of filter f with the fewest errors, the others as they are; nearest to the present one among equals."""
    candidates = [present, float(limits_F[f])]
    scale = table.scales[f]
    for value in np.unique(table.values[f][np.isfinite(table.values[f])]).tolist():
        limit = scale.sparing(value) if value > present else scale.hitting(value)
        candidates += [] if limit is None else [limit]
    trial = limits_F.copy()
    scored = []
    for limit in candidates:
        trial[f] = limit
        scored.append((int(table.errors(trial).sum()), abs(limit - present), limit))
    return min(scored)[2]


def _let_go(table: _Table, limits_F: np.ndarray) -> np.ndarray:
    """Loosen all the filters together that reject a clip to keep, where that leaves fewer errors: one at a time would
    not help a clip that two of them reject."""
    for clip in np.flatnonzero(table.errors(limits_F) & table.keep):
        own = table.values[:, clip]
        trial = limits_F.copy()
        for f in np.flatnonzero(own > limits_F):
            limit = table.scales[f].sparing(float(own[f]))
            trial[f] = limits_F[f] if limit is None else limit
        if table.errors(trial).sum() < table.errors(limits_F).sum():
            limits_F = trial
    return limits_F


def _speak_against(table: _Table, f: int, present: float, limit: float) -> bool:
    """Whether labels say that filter f should be off: many clips to keep had to be freed, no drop is left to it, and
    what it rejects yet is next to nothing, or to be kept as well; or there is no room left in its range."""
    scale, (freed, caught) = table.scales[f], (table.values[f] <= limit, table.values[f] > limit)
    freed = freed & table.keep & (table.values[f] > present)
    little = scale.rejected(limit) <= LITTLE * scale.rejected(present) or (caught & table.keep).any()
    return limit >= scale.high or bool(freed.sum() >= FEW and not (caught & table.wanted[f]).any() and little)
