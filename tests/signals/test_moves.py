"""Whole films of a camera that moves, and of things that jump: no transition there, doubt here."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from wanprep.signals.gradual import find_mixes
from wanprep.signals.pictures import Pictures
from wanprep.signals.rules import GradualRules, ShotRules
from wanprep.signals.shots import FIELDS, ShotList, ShotMeter, find_shots
from wanprep.signals.store import Signals

WIDTH, HEIGHT, FPS = 128, 72, 25
CELLS = ((1, 70), (2, 40), (8, 10))


def pan(seed: int, step: float, n: int = 90) -> np.ndarray:
    """uint8[n, 72, 128, 3]: an eased pan of `step` pixels a frame."""
    return panned(seed, step * np.clip(np.minimum(np.arange(n) - 20, n - 25 - np.arange(n)) / 10, 0, 1))


def panned(seed: int, pace: np.ndarray) -> np.ndarray:
    """uint8[n, 72, 128, 3]: a camera that pans so many pixels in each frame, the shutter open for half of it."""
    import cv2

    rng = np.random.default_rng(seed)
    canvas = np.full((HEIGHT, WIDTH * 14, 3), rng.uniform(60, 180, 3), np.float32)
    for cells, gain in CELLS:
        grid = rng.normal(0, gain, (cells, cells * 14, 3)).astype(np.float32)
        canvas += cv2.resize(grid, canvas.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    place = 10 + np.cumsum(pace)
    out = []
    for x, speed in zip(place, pace):
        moments = [round(x + speed * part / 10) for part in range(5)]
        out.append(
            np.mean([canvas[:, at : at + WIDTH] for at in moments], axis=0) + rng.normal(0, 1.5, (HEIGHT, WIDTH, 1))
        )
    return np.clip(np.stack(out), 0, 255).astype(np.uint8)


def ball(places: list[float], seed: int = 3) -> np.ndarray:
    """uint8[n, 72, 128, 3]: something bright at each of the places before a still background."""
    rng = np.random.default_rng(seed)
    ground = np.repeat(np.repeat(rng.uniform(50, 140, (9, 16)), 8, 0), 8, 1)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    frames = [ground + 110 * np.exp(-((x - at) ** 2 + (y - 36) ** 2) / 150) for at in places]
    return np.repeat(np.clip(frames, 0, 255).astype(np.uint8)[..., None], 3, axis=-1)


def found(frames: np.ndarray) -> ShotList:
    meter = ShotMeter()
    rows, tiny = zip(*(meter.feed(frame) for frame in frames))
    n = len(frames)
    signals = Signals(
        time_base=Fraction(1, 90000), width=WIDTH, height=HEIGHT, last_duration=3600, sampled=np.zeros(0, np.int32),
        frame={name: np.array([row[name] for row in rows], np.float32) for name in FIELDS},
        pts=np.arange(n, dtype=np.int64) * 90000 // FPS, thumbs=np.zeros((0, 2, 2, 3), np.uint8),
        row_p97=np.zeros((0, HEIGHT), np.uint8), col_p97=np.zeros((0, WIDTH), np.uint8), extra={"tiny": np.stack(tiny)},
    )  # fmt: skip
    return find_shots(signals, ShotRules())


PANS = [(3, 0), (3, 4), (6, 0), (6, 7), (10, 2), (10, 9), (16, 4), (16, 9)]


@pytest.mark.parametrize(("step", "seed"), PANS)
def test_an_eased_pan_is_no_transition(step: float, seed: int) -> None:
    shots = found(pan(seed, step))
    assert shots.transitions == shots.cuts == ()


def test_without_the_cameras_motion_such_pans_would_be_dissolves(monkeypatch):
    """A negative control: as it was."""
    monkeypatch.setattr("wanprep.signals.shots.without_moves", lambda T, mixes: list(mixes))
    assert all(found(pan(seed, step)).transitions for step, seed in PANS)


def test_what_jumps_in_a_picture_that_stays_is_doubtful():
    places = [10 + 1.5 * t for t in range(30)] + [110 - 1.5 * t for t in range(30)]
    shots = found(ball(places))
    assert [(t.first, t.last) for t in shots.doubtful] == [(30, 30)]
    assert shots.cuts == shots.transitions == ()


def test_what_only_moves_is_not():
    shots = found(ball([10 + 1.5 * t for t in range(60)]))
    assert shots.cuts == shots.transitions == shots.doubtful == ()


@pytest.mark.parametrize("n", [60, 74, 90, 110, 140])
def test_no_dissolve_is_longer_than_the_rules_allow(n: int) -> None:
    rng = np.random.default_rng(0)
    a, b = (np.repeat(np.repeat(rng.uniform(0, 255, (3, 4)), 4, 0), 4, 1).ravel() for _ in range(2))
    share = np.clip((np.arange(n + 60) - 30) / n, 0, 1)[:, None]
    mixes = find_mixes(
        Pictures((a * (1 - share) + b * share).astype(np.float32)), np.ones(n + 60), 25.0, GradualRules(), []
    )
    assert all(m.last - m.first + 1 <= 75 for m in mixes)
    assert n > 75 or any(m.last - m.first + 1 >= 0.8 * n for m in mixes)


def test_a_cut_in_a_rush_is_a_wipe_as_long_as_the_rush(monkeypatch):
    rush = np.concatenate([np.zeros(40), np.linspace(1, 40, 8)])
    frames = np.concatenate([panned(1, rush), panned(4, rush[::-1])])
    shots = found(frames)
    assert shots.cuts == ()
    ((kind, first, last),) = [(t.kind, t.first, t.last) for t in shots.transitions]
    assert kind == "wipe"
    assert 39 <= first <= 44
    assert 51 <= last <= 56
    even = np.full(48, 8.0)
    assert found(np.concatenate([panned(1, even), panned(4, even)])).cuts == (48,)
    monkeypatch.setattr("wanprep.signals.shots.find_rushes", lambda *_: [])  # a negative control: as it was
    assert found(frames).cuts == (48,)
