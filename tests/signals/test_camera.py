"""What the camera does: shake about every axis is found, moves are not, and who stands before it does not lead it."""

from __future__ import annotations

import itertools
import math

import cv2
import numpy as np
import pytest

from wanprep.signals import motion
from wanprep.signals.content import against_camera
from wanprep.signals.motion import camera_motion, camera_step, still_rim, turned_back, velocities, without_led
from wanprep.stages.filter import REGISTRY

H, W, FPS = 144, 256, 16
SHAKES = REGISTRY["shake"].threshold
T = np.arange(40) / FPS


def scene(seed: int, detail: float = 1.5) -> np.ndarray:
    """uint8[2H, 2W] of smooth noise; detail: its finest scale in pixels."""
    noise = np.random.default_rng(seed).normal(size=(2 * H, 2 * W)).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), detail)
    return np.clip(115 + 45 * noise / noise.std(), 0, 255).astype(np.uint8)


def filmed(
    path: np.ndarray | None = None, turn: np.ndarray | None = None, zoom: np.ndarray | None = None, detail: float = 1.5
) -> np.ndarray:
    """uint8[N, H, W]. path: [N, 2] widths; turn: radians; zoom: natural log."""
    zero = np.zeros(len(T))
    path, turn, zoom = (
        np.zeros((len(T), 2)) if path is None else path,
        *(zero if x is None else x for x in (turn, zoom)),
    )
    out = []
    for (x, y), a, z in zip(path * W, turn, zoom):
        c, s = math.cos(a) / math.exp(z), math.sin(a) / math.exp(z)
        matrix = np.array([[c, -s, W + x - c * W / 2 + s * H / 2], [s, c, H + y - s * W / 2 - c * H / 2]])
        out.append(cv2.warpAffine(scene(1, detail), matrix, (W, H), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP))
    return np.stack(out)


def steps_of(frames: np.ndarray) -> tuple[np.ndarray, float]:
    """As the meter and a clip's scores take them."""
    found = [camera_step(a, b) for a, b in itertools.pairwise(frames)]
    rims = np.array([still_rim(a, b, step) for (a, b), step in zip(itertools.pairwise(frames), found)])
    moves = np.array([(s.dx, s.dy, s.rot, s.scale) for s in found])
    moves = without_led(T[1:], moves, rims[:, 0], rims[:, 1])
    return velocities(T[1:], np.full(len(moves), 1 / FPS), moves)


def wave(hz: float) -> np.ndarray:
    return np.sin(2 * np.pi * hz * T + 0.4)


@pytest.mark.parametrize("hz", [1.2, 2.5, 4.0])
@pytest.mark.parametrize(
    ("axis", "size"), [("path", 0.006), ("turn", math.radians(0.8)), ("zoom", 0.012), ("path", 0.02), ("turn", 0.05)]
)
def test_a_camera_that_keeps_turning_back_shakes_about_any_axis(axis, size, hz):
    swing = size * wave(hz)
    moves = np.stack([swing, 0.3 * swing], axis=1) if axis == "path" else swing
    assert turned_back(*steps_of(filmed(**{axis: moves}))) > SHAKES


@pytest.mark.parametrize(
    "moves",
    [
        {},
        {"path": np.stack([0.1 * T, 0.03 * T], axis=1)},
        {"turn": 0.1 * T},
        {"zoom": 0.1 * T},
        {"turn": 0.06 * wave(0.3)},
        {"zoom": 0.1 * wave(0.3)},
        {"path": np.stack([0.1 * wave(0.3), 0 * T], axis=1)},
    ],
    ids=["still", "pan", "roll", "zoom", "there and back", "in and out", "across and back"],
)
def test_an_intended_move_is_no_shake(moves):
    assert turned_back(*steps_of(filmed(**moves))) <= SHAKES


def steps(*axes: np.ndarray) -> np.ndarray:
    """Of these paths, across and down first, each from its beginning."""
    paths = np.zeros((len(T) * 2, 4))
    for k, path in enumerate(axes):
        paths[:, k] = path
    return np.diff(paths, axis=0)


LONG = np.arange(2 * len(T)) / FPS


def test_a_turn_counts_by_the_lesser_of_its_swings():
    sine = np.sin(2 * np.pi * 2.5 * LONG)
    small, twice = (turned_back(steps(size * sine)) for size in (0.0015, 0.003))
    assert 1.7 * small < twice < 2.3 * small
    assert small == pytest.approx(0.003 * 5 * motion.PER_S, rel=0.25)  # five turns a second, peak to peak
    assert turned_back(steps(0.0015 * sine + 0.01 * LONG)) < small  # what the pan takes with it does not turn back
    assert turned_back(steps(0.4 * motion.LEAST_SWING * sine)) == 0.0
    assert turned_back(steps(0 * sine, sine * 0.003)) == turned_back(steps(0.003 * sine)) == twice
    assert turned_back(steps(*3 * [0 * sine], 0.003 / 0.4 * sine)) == pytest.approx(twice)


def test_once_there_and_back_is_little_and_again_and_again_is_much(monkeypatch):
    once = 0.3 * np.sin(np.pi * np.clip(LONG - 2.1, 0, 1)) ** 2
    assert 0 < turned_back(steps(once)) < SHAKES
    assert turned_back(steps(0.03 * np.sin(2 * np.pi * 1.2 * LONG))) > SHAKES
    monkeypatch.setattr("wanprep.signals.motion.MOST_SWING", 1.0)  # a negative control
    assert turned_back(steps(once)) > SHAKES


def test_jolts_after_a_rest_shake():
    jolts = sum(0.02 * np.exp(-(((LONG - at) / 0.1) ** 2)) for at in (0.5, 1.5, 2.5, 3.5, 4.5))
    assert turned_back(steps(jolts)) > SHAKES
    assert turned_back(steps(np.minimum(jolts, 0.0008))) == 0.0


def test_a_slow_move_there_and_back_is_none():
    assert turned_back(steps(0.1 * np.sin(2 * np.pi * 0.6 * LONG))) == 0.0
    assert turned_back(steps(0.1 * np.sin(2 * np.pi * 1.0 * LONG))) > SHAKES


def test_what_steady_hands_add_to_a_move_is_no_shake():
    """Their drift falls with the frequency; the same swing at 5 Hz shakes."""
    rng = np.random.default_rng(3)
    hz = np.arange(0.2, 8, 0.2)[:, None]
    for _ in range(5):
        gain = 1 / hz * np.minimum(1, 2 / hz)
        gain *= 0.0012 / np.sqrt((gain[hz >= 0.5] ** 2).sum() / 2)
        paths = [(gain * np.sin(2 * np.pi * (hz * LONG + rng.uniform(0, 1, hz.shape)))).sum(axis=0) for _ in range(2)]
        assert turned_back(steps(paths[0] + 0.06 * LONG, paths[1])) < SHAKES
    assert turned_back(steps(0.0012 * math.sqrt(2) * np.sin(2 * np.pi * 5 * LONG))) > SHAKES


def test_nothing_is_known_across_a_gap():
    sine = steps(0.003 * np.sin(2 * np.pi * 2.5 * LONG))
    whole = turned_back(sine)
    sine[::6] = np.nan  # no two swings are left beside each other
    assert turned_back(sine) < 0.5 * whole
    assert math.isnan(turned_back(sine[1:6]))


def close_up(sway: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Someone sharp fills most of the picture and sways (widths) before `background`, which is out of focus."""
    person, out = scene(7), []
    for x, behind in zip(np.round(sway * W).astype(int), background):
        view = behind.copy()
        view[26:, 48 + x : 208 + x] = person[26:H, 48:208]
        out.append(view)
    return np.stack(out)


def test_someone_who_fills_the_picture_does_not_lead_the_camera(monkeypatch):
    swaying = close_up(0.03 * wave(2.0), filmed(detail=9))
    assert turned_back(*steps_of(swaying)) == 0.0
    assert camera_motion(*steps_of(swaying))[0] == "static camera"
    monkeypatch.setattr("wanprep.signals.motion.RIM_STAYS", 1.0)  # a negative control: as it was
    assert turned_back(*steps_of(swaying)) > SHAKES


def test_a_camera_that_shakes_with_someone_before_it_still_shakes():
    sway = 0.03 * wave(2.0)
    shaken = close_up(sway, filmed(path=np.stack([-sway, 0 * sway], axis=1), detail=9))
    assert turned_back(*steps_of(shaken)) > SHAKES
    panned = close_up(0.06 * T, filmed(path=np.stack([-0.06 * T, 0 * T], axis=1), detail=9))
    assert camera_motion(*steps_of(panned))[0] != "static camera"


def test_what_leads_no_camera_moves_against_it():
    frames = close_up(0.03 * wave(2.0), filmed(detail=9))
    before, after = (np.repeat(frames[k][..., None], 3, axis=2) for k in (0, 2))
    energy = against_camera(before, after)
    assert energy is not None
    assert energy[20:, 30:90].mean() > 10 * energy[:8].mean() + 1


def test_a_rim_with_nothing_in_it_says_nothing():
    flat = np.full((H, W), 90, np.uint8)
    frames = [flat.copy() for _ in range(2)]
    for k, frame in enumerate(frames):
        frame[40:110, 60 + 3 * k : 190 + 3 * k] = scene(7)[40:110, 60:190]
    step = camera_step(*frames)
    assert step.dx * W == pytest.approx(3, abs=0.2)
    assert still_rim(frames[0], frames[1], step) == (0, 0)
    assert still_rim(flat, flat, camera_step(flat, flat)) == (0, 0)
    tiny = np.zeros((16, 16), np.uint8)
    assert still_rim(tiny, tiny, step) == (0, 0)


def test_boxes_that_go_ways_of_their_own_on_blank_paper_lead_no_camera():
    def paper(*shifts: int) -> np.ndarray:
        page = np.full((H, W), 250, np.uint8)
        for row, shift in zip((30, 65, 100), shifts):
            page[row : row + 26, 60 + shift : 190 + shift] = scene(7)[row : row + 26, 60:190]
        return page

    step = camera_step(paper(0, 0, 0), paper(3, 3, 0))  # most of it
    assert step.dx * W == pytest.approx(3, abs=0.2)
    assert motion.stands(*still_rim(paper(0, 0, 0), paper(3, 3, 0), step))
    assert not motion.stands(*still_rim(paper(0, 0, 0), paper(3, 3, 3), step))  # all of it: the camera may


def test_steps_led_by_something_are_judged_with_their_neighbours():
    seconds = np.arange(8) / FPS
    moves = np.full((8, 4), 0.01)
    moves[2] = np.nan
    goes = np.full(8, 20)
    assert np.array_equal(without_led(seconds, moves, np.zeros(8), goes), moves, equal_nan=True)
    once = np.where(np.arange(8) == 4, 30, 0)  # one step of eight
    assert np.array_equal(without_led(seconds, moves, once, goes), moves, equal_nan=True)
    led = without_led(seconds, moves, np.full(8, 20), goes)
    assert np.isnan(led[2]).all()
    assert not np.nan_to_num(led).any()
    assert without_led(seconds[:0], moves[:0], once[:0], goes[:0]).shape == (0, 4)
    assert motion.RIM_STAYS < 0.5
