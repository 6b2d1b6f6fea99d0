"""Split: files to signals, signals to clips; no frame is lost and nothing is left out silently."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wanprep import ids
from wanprep.signals import shots
from wanprep.signals.shots import ShotList, Transition
from wanprep.signals.store import Signals
from wanprep.stage import Reject
from wanprep.stages.split import ClipSpan, SplitConfig, analyse_source, divide, split

MEDIA = Path(__file__).resolve().parents[3] / "shared/media/dev"


def clips_of(signals, config: SplitConfig) -> list[ClipSpan]:
    return split(signals, config)[0]


def transitions_of(signals, config: SplitConfig) -> list[Transition]:
    return split(signals, config)[1]


def signals(pts, last_duration: int = 40, base: Fraction = Fraction(1, 1000), tiny=None, sampled=()) -> Signals:
    n, m = len(pts), len(sampled)
    still = np.full(n, 100, np.float32)
    lit = dict.fromkeys(("luma_mean", "luma_p95", "edge_energy", "red", "blue"), still)
    lit |= dict.fromkeys(("hist_diff", "match", "best_match"), still / 100)
    return Signals(
        time_base=base, width=64, height=48, pts=np.array(pts, np.int64), last_duration=last_duration,
        frame={"content_val": 0 * still, **lit},
        sampled=np.array(sampled, np.int32), thumbs=np.full((m, 12, 16, 3), 120, np.uint8),
        row_p97=np.full((m, 48), 200, np.uint8), col_p97=np.full((m, 64), 200, np.uint8),
        extra={"tiny": np.full((n, 12, 16), 100, np.uint8) if tiny is None else tiny},
    )  # fmt: skip


def covered(clips: list[ClipSpan], transitions: list[Transition]) -> list[int]:
    frames = [f for c in clips for f in range(c.start_frame, c.end_frame)]
    return sorted(frames + [f for t in transitions for f in range(t.first, t.last + 1)])


# --- every frame in one place -------------------------------------------------------------------------------------


@st.composite
def shot_lists(draw) -> ShotList:
    n = draw(st.integers(2, 80))
    marks = sorted(draw(st.sets(st.integers(0, n), max_size=10)))
    kinds = st.sampled_from(["dissolve", "black", "fade_in", ""])
    spans = [(a, b - 1, draw(kinds)) for a, b in itertools.pairwise(marks)]
    transitions = tuple(Transition(kind=kind, first=a, last=b) for a, b, kind in spans if kind)
    cuts = tuple(sorted(draw(st.sets(st.integers(1, n - 1), max_size=6))))
    return ShotList(n_frames=n, cuts=cuts, transitions=transitions)


@settings(max_examples=300, deadline=None)
@given(shot_lists(), st.integers(0, 9), st.sampled_from([None, 0.2, 0.5, 1.1]), st.data())
def test_clips_and_transitions_cover_every_frame_once(found, margin, longest, data):
    steps = data.draw(st.lists(st.integers(1, 300), min_size=found.n_frames, max_size=found.n_frames))
    source = signals(np.cumsum(steps), last_duration=data.draw(st.sampled_from([0, 40])))
    config = SplitConfig(margin=margin, max_seconds=longest, min_seconds=0.1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shots, "find_shots", lambda *_: found)
        clips, transitions = split(source, config)
    assert covered(clips, transitions) == list(range(found.n_frames))
    assert clips  # no source is without one
    starts = [c.start_frame for c in clips]
    assert starts == sorted(starts)
    for clip in clips:
        assert clip.start_pts == source.pts[clip.start_frame]
        ends = [*source.pts, source.end_pts()]
        assert clip.end_pts == ends[clip.end_frame]
        seconds = (clip.end_pts - clip.start_pts) / 1000
        alone = clip.end_frame - clip.start_frame == 1
        if longest and clip.reason not in ("black", "only_transition"):
            assert alone or seconds <= longest
        assert clip.reason in {"", "too_short", "black", "only_transition"}
        assert (clip.state == "ok") == (clip.reason == "")
        if clip.reason not in ("black", "only_transition"):
            assert (clip.reason == "too_short") == (seconds < 0.1)
    for cut in found.cuts:  # no clip runs over a cut
        assert not any(c.start_frame < cut < c.end_frame for c in clips if c.reason not in ("black", "only_transition"))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 90), st.integers(0, 2**32 - 1))
def test_whatever_the_numbers_are_the_frames_are_covered(n, seed):
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 256, (4, 192)).astype(float)
    weights = np.abs(np.diff(rng.random((n, 5)) ** rng.choice([0.2, 1, 6]), axis=1))
    tiny = (weights @ pictures * rng.choice([0.1, 1.0])).clip(0, 255).astype(np.uint8).reshape(n, 12, 16)
    source = signals(np.arange(n) * 40, tiny=tiny)
    frame = {name: rng.random(n).astype(np.float32) * 60 for name in shots.FIELDS}
    frame["hist_diff"] = rng.random(n).astype(np.float32)
    source = replace(source, frame=frame)
    clips, transitions = split(source, SplitConfig(min_seconds=0.2, max_seconds=1.0))
    assert covered(clips, transitions) == list(range(n))


def test_margins_are_taken_from_mixing_only(monkeypatch):
    mixes = (Transition(kind="dissolve", first=30, last=39), Transition(kind="black", first=60, last=69))
    found = ShotList(n_frames=100, cuts=(60, 70), transitions=mixes)
    monkeypatch.setattr(shots, "find_shots", lambda *_: found)
    source = signals(np.arange(100) * 40)
    config = SplitConfig(margin=3, margin_share=0.0, min_seconds=0.5)
    spans = [(c.start_frame, c.end_frame, c.reason) for c in clips_of(source, config)]
    assert spans == [(0, 27, ""), (43, 60, ""), (60, 70, "black"), (70, 100, "")]
    assert transitions_of(source, config) == [Transition(kind="dissolve", first=27, last=42)]
    wider = SplitConfig(margin=3, margin_share=0.15)  # two more of a dissolve of ten
    assert transitions_of(source, wider) == [Transition(kind="dissolve", first=25, last=44)]


def test_doubtful_spans_and_frames_of_two_shots_are_in_no_clip(monkeypatch):
    blend, doubt = Transition(kind="dissolve", first=20, last=20), Transition(kind="doubtful", first=50, last=59)
    found = ShotList(n_frames=100, cuts=(), transitions=(blend,), doubtful=(doubt,))
    monkeypatch.setattr(shots, "find_shots", lambda *_: found)
    config = SplitConfig(margin=2, margin_share=0.0, min_seconds=0.5)
    clips, transitions = split(signals(np.arange(100) * 40), config)
    assert [(c.start_frame, c.end_frame, c.reason) for c in clips] == [
        (0, 19, ""), (22, 48, ""), (48, 62, "maybe_mixed"), (62, 100, ""),
    ]  # fmt: skip
    assert [(t.kind, t.first, t.last) for t in transitions] == [("dissolve", 19, 21)]


def test_margins_are_no_wider_than_so_many_seconds_times_what_each_end_needs(monkeypatch):
    mix = Transition(kind="dissolve", first=60, last=99)
    even = (25, 1.0, 1.0, 6, 6), (50, 1.0, 1.0, 12, 12), (4, 1.0, 1.0, 2, 2)
    uneven = (25, 1.5, 1.0, 9, 6), (25, 1.0, 3.0, 6, 19), (25, 0.1, 0.5, 2, 3)
    for fps, begin, end, before, after in (*even, *uneven):
        found = ShotList(n_frames=200, cuts=(), transitions=(replace(mix, wide=(begin, end)),))
        monkeypatch.setattr(shots, "find_shots", lambda *_, found=found: found)
        config = SplitConfig(margin=2, margin_share=0.3, margin_seconds=0.25)
        trimmed = transitions_of(signals(np.arange(200) * 1000 // fps), config)
        assert [(t.first, t.last) for t in trimmed] == [(60 - before, 99 + after)]


@pytest.mark.parametrize(("doubtful", "spans"), [
    (((50, 50),), [(0, 49, ""), (49, 52, "maybe_mixed"), (52, 100, "")]),  # a step that may be a cut
    (((80, 80),), [(0, 100, "")]),  # 19 frames after it are too short for a clip
    (((10, 30),), [(0, 100, "")]),
    (((30, 50),), [(0, 28, ""), (28, 53, "maybe_mixed"), (53, 100, "")]),
    (((30, 50), (70, 70)), [(0, 28, ""), (28, 53, "maybe_mixed"), (53, 100, "")]),  # the longer one first
])  # fmt: skip
def test_doubtful_spans_divide_a_shot_only_into_clips(monkeypatch, doubtful, spans):
    found = ShotList(
        n_frames=100, cuts=(), transitions=(),
        doubtful=tuple(Transition(kind="doubtful", first=a, last=b) for a, b in doubtful),
    )  # fmt: skip
    monkeypatch.setattr(shots, "find_shots", lambda *_: found)
    config = SplitConfig(margin=2, margin_share=0.0, min_seconds=1.0)
    assert [(c.start_frame, c.end_frame, c.reason) for c in clips_of(signals(np.arange(100) * 40), config)] == spans
    everything = replace(config, min_seconds=0.0)
    reasons = [c.reason for c in clips_of(signals(np.arange(100) * 40), everything)]
    assert reasons.count("maybe_mixed") == len(doubtful)


def test_a_doubtful_span_beside_a_transition_widens_it(monkeypatch):
    doubt = Transition(kind="doubtful", first=52, last=70)
    config = SplitConfig(margin=2, margin_share=0.0, min_seconds=1.0)
    for kind, last, spans in (
        ("dissolve", 49, [(0, 38, ""), (52, 73, "maybe_mixed"), (73, 120, "")]),
        ("dissolve", 45, [(0, 38, ""), (48, 120, "")]),  # too far away for that, too near for a clip between
        ("black", 49, [(0, 40, ""), (40, 50, "black"), (50, 120, "")]),
    ):
        mix = Transition(kind=kind, first=40, last=last)
        found = ShotList(n_frames=120, cuts=(), transitions=(mix,), doubtful=(doubt,))
        monkeypatch.setattr(shots, "find_shots", lambda *_, found=found: found)
        assert [(c.start_frame, c.end_frame, c.reason) for c in clips_of(signals(np.arange(120) * 40), config)] == spans


@pytest.mark.parametrize(("kind", "first", "last", "spans"), [
    ("wipe", 6, 22, [(0, 28, "")]),  # a file of one shot, with something that passes
    ("dissolve", 6, 22, [(0, 28, "only_transition")]),  # believed: nothing is left, and that is told
    ("dissolve", 13, 13, [(0, 12, "too_short"), (15, 28, "too_short")]),  # a frame of two shots
    ("fade_out", 6, 22, [(0, 28, "only_transition")]),
    ("dip_to_black", 6, 22, [(0, 28, "only_transition")]),
])  # fmt: skip
def test_a_lone_wipe_needs_a_clip_beside_it(monkeypatch, kind, first, last, spans):
    mix = Transition(kind=kind, first=first, last=last)
    config = SplitConfig(min_seconds=1.0)

    def found(n: int, *more: Transition, cuts=()) -> list[tuple[int, int, str]]:
        every = ShotList(n_frames=n, cuts=cuts, transitions=(mix, *more))
        monkeypatch.setattr(shots, "find_shots", lambda *_: every)
        clips, transitions = split(signals(np.arange(n) * 40), config)
        assert covered(clips, transitions) == list(range(n))
        return [(c.start_frame, c.end_frame, c.reason) for c in clips]

    assert found(28) == spans
    assert found(60)[-1][2] == ""  # a clip behind it: believed
    assert found(60)[-1][0] > last
    assert {reason for *_, reason in found(28, cuts=(3,))} <= {"too_short", "only_transition"}  # two shots are known


def one_shot(n: int, sampled: np.ndarray, gain: np.ndarray, thumbs: list[np.ndarray]) -> Signals:
    """n frames at 25 a second whose light is `gain`, with these thumbnails."""
    tiny = np.random.default_rng(0).integers(0, 256, (12, 16)) * gain[:, None, None]
    made = signals(np.arange(n) * 40, tiny=tiny.astype(np.uint8), sampled=sampled)
    return replace(made, thumbs=np.stack([(t * g).astype(np.uint8) for t, g in zip(thumbs, gain[sampled])]))


def pictures(seed: int, count: int) -> list[np.ndarray]:
    """Thumbnails of a slow pan over noise."""
    import cv2

    noise = np.random.default_rng(seed).integers(0, 256, (40, 80, 3), np.uint8)
    wide = cv2.resize(noise, (640, 320), interpolation=cv2.INTER_CUBIC)
    return [wide[40:184, 100 + 6 * k : 356 + 6 * k] for k in range(count)]


@pytest.mark.parametrize("kind", ["dissolve", "fade_out"])
def test_a_shot_that_grows_dark_is_no_transition(monkeypatch, kind):
    mix = Transition(kind=kind, first=4, last=58)
    monkeypatch.setattr(shots, "find_shots", lambda *_: ShotList(n_frames=62, cuts=(), transitions=(mix,)))
    sampled, dims = np.arange(0, 62, 12), np.linspace(1, 0.3, 62)
    shown, other = pictures(1, len(sampled)), pictures(2, len(sampled))
    mixed = [(a * (1 - x) + b * x) for a, b, x in zip(shown, other, np.linspace(0, 1, len(sampled)))]

    def reasons(gain: np.ndarray, thumbs: list[np.ndarray]) -> set[str]:
        return {clip.reason for clip in clips_of(one_shot(62, sampled, gain, thumbs), SplitConfig())}

    assert reasons(dims, shown) == {""}
    assert reasons(dims, mixed) == {"only_transition"}  # another picture at the end
    assert reasons(np.linspace(1, 0, 62), shown) == {"only_transition"}  # nothing is left to see


def test_margins_of_fades_do_not_cost_the_only_shot_of_a_file(monkeypatch):
    def clips(*transitions: Transition, cuts=()) -> list[tuple[int, int, str]]:
        found = ShotList(n_frames=84, cuts=cuts, transitions=transitions)
        monkeypatch.setattr(shots, "find_shots", lambda *_: found)
        return [(c.start_frame, c.end_frame, c.reason) for c in clips_of(signals(np.arange(84) * 40), SplitConfig())]

    fades = Transition(kind="fade_in", first=0, last=26), Transition(kind="fade_out", first=57, last=83)
    assert clips(*fades) == [(29, 55, "")]
    assert clips(replace(fades[0], last=16), fades[1]) == [(23, 51, "")]  # long enough: margins as ever
    assert clips(replace(fades[0], kind="dissolve"), fades[1]) == [(33, 51, "too_short")]  # another shot mixes in
    assert clips(*fades, cuts=(40,))[0] == (33, 40, "too_short")


# --- lengths ------------------------------------------------------------------------------------------------------


def test_too_short_is_measured_in_time_and_kept_as_rejected():
    ntsc = Fraction(1, 30000)
    thirty = signals(np.arange(30) * 1001, last_duration=1001, base=ntsc)  # 1.001 s
    assert [(c.state, c.reason) for c in clips_of(thirty, SplitConfig())] == [("ok", "")]
    short = signals(np.arange(29) * 1001, last_duration=1001, base=ntsc)
    assert [(c.state, c.reason) for c in clips_of(short, SplitConfig())] == [("rejected", "too_short")]
    assert clips_of(short, SplitConfig(min_seconds=0.9))[0].state == "ok"


def test_the_last_clip_ends_after_its_last_frame():
    assert clips_of(signals([0, 40, 80], last_duration=100), SplitConfig())[0].end_pts == 180
    assert clips_of(signals([0, 40, 80, 160], last_duration=0), SplitConfig())[0].end_pts == 200


def test_a_still_is_one_good_clip():
    still = signals([0], last_duration=1, base=Fraction(1, 25), sampled=[0])
    crop = (0, 0, 64, 48)
    assert clips_of(still, SplitConfig()) == [ClipSpan(start_pts=0, end_pts=1, start_frame=0, end_frame=1, crop=crop)]


def test_one_picture_that_is_left_of_a_film_is_no_still():
    left = replace(signals([0], last_duration=1, base=Fraction(1, 25), sampled=[0]), truncated="the rest is broken")
    assert [(c.state, c.reason) for c in clips_of(left, SplitConfig())] == [("rejected", "too_short")]
    assert [c.state for c in clips_of(left, SplitConfig(min_seconds=0.04))] == ["ok"]
    long = replace(left, last_duration=50)  # one picture of a slide show
    assert [c.state for c in clips_of(long, SplitConfig())] == ["ok"]


def test_long_shots_are_divided_evenly():
    source = signals(np.arange(250) * 40)
    assert divide(source, 0, 250, None) == [(0, 250)]
    assert divide(source, 0, 250, 10.0) == [(0, 250)]
    assert divide(source, 0, 250, 5.0) == [(0, 125), (125, 250)]
    parts = divide(source, 10, 250, 3.0)
    assert [b - a for a, b in parts] == [60] * 4
    assert parts[0][0] == 10
    uneven = signals(np.cumsum([40, 400] * 20))
    for a, b in divide(uneven, 0, 40, 1.0):
        assert (uneven.end_of(b) - uneven.pts[a]) <= 1000


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"min_seconds": -1.0}, "min_seconds"),
        ({"min_seconds": 2.0, "max_seconds": 3.0}, "twice"),
        ({"max_seconds": 0.0, "min_seconds": 0.0}, "max_seconds"),
        ({"margin": -1}, "margin"),
    ],
)
def test_impossible_settings_are_refused(wrong, word):
    with pytest.raises(ValueError, match=word):
        SplitConfig(**wrong)


# --- bars ---------------------------------------------------------------------------------------------------------


def test_bars_are_judged_per_clip_and_can_be_left_in():
    source = signals(np.arange(100) * 40, sampled=range(0, 100, 10))
    source.row_p97[:5, :6] = source.row_p97[:5, -6:] = 0
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch:
        patch.setattr(shots, "find_shots", lambda *_: ShotList(n_frames=100, cuts=(50,), transitions=()))
        assert [c.crop for c in clips_of(source, SplitConfig())] == [(0, 6, 64, 36), (0, 0, 64, 48)]
        assert [c.crop for c in clips_of(source, SplitConfig(crop_bars=False))] == [(0, 0, 64, 48)] * 2
        # two samples are too few to tell: the whole source decides
        patch.setattr(shots, "find_shots", lambda *_: ShotList(n_frames=100, cuts=(12, 50), transitions=()))
        assert [c.crop[3] for c in clips_of(source, SplitConfig())] == [48, 36, 48]


# --- files --------------------------------------------------------------------------------------------------------


def movie(path: Path, levels=((200, 60), (40, 60)), rate: int = 25) -> Path:
    """Two flat-but-textured shots as a small H.264 file."""
    import av

    rng = np.random.default_rng(1)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=rate, options={"threads": "1", "crf": "20"})
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for level, count in levels:
            blocks = np.kron(rng.integers(-35, 35, (12, 20)), np.ones((8, 8)))[..., None]
            picture = np.clip(level + blocks, 0, 255).astype(np.uint8).repeat(3, 2)
            for _ in range(count):
                out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode(None))
    return path


def test_a_file_becomes_signals_a_row_and_clips(tmp_path: Path):
    out = tmp_path / "signals" / "a.safetensors"
    row = analyse_source(movie(tmp_path / "two.mp4"), out, threads=2)
    assert row["digest"] == ids.digest_file(out)
    assert row["bytes"] == out.stat().st_size
    assert (row["kind"], row["n_frames"], row["width"], row["height"], row["truncated"]) == ("video", 120, 160, 96, "")
    base = Fraction(row["time_base"])
    assert (row["last_pts"] - row["first_pts"]) * base == Fraction(119, 25)
    assert row["last_duration"] * base == Fraction(1, 25)
    assert json.loads(row["facts"])["codec"] == "h264"
    assert json.dumps(row)
    found = Signals.load(out)
    assert [(c.start_frame, c.end_frame, c.state) for c in clips_of(found, SplitConfig())] == [
        (0, 60, "ok"),
        (60, 120, "ok"),
    ]
    again = analyse_source(tmp_path / "two.mp4", tmp_path / "b.safetensors", threads=1)
    assert again == row  # neither the number of threads nor the place changes a bit


def test_a_still_file(tmp_path: Path):
    import cv2

    cv2.imwrite(str(tmp_path / "still.png"), np.random.default_rng(0).integers(0, 256, (60, 90, 3)).astype(np.uint8))
    row = analyse_source(tmp_path / "still.png", tmp_path / "s")
    assert (row["kind"], row["n_frames"], row["width"], row["height"]) == ("image", 1, 90, 60)
    clips = clips_of(Signals.load(tmp_path / "s"), SplitConfig(min_seconds=5.0))
    assert [(c.state, c.crop) for c in clips] == [("ok", (0, 0, 90, 60))]


def test_a_film_that_is_broken_behind_its_first_picture(tmp_path: Path):
    from footage import broken_behind_the_first, make_video

    whole = make_video(tmp_path / "still.mp4", frames=1)
    broken = broken_behind_the_first(make_video(tmp_path / "film.mp4", frames=12))
    for path, truncated, reason in ((whole, "", ""), (broken, "of its 12 packets came one picture", "too_short")):
        row = analyse_source(path, tmp_path / "s")
        assert (row["n_frames"], row["truncated"][: len(truncated)]) == (1, truncated)
        assert bool(row["truncated"]) == bool(truncated)
        assert [clip.reason for clip in clips_of(Signals.load(tmp_path / "s"), SplitConfig())] == [reason]


def test_broken_files(tmp_path: Path):
    whole = movie(tmp_path / "whole.mkv").read_bytes()
    (tmp_path / "half.mkv").write_bytes(whole[: len(whole) // 2])
    row = analyse_source(tmp_path / "half.mkv", tmp_path / "half")
    assert row["truncated"]
    assert 0 < row["n_frames"] < 120
    assert Signals.load(tmp_path / "half").truncated == row["truncated"]
    for name, content in (("empty.mp4", b""), ("text.mp4", b"no movie at all")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(Reject):
            analyse_source(tmp_path / name, tmp_path / "never")
    with pytest.raises(OSError, match="absent"):  # the machine's fault, not the content's
        analyse_source(tmp_path / "absent.mp4", tmp_path / "never")
    assert not (tmp_path / "never").exists()


@pytest.mark.media
@pytest.mark.skipif(not MEDIA.is_dir(), reason="no real footage beside the checkout")
def test_real_footage(tmp_path: Path):
    truth = json.loads((MEDIA / "cuts.json").read_text())
    for name in ("bikes_640x272_25fps.mp4", "derived_montage_720p_2997.mp4", "crystal_handheld_defocus_480p_30fps.mp4"):
        row = analyse_source(MEDIA / name, tmp_path / name, threads=2)
        assert row["n_frames"] == truth[name]["n_frames"]
        found = shots.find_shots(Signals.load(tmp_path / name), SplitConfig().shots)
        assert list(found.cuts) == truth[name]["hard_cuts"]
        if name.startswith("derived"):
            spans = [(t.kind, t.first, t.last) for t in found.transitions]
            assert spans == [("dissolve", 165, 179), ("dip_to_black", 258, 289)]
        if name.startswith("crystal"):
            assert clips_of(Signals.load(tmp_path / name), SplitConfig())[0].crop == (8, 0, 704, 480)
