"""Shots: the stored numbers are PySceneDetect's, cuts and transitions are found to the frame, and traps do not cut."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from landscapes import HEIGHT, WIDTH, measure, view

from wanprep.signals.gradual import find_mixes
from wanprep.signals.jumps import around
from wanprep.signals.leftovers import risen, unexplained
from wanprep.signals.meter import common_bars, details, matches
from wanprep.signals.mixing import contrast_dip, likeness
from wanprep.signals.odd import Odd
from wanprep.signals.rules import GradualRules
from wanprep.signals.shots import (
    ShotList,
    ShotRules,
    Transition,
    edge_energy,
    find_shots,
)
from wanprep.signals.steps import Step


def mixed(a: np.ndarray, b: np.ndarray, n: int) -> np.ndarray:
    """a, then n mixing frames, then b."""
    ramp = ((np.arange(n) + 1) / (n + 1))[:, None, None, None]
    middle = (a[-n:] * (1 - ramp) + b[:n] * ramp).round().astype(np.uint8)
    return np.concatenate([a[:-n], middle, b[n:]])


def tone(n: int, level: int = 0) -> np.ndarray:
    return np.full((n, HEIGHT, WIDTH, 3), level, np.uint8)


def shots(frames: np.ndarray, fps: int = 25, **rules) -> ShotList:
    return find_shots(measure(frames, fps), ShotRules(**rules))


# --- the stored numbers -------------------------------------------------------------------------------------------


def busy() -> np.ndarray:
    """Cuts at 20, 23 and 50, a dissolve, a flash, fast motion and black: every branch of the rule."""
    parts = [view(1, 20, 1), view(2, 3), view(3, 27, 4), mixed(view(4, 25), view(5, 25, 9), 8), tone(6), view(6, 20)]
    frames = np.concatenate(parts)
    frames[60] = 255
    return frames


def test_content_numbers_equal_pyscenedetect():
    from scenedetect.common import FrameTimecode
    from scenedetect.detectors import ContentDetector
    from scenedetect.stats_manager import StatsManager

    frames = busy()
    detector = ContentDetector(min_scene_len=0)
    detector.stats_manager = StatsManager()
    detector.stats_manager.register_metrics(detector.get_metrics())
    clock = [FrameTimecode(i, 25.0) for i in range(len(frames))]
    for when, frame in zip(clock, frames):
        detector.process_frame(when, frame)
    theirs = [detector.stats_manager.get_metrics(when, ["content_val"])[0] for when in clock[1:]]
    assert np.allclose(measure(frames).frame["content_val"][1:], np.array(theirs, np.float64), atol=1e-4)


def test_histogram_numbers_are_those_of_pyscenedetect():
    from scenedetect.common import FrameTimecode
    from scenedetect.detectors import HistogramDetector
    from scenedetect.stats_manager import StatsManager

    frames = busy()
    detector = HistogramDetector(threshold=0.2, bins=128, min_scene_len=0)
    detector.stats_manager = StatsManager()
    detector.stats_manager.register_metrics(detector.get_metrics())
    clock = [FrameTimecode(i, 25.0) for i in range(len(frames))]
    for when, frame in zip(clock, frames):
        detector.process_frame(when, frame)
    theirs = [detector.stats_manager.get_metrics(when, detector.get_metrics())[0] for when in clock[1:]]
    assert np.allclose(measure(frames).frame["hist_diff"][1:], np.array(theirs, np.float64), atol=1e-3)


def test_the_first_frame_has_no_difference():
    frame = measure(view(1, 3)).frame
    assert np.isnan(frame["content_val"][0])
    assert np.isnan(frame["hist_diff"][0])
    assert not np.isnan(frame["content_val"][1:]).any()
    assert 60 < frame["luma_mean"][0] < frame["luma_p95"][0] < 255


def test_edge_energy_is_the_mean_squared_step():
    picture = np.zeros((6, 8), np.uint8)
    picture[:, 4:] = 10  # one edge of ten levels in each row: one of seven columns of steps
    assert edge_energy(picture) == pytest.approx(100 / 7)


def test_details_are_found_again_whatever_the_light_and_lost_at_a_cut():
    picture = view(40, 1)[0, :36, :64, 0]
    one = details(picture)
    assert min(matches(one, one)) == pytest.approx(1, abs=1e-3)
    assert matches(one, details((picture * 0.4).astype(np.uint8)))[0] > 0.8
    assert matches(one, details(np.roll(picture, 2, axis=1)))[0] > 0.8
    other = details(view(41, 1)[0, :36, :64, 0])
    assert max(matches(one, other)) < 0.6
    half = picture.copy()
    half[:18] = 20  # a panel over the upper half
    mean, best = matches(one, details(half))
    assert best > 0.85 > mean


def test_plain_quarters_say_nothing():
    plain, picture = details(np.full((36, 64), 90, np.uint8)), view(40, 1)[0, :36, :64, 0]
    assert matches(plain, plain) == (1.0, 1.0)
    sky, other = picture.copy(), view(41, 1)[0, :36, :64, 0].copy()
    sky[:, :32] = other[:, :32] = 120
    assert max(matches(details(sky), details(other))) < 0.7


def test_a_frame_of_two_shots_belongs_to_neither():
    before, after = view(42, 30), view(43, 30)
    blend = (before[-1] * 0.5 + after[0] * 0.5).astype(np.uint8)[None]
    found = shots(np.concatenate([before, blend, after]))
    assert found.cuts == ()
    assert found.transitions == (Transition(kind="dissolve", first=30, last=30),)


def test_fast_drawings_on_threes_do_not_cut():
    frames = view(44, 90, 3)[np.arange(90) // 3 * 3]
    assert shots(frames).cuts == ()


def test_doubt_is_no_transition_and_no_part_of_a_shot():
    frames = mixed(view(12, 60, 0.5), view(13, 70, -0.25), 12)
    sure, unsure = shots(frames), shots(frames, gradual=GradualRules(min_odds=99.0, scan_odds=99.0))
    assert [t.kind for t in sure.transitions] == ["dissolve"]
    assert sure.doubtful == ()
    assert unsure.transitions == ()
    assert [t.kind for t in unsure.doubtful] == ["doubtful"]
    assert unsure.shots() == [(0, unsure.doubtful[0].first), (unsure.doubtful[0].last + 1, len(frames))]
    assert shots(frames, doubt_seconds=0.1, gradual=GradualRules(min_odds=99.0, scan_odds=99.0)).doubtful == ()
    assert shots(view(7, 60, 6)).doubtful == ()


def test_a_dissolve_that_light_would_explain_is_doubtful(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = mixed(view(20, 50), view(21, 50), 12)
    (sure,) = shots(frames).transitions
    monkeypatch.setattr("wanprep.signals.leftovers.is_flash", lambda T, before, after, longest: True)
    found = shots(frames)
    assert not found.transitions
    assert [(t.first, t.last) for t in found.doubtful] == [(sure.first, sure.last)]


def test_a_cut_in_the_dark_is_found_by_the_second_look_and_is_doubtful_where_more_is_asked():
    frames = np.concatenate([(view(seed, 40) * 0.08).astype(np.uint8) for seed in (7, 8)])
    assert shots(frames, scan_odds=50.0, max_doubt=50.0).doubtful == ()
    unsure, sure = shots(frames, scan_odds=50.0, max_doubt=-9.0), shots(frames, scan_odds=-9.0)
    assert (unsure.cuts, [t.first for t in unsure.doubtful]) == ((), [40])
    assert (sure.cuts, sure.doubtful) == ((40,), ())


def test_steps_become_cuts_frames_of_both_shots_or_doubt():
    steps = [Step(at=20, mixed=False, odds=1.0), Step(at=40, mixed=True, odds=3.0), Step(at=60, mixed=True, odds=0.9)]
    cuts, mixed, doubtful = risen([10], steps, 1.0)
    assert cuts == [10, 20]
    assert mixed == [Transition(kind="dissolve", first=39, last=39)]
    assert doubtful == [60]


def test_what_is_explained_is_not_looked_at_again():
    odd = [Odd(first=30, last=31, kind="same", cut=32)]
    free = unexplained([10], [Transition(kind="wipe", first=20, last=22)], odd, 40)
    assert np.flatnonzero(~free).tolist() == [9, 10, 19, 20, 21, 22, 23, 30, 31]


def test_steps_at_the_ends_are_judged_by_the_neighbours_that_exist():
    values = np.array([0, 40, 2, 4, 6, 40], np.float64)
    assert around(values, np.array([5]), np.array([5]), 2).tolist() == [[4, 6, 5, 5]]
    assert around(values, np.array([1]), np.array([1]), 2).tolist() == [[3, 3, 2, 4]]
    assert around(values, np.array([3]), np.array([3]), 2).tolist() == [[40, 2, 6, 40]]


# --- cuts ---------------------------------------------------------------------------------------------------------


def test_hard_cuts_to_the_frame_even_at_the_ends():
    frames = np.concatenate([view(1, 1), view(2, 30, 1), view(3, 4), view(4, 25, 3), view(5, 1)])
    assert shots(frames).cuts == (1, 31, 35, 60)
    assert shots(frames).shots() == [(0, 1), (1, 31), (31, 35), (35, 60), (60, 61)]


@pytest.mark.parametrize("speed", [0, 1, 6, 16])
def test_camera_motion_does_not_cut(speed):
    found = shots(view(7, 36, speed))
    assert (found.cuts, found.transitions) == ((), ())
    assert shots(np.concatenate([view(7, 36, speed), view(8, 20)])).cuts == (36,)


@pytest.mark.parametrize("gains", [(1.0,), (0.9, 0.9), (1.0, 0.6, 0.2), (0.9, 0.6, 0.3, 0.1)])
@pytest.mark.parametrize("speed", [0, 5])
def test_flashes_do_not_cut(gains, speed):
    frames = view(9, 60, speed).astype(np.float32)
    for k, gain in enumerate(gains):
        frames[30 + k] = frames[30 + k] * (1 - gain) + 255 * gain
    found = shots(frames.round().astype(np.uint8))
    assert (found.cuts, found.transitions) == ((), ())


def test_a_short_insert_of_another_picture_is_no_flash():
    still = view(9, 60)
    still[30:33] = view(10, 3)
    assert shots(still).cuts == (30, 33)


def test_changing_light_and_compression_do_not_cut():
    frames = view(11, 60).astype(np.float32)
    frames[20:] *= 0.6
    frames[40:] = frames[40:] * 1.2 + 12
    assert shots(np.clip(frames, 0, 255).astype(np.uint8)).cuts == ()


# --- transitions --------------------------------------------------------------------------------------------------


def overlap(t: Transition, first: int, last: int) -> float:
    shared = min(t.last, last) - max(t.first, first) + 1
    return shared / (max(t.last, last) - min(t.first, first) + 1)


@pytest.mark.parametrize("n", [3, 4, 8, 15, 30])
@pytest.mark.parametrize("speed", [0, 0.5])
def test_dissolves(n, speed):
    found = shots(mixed(view(12, 60, speed), view(13, 70, -speed / 2), n))
    assert found.cuts == ()
    assert [t.kind for t in found.transitions] == ["dissolve"]
    assert overlap(found.transitions[0], 60 - n, 59) >= 0.75


@pytest.mark.parametrize("n", [4, 10, 30])
@pytest.mark.parametrize(("level", "name"), [(0, "dip_to_black"), (255, "dip_to_white")])
def test_fades_and_dips(n, level, name):
    ramp = ((np.arange(n) + 1) / (n + 1))[:, None, None, None]
    before, after = view(14, 50), view(15, 50)
    down = (before[-n:] * (1 - ramp) + level * ramp).round().astype(np.uint8)
    up = (after[:n] * ramp + level * (1 - ramp)).round().astype(np.uint8)
    for pause, kinds in (
        (3, [name]),
        (25, ["fade_out", "black", "fade_in"] if level == 0 else ["fade_out", "fade_in"]),
    ):
        frames = np.concatenate([before[:-n], down, tone(pause, level), up, after[n:]])
        found = shots(frames)
        assert [t.kind for t in found.transitions] == kinds
        assert not [c for c in found.cuts if not (level and 50 <= c <= 50 + pause)]
        whole = Transition(kind="", first=found.transitions[0].first, last=found.transitions[-1].last)
        assert overlap(whole, 50 - n, 49 + pause + n) >= 0.8


def test_black_between_cuts_is_black_and_a_dark_scene_is_not():
    frames = np.concatenate([view(16, 30), tone(10), view(17, 30)])
    found = shots(frames)
    assert found.cuts == (30, 40)
    assert found.transitions == (Transition(kind="black", first=30, last=39),)
    assert found.shots() == [(0, 30), (40, 70)]
    dark = (view(18, 30) * 0.2).astype(np.uint8)
    assert shots(np.concatenate([view(16, 30), dark])).transitions == ()


def test_a_wipe_is_no_dissolve():
    frames = view(19, 60)
    new = view(20, 60)
    for k in range(20):
        frames[20 + k, :, : WIDTH * (k + 1) // 21] = new[20 + k, :, : WIDTH * (k + 1) // 21]
    frames[40:] = new[40:]
    assert not [t for t in shots(frames).transitions if t.kind == "dissolve" and t.last - t.first >= 10]


@pytest.mark.parametrize("seed", [10, 20, 30])
def test_a_push_through_moving_pictures_is_found_to_about_the_frame(seed):
    old, new, way = view(seed, 64, 0.2), view(seed + 1, 64, 0.2), [round((k + 1) / 15 * WIDTH) for k in range(14)]
    pushed = [np.concatenate([old[50 + k][:, x:], new[k][:, :x]], axis=1) for k, x in enumerate(way)]
    found = shots(np.concatenate([old[:50], np.stack(pushed), new[14:]]))
    assert found.cuts == ()
    assert [t.kind for t in found.transitions] == ["wipe"]
    assert overlap(found.transitions[0], 50, 63) > 0.8


def test_a_cut_within_a_frame_that_stays_is_one_and_a_panel_over_a_film_is_not_even_doubtful():
    def in_frame(inner: np.ndarray) -> np.ndarray:
        X = np.repeat(view(90, 1, noise=0.0) // 3, len(inner), axis=0)
        X[:, 4:10, 8:60] = 240
        X[:, 18:66, 12:116] = inner[:, 18:66, 12:116]
        return X

    cut = shots(in_frame(np.concatenate([view(91, 50, 0.5), view(92, 50, 0.5)])))
    assert (cut.cuts, cut.transitions, cut.doubtful) == ((50,), (), ())
    whole = shots(in_frame(view(91, 100, 0.5)))
    assert (whole.cuts, whole.transitions, whole.doubtful) == ((), (), ())
    film = view(93, 120, 0.8)
    film[60:, 46:66, 10:110] = 30
    over = shots(film)
    assert (over.cuts, over.transitions, over.doubtful) == ((), (), ())


def test_mixing_loses_contrast_and_motion_does_not():
    import cv2

    def tiny(frames):
        small = [
            cv2.resize(cv2.cvtColor(f, cv2.COLOR_BGR2GRAY), (16, 12), interpolation=cv2.INTER_AREA) for f in frames
        ]
        return np.stack(small).reshape(len(frames), -1).astype(np.float32)

    ramp = np.linspace(0, 1, 17)
    dissolve = tiny(np.concatenate([view(21, 1), mixed(view(21, 15), view(22, 15), 15), view(22, 1)]))
    assert contrast_dip(dissolve, ramp) == pytest.approx(1, abs=0.3)
    pan = tiny(view(23, 17, 7))
    assert likeness(pan[0], pan[-1]) < 0.6
    assert contrast_dip(pan, ramp) < 0.4


def test_fast_sources_are_measured_in_seconds():
    frames = mixed(view(24, 150), view(25, 150), 60)
    assert [t.kind for t in shots(frames, fps=60).transitions] == ["dissolve"]
    # two seconds at 30 frames a second, with a limit of one second: not looked for
    short = GradualRules(max_seconds=1.0)
    assert not [t for t in shots(frames, fps=30, gradual=short).transitions if t.last - t.first > 31]


def test_transitions_never_span_a_given_cut():
    signals = measure(mixed(view(26, 40), view(27, 40), 12))
    T, edges = signals.extra["tiny"].reshape(68, -1).astype(np.float32), signals.frame["edge_energy"]
    assert len(find_mixes(T, edges, 25.0, GradualRules())) == 1
    assert not [m for m in find_mixes(T, edges, 25.0, GradualRules(), cuts=[34]) if m.first - 1 < 34 <= m.last + 1]


# --- the list -----------------------------------------------------------------------------------------------------


def test_thresholds_decide_afterwards():
    signals = measure(np.concatenate([view(1, 20), view(2, 20)]))
    assert find_shots(signals, ShotRules()).cuts == (20,)
    assert find_shots(signals, ShotRules(min_odds=50, scan_odds=50)).cuts == ()
    assert find_shots(signals, ShotRules(min_step=200)).cuts == ()


def test_shots_and_transitions_cover_every_frame():
    found = ShotList(
        n_frames=40,
        cuts=(1, 10, 26),
        transitions=(Transition(kind="fade_in", first=0, last=2), Transition(kind="dissolve", first=20, last=25)),
    )
    assert found.shots() == [(3, 10), (10, 20), (26, 40)]


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_tiny_sources(n):
    found = shots(view(1, n))
    assert found == ShotList(n_frames=n, cuts=(), transitions=())
    assert found.shots() == [(0, n)]


@pytest.mark.parametrize("wrong", [{"max_likeness": 0.0}, {"isolation": -1.0}, {"min_step": -1.0}])
def test_impossible_rules_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ShotRules(**wrong)
    with pytest.raises(ValueError, match="max_residual"):
        GradualRules(max_residual=0)


# --- bars ---------------------------------------------------------------------------------------------------------


def barred(frames: np.ndarray, y: int, x: int, level: int = 0) -> np.ndarray:
    """y lines of a level at the top and the bottom, x at the left and the right, with an encoder's noise."""
    found = frames.copy()
    inside = np.zeros(frames.shape[1:3], bool)
    inside[y : HEIGHT - y, x : WIDTH - x] = True
    noise = np.random.default_rng(3).integers(0, 3, frames.shape, dtype=np.uint8)
    return np.where(inside[None, :, :, None], found, np.uint8(level) + noise)


def shots_of(frames: np.ndarray) -> ShotList:
    """With the lines that bars are found by, as the analysis leaves them."""
    some = frames[::6].max(3)
    rows, cols = (np.percentile(some, 97, axis=axis).astype(np.uint8) for axis in (2, 1))
    signals = measure(frames)
    thumbs = np.zeros((len(rows), 2, 2, 3), np.uint8)
    sampled = np.arange(len(rows), dtype=np.int32) * 6
    whole = replace(signals, width=WIDTH, height=HEIGHT, row_p97=rows, col_p97=cols, thumbs=thumbs, sampled=sampled)
    return find_shots(whole, ShotRules())


def like_ones() -> np.ndarray:
    """Cuts at 20, 45, 60 and 85 between shots of about the same brightness."""
    return np.concatenate([view(seed, n, seed % 3) for seed, n in ((11, 20), (12, 25), (13, 15), (14, 25), (15, 20))])


@pytest.mark.parametrize(
    ("y", "x", "level"), [(0, 0, 0), (9, 0, 0), (15, 0, 0), (0, 16, 0), (9, 16, 0), (6, 6, 250), (6, 0, 40)]
)
def test_bars_hide_no_cut_and_make_none(y: int, x: int, level: int) -> None:
    found = shots_of(barred(like_ones(), y, x, level))
    assert found.cuts == (20, 45, 60, 85)
    assert not found.transitions


def test_a_dissolve_under_bars_is_found():
    frames = barred(mixed(view(21, 40), view(22, 40), 12), 9, 0)
    (found,) = shots_of(frames).transitions
    assert found.kind == "dissolve"
    assert found.first <= 34
    assert found.last >= 34


def test_with_bars_in_the_numbers_cuts_would_be_missed(monkeypatch):
    """A negative control: as it was."""
    monkeypatch.setattr("wanprep.signals.meter.common_bars", lambda before, after: None)
    monkeypatch.setattr("wanprep.signals.shots.inside", lambda signals: None)
    assert len(shots_of(barred(like_ones(), 15, 0)).cuts) < 4


def test_what_bars_are():
    draw = np.random.default_rng(0)

    def picture(top: int, bottom: int, left: int = 0, right: int = 0, level: int = 1) -> np.ndarray:
        found = draw.integers(30, 220, (36, 64)).astype(np.uint8)
        found[:top] = found[36 - bottom :] = found[:, :left] = found[:, 64 - right :] = level
        return found

    assert common_bars(picture(4, 4), picture(4, 4)) == (4, 4, 0, 0)
    assert common_bars(picture(0, 0, 8, 8), picture(0, 0, 8, 8)) == (0, 0, 8, 8)
    assert common_bars(picture(4, 4, 8, 8), picture(4, 4, 8, 8)) == (4, 4, 8, 8)
    assert common_bars(picture(4, 1), picture(4, 1)) == (4, 4, 0, 0)  # text in one of them
    assert common_bars(picture(0, 0), picture(0, 0)) is None
    assert common_bars(picture(4, 0), picture(4, 0)) is None  # a sky
    assert common_bars(picture(4, 4), picture(4, 4, level=90)) is None  # a light
    assert common_bars(picture(14, 14), picture(14, 14)) is None  # next to nothing is left
    assert common_bars(picture(36, 0), picture(4, 4)) == (4, 4, 0, 0)  # black, then a picture between bars
    assert common_bars(picture(36, 0), picture(36, 0)) is None
