"""Jumps of light that single pairs of frames do not show: under a moving camera, and from each frame to the next."""

import math
from fractions import Fraction

import cv2
import numpy as np
import pytest

from wanprep.signals import quality
from wanprep.signals.casts import colour_jumps, largest_cast, stirred
from wanprep.signals.light import flickers, largest_jump, mean_jumps, shared
from wanprep.signals.meter import ShotMeter
from wanprep.signals.store import Signals
from wanprep.stages.filter import REGISTRY

H, W = 144, 256
LIMIT = REGISTRY["light_jump"].threshold


def street(width: int = 1200) -> np.ndarray:
    """uint8[H, width]: noise at several scales under rectangles."""
    rng = np.random.default_rng(5)
    image = np.full((H, width), 90, np.float32)
    for cells, gain in ((4, 25), (12, 15), (40, 10)):
        image += cv2.resize(rng.normal(0, gain, (cells, 6 * cells)).astype(np.float32), (width, H))
    for _ in range(200):
        x, y, r = int(rng.integers(width)), int(rng.integers(H)), int(rng.integers(3, 25))
        cv2.rectangle(image, (x, y), (x + r, y + r // 2 + 2), float(rng.integers(0, 190)), -1)
    return np.clip(image, 0, 190).astype(np.uint8)


def pan(px: int, n: int = 48) -> np.ndarray:
    canvas = street()
    return np.stack([canvas[:, px * k : px * k + W] for k in range(n)])


def lit(frames: np.ndarray, gain_N: np.ndarray) -> np.ndarray:
    return np.clip(frames * gain_N[:, None, None], 0, 255).astype(np.uint8)


def means(frame: np.ndarray) -> dict[str, float]:
    return dict.fromkeys(("luma_mean", "red", "blue"), float(frame.mean()))


def tiny(frames: np.ndarray) -> np.ndarray:
    return np.stack([cv2.resize(frame, (16, 12), interpolation=cv2.INTER_AREA) for frame in frames])


def signals_of(frames: np.ndarray, fps: int = 24) -> Signals:
    meter = quality.QualityMeter(W, H)
    rows = [meter.feed(k / fps, frame) | means(frame) for k, frame in enumerate(frames)]
    none = np.zeros((0, 2), np.uint8)
    return Signals(
        time_base=Fraction(1, fps), width=2, height=2, pts=np.arange(len(frames)), last_duration=1,
        frame={name: np.array([row[name] for row in rows], np.float32) for name in rows[0]},
        sampled=np.zeros(0, np.int32), thumbs=np.zeros((0, 2, 2, 3), np.uint8), row_p97=none, col_p97=none,
        extra={"tiny": tiny(frames)},
    )  # fmt: skip


def light(frames: np.ndarray) -> float:
    return quality.clip_scores(signals_of(frames), 0, len(frames))["light_jump"]


@pytest.mark.parametrize("gain", [0.7, 0.8, 1.2, 1.3])
@pytest.mark.parametrize("px", [8, 14])
def test_a_step_of_exposure_is_seen_where_the_camera_is_lost_by_it(px, gain):
    frames = pan(px)
    stepped = lit(frames, np.where(np.arange(48) < 24, 1.0, gain))
    assert light(frames) < LIMIT / 2
    assert light(stepped) == pytest.approx(abs(math.log(gain)), rel=0.25)


def test_by_a_step_the_camera_is_lost():
    frame = signals_of(lit(pan(14), np.where(np.arange(48) < 24, 1.0, 0.7))).frame
    assert frame["step_s"][24] > 0
    assert math.isnan(frame["light_jump"][24])
    assert np.isfinite(frame["light_jump"][[22, 26]]).all()


@pytest.mark.parametrize("px", [0, 2, 14])
def test_every_second_frame_brighter_is_a_jump(px):
    frames = pan(px)
    assert light(frames) < LIMIT / 2
    assert light(lit(frames, 1 + 0.2 * (np.arange(48) % 2))) == pytest.approx(math.log(1.2), rel=0.1)


@pytest.mark.parametrize("at", [20, 21])  # one of these is a frame that no pair ends or begins in
def test_a_flash_of_one_frame_is_a_jump(at):
    assert light(lit(pan(2), 1 + 0.3 * (np.arange(48) == at))) > 0.2


def test_slow_light_in_a_pan_and_fades_are_no_jump():
    for gain in (np.linspace(1, 0.5, 48), 1 + 0.2 * np.sin(np.arange(48) / 6)):
        assert light(lit(pan(14), gain)) < LIMIT
    assert mean_jumps(lit(pan(14), np.linspace(1, 0, 48)).mean((1, 2))).max() < LIMIT / 2


def test_a_thing_that_covers_much_at_once_is_no_jump_where_the_rest_tells():
    frames = pan(2)
    frames[24:, 40:104, 80:180] = 250
    assert mean_jumps(frames.mean((1, 2))).max() > 2 * LIMIT
    assert light(frames) < LIMIT


def test_the_light_of_other_clips_does_not_count():
    joined = signals_of(lit(pan(14, 64), np.where(np.arange(64) < 32, 1.0, 0.5)))
    for i0, i1 in ((0, 32), (32, 64)):
        assert quality.clip_scores(joined, i0, i1)["light_jump"] < LIMIT
    assert quality.clip_scores(joined, 24, 40)["light_jump"] > 0.5


def test_means_step_beyond_their_course():
    ramp = np.linspace(50.0, 150.0, 30)
    assert mean_jumps(ramp) == pytest.approx(np.zeros(30), abs=1e-9)
    found = mean_jumps(np.where(np.arange(30) < 12, ramp, ramp + 20))
    assert int(found.argmax()) == 12
    assert found[12] == pytest.approx(math.log1p(20 / (ramp[11] + 2)), rel=1e-6)
    assert (mean_jumps(np.array([40.0])) == 0).all()
    for left in (np.array([200.0, *ramp]), np.array([*ramp, 20.0])):  # of a transition
        assert mean_jumps(left).max() < 0.01


def test_what_goes_and_comes_back_flickers():
    level = np.full(10, 100.0)
    assert not flickers(level).any()
    level[5:] = 120.0  # goes and stays
    assert not flickers(level).any()
    level[5:] = (120.0, 100.0, 100.0, 100.0, 100.0)
    found = flickers(level)
    assert np.flatnonzero(found).tolist() == [6]
    assert found[6] == pytest.approx(math.log1p(20 / 102))
    assert (flickers(level[:1]) == 0).all()


def test_pairs_that_tell_are_believed_and_others_leave_it_to_the_mean():
    mean = np.where(np.arange(8) < 4, 100.0, 140.0)
    pairs = np.arange(8) % 2 == 0
    pairs[0] = False
    told = np.where(pairs, 0.01, np.nan)
    T = np.repeat(mean.astype(np.float32), 192).reshape(8, 192)
    assert largest_jump(told, pairs, mean, T) == pytest.approx(0.01)
    told[4] = np.nan
    assert largest_jump(told, pairs, mean, T) == pytest.approx(math.log1p(40 / 102))
    assert math.isnan(largest_jump(told, np.zeros(8, bool), mean, T))


def covered(frames: np.ndarray, at: int, few: int, level: float, stays: bool = False) -> np.ndarray:
    """A thing as large as the picture's height comes in from the left, within so many frames of its whole way."""
    out = frames.copy()
    for k in range(at, len(out)):
        part = (k - at + 1) / few
        x = int((W + H) * (min(part, 0.5) if stays else part)) - H
        out[k, 10 : H - 10, max(0, x) : max(0, min(W, x + H))] = level
    return out


@pytest.mark.parametrize(("few", "stays"), [(2, False), (3, False), (4, False), (2, True), (3, True)])
@pytest.mark.parametrize("level", [5, 220])
def test_what_sweeps_past_or_comes_in_is_no_jump_and_a_step_beside_it_is(level, few, stays, monkeypatch):
    frames = covered(pan(14), 20, few, level, stays)
    assert light(frames) < LIMIT
    assert light(lit(frames, np.where(np.arange(48) < 36, 1.0, 0.8))) > LIMIT
    monkeypatch.setattr("wanprep.signals.light.shared", lambda size_N, *pictures: size_N)
    assert light(frames) > LIMIT  # by the mean alone


def test_a_thing_that_covers_a_third_in_every_second_frame_does_not_flicker():
    frames = pan(14)
    frames[::2, :, 90:] = 0.5 * frames[::2, :, 90:]
    assert light(frames) > LIMIT  # two thirds of the picture
    frames = pan(14)
    frames[::2, :, 170:] = 0.3 * frames[::2, :, 170:]
    assert flickers(frames.mean((1, 2))).max() > LIMIT
    assert light(frames) < LIMIT


def test_a_step_of_the_mean_is_shared_by_all_tiles_or_by_few():
    rng = np.random.default_rng(3)
    before = rng.uniform(30, 150, (1, 192))
    size = np.array([0.3])
    assert shared(size, before, 1.35 * before) == pytest.approx(size)
    for few, keeps in ((0.6, False), (0.85, True)):
        partly = np.where(np.arange(192) < few * 192, 1.6, 1.0) * before
        assert (shared(size, before, partly)[0] > 0.1) == keeps
    both_ways = np.where(np.arange(192) < 120, 1.8, 0.5) * before
    assert shared(size, before, both_ways)[0] < 0.1
    assert shared(size, before, 1.05 * before)[0] == pytest.approx(math.log(1.05), abs=0.005)  # no more than they do


def test_another_picture_is_no_light_even_where_all_of_it_is_darker():
    frames = pan(14)
    wall = np.clip(0.15 * street()[::-1, ::-1][:, :W] + 10, 0, 255).astype(np.uint8)
    frames[20:24] = wall  # a thing fills the picture, and is gone at once
    T = tiny(frames).reshape(48, -1).astype(np.float32)
    size = np.full(48, 0.5)
    before, after = np.concatenate([T[:1], T[:-1]]), T
    assert np.log((after + 4) / (before + 4))[20].max() < 0  # every tile is darker
    assert shared(size, before, after)[[20, 24]].max() == 0
    stepped = tiny(lit(pan(14), np.where(np.arange(48) < 20, 1.0, 0.55))).reshape(48, -1).astype(np.float32)
    assert shared(size, np.concatenate([stepped[:1], stepped[:-1]]), stepped)[20] == 0.5


def test_bars_and_what_is_white_tell_nothing_of_light():
    rng = np.random.default_rng(4)
    before, size = rng.uniform(30, 150, (1, 192)), np.array([0.3])
    before[:, :80] = 0
    assert shared(size, before, 1.4 * before) == pytest.approx(size)
    before[:, :80] = 255
    assert shared(size, before, np.minimum(255, 1.4 * before)) == pytest.approx(size)
    snow = np.full((1, 192), 200.0)
    assert shared(np.array([0.2]), snow, snow + 50)[0] == pytest.approx(0.2)
    night = np.where(np.arange(192) < 20, 200.0, 3.0)[None]
    assert shared(size, night, 2 * night)[0] == 0


# --- colour ---------------------------------------------------------------------------------------------------------


def coloured(px: int) -> np.ndarray:
    """float32[48, H, W, 3] BGR: a pan over a street whose things are of several colours."""
    tones = np.random.default_rng(8).uniform(0.4, 1.0, (6, 40, 3)).astype(np.float32)
    canvas = street()[..., None] * cv2.resize(tones, (1200, H), interpolation=cv2.INTER_NEAREST)
    return np.stack([canvas[:, px * k : px * k + W] for k in range(48)])


def cast(frames: np.ndarray, pictures: bool = True) -> float:
    """largest_cast of BGR frames, two a second of which are kept; without these, of what the means alone say."""
    meter, every = ShotMeter(), np.clip(frames, 0, 255).astype(np.uint8)
    rows = [meter.feed(frame)[0] for frame in every]
    found = np.array([[row[name] for name in ("luma_mean", "red", "blue")] for row in rows])
    if not pictures:
        return float(colour_jumps(found).max())
    grey = np.stack([cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in every])
    T = tiny(grey).reshape(48, -1).astype(np.float32)
    return largest_cast(found, T, np.arange(0, 48, 12), lambda k: tiny(every[12 * k : 12 * k + 1])[0])


WARM = np.array([0.8, 1.0, 1.15])


@pytest.mark.parametrize("px", [0, 3, 14])
def test_another_white_balance_is_a_jump_and_a_slow_one_is_not(px):
    frames = coloured(px)
    at_once, slowly = np.arange(48) >= 24, np.linspace(0, 1, 48)
    jumps, fades = (cast(frames * (1 + when[:, None, None, None] * (WARM - 1))) for when in (at_once, slowly))
    assert jumps > 1.5 * LIMIT
    assert fades < LIMIT / 2
    assert cast(frames) < LIMIT / 2


@pytest.mark.parametrize(("tone", "size"), [((5, 15, 80), 100), ((40, 60, 190), 70)])  # the second as bright as all
def test_a_thing_of_another_colour_is_no_other_white_balance(tone, size):
    frames = coloured(14)
    frames[28:, 20 : 20 + size, 60 : 60 + size] = tone
    assert cast(frames, pictures=False) > 1.5 * LIMIT
    assert cast(frames) < LIMIT
    assert cast(frames * np.where(np.arange(48) >= 14, 1.0, 1 / WARM[:, None]).T[:, None, None]) > LIMIT


def test_a_cast_that_no_pictures_on_both_sides_show_is_not_known():
    warm = coloured(3) * np.where(np.arange(48) >= 42, WARM[:, None], 1.0).T[:, None, None]
    assert cast(warm, pictures=False) > LIMIT
    assert cast(warm) == 0


def test_light_that_has_no_colour_is_no_cast():
    grey = np.where(np.arange(20) < 10, 60.0, 120.0)[:, None] * np.ones(3)
    assert colour_jumps(grey).max() < 1e-9


def test_what_comes_in_stirs_and_a_camera_that_moves_steadily_no_more_than_usual():
    T = tiny(covered(pan(14), 20, 2, 5, stays=True)).reshape(48, -1).astype(np.float32)
    assert stirred(T).argmax() == 20
    assert stirred(tiny(pan(14)).reshape(48, -1).astype(np.float32)).max() < 0.05
    assert not stirred(np.full((5, 192), 90, np.float32)).any()
