"""One pass over frames: what is measured on which frame, and that it is what the meters say."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from wanprep.media.pixels import still_frame
from wanprep.signals import quality, shots
from wanprep.signals.analysis import MIN_SIDE, Due, analyse, mid_size, small_size
from wanprep.signals.bars import line_p97
from wanprep.signals.store import Signals
from wanprep.stage import Reject

BASE = Fraction(1, 1000)


class Fake:
    """A frame of one luma level with a bright square; counts what is asked of it."""

    def __init__(self, pts: int, level: int, size: tuple[int, int], duration: int = 40) -> None:
        self.pts, self.duration, self.asked = pts, duration, []
        self._level, self._size = level, size

    def _picture(self, width: int, height: int) -> np.ndarray:
        out = np.full((height, width), self._level, np.uint8)
        out[height // 4 : height // 2, width // 4 : width // 2] = 250
        return out

    def bgr(self, width: int, height: int) -> np.ndarray:
        self.asked.append(("bgr", width, height))
        return np.repeat(self._picture(width, height)[..., None], 3, 2)

    def coded(self) -> tuple[float, bool, float]:
        return math.nan, True, math.nan

    def gray(self, width: int, height: int) -> np.ndarray:
        self.asked.append(("gray", width, height))
        return self._picture(width, height)


def frames(times, size=(640, 480)) -> list[Fake]:
    return [Fake(t, 40 + 7 * i % 120, size) for i, t in enumerate(times)]


def run(fakes: list[Fake], size=(640, 480)) -> Signals:
    return analyse(iter(fakes), time_base=BASE, width=size[0], height=size[1])


def test_what_is_measured_where():
    fakes = frames(range(0, 2000, 40))  # two seconds at 25 frames a second
    signals = run(fakes)
    assert signals.pts.tolist() == list(range(0, 2000, 40))
    assert signals.last_duration == 40
    assert set(signals.frame) == {*shots.FIELDS, *quality.FIELDS}
    assert signals.sampled.tolist() == [0, 13, 25, 38]  # first frames at or after 0, 0.5, 1 and 1.5 s
    assert signals.thumbs.shape == (4, 192, 256, 3)
    assert signals.row_p97.shape == (4, 480)
    assert signals.col_p97.shape == (4, 640)
    assert signals.extra["tiny"].shape == (50, 12, 16)
    measured = np.flatnonzero(~np.isnan(signals.frame["luma"]))
    assert measured.tolist() == [0, 7, 13, 19, 25, 32, 38, 44]
    # cost: every frame once small; full resolution only where sampled
    assert [sum(a[0] == "bgr" for a in f.asked) for f in fakes] == [1] * 50
    assert [i for i, f in enumerate(fakes) if ("gray", 640, 480) in f.asked] == [0, 13, 25, 38]
    assert [i for i, f in enumerate(fakes) if ("gray", 480, 360) in f.asked] == [0, 13, 25, 38]
    assert fakes[7].asked == fakes[8].asked == [("bgr", 256, 192)]
    for name in ("sharpness", "smear"):
        assert set(np.flatnonzero(~np.isnan(signals.frame[name]))) <= {0, 13, 25, 38}


def test_noise_is_measured_once_a_second():
    class Noisy(Fake):
        def _picture(self, width: int, height: int) -> np.ndarray:
            return np.random.default_rng(self.pts).normal(128, 5, (height, width)).astype(np.uint8)

    times = [*range(0, 2000, 40), *range(3600, 5000, 40)]  # a gap in which the third and fourth second begin
    signals = run([Noisy(t, 0, (640, 480)) for t in times])
    measured = np.flatnonzero(np.isfinite(signals.frame["noise"]))
    assert [times[i] for i in measured] == [0, 1000, 3600, 4000]
    assert set(measured) < set(signals.sampled.tolist())
    assert np.isfinite(signals.frame["blockiness"][signals.sampled]).all()


def test_a_picture_of_middle_size_is_made_once():
    fakes = frames(range(0, 400, 40), (320, 240))
    run(fakes, (320, 240))
    assert fakes[0].asked.count(("gray", 320, 240)) == 1


def test_numbers_are_those_of_the_meters():
    fakes = frames(range(0, 800, 40))
    signals = run(fakes)
    meter = shots.ShotMeter()
    for i, fake in enumerate(fakes):
        numbers, tiny = meter.feed(fake.bgr(256, 192))
        for name, value in numbers.items():
            assert signals.frame[name][i] == pytest.approx(value, nan_ok=True, rel=1e-6)
        assert np.array_equal(signals.extra["tiny"][i], tiny)
    assert np.abs(signals.thumbs[1].astype(int) - fakes[13].bgr(256, 192)).mean() < 1


def test_sampling_follows_time_not_frame_numbers():
    times = [0, 10, 20, 600, 620, 3000, 3010, 3499, 3500]
    assert run(frames(times)).sampled.tolist() == [0, 3, 5, 8]


def test_timestamps_may_begin_anywhere():
    times = np.arange(0, 1000, 40)
    early, late = run(frames(times)), run(frames(times + 10**9))
    assert np.array_equal(early.sampled, late.sampled)
    assert np.array_equal(early.seconds(), late.seconds())


def test_lines_are_full_resolution_and_exact():
    luma = np.zeros((600, 2000), np.uint8)
    luma[100:500, 300:1700] = 200
    assert np.flatnonzero(line_p97(luma)).tolist() == list(range(100, 500))
    assert np.flatnonzero(line_p97(luma.T)).tolist() == list(range(300, 1700))
    ramp = np.tile(np.arange(100, dtype=np.uint8), (3, 1))
    assert line_p97(ramp).tolist() == [96] * 3
    assert line_p97(np.full((4, 1), 9, np.uint8)).tolist() == [9] * 4


def test_small_pictures_and_stills():
    one = run([Fake(0, 90, (100, 40), duration=1)], (100, 40))
    assert (len(one.pts), one.sampled.tolist(), one.row_p97.shape, one.col_p97.shape) == (1, [0], (1, 40), (1, 100))
    assert small_size(1920, 1080) == (256, 144)
    assert small_size(720, 1280) == (256, 456)
    assert small_size(4000, 20) == (256, 16)
    assert small_size(20, 4000) == (256, 1024)
    assert small_size(854, 480)[1] % 2 == 0


def test_sizes_of_the_middle_picture():
    assert mid_size(1920, 1080) == (640, 360)
    assert mid_size(640, 352) == (640, 352)
    assert mid_size(64, 8000) == (9, 1125)


def noise(width: int, height: int) -> list:
    rng = np.random.default_rng(3)
    pictures = (rng.integers(0, 256, (height, width, 3)).astype(np.uint8) for _ in range(4))
    return [still_frame(picture, 500 * k, 500) for k, picture in enumerate(pictures)]


@pytest.mark.parametrize("size", [(1, 1), (4, 4), (8, 8), (640, 8), (8, 640)])
def test_what_is_too_small_to_be_measured_is_rejected(size):
    with pytest.raises(Reject, match=f"{size[0]}x{size[1]}: .* {MIN_SIDE} pixels to be measured") as refused:
        run(noise(*size), size)
    assert refused.value.reason == "too_small"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [(9, 9), (640, 9), (9, 640), (16, 1000), (16, 4000)])
def test_the_smallest_and_narrow_strips_are_measured(size):
    signals = run(noise(*size), size)
    assert np.isfinite(signals.frame["smear"]).all()
    assert np.isfinite(signals.frame["sharpness"]).all()


def test_no_frames_is_the_sources_fault():
    with pytest.raises(Reject) as caught:
        run([])
    assert caught.value.reason == "no_frames"


def test_due_is_once_a_slot():
    due = Due(2)
    assert [due(Fraction(t, 10)) for t in (0, 3, 5, 9, 31, 32, 35)] == [True, False, True, False, True, False, True]
