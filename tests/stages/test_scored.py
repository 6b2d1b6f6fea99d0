"""Scores as a table: to the number what the JSON of each clip says, a column for all that measuring finds."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import numpy as np
import polars as pl
import pytest
from footage import Shown, numbered
from hypothesis import given, settings
from hypothesis import strategies as st

from wanprep.signals.analysis import analyse
from wanprep.stages.filter import REGISTRY
from wanprep.stages.scored import LOOKED, MEASURED, SCORED, parsed, scored
from wanprep.stages.scoring import measure_clip

FINITE = st.floats(allow_nan=False, allow_infinity=False)
OF_TYPE = {
    pl.Float64: FINITE | FINITE.map(lambda value: round(value, 6)),
    pl.Int64: st.integers(-(2**60), 2**60),
    pl.String: st.text(),
    pl.List(pl.Float64): st.lists(FINITE, max_size=4),
    pl.List(pl.Int64): st.lists(st.integers(-9, 9), max_size=4),
}
NAMED = {name: st.none() | OF_TYPE[kind] for name, kind in MEASURED.items()}
SCORES = st.fixed_dictionaries({}, optional=NAMED | {"of a later version": st.integers(-(2**60), 2**60)})


def texts(rows: list[dict[str, Any]]) -> pl.Series:
    return pl.Series([json.dumps(row) for row in rows], dtype=pl.String)


@settings(max_examples=100, deadline=None)
@given(st.lists(SCORES, max_size=5))
def test_scores_are_read_from_json_exactly(rows: list[dict[str, Any]]) -> None:
    found = parsed(texts(rows))
    assert found.schema == dict(MEASURED)
    assert found.to_dicts() == [{name: row.get(name) for name in MEASURED} for row in rows]


def test_whole_numbers_are_numbers() -> None:
    assert parsed(texts([{"shake": 0, "mark": -3}]))[["shake", "mark"]].row(0) == (0.0, -3.0)


def test_a_score_of_another_kind_is_no_score() -> None:
    with pytest.raises(TypeError):
        scored([{"clip_id": "a", "sharpness": "high"}])


def test_all_that_is_measured_of_a_clip_has_a_column() -> None:
    frames = (Shown(k, numbered(k, 192, 108)) for k in range(40))
    signals = analyse(frames, time_base=Fraction(1, 16), width=192, height=108)
    found = measure_clip(signals, 0, 40)
    apart = {"colour", "content", "evidence", "signature"}  # in columns of their table, or read by other stages
    assert found.keys() - apart == MEASURED.keys()
    numbers = {name: value for name, value in found.items() if name not in apart}
    assert parsed(texts([numbers])).to_dicts() == scored([found]).select(MEASURED.keys()).to_dicts()


def test_every_filter_has_its_score_among_the_columns() -> None:
    decided = {"overlay", "repeat"}  # of several columns
    assert {entry.score for entry in REGISTRY.values()} - decided <= SCORED.keys()
    assert {entry.score for entry in REGISTRY.values() if entry.optional} <= LOOKED.keys()


def test_nan_is_as_unknown_as_none() -> None:
    found = scored([{"mark": np.nan}, {"mark": None}, {}])["mark"].to_numpy()
    assert np.isnan(found).all()
