"""Idle heads and tails: cut where motion begins and ends, listed as what they are, never anything else."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wanprep.signals import quality, shots
from wanprep.signals.store import Signals
from wanprep.stages.split import SplitConfig, split
from wanprep.stages.trim import TrimRules, trim

RATE = 20
ON = TrimRules(enabled=True)


def signals(moving: list[tuple[float, float]], seconds: float = 8.0, amount: float = 0.2, rate: int = RATE) -> Signals:
    """A source that moves in the given spans of seconds, measured as the analysis measures: four times a second, each
    time against half a second before."""
    n = int(seconds * rate)
    times = np.arange(n) / rate
    busy = np.array([any(a <= t < b for a, b in moving) for t in times])
    frame = {name: np.full(n, np.nan, np.float32) for name in (*shots.FIELDS, *quality.FIELDS)}
    for name in shots.FIELDS:
        frame[name][:] = 100 if name.startswith("luma") else 0
    step = rate // 4
    for i in range(2 * step, n, step):
        frame["change_s"][i] = 0.5
        frame["change"][i] = amount * busy[i - 2 * step : i].mean()
    return Signals(
        time_base=Fraction(1, rate), width=64, height=48, pts=np.arange(n, dtype=np.int64), last_duration=1,
        frame=frame, sampled=np.array([0], np.int32), thumbs=np.zeros((1, 192, 256, 3), np.uint8),
        row_p97=np.full((1, 48), 200, np.uint8), col_p97=np.full((1, 64), 200, np.uint8),
        extra={"tiny": np.full((n, shots.TINY_HEIGHT, shots.TINY_WIDTH), 100, np.uint8)},
    )  # fmt: skip


def test_head_and_tail_go_and_the_motion_stays_with_its_margin():
    first, last, idle = trim(signals([(3.0, 5.0)]), 0, 160, ON)
    assert 2.0 <= first / RATE <= 2.75
    assert 5.25 <= last / RATE <= 6.0
    assert idle == [(0, first), (last, 160)]


def test_a_pause_in_the_middle_is_part_of_the_movement():
    first, last, idle = trim(signals([(0.0, 2.0), (6.0, 8.0)]), 0, 160, ON)
    assert (first, last, idle) == (0, 160, [])


def test_nothing_is_trimmed_when_off_when_nothing_moves_or_when_all_does():
    assert trim(signals([(3.0, 5.0)]), 0, 160, TrimRules()) == (0, 160, [])
    assert trim(signals([]), 0, 160, ON) == (0, 160, [])
    assert trim(signals([(0.0, 8.0)]), 0, 160, ON) == (0, 160, [])
    assert trim(signals([(0.3, 7.8)]), 0, 160, ON) == (0, 160, [])  # shorter than least_s


def test_a_short_movement_in_a_long_still_shot_is_found_and_a_single_step_is_none():
    """Less than a tenth of the time: the shot was left whole, and rejected as `static`."""
    long = signals([(20.0, 21.5)], seconds=40.0)
    first, last, idle = trim(long, 0, 800, ON)
    assert 19.0 <= first / RATE <= 20.0
    assert 21.5 <= last / RATE <= 22.5
    assert idle == [(0, first), (last, 800)]
    step = signals([], seconds=40.0)  # a pop of the coding: each measurement looks back half a second
    step.frame["change"][[400, 405, 410]] = 0.3
    assert trim(step, 0, 800, ON) == (0, 800, [])
    small = signals([(20.0, 21.5)], seconds=40.0, amount=0.001)  # of no account anywhere
    assert trim(small, 0, 800, ON) == (0, 800, [])


def test_small_motion_is_no_idleness_where_all_motion_is_small():
    """A gesture in a wide shot changes less of the picture than `idle`."""
    first, last, _ = trim(signals([(3.0, 6.0)], amount=0.006), 0, 160, ON)
    assert first / RATE <= 3.0
    assert last / RATE >= 6.0
    assert first > 0


def test_unmeasured_motion_trims_nothing():
    source = signals([(3.0, 5.0)])
    source.frame["change"][:] = np.nan
    assert trim(source, 0, 160, ON) == (0, 160, [])


def test_a_short_movement_keeps_the_least_length():
    first, last, _ = trim(signals([(4.0, 4.25)]), 0, 160, ON, min_seconds=3.0)
    assert (last - first) / RATE >= 3.0
    assert first / RATE <= 4.0
    assert last / RATE >= 4.25


@given(
    spans=st.lists(st.tuples(st.floats(0, 8), st.floats(0.2, 3)), max_size=3),
    start=st.integers(0, 60),
    length=st.integers(1, 100),
    least=st.floats(0, 4),
)
@settings(max_examples=150, deadline=None)
def test_parts_add_up_and_all_motion_is_kept(spans, start, length, least):
    source = signals([(a, a + b) for a, b in spans])
    end = start + length
    first, last, idle = trim(source, start, end, ON, min_seconds=least)
    assert start <= first < last <= end
    parts = sorted([*idle, (first, last)])
    assert parts[0][0] == start
    assert parts[-1][1] == end
    assert all(a[1] == b[0] for a, b in itertools.pairwise(parts))
    assert (last - first) / RATE >= min(least, length / RATE) - 1e-9
    assert all((b - a) / RATE >= ON.least_s - 1 / RATE - 1e-9 for a, b in idle)
    if idle:
        measured = source.frame["change"][start:end]
        back = source.frame["change_s"][start:end]
        for i in np.flatnonzero(measured >= ON.idle):
            if i / RATE - back[i] >= 0:  # the change happened in the half second before
                assert start + i - 0.5 * RATE < last
                assert start + i > first


def test_split_lists_what_was_trimmed_as_rejected_clips():
    source = signals([(3.0, 5.0)])
    off, _ = split(source, SplitConfig())
    clips, _ = split(source, SplitConfig(trim=ON))
    assert [(c.start_frame, c.end_frame, c.reason) for c in off] == [(0, 160, "")]
    assert [c.reason for c in clips] == ["idle", "", "idle"]
    assert [c.state for c in clips] == ["rejected", "ok", "rejected"]
    assert [(a.end_frame, a.end_pts) for a in clips[:-1]] == [(b.start_frame, b.start_pts) for b in clips[1:]]


@pytest.mark.parametrize("bad", [{"idle": 0}, {"idle": 1.0}, {"pad_s": -1}, {"least_s": -0.1}])
def test_rules_that_mean_nothing_are_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        TrimRules(**bad)
