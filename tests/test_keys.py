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


WHOLE = st.integers(min_value=-(2**62), max_value=2**62)
BOX = st.tuples(WHOLE, WHOLE, WHOLE, WHOLE).map(list)
OWNER = st.text(max_size=12) | st.just("film\udcff")  # of the name of a file that is no UTF-8


@settings(max_examples=200, deadline=None)
@given(owner=OWNER, start=WHOLE, end=WHOLE, crop=BOX)
def test_clips_and_scores_have_the_keys_of_their_parts(owner: str, start: int, end: int, crop: list[int]) -> None:
    assert keys.clip(owner, start, end) == key_of(source_id=owner, start_pts=start, end_pts=end)[:16]
    parts = {"stage": "scores", "version": keys.SCORES_VERSION, "signals": owner, "frames": [start, end]}
    assert keys.scores(owner, start, end, *crop) == key_of(**parts, crop=crop)


@settings(max_examples=200, deadline=None)
@given(
    owner=OWNER,
    span=st.tuples(WHOLE, WHOLE),
    boxes=st.tuples(BOX, BOX),
    size=st.tuples(WHOLE, WHOLE),
    rate=st.integers(1, 60),
    colour=st.none() | st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=4),
)
def test_media_have_the_keys_of_their_parts(
    owner: str, span: tuple, boxes: tuple, size: tuple, rate: int, colour: list | None
) -> None:
    clip = {"source_id": owner, "start_pts": span[0], "end_pts": span[1], "crop": boxes[0]}
    moved = {} if colour is None else {"colour": colour}
    told = {"source_id": owner, "start_pts": span[0], "end_pts": span[1], "bars": boxes[0], "crop": boxes[1]}
    expected = key_of(stage="media", version=keys.MEDIA_VERSION, rate=rate, size=size, **told, **moved)
    assert keys.media(clip, rate, colour, size, boxes[1]) == expected
    other = clip | {"crop": [*boxes[0][:3], boxes[0][3] + 1]}
    assert keys.media(other, rate, colour, size, boxes[1]) != expected


def test_an_owner_that_is_no_text_has_no_key() -> None:
    with pytest.raises(TypeError):
        keys.clip(None, 0, 1)  # type: ignore[arg-type]


@settings(max_examples=100, deadline=None)
@given(scores=st.lists(OWNER, max_size=4))
def test_pools_have_the_keys_of_their_parts(scores: list[str]) -> None:
    assert keys.pool(scores) == key_of(stage="pool", rule=keys._overlay_rule(), scores=scores)
