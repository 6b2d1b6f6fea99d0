"""The deciding half of all stages: from measured rows and the pipeline to every source, clip and sample in one state.

Pure and whole-table: no file is opened here, nothing depends on the order of rows, and all of it is recomputed after
every change. So a changed threshold decodes nothing, and the tables always agree with the pipeline that is stored
beside them.

States. source: ok | rejected | failed | pending | gone. clip: keep | rejected | pending. sample: ok | rejected |
duplicate; its cache_state: cached | pending | failed.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from wanprep import keys
from wanprep.bulk import no_collection
from wanprep.captioners import several
from wanprep.captioners.agreement import flag_captions
from wanprep.captioners.files import Chosen
from wanprep.events import attach
from wanprep.joins import JOINED, clip_infos, join_cache, join_media
from wanprep.pipeline import Pipeline
from wanprep.signals import overlay
from wanprep.stages import caption, colour, filter, looks
from wanprep.stages.bucket import names_a_side, samples_of
from wanprep.stages.cache import Encoder

Row = dict[str, Any]
MIN_FOR_WARNING = 5  # clips; of fewer a share says nothing
Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Latest row a key of every measured table, and the listing of sources."""

    sources: Rows = ()
    files: Rows = ()
    signals: Rows = ()
    shots: Rows = ()
    plans: Rows = ()
    scores: Rows = ()
    pools: Rows = ()  # key, value
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
    samples: list[Row]
    chosen: dict[str, Chosen]  # clip_id -> its caption
    orphaned: list[Row]  # human decisions whose clip is no more
    warnings: list[str]  # filters that reject suspiciously much
    pools: list[Row]  # rows of pooled overlay evidence that were not known yet


def decide(measured: Measured, pipeline: Pipeline, encoder: Encoder | None = None) -> Decided:
    """All decisions. encoder: names the latents and embeddings that are wanted; None when its weights are not on this
    machine (then no sample is cached, and none is lost)."""
    with no_collection():
        return _decide(measured, pipeline, encoder)


def _decide(measured: Measured, pipeline: Pipeline, encoder: Encoder | None) -> Decided:
    sources = decide_sources(measured)
    clips = decide_clips(sources, measured, pipeline)
    pools = {row["key"]: overlay.from_json(row["value"]) for row in measured.pools}
    known = set(pools)
    warnings = judge(clips, measured, pipeline, pools)
    chosen, orphaned = give_captions(clips, measured, pipeline)
    samples = decide_samples(clips, measured, pipeline, encoder)
    flag_captions(clips, samples, measured.agreement, pipeline)
    fresh = [{"key": key, "value": overlay.to_json(pool)} for key, pool in pools.items() if key not in known]
    return Decided(
        sources=sources,
        clips=clips,
        samples=samples,
        chosen=chosen,
        orphaned=orphaned,
        warnings=warnings,
        pools=fresh,
    )


def _by_key(rows: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {row["key"]: row for row in rows}


def decide_sources(measured: Measured) -> list[Row]:
    """State of each listed file. The first of several files with the same bytes stands for all of them."""
    files, signals = _by_key(measured.files), _by_key(measured.signals)
    first: dict[str, str] = {}
    decided = []
    for listed in sorted(measured.sources, key=lambda row: (row["state"] == "gone", row["root"], row["path"])):
        row = {**listed, "source_id": None, "kind": None, "reason": "", "detail": "", "duplicate_of": None}
        file = files.get(row["file_key"])
        row["source_id"] = file["source_id"] if file else None
        if listed["state"] == "gone":
            row |= {"reason": "file_missing", "detail": "was here in an earlier run; its clips are kept out"}
        else:
            row |= _measured_state(file) or _identity_state(row, first) or _signals_state(row, signals)
        decided.append(row)
    return sorted(decided, key=lambda row: (row["root"], row["path"]))


def _measured_state(row: Mapping[str, Any] | None) -> Row | None:
    if row is None:
        return {"state": "pending"}
    if row["outcome"] == "done":
        return None
    return {"state": row["outcome"], "reason": row["reason"], "detail": row["detail"]}


def _identity_state(row: Row, first: dict[str, str]) -> Row | None:
    primary = first.setdefault(row["source_id"], row["path"])
    if primary == row["path"]:
        return None
    detail = f"has the same bytes as {primary}"
    return {"state": "rejected", "reason": "duplicate_source", "detail": detail, "duplicate_of": primary}


def _signals_state(row: Row, signals: Mapping[str, Mapping[str, Any]]) -> Row:
    measured = signals.get(keys.signals(row["source_id"]))
    state = _measured_state(measured)
    if state is None:
        assert measured
        state = {"state": "ok", "kind": measured["kind"], "detail": measured["truncated"]}
    return state


def decide_clips(sources: Sequence[Row], measured: Measured, pipeline: Pipeline) -> list[Row]:
    """Every shot of every good source as a clip, before quality is judged."""
    clips = [_clip(*found) for found in _spans(sources, measured, pipeline)]
    return sorted(clips, key=lambda clip: (clip["path"], clip["start_pts"], clip["clip_id"]))


def planned_frames(measured: Measured, pipeline: Pipeline) -> dict[str, list[int]]:
    """clip_id -> the source frame (counted from 0) that each slot of its plan takes."""
    found = _spans(decide_sources(measured), measured, pipeline)
    return {_clip(*entry)["clip_id"]: entry[3]["frames"] for entry in found if entry[3]}


def _spans(sources: Iterable[Row], measured: Measured, pipeline: Pipeline) -> Iterator[tuple[Row, Any, Any, Any]]:
    """(source, its signals, span, plan of the span or None), for every shot of every good source."""
    signals, shots, plans = (_by_key(rows) for rows in (measured.signals, measured.shots, measured.plans))
    for source in sources:
        if source["state"] != "ok":
            continue
        signal = signals[keys.signals(source["source_id"])]
        shots_key = keys.shots(signal["digest"], pipeline.split)
        shot, plan = shots.get(shots_key), plans.get(keys.plans(shots_key, pipeline.model.fps))
        if not shot or shot["outcome"] != "done":
            continue
        planned = json.loads(plan["plans"]) if plan and plan["outcome"] == "done" else None
        for index, span in enumerate(json.loads(shot["spans"])):
            yield source, signal, span, planned[index] if planned else None


def _clip(source: Row, signal: Mapping[str, Any], span: Mapping[str, Any], plan: Mapping[str, Any] | None) -> Row:
    numerator, denominator = _ratio(signal["time_base"])
    _, _, width, height = span["crop"]
    good = span["state"] == "ok"
    if plan and source["kind"] == "image":  # a still has one frame, whatever duration its file format gives it
        plan = {"n_frames": 1, "duplicated": 0}
    return {
        **{name: source[name] for name in ("source_id", "path", "group", "kind")},
        "clip_id": keys.clip(source["source_id"], span["start_pts"], span["end_pts"]),
        "signals_key": signal["key"],
        "time_base": signal["time_base"],
        "truncated": signal["truncated"],
        **{name: span[name] for name in ("start_pts", "end_pts", "start_frame", "end_frame", "crop")},
        "start_s": (span["start_pts"] - signal["first_pts"]) * numerator / denominator,
        "end_s": (span["end_pts"] - signal["first_pts"]) * numerator / denominator,
        "width": width,
        "height": height,
        "n_frames": plan["n_frames"] if plan else None,
        "duplicated": plan["duplicated"] if plan else None,
        "state": "pending" if good else "rejected",
        "reasons": [] if good else [span["reason"]],
        "unknown": [],
        "scores": "{}",
        "caption": None,
        "caption_origin": None,
        "provisional": None,
        "caption_flags": [],
        "caption_key": None,
        "more_captions": None,
    }


@functools.lru_cache(maxsize=1024)
def _ratio(time_base: str) -> tuple[int, int]:
    return Fraction(time_base).as_integer_ratio()


def judge(
    clips: list[Row], measured: Measured, pipeline: Pipeline, pools: MutableMapping[str, overlay.Pooled] | None = None
) -> list[str]:
    """Fill in state, reasons, unknown and scores of every clip that has been scored (in place); returns warnings.

    pools: as in filter.decide.
    """
    scores = _by_key(measured.scores)
    looked = {row["about"]: row for row in measured.looks if row["outcome"] == "done"}  # of several the newest
    candidates = []
    for clip in clips:
        if clip["state"] != "pending" or clip["n_frames"] is None:
            continue
        row = scores.get(keys.scores(clip["signals_key"], clip["start_frame"], clip["end_frame"]))
        if row and row["outcome"] == "done":
            candidate: Row = json.loads(row["scores"])
            for name in ("clip_id", "source_id", "group", "kind", "path", "start_s", "end_s"):
                candidate[name] = clip[name]
            candidate["evidence"], candidate["signature"] = row.get("evidence"), row.get("signature")
            candidate["scores_key"] = row["key"]
            look = looked.get(looks.about(clip, pipeline.filter.looks)) if looked else None
            candidate |= {**json.loads(look["scores"]), "embedding": look["embedding"]} if look else {}
            candidates.append(candidate)
    verdicts = {verdict.clip_id: verdict for verdict in filter.decide(candidates, pipeline.filter, pools)}
    for clip in clips:
        verdict = verdicts.get(clip["clip_id"])
        if verdict:
            clip["state"] = "rejected" if verdict.state == "reject" else "keep"
            clip["reasons"] = list(verdict.reasons)
            clip["unknown"] = sorted(name for name, (_, _, said) in verdict.scores.items() if said == "unknown")
            clip["scores"] = json.dumps(verdict.scores, sort_keys=True)
    return filter.share_warnings(list(verdicts.values()), pipeline.filter) if len(verdicts) >= MIN_FOR_WARNING else []


def give_captions(clips: list[Row], measured: Measured, pipeline: Pipeline) -> tuple[dict[str, Chosen], list[Row]]:
    """Fill in the caption of every kept clip that has one (in place); also returns the captions by clip, and those
    written by hand whose clip is no more."""
    kept = [clip for clip in clips if clip["state"] == "keep"]
    wanted = measured.wanted_captions
    typed = (event for event in measured.events if several.number_of(event["kind"]) is not None)
    events, orphaned = attach(typed, clips)
    chosen = caption.decide(kept, measured.captions, events, pipeline.caption, wanted=wanted or None)
    for clip in kept:
        clip["caption_key"] = wanted.get(clip["clip_id"])
        choice: Chosen | None = chosen.get(clip["clip_id"])
        if choice:
            clip["caption"], clip["caption_origin"] = choice.text, choice.origin
            clip["provisional"], clip["caption_flags"] = choice.provisional, list(choice.flags)
            clip["more_captions"] = several.listed(choice.more)
    return chosen, orphaned


def decide_samples(clips: Sequence[Row], measured: Measured, pipeline: Pipeline, encoder: Encoder | None) -> list[Row]:
    """Samples of the kept clips, joined with their files: mp4, caption, latent, embedding."""
    kept = {clip["clip_id"]: clip for clip in clips if clip["state"] == "keep"}
    artefacts = _by_key(measured.artefacts)
    samples = samples_of(clip_infos(clips, measured), pipeline.views, pipeline.model)
    colours = _colours(list(kept.values()), measured, pipeline)
    media_keys: dict[tuple[Any, ...], str] = {}  # the samples of a clip share few files
    for sample in samples:
        clip = kept[sample["clip_id"]]
        sample |= dict.fromkeys(JOINED)
        sample["caption"] = clip["caption"]
        more = several.parsed(clip["more_captions"])
        words = " | ".join([clip["caption"] or "", *(row["text"] for row in more)])
        side = names_a_side(words) if sample["flip"] else None
        if side and sample["state"] == "ok":
            detail = f"its caption says {side!r}, which is the other side in the mirrored copy; reword it"
            sample |= {"state": "rejected", "reason": "caption_names_a_side", "detail": detail}
        if sample["state"] == "ok":
            file, moved = (sample["clip_id"], sample["width"], sample["height"]), colours.get(sample["clip_id"])
            if file not in media_keys:
                media_keys[file] = keys.media(clip, file[1:], sample["crop"], pipeline.model.fps, moved)
            sample["colour"] = None if moved is None else json.dumps(moved)
            sample["media_key"] = media_keys[file]
            join_media(sample, artefacts)
            join_cache(sample, artefacts, encoder, more)
    return samples


def _colours(kept: Sequence[Row], measured: Measured, pipeline: Pipeline) -> dict[str, list[float]]:
    """clip_id -> the colour transform of its pictures, where there is one."""
    if pipeline.colour.match == 0:
        return {}
    scores = _by_key(measured.scores)
    rows = {c["clip_id"]: scores.get(keys.scores(c["signals_key"], c["start_frame"], c["end_frame"])) for c in kept}
    return colour.transforms(colour.summaries(kept, {k: row for k, row in rows.items() if row}), pipeline.colour)
