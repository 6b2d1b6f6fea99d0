import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wanprep.config import dump_toml, from_environment, from_table, merge, parse_set, to_table
from wanprep.stage import UsageError


@dataclass(frozen=True, kw_only=True)
class Inner:
    threshold: float = 0.5
    enabled: bool = True


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str = "x"
    mode: Literal["head", "full"] = "head"
    frames: tuple[int, ...] = (1,)
    resolution: int | tuple[int, int] = 512
    folder: Path | None = None
    blur: Inner = field(default_factory=Inner)
    views: tuple[Inner, ...] = ()

    def __post_init__(self) -> None:
        if any(f % 4 != 1 for f in self.frames):
            raise ValueError(f"frames {self.frames} must be 4n+1")


def test_builds_nested_dataclasses_and_keeps_types() -> None:
    got = from_table(
        Outer,
        {"frames": [1, 21], "resolution": [768, 416], "blur": {"threshold": 1}, "views": [{}, {"enabled": False}]},
    )
    assert got.frames == (1, 21)
    assert got.resolution == (768, 416)
    assert isinstance(got.blur.threshold, float)
    assert [v.enabled for v in got.views] == [True, False]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"nmae": "a"}, "did you mean 'name'"),
        ({"blur": {"treshold": 1.0}}, "blur.treshold"),
        ({"mode": "haed"}, "did you mean 'head'"),
        ({"frames": [20]}, "4n+1"),
        ({"name": 3}, "name must be str"),
        ({"blur": {"threshold": True}}, "must be float"),
        ({"resolution": [1, 2, 3]}, "resolution"),
    ],
)
def test_errors_name_the_place_and_the_remedy(table: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("+", r"\+")):
        from_table(Outer, table)


def test_set_values_are_toml_or_words() -> None:
    assert parse_set(["a.b=1", "a.c=true", "family=tiny", "x=[1, 2]"]) == {
        "a": {"b": 1, "c": True},
        "family": "tiny",
        "x": [1, 2],
    }
    with pytest.raises(UsageError, match="expected section"):
        parse_set(["novalue"])


def test_environment_takes_only_known_sections() -> None:
    got = from_environment(
        {"WANPREP_FAMILY": "tiny", "WANPREP_HOME": "/x", "WANPREP_FILTER__BLUR": "0.1", "PATH": "p"},
        ["family", "filter"],
    )
    assert got == {"family": "tiny", "filter": {"blur": 0.1}}


def test_later_tables_win_and_lists_are_replaced() -> None:
    assert merge({"a": {"x": 1, "y": 2}, "v": [1, 2]}, {"a": {"y": 3}, "v": [9]}) == {"a": {"x": 1, "y": 3}, "v": [9]}


def test_round_trip_through_toml() -> None:
    config = from_table(Outer, {"name": 'quote " and \\ and ü', "views": [{"threshold": 0.25}], "folder": "a b"})
    assert from_table(Outer, tomllib.loads(dump_toml(to_table(config)))) == config


scalars = st.one_of(
    st.booleans(), st.integers(-(2**40), 2**40), st.floats(allow_nan=False, allow_infinity=False), st.text()
)
tables = st.recursive(
    st.dictionaries(st.text(min_size=1, max_size=5), st.one_of(scalars, st.lists(scalars, max_size=3)), max_size=4),
    lambda inner: st.dictionaries(
        st.text(min_size=1, max_size=5), st.one_of(inner, st.lists(inner, min_size=1, max_size=2)), max_size=3
    ),
    max_leaves=6,
)


@given(tables)
def test_dumped_toml_parses_to_the_same_table(table: dict) -> None:
    assert tomllib.loads(dump_toml(table)) == table
