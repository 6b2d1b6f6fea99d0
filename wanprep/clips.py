"""Every shot of every good source as a clip, before quality is judged: part of deciding (`wanprep.decide`), pure."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from wanprep import by_hand, keys
from wanprep.pipeline import Pipeline

if TYPE_CHECKING:
    from wanprep.decide import Measured

Row = dict[str, Any]
_FRAMES = re.compile(r', "frames": \[[^\]]*\]')
UNCAPTIONED = ("caption", "caption_origin", "provisional", "caption_key", "more_captions")
UNJUDGED = {"scores": "{}", "by_hand": None, **dict.fromkeys(UNCAPTIONED)}


def rows_by_key(rows: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {row["key"]: row for row in rows}


def decide_clips(sources: Sequence[Row], measured: Measured, pipeline: Pipeline) -> list[Row]:
    """Every shot of every good source as a clip, before quality is judged; with what a person said of it."""
    clips = [clip for found in shots_of(sources, measured, pipeline) for clip in _clips(*found)]
    said, _ = by_hand.verdicts(measured.events, clips)
    for clip in clips if said else ():
        clip["by_hand"] = said.get(clip["clip_id"])
        if clip["by_hand"] == by_hand.KEEP:  # over what split says of it, too: it is scored like any other
            clip |= {"state": "pending", "reasons": []}
    return sorted(clips, key=itemgetter("path", "start_pts", "clip_id"))


def shots_of(
    sources: Iterable[Row], measured: Measured, pipeline: Pipeline, *, frames: bool = False
) -> Iterator[tuple[Row, Any, Any, Any]]:
    """(source, its signals, spans of its shots, their plans or None) of every good source. frames: with each plan's
    list of frames, which is most of its text."""
    signals, shots, plans = (rows_by_key(rows) for rows in (measured.signals, measured.shots, measured.plans))
    found, spans, planned = [], [], []
    rate, key_of = pipeline.model.fps, keys.shots_under(pipeline.split)
    for source in sources:
        if source["state"] != "ok":
            continue
        signal = signals[keys.signals(source["source_id"])]
        shots_key = key_of(signal["digest"])
        shot, plan = shots.get(shots_key), plans.get(keys.plans(shots_key, rate))
        if shot and shot["outcome"] == "done":
            found.append((source, signal))
            spans.append(shot["spans"])
            planned.append(plan["plans"] if plan and plan["outcome"] == "done" else "null")
    text = ",".join(planned)  # parsed together: a call for each takes longer than the parsing
    text = text if frames else _FRAMES.sub("", text)
    for (source, signal), mine, its in zip(found, json.loads(f"[{','.join(spans)}]"), json.loads(f"[{text}]")):
        yield source, signal, mine, its


def _clips(source: Row, signal: Mapping[str, Any], spans: Sequence[Row], plans: Sequence[Row] | None) -> Iterator[Row]:
    numerator, denominator = _ratio(signal["time_base"])
    common = {name: source[name] for name in ("source_id", "path", "group", "kind")}
    common |= {"signals_key": signal["key"], "time_base": signal["time_base"], "truncated": signal["truncated"]}
    common |= UNJUDGED
    for span, plan in zip(spans, plans or [{"n_frames": None, "duplicated": None}] * len(spans)):
        if plans and source["kind"] == "image":  # a still has one frame, whatever duration its file format gives it
            plan = {"n_frames": 1, "duplicated": 0}
        start, end, good = span["start_pts"], span["end_pts"], span["state"] == "ok"
        yield {
            **common,
            "clip_id": keys.clip(source["source_id"], start, end),
            "start_pts": start,
            "end_pts": end,
            "start_frame": span["start_frame"],
            "end_frame": span["end_frame"],
            "start_s": (start - signal["first_pts"]) * numerator / denominator,
            "end_s": (end - signal["first_pts"]) * numerator / denominator,
            "crop": span["crop"],
            "width": span["crop"][2],
            "height": span["crop"][3],
            "n_frames": plan["n_frames"],
            "duplicated": plan["duplicated"],
            "state": "pending" if good else "rejected",
            "reasons": [] if good else [span["reason"]],
            "unknown": [],
            "caption_flags": [],
        }


@functools.lru_cache(maxsize=1024)
def _ratio(time_base: str) -> tuple[int, int]:
    return Fraction(time_base).as_integer_ratio()
