"""The samples of the kept clips, joined with their files: mp4, caption, latent, embeddings. Part of deciding
(`wanprep.decide`), pure.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wanprep import keys
from wanprep.captioners import several
from wanprep.pipeline import Pipeline
from wanprep.stages import colour
from wanprep.stages.bucket import ClipInfo, names_a_side, samples_of
from wanprep.stages.cache import Encoder

if TYPE_CHECKING:
    from wanprep.decide import Measured

Row = dict[str, Any]
JOINED = (
    *("media_key", "media_path", "media_digest", "caption", "latent_key", "latent_path", "latent_digest"),
    *("text_key", "text_path", "text_digest", "cache_state", "more_texts", "colour"),
)
MUTE = "the caption of its clip was rejected"  # detail of a sample that waits for another caption


def decide_samples(clips: Sequence[Row], measured: Measured, pipeline: Pipeline, encoder: Encoder | None) -> list[Row]:
    """Samples of the kept clips, with their files as far as these are made."""
    kept = {clip["clip_id"]: clip for clip in clips if clip["state"] == "keep"}
    artefacts = {row["key"]: row for row in measured.artefacts}
    colours = _colours(list(kept.values()), measured, pipeline)
    family = pipeline.model
    samples = samples_of(clip_infos(clips, measured), pipeline.views, family)
    for clip_id, mine in itertools.groupby(samples, key=lambda sample: sample["clip_id"]):
        clip, moved = kept[clip_id], colours.get(clip_id)
        more = several.parsed(clip["more_captions"])
        joined = dict.fromkeys(JOINED) | {"caption": clip["caption"]}
        media_keys: dict[tuple[int, int], str] = {}  # the samples of a clip share few files
        for sample in mine:
            sample |= joined
            if sample["flip"]:
                _reject_named_side(sample, more)
            if sample["state"] == "ok":
                size = (sample["width"], sample["height"])
                if size not in media_keys:
                    media_keys[size] = keys.media(clip, size, sample["crop"], family.fps, moved)
                sample["colour"] = None if moved is None else json.dumps(moved)
                sample["media_key"] = media_keys[size]
                join_media(sample, artefacts)
                if sample["state"] == "ok" and clip["reasons"]:  # its file stays: another captioner may look at it
                    sample |= {"state": "rejected", "reason": clip["reasons"][0], "detail": MUTE}
                    continue
                sample["cache_state"] = "pending"
                if encoder:
                    join_cache(sample, artefacts, encoder, more)
    return samples


def _reject_named_side(sample: Row, more: Iterable[Row]) -> None:
    side = names_a_side(" | ".join([sample["caption"] or "", *(row["text"] for row in more)]))
    if side and sample["state"] == "ok":
        detail = f"its caption says {side!r}, which is the other side in the mirrored copy; reword it"
        sample |= {"state": "rejected", "reason": "caption_names_a_side", "detail": detail}


def _colours(kept: Sequence[Row], measured: Measured, pipeline: Pipeline) -> dict[str, list[float]]:
    """clip_id -> the colour transform of its pictures, where there is one."""
    if pipeline.colour.match == 0:
        return {}
    scores = {row["key"]: row for row in measured.scores}
    rows = {clip["clip_id"]: scores.get(scores_key(clip)) for clip in kept}
    return colour.transforms(colour.summaries(kept, {k: row for k, row in rows.items() if row}), pipeline.colour)


def scores_key(clip: Mapping[str, Any]) -> str:
    return keys.scores(clip["signals_key"], clip["start_frame"], clip["end_frame"])


def join_media(sample: Row, artefacts: Mapping[str, Mapping[str, Any]]) -> None:
    media = artefacts.get(sample["media_key"])
    if media and media["outcome"] == "done":
        sample["media_path"], sample["media_digest"] = media["path"], media["digest"]
    elif media and media["outcome"] == "rejected":
        sample |= {"state": "rejected", "reason": media["reason"], "detail": media["detail"]}


def join_cache(sample: Row, artefacts: Mapping[str, Mapping[str, Any]], encoder: Encoder, more: Sequence[Row]) -> None:
    found = []
    if sample["media_digest"]:
        sample["latent_key"] = encoder.latent_key(
            sample["media_digest"], sample["start"], sample["frames"], bool(sample["flip"])
        )
        found.append(("latent", artefacts.get(sample["latent_key"])))
    if sample["caption"] is not None:
        sample["text_key"] = encoder.text_key(sample["caption"])
        found.append(("text", artefacts.get(sample["text_key"])))
    for name, row in found:
        if row and row["outcome"] == "done":
            sample[f"{name}_path"], sample[f"{name}_digest"] = row["path"], row["digest"]
        elif row and row["outcome"] == "failed":
            sample["cache_state"] = "failed"
    texts = several.joined(more, artefacts, encoder)
    sample["more_texts"] = json.dumps(texts, ensure_ascii=False) if texts else None
    if any(text["failed"] for text in texts):
        sample["cache_state"] = "failed"
    if sample["latent_path"] and sample["text_path"] and all(text["path"] for text in texts):
        sample["cache_state"] = "cached"


def clip_infos(clips: Iterable[Mapping[str, Any]], measured: Measured) -> list[ClipInfo]:
    """What bucketing needs to know of the kept clips."""
    signals, scores = ({row["key"]: row for row in rows} for rows in (measured.signals, measured.scores))
    return [_clip_info(clip, signals, scores) for clip in clips if clip["state"] == "keep"]


def _clip_info(clip: Mapping[str, Any], signals: Mapping[str, Any], scores: Mapping[str, Any]) -> ClipInfo:
    source = signals[clip["signals_key"]]
    measured = scores.get(scores_key(clip))
    return ClipInfo(
        clip_id=clip["clip_id"],
        source_id=clip["source_id"],
        group=clip["group"],
        width=clip["width"],
        height=clip["height"],
        n_frames=clip["n_frames"],
        is_image=clip["kind"] == "image",
        content=(measured or {}).get("content") or b"",
        frame=(clip["crop"][0], clip["crop"][1], source["width"], source["height"]),
    )
