"""Keys that are made by the thousand are the keys that `key_of` makes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wanprep import keys
from wanprep.config import to_table
from wanprep.ids import key_maker, key_of
from wanprep.stages.split import SplitConfig

PLAIN = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8), st.lists(st.integers(), max_size=3))
NAMES = st.sampled_from(["a", "b", "clip_id", "view", "zeta", "é"])


@settings(max_examples=200, deadline=None)
@given(name=NAMES, text=st.text(max_size=12), fixed=st.dictionaries(NAMES, PLAIN, max_size=4))
def test_a_maker_gives_the_same_keys(name: str, text: str, fixed: dict) -> None:
    fixed.pop(name, None)
    assert key_maker(name, **fixed)(text) == key_of(**{name: text}, **fixed)


def test_a_maker_takes_names_of_files_that_are_no_utf8() -> None:
    assert key_maker("path", root="r")("film\udcff.mp4") == key_of(path="film\udcff.mp4", root="r")


def test_a_text_that_looks_like_the_place_is_no_place() -> None:
    with pytest.raises(ValueError, match="unpack"):
        key_maker("a", b="\0here\0")("x")


def test_shots_depend_on_the_signals_and_on_the_settings() -> None:
    plain, other = SplitConfig(), SplitConfig(margin=9)
    expected = key_of(stage="shots", version=keys.SHOTS_VERSION, signals="digest", split=to_table(plain))
    assert keys.shots("digest", plain) == expected
    assert len({keys.shots("digest", plain), keys.shots("digest", other), keys.shots("another", plain)}) == 3
