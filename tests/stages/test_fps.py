import bisect
from fractions import Fraction

import numpy as np
import pytest
from footage import plan_by_definition
from hypothesis import given, settings
from hypothesis import strategies as st

from wanprep.stages.fps import MAX_SLOTS, duplicated, frame_plan


@st.composite
def clips(draw):
    gaps = draw(st.lists(st.integers(1, 12), min_size=0, max_size=40))
    first = draw(st.integers(-50, 50)) + draw(st.sampled_from([0, 0, 2**40, 2**61]))
    pts = [first]
    for gap in gaps:
        pts.append(pts[-1] + gap)
    inner = draw(st.integers(0, len(pts) - 1))
    start = pts[inner] - draw(st.integers(0, 8))
    end = pts[draw(st.integers(inner, len(pts) - 1))] + draw(st.integers(1, 15))
    base = draw(
        st.one_of(
            st.sampled_from([Fraction(1, 24), Fraction(1, 25), Fraction(1, 1000), Fraction(1001, 30000)]),
            st.fractions(Fraction(1, 90), Fraction(1, 2)).filter(lambda f: f > 0),
            st.just(Fraction(10**17 + 1, 24 * 10**17)),  # overflows 64 bits: the Python-integer path
        )
    )
    return pts, start, end, base, draw(st.sampled_from([1, 8, 16, 24, 30]))


@settings(max_examples=300, deadline=None)
@given(clips())
def test_the_plan_is_the_definition(clip):
    pts, start, end, base, rate = clip
    plan = frame_plan(np.array(pts, dtype=np.int64), start, end, base, rate)
    assert plan.dtype == np.int64
    assert plan.tolist() == plan_by_definition(pts, start, end, base, rate)
    assert duplicated(plan) == len(plan) - len(set(plan.tolist()))


def test_a_tie_goes_to_the_earlier_frame():
    pts = np.array([0, 2, 4])  # 1/16 s lies exactly between the frames at 0 and 2/16
    assert frame_plan(pts, 0, 6, Fraction(1, 16), 16).tolist() == [0, 0, 1, 1, 2, 2]


def test_frames_outside_the_clip_are_never_taken():
    pts = np.arange(10)
    plan = frame_plan(pts, 4, 6, Fraction(1, 4), 16)  # frames 3 and 6 would be nearer for some slots
    assert set(plan.tolist()) == {4, 5}
    assert len(plan) == 8


def test_a_known_case_24_to_16():
    assert frame_plan(np.arange(12), 0, 12, Fraction(1, 24), 16).tolist() == [0, 1, 3, 4, 6, 7, 9, 10]


def test_a_slow_source_repeats_frames_and_says_so():
    plan = frame_plan(np.arange(25), 0, 25, Fraction(2, 25), 16)  # 12.5 fps: must not be speeded up
    assert len(plan) == 32
    assert duplicated(plan) == 7


def test_a_two_hour_film_is_planned_at_once():
    pts = np.arange(172_800, dtype=np.int64) * 1001
    plan = frame_plan(pts, 0, int(pts[-1]) + 1001, Fraction(1, 24000), 16)
    assert len(plan) == -(-172_800 * 1001 * 16 // 24000)
    assert plan[-1] == 172_799


@pytest.mark.parametrize(
    ("pts", "start", "end", "says"),
    [
        ([0, 1, 2], 5, 9, "no frame inside"),
        ([0, 1, 2], 2, 2, "empty clip"),
        ([0, 1, 2], 2, 1, "empty clip"),
        ([0, 2, 2], 0, 3, "increasing"),
        ([0, 2, 1], 0, 3, "increasing"),
        ([], 0, 3, "no frame inside"),
        ([0, 1], 0, MAX_SLOTS, "slots"),
    ],
)
def test_what_cannot_be_planned_is_refused(pts, start, end, says):
    with pytest.raises(ValueError, match=says):
        frame_plan(np.array(pts, dtype=np.int64), start, end, Fraction(1, 8), 16)


def nearest_by_bisection(pts, time_base, rate, end):
    """The definition again for long films: per slot the frame before and the one after, in exact fractions."""
    times = [Fraction(p) * time_base for p in pts]
    plan, k = [], 0
    while Fraction(k, rate) < (end - pts[0]) * time_base:
        wanted = times[0] + Fraction(k, rate)
        right = bisect.bisect_left(times, wanted)
        around = [i for i in (right - 1, right) if 0 <= i < len(times)]
        plan.append(min(around, key=lambda i: (abs(times[i] - wanted), i)))
        k += 1
    return plan


HOUR = {
    "23.976": (np.arange(86_313, dtype=np.int64) * 1001, Fraction(1, 24000)),
    "23.976 in whole milliseconds": (np.round(np.arange(86_313) * 1001 / 24).astype(np.int64), Fraction(1, 1000)),
    "29.97 in 90 kHz": (np.arange(107_892, dtype=np.int64) * 3003 - 4_000_000_000, Fraction(1, 90000)),
    "VFR": (np.cumsum(np.random.default_rng(1).choice([16, 33, 34, 67, 250], 45_000)), Fraction(1, 1000)),
}


@pytest.mark.parametrize("name", HOUR)
def test_an_hour_does_not_drift(name):
    pts, base = HOUR[name]
    end = int(2 * pts[-1] - pts[-2])
    plan = frame_plan(pts, int(pts[0]), end, base, 16)
    seconds = (end - int(pts[0])) * base
    assert seconds > 3000
    assert len(plan) == -(-seconds * 16 // 1)
    assert plan.tolist() == nearest_by_bisection(pts.tolist(), base, 16, end)
    # Negative control: one slot of drift in an hour, as a rate rounded to 23.98 or 30 gives it, is seen.
    off = (pts[plan] - pts[0]) * float(base) - np.arange(len(plan)) / 16
    assert np.abs(off).max() <= np.diff(pts).max() * float(base) / 2 + 1e-6
