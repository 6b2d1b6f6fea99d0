from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wanprep.stages.fps import MAX_SLOTS, duplicated, frame_plan, plan_digest


def by_the_definition(pts, start, end, time_base, rate):
    """Word for word: slot by slot, exact fractions, the first of the nearest frames inside the clip."""
    inside = [i for i, p in enumerate(pts) if start <= p < end]
    plan, k = [], 0
    while Fraction(k, rate) < (end - start) * time_base:
        wanted = start * time_base + Fraction(k, rate)
        plan.append(min(inside, key=lambda i: (abs(pts[i] * time_base - wanted), i)))
        k += 1
    return plan


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
    assert plan.tolist() == by_the_definition(pts, start, end, base, rate)
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


def test_the_digest_follows_the_plan():
    plan = np.array([0, 1, 3], dtype=np.int64)
    assert plan_digest(plan) == plan_digest(plan.astype(np.int32))
    assert plan_digest(plan) != plan_digest(np.array([0, 1, 4]))
