"""The samples of the kept clips, joined with their files: mp4, caption, latent, embeddings. Part of deciding
(`wanprep.decide`), pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from wanprep import ids, keyed
from wanprep.captioners import several
from wanprep.frames import frame_of, rows_of, types_of
from wanprep.pipeline import Pipeline
from wanprep.schema import TABLES
from wanprep.stages import colour
from wanprep.stages.bucket import ClipInfo
from wanprep.stages.cache import Encoder
from wanprep.stages.samples import INFO, infos_in, sample_frame
from wanprep.stages.sides import names_a_side, other_side

if TYPE_CHECKING:
    from wanprep.measured import Measured

Row = dict[str, Any]
_MOVED = dict.fromkeys(("clip_id", "moved"), pl.String)
_OTHERS: dict[str, Any] = {
    **dict.fromkeys(("clip_id", "more_texts"), pl.String),
    **dict.fromkeys(("others_there", "others_failed"), pl.Boolean),
}
_COLOUR = dict.fromkeys(("clip_id", "colour"), pl.String)
MUTE = "the caption of its clip was rejected"  # detail of a sample that waits for another caption


def decide_samples(
    clips: pl.DataFrame, measured: Measured, pipeline: Pipeline, encoder: Encoder | None
) -> pl.DataFrame:
    """Samples of the kept clips, with their files as far as these are made: the table `samples`. clips: as the table
    `clips`, and scores_key."""
    kept = clips.filter(pl.col("state") == "keep")
    files = measured.artefacts
    samples = sample_frame(_shapes(kept, measured), pipeline.views, pipeline.model)
    colours = _colours(kept, measured, pipeline)
    about = _about(kept, colours, measured, encoder, mirrored=bool(samples["flip"].any()))
    texts = _with_files("text", about, files)
    samples = samples.join(texts, on=["clip_id", "flip"], how="left", maintain_order="left")
    samples = _rejected(samples, pl.col("side").is_not_null(), pl.lit("caption_names_a_side"), pl.col("side"))
    samples = _with_files("media", _with_media_keys(samples, kept, colours, pipeline.model.fps), files)
    refused = pl.col("media_outcome") == "rejected"
    samples = _rejected(samples, refused, pl.col("media_reason"), pl.col("media_detail"))
    # Where the caption was rejected the file stays: another captioner may look at it.
    mute = (pl.col("state") == "ok") & pl.col("mute").is_not_null()
    samples = samples.with_columns(wanted=pl.col("media_key").is_not_null() & ~mute)
    samples = _rejected(samples, mute, pl.col("mute"), pl.lit(MUTE))
    samples = _with_files("latent", _with_latent_keys(samples, encoder), files)
    return _cached(samples).select(TABLES["samples"].keys())


def _with_files(name: str, rows: pl.DataFrame, files: pl.DataFrame) -> pl.DataFrame:
    """Rows, and what became of the file whose key is in `<name>_key`: path and digest of one that was made."""
    done = pl.col("outcome") == "done"
    made = files.with_columns(pl.when(done).then(pl.col(column)).alias(column) for column in ("path", "digest"))
    about = made.select(pl.all().name.prefix(f"{name}_"))
    return rows.join(about, on=f"{name}_key", how="left", maintain_order="left")


def _rejected(samples: pl.DataFrame, where: pl.Expr, reason: pl.Expr, detail: pl.Expr) -> pl.DataFrame:
    """Good samples are rejected where this holds."""
    where = where & (pl.col("state") == "ok")
    said = {"state": pl.lit("rejected"), "reason": reason, "detail": detail}
    return samples.with_columns(**{n: pl.when(where).then(value).otherwise(pl.col(n)) for n, value in said.items()})


def _about(
    kept: pl.DataFrame,
    colours: Mapping[str, Sequence[float]],
    measured: Measured,
    encoder: Encoder | None,
    mirrored: bool,
) -> pl.DataFrame:
    """What samples of a clip share, the mirrored ones (flip) and the others: caption, text_key; mute, side: why they
    are rejected; moved: of its colours; more_texts, others_there, others_failed: of its other captions. mirrored:
    whether any sample is."""
    mute = pl.col("reasons").list.first()
    about = kept.select("clip_id", "caption", mute=mute, flip=pl.lit(False), side=pl.lit(None, pl.String))
    if mirrored:
        about = pl.concat([about, frame_of([_copy(clip) for clip in rows_of(kept)], about.schema)])
    moved = [{"clip_id": clip_id, "moved": json.dumps(matrix)} for clip_id, matrix in colours.items()]
    about = about.with_columns(text_key=_text_keys(about["caption"], encoder))
    for more in (frame_of(moved, _MOVED), _others(kept, measured, encoder)):
        about = about.join(more, on="clip_id", how="left")
    return about.with_columns(pl.col("others_there").fill_null(True), pl.col("others_failed").fill_null(False))


def _text_keys(captions: pl.Series, encoder: Encoder | None) -> pl.Series:
    if encoder is None:
        return pl.Series([None] * len(captions), dtype=pl.String)
    from wanprep.models.text import clean

    there = captions.is_not_null()
    made = keyed.between(encoder.text_ends(), pl.Series(list(map(clean, captions.drop_nulls())), dtype=pl.String))
    return made.gather(pl.select(pl.when(there).then(there.cum_sum() - 1)).to_series())


def _others(kept: pl.DataFrame, measured: Measured, encoder: Encoder | None) -> pl.DataFrame:
    """Of clips with several captions the other ones, as far as they are made."""
    if encoder is None:
        return frame_of([], _OTHERS)
    clips = rows_of(kept.select("clip_id", "more_captions").drop_nulls())
    artefacts = {row["key"]: row for row in rows_of(measured.artefacts)} if clips else {}
    rows = []
    for clip in clips:
        others = several.joined(several.parsed(clip["more_captions"]), artefacts, encoder)
        states = {
            "others_there": all(text["path"] for text in others),
            "others_failed": any(text["failed"] for text in others),
        }
        rows.append({"clip_id": clip["clip_id"], "more_texts": json.dumps(others, ensure_ascii=False), **states})
    return frame_of(rows, _OTHERS)


def _copy(clip: Row) -> Row:
    """The row of `_about` for the mirrored copies of a clip."""
    caption, said = _mirrored(clip)
    more = (text["text"] for text in several.parsed(clip["more_captions"]))
    side = names_a_side(" | ".join([said, *more]))
    why = f"its caption says {side!r}, which is the other side in the mirrored copy; reword it" if side else None
    mute = (clip["reasons"] or [None])[0]
    return {"clip_id": clip["clip_id"], "caption": caption, "mute": mute, "flip": True, "side": why}


def _mirrored(clip: Mapping[str, Any]) -> tuple[str | None, str]:
    """Caption of the mirrored copy, and what of it somebody said of the picture as it was. Where the template named the
    camera's movement, it names that of the copy; nobody's words are changed."""
    caption = clip["caption"]
    if caption and clip["caption_origin"] == "template" and names_a_side(caption):
        camera = (json.loads(clip["scores"]).get("camera") or [None])[0]
        if camera:
            return caption.replace(camera, other_side(camera)), caption.replace(camera, "")
    return caption, caption or ""


def _with_media_keys(
    samples: pl.DataFrame, kept: pl.DataFrame, colours: Mapping[str, Sequence[float]], rate: int
) -> pl.DataFrame:
    """Samples and the keys of the files of those that are good: a clip's samples of one size share one."""
    file = ["clip_id", "width", "height"]
    files = samples.filter(pl.col("state") == "ok").select(*file, "crop").unique(file, keep="first")
    about = kept.select("clip_id", "source_id", "start_pts", "end_pts", bars="crop")
    told = frame_of([{"clip_id": c, "colour": ids.canonical(list(m))} for c, m in colours.items()], _COLOUR)
    files = files.join(about, on="clip_id").join(told, on="clip_id", how="left")
    known = files.select(*file, media_key=keyed.media(files, rate), state=pl.lit("ok"))
    return samples.join(known, on=[*file, "state"], how="left", maintain_order="left")


def _with_latent_keys(samples: pl.DataFrame, encoder: Encoder | None) -> pl.DataFrame:
    """Of the samples that are `wanted` and have their file."""
    if encoder is None:
        return samples.with_columns(latent_key=pl.lit(None, pl.String))
    frames = ["start", "frames", "flip"]
    due = samples.filter(pl.col("wanted") & pl.col("media_digest").is_not_null()).select(
        "sample_id", "media_digest", *frames
    )
    kinds = due.select(frames).unique().with_row_index("kind")
    due = due.join(kinds, on=frames, how="left", maintain_order="left")
    ends = [encoder.latent_ends(*row) for row in kinds.select(frames).iter_rows()]
    every = pl.select(pl.arange(len(due), dtype=pl.UInt32)).to_series()
    made = keyed.between_ends(due["media_digest"], ends, every, due["kind"])
    known = due.select("sample_id", latent_key=made)
    return samples.join(known, on="sample_id", how="left", maintain_order="left")


def _cached(samples: pl.DataFrame) -> pl.DataFrame:
    """With the state of what is `wanted`; others have no text to encode, and without a file no colour."""
    wanted = pl.col("wanted")
    there = pl.col("latent_path").is_not_null() & pl.col("text_path").is_not_null() & pl.col("others_there")
    failed = (pl.col("latent_outcome") == "failed") | (pl.col("text_outcome") == "failed") | pl.col("others_failed")
    state = pl.when(wanted & there).then(pl.lit("cached")).when(wanted & failed).then(pl.lit("failed"))
    names = ("text_key", "text_path", "text_digest", "more_texts")
    return samples.with_columns(
        *(pl.when(wanted).then(pl.col(name)).alias(name) for name in names),
        cache_state=state.when(wanted).then(pl.lit("pending")),
        colour=pl.when(pl.col("media_key").is_not_null()).then(pl.col("moved")),
    )


def _colours(kept: pl.DataFrame, measured: Measured, pipeline: Pipeline) -> dict[str, list[float]]:
    """clip_id -> the colour transform of its pictures, where there is one."""
    if pipeline.colour.match == 0:
        return {}
    told = kept.select("clip_id", "source_id", "group", "kind", "n_frames", key="scores_key")
    told = told.join(measured.scores.select("key", "scores"), on="key", how="left", maintain_order="left")
    return colour.transforms(colour.summaries(rows_of(told)), pipeline.colour)


def clip_infos(kept: Iterable[Mapping[str, Any]], measured: Measured) -> list[ClipInfo]:
    """What bucketing needs to know of kept clips, one by one. kept: rows of the table `clips`."""
    clips = frame_of(list(kept), types_of(TABLES["clips"]))
    return infos_in(_shapes(clips.with_columns(scores_key=keyed.scores(clips)), measured))


def _shapes(kept: pl.DataFrame, measured: Measured) -> pl.DataFrame:
    """What bucketing needs to know of kept clips: the columns `samples.INFO`. kept: with scores_key."""
    sources = measured.signals.select(signals_key="key", whole_width="width", whole_height="height")
    scores = measured.scores.select("key", "content")
    known = kept.join(scores, left_on="scores_key", right_on="key", how="left", maintain_order="left")
    known = known.join(sources, on="signals_key", how="left", maintain_order="left")
    place = {name: pl.col("crop").list.get(k) for k, name in enumerate(("x", "y"))}
    content = pl.col("content").fill_null(b"")
    return known.with_columns(content, is_image=pl.col("kind") == "image", **place).select(*INFO)
