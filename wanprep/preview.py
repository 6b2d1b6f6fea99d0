"""A dataset as it would be decided with the settings of this command, in memory: what `--dry-run` looks at.

Decisions are pure, so they can be shown before they are stored: a changed view, threshold or trigger is seen in the
tables of a dry run exactly as a run would store it.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from wanprep.frames import frame_of
from wanprep.manifest import Manifest
from wanprep.stage import Missing

if TYPE_CHECKING:
    from wanprep.dataset import Dataset


class _Decided(Manifest):
    """The manifest, with other rows in its derived tables. Reading only."""

    def __init__(self, stored: Manifest, derived: dict[str, pl.DataFrame]) -> None:
        super().__init__(stored.root)
        self._derived = derived

    def read(self, name: str) -> pl.DataFrame:
        return self._derived[name] if name in self._derived else super().read(name)


def preview(dataset: Dataset, source: Path | None = None) -> Dataset:
    """The same dataset with today's decisions in place of the stored ones; nothing is written.

    source: list the sources as a run of this folder would, too.
    """
    from wanprep.decide import decide
    from wanprep.run import listed_sources

    try:
        encoder = dataset.encoder()
    except Missing:  # a run would say so; what it would cache can be counted without
        encoder = None
    measured = dataset.measured()
    if source is not None:
        measured = replace(measured, sources=listed_sources(dataset, source)[0])
    decided = decide(measured, dataset.pipeline, encoder)
    derived = {}
    for name in ("sources", "clips", "samples"):
        derived[name] = frame_of(getattr(decided, name), dataset.manifest.table(name).polars_schema)
    seen = copy.copy(dataset)
    seen.manifest = _Decided(dataset.manifest, derived)
    return seen
