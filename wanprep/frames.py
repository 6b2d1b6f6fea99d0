"""Rows as polars frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from wanprep.bulk import columns
from wanprep.schema import Column

POLARS: dict[Column, Any] = {
    "text": pl.String,
    "int": pl.Int64,
    "float": pl.Float64,
    "bool": pl.Boolean,
    "bytes": pl.Binary,
    "texts": pl.List(pl.String),
    "ints": pl.List(pl.Int64),
}


def types_of(columns: Mapping[str, Column]) -> dict[str, Any]:
    """Columns of a table as polars knows them."""
    return {name: POLARS[column] for name, column in columns.items()}


def frame_of(rows: Sequence[Mapping[str, Any]], schema: Mapping[str, Any]) -> pl.DataFrame:
    """Rows as a frame of these columns, column after column: several times as fast as polars' own way through rows.
    What a row leaves out is null. TypeError for a value of another type."""
    return framed(dict(zip(schema, columns(rows, list(schema)))), schema)


def framed(values: Mapping[str, Sequence[Any]], schema: Mapping[str, Any]) -> pl.DataFrame:
    """Columns of plain values as a frame of these columns; TypeError for a value of another type."""
    return pl.DataFrame([_series(name, values[name], kind) for name, kind in schema.items()])


def replaced(frame: pl.DataFrame, others: pl.DataFrame, key: str) -> pl.DataFrame:
    """The frame with the values of other rows in place of its own, where these name it by key and are not null."""
    names = [name for name in others.columns if name != key]
    found = frame.select(key).join(others, on=key, how="left", maintain_order="left")
    return frame.with_columns(pl.coalesce(found[name], frame[name]).alias(name) for name in names)


def rows_of(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """`to_dicts` in half of its time."""
    names = frame.columns
    return [dict(zip(names, row)) for row in zip(*(column.to_list() for column in frame))]


def _series(name: str, values: Sequence[Any], kind: Any) -> pl.Series:
    if not isinstance(kind, pl.List):
        return pl.Series(name, values, dtype=kind)
    places: dict[tuple[Any, ...] | None, int] = {}  # each list is made once: few differ, and polars takes its time
    taken = [places.setdefault(None if value is None else tuple(value), len(places)) for value in values]
    distinct = [None if value is None else list(value) for value in places]
    return pl.Series(name, distinct, dtype=kind).gather(taken)
