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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from wanprep import by_hand, keys, originals
from wanprep.bulk import no_collection
from wanprep.captioners import several
from wanprep.captioners.agreement import flag_captions
from wanprep.captioners.choose import damaged
from wanprep.captioners.files import Chosen
from wanprep.claims import claims_of
from wanprep.clips import decide_clips, rows_by_key, shots_of
from wanprep.events import attach
from wanprep.frames import frame_of
from wanprep.joins import decide_samples, scores_key
from wanprep.memory import of_clips
from wanprep.pipeline import Pipeline
from wanprep.stages import caption, looks, repeats
from wanprep.stages.cache import Encoder
from wanprep.stages.filter import share_warnings
from wanprep.stages.judge import Pools
from wanprep.stages.judge import judge as judge_rows
from wanprep.stages.overlays import Apart
from wanprep.stages.scored import CLIP, LOOKED, parsed, stored
from wanprep.stages.trained import sizes

Row = dict[str, Any]
MIN_FOR_WARNING = 5  # clips; of fewer a share says nothing
Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Latest row a key of every measured table, and the listing of sources. scores: as `stored` makes them, for there
    is a row a clip and each is large."""

    sources: Rows = ()
    files: Rows = ()
    signals: Rows = ()
    shots: Rows = ()
    plans: Rows = ()
    scores: pl.DataFrame = field(default_factory=stored)
    evidence: Apart = dict  # overlay maps by key of scores, where these lack them
    pools: Rows = ()  # key, value
    matches: Rows = ()  # key, value
    artefacts: Rows = ()
    captions: Rows = ()
    events: Rows = ()
    looks: Rows = ()
    agreement: Rows = ()
    wanted_captions: Mapping[str, str] = field(default_factory=dict)  # clip_id -> key


@dataclass(frozen=True, kw_only=True)
class Decided:
    sources: list[Row]
    clips: list[Row]
    samples: pl.DataFrame
    chosen: dict[str, Chosen]  # clip_id -> its caption
    orphaned: list[Row]  # human decisions whose clip is no more
    warnings: list[str]  # filters that reject suspiciously much
    pools: list[Row]  # rows of pooled overlay evidence that were not known yet
    matches: list[Row]  # rows of compared clips that were not known yet


@no_collection()
def decide(measured: Measured, pipeline: Pipeline, encoder: Encoder | None = None) -> Decided:
    """All decisions. encoder: names the latents and embeddings that are wanted; None when its weights are not on this
    machine (then no sample is cached, and none is lost)."""
    sources = decide_sources(measured)
    clips = decide_clips(sources, measured, pipeline)
    pools, matches = of_clips(measured.pools, measured.matches)
    warnings = judge(clips, measured, pipeline, pools, matches)
    chosen, orphaned = give_captions(clips, measured, pipeline)
    samples = decide_samples(clips, measured, pipeline, encoder)
    if measured.agreement:
        flag_captions(clips, samples.to_dicts(), measured.agreement, pipeline)
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
    files, signals = rows_by_key(measured.files), rows_by_key(measured.signals)
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
    judge(clips, measured, pipeline, *of_clips(measured.pools, measured.matches))
    return clips


def planned_frames(measured: Measured, pipeline: Pipeline) -> dict[str, list[int]]:
    """clip_id -> the source frame (counted from 0) that each slot of its plan takes."""
    frames = {}
    for source, _, spans, plans in shots_of(decide_sources(measured), measured, pipeline, frames=True):
        for span, plan in zip(spans, plans or ()):
            frames[keys.clip(source["source_id"], span["start_pts"], span["end_pts"])] = plan["frames"]
    return frames


def judge(
    clips: list[Row],
    measured: Measured,
    pipeline: Pipeline,
    pools: Pools | None = None,
    matches: repeats.Matches | None = None,
) -> list[str]:
    """Fill in state, reasons, unknown and scores of every clip that has been scored (in place); returns warnings.

    pools, matches: as in stages.judge.
    """
    by_id = {clip["clip_id"]: clip for clip in clips}
    claims = claims_of(by_id, measured, pipeline)
    rows = _scored(clips, measured, pipeline)
    trained = sizes(pipeline.views)
    judged = judge_rows(rows, pipeline.filter, pools, matches, measured.evidence, claims, trained)
    rejected = judged.names("reject")
    for clip_id, reasons, unknown, text in zip(judged.clip_ids, rejected, judged.names("unknown"), judged.texts()):
        clip = by_id[clip_id]
        if clip["by_hand"]:  # wins over every filter; what they say stands in the scores
            reasons = [by_hand.REASON, *reasons] if clip["by_hand"] == by_hand.DROP else []
        clip["state"], clip["reasons"] = "rejected" if reasons else "keep", reasons
        clip["unknown"], clip["scores"] = sorted(unknown), text
    return share_warnings(rejected, pipeline.filter) if len(rejected) >= MIN_FOR_WARNING else []


def _scored(clips: Iterable[Row], measured: Measured, pipeline: Pipeline) -> pl.DataFrame:
    """What judging needs of the clips that have been scored."""
    due = [clip for clip in clips if clip["state"] == "pending" and clip["n_frames"] is not None]
    keys_of_due = pl.Series("scores_key", [scores_key(clip) for clip in due], dtype=pl.String)
    about = pl.concat([frame_of(due, CLIP), keys_of_due.to_frame(), _looked(due, measured, pipeline)], how="horizontal")
    done = measured.scores.filter(pl.col("outcome") == "done").drop("outcome", "content")
    found = about.join(done, left_on="scores_key", right_on="key", maintain_order="left")
    return pl.concat([found.drop("scores"), parsed(found["scores"])], how="horizontal")


def _looked(clips: Sequence[Row], measured: Measured, pipeline: Pipeline) -> pl.DataFrame:
    """What an image-text model made of these clips."""
    looked = {row["about"]: row for row in measured.looks if row["outcome"] == "done"}  # of several the newest
    if not looked:
        return frame_of([{}] * len(clips), LOOKED)
    rows = (looked.get(looks.about(clip, pipeline.filter.looks)) for clip in clips)
    return frame_of(
        [{**json.loads(row["scores"]), "embedding": row["embedding"]} if row else {} for row in rows], LOOKED
    )


def give_captions(clips: list[Row], measured: Measured, pipeline: Pipeline) -> tuple[dict[str, Chosen], list[Row]]:
    """Fill in the caption of every kept clip that has one (in place); also returns the captions by clip, and what
    people wrote or decided of clips that are no more."""
    kept = [clip for clip in clips if clip["state"] == "keep"]
    wanted = measured.wanted_captions
    typed = (event for event in measured.events if several.number_of(event["kind"]) is not None)
    events, orphaned = attach(typed, clips)
    chosen = caption.decide(kept, measured.captions, events, pipeline.caption, wanted=wanted or None)
    unread = damaged(events)
    for clip in kept:
        clip["caption_key"] = wanted.get(clip["clip_id"])
        choice: Chosen | None = chosen.get(clip["clip_id"])
        if choice:
            clip["caption"], clip["caption_origin"] = choice.text, choice.origin
            clip["provisional"], clip["caption_flags"] = choice.provisional, list(choice.flags)
            clip["more_captions"] = several.listed(choice.more)
        elif clip["clip_id"] in unread:
            clip["caption_origin"], clip["reasons"] = "human", [unread[clip["clip_id"]].split(":")[0]]
    _note_refused([clip for clip in kept if clip["caption"] is None and not clip["reasons"]], measured.captions)
    return chosen, [*orphaned, *by_hand.verdicts(measured.events, clips)[1]]


def _note_refused(clips: Sequence[Row], captions: Rows) -> None:
    """A kept clip whose caption was rejected stays kept, for a new caption mends it, but says why it is not used."""
    if clips:
        latest = rows_by_key(captions)
        for clip in clips:
            row = latest.get(clip["caption_key"])
            if row and row["outcome"] == "rejected":
                clip["reasons"] = [row["reason"]]
