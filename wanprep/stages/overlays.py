"""What is known of an overlay on each clip: the clip's own look, and what the scenes of its source have in common.

Two kinds of evidence as log-odds, added: the agreement of the scenes of a source or group (signals/overlay.py), and
what the network makes of the places that look drawn in all of them (signals/marks.py). A source of three scenes or
more is known; a clip that looks drawn on very much is convicted whatever the others look like. A single clip is judged
by its own look alone, and is `unknown`, never clean, where that is not decided. Of drawn shots, which look drawn
themselves, a second network's look is added (signals/drawn.py); where only the first would convict, they are unknown.
Marks that move are known where scenes show the same drawing on the move (signals/recurring.py), else where one clip's
is very sure; what is drawn over a part of a clip and gone in the rest (signals/brief.py), and large words
(signals/titles.py), convict that clip. Pure.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from wanprep import keys
from wanprep.signals import cards, drawn, overlay, second_look
from wanprep.stages.scored import BOXES

# Log-odds, chosen on half of the benchmark's sources (tests/benchmarks/bench_quality.py); SUREST, BOTH and FIRST with
# the other half and drawn shots in view, too (docs/measured/marks.md).
AGREEMENT = 20.0  # of full agreement between scenes
EVEN, LOOK = -1.95, 1.5  # what the scenes' common look must exceed to speak for a mark, and what its log-odds count
OWN = 0.2  # share of a clip's own look in its log-odds beside the least of the clips of its source
POOLED, SINGLE = 0.7, 0.8  # evidence that is worth even odds
STRONG = 4.5  # own look that is worth even odds where the other scenes do not bear it out
MOVES = 60.0  # of a drawing that moves over several scenes, beyond chance
BRIEF = 2.0  # own look of a part of a clip that is worth even odds, whatever the others look like
TITLE = 2.0  # the same of large words
SURE, SURER = 4.6, 6.0  # log-odds of a drawing that moves over a clip that are worth even odds: alone, beside others
SUREST = 10.0  # the same over a drawn shot, either way
BOTH = 1.0, 3.0  # sum of both looks that is worth even odds: at a filmed shot, at a drawn one
FIRST = 8.0  # the most that the first counts in it
DOUBT = 1.0  # below even odds by less than this, a single clip is unknown
Apart = Callable[[], Mapping[str, bytes]]


def overlays(
    rows: pl.DataFrame,
    threshold: float,
    pools: MutableMapping[str, overlay.Pooled] | None = None,
    apart: Apart = dict,
) -> tuple[np.ndarray, pl.Series]:
    """Confidence 0..1 that each clip bears an overlay (NaN = unknown), and its box in fractions of the frame if so.

    rows: `scored`: the looks are log-odds; map_rows is the height of the overlay map, 0 for none, null where only the
    map itself tells; a map is in evidence, else in `apart` by scores_key, which is asked for only where a pool is not
    known. pools: the memory of pooled evidence, by keys.pool, of rows with scores_key. threshold: from where on a clip
    is called marked.

    A source with too few scenes falls back on its group, which may convict but not acquit (a mark on one source of
    many would be outvoted), and then on each clip alone.
    """
    looks, maps, limit = _Looks(rows), _Maps(rows, pools, apart), _logit(threshold)
    logits = np.full(len(rows), math.nan)
    boxes: list[Any] = [None] * len(rows)
    sure = np.where(looks.drawn, SUREST, SURER)
    for owner, may_acquit in (("source_id", True), ("group", False)):
        who, odds, moves, seen = _pooled(maps, owner, np.isnan(logits), looks.mark, alone=may_acquit)
        moves = np.fmax(moves, looks.moving[who] - sure[who])
        still, odds = odds, np.fmax(odds, moves)
        settled = np.isnan(logits[who]) & ((odds > limit) | may_acquit)
        logits[who[settled]] = odds[settled]
        for k in np.flatnonzero(settled & (odds > limit)).tolist():
            mine = who[k]
            boxes[mine] = looks.box("moving", mine) if still[k] < moves[k] else seen[k] or looks.box("mark", mine)
    alone, moved = _alone(looks, _smoothed(looks.mark, rows["source_id"]), limit)
    left = np.isnan(logits) & np.isfinite(looks.mark)
    logits[left] = alone[left]
    for i in np.flatnonzero(left & (alone > limit)).tolist():
        boxes[i] = looks.box("moving" if moved[i] else "mark", i)
    _for_a_part(looks, logits, boxes, limit)
    confidence = np.round(1 / (1 + np.exp(-np.clip(logits, -30, 30))), 6)
    return confidence, pl.Series([box and list(box) for box in boxes], dtype=pl.List(pl.Float64))


class _Looks:
    """What each clip looks like by itself: log-odds, and whether it is drawn. Where nothing was seen `mark` and
    `second` are NaN, the others -inf."""

    def __init__(self, rows: pl.DataFrame) -> None:
        self.mark, self.second = (rows[name].to_numpy() for name in ("mark", "second_mark"))
        self.moving, self.brief, self.title = (
            np.nan_to_num(rows[name].to_numpy(), nan=-math.inf) for name in ("moving_mark", "brief_mark", "title_mark")
        )
        self.drawn = rows["drawn"].to_numpy() > drawn.DRAWN
        self._boxes = {name: rows[name].to_list() for name in BOXES}

    def box(self, name: str, clip: int) -> Any:
        return self._boxes[f"{name}_box"][clip]

    def both(self, first: np.ndarray | float = -math.inf) -> np.ndarray:
        """Log-odds by both looks, the first that for marks or for large words; NaN without a second."""
        words = np.minimum(np.maximum(first, self.title - second_look.LARGER), FIRST)
        return self.second + words - np.where(self.drawn, BOTH[1], BOTH[0])


class _Maps:
    """The overlay maps of clips: how high each is, and what several say together, remembered where it can be."""

    def __init__(
        self,
        rows: pl.DataFrame,
        pools: MutableMapping[str, overlay.Pooled] | None,
        apart: Apart,
    ) -> None:
        self._rows, self._pools, self._apart = rows, pools, apart
        self._keys = rows["scores_key"].to_list()
        self._here = rows["evidence"].to_list()
        self._titled = (rows["card"].fill_null(0.0) > cards.CARD).to_list()
        self._heights = rows["map_rows"].to_list()
        for i in np.flatnonzero(rows["map_rows"].is_null()).tolist():
            self._heights[i] = overlay.map_rows(evidence) if (evidence := self._evidence(i)) else 0

    def _evidence(self, clip: int) -> bytes:
        here = self._here[clip]
        return (self._apart().get(self._keys[clip]) if here is None else here) or b""

    def together(self, owner: str) -> Iterator[list[int]]:
        """Clips with one owner (a column) whose maps are of one height, where they might be enough scenes."""
        found: dict[tuple[Any, int], list[int]] = {}
        for i, about in enumerate(zip(self._rows[owner].to_list(), self._heights)):
            if about[1]:
                found.setdefault(about, []).append(i)
        return (members for members in found.values() if len(members) >= overlay.MIN_SCENES)

    def moves(self, members: Sequence[int], pool: overlay.Pooled) -> Sequence[float]:
        """What of each clip moves as in the others, title cards aside: that these share their lettering says nothing of
        the rest. pool: of all of them."""
        titled = {i for i in members if self._titled[i]}
        if not titled:
            return pool.moves
        scenes = [i for i in members if i not in titled]
        found = self.pool(scenes) if len(scenes) >= overlay.MIN_SCENES else None
        mine = {} if found is None or math.isnan(found.score) else dict(zip(scenes, found.moves))
        return [mine.get(i, -math.inf) for i in members]

    def pool(self, members: Sequence[int]) -> overlay.Pooled:
        if self._pools is None:
            return overlay.pool([self._evidence(i) for i in members])
        key = keys.pool([self._keys[i] for i in members])
        if key not in self._pools:
            self._pools[key] = overlay.pool([self._evidence(i) for i in members])
        return self._pools[key]


def _pooled(
    maps: _Maps, owner: str, open_clips: np.ndarray, marks: np.ndarray, *, alone: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[Any]]:
    """(indices, log-odds of a mark that stays, of one that moves, boxes) of the clips that are pooled with others of
    their owner where one of them is open.

    alone: what the network sees counts clip by clip; otherwise only what all share.
    """
    still_open = open_clips.tolist()
    asked = (members for members in maps.together(owner) if any(still_open[i] for i in members))
    found = [(members, pool) for members in asked if not math.isnan((pool := maps.pool(members)).score)]
    who = np.array([i for members, _ in found for i in members], np.int64)
    values = np.array([value for _, pool in found for value in pool.values], np.float64)
    looks = np.array([look for _, pool in found for look in pool.looks], np.float64)
    looks = np.nan_to_num(LOOK * (looks - EVEN))  # 0: where the network saw nothing
    if not alone:
        ends = np.cumsum([0, *(len(members) for members, _ in found)]).tolist()
        for start, end in itertools.pairwise(ends):
            looks[start:end] = np.minimum(looks[start:end], looks[start:end].mean())
    odds = np.fmax(AGREEMENT * values + looks - POOLED, marks[who] - STRONG)
    moves = np.full(len(who), -math.inf)
    if alone:  # copies of one film in a group share whatever moves in it
        moves = MOVES * np.array([value for members, pool in found for value in maps.moves(members, pool)], np.float64)
    return who, odds, moves, [pool.box for members, pool in found for _ in members]


def _smoothed(marks: np.ndarray, sources: pl.Series) -> np.ndarray:
    """Looks of clips beside those of the same source: a mark is on all pieces of a shot, a mistake on few."""
    seen = pl.DataFrame({"source": sources, "mark": pl.Series(marks).fill_nan(None)})
    least = seen.select(pl.col("mark").min().over("source")).to_series().to_numpy()
    return OWN * marks + (1 - OWN) * least


def _alone(looks: _Looks, smoothed: np.ndarray, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds of each clip by its own looks alone, NaN where it is unknown; and whether what moves has the say."""
    first = smoothed - SINGLE
    both = looks.both(smoothed)
    stays, moves = np.where(np.isnan(both), first, both), looks.moving - np.where(looks.drawn, SUREST, SURE)
    odds = np.maximum(stays, moves)
    # The first look alone, or the usual SURE, would convict.
    doubted = np.maximum(np.maximum(odds + DOUBT, first), looks.moving - SURE) > limit
    return np.where(doubted & ~(odds > limit), math.nan, odds), stays < moves


def _for_a_part(looks: _Looks, logits: np.ndarray, boxes: list[Any], limit: float) -> None:
    """What is drawn over a part of a clip, and large words, convict it whatever is said of the whole (in place); of
    words that a second look does not bear out nothing is known."""
    both = looks.both()
    for name, own, even in (("brief", looks.brief, BRIEF), ("title", looks.title, TITLE)):
        for i in np.flatnonzero((own - even > limit) & ~(logits > limit)).tolist():
            refuted = name == "title" and both[i] <= limit
            logits[i], boxes[i] = (math.nan, None) if refuted else (own[i] - even, looks.box(name, i))


def _logit(share: float) -> float:
    return math.log(share / (1 - share)) if 0 < share < 1 else math.copysign(math.inf, share - 0.5)
