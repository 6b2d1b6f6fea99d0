"""The flat manifest: one Parquet file, a row a sample, for people and other tools.

Derived with every deciding, published atomically, and never read back by us. Clips that were rejected and sources that
could not be read have a row too (without a sample), so that everything that went in can be found in this one file.
"""

from __future__ import annotations

import io
from pathlib import Path

import polars as pl

from wanprep.ids import write_atomic

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
COLUMNS = ("state", "reason", "detail", "source_id", *_SOURCE, "clip_id", *_CLIP, "caption", *_SAMPLE)


def table(sources: pl.DataFrame, clips: pl.DataFrame, samples: pl.DataFrame) -> pl.DataFrame:
    """One row a sample; one for each clip and each source that has none."""
    about = clips.select("clip_id", *_SOURCE, *_CLIP)
    made = samples.select(*COLUMNS[:4], "clip_id", "caption", *_SAMPLE)
    without = clips.join(samples, on="clip_id", how="anti", maintain_order="left")
    used = pl.col("source_id").is_in(clips["source_id"].unique().implode()).fill_null(False)
    unused = sources.filter(~used | pl.col("duplicate_of").is_not_null())
    parts = [
        made.join(about, on="clip_id", how="left", maintain_order="left"),
        without.select("source_id", "clip_id", "state", *_SOURCE, *_CLIP, reason=pl.col("reasons").list.join(",")),
        unused.select(*COLUMNS[:4], *_SOURCE),
    ]
    return pl.concat(parts, how="diagonal").select(COLUMNS).rechunk()


def write(path: Path, sources: pl.DataFrame, clips: pl.DataFrame, samples: pl.DataFrame) -> None:
    """Write `table` of these to `path`, unless it is there with the same content."""
    buffer = io.BytesIO()
    table(sources, clips, samples).write_parquet(buffer, compression="zstd", compression_level=1)
    if not path.exists() or path.read_bytes() != buffer.getvalue():
        write_atomic(path, buffer.getvalue())
