"""A dataset as it would be decided with the settings of this command, in memory: what `--dry-run` looks at, and what
commands that read it show where the stored decisions are older than the tables or of other settings.

Decisions are pure, so they can be shown before they are stored: a changed view, threshold or trigger is seen in the
tables of a dry run exactly as a run would store it.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from wanprep.manifest import Manifest
from wanprep.schema import DERIVED
from wanprep.stage import Missing

if TYPE_CHECKING:
    from wanprep.dataset import Dataset


class _Decided(Manifest):
    """The manifest, with other rows in its derived tables. Reading only."""

    def __init__(self, stored: Manifest, derived: dict[str, pl.DataFrame]) -> None:
        super().__init__(stored.root)
        self._tables = stored._tables  # with what is read already
        self._derived = derived

    def read(self, name: str, columns: Iterable[str] | None = None) -> pl.DataFrame:
        if name not in self._derived:
            return super().read(name, columns)
        return self._derived[name].select(columns or pl.all())


class _Seen(Manifest):
    """The manifest as its files are: what lost its file is not cached. Reading only; files are looked at once."""

    def __init__(self, stored: Manifest) -> None:
        super().__init__(stored.root)
        self._tables, self._stored = stored._tables, stored
        self.absent = functools.cache(super().absent)  # type: ignore[method-assign]

    def read(self, name: str, columns: Iterable[str] | None = None) -> pl.DataFrame:
        return self._samples.select(columns or pl.all()) if name == "samples" else self._stored.read(name, columns)

    @functools.cached_property
    def _samples(self) -> pl.DataFrame:
        rows, absent = self._stored.read("samples"), self.absent("artefacts")
        if not absent:
            return rows
        own = pl.any_horizontal(pl.col(name).is_in(list(absent)) for name in ("latent_key", "text_key"))
        others = pl.col("more_texts").str.contains_any(list(absent.values()))
        lost = (pl.col("cache_state") == "cached") & (own | others.fill_null(False))
        state = pl.when(lost).then(pl.lit("pending")).otherwise("cache_state")
        return rows.with_columns(cache_state=state)


def preview(dataset: Dataset, source: Path | None = None, edited: Iterable[Mapping[str, Any]] = ()) -> Dataset:
    """The same dataset with today's decisions in place of the stored ones; nothing is written.

    source: list the sources as a run of this folder would, too. edited: events of captions that a run would record.
    """
    from wanprep.decide import decide
    from wanprep.known import listed_sources

    try:
        encoder = dataset.encoder()
    except Missing:  # a run would say so; what it would cache can be counted without
        encoder = None
    measured = dataset.measured(edited=edited)
    if source is not None:
        measured = replace(measured, sources=listed_sources(dataset, source).rows)
    decided = decide(measured, dataset.pipeline, encoder)
    derived = {name: dataset.manifest.table(name).typed(getattr(decided, name)) for name in DERIVED}
    seen = copy.copy(dataset)
    seen.manifest = _Decided(dataset.manifest, derived)
    return seen


def as_it_is(dataset: Dataset) -> tuple[Dataset, str]:
    """The dataset for commands that read it: decided in memory where the stored decisions are not of today's tables and
    settings, and with a look at files. Also why it was decided, "" where it was not."""
    why = dataset.overtaken()
    seen = preview(dataset) if why else copy.copy(dataset)
    seen.manifest = _Seen(seen.manifest)
    return seen, why
