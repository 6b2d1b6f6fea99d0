"""The flat manifest: one Parquet file, a row a sample, for people and other tools.

Derived anew by every run, published atomically, and never read back by us. Clips that were rejected and sources that
could not be read have a row too (without a sample), so that everything that went in can be found in this one file.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import polars as pl

from wanprep.ids import write_atomic

if TYPE_CHECKING:
    from wanprep.dataset import Dataset
    from wanprep.decide import Decided

NAME = "manifest.parquet"

_SOURCE = ("path", "group", "kind")
_CLIP = (
    *("start_pts", "end_pts", "time_base", "start_frame", "end_frame", "start_s", "end_s", "n_frames", "scores"),
    *("unknown", "caption_origin", "provisional", "more_captions"),
)
_SAMPLE = (
    *("sample_id", "view", "start", "frames", "width", "height", "repeats", "weight", "tokens", "flip", "cache_state"),
    *("media_path", "media_digest", "latent_path", "latent_digest", "text_path", "text_digest"),
)
_TYPES: dict[str, Any] = {
    "state": pl.String, "reason": pl.String, "detail": pl.String, "source_id": pl.String, "clip_id": pl.String,
    "caption": pl.String, "start_pts": pl.Int64, "end_pts": pl.Int64, "start_frame": pl.Int64, "end_frame": pl.Int64,
    "n_frames": pl.Int64, "start_s": pl.Float64, "end_s": pl.Float64, "unknown": pl.List(pl.String),
    "provisional": pl.Boolean, "start": pl.Int64, "frames": pl.Int64, "width": pl.Int64, "height": pl.Int64,
    "repeats": pl.Int64, "weight": pl.Float64, "tokens": pl.Int64, "flip": pl.Boolean,
}  # fmt: skip
COLUMNS = ("state", "reason", "detail", "source_id", *_SOURCE, "clip_id", *_CLIP, "caption", *_SAMPLE)


def rows(decided: Decided) -> list[dict[str, Any]]:
    """One row a sample; one for each clip and each source that has none."""
    found: list[dict[str, Any]] = []
    clips = {clip["clip_id"]: clip for clip in decided.clips}
    with_samples, with_clips = set(), set()
    for sample in decided.samples:
        clip = clips[sample["clip_id"]]
        with_samples.add(clip["clip_id"])
        found.append(_pick(clip, _SOURCE + _CLIP) | _pick(sample, (*COLUMNS[:4], "clip_id", "caption", *_SAMPLE)))
    for clip in decided.clips:
        with_clips.add(clip["source_id"])
        if clip["clip_id"] not in with_samples:
            reason = ",".join(clip["reasons"])
            found.append(_pick(clip, ("source_id", "clip_id", "state", *_SOURCE, *_CLIP)) | {"reason": reason})
    for source in decided.sources:
        if source["source_id"] not in with_clips or source["duplicate_of"]:
            found.append(_pick(source, (*COLUMNS[:4], *_SOURCE)))
    return found


def _pick(row: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: row.get(name) for name in names}


def write(dataset: Dataset, decided: Decided) -> None:
    """Write `manifest.parquet`, unless it is there with the same content."""
    schema = {name: _TYPES.get(name, pl.String) for name in COLUMNS}
    frame = pl.DataFrame(rows(decided), schema=schema, orient="row")
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd")
    path = dataset.root / NAME
    if not path.exists() or path.read_bytes() != buffer.getvalue():
        write_atomic(path, buffer.getvalue())
