"""Columns of scores say of each clip what a clip's own scores would say."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from wanprep.stages.verdicts import Column, Judged, info

FINITE = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.one_of(st.none(), FINITE, st.integers(), st.text(max_size=6), st.tuples(FINITE, FINITE))
SAID = st.sampled_from(["keep", "reject", "unknown", "off", ""])
NAMES = st.lists(st.text("abcdefgü_%", min_size=1, max_size=5), unique=True, max_size=5)


@st.composite
def judged(draw: st.DrawFn) -> Judged:
    clips = draw(st.integers(0, 6))
    kinds = [st.one_of(st.none(), FINITE), st.one_of(st.none(), st.text(max_size=3)), VALUES]
    columns = []
    for name in draw(NAMES):
        values = draw(st.lists(draw(st.sampled_from(kinds)), min_size=clips, max_size=clips))
        said = draw(st.lists(SAID, min_size=clips, max_size=clips))
        columns.append(Column(name=name, values=values, said=said, threshold=draw(st.one_of(st.none(), FINITE))))
    return Judged(clip_ids=[f"{k:02d}" for k in range(clips)], columns=columns)


def own_scores(table: Judged, clip: int) -> dict[str, Any]:
    return {c.name: (c.values[clip], c.threshold, c.said[clip]) for c in table.columns if c.said[clip]}


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
    expected = [json.dumps(own_scores(table, clip), sort_keys=True) for clip in range(len(table.clip_ids))]
    assert table.texts() == (expected if table.columns else [])


def test_what_no_filter_judges_is_left_out_where_it_is_not_known() -> None:
    table = Judged(clip_ids=["a", "b"], columns=[info("camera", ["pan left, slow", None])])
    assert table.texts() == ['{"camera": ["pan left, slow", null, "info"]}', "{}"]
    assert [verdict.state for verdict in table.verdicts()] == ["keep", "keep"]
