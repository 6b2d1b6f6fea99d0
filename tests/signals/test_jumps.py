"""Steps that may be cuts: told apart from cuts, never beside one, and none where light alone changed."""

from __future__ import annotations

import numpy as np
from footage import gliding as scene

from wanprep.signals.jumps import FAR, Series, _apart, find_jumps
from wanprep.signals.meter import FIELDS, ShotMeter
from wanprep.signals.pictures import Pictures

LIMITS = {"min_step": 3.0, "max_likeness": 0.95}
NEVER = 1e9


def jumps(frames: np.ndarray, **limits: float):
    meter = ShotMeter()
    numbers, tiny = zip(*(meter.feed(frame) for frame in frames))
    columns = {name: np.array([it[name] for it in numbers], np.float32) for name in FIELDS}
    T = Pictures(np.stack(tiny).reshape(len(tiny), -1))
    return find_jumps(Series.of(columns), T, **{**LIMITS, **limits})


def test_a_step_short_of_a_cut_is_doubtful_and_a_cut_is_not() -> None:
    frames = np.concatenate([scene(1, 30), scene(2, 30)])
    sure = jumps(frames, min_odds=0.0, max_doubt=-3.0)
    assert (sure.cuts, sure.doubtful) == ((30,), ())
    unsure = jumps(frames, min_odds=NEVER, max_doubt=0.0)
    assert (unsure.cuts, unsure.sure, unsure.doubtful) == ((), (), (30,))
    assert jumps(frames, min_odds=NEVER).doubtful == ()  # nobody asked for doubtful ones


def test_a_frame_of_two_shots_may_be_doubtful_too() -> None:
    before, after = scene(3, 30), scene(4, 30)
    blend = (before[-1] * 0.5 + after[0] * 0.5).astype(np.uint8)[None]
    found = jumps(np.concatenate([before, blend, after]), min_odds=NEVER, max_doubt=-3.0)
    assert found.cuts == ()
    assert len(found.doubtful) == 1
    assert found.doubtful[0] in (30, 31)


def test_a_gliding_camera_and_changes_of_light_are_not_doubtful() -> None:
    assert jumps(scene(5, 60, 2.0), min_odds=0.0, max_doubt=-3.0).doubtful == ()
    darker = scene(6, 60)
    darker[30:] = (darker[30:] * 0.6).astype(np.uint8)
    assert jumps(darker, min_odds=0.0, max_doubt=-3.0).doubtful == ()


def test_of_neighbours_the_likeliest_is_kept_and_none_beside_a_cut() -> None:
    frames, odds = np.array([20, 22, 40, 50, 50 + FAR + 1]), np.array([-1.0, -0.5, -0.1, -2.0, -2.5])
    assert _apart(frames, odds, (40 + FAR,), 99) == (22, 50, 50 + FAR + 1)
    assert _apart(frames, odds, (), 99) == (22, 40, 50, 50 + FAR + 1)


def test_a_cut_in_the_dark_is_doubtful_and_the_end_of_a_fade_is_no_cut() -> None:
    dark = np.concatenate([(scene(seed, 30) * 0.05).astype(np.uint8) for seed in (7, 8)])
    dark[30:] += 4
    found = jumps(dark, min_odds=0.0, max_doubt=-3.0)
    assert (found.cuts, found.doubtful) == ((), (30,))
    gains = np.concatenate([np.ones(20), np.linspace(1, 0.04, 20), np.zeros(20)])
    assert jumps((scene(9, 60) * gains[:, None, None, None]).astype(np.uint8), min_odds=0.0).cuts == ()
