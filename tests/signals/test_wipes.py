"""Wipes are found to about the frame, whatever way their edge goes; pans, dissolves and things passing are none."""

from __future__ import annotations

import math

import numpy as np
import pytest

from wanprep.signals.pictures import Pictures
from wanprep.signals.wipes import (
    BIAS,
    HEIGHT,
    WEIGHTS,
    WIDTH,
    Sweep,
    WipeRules,
    evidence,
    find_wipes,
    goes_on,
    judge,
    likeliest,
    returns,
    slow_evidence,
    unmoved,
)

Y, X = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)
Y, X = Y / (HEIGHT - 1), X / (WIDTH - 1)
ARRIVALS = {
    "right": X,
    "left": 1 - X,
    "down": Y,
    "diagonal": (X + Y) / 2,
    "clock": (np.arctan2(X - 0.5, 0.5 - Y) / (2 * np.pi)) % 1,
    "iris": np.hypot(X - 0.5, Y - 0.5) / np.hypot(0.5, 0.5),
}


def picture(seed: int) -> np.ndarray:
    """float32[P]: coarse light and dark, with some detail."""
    import cv2

    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.normal(0, 1, (4, 5)).astype(np.float32), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return np.clip(120 + 45 * coarse + rng.normal(0, 8, coarse.shape), 0, 255).astype(np.float32).ravel()


def film(n: int, at: int, length: int, arrival: np.ndarray, noise: float = 1.5) -> np.ndarray:
    """float32[n, P]: one shot, `length` frames from frame `at` on in which another arrives, and that one."""
    rng, old, new = np.random.default_rng(7), picture(1), picture(2)
    times = np.clip((np.arange(n) - at + 1) / (length + 1), 0, 1)
    edge = np.clip((times[:, None] - arrival.ravel()) * WIDTH + 0.5, 0, 1)
    edge[times >= 1] = 1
    edge[times <= 0] = 0
    return (old + (new - old) * edge + rng.normal(0, noise, (n, old.size))).astype(np.float32)


def found(T: np.ndarray, walls=(), **rules) -> list[tuple[int, int]]:
    settings = WipeRules(**rules)
    sweeps = find_wipes(T, settings, walls, np.ones(len(T), bool))
    return [(s.first, s.last) for s in sweeps if s.odds >= settings.min_odds]


@pytest.mark.parametrize("name", ARRIVALS)
@pytest.mark.parametrize("length", [10, 18, 30])
def test_wipes_of_every_kind(name, length):
    spans = found(film(90, 30, length, ARRIVALS[name]))
    room = 2 + math.ceil(0.15 * length)  # what `split` gives up on each side
    assert len(spans) == 1
    first, last = spans[0]
    assert abs(first - 30) <= room
    assert abs(last - (29 + length)) <= room


def glide(seed: int, n: int, speed: float) -> np.ndarray:
    """float32[n, HEIGHT, WIDTH]: a camera that pans by `speed` of its 16 parts a frame."""
    import cv2

    canvas = cv2.resize(np.random.default_rng(seed).normal(0, 1, (6, 30)).astype(np.float32), (WIDTH * 6, HEIGHT))
    frames = []
    for t in range(n):
        shift = np.array([[1, 0, -speed * t - 2 * WIDTH], [0, 1, 0]], np.float32)
        frames.append(cv2.warpAffine(canvas, shift, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT))
    return np.clip(120 + 50 * np.stack(frames), 0, 255)


@pytest.mark.parametrize("speed", [0.05, 0.1])
@pytest.mark.parametrize("name", ["right", "down", "diagonal", "clock"])
def test_wipes_between_moving_pictures(name, speed):
    old, new = glide(11, 80, speed), glide(12, 80, -speed)
    share = np.clip(((np.arange(80) - 29) / 19)[:, None, None], 0, 1) * (1 + 1 / WIDTH)
    edge = np.clip((share - ARRIVALS[name]) * WIDTH, 0, 1)
    spans = found((old + (new - old) * edge).reshape(80, -1).astype(np.float32))
    assert len(spans) == 1
    assert spans[0][0] <= 40 <= spans[0][1]
    for alone in (old, new):
        assert found(alone.reshape(80, -1).astype(np.float32)) == []


def test_what_a_camera_does_is_explained_and_what_an_edge_does_is_not():
    still = glide(13, 2, 0.0)[0]
    y, x = (grid.astype(np.float32) for grid in np.mgrid[0:HEIGHT, 0:WIDTH])
    import cv2

    smooth = cv2.GaussianBlur(still, (0, 0), 2)
    pan = np.stack([cv2.remap(smooth, x + 0.3 * t, y, cv2.INTER_LINEAR) for t in range(6)])[:, :, :-2]
    pan = np.stack([cv2.resize(frame, (WIDTH, HEIGHT)) for frame in pan])
    light = np.stack([smooth + 5 * t for t in range(6)])
    assert unmoved(pan.reshape(6, -1)) < 0.15
    assert unmoved(light.reshape(6, -1)) < 0.01
    assert unmoved(film(90, 30, 18, X)[30:48]) > 0.5
    assert unmoved(light[:1].repeat(6, axis=0).reshape(6, -1)) == 0  # nothing happens


def test_a_turn_of_the_camera_is_explained_where_turns_are():
    import cv2

    smooth = cv2.GaussianBlur(glide(13, 2, 0.0)[0], (0, 0), 2)
    middle = (WIDTH / 2 - 0.5, HEIGHT / 2 - 0.5)
    ways = [cv2.getRotationMatrix2D(middle, 1.5 * t, 1.2) for t in range(6)]
    turn = np.stack([cv2.warpAffine(smooth, way, (WIDTH, HEIGHT)) for way in ways]).reshape(6, -1)
    assert unmoved(turn, turns=True) < 0.1
    assert unmoved(turn) > 0.3
    assert unmoved(film(90, 30, 18, X)[30:48], turns=True) > 0.5


def test_what_was_there_before_returns_and_what_comes_does_not():
    old, new = picture(1), picture(2)
    T = np.stack([old] * 20 + [new] * 40)
    assert returns(Pictures(T), 17, 22) < 0.01
    T[30:] = old
    assert returns(Pictures(T), 17, 22) > 0.3


def test_one_shot_goes_on_after_what_passed():
    old, new = picture(1), picture(2)
    T = np.stack([old] * 20 + [new] * 30)
    assert not goes_on(Pictures(T), 18, 22)
    T[30:] = old + np.random.default_rng(0).normal(0, 2, (20, old.size)).astype(np.float32)
    assert goes_on(Pictures(T), 18, 22)
    assert not goes_on(Pictures(T), 0, 22)  # of nothing before it nothing is known
    assert not goes_on(Pictures(T), 18, 49)


def test_of_spans_that_overlap_the_likeliest_is_kept():
    spans = [Sweep(first=a, last=b, odds=odds) for a, b, odds in ((10, 20, 1.0), (15, 25, 3.0), (26, 30, 0.5))]
    free = np.ones(40, bool)
    assert [(s.first, s.last) for s in likeliest(spans, free)] == [(15, 25), (26, 30)]
    assert not free[15:31].any()
    free = np.ones(40, bool)
    free[18] = False
    assert [(s.first, s.last) for s in likeliest(spans, free)] == [(26, 30)]


def test_a_fast_pan_that_starts_and_stops_is_no_wipe():
    for seed in (52, 55, 57, 59):
        whole = glide(seed, 200, 0.4).reshape(200, -1)
        at = np.concatenate([np.zeros(30, int), np.arange(0, 40, 2), np.full(30, 39)])
        assert found(whole[at].astype(np.float32)) == []


def test_a_dissolve_and_a_cut_are_no_wipes():
    assert found(film(90, 30, 20, np.full((HEIGHT, WIDTH), 0.5))) == []  # everywhere at once
    old, new = picture(1), picture(2)
    ramp = np.clip((np.arange(90) - 30) / 20, 0, 1)[:, None]
    assert found((old + (new - old) * ramp).astype(np.float32)) == []


@pytest.mark.parametrize("speed", [0.3, 0.8, 1.6, 3.0])
def test_pans_are_no_wipes(speed):
    import cv2

    canvas = cv2.resize(np.random.default_rng(3).normal(0, 1, (6, 60)).astype(np.float32), (WIDTH * 12, HEIGHT))
    canvas = np.clip(120 + 50 * canvas, 0, 255)
    frames = []
    for t in range(60):
        shift = np.array([[1, 0, -speed * t], [0, 1, 0]], np.float32)
        frames.append(cv2.warpAffine(canvas, shift, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT).ravel())
    assert found(np.stack(frames)) == []


def test_something_that_passes_is_no_wipe():
    T = film(80, 200, 10, X)  # one shot only
    for k in range(12):
        edge = -8 + 2.5 * k
        covered = (np.arange(WIDTH) >= edge) & (np.arange(WIDTH) < edge + 7)
        T[30 + k].reshape(HEIGHT, WIDTH)[:, covered] = 20
    assert found(T) == []


def test_a_wipe_spans_no_wall_and_no_taken_frame_and_can_be_switched_off():
    T = film(90, 30, 18, X)
    assert found(T, walls=[39]) == []
    assert found(T, enabled=False) == []
    free = np.ones(90, bool)
    free[38:42] = False
    assert find_wipes(T, WipeRules(), (), free) == []


def test_spans_that_hardly_change_are_not_judged():
    T = film(40, 200, 10, X)
    assert judge(T, 5, 25) is None
    assert evidence(T, 5, 25) is None
    with pytest.raises(ValueError, match="max_between"):
        WipeRules(max_between=0.9)


def test_the_odds_are_the_evidence_times_its_weights():
    T = film(90, 30, 18, X)
    found = evidence(T, 29, 48)[0] | slow_evidence(T, 29, 48)
    assert found.keys() == WEIGHTS.keys()
    assert judge(T, 29, 48).odds == pytest.approx(BIAS + sum(WEIGHTS[name] * found[name] for name in WEIGHTS))
    T = film(90, 30, 18, np.full((HEIGHT, WIDTH), 0.5))  # all at once is hopeless: what takes longest is not asked
    found = evidence(T, 29, 48)[0]
    assert judge(T, 29, 48).odds == pytest.approx(BIAS + sum(WEIGHTS[name] * found[name] for name in found))


def test_where_a_film_begins_or_ends_there_is_no_quiet():
    """The side that is missing is taken to be like the other."""
    from wanprep.signals.wipes import _both

    assert _both(0.2, 0.1) == (0.1, 0.2)
    assert _both(None, 0.3) == _both(0.3, None) == (0.3, 0.3)
    T = film(40, 4, 12, ARRIVALS["right"])
    T[16:] += np.random.default_rng(1).normal(0, 30, T[16:].shape).astype(np.float32)  # it goes on as stirred
    whole, begun = judge(np.concatenate([np.repeat(T[:1], 20, axis=0), T]), 23, 36), judge(T, 3, 16)
    assert whole is not None
    assert begun is not None
    assert begun.odds < whole.odds - 1
