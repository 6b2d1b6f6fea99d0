"""Moves by hand that the benchmark of quality makes up: they show what they say, and hardly any of it is shake."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))  # as its scripts run
import handheld
from degrade import shake, texture

from wanprep.signals.motion import camera_step, turned_back, velocities
from wanprep.stages.filter import REGISTRY

SECONDS = np.arange(32) / 16


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return np.repeat(texture(np.random.default_rng(4), 180, 320)[None], len(SECONDS), axis=0)


def shakes(made: np.ndarray) -> float:
    small = [cv2.resize(frame, (256, 144), interpolation=cv2.INTER_AREA) for frame in made]
    found = [camera_step(a, b) for a, b in itertools.pairwise(small)]
    moves = np.array([(s.dx, s.dy, s.rot, s.scale) for s in found])
    return turned_back(*velocities(SECONDS[1:], np.diff(SECONDS), moves))


@pytest.mark.parametrize("move", [handheld.orbit, handheld.sweep, handheld.filled, handheld.dashboard])
def test_moves_are_those_of_their_generator(move: Any, frames: np.ndarray) -> None:
    one, same, other = (move(frames, SECONDS, np.random.default_rng(seed), 1e-3) for seed in (1, 1, 2))
    assert (one.shape, one.dtype) == (frames.shape, np.uint8)
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_steady_hands_shake_no_orbit_and_no_sweep(frames: np.ndarray) -> None:
    limit, rng = REGISTRY["shake"].threshold, np.random.default_rng(5)
    for move in (handheld.orbit, handheld.sweep):
        assert np.median([shakes(move(frames, SECONDS, rng, 1e-3)) for _ in range(3)]) < limit
    assert shakes(shake(frames, SECONDS, rng, 3e-3, "tremor")) > limit
    assert shakes(handheld.orbit(frames, SECONDS, rng, 2e-2)) > limit  # ten times as much does


def test_hands_drift_slowly() -> None:
    seconds = np.arange(0, 40, 1 / 16)
    path = handheld.hands(seconds, np.random.default_rng(0), 1e-3)[:, 0]
    power, hz = np.abs(np.fft.rfft(path)) ** 2, np.fft.rfftfreq(len(path), 1 / 16)
    assert power[(hz > 0.1) & (hz < 1)].sum() > 4 * power[hz >= 1].sum() > 20 * power[hz > 4].sum()
    assert np.sqrt(2 * power[hz > 0.45].sum()) / len(path) == pytest.approx(1e-3, rel=0.1)
