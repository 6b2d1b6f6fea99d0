"""Columns of scores say of each clip what a clip's own scores would say."""

import json
from typing import Any

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from wanprep.stages.verdicts import SAID, Column, Judged, info

FINITE = st.floats(allow_nan=False, allow_infinity=False)
KINDS = [
    (FINITE, pl.Float64),
    (st.text(max_size=6), pl.String),
    (st.lists(FINITE, max_size=4), pl.List(pl.Float64)),
    (st.lists(st.integers(-9, 9), max_size=4), pl.List(pl.Int64)),
]
NAMES = st.lists(st.text("abcdefgü_%", min_size=1, max_size=5), unique=True, max_size=5)


@st.composite
def judged(draw: st.DrawFn) -> Judged:
    clips = draw(st.integers(0, 6))
    columns = []
    for name in draw(NAMES):
        kind, dtype = draw(st.sampled_from(KINDS))
        values = draw(st.lists(st.one_of(st.none(), kind), min_size=clips, max_size=clips))
        said = np.array(draw(st.lists(st.integers(0, len(SAID) - 1), min_size=clips, max_size=clips)), int)
        threshold = draw(st.one_of(st.none(), FINITE))
        columns.append(Column(name=name, values=pl.Series(values, dtype=dtype), said=said, threshold=threshold))
    return Judged(clip_ids=[f"{k:02d}" for k in range(clips)], columns=columns)


def own_scores(table: Judged, clip: int) -> dict[str, Any]:
    told = ((c.name, c.values.to_list()[clip], c.threshold, SAID[c.said[clip]]) for c in table.columns)
    return {name: (value, threshold, said) for name, value, threshold, said in told if said}


@settings(max_examples=150, deadline=None)
@given(judged())
def test_every_clip_gets_what_its_columns_say(table: Judged) -> None:
    expected = [own_scores(table, clip) for clip in range(len(table.clip_ids))]
    verdicts = table.verdicts()
    assert [verdict.scores for verdict in verdicts] == expected
    rejected = [tuple(name for name, score in scores.items() if score[2] == "reject") for scores in expected]
    assert [verdict.reasons for verdict in verdicts] == rejected
    assert [verdict.state for verdict in verdicts] == ["reject" if reasons else "keep" for reasons in rejected]
    assert [tuple(names) for names in table.names("reject")] == rejected


@settings(max_examples=150, deadline=None)
@given(judged())
def test_texts_are_the_scores_as_json(table: Judged) -> None:
    found = [json.loads(text) for text in table.texts()]
    for clip, scores in enumerate(found):
        expected = own_scores(table, clip)
        assert list(scores) == sorted(expected)
        assert scores == {name: list(score) for name, score in expected.items()}  # exact: as short as it can be told
    assert len(found) == len(table.clip_ids)


def test_what_no_filter_judges_is_left_out_where_it_is_not_known() -> None:
    table = Judged(clip_ids=["a", "b"], columns=[info("camera", pl.Series(["pan left, slow", None]))])
    assert table.texts().to_list() == ['{"camera": ["pan left, slow", null, "info"]}', "{}"]
    assert [verdict.state for verdict in table.verdicts()] == ["keep", "keep"]
