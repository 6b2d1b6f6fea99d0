"""Keys that are made by the thousand are the keys that `key_of` makes."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wanprep import keyed, keys
from wanprep.config import to_table
from wanprep.frames import frame_of
from wanprep.ids import canonical, key_between, key_ends, key_of
from wanprep.stages.split import SplitConfig

PLAIN = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8), st.lists(st.integers(), max_size=3))
NAMES = st.sampled_from(["a", "b", "clip_id", "view", "zeta", "é"])


@settings(max_examples=200, deadline=None)
@given(name=NAMES, text=st.text(max_size=12), fixed=st.dictionaries(NAMES, PLAIN, max_size=4))
def test_a_key_between_its_ends_is_the_same(name: str, text: str, fixed: dict) -> None:
    fixed.pop(name, None)
    assert key_between(key_ends(name, **fixed), text) == key_of(**{name: text}, **fixed)


def test_ends_take_names_of_files_that_are_no_utf8() -> None:
    assert key_between(key_ends("path", root="r"), "film\udcff.mp4") == key_of(path="film\udcff.mp4", root="r")


def test_a_text_that_looks_like_the_place_is_no_place() -> None:
    with pytest.raises(ValueError, match="unpack"):
        key_ends("a", b="\0here\0")


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


HELD = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)  # a table holds UTF-8
SPANS = st.lists(st.tuples(HELD, WHOLE, WHOLE, BOX), max_size=6)


@settings(max_examples=200, deadline=None)
@given(spans=SPANS)
def test_columns_of_keys_are_those_of_each_row(spans: list[tuple]) -> None:
    owners, starts, ends, crops = zip(*spans) if spans else ((),) * 4
    box = pl.Series(crops, dtype=pl.List(pl.Int64))
    clips = pl.DataFrame({"source_id": owners, "start_pts": starts, "end_pts": ends}, SPAN)
    assert keyed.clips(clips).to_list() == [keys.clip(*row[:3]) for row in spans]
    rows = clips.rename({"source_id": "signals_key", "start_pts": "start_frame", "end_pts": "end_frame"})
    expected = [keys.scores(*row, *crop) for *row, crop in spans]
    assert keyed.scores(rows.with_columns(crop=box)).to_list() == expected


SPAN = {"source_id": pl.String, "start_pts": pl.Int64, "end_pts": pl.Int64}
FILE = {**SPAN, **dict.fromkeys(("bars", "crop"), pl.List(pl.Int64)), "width": pl.Int64, "height": pl.Int64}
FILES = st.fixed_dictionaries(
    {"source_id": HELD, "start_pts": WHOLE, "end_pts": WHOLE, "bars": BOX, "crop": BOX, "width": WHOLE}
    | {"height": WHOLE, "colour": st.none() | st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=4)}
)


@settings(max_examples=200, deadline=None)
@given(files=st.lists(FILES, max_size=4), rate=st.integers(1, 60))
def test_media_have_the_keys_of_their_parts(files: list[dict], rate: int) -> None:
    expected = []
    for file in files:
        told = {name: value for name, value in file.items() if name not in ("width", "height", "colour")}
        moved = {} if file["colour"] is None else {"colour": file["colour"]}
        size = [file["width"], file["height"]]
        expected.append(key_of(stage="media", version=keys.MEDIA_VERSION, rate=rate, size=size, **told, **moved))
    texts = [None if file["colour"] is None else canonical(file["colour"]) for file in files]
    rows = frame_of([file | {"colour": text} for file, text in zip(files, texts)], {**FILE, "colour": pl.String})
    assert keyed.media(rows, rate).to_list() == expected


@settings(max_examples=100, deadline=None)
@given(
    clips=st.lists(HELD, min_size=1, max_size=4),
    kinds=st.lists(st.dictionaries(NAMES, PLAIN), min_size=1),
    data=st.data(),
)
def test_samples_have_the_keys_of_their_parts(clips: list[str], kinds: list[dict], data: st.DataObject) -> None:
    kinds = [{name: value for name, value in kind.items() if name != "clip_id"} for kind in kinds]
    place = st.tuples(st.integers(0, len(clips) - 1), st.integers(0, len(kinds) - 1))
    places = data.draw(st.lists(place, max_size=8))
    owners, which = (pl.Series([p[k] for p in places], dtype=pl.UInt32) for k in (0, 1))
    found = keyed.between_ends(pl.Series(clips), [key_ends("clip_id", **kind) for kind in kinds], owners, which)
    assert found.to_list() == [key_of(clip_id=clips[c], **kinds[k]) for c, k in places]


def test_an_owner_that_is_no_text_has_no_key() -> None:
    with pytest.raises(TypeError):
        keys.clip(None, 0, 1)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        keyed.clips(pl.DataFrame({"source_id": ["a", None], "start_pts": [0, 0], "end_pts": [1, 1]}))


@settings(max_examples=100, deadline=None)
@given(scores=st.lists(OWNER, max_size=4))
def test_pools_have_the_keys_of_their_parts(scores: list[str]) -> None:
    assert keys.pool(scores) == key_of(stage="pool", rule=keys._overlay_rule(), scores=scores)
