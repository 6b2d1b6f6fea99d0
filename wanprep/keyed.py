"""Keys of whole columns: by the ten thousand those that `wanprep.keys` makes one by one, in a fraction of the time."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from wanprep import ids, keys


def clips(rows: pl.DataFrame) -> pl.Series:
    """`keys.clip` of source_id, start_pts, end_pts."""
    made = _filled(rows, keys.CLIP, pl.col("end_pts"), _few(rows["source_id"]), pl.col("start_pts"))
    return made.str.head(keys.CLIP_LENGTH)


def scores(rows: pl.DataFrame) -> pl.Series:
    """`keys.scores` of signals_key, start_frame, end_frame, crop."""
    span = pl.col("start_frame"), pl.col("end_frame")
    return _filled(rows, keys.SCORES, _listed("crop"), *span, _few(rows["signals_key"]), pl.lit(keys.SCORES_VERSION))


def media(rows: pl.DataFrame, rate: int) -> pl.Series:
    """Of the files of clips. rows: a clip's source_id, start_pts, end_pts and bars (x, y, width, height), the part of
    the picture that its shot shows; crop, the part of that which the file shows; width and height of the file; colour,
    the transform of its pictures as canonical JSON, null for none. rate: frames a second."""
    colour = pl.format('"colour":{},', "colour").fill_null("")
    span = pl.col("start_pts"), pl.lit(keys.MEDIA_VERSION)
    about = pl.col("end_pts"), pl.lit(rate), pl.col("width"), pl.col("height"), _few(rows["source_id"])
    return _filled(rows, keys.MEDIA, _listed("bars"), colour, _listed("crop"), *about, *span)


def between(ends: ids.Ends, texts: pl.Series) -> pl.Series:
    """`ids.key_between` of each text."""
    before, after = map(pl.lit, ends)
    return _digests(pl.DataFrame({"text": _quoted(texts)}), before, pl.col("text"), after)


def between_ends(texts: pl.Series, ends: Sequence[ids.Ends], which: pl.Series, kinds: pl.Series) -> pl.Series:
    """`ids.key_between` of many texts and few ends. which, kinds: of each key the places of its text and its ends."""
    before, after = (pl.Series([end[k] for end in ends], dtype=pl.String) for k in (0, 1))
    rows = {"before": before.gather(kinds), "text": _quoted(texts).gather(which), "after": after.gather(kinds)}
    return _digests(pl.DataFrame(rows), *map(pl.col, rows))


def _filled(rows: pl.DataFrame, text: str, *parts: pl.Expr) -> pl.Series:
    """Of each row the digest of a text of `keys` with these parts in its places."""
    first, *others = map(pl.lit, text.split("%s"))
    return _digests(rows, first, *(piece for pair in zip(parts, others, strict=True) for piece in pair))


def _digests(rows: pl.DataFrame, *pieces: pl.Expr) -> pl.Series:
    """Of each row the digest of its text, in pieces. TypeError where one is null."""
    texts = rows.select(pl.concat_str(pieces).cast(pl.Binary)).to_series()
    return pl.Series(ids.digests(texts.to_list()), dtype=pl.String)


def _listed(name: str) -> pl.Expr:
    """Lists of whole numbers as canonical JSON."""
    return pl.format("[{}]", pl.col(name).cast(pl.List(pl.String)).list.join(","))


def _few(texts: pl.Series) -> pl.Expr:
    """`_quoted`, of texts few of which differ."""
    distinct = texts.unique()
    return pl.lit(texts.replace_strict(distinct, _quoted(distinct), return_dtype=pl.String))


def _quoted(texts: pl.Series) -> pl.Series:
    """Texts as canonical JSON."""
    return pl.Series(list(map(ids.canonical_text, texts.to_list())), dtype=pl.String)
