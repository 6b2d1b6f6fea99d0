import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wanprep.config import changes, from_table, merge, parse_set, parse_value, paths, to_table
from wanprep.layers import check_environment, of_environment
from wanprep.stage import UsageError
from wanprep.toml_text import dump_toml


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


@dataclass(frozen=True, kw_only=True)
class Asking:
    size: int = field(metadata={"example": "480"})
    name: str


def test_what_is_missing_is_named_with_an_example() -> None:
    with pytest.raises(UsageError, match=r"^views\[0\]\.size is missing; for example size = 480$"):
        from_table(Asking, {"name": "a"}, "views[0]")
    with pytest.raises(UsageError, match=r"^name is missing$"):
        from_table(Asking, {"size": 480})


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
        ({"blur": {"treshold": 1.0}}, "did you mean 'blur.threshold'"),
        ({"threshold": 1.0}, "did you mean 'blur.threshold'"),
        ({"blur": {"resolution": 1.0}}, "known: enabled, threshold"),
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


def test_what_is_no_number_is_no_default_either() -> None:
    from wanprep.pipeline import resolve

    with pytest.raises(UsageError, match=r"filter.overlay.threshold must be a number, got nan; leave it out"):
        resolve(assignments=["filter.overlay.threshold=nan"])
    assert resolve(assignments=["filter.overlay.enabled=true"]).filter.overlay.threshold == 0.5


def test_set_values_are_toml_or_words() -> None:
    assert parse_set(["a.b=1", "a.c=true", "family=tiny", "x=[1, 2]"]) == {
        "a": {"b": 1, "c": True},
        "family": "tiny",
        "x": [1, 2],
    }
    assert parse_set(["a=.5", "b=-5.", "c=+.5e-2", "d=..", "e=.5.", "f=."]) == {
        **{"a": 0.5, "b": -5.0, "c": 0.005},  # as people and Python write numbers
        **{"d": "..", "e": ".5.", "f": "."},
    }
    assert parse_value(".5", as_text=True) == ".5"
    with pytest.raises(UsageError, match="expected section"):
        parse_set(["novalue"])


def test_environment_takes_only_known_sections() -> None:
    given = {"WANPREP_NAME": "tiny", "WANPREP_HOME": "/x", "WANPREP_BLUR__THRESHOLD": "0.1", "PATH": "p"}
    found = of_environment(given, Outer)
    assert merge(*(layer.table for layer in found)) == {"name": "tiny", "blur": {"threshold": 0.1}}
    assert [layer.origin for layer in found] == ["the variable WANPREP_BLUR__THRESHOLD", "the variable WANPREP_NAME"]
    check_environment(given, Outer)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("WANPREP_NMAE", "'WANPREP_NAME'"),
        ("WANPREP_BLRU__THRESHOLD", "'WANPREP_BLUR__THRESHOLD'"),
        ("WANPREP_BLUR_THRESHOLD", "'WANPREP_BLUR__THRESHOLD'"),
        ("WANPREP_MODEL", "'WANPREP_MODELS'"),
        ("WANPREP_QQQQ", "correct it, or unset it"),
    ],
)
def test_a_variable_that_nobody_reads_is_refused_with_the_nearest_name(name: str, near: str) -> None:
    with pytest.raises(UsageError, match=f"variable {name}") as told:
        check_environment({name: "1"}, Outer)
    assert near in str(told.value)
    check_environment({name: "1"}, Outer, also=[name])
    check_environment({name: "1"}, Outer, prefix="WANTRAIN_")


def test_every_variable_that_the_code_reads_is_allowed() -> None:
    import re

    import wanprep
    import wantrain
    from wanprep.layers import MACHINE
    from wanprep.pipeline import Pipeline
    from wantrain.config import TrainConfig

    read = re.compile(r"""["'](WANPREP|WANTRAIN)_([A-Z_]+)["']""")
    packages = [Path(str(package.__file__)).parent for package in (wanprep, wantrain)]
    texts = [file.read_text() for package in packages for file in package.rglob("*.py")]
    named = {match[0] + "_" + match[1] for text in texts for match in read.findall(text)} - {"WANPREP_", "WANTRAIN_"}
    assert named >= set(MACHINE)  # the pattern finds them
    check_environment(dict.fromkeys(named, "x"), Pipeline)
    check_environment(dict.fromkeys(named, "x"), TrainConfig, prefix="WANTRAIN_")


def test_paths_are_sections_and_settings() -> None:
    found = paths(Outer)
    assert "blur" in found
    assert "blur.threshold" in found
    assert len(found) == 9


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


def test_changes_between_two_tables_for_people():
    before = {"family": "a", "caption": {"trigger": "x", "retries": 2}, "views": [{"name": "n" * 100}]}
    after = {"family": "a", "caption": {"retries": 3, "goal": "style"}, "views": [{"name": "m" * 100}]}
    assert changes(before, before) == ""
    assert changes(before, after) == (
        'caption.retries = 3 (was 2), caption.goal = "style" (was unset), views (changed), '
        'caption.trigger is unset (was "x")'
    )
    assert changes({}, {f"k{i}": i for i in range(11)}).endswith("k7 = 7 (was unset) and 3 more")
