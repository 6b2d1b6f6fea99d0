"""Samples joined with their files: mp4, caption, latent, embeddings. Part of deciding (`wanprep.decide`), pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wanprep import keys
from wanprep.captioners import several
from wanprep.stages.bucket import ClipInfo
from wanprep.stages.cache import Encoder

if TYPE_CHECKING:
    from wanprep.decide import Measured

Row = dict[str, Any]
JOINED = (
    *("media_key", "media_path", "media_digest", "caption", "latent_key", "latent_path", "latent_digest"),
    *("text_key", "text_path", "text_digest", "cache_state", "more_texts", "colour"),
)


def join_media(sample: Row, artefacts: Mapping[str, Mapping[str, Any]]) -> None:
    media = artefacts.get(sample["media_key"])
    if media and media["outcome"] == "done":
        sample["media_path"], sample["media_digest"] = media["path"], media["digest"]
    elif media and media["outcome"] == "rejected":
        sample |= {"state": "rejected", "reason": media["reason"], "detail": media["detail"]}


def join_cache(
    sample: Row, artefacts: Mapping[str, Mapping[str, Any]], encoder: Encoder | None, more: Sequence[Row]
) -> None:
    sample["cache_state"] = "pending"
    if encoder is None:
        return
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
    measured = scores.get(keys.scores(clip["signals_key"], clip["start_frame"], clip["end_frame"]))
    return ClipInfo(
        **{name: clip[name] for name in ("clip_id", "source_id", "group", "width", "height", "n_frames")},
        is_image=clip["kind"] == "image",
        content=(measured or {}).get("content") or b"",
        frame=(clip["crop"][0], clip["crop"][1], source["width"], source["height"]),
    )
