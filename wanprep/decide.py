"""The deciding half of all stages: from measured rows and the pipeline to every source, clip and sample in one state.

Pure and whole-table: no file is opened here, nothing depends on the order of rows, and all of it is recomputed after
every change. So a changed threshold decodes nothing, and the tables always agree with the pipeline that is stored
beside them.

States. source: ok | rejected | failed | pending | gone. clip: keep | rejected | pending. sample: ok | rejected |
duplicate; cache_state of an ok one: cached | pending | failed. A clip that is kept has a reason only when its caption
was rejected: its samples are rejected until it has another one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from wanprep import by_hand, keyed, keys, originals
from wanprep.bulk import no_collection
from wanprep.captioners import several
from wanprep.captioners.agreement import flag_captions
from wanprep.captioners.choose import damaged
from wanprep.captioners.files import Chosen
from wanprep.claims import claims_of
from wanprep.clips import decide_clips, divided
from wanprep.events import anchors, attach
from wanprep.frames import frame_of, framed, replaced, rows_of, types_of
from wanprep.joins import decide_samples
from wanprep.measured import Measured, Rows
from wanprep.memory import of_clips
from wanprep.pipeline import Pipeline
from wanprep.schema import TABLES
from wanprep.stages import caption, looks, repeats
from wanprep.stages.cache import Encoder
from wanprep.stages.filter import share_warnings
from wanprep.stages.judge import Pools
from wanprep.stages.judge import judge as judge_rows
from wanprep.stages.scored import CLIP, LOOKED, parsed
from wanprep.stages.trained import sizes
from wanprep.stages.verdicts import Judged

Row = dict[str, Any]
MIN_FOR_WARNING = 5  # clips; of fewer a share says nothing
_OF_SIGNALS = ("key", "outcome", "reason", "detail", "kind", "truncated")
_CLIPS = types_of(TABLES["clips"])
_JUDGED, _CAPTIONED = (
    {name: _CLIPS[name] for name in names.split()}
    for names in (
        "clip_id state reasons unknown",
        "clip_id caption_key caption caption_origin provisional caption_flags more_captions reasons",
    )
)


@dataclass(frozen=True, kw_only=True)
class Decided:
    sources: list[Row]
    clips: pl.DataFrame
    samples: pl.DataFrame
    chosen: dict[str, Chosen]  # clip_id -> its caption
    orphaned: list[Row]  # human decisions whose clip is no more
    warnings: list[str]  # filters that reject suspiciously much
    pools: list[Row]  # rows of pooled overlay evidence that were not known yet
    matches: list[Row]  # rows of compared clips that were not known yet

    @cached_property
    def clip_rows(self) -> list[Row]:
        """`clips` row by row, for who looks at each; without what is long and seldom asked for."""
        return rows_of(self.clips.drop("scores", "unknown", "crop"))


@no_collection()
def decide(measured: Measured, pipeline: Pipeline, encoder: Encoder | None = None) -> Decided:
    """All decisions. encoder: names the latents and embeddings that are wanted; None when its weights are not on this
    machine (then no sample is cached, and none is lost)."""
    sources = decide_sources(measured)
    clips = decide_clips(sources, measured, pipeline)
    pools, matches = of_clips(measured.pools, measured.matches)
    clips, warnings = judge(clips, measured, pipeline, pools, matches)
    clips, chosen, orphaned = give_captions(clips, measured, pipeline)
    samples = decide_samples(clips, measured, pipeline, encoder)
    clips = clips.select(*_CLIPS)
    if measured.agreement:
        rows = rows_of(clips)
        flag_captions(rows, samples.to_dicts(), measured.agreement, pipeline)
        clips = frame_of(rows, _CLIPS)
    return Decided(
        sources=sources,
        clips=clips,
        samples=samples,
        chosen=chosen,
        orphaned=orphaned,
        warnings=warnings,
        pools=pools.fresh(),
        matches=matches.fresh(),
    )


def decide_sources(measured: Measured) -> list[Row]:
    """State of each listed file. One of several files with the same bytes stands for all of them: the one that did so
    before, as long as it is there, else the first."""
    files, signals = rows_by_key(measured.files), rows_by_key(rows_of(measured.signals.select(_OF_SIGNALS)))
    first: dict[str, Row] = {}
    decided = []
    for listed, stood_for in originals.in_turn(measured.sources, files):
        file = files.get(listed["file_key"])
        known = {"source_id": file["source_id"] if file else None, "original_of": stood_for}
        row = {**listed, **known, "kind": None, "reason": "", "detail": "", "duplicate_of": None}
        if stood_for:  # also of a file that is to be read again
            first.setdefault(stood_for, row)
        if listed["state"] == "gone":
            row |= {"reason": "file_missing", "detail": "was here in an earlier run; its clips are kept out"}
        else:
            row |= _measured_state(file) or _identity_state(row, first) or _signals_state(row, signals)
        decided.append(row)
    originals.tell_moved(decided)
    return sorted(decided, key=lambda row: (row["root"], row["path"]))


def rows_by_key(rows: Rows) -> dict[str, Mapping[str, Any]]:
    return {row["key"]: row for row in rows}


def _measured_state(row: Mapping[str, Any] | None) -> Row | None:
    if row is None:
        return {"state": "pending"}
    if row["outcome"] == "done":
        return None
    return {"state": row["outcome"], "reason": row["reason"], "detail": row["detail"]}


def _identity_state(row: Row, first: dict[str, Row]) -> Row | None:
    primary = first.setdefault(row["source_id"], row)
    if primary is row:  # a path says nothing: two folders may both hold an a.mp4
        return None
    elsewhere = "" if primary["root"] == row["root"] else " in another folder"
    detail = f"has the same bytes as {primary['path']}{elsewhere}"
    return {"state": "rejected", "reason": "duplicate_source", "detail": detail, "duplicate_of": primary["path"]}


def _signals_state(row: Row, signals: Mapping[str, Mapping[str, Any]]) -> Row:
    measured = signals.get(keys.signals(row["source_id"]))
    state = _measured_state(measured)
    if state is not None:
        return state
    assert measured
    told = {"kind": measured["kind"], "detail": measured["truncated"]}
    return {"state": "ok", "original_of": row["source_id"], **told}


def judged_clips(measured: Measured, pipeline: Pipeline) -> list[Row]:
    """Every clip as the filters leave it: without captions, and no samples are made."""
    clips = decide_clips(decide_sources(measured), measured, pipeline)
    clips, _ = judge(clips, measured, pipeline, *of_clips(measured.pools, measured.matches))
    return rows_of(clips.select(*_CLIPS))


def planned_frames(measured: Measured, pipeline: Pipeline) -> dict[str, list[int]]:
    """clip_id -> the source frame (counted from 0) that each slot of its plan takes."""
    frames = {}
    found = divided(decide_sources(measured), measured, pipeline).select("source_id", "spans", "plans")
    for source_id, spans, plans in found.iter_rows():
        for span, plan in zip(json.loads(spans), json.loads(plans or "[]")):
            frames[keys.clip(source_id, span["start_pts"], span["end_pts"])] = plan["frames"]
    return frames


def judge(
    clips: pl.DataFrame,
    measured: Measured,
    pipeline: Pipeline,
    pools: Pools | None = None,
    matches: repeats.Matches | None = None,
) -> tuple[pl.DataFrame, list[str]]:
    """(clips with state, reasons, unknown and scores of every one that has been scored, and scores_key; warnings).

    pools, matches: as in stages.judge.
    """
    due = (pl.col("state") == "pending") & pl.col("n_frames").is_not_null()
    clips = clips.with_columns(scores_key=pl.when(due).then(pl.lit(keyed.scores(clips))))
    rows = _scored(clips.filter(due), measured, pipeline)
    claims, trained = claims_of(clips, measured, pipeline), sizes(pipeline.views)
    judged = judge_rows(rows, pipeline.filter, pools, matches, measured.evidence, claims, trained)
    rejected = judged.names("reject")
    warnings = share_warnings(rejected, pipeline.filter) if len(rejected) >= MIN_FOR_WARNING else []
    said = {"clip_id": judged.clip_ids, **_said(judged, rejected, rows)}
    told = framed(said, _JUDGED).with_columns(scores=judged.texts())
    return replaced(clips, told, "clip_id"), warnings


def _said(judged: Judged, rejected: Sequence[list[str]], rows: pl.DataFrame) -> dict[str, Sequence[Any]]:
    """Of each clip what the filters and people make of it. rejected: the filters that reject it; rows: by these it was
    judged."""
    reasons = list(rejected)
    by_person = dict(rows.drop_nulls("by_hand").select("clip_id", "by_hand").iter_rows())
    for k, clip_id in enumerate(judged.clip_ids) if by_person else ():
        if word := by_person.get(clip_id):  # wins over every filter; what they say stands in the scores
            reasons[k] = [by_hand.REASON, *reasons[k]] if word == by_hand.DROP else []
    states = ["rejected" if names else "keep" for names in reasons]
    return {"state": states, "reasons": reasons, "unknown": [sorted(names) for names in judged.names("unknown")]}


def _scored(due: pl.DataFrame, measured: Measured, pipeline: Pipeline) -> pl.DataFrame:
    """What judging needs of those of these clips that have been scored."""
    about = pl.concat([due.select(*CLIP, "scores_key"), _looked(due, measured, pipeline)], how="horizontal")
    done = measured.scores.filter(pl.col("outcome") == "done").drop("outcome", "content")
    found = about.join(done, left_on="scores_key", right_on="key", maintain_order="left")
    return pl.concat([found.drop("scores"), parsed(found["scores"])], how="horizontal")


def _looked(clips: pl.DataFrame, measured: Measured, pipeline: Pipeline) -> pl.DataFrame:
    """What an image-text model made of these clips."""
    looked = {row["about"]: row for row in measured.looks if row["outcome"] == "done"}  # of several the newest
    if not looked:
        return frame_of([{}] * len(clips), LOOKED)
    spans = rows_of(clips.select("source_id", "start_pts", "end_pts", "crop"))
    rows = (looked.get(looks.about(clip, pipeline.filter.looks)) for clip in spans)
    return frame_of(
        [{**json.loads(row["scores"]), "embedding": row["embedding"]} if row else {} for row in rows], LOOKED
    )


def give_captions(
    clips: pl.DataFrame, measured: Measured, pipeline: Pipeline
) -> tuple[pl.DataFrame, dict[str, Chosen], list[Row]]:
    """(clips with the caption of every kept one that has one; the captions by clip; what people wrote or decided of
    clips that are no more)."""
    wanted, events = measured.wanted_captions, measured.events
    every = anchors(clips, events)
    typed = (event for event in events if several.number_of(event["kind"]) is not None)
    attached, orphaned = attach(typed, every)
    lost = [*orphaned, *by_hand.verdicts(events, every)[1]]
    if not (measured.captions or attached or wanted):  # nothing was captioned yet
        return clips, {}, lost
    kept = rows_of(clips.filter(pl.col("state") == "keep").select("clip_id", "source_id", "start_pts", "end_pts"))
    chosen = caption.decide(kept, measured.captions, attached, pipeline.caption, wanted=wanted or None)
    latest, unread = rows_by_key(measured.captions), damaged(attached)
    told = [_captioned(row["clip_id"], chosen, wanted.get(row["clip_id"], ""), unread, latest) for row in kept]
    return replaced(clips, frame_of(told, _CAPTIONED), "clip_id"), chosen, lost


def _captioned(
    clip_id: str,
    chosen: Mapping[str, Chosen],
    wanted: str,
    unread: Mapping[str, str],
    latest: Mapping[str, Mapping[str, Any]],
) -> Row:
    """What the table `clips` says of the caption of a clip that is kept. wanted: its key, "" for none; latest: the
    captions, by key."""
    found: Row = {"clip_id": clip_id, "caption_key": wanted or None}
    choice = chosen.get(clip_id)
    if choice:
        flags, more = list(choice.flags), several.listed(choice.more)
        told = {"caption": choice.text, "caption_origin": choice.origin, "provisional": choice.provisional}
        found |= {**told, "caption_flags": flags, "more_captions": more}
    elif clip_id in unread:
        found |= {"caption_origin": "human", "reasons": [unread[clip_id].split(":")[0]]}
    elif wanted in latest and latest[wanted]["outcome"] == "rejected":
        # It stays kept, for a new caption mends it, but says why it is not used.
        found["reasons"] = [latest[wanted]["reason"]]
    return found
