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

from wanprep import keys
from wanprep.signals import cards, drawn, overlay, second_look

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
    rows: Sequence[Mapping[str, Any]],
    threshold: float,
    pools: MutableMapping[str, overlay.Pooled] | None = None,
    apart: Apart = dict,
) -> tuple[np.ndarray, list[Any]]:
    """Confidence 0..1 that each clip bears an overlay (NaN = unknown), and its box in fractions of the frame if so.

    rows: source_id, group, mark, second_mark, moving_mark, brief_mark and title_mark (log-odds or None), their boxes
    (mark_box and so on), drawn (confidence or None), evidence (bytes) or map_rows (the height of its map, 0 for none)
    with the bytes in `apart`, by scores_key, which is asked for only where a pool is not known. pools: the memory of
    pooled evidence, by keys.pool, of rows with scores_key. threshold: from where on a clip is called marked.

    A source with too few scenes falls back on its group, which may convict but not acquit (a mark on one source of
    many would be outvoted), and then on each clip alone.
    """
    marks, moving = (
        np.array([math.nan if row.get(name) is None else row[name] for row in rows], np.float64)
        for name in ("mark", "moving_mark")
    )
    moving = np.nan_to_num(moving, nan=-math.inf)
    sure = np.where([_is_drawn(row) for row in rows], SUREST, SURER)
    maps = _Maps(rows, pools, apart)
    limit = _logit(threshold)
    logits = np.full(len(rows), math.nan)
    boxes: list[Any] = [None] * len(rows)
    for owner, may_acquit in (("source_id", True), ("group", False)):
        who, odds, moves, seen = _pooled(maps, owner, np.isnan(logits), marks, alone=may_acquit)
        moves = np.fmax(moves, moving[who] - sure[who])
        still, odds = odds, np.fmax(odds, moves)
        settled = np.isnan(logits[who]) & ((odds > limit) | may_acquit)
        logits[who[settled]] = odds[settled]
        for k in np.flatnonzero(settled & (odds > limit)).tolist():
            own = rows[who[k]]
            boxes[who[k]] = own.get("moving_box") if still[k] < moves[k] else seen[k] or own.get("mark_box")
    looks = _smoothed(marks, [row["source_id"] for row in rows])
    for i in np.flatnonzero(np.isnan(logits) & np.isfinite(marks)).tolist():
        logits[i], boxes[i] = _alone(rows[i], looks[i], moving[i], limit)
    for i, row in enumerate(rows):
        for name, even in (("brief", BRIEF), ("title", TITLE)):
            odds_own = (row.get(f"{name}_mark") or -math.inf) - even
            if odds_own > limit and not logits[i] > limit:
                logits[i], boxes[i] = odds_own, row.get(f"{name}_box")
                if name == "title" and (both := _both(row)) is not None and not both > limit:
                    logits[i], boxes[i] = math.nan, None
    return np.round(1 / (1 + np.exp(-np.clip(logits, -30, 30))), 6), boxes


class _Maps:
    """The overlay maps of clips: how high each is, and what several say together, remembered where it can be."""

    def __init__(
        self,
        rows: Sequence[Mapping[str, Any]],
        pools: MutableMapping[str, overlay.Pooled] | None,
        apart: Apart,
    ) -> None:
        self._rows, self._pools, self._apart = rows, pools, apart
        self._heights = [row["map_rows"] if "map_rows" in row else self._height(row) for row in rows]

    def _evidence(self, row: Mapping[str, Any]) -> bytes:
        return (row["evidence"] if "evidence" in row else self._apart().get(row.get("scores_key", ""))) or b""

    def _height(self, row: Mapping[str, Any]) -> int:
        evidence = self._evidence(row)
        return overlay.map_rows(evidence) if evidence else 0

    def together(self, owner: str) -> Iterator[list[int]]:
        """Clips with one owner (a column) whose maps are of one height, where they might be enough scenes."""
        found: dict[tuple[Any, int], list[int]] = {}
        for i, height in enumerate(self._heights):
            if height:
                found.setdefault((self._rows[i][owner], height), []).append(i)
        return (members for members in found.values() if len(members) >= overlay.MIN_SCENES)

    def moves(self, members: Sequence[int], pool: overlay.Pooled) -> Sequence[float]:
        """What of each clip moves as in the others, title cards aside: that these share their lettering says nothing of
        the rest. pool: of all of them."""
        titled = {i for i in members if (self._rows[i].get("card") or 0.0) > cards.CARD}
        if not titled:
            return pool.moves
        scenes = [i for i in members if i not in titled]
        found = self.pool(scenes) if len(scenes) >= overlay.MIN_SCENES else None
        mine = {} if found is None or math.isnan(found.score) else dict(zip(scenes, found.moves))
        return [mine.get(i, -math.inf) for i in members]

    def pool(self, members: Sequence[int]) -> overlay.Pooled:
        rows = [self._rows[i] for i in members]
        if self._pools is None:
            return overlay.pool([self._evidence(row) for row in rows])
        key = keys.pool([row["scores_key"] for row in rows])
        if key not in self._pools:
            self._pools[key] = overlay.pool([self._evidence(row) for row in rows])
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


def _smoothed(marks: np.ndarray, sources: Sequence[Any]) -> np.ndarray:
    """Looks of clips beside those of the same source: a mark is on all pieces of a shot, a mistake on few."""
    members: dict[Any, list[int]] = {}
    for i in np.flatnonzero(np.isfinite(marks)).tolist():
        members.setdefault(sources[i], []).append(i)
    out = marks.copy()
    for mine in members.values():
        out[mine] = OWN * marks[mine] + (1 - OWN) * marks[mine].min()
    return out


def _alone(row: Mapping[str, Any], look: float, moving: float, limit: float) -> tuple[float, Any]:
    """(log-odds, box) of a clip by its own looks alone; NaN where it is unknown."""
    first, both = look - SINGLE, _both(row, look)
    stays, moves = first if both is None else both, moving - (SUREST if _is_drawn(row) else SURE)
    odds = max(stays, moves)
    if odds > limit:
        return odds, row.get("moving_box" if stays < moves else "mark_box")
    doubted = max(odds + DOUBT, first, moving - SURE)  # the first look alone, or the usual SURE, would convict
    return (math.nan if doubted > limit else odds), None


def _is_drawn(row: Mapping[str, Any]) -> bool:
    return (row.get("drawn") or 0.0) > drawn.DRAWN


def _both(row: Mapping[str, Any], first: float = -math.inf) -> float | None:
    """Log-odds by both looks, the first that for marks or for large words; None without a second."""
    if (second := row.get("second_mark")) is None:
        return None
    title = row.get("title_mark")
    words = -math.inf if title is None else title - second_look.LARGER
    return float(second + min(max(first, words), FIRST) - BOTH[_is_drawn(row)])


def _logit(share: float) -> float:
    return math.log(share / (1 - share)) if 0 < share < 1 else math.copysign(math.inf, share - 0.5)
