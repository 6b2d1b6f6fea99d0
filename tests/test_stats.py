"""Statistics: nothing counted twice or lost, and drawings that fit 80 columns."""

from __future__ import annotations

import io
import itertools
import json
import subprocess
import sys
from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from wanprep import costs
from wanprep.families import family
from wanprep.stage import UsageError
from wanprep.stages.bucket import ClipInfo, View
from wanprep.stages.samples import samples_of
from wanprep.stats import render, report
from wanprep.stats_lengths import MAX_BINS, length_bins
from wanprep.stats_render import human_bytes, human_count, keep_end

WAN = family("wan2.1-t2v-14b")
VIEWS = [
    View(name="stills", media="image", resolution=(768, 768)),
    View(name="look", resolution=(768, 416), frames=(1, 21)),
    View(name="motion", resolution=(384, 208), frames=(45,), mode="uniform", samples=2, repeats=3),
]
WORDS = ("bucket", "source", "reason", "view")


def source(name: str, **changes) -> dict:
    base = {"path": f"films/{name}.mkv", "group": "films", "kind": "video", "outcome": "done", "reason": ""}
    return {"source_id": name, "duration_s": 60.0} | base | changes


def clip(name: str, n_frames: int, **changes) -> dict:
    base = {"source_id": "a", "group": "films", "seconds": n_frames / 16, "state": "keep", "reasons": []}
    return {"clip_id": name, "n_frames": n_frames} | base | changes


def test_frames_that_show_nothing_new_are_counted():
    """By hand: 96 slots each. 60 frames of a slow source; 144 of which half repeat; film at 60, 360 of which 216 do."""

    def said(frames: int, duplicated: int, share: float | None) -> dict:
        scores = json.dumps({"duplicate_rate": [share, None, "info"]}) if share is not None else "{}"
        span = {"start_frame": 10, "end_frame": 10 + frames}
        return clip(f"c{frames}", 96, duplicated=duplicated, scores=scores, **span)

    slow, twos, film = said(60, 36, 0.0), said(144, 0, 0.5), said(360, 0, 0.6)
    found = report([slow, twos, film, said(96, 0, None), clip("c9", 96)], [], SOURCES, [], [], WAN)
    assert (found.repeats.clips, found.repeats.repeated, found.repeats.frames) == (2, 36 + 24, 192)
    assert "2 kept clips with fewer new pictures than 16 a second: about 60 of 192 frames" in " ".join(
        drawn(found).split()
    )
    assert "new pictures" not in drawn(report([film], [], SOURCES, [], [], WAN))


def samples_for(clips: list[dict], **columns) -> list[dict]:
    infos = [
        ClipInfo(
            clip_id=c["clip_id"],
            source_id=c["source_id"],
            group=c["group"],
            width=1920,
            height=1080,
            n_frames=c["n_frames"],
            is_image=c["source_id"] == "still",
        )
        for c in clips
        if c["state"] == "keep"
    ]
    states = {"mp4_state": "ready", "latent_state": "pending", "caption_origin": "vlm"}
    return [row | states | columns for row in samples_of(infos, VIEWS, WAN)]


SOURCES = [
    source("a"),
    source("b", outcome="rejected", reason="unreadable:no_moov", duration_s=None, detail="no moov"),
    source("still", kind="image", duration_s=0.0, path="stills/one.png"),
]
CLIPS = [
    clip("c1", 100),
    clip("c2", 45, seconds=None, start_s=1.0, end_s=4.0),
    clip("c3", 40),
    clip("c4", 90, state="rejected", reasons=["blurred", "static"], detail="sharpness 0.1 under 0.2"),
    clip("c5", 90, state="rejected", reasons=["blurred"]),
    clip("c6", 1, source_id="still", seconds=0.0),
    clip("c7", 30, state="unknown"),
]
ARTEFACTS = [
    {"kind": "mp4", "bytes": 1000},
    {"kind": "mp4", "bytes": 500, "outcome": "done"},
    {"kind": "latent", "bytes": None},
    {"kind": "latent", "bytes": 10**9, "outcome": "failed"},
]


def example(**changes):
    return report(CLIPS, samples_for(CLIPS), SOURCES, [], ARTEFACTS, WAN, **changes)


def test_what_is_gone_has_no_kind_and_what_is_damaged_says_so():
    gone = {**source("gone"), "kind": None, "state": "gone", "reason": "file_missing"}
    cut = {**source("cut", path="cut.mkv"), "state": "ok", "outcome": None, "detail": "a packet is cut short"}
    stats = report([], [], [source("a"), gone, cut], [], [], WAN)
    assert stats.sources.kinds == {"video": 2}
    assert stats.sources.damaged == 1
    lines = {line.path: line for line in stats.by_source}
    assert (lines["cut.mkv"].damage, lines["films/a.mkv"].damage) == ("a packet is cut short", "")
    assert "ok, damaged" in drawn(stats, "source")
    assert "(1 damaged, see --by source)" in drawn(stats)
    assert "damaged" not in drawn(example())


def drawn(stats, by=None, width: int = 80, **console) -> str:
    file = io.StringIO()
    Console(file=file, width=width, **console).print(render(stats, by))
    return file.getvalue()


def test_the_counts_of_a_known_set():
    stats = example(batch_size=2, accumulate=3)
    assert stats.sources.outcomes == {"done": 2, "rejected": 1}
    assert stats.sources.kinds == {"video": 2, "image": 1}
    assert stats.clips.states == {"keep": 4, "rejected": 2, "unknown": 1}
    assert (stats.clips.kept, stats.clips.stills) == (4, 1)
    assert stats.clips.kept_seconds == pytest.approx((100 + 40) / 16 + 3.0)
    assert stats.clips.seconds == pytest.approx((100 + 40 + 90 + 90 + 30) / 16 + 3.0)
    # look: 3 clips x 2; motion: c1 twice, c2 once and a duplicate, c3 too short twice; one still
    assert stats.samples == {"ok": 10, "rejected": 2, "duplicate": 1}
    assert stats.epoch.visits == 6 + 3 * 3 + 1
    # 16 visits: look 1 and 21 frames, 3 each; motion 9; still 1 -> 2 + 2 + 5 + 1 batches of up to two
    assert (stats.epoch.batches, stats.epoch.steps) == (10, 4)
    assert {(b.frames, b.samples, b.visits, b.batches) for b in stats.buckets} == {
        (1, 3, 3, 2),
        (21, 3, 3, 2),
        (45, 3, 9, 5),
        (1, 1, 1, 1),
    }
    assert {(r.of, r.reason): r.count for r in stats.reasons} == {
        ("source", "unreadable:no_moov"): 1,
        ("clip", "blurred"): 2,
        ("clip", "static"): 1,
        ("sample", "too_short_for_45"): 2,
        ("sample", "duplicate_window"): 1,
    }
    assert [(v.view, v.clips, v.samples, v.duplicate, v.rejected) for v in stats.views] == [
        ("look", 3, 6, 0, 0),
        ("motion", 2, 3, 1, 2),
        ("stills", 1, 1, 0, 0),
    ]
    line = stats.by_source[0]
    assert (line.path, line.clips, line.kept, line.samples) == ("films/a.mkv", 6, 3, 9)
    assert stats.cache.files == {"ready": 6}  # two sizes of c1 and c2, one of c3 and the still
    assert stats.cache.latents == {"pending": 10}
    assert stats.cache.artefacts == {"latent": {"files": 1, "bytes": 0}, "mp4": {"files": 2, "bytes": 1500}}


def test_rejected_and_duplicate_samples_change_nothing_but_their_own_counts():
    rows = samples_for(CLIPS)
    everything = report(CLIPS, rows, SOURCES, [], [], WAN)
    only_ok = report(CLIPS, [r for r in rows if r["state"] == "ok"], SOURCES, [], [], WAN)
    assert everything.epoch == only_ok.epoch
    assert everything.buckets == only_ok.buckets
    assert everything.cache == only_ok.cache
    assert everything.samples != only_ok.samples
    fewer = report(CLIPS, [r | {"state": "rejected", "reason": "x"} for r in rows], SOURCES, [], [], WAN)
    assert fewer.epoch == costs.Epoch(samples=0, visits=0, batches=0, steps=0, tokens=0)


def test_frames_and_lists_give_the_same():
    frames = [pl.DataFrame(rows, infer_schema_length=None) for rows in (CLIPS, samples_for(CLIPS), SOURCES)]
    assert report(*frames, pl.DataFrame(), pl.DataFrame(ARTEFACTS), WAN) == example()


def test_the_decided_caption_wins_over_the_measured_one():
    clips = [clip("c1", 60, caption_origin="human"), clip("c2", 60), clip("c3", 60), clip("c4", 60)]
    rows = [
        row | {"caption_origin": "sidecar" if row["clip_id"] == "c2" else None}
        for row in samples_for(clips)
        if row["clip_id"] != "c4"
    ]
    captions = [{"clip_id": name, "origin": "vlm"} for name in ("c1", "c2", "c3", "gone")]
    assert report(clips, rows, [source("a")], captions, [], WAN).captions == {
        "human": 1,
        "none": 1,
        "sidecar": 1,
        "vlm": 1,
    }


def test_rows_as_the_manifest_has_them():
    sources = [
        {"source_id": "a", "path": "one.mkv", "state": "ok", "kind": "video", "duplicate_of": None},
        {"source_id": "a", "path": "copy.mkv", "state": "rejected", "kind": None, "duplicate_of": "one.mkv"},
        {"source_id": None, "path": "new.mkv", "state": "pending", "kind": None},
    ]
    # One frame and a video all the same: its kind says so. Pending clips have no frame plan yet.
    clips = [
        clip("c1", 60, kind="video"),
        clip("c2", 1, kind="video"),
        clip("c3", 9, state="pending") | {"n_frames": None},
    ]
    rows = [row | {"mp4_state": None, "latent_state": None, "cache_state": "failed"} for row in samples_for(clips)]
    rows[0]["media_digest"] = "d"
    stats = report(clips, rows, sources, [], [], WAN)
    assert [(line.path, line.clips, line.samples) for line in stats.by_source] == [
        ("copy.mkv", 0, 0),
        ("new.mkv", 0, 0),
        ("one.mkv", 3, 5),
    ]
    assert stats.clips.stills == 0
    assert sum(entry.clips for entry in stats.lengths) == 2
    assert stats.cache.latents == {"failed": 5}
    assert sum(stats.cache.files.values()) == 3
    assert "min" not in drawn(stats).splitlines()[2]


def test_json_is_plain_and_complete():
    stats = example()
    table = json.loads(stats.to_json())
    assert table["epoch"]["steps"] == stats.epoch.steps
    assert len(table["buckets"]) == len(stats.buckets)
    assert table["lengths"][0] == {"low": 40, "high": 43, "clips": 1}


def test_no_rows_at_all():
    stats = report([], [], [], [], [], family("tiny"))
    assert stats.epoch.steps == 0
    assert stats.forward_tflop is None
    for by in (None, *WORDS):
        assert "none" in drawn(stats, by)
    assert "FLOP" not in drawn(stats)


@given(
    outcomes=st.lists(st.sampled_from(["done", "rejected", "failed"]), max_size=8),
    clips=st.lists(st.tuples(st.integers(2, 200), st.sampled_from(["keep", "rejected", "unknown"])), max_size=30),
    batch_size=st.integers(1, 5),
)
@settings(max_examples=50, deadline=None)
def test_every_row_is_counted_once(outcomes, clips, batch_size):
    sources = [source(f"s{i}", outcome=outcome) for i, outcome in enumerate(outcomes)]
    ids = [s["source_id"] for s in sources] or ["elsewhere"]
    rows = [clip(f"c{i:02d}", n, state=state, source_id=ids[i % len(ids)]) for i, (n, state) in enumerate(clips)]
    samples = samples_for(rows)
    stats = report(rows, samples, sources, [], [], WAN, batch_size=batch_size)
    assert sum(stats.sources.outcomes.values()) == len(sources) == len(stats.by_source)
    assert sum(stats.clips.states.values()) == len(rows)
    assert sum(stats.samples.values()) == len(samples)
    assert sum(entry.clips for entry in stats.lengths) == sum(state == "keep" for _, state in clips)
    assert sum(b.samples for b in stats.buckets) == stats.epoch.samples == sum(v.samples for v in stats.views)
    assert sum(b.visits for b in stats.buckets) == stats.epoch.visits
    assert sum(b.batches for b in stats.buckets) == stats.epoch.batches
    assert sum(b.visits * b.tokens for b in stats.buckets) == stats.epoch.tokens
    assert sum(stats.captions.values()) == stats.clips.kept
    if stats.buckets:
        assert sum(b.share for b in stats.buckets) == pytest.approx(1.0)
    if sources:
        assert sum(line.clips for line in stats.by_source) == len(rows)
        assert sum(line.samples for line in stats.by_source) == stats.epoch.samples


@given(st.lists(st.one_of(st.integers(1, 400), st.integers(1, 100_000)), min_size=1, max_size=80))
@settings(max_examples=200, deadline=None)
def test_bins_cover_every_length_once(lengths):
    bins = length_bins(lengths)
    assert 1 <= len(bins) <= MAX_BINS
    for before, after in itertools.pairwise(bins):
        assert before.high is not None
        assert after.low == before.high + 1
    for entry in bins:
        high = entry.high if entry.high is not None else max(lengths)
        assert entry.clips == sum(entry.low <= length <= high for length in lengths)
    assert sum(entry.clips for entry in bins) == len(lengths)


def test_one_very_long_clip_does_not_flatten_the_rest():
    bins = length_bins([*range(20, 120), 50_000])
    assert bins[-1].high is None
    assert sum(entry.clips > 0 for entry in bins) > 5


@pytest.mark.parametrize("by", [None, *WORDS])
def test_drawings_fit_80_columns_without_cut_numbers_or_colour(by):
    long = "films/" + "works of a studio/" * 8 + "part one.mkv"
    reason = "unreadable:" + "x" * 60
    sources = [
        source("a", path=long),
        source("wide", path="映画" * 40 + ".mkv"),
        source("b", outcome="rejected", reason=reason, detail="d" * 300),
    ]
    clips = [clip(f"c{i:05d}", 30 + i % 300) for i in range(1200)]
    stats = report(clips, samples_for(clips), sources, [], ARTEFACTS, WAN, batch_size=4, accumulate=8)
    text = drawn(stats, by)
    assert max(cell_len(line) for line in text.splitlines()) <= 80
    assert "\x1b" not in text
    assert "…" not in text  # what rich puts where a cell did not fit
    if by is None:
        assert f"{stats.epoch.steps} steps" in text
    if by == "source":
        assert "one.mkv" in text
    if by == "bucket":
        assert all(f"{b.width}x{b.height}" in text for b in stats.buckets)
    assert "\x1b[1m" in drawn(stats, by, force_terminal=True)  # the control: headings are bold on a terminal


def test_the_longest_clips_are_open_ended_in_seconds_too():
    clips = [clip(f"c{i:03d}", count) for i, count in enumerate([*range(20, 120), 50_000])]
    stats = report(clips, samples_for(clips), [source("a")], [], ARTEFACTS, WAN)
    (line,) = [line for line in drawn(stats).splitlines() if line.lstrip().startswith(f"{stats.lengths[-1].low} and")]
    assert line.split()[3:6] == [f"{stats.lengths[-1].low / stats.fps:.2f}", "and", "more"]


def test_the_overview_says_what_it_left_out():
    stats = example()
    many = replace(stats, buckets=[replace(stats.buckets[0], width=16 * i) for i in range(1, 21)])
    assert "12 more: --by bucket" in drawn(many)
    assert "more: --by bucket" not in drawn(stats)
    assert "more:" not in drawn(many, "bucket")


def test_an_ascii_only_terminal_gets_ascii():
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii", errors="strict")
    for by in (None, *WORDS):
        Console(file=file, width=80).print(render(example(), by))
    file.flush()
    assert b"##" in raw.getvalue()


def test_names_are_neither_markup_nor_escapes():
    hostile = source("a", path="x/[red]name[/red]\x1b[2J\udcff.mkv")
    text = drawn(report([], [], [hostile], [], [], WAN), "source")
    assert "[red]name[/red]" in text
    assert "\x1b" not in text
    text.encode("utf-8")


def test_an_unknown_table_is_refused():
    with pytest.raises(UsageError, match="bucket, source, reason, view"):
        render(example(), "colour")  # type: ignore[arg-type]


def test_small_words():
    assert human_bytes(999) == "999 B"
    assert human_bytes(1536 * 1024) == "1.5 MiB"
    assert human_count(999_999) == "999,999"
    assert human_count(3_010_000) == "3.01 M"
    assert keep_end("a/b/c.mkv", 20) == "a/b/c.mkv"
    assert keep_end("abcdefghij.mkv", 8) == "...j.mkv"


def test_ten_thousand_clips_are_reported():
    clips = [clip(f"c{i:05d}", 17 + i * 7 % 380) for i in range(10_000)]
    rows = samples_for(clips)
    stats = report(clips, rows, [source("a")], [], [], WAN)
    assert sum(stats.samples.values()) == len(rows)


def test_importing_stats_loads_nothing_heavy():
    code = "import sys, wanprep.stats; print([m for m in ('torch', 'numpy', 'polars', 'rich') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_lengths_that_no_clip_has_take_no_row_and_several_reasons_are_told():
    clips = [clip("c1", 20), clip("c2", 62), clip("c3", 90, state="rejected", reasons=["blurred", "static"])]
    text = drawn(report(clips, samples_for(clips), SOURCES, [], [], WAN))
    assert len(report(clips, [], SOURCES, [], [], WAN).lengths) > 2
    lengths = text.split("Kept clips by length")[1].split("Buckets")[0]
    assert lengths.count("█") > 2
    assert len([line for line in lengths.splitlines() if line[:1] == " "]) <= 3
    assert [line.split()[2] for line in lengths.splitlines()[3:] if line.strip()] == ["1", "1"]
    assert "1 clip with several reasons, counted for each" in text
    assert "several" not in drawn(report(clips[:2], [], SOURCES, [], [], WAN))
