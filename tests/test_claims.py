"""What speaks for a clip among its copies: words, views and age, from rows of tables."""

from collections.abc import Sequence
from typing import Any

import polars as pl
import pytest

from wanprep.captioners.files import DAMAGED
from wanprep.claims import claims_of, filled, typed_in
from wanprep.frames import frame_of, types_of
from wanprep.measured import Measured
from wanprep.pipeline import Pipeline, resolve
from wanprep.schema import TABLES
from wanprep.stages.precedence import FOLDER_TEXT, OWN_TEXT, TOUCHED, TYPED, Claim

Row = dict[str, Any]
VIEWS = (
    '[{name="large",resolution=[512,256],frames=[9]},{name="small",resolution=[128,64],frames=[9,33]},'
    '{name="part",resolution=[512,256],frames=[9],min_area=0.2},{name="still",media="image",resolution=64}]'
)


def piped(*settings: str) -> Pipeline:
    return resolve(environment={}, assignments=["family=tiny", f"views={VIEWS}", *settings])


def clip(
    name: str, source: str = "s", path: str = "a.mp4", size: tuple[int, int] = (512, 256), frames: int = 20
) -> Row:
    start = 100 * int(name)
    about = {"clip_id": name, "source_id": source, "path": path, "kind": "video", "n_frames": frames}
    return about | {"start_pts": start, "end_pts": start + 100, "width": size[0], "height": size[1]}


def event(of: Row, value: str | None, kind: str = "caption", origin: str = "human") -> Row:
    anchor = {name: of[name] for name in ("source_id", "start_pts", "end_pts")}
    key = f"{kind} {value} {of['clip_id']}"
    return {**anchor, "key": key, "kind": kind, "clip_id": of["clip_id"], "value": value, "origin": origin}


def source(path: str, identity: str, state: str = "pending", **more: Any) -> Row:
    return {"root": "r", "path": path, "file_key": f"k {path}", "state": state, "source_id": identity, **more}


def claimed(
    clips: list[Row], pipeline: Pipeline, sources: Sequence[Row] = (), events: Sequence[Row] = ()
) -> dict[str, Claim]:
    files = [{"key": row["file_key"], "source_id": row["source_id"]} for row in sources]
    measured = Measured(sources=sources, files=files, events=events)
    return dict(claims_of(table(clips), measured, pipeline)([row["clip_id"] for row in clips]))


def table(clips: list[Row]) -> pl.DataFrame:
    return frame_of(clips, types_of(TABLES["clips"]))


def test_the_last_word_of_a_person_counts() -> None:
    clips = [clip(str(k)) for k in range(7)]
    said = [
        event(clips[0], "a cat"),
        event(clips[1], "a cat"), event(clips[1], None),  # taken back
        event(clips[2], "a cat"), event(clips[2], "  "),
        event(clips[3], "not utf-8", origin=DAMAGED),
        event(clips[4], "weight: 0.5\na pet", kind="caption_2"),
        event(clips[5], "keep", kind="verdict"),
    ]  # fmt: skip
    assert typed_in(said, clips) == {"0": TYPED, "2": TOUCHED, "3": TOUCHED, "4": TYPED}
    assert typed_in([], clips) == {}


def test_words_follow_their_clip_through_other_cuts() -> None:
    old = clip("1")
    assert typed_in([event(old, "a cat")], [{**old, "clip_id": "new", "end_pts": old["end_pts"] - 5}]) == {"new": TYPED}
    assert typed_in([event(old, "a cat")], [{**old, "end_pts": old["end_pts"] - 60}]) == {}


@pytest.mark.parametrize("captioner", ["auto", "sidecar", "template"])
def test_a_text_beside_the_film_that_is_used_counts(captioner: str) -> None:
    clips = [clip("0", "s", "a.mp4"), clip("1", "t", "in/b.mp4"), clip("2", "u", "c.mp4")]
    sources = [
        source("a.mp4", "s", beside="a.txt"), source("copy of c.mp4", "u", beside="copy of c.txt"),
        source("in/b.mp4", "t", beside="_default.txt"), source("c.mp4", "u", beside=None),
    ]  # fmt: skip
    found = claimed(clips, piped(f"caption.captioner={captioner}"), sources)
    words = [OWN_TEXT, FOLDER_TEXT, 0] if captioner != "template" else [0, 0, 0]
    assert [found[name].words for name in "012"] == words
    typed = claimed(clips, piped(), sources, [event(clips[0], "a cat")])
    assert [typed[name].words for name in "012"] == [TYPED, FOLDER_TEXT, 0]


def test_bytes_are_as_old_as_their_first_name() -> None:
    clips = [clip("0", "s", "new name.mp4"), clip("1", "t", "b.mp4"), clip("2", "u", "old.mp4")]
    sources = [
        source("old name.mp4", "s", "gone", since=0), source("new name.mp4", "s", since=3),
        source("b.mp4", "t", since=1), source("old.mp4", "u", since=None),
    ]  # fmt: skip
    assert [claim.since for claim in claimed(clips, piped(), sources).values()] == [0, 1, 0]


@pytest.mark.parametrize(
    ("shape", "views"),
    [
        ((512, 256, 40, False), 3),
        ((511, 256, 40, False), 2),  # `large` would have to enlarge it
        ((256, 128, 40, False), 2),
        ((128, 64, 20, False), 1),  # `small` takes one of its two lengths
        ((128, 64, 8, False), 0),
        ((100, 50, 40, False), 0),
        ((512, 256, 1, True), 1),
    ],
)
def test_views_are_counted_that_get_a_sample(shape: tuple[int, int, int, bool], views: int) -> None:
    pipeline = piped()
    assert filled(shape, pipeline.views, pipeline.model) == views
    if not shape[3]:
        found = claimed([clip("0", size=shape[:2], frames=shape[2])], pipeline)
        assert found["0"] == Claim(views=views, width=shape[0], height=shape[1])


def test_only_clips_that_are_asked_for_are_looked_at() -> None:
    claims = claims_of(table([clip(name) for name in "01"]), Measured(), piped())
    assert set(claims(["1"])) == {"1"}
