"""The filter `duplicate`: of several clips of the same footage one stays. Pure.

What is the same is found by `stages.repeats`, which of them stays by `stages.precedence`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from wanprep.by_hand import KEEP
from wanprep.stages import precedence
from wanprep.stages.precedence import Claim, Order, Rival
from wanprep.stages.repeats import Known, Matches, Repeat, repeats
from wanprep.stages.verdicts import SAID, Column, info

if TYPE_CHECKING:
    from wanprep.stages.filter import Rule

ROUND = 6  # digits kept of a score
Row = Mapping[str, Any]
Claims = Callable[[Sequence[str]], Mapping[str, Claim]]  # of these clips, by clip_id
_RIVAL = ("clip_id", "path", "start_s", "end_s", "by_hand", "quantiser", "coded", "sharpness")


def nothing_claimed(clip_ids: Sequence[str]) -> Mapping[str, Claim]:
    return dict.fromkeys(clip_ids, Claim())


def repeated(
    rows: pl.DataFrame, bad: np.ndarray, rule: Rule, matches: Matches | None, claims: Claims = nothing_claimed
) -> list[Column]:
    """The filter `duplicate`, what a repeat repeats, and why that one stays. rows: `scored`, in order of clip_id; bad:
    bool[N], clips that a filter rejects.

    Only clips that are not bad stand for their repeats: a blurred copy never replaces a good one. A clip that only its
    looks speak against still does: its repeats look the same. claims: asked for clips that might show the same alone.
    """
    stills, signed = one_picture(rows), rows["signature"].is_not_null().to_numpy()
    flat = (rows["signature"].bin.size() == 0).fill_null(False).to_numpy()
    values = np.full(len(rows), np.nan)
    said = np.full(len(rows), SAID.index(""))
    like: list[str | None] = [None] * len(rows)
    reasons: list[str | None] = [None] * len(rows)
    for still in (False, True):
        good = np.flatnonzero(signed & ~bad & (stills == still))
        said[good] = np.where(flat[good], SAID.index("unknown"), SAID.index("keep"))
        if not rule.enabled:
            said[good] = SAID.index("off")
            continue
        rivals: dict[int, Rival] = {}
        mine = rows[good]
        spans = mine.select("clip_id", "path", "start_s", "end_s")
        for k, repeat in _found(mine, rule.threshold, matches, claims, rivals).items():
            i = good[k]
            values[i], said[i] = round(repeat.distance, ROUND), SAID.index("reject")
            like[i] = _span(spans.row(repeat.of, named=True), repeat.mirrored)
            reasons[i] = _why(rivals[repeat.of], rivals[k], repeat)
    return [
        Column(name="duplicate", values=pl.Series(values).fill_nan(None), said=said, threshold=rule.threshold),
        info("duplicate_of", pl.Series(like, dtype=pl.String)),
        info("duplicate_why", pl.Series(reasons, dtype=pl.String)),
    ]


def one_picture(rows: pl.DataFrame) -> np.ndarray:
    """bool[N]: which clips are a single picture, be it in an image file or in a video."""
    single = (pl.col("kind") == "image").fill_null(False) | (pl.col("end_frame") - pl.col("start_frame") == 1)
    return rows.select(single.fill_null(False)).to_series().to_numpy()


def _found(
    rows: pl.DataFrame, threshold: float, matches: Matches | None, claims: Claims, rivals: dict[int, Rival]
) -> dict[int, Repeat]:
    """By place in `rows`; fills in `rivals`, those that might show the same."""

    def rank(groups: Sequence[Sequence[int]]) -> Order:
        near = [k for group in groups for k in group]
        about = rows.select(_RIVAL)[near].to_dicts()
        claimed = claims([row["clip_id"] for row in about]) if near else {}
        rivals.update((k, rival_of(row, claimed[row["clip_id"]])) for k, row in zip(near, about))
        return precedence.ordered(groups, rivals)

    known = None if matches is None else Known(matches, rows["scores_key"].to_list())
    return repeats(rows["signature"].to_list(), threshold, known, rank)


def rival_of(row: Row, claim: Claim) -> Rival:
    """row: one of a table as `scored` makes it."""
    start, end = row["start_s"], row["end_s"]
    return Rival(
        claim=claim,
        kept=row["by_hand"] == KEEP,
        quantiser=row["quantiser"],
        coded=row["coded"],
        sharpness=row["sharpness"],
        seconds=None if start is None or end is None else end - start,
        place=(row["path"] or "", start or 0.0, row["clip_id"]),
    )


def _why(stays: Rival, goes: Rival, repeat: Repeat) -> str:
    if repeat.part and stays.seconds and goes.seconds:
        return f"this is a part of it, {goes.seconds:.2f} of {stays.seconds:.2f} s"
    return precedence.why(stays, goes)


def _span(row: Row, mirrored: bool) -> str:
    text: str = row["clip_id"]
    if row["start_s"] is not None:
        text += f" ({row['path']} {row['start_s']:.2f}-{row['end_s']:.2f} s)"
    return text + (", mirrored" if mirrored else "")
