"""The clock alone: pictures with odd times in, one rising clock out, every repair counted."""

import itertools
from dataclasses import dataclass
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wanprep.media.clock import Clock

BASE = Fraction(1, 100)


@dataclass
class Picture:
    pts: int | None
    dts: int | None = None
    duration: int = 4
    time_base: Fraction = BASE


def run(times, **settings):
    clock = Clock(time_base=BASE, step=4, **settings)
    pictures = [time if isinstance(time, Picture) else Picture(time) for time in times]
    return [pts for _, pts in clock.timed(iter(pictures))], clock


def test_good_times_pass_unchanged():
    times = [-8, -4, 0, 4, 9, 3000]
    for settings_ in ({}, {"repairs": True}):
        got, clock = run(times, **settings_)
        assert got == times
        assert (clock.dropped, clock.repaired, clock.splices, clock.ended) == (0, 0, 0, "")


def test_one_picture_out_of_order_is_left_out():
    got, clock = run([0, 4, 2, 8, 12, 12, 16], repairs=True)
    assert got == [0, 4, 8, 12, 16]
    assert (clock.dropped, clock.splices) == (2, 0)


@pytest.mark.parametrize("times", [[100, 104, 50, 54, 58], [100, 104, -900, -896, -892]])
def test_a_clock_that_steps_back_and_stays_is_carried_on(times):
    got, clock = run(times, repairs=True)
    assert got == [100, 104, 108, 112, 116]
    assert clock.dropped == 0
    got, clock = run(times)  # a container that should know better
    assert got == [100, 104]
    assert "jump back" in clock.ended


def test_a_clock_that_stands_still_counts_frames():
    got, clock = run([100, 104, 104, 104, 104], repairs=True)
    assert (got, clock.dropped) == ([100, 104, 108, 112], 1)  # whether the very last one repeats nobody can know
    assert clock.splices == 2


def test_pictures_of_one_moment_are_one_where_times_are_true():
    got, clock = run([0, 4, 4, 4, 4, 8, 12, 12, 16])
    assert (got, clock.dropped, clock.ended) == ([0, 4, 8, 12, 16], 4, "")
    got, clock = run([0, 4, 4, 4])
    assert (got, clock.dropped) == ([0, 4], 2)
    assert clock.ended == "timestamps stand still at 4: 2 pictures were left out"


def test_a_pause_is_a_pause_except_in_broadcasts():
    assert run([0, 4, 2000, 2004], repairs=True)[0] == [0, 4, 2000, 2004]
    got, clock = run([0, 4, 2000, 2004], repairs=True, broadcast=True)
    assert got == [0, 4, 8, 12]
    assert clock.splices == 1


@pytest.mark.parametrize("settings_", [{}, {"repairs": True}, {"repairs": True, "by_packet": True}])
@pytest.mark.parametrize("stray", [300, -300, 2000, -2000])
def test_one_picture_far_off_is_left_out(stray, settings_):
    times = [0, 4, 8, stray, 12, 16, 20]
    got, clock = run([Picture(time, time) for time in times], **settings_)
    assert got == [0, 4, 8, 12, 16, 20]
    assert (clock.dropped, clock.splices, clock.ended) == (1, 0, "")


def test_a_pause_is_believed_when_the_next_picture_is_behind_it():
    times = [0, 4, 300, 304, 700, 1100, 1500]  # a recording of a screen: all of them are far ahead
    got, clock = run(times)
    assert got == times
    assert clock.dropped == 0
    assert run([0, 4, 300])[0] == [0, 4, 300]  # nothing comes after it
    assert run([0, 4, 300, 300, 304])[0] == [0, 4, 300, 304]
    got, clock = run([0, 4, 300, Picture(None), 308])
    assert got == [0, 4, 300, 304, 308]


def test_missing_times_are_inferred_and_counted():
    got, clock = run([0, None, Picture(None, dts=9), None, 20])
    assert got == [0, 4, 9, 13, 20]
    assert clock.repaired == 3
    assert run([None, None])[0] == [0, 4]
    assert run([None, 4], infers=False)[0] == []


def test_avi_counts_packets():
    """H.264 in AVI: what FFmpeg computes as pts is out of order, the releasing packet is not; the last have none."""
    pictures = [Picture(2, 4), Picture(10, 8), Picture(6, 12), Picture(18, None), Picture(14, None)]
    got, clock = run(pictures, by_packet=True, repairs=True)
    assert got == [4, 8, 12, 16, 20]
    assert (clock.dropped, clock.repaired) == (0, 0)


def test_a_doubtful_last_picture_is_counted():
    got, clock = run([0, 4, 4], repairs=True)
    assert (got, clock.dropped) == ([0, 4], 1)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.none(), st.integers(-5000, 5000)), max_size=40), st.booleans(), st.booleans())
def test_whatever_comes_times_rise_and_nothing_vanishes(times, repairs, broadcast):
    got, clock = run(times, repairs=repairs, broadcast=broadcast)
    assert all(b > a for a, b in itertools.pairwise(got))
    if not clock.ended:
        assert len(got) + clock.dropped == len(times)
