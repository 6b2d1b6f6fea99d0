"""Crops that follow the content, the limit to what they cut off, and mirrored copies."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wanprep.families import family
from wanprep.signals.content import BINS
from wanprep.stage import Reject, UsageError
from wanprep.stages.bucket import ClipInfo, View, choose, mp4_needs
from wanprep.stages.crop import crop_box, follow
from wanprep.stages.samples import samples_of
from wanprep.stages.sides import names_a_side
from wanprep.stages.windows import check_views

WAN = family("wan2.1-t2v-14b")


def view(**changes) -> View:
    return View(**({"name": "v", "resolution": (480, 480), "frames": (21,), "aspect_buckets": False} | changes))


def clip(name: str = "a", **changes) -> ClipInfo:
    base: dict[str, Any] = {"source_id": "s", "group": "g", "width": 1920, "height": 1080, "n_frames": 100}
    return ClipInfo(clip_id=name, **(base | changes))


def bump(across: float, down: float) -> bytes:
    """Profiles with everything in one bin at each of the two places (0 to 1)."""
    both = np.zeros((2, BINS), np.uint8)
    both[0, min(BINS - 1, int(across * BINS))] = both[1, min(BINS - 1, int(down * BINS))] = 255
    return both.tobytes()


@given(
    size=st.tuples(st.integers(64, 2000), st.integers(64, 2000)),  # of the picture; bars are beside it
    bars=st.tuples(st.integers(0, 300), st.integers(0, 300), st.integers(0, 300), st.integers(0, 300)),
    bucket=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    at=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
@example(size=(71, 64), bars=(3, 0, 37, 0), bucket=(1, 1), at=(1.0, 0.0))
@settings(max_examples=200, deadline=None)
def test_a_moved_crop_keeps_its_size_stays_inside_and_holds_the_subject(size, bars, bucket, at):
    width, height = size
    frame = (bars[0], bars[1], width + bars[0] + bars[2], height + bars[1] + bars[3])
    crop = crop_box(width, height, (bucket[0] * 16, bucket[1] * 16))
    # The subject's place in the picture, expressed in the source frame; what is a pixel farther on lies in a bar.
    across, down = ((frame[axis] + min(at[axis] * size[axis], size[axis] - 1)) / frame[2 + axis] for axis in (0, 1))
    ((x, y, w, h),) = follow(width, height, frame, crop, [bump(across, down)])
    assert (w, h) == crop[2:]
    assert 0 <= x <= width - w
    assert 0 <= y <= height - h
    moves_x = w < width
    assert moves_x or x == crop[0]
    assert not moves_x or y == crop[1]
    side, start, length, place, whole = (width, x, w, at[0], frame[2]) if moves_x else (height, y, h, at[1], frame[3])
    if length >= 3 * whole / BINS:  # a bin is the finest place there is
        assert start - whole / BINS - 1 <= place * side <= start + length + whole / BINS + 1


def test_unknown_content_leaves_the_crop_in_the_centre():
    crop = crop_box(1920, 1080, (480, 480))
    assert follow(1920, 1080, (0, 0, 1920, 1080), crop, [b"", bump(0.9, 0.5)])[0] == crop
    assert follow(1920, 1080, (0, 0, 1920, 1080), crop, [b"", bump(0.9, 0.5)])[1] != crop


def test_a_sample_is_cropped_to_its_own_clips_content_and_bars_are_no_place_for_it():
    left, right = clip("l", content=bump(0.02, 0.5)), clip("r", content=bump(0.98, 0.5))
    boxed = clip("x", content=bump(0.26, 0.5), width=960, frame=(480, 0, 1920, 1080))
    rows = {row["clip_id"]: row for row in samples_of([left, right, boxed, clip("u")], [view()], WAN)}
    assert rows["l"]["crop"] == [0, 0, 1080, 1080]
    assert rows["r"]["crop"] == [840, 0, 1080, 1080]
    assert rows["u"]["crop"] == [420, 0, 1080, 1080]
    assert rows["x"]["crop"][2:] == [960, 960]
    centre = samples_of([left], [view(crop="centre")], WAN)
    assert centre[0]["crop"] == [420, 0, 1080, 1080]
    assert centre[0]["sample_id"] == rows["l"]["sample_id"]


def test_all_windows_and_views_of_a_size_share_the_crop():
    views = [view(frames=(1, 21), mode="chunk"), view(name="w", frames=(41,), mode="uniform", samples=3)]
    clips = [clip(f"{i}", content=bump(i / 10, 0.3), n_frames=60 + i) for i in range(10)]
    needs = mp4_needs(samples_of(clips, views, WAN))
    assert {len(sizes) for sizes in needs.values()} == {1}
    assert len({sizes[0][2] for sizes in needs.values()}) > 5


def test_views_must_agree_on_the_crop_where_they_could_share_a_file():
    with pytest.raises(UsageError, match="use one for both"):
        check_views([view(), view(name="w", crop="centre", media="any")], WAN)
    check_views([view(), view(name="w", crop="centre", media="image", frames=(1,))], WAN)


def test_a_crop_that_loses_too_much_is_named_with_its_share():
    tall = view(resolution=(480, 832), max_crop=0.5)
    with pytest.raises(Reject) as caught:
        choose(1920, 1080, tall, WAN)
    assert caught.value.reason == "crop_too_large"
    lost = 1 - 623 / 1920
    assert f"{100 * lost:.1f} %" in caught.value.detail
    assert "aspect_buckets = true" in caught.value.detail
    assert choose(1920, 1080, view(resolution=(480, 832), max_crop=0.7), WAN)[:2] == (480, 832)
    assert choose(1920, 1080, view(resolution=(480, 832)), WAN)[:2] == (480, 832)  # no limit unless asked for
    rows = samples_of([clip(), clip("b", width=1080, height=1920)], [tall], WAN)
    assert [(row["clip_id"], row["reason"]) for row in rows] == [("a", "crop_too_large"), ("b", "")]
    with pytest.raises(UsageError, match="max_crop"):
        view(max_crop=1.0)


def test_mirrored_copies_are_samples_of_their_own_on_the_same_file():
    plain = samples_of([clip(content=bump(0.1, 0.5))], [view(frames=(1, 21))], WAN)
    rows = samples_of([clip(content=bump(0.1, 0.5))], [view(frames=(1, 21), flip_x=True)], WAN)
    assert [(row["frames"], row["flip"]) for row in rows] == [(1, False), (1, True), (21, False), (21, True)]
    assert len({row["sample_id"] for row in rows}) == 4
    assert {row["sample_id"] for row in plain} == {row["sample_id"] for row in rows if not row["flip"]}
    assert len(mp4_needs(rows)["a"]) == 1
    assert {tuple(row["crop"]) for row in rows} == {tuple(plain[0]["crop"])}


def test_a_mirrored_window_asked_for_twice_is_a_duplicate_of_the_mirrored_one():
    rows = samples_of([clip()], [view(flip_x=True), view(name="w", flip_x=True)], WAN)
    assert Counter((row["view"], row["flip"], row["state"]) for row in rows) == {
        ("v", False, "ok"): 1, ("v", True, "ok"): 1, ("w", False, "duplicate"): 1, ("w", True, "duplicate"): 1,
    }  # fmt: skip
    assert len({row["sample_id"] for row in rows}) == 4
    for row in rows[2:]:
        twin = rows[1] if row["flip"] else rows[0]
        assert twin["sample_id"] in row["detail"]


def test_what_cannot_be_made_is_missing_once():
    rows = samples_of([clip(n_frames=20), clip("b", width=100, height=100)], [view(flip_x=True)], WAN)
    assert [row["reason"] for row in rows] == ["too_short_for_21", "would_upscale"]


@pytest.mark.parametrize(
    ("caption", "word"),
    [
        ("slow pan left over a lake", "left"),
        ("a door on the Right-hand side", "Right-hand"),
        ("he walks leftwards", "leftwards"),
        ("a bright cleft in the rock", None),
        ("", None),
    ],
)
def test_a_caption_that_tells_the_sides_apart_is_noticed(caption, word):
    assert names_a_side(caption) == word


def test_ten_thousand_clips_with_content():
    rng = np.random.default_rng(1)
    contents = rng.integers(0, 256, (10_000, 2 * BINS)).astype(np.uint8)
    clips = [
        clip(f"{i:05d}", n_frames=17 + i * 7 % 380, width=1920 - i % 100 * 2, content=contents[i].tobytes())
        for i in range(10_000)
    ]
    views = [view(aspect_buckets=True), view(name="w", resolution=(832, 480), frames=(41,), mode="uniform", samples=2)]
    rows = samples_of(clips, views, WAN)
    assert len(rows) == 30_000


@pytest.mark.parametrize("bars", [0, 131, 140])
def test_a_crop_that_follows_begins_at_an_even_pixel_of_its_source(bars):
    frame = (0, bars, 1920, 1080)
    crop = (420, 0, 1080, 818)
    for at in (0.2, 0.31, 0.44, 0.57, 0.9):
        ((x, y, *_),) = follow(1920, 818, frame, crop, [bump(at, 0.5)])
        assert x % 2 == 0
        assert y == 0
    tall = (0, 100, 1920, 600)
    for at in (0.2, 0.31, 0.44, 0.57):
        ((_, y, *_),) = follow(1920, 818, frame, tall, [bump(0.5, at)])
        assert (y + bars) % 2 == 0 or y == 0
