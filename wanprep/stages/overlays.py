"""What is known of an overlay on each clip: the clip's own look, and what the scenes of its source have in common.

Two kinds of evidence as log-odds, added: the agreement of the scenes of a source or group (signals/overlay.py), and
what the network makes of the places that look drawn in all of them (signals/marks.py). A source of three scenes or
more is known; a clip that looks drawn on very much is convicted whatever the others look like. A single clip is judged
by its own look alone, and is `unknown`, never clean, where that is not decided. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np

from wanprep import keys
from wanprep.signals import overlay

# Log-odds, chosen on half of the benchmark's sources (tests/benchmarks/bench_quality.py).
AGREEMENT = 20.0  # of full agreement between scenes
EVEN, LOOK = -1.8, 1.5  # what the scenes' common look must exceed to speak for a mark, and what its log-odds count
OWN = 0.45  # share of a clip's own look in its log-odds beside the least of the clips of its source
POOLED, SINGLE = 0.7, 1.4  # evidence that is worth even odds
STRONG = 4.5  # own look that is worth even odds where the other scenes do not bear it out
DOUBT = 1.5  # below even odds by less than this, a single clip is unknown


def overlays(
    rows: Sequence[Mapping[str, Any]], threshold: float, pools: MutableMapping[str, overlay.Pooled] | None = None
) -> tuple[np.ndarray, list[Any]]:
    """Confidence 0..1 that each clip bears an overlay (NaN = unknown), and its box in fractions of the frame if so.

    rows: source_id, group, evidence (bytes), mark (log-odds or None), mark_box; scores_key where `pools` is given,
    the memory of pooled evidence by keys.pool. threshold: from where on a clip is called marked.

    A source with too few scenes falls back on its group, which may convict but not acquit (a mark on one source of
    many would be outvoted), and then on each clip alone.
    """
    logits = np.full(len(rows), math.nan)
    boxes: list[Any] = [None] * len(rows)
    evidence = [row.get("evidence") or b"" for row in rows]
    marks = np.array([math.nan if row.get("mark") is None else row["mark"] for row in rows], np.float64)
    limit = _logit(threshold)

    def pooled(members: list[int]) -> overlay.Pooled:
        if pools is None:
            return overlay.pool([evidence[i] for i in members])
        key = keys.pool([rows[i]["scores_key"] for i in members])
        if key not in pools:
            pools[key] = overlay.pool([evidence[i] for i in members])
        return pools[key]

    def settle(owners: Sequence[Any], open_clips: np.ndarray, may_acquit: bool) -> None:
        together: dict[tuple[Any, int], list[int]] = {}
        for i, owner in enumerate(owners):
            if evidence[i]:
                together.setdefault((owner, overlay.map_rows(evidence[i])), []).append(i)
        for members in together.values():
            if len(members) < overlay.MIN_SCENES or not open_clips[members].any():
                continue
            found = pooled(members)
            if math.isnan(found.score):
                continue
            looks = np.nan_to_num(LOOK * (np.array(found.looks) - EVEN))  # 0: where the network saw nothing
            if not may_acquit:
                looks = np.minimum(looks, looks.mean())  # of a group only what all its sources share counts
            every = np.fmax(AGREEMENT * np.array(found.values) + looks - POOLED, marks[members] - STRONG)
            for i, odds in zip(members, every.tolist()):
                if open_clips[i] and (odds > limit or may_acquit):
                    logits[i] = odds
                    boxes[i] = (found.box or rows[i].get("mark_box")) if odds > limit else None

    settle([row["source_id"] for row in rows], np.ones(len(rows), bool), may_acquit=True)
    settle([row["group"] for row in rows], np.isnan(logits), may_acquit=False)
    looks = _smoothed(marks, [row["source_id"] for row in rows])
    for i in np.flatnonzero(np.isnan(logits) & np.isfinite(marks)).tolist():
        odds = looks[i] - SINGLE
        if not limit - DOUBT < odds <= limit:
            logits[i] = odds
            boxes[i] = rows[i].get("mark_box") if odds > limit else None
    return np.round(1 / (1 + np.exp(-np.clip(logits, -30, 30))), 6), boxes


def _smoothed(marks: np.ndarray, sources: Sequence[Any]) -> np.ndarray:
    """Looks of clips beside those of the same source: a mark is on all pieces of a shot, a mistake on few."""
    members: dict[Any, list[int]] = {}
    for i in np.flatnonzero(np.isfinite(marks)).tolist():
        members.setdefault(sources[i], []).append(i)
    out = marks.copy()
    for mine in members.values():
        out[mine] = OWN * marks[mine] + (1 - OWN) * marks[mine].min()
    return out


def _logit(share: float) -> float:
    return math.log(share / (1 - share)) if 0 < share < 1 else math.copysign(math.inf, share - 0.5)
