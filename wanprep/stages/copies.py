"""The filter `duplicate`: of several clips of the same footage one stays. Pure.

What is the same is found by `stages.repeats`, which of them stays by `stages.precedence`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wanprep.bulk import columns
from wanprep.by_hand import KEEP
from wanprep.stages import precedence
from wanprep.stages.precedence import Claim, Order, Rival
from wanprep.stages.repeats import Known, Matches, Repeat, repeats
from wanprep.stages.verdicts import Column, info

if TYPE_CHECKING:
    from wanprep.stages.filter import Rule

ROUND = 6  # digits kept of a score
Row = Mapping[str, Any]
Claims = Callable[[Sequence[str]], Mapping[str, Claim]]  # of these clips, by clip_id


def nothing_claimed(clip_ids: Sequence[str]) -> Mapping[str, Claim]:
    return dict.fromkeys(clip_ids, Claim())


def repeated(
    rows: Sequence[Row], bad: Sequence[bool], rule: Rule, matches: Matches | None, claims: Claims = nothing_claimed
) -> list[Column]:
    """The filter `duplicate`, what a repeat repeats, and why that one stays. rows: in order of clip_id; bad: clips that
    a filter rejects.

    Only clips that are not bad stand for their repeats: a blurred copy never replaces a good one. A clip that only its
    looks speak against still does: its repeats look the same. claims: asked for clips that might show the same alone.
    """
    (signed,) = columns(rows, ("signature",))
    stills = one_picture(rows)
    values: list[float | None] = [None] * len(rows)
    said = [""] * len(rows)
    like: list[str | None] = [None] * len(rows)
    reasons: list[str | None] = [None] * len(rows)
    for still in (False, True):
        good = [
            i for i, signature in enumerate(signed)
            if signature is not None and not bad[i] and stills[i] == still
        ]  # fmt: skip
        for i in good:
            said[i] = "off" if not rule.enabled else "keep" if signed[i] else "unknown"
        if not rule.enabled:
            continue
        rivals: dict[int, Rival] = {}
        found = _found([rows[i] for i in good], rule.threshold, matches, claims, rivals)
        for k, repeat in found.items():
            i, stays = good[k], rows[good[repeat.of]]
            values[i], said[i] = round(repeat.distance, ROUND), "reject"
            like[i] = _span(stays, repeat.mirrored)
            reasons[i] = _why(rivals[repeat.of], rivals[k], repeat)
    return [
        Column(name="duplicate", values=values, said=said, threshold=rule.threshold),
        info("duplicate_of", like),
        info("duplicate_why", reasons),
    ]


def one_picture(rows: Sequence[Row]) -> list[bool]:
    """Which clips are a single picture, be it in an image file or in a video."""
    kinds, first, end = columns(rows, ("kind", "start_frame", "end_frame"))
    return [k == "image" or (b is not None and b - a == 1) for k, a, b in zip(kinds, first, end)]


def _found(
    rows: Sequence[Row], threshold: float, matches: Matches | None, claims: Claims, rivals: dict[int, Rival]
) -> dict[int, Repeat]:
    """By place in `rows`; fills in `rivals`, those that might show the same."""

    def rank(groups: Sequence[Sequence[int]]) -> Order:
        near = [k for group in groups for k in group]
        claimed = claims([rows[k]["clip_id"] for k in near]) if near else {}
        rivals.update((k, rival_of(rows[k], claimed[rows[k]["clip_id"]])) for k in near)
        return precedence.ordered(groups, rivals)

    known = None if matches is None else Known(matches, [row["scores_key"] for row in rows])
    return repeats([row["signature"] for row in rows], threshold, known, rank)


def rival_of(row: Row, claim: Claim) -> Rival:
    """row: as `filter.judge` takes them."""
    start, end = row.get("start_s"), row.get("end_s")
    return Rival(
        claim=claim,
        kept=row.get("by_hand") == KEEP,
        quantiser=row.get("quantiser"),
        coded=row.get("coded"),
        sharpness=row.get("sharpness"),
        seconds=None if start is None or end is None else end - start,
        place=(row.get("path") or "", start or 0.0, row["clip_id"]),
    )


def _why(stays: Rival, goes: Rival, repeat: Repeat) -> str:
    if repeat.part and stays.seconds and goes.seconds:
        return f"this is a part of it, {goes.seconds:.2f} of {stays.seconds:.2f} s"
    return precedence.why(stays, goes)


def _span(row: Row, mirrored: bool) -> str:
    text = row["clip_id"]
    if row.get("start_s") is not None:
        text += f" ({row['path']} {row['start_s']:.2f}-{row['end_s']:.2f} s)"
    return text + (", mirrored" if mirrored else "")
