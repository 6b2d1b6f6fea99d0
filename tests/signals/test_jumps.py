"""Cuts by a sum of weights: plain ones are found, and no fade's end is one."""

from __future__ import annotations

import numpy as np
from footage import gliding as scene

from wanprep.signals.jumps import Series, find_jumps
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


def test_a_cut_is_found_from_the_odds_asked_for() -> None:
    frames = np.concatenate([scene(1, 30), scene(2, 30)])
    assert jumps(frames, min_odds=0.0).cuts == (30,)
    unlikely = jumps(frames, min_odds=NEVER)
    assert (unlikely.cuts, unlikely.sure) == ((), ())


def test_a_step_between_pictures_in_which_nothing_is_seen_is_no_cut() -> None:
    dark = np.concatenate([(scene(seed, 30) * 0.05).astype(np.uint8) for seed in (7, 8)])
    dark[30:] += 4
    assert jumps(dark, min_odds=0.0).cuts == ()
    gains = np.concatenate([np.ones(20), np.linspace(1, 0.04, 20), np.zeros(20)])
    assert jumps((scene(9, 60) * gains[:, None, None, None]).astype(np.uint8), min_odds=0.0).cuts == ()
