"""What a step wants measured, told by keys alone: for counting, and for seeing that nothing is left to be done.

`Stage.items` holds all that measuring needs, which takes ten times as long to put together. Both list the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import polars as pl

from wanprep import keyed, keys

if TYPE_CHECKING:
    from wanprep.dataset import Dataset
    from wanprep.stage import Stage


def wanted(step: Stage, dataset: Dataset) -> pl.DataFrame | None:
    """A row a part, with its key and the number of its item, in their order; None for a step whose items only
    themselves tell (they depend on files or on what models are here)."""
    listing = _LISTINGS.get(step.name)
    return None if listing is None else listing(dataset)


def _numbered(parts: list[str] | pl.Series) -> pl.DataFrame:
    """One part an item."""
    return pl.DataFrame({"key": pl.Series(parts, dtype=pl.String)}).with_row_index("item")


def _files(dataset: Dataset) -> pl.DataFrame:
    return _numbered(dataset.manifest.read("sources").filter(pl.col("state") != "gone")["file_key"])


def _source_ids(dataset: Dataset, *states: str) -> list[str]:
    known = pl.col("source_id").is_not_null() & pl.col("duplicate_of").is_null()
    return dataset.manifest.read("sources").filter(pl.col("state").is_in(states) & known)["source_id"].to_list()


def _analyses(dataset: Dataset) -> pl.DataFrame:
    return _numbered([keys.signals(i) for i in _source_ids(dataset, "pending", "failed", "ok", "rejected")])


def _signals(dataset: Dataset) -> pl.DataFrame:
    """key, digest of the good sources' signals."""
    good = pl.Series([keys.signals(i) for i in _source_ids(dataset, "ok")], dtype=pl.String)
    done = (pl.col("outcome") == "done") & pl.col("key").is_in(good.implode())
    return dataset.manifest.outcomes("signals").filter(done).select("key", "digest")


def _shots_keys(dataset: Dataset) -> pl.Series:
    return keyed.between(keys.shots_ends(dataset.pipeline.split), _signals(dataset)["digest"])


def _shots(dataset: Dataset) -> pl.DataFrame:
    return _numbered(_shots_keys(dataset))


def _plans(dataset: Dataset) -> pl.DataFrame:
    shots = dataset.manifest.outcomes("shots").filter(pl.col("outcome") == "done")
    wanted = _shots_keys(dataset)
    there = wanted.filter(wanted.is_in(shots["key"].implode()))
    return _numbered(keyed.between(keys.plans_ends(dataset.pipeline.model.fps), there))


def _scores(dataset: Dataset) -> pl.DataFrame:
    of_split = (pl.col("state") == "rejected") & (pl.col("scores") == "{}")  # found wanting before any score
    analysed = pl.col("signals_key").is_in(_signals(dataset)["key"].implode())
    clips = dataset.manifest.read("clips").filter(~of_split & analysed & pl.col("n_frames").is_not_null())
    return _numbered(keyed.scores(clips))


def _media(dataset: Dataset) -> pl.DataFrame:
    clips = dataset.manifest.read("clips").select("clip_id", "signals_key")
    analysed = clips.filter(pl.col("signals_key").is_in(_signals(dataset)["key"].implode()))
    samples = dataset.manifest.read("samples").filter(pl.col("media_key").is_not_null())
    parts = samples.select("clip_id", key="media_key").unique(maintain_order=True)
    parts = parts.join(analysed, on="clip_id", how="semi", maintain_order="left")
    return parts.select("key", item=pl.col("clip_id").rank("dense"))


def _latents(dataset: Dataset) -> pl.DataFrame:
    samples = dataset.manifest.read("samples").filter(pl.col("latent_key").is_not_null())
    return _numbered(samples["latent_key"])


_LISTINGS: dict[str, Callable[[Any], pl.DataFrame]] = {
    "scan": _files,
    "split": _analyses,
    "shots": _shots,
    "fps": _plans,
    "filter": _scores,
    "bucket": _media,
    "latents": _latents,
}
