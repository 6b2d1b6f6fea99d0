"""Windows, buckets, crops, and the whole table of samples."""

from __future__ import annotations

import math
import tomllib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wanprep.config import from_table
from wanprep.families import FAMILIES, family
from wanprep.schema import TABLES
from wanprep.stage import Reject, UsageError
from wanprep.stages.bucket import (
    SAMPLE_COLUMNS,
    ClipInfo,
    View,
    buckets_of,
    choose,
    crop_box,
    mp4_needs,
)
from wanprep.stages.samples import samples_of
from wanprep.stages.windows import check_views, shortfalls, windows

WAN = family("wan2.1-t2v-14b")
PRESET = Path(__file__).parents[2] / "pipelines" / "style-24gb-three-views.toml"


def view(**changes) -> View:
    return View(**({"name": "v", "resolution": (832, 480), "frames": (21,)} | changes))


def clip(name: str, **changes) -> ClipInfo:
    base = {"source_id": "s", "group": "g", "width": 1920, "height": 1080, "n_frames": 100}
    return ClipInfo(clip_id=name, **(base | changes))


def preset_views() -> list[View]:
    table = tomllib.loads(PRESET.read_text(encoding="utf-8"))
    assert set(table) == {"family", "views"}
    return [from_table(View, entry, "views") for entry in table["views"]]


def states(rows) -> Counter:
    return Counter((row["state"], row["reason"]) for row in rows)


# --- views ---


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"frames": (44,)}, "use 41 or 45"),
        ({"frames": (0,)}, "at least 1"),
        ({"frames": (True,)}, "whole number"),
        ({"frames": ()}, "frames is missing"),
        ({"frames": (21, 21)}, "repeats"),
        ({"media": "image"}, "a still has one"),
        ({"media": "film"}, "video, image, any"),
        ({"mode": "tail"}, "head, chunk, slide, uniform, full"),
        ({"mode": "slide"}, "stride = 16"),
        ({"mode": "uniform"}, "samples = 2"),
        ({"mode": "uniform", "samples": 0}, "at least 1"),
        ({"stride": 4}, 'mode = "slide"'),
        ({"max_frames": 45}, 'mode = "full"'),
        ({"mode": "full"}, "max_frames"),
        ({"resolution": (832,)}, "[width, height]"),
        ({"resolution": 0}, "[width, height]"),
        ({"repeats": 0}, "repeats"),
        ({"weight": 0.0}, "weight"),
        ({"weight": math.nan}, "weight"),
        ({"min_area": 1.5}, "min_area"),
        ({"min_area": 0.5, "no_upscale": False}, "no_upscale"),
        ({"min_area": 0.5, "aspect_buckets": False}, "aspect_buckets"),
        ({"name": "a/b"}, "name"),
    ],
)
def test_a_bad_view_is_refused_with_the_remedy(changes, says):
    with pytest.raises(UsageError) as caught:
        view(**changes)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("views", "name", "says"),
    [
        ([], "wan2.1-t2v-14b", "[[views]]"),
        ([view(), view()], "wan2.1-t2v-14b", "two views"),
        ([view(frames=(85,))], "wan2.1-t2v-14b", "up to 81"),
        ([view(frames=(), mode="full", max_frames=100)], "wan2.1-t2v-14b", "up to 81"),
        ([view(resolution=(1280, 720), aspect_buckets=False)], "wan2.2-ti2v-5b", "[1280, 736]"),
        ([view(resolution=8)], "wan2.1-t2v-14b", "16x16"),
    ],
)
def test_views_that_do_not_fit_the_family_are_refused(views, name, says):
    with pytest.raises(UsageError) as caught:
        check_views(views, family(name))
    assert says in str(caught.value)


def test_views_that_fit_are_accepted():
    check_views([view(frames=(121,), resolution=(1280, 704), aspect_buckets=False)], family("wan2.2-ti2v-5b"))
    check_views(preset_views(), WAN)


# --- windows ---


def naive(n: int, mode: str, targets, stride, samples, limit) -> list[tuple[int, int]]:
    """The rules once more, by exhaustive search over start frames instead of by formula."""
    found: list[tuple[int, int]] = []
    if mode == "full":
        return [(0, max(f for f in range(1, min(n, limit) + 1) if f % 4 == 1))]
    for t in targets:
        fits = [i for i in range(n) if i + t <= n]
        if mode == "head":
            found += [(i, t) for i in fits if i == 0]
        elif mode == "chunk":
            found += [(i, t) for i in fits if i % t == 0]
        elif mode == "slide":
            found += [(i, t) for i in fits if i % stride == 0]
        elif fits:
            found += [(math.floor(float(p)), t) for p in np.linspace(0.0, float(fits[-1]), samples)]
    return found


lengths = st.lists(st.integers(0, 20).map(lambda n: 4 * n + 1), min_size=1, max_size=3, unique=True).map(tuple)


@given(
    n=st.integers(1, 300),
    mode=st.sampled_from(["head", "chunk", "slide", "uniform", "full"]),
    targets=lengths,
    stride=st.integers(1, 40),
    samples=st.integers(1, 9),
    limit=st.integers(1, 81),
)
@settings(max_examples=400, deadline=None)
def test_windows_follow_the_rules(n, mode, targets, stride, samples, limit):
    only = {"slide": {"stride": stride}, "uniform": {"samples": samples}, "full": {"max_frames": limit}}
    made_of = view(frames=() if mode == "full" else targets, mode=mode, **only.get(mode, {}))
    found = windows(n, made_of)
    assert [(w.start, w.frames) for w in found] == naive(n, mode, targets, stride, samples, limit)
    for window in found:
        assert window.frames % 4 == 1
        assert window.start >= 0
        assert window.start + window.frames <= n
    missing = Counter(short.frames for short in shortfalls(n, made_of))
    made = Counter(window.frames for window in found)
    assert not set(missing) & set(made)
    if mode != "full":
        assert set(missing) | set(made) == set(targets)
        if mode in ("head", "uniform"):
            assert sum((missing + made).values()) == len(targets) * (samples if mode == "uniform" else 1)


@pytest.mark.parametrize(
    ("n", "changes", "expected"),
    [
        (46, {"frames": (45,), "mode": "uniform", "samples": 2}, [(0, 45), (1, 45)]),
        (45, {"frames": (45,), "mode": "uniform", "samples": 2}, [(0, 45), (0, 45)]),
        (50, {"frames": (21,), "mode": "chunk"}, [(0, 21), (21, 21)]),
        (50, {"frames": (21,), "mode": "slide", "stride": 10}, [(0, 21), (10, 21), (20, 21)]),
        (67, {"frames": (81,)}, []),
        (200, {"frames": (), "mode": "full"}, [(0, 197)]),
        (3, {"frames": (), "mode": "full"}, [(0, 1)]),
    ],
)
def test_windows_of_known_clips(n, changes, expected):
    assert [(w.start, w.frames) for w in windows(n, view(**changes))] == expected


def test_full_is_capped_by_the_family():
    (row,) = samples_of([clip("a", n_frames=200)], [view(frames=(), mode="full")], WAN)
    assert (row["start"], row["frames"], row["state"]) == (0, 81, "ok")


def test_a_clip_without_frames_is_an_error():
    with pytest.raises(ValueError, match="at least one frame"):
        windows(0, view())


# --- buckets and crops ---


@given(cells=st.integers(16, 6000), grid=st.sampled_from([16, 32]), aspect=st.floats(1.0, 6.0))
@settings(max_examples=150, deadline=None)
def test_buckets_are_near_equal_and_on_the_grid(cells, grid, aspect):
    area = cells * grid * grid
    sizes = buckets_of(area, grid, max_aspect=aspect)
    assert sizes == sorted(set(sizes))
    for wide, high in sizes:
        assert wide % grid == high % grid == 0
        assert 0 <= cells - wide * high // grid**2 < math.sqrt(cells) or (wide == high and wide * high >= 0.85 * area)
        assert max(wide, high) <= aspect * min(wide, high)
        assert (high, wide) in sizes
    square = math.isqrt(cells) * grid
    unique = math.isqrt(cells) * (math.isqrt(cells) + 1) > cells  # it cannot grow on either side
    assert ((square, square) in sizes) == (square * square >= 0.85 * area or unique)


@pytest.mark.parametrize("hint", [(768, 416), (384, 208), (832, 480), (768, 768), (1280, 256)])
def test_the_hinted_size_is_itself_a_bucket(hint):
    assert choose(hint[0] * 2, hint[1] * 2, view(resolution=hint), WAN)[:2] == hint


def peers_buckets(hint, grid) -> set[tuple[int, int]]:
    """The same idea stated from the other end: every width, the tallest height below the area, and both mirrored."""
    area = hint[0] * hint[1]
    root = math.isqrt(area)
    wides = range(root // 2 // grid * grid, root + grid, grid)
    pairs = [(w, area // w // grid * grid) for w in wides]
    return {*pairs, *((h, w) for w, h in pairs)}


@pytest.mark.parametrize("hint", [(768, 416), (384, 208), (832, 480), (512, 512)])
def test_buckets_agree_with_the_width_by_width_rule_except_dominated_ones(hint):
    ours = {b for b in buckets_of(hint[0] * hint[1], 16) if b[0] != b[1]}
    theirs = {b for b in peers_buckets(hint, 16) if b[0] != b[1] and max(b) <= 4 * min(b)}
    assert ours <= theirs
    for wide, high in theirs - ours:
        assert any(w >= wide and h >= high for w, h in ours)


@given(width=st.integers(16, 4000), height=st.integers(16, 4000), w=st.integers(1, 80), h=st.integers(1, 80))
@settings(max_examples=300, deadline=None)
def test_crops_are_inside_centred_largest_and_do_not_stretch(width, height, w, h):
    bucket = (w * 16, h * 16)
    x, y, cw, ch = crop_box(width, height, bucket)
    assert 0 <= x <= x + cw <= width
    assert 0 <= y <= y + ch <= height
    assert cw == width or ch == height
    assert abs((width - cw) - 2 * x) <= 1
    assert abs((height - ch) - 2 * y) <= 1
    # The exact side of that aspect is at most half a pixel away (a side is never below one pixel).
    if cw == width:
        assert abs(ch - width * bucket[1] / bucket[0]) <= 0.5 or ch in (1, height)
    else:
        assert abs(cw - height * bucket[0] / bucket[1]) <= 0.5 or cw == 1
    if ch == height and cw == width:
        assert abs(width - height * bucket[0] / bucket[1]) <= 0.5 or abs(height - width * bucket[1] / bucket[0]) <= 0.5


def kept(width: int, height: int, bucket: tuple[int, int]) -> float:
    """Share of the picture that a bucket of this shape keeps."""
    aspects = sorted((width / height, bucket[0] / bucket[1]))
    return aspects[0] / aspects[1]


def every_size(area: int, grid: int, least: float) -> list[tuple[int, int]]:
    sides = range(grid, area // grid + 1, grid)
    sizes = [(w, h) for w in sides for h in range(grid, area // w + 1, grid) if max(w, h) <= 4 * min(w, h)]
    return [(w, h) for w, h in sizes if w * h >= least * area]


@given(
    width=st.integers(64, 4000),
    height=st.integers(64, 4000),
    name=st.sampled_from(sorted(FAMILIES)),
    hint=st.sampled_from([(640, 384), (320, 176), (480, 272)]),
)
@settings(max_examples=200, deadline=None)
def test_the_chosen_bucket_crops_least_and_never_enlarges(width, height, name, hint):
    fam, asked, area = family(name), view(resolution=hint), hint[0] * hint[1]
    full = buckets_of(area, fam.grid)
    best = max(kept(width, height, bucket) for bucket in full)
    if best < 0.95 - 1e-9:
        best = max(best, *(kept(width, height, size) for size in every_size(area, fam.grid, 0.85)))
    try:
        wide, high, (_, _, cw, ch) = choose(width, height, asked, fam)
    except Reject as reject:
        wide, high = map(int, reject.detail.split("its bucket ")[1].split()[0].split("x"))
        assert wide > width or high > height
    else:
        assert cw >= wide
        assert ch >= high
    assert kept(width, height, (wide, high)) >= best - 1e-9
    assert wide * high <= area
    assert wide * high >= 0.85 * area or (wide, high) in full


@pytest.mark.parametrize(
    ("picture", "hint", "name", "bucket"),
    [
        ((720, 720), (832, 480), "wan2.1-t2v-14b", (624, 624)),
        ((720, 720), (480, 272), "wan2.1-t2v-14b", (352, 352)),
        ((720, 720), (320, 176), "wan2.1-t2v-14b", (224, 224)),
        ((1920, 800), (320, 176), "wan2.1-t2v-14b", (352, 144)),
        ((800, 1920), (320, 176), "wan2.1-t2v-14b", (144, 352)),
        ((1280, 720), (320, 176), "wan2.2-ti2v-5b", (320, 160)),
        ((1280, 720), (480, 272), "wan2.2-ti2v-5b", (448, 256)),
        # A few per cent are not worth a smaller picture and another bucket.
        ((1280, 720), (832, 480), "wan2.1-t2v-14b", (832, 480)),
        ((720, 1280), (832, 480), "wan2.1-t2v-14b", (480, 832)),
        ((1280, 720), (1280, 704), "wan2.2-ti2v-5b", (1280, 704)),
        ((640, 480), (832, 480), "wan2.1-t2v-14b", (720, 544)),
    ],
)
def test_shapes_that_the_largest_sizes_would_cut(picture, hint, name, bucket):
    picture = (2 * picture[0], 2 * picture[1])
    wide, high, (_, _, cw, ch) = choose(*picture, view(resolution=hint), family(name))
    assert (wide, high) == bucket
    assert cw * ch >= 0.88 * picture[0] * picture[1]


@pytest.mark.parametrize(("hint", "most"), [((832, 480), 20), ((480, 272), 28), ((320, 176), 25)])
def test_pictures_of_every_odd_shape_share_a_few_buckets(hint, most):
    """Full batches come from few buckets: the grid bounds them, not how many shapes there are."""
    shapes = [(1920 - 8 * (i % 90), 1080 - 12 * (i // 90)) for i in range(4500)]
    used = {choose(*shape, view(resolution=hint), WAN)[:2] for shape in shapes}
    assert 5 < len(used) <= most  # and 18, 10 and 7 where only those of the whole area are taken


def test_a_small_clip_is_rejected_with_numbers_unless_allowed():
    with pytest.raises(Reject) as caught:
        choose(640, 360, view(), WAN)
    assert caught.value.reason == "would_upscale"
    assert "640x360" in caught.value.detail
    assert "832x480" in caught.value.detail
    assert "1.33 times" in caught.value.detail
    assert "min_area <= 0.56" in caught.value.detail
    assert choose(640, 360, view(no_upscale=False), WAN) == (832, 480, (8, 0, 624, 360))
    wide, high, (_, _, cw, ch) = choose(640, 360, view(min_area=0.5), WAN)
    assert (wide, high) == (640, 352)
    assert cw >= wide
    assert ch >= high
    with pytest.raises(Reject):
        choose(640, 360, view(min_area=0.6), WAN)
    for width, height in ((613, 357), (400, 411), (830, 90)):  # following the advice works
        with pytest.raises(Reject) as caught:
            choose(width, height, view(), WAN)
        share = float(caught.value.detail.split("min_area <= ")[1].split(",")[0])
        wide, high, _ = choose(width, height, view(min_area=share), WAN)
        assert wide <= width
        assert high <= height
    with pytest.raises(Reject):  # no cell fits at all
        choose(10, 10, view(min_area=0.001), WAN)


def test_without_aspect_buckets_every_shape_gets_the_exact_size():
    fixed = view(aspect_buckets=False)
    assert choose(1080, 1920, fixed, WAN) == (832, 480, (0, 648, 1080, 623))
    assert choose(1080, 1920, view(), WAN)[0] < choose(1080, 1920, view(), WAN)[1]


def test_an_exact_tie_is_settled_the_same_way_every_time():
    # 3 x 4 cells: a square picture is as near to the wide as to the tall bucket, and 3 x 3 are too few.
    assert choose(1000, 1000, view(resolution=(48, 64)), WAN)[:2] == (64, 48)


# --- samples ---


def recipe(short: int = 0) -> list[ClipInfo]:
    clips = [clip(f"c{i:03d}", n_frames=45 if i < short else 46 + i % 80) for i in range(240)]
    return clips + [clip(f"still{i:03d}", n_frames=1, is_image=True, width=1600, height=1200) for i in range(120)]


def test_the_three_view_recipe_counts_1080():
    rows = samples_of(recipe(), preset_views(), WAN)
    assert states(rows) == {("ok", ""): 1080}
    assert Counter((row["view"], row["frames"]) for row in rows) == {
        ("stills", 1): 120,
        ("look", 1): 240,
        ("look", 21): 240,
        ("motion", 45): 480,
    }
    needs = mp4_needs(rows)
    assert len(needs) == 360
    assert {len(sizes) for name, sizes in needs.items() if name.startswith("c")} == {2}
    assert {len(sizes) for name, sizes in needs.items() if name.startswith("still")} == {1}


def test_two_clips_of_exactly_45_frames_make_it_1078_and_both_missing_are_named():
    rows = samples_of(recipe(short=2), preset_views(), WAN)
    assert states(rows) == {("ok", ""): 1078, ("duplicate", "duplicate_window"): 2}
    lost = [row for row in rows if row["state"] == "duplicate"]
    assert [row["clip_id"] for row in lost] == ["c000", "c001"]
    by_id = {row["sample_id"]: row for row in rows}
    for row in lost:
        (twin,) = [name for name in by_id if name in row["detail"]]
        same = ("clip_id", "start", "frames", "width", "height")
        assert [by_id[twin][name] for name in same] == [row[name] for name in same]
        assert by_id[twin]["state"] == "ok"


def test_too_short_clips_account_for_every_window_asked():
    rows = samples_of([clip("a", n_frames=44)], preset_views(), WAN)
    assert states(rows) == {("ok", ""): 2, ("rejected", "too_short_for_45"): 2}
    assert all("44 of the 45" in row["detail"] for row in rows if row["state"] == "rejected")


def test_a_small_clip_is_rejected_only_for_the_view_it_is_too_small_for():
    rows = samples_of([clip("a", width=640, height=360)], preset_views(), WAN)
    assert Counter((r["view"], r["state"], r["reason"]) for r in rows) == {
        ("look", "rejected", "would_upscale"): 2,
        ("motion", "ok", ""): 2,
    }
    assert all(row["width"] is None for row in rows if row["state"] == "rejected")


def test_a_clip_that_no_view_takes_is_named():
    rows = samples_of([clip("a", n_frames=1, is_image=True), clip("b")], [view()], WAN)
    assert [(r["clip_id"], r["state"], r["reason"]) for r in rows] == [
        ("a", "rejected", "no_view_for_image"),
        ("b", "ok", ""),
    ]


def test_windows_that_coincide_across_views_are_one_sample_unless_the_size_differs():
    both = [view(name="x"), view(name="y", repeats=3), view(name="z", resolution=(416, 240))]
    rows = samples_of([clip("a")], both, WAN)
    assert [(r["view"], r["state"]) for r in rows] == [("x", "ok"), ("y", "duplicate"), ("z", "ok")]
    assert "'x'" in rows[1]["detail"]


@given(
    clips=st.lists(
        st.tuples(st.integers(100, 2000), st.integers(100, 2000), st.integers(1, 130), st.booleans()), max_size=12
    ),
    seed=st.randoms(use_true_random=False),
)
@settings(max_examples=60, deadline=None)
def test_every_clip_has_rows_with_unique_ids_in_an_order_of_their_own(clips, seed):
    views = [*preset_views(), view(name="any", media="any", frames=(1, 33), mode="chunk", repeats=2, min_area=0.3)]
    infos = [
        clip(f"{i:02d}", width=w, height=h, n_frames=1 if still else n, is_image=still)
        for i, (w, h, n, still) in enumerate(clips)
    ]
    rows = samples_of(infos, views, WAN)
    mixed = infos[:]
    seed.shuffle(mixed)
    assert samples_of(mixed, views, WAN) == rows
    assert len({row["sample_id"] for row in rows}) == len(rows)
    assert {row["clip_id"] for row in rows} == {info.clip_id for info in infos}
    for row in rows:
        assert tuple(row) == SAMPLE_COLUMNS
        assert (row["state"] == "ok") == (row["reason"] == "") == (row["detail"] == "")
        if row["state"] == "ok":
            assert row["tokens"] == ((row["frames"] - 1) // 4 + 1) * (row["width"] // 16) * (row["height"] // 16)
    needs = mp4_needs(rows)
    for row in rows:
        if row["state"] == "ok":
            assert (row["width"], row["height"], tuple(row["crop"])) in needs[row["clip_id"]]
    for sizes in needs.values():
        assert len({size[:2] for size in sizes}) == len(sizes)


def test_one_clip_has_one_crop_a_size_and_disagreement_is_an_error():
    rows = samples_of([clip("a")], [view(frames=(1, 21))], WAN)
    assert len(mp4_needs(rows)["a"]) == 1
    rows[1]["crop"] = [0, 0, 832, 480]
    with pytest.raises(ValueError, match="one size has one crop"):
        mp4_needs(rows)


def test_ids_survive_changes_that_do_not_touch_the_sample():
    before = samples_of([clip("a")], [view(mode="slide", stride=8)], WAN)
    after = samples_of([clip("a")], [view(mode="slide", stride=4, repeats=2)], WAN)
    assert {row["sample_id"] for row in before} < {row["sample_id"] for row in after}


def test_the_columns_are_those_of_the_manifest():
    assert set(SAMPLE_COLUMNS) <= set(TABLES["samples"])


def test_a_clip_given_twice_or_impossible_is_an_error():
    with pytest.raises(ValueError, match="given twice"):
        samples_of([clip("a"), clip("a")], [view()], WAN)
    with pytest.raises(ValueError, match="a still has 1"):
        clip("a", is_image=True)
    with pytest.raises(ValueError, match="at least 1"):
        clip("a", width=0)


def test_ten_thousand_clips():
    clips = [clip(f"{i:05d}", n_frames=17 + i * 7 % 380, width=1920 - i % 100 * 2) for i in range(10_000)]
    views = preset_views()
    rows = samples_of(clips, views, WAN)
    assert len(rows) == 40_000
