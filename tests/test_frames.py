"""Rows to frames and back."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wanprep.frames import frame_of, framed, replaced, rows_of

SCHEMA: dict[str, Any] = {"id": pl.String, "n": pl.Int64, "words": pl.List(pl.String), "share": pl.Float64}
ROWS = st.lists(
    st.fixed_dictionaries(
        {"id": st.text("ab", max_size=3)},
        optional={
            "n": st.none() | st.integers(-(2**62), 2**62),
            "words": st.none() | st.lists(st.text("xy", max_size=2), max_size=2),
            "share": st.none() | st.floats(allow_nan=False),
        },
    ),
    max_size=8,
)


@given(ROWS)
def test_rows_come_back_as_they_were(rows: list[dict[str, Any]]) -> None:
    frame = frame_of(rows, SCHEMA)
    assert dict(frame.schema) == SCHEMA
    whole = [{name: row.get(name) for name in SCHEMA} for row in rows]
    assert rows_of(frame) == frame.to_dicts() == whole
    assert framed({name: [row[name] for row in whole] for name in SCHEMA}, SCHEMA).equals(frame)


@given(ROWS, ROWS)
def test_values_are_replaced_where_others_name_them(rows: list[dict[str, Any]], others: list[dict[str, Any]]) -> None:
    told = {row["id"]: {name: row.get(name) for name in ("n", "words")} for row in others}
    by_id = frame_of(
        [{"id": key, **values} for key, values in told.items()], {n: SCHEMA[n] for n in ("id", "n", "words")}
    )
    expected = []
    for row in rows:
        new = {name: value for name, value in told.get(row["id"], {}).items() if value is not None}
        expected.append({name: row.get(name) for name in SCHEMA} | new)
    assert replaced(frame_of(rows, SCHEMA), by_id, "id").to_dicts() == expected


def test_a_value_of_another_type_is_refused() -> None:
    with pytest.raises(TypeError):
        frame_of([{"id": "a", "n": "1"}], SCHEMA)
