"""What decisions are made of: rows of the measured tables, as far as deciding reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import polars as pl

from wanprep.frames import frame_of, types_of
from wanprep.schema import TABLES
from wanprep.stages.scored import stored

if TYPE_CHECKING:  # it brings all signals of overlays, for which no reader of a dataset asks
    from wanprep.stages.overlays import Apart

Rows = Sequence[Mapping[str, Any]]
READ = {  # a row of all columns has three times as much. The largest first
    name: tuple(columns.split())
    for name, columns in {
        "scores": "key outcome scores signature content",
        "files": "key outcome reason detail source_id",
        "signals": "key outcome reason detail kind digest truncated time_base first_pts width height",
        "shots": "key outcome spans",
        "plans": "key outcome plans",
        "artefacts": "key outcome reason detail path digest",
    }.items()
}


def _read_of(name: str, rows: Rows = ()) -> pl.DataFrame:
    """Rows of such a table, as far as deciding reads it."""
    return frame_of(rows, types_of({column: TABLES[name][column] for column in READ[name]}))


signals_of, shots_of, plans_of, artefacts_of = (
    partial(_read_of, name) for name in ("signals", "shots", "plans", "artefacts")
)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Latest row a key of every measured table, and the listing of sources. What is joined by key stays columns;
    scores: as `stored` makes them."""

    sources: Rows = ()
    files: Rows = ()
    signals: pl.DataFrame = field(default_factory=signals_of)
    shots: pl.DataFrame = field(default_factory=shots_of)
    plans: pl.DataFrame = field(default_factory=plans_of)
    scores: pl.DataFrame = field(default_factory=stored)
    artefacts: pl.DataFrame = field(default_factory=artefacts_of)
    evidence: Apart = dict  # overlay maps by key of scores, where these lack them
    pools: Rows = ()  # key, value
    matches: Rows = ()  # key, value
    captions: Rows = ()
    events: Rows = ()
    looks: Rows = ()
    agreement: Rows = ()
    wanted_captions: Mapping[str, str] = field(default_factory=dict)  # clip_id -> key
