"""Steps that jumps.py takes for no cut: which are judged, by what, and what the network says of plain ones."""

from __future__ import annotations

import numpy as np
import pytest
from footage import gliding
from movies import shots as turned

from wanprep.signals import pictures
from wanprep.signals.carried import not_carried
from wanprep.signals.jumps import FAR, Series, find_jumps
from wanprep.signals.meter import FIELDS, ShotMeter
from wanprep.signals.pictures import Pictures
from wanprep.signals.rules import ShotRules
from wanprep.signals.steps import MIXED, NAMES, believed, between, candidates, find_steps, likeliest, numbers


def measured(frames: np.ndarray) -> tuple[Pictures, Series, dict[str, np.ndarray]]:
    meter = ShotMeter()
    rows, tiny = zip(*(meter.feed(frame) for frame in frames))
    columns = {name: np.array([it[name] for it in rows], np.float32) for name in FIELDS}
    return Pictures(np.stack(tiny).reshape(len(tiny), -1)), Series.of(columns), columns


def found(frames: np.ndarray, least: float = -3.0, free: np.ndarray | None = None) -> list[tuple[int, bool]]:
    T, series, columns = measured(frames)
    free = np.ones(len(T), bool) if free is None else free
    return [(it.at, it.mixed) for it in find_steps(T, series, columns, free, 25, ShotRules(max_doubt=least))]


def two(seed: int, share: float | None = None) -> np.ndarray:
    """Thirty frames each of two shots; share: of the second in the last frame of the first."""
    before, after = gliding(seed, 30), gliding(seed + 1, 30)
    if share is not None:
        before[-1] = (before[-1] * (1 - share) + after[0] * share).astype(np.uint8)
    return np.concatenate([before, after])


@pytest.mark.parametrize("seed", [1, 3, 5, 7])
def test_a_cut_is_one_and_is_not_looked_at_where_it_is_explained(seed: int) -> None:
    frames = two(seed)
    assert found(frames, 0.0) == [(30, False)]
    free = np.ones(60, bool)
    free[29:31] = False
    assert found(frames, -9.0, free) == []


@pytest.mark.parametrize("gain", [1.0, 1.8])
@pytest.mark.parametrize("seed", [1, 3, 5, 7])
def test_a_cut_over_a_frame_of_both_shots_is_one_in_overexposed_pictures_too(seed: int, gain: float) -> None:
    frames = np.minimum(two(seed, 0.5) * gain, 255).astype(np.uint8)
    ((at, mixed),) = found(frames, -1.0)
    assert at - mixed in (29, 30)


@pytest.mark.parametrize("gain", [0.5, 0.8, 1.3])
@pytest.mark.parametrize("seed", [6, 8])
def test_a_change_of_light_is_none_and_what_jumps_in_it_is(seed: int, gain: float) -> None:
    lit = gliding(seed, 60)
    lit[30:] = np.minimum(lit[30:] * gain, 255).astype(np.uint8)
    assert found(lit, -9.0) == []
    jumped = gliding(seed, 60)
    jumped[30:, 20:52, 20:70] = gliding(seed + 20, 60)[30:, 20:52, 20:70]
    assert (30, False) in found(jumped, -9.0)


def test_a_gliding_camera_and_stillness() -> None:
    assert found(gliding(5, 60, 2.0)) == []
    assert found(np.full((40, 72, 128, 3), 90, np.uint8)) == []


@pytest.mark.parametrize("n", [1, 2, 3, 5, 9])
def test_few_frames_are_judged_without_complaint(n: int) -> None:
    frames = np.concatenate([gliding(1, n), gliding(2, n)])
    with np.errstate(all="raise", under="ignore"):
        assert all(0 < at < 2 * n for at, _ in found(frames, -99.0))


def held_pan(seed: int, speed: float) -> np.ndarray:
    """uint8[70, 72, 128, 3]: a drawing that stands, and from frame 30 on passes by, a new picture on every third."""
    import cv2

    rng = np.random.default_rng(seed)
    wide = np.full((72, 3000, 3), 120, np.float32)
    for cells, gain in ((2, 50), (4, 40), (12, 25)):
        wide += cv2.resize(rng.normal(0, gain, (cells, cells * 20, 3)).astype(np.float32), (3000, 72))
    place = np.cumsum(speed * np.clip((np.arange(75) - 30) / 4, 0, 1))
    frames = np.stack([wide[:, round(at) : round(at) + 128] for at in place]).clip(0, 255).astype(np.uint8)
    return frames[np.arange(70) // 3 * 3]


def jumped(frames: np.ndarray) -> tuple[list[int], list[int]]:
    """What jumps.py takes for cuts, the camera's motion aside; those of them that are believed. But for the last
    steps of a film, which hardly anything can be said of."""
    T, series, columns = measured(frames)
    jumps = find_jumps(series, T, min_odds=0.0, min_step=3.0, max_likeness=0.95)
    cuts = [cut for cut in not_carried(T, jumps.cuts, jumps.blended) if cut < len(T) - FAR]
    return cuts, believed(T, series, columns, cuts, ShotRules())


@pytest.mark.parametrize(("seed", "speed"), [(2, 36), (11, 36), (20, 60), (22, 44), (25, 36)])
def test_a_drawing_held_for_three_frames_is_no_cut_to_it(seed: int, speed: float) -> None:
    cuts, left = jumped(held_pan(seed, speed))
    assert len(cuts) == 1
    assert left == []


@pytest.mark.parametrize("seed", [1, 3, 5, 7])
def test_a_plain_cut_is_believed(seed: int) -> None:
    assert jumped(two(seed)) == ([30], [30])
    assert jumped(two(seed)[:24]) == ([], [])


def test_a_jump_of_colour_alone_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flickering row of blocks over a picture whose colours change places: to the network it is motion."""
    frames = np.stack([turned(number, 192, 96)[..., ::-1] for number in range(72)])
    assert jumped(frames) == ([36], [36])
    monkeypatch.setattr("wanprep.signals.steps.CLEAR", np.inf)
    assert jumped(frames) == ([36], [])


def test_of_neighbours_the_likeliest_is_kept() -> None:
    after, odds = np.array([20, 22, 22, 40, 22 + FAR + 1]), np.array([-1.0, -0.5, -0.4, -2.5, -2.0])
    assert likeliest(after, odds, -2.2) == [2, 4]
    assert likeliest(after, odds, -9.0) == [2, 4, 3]


def test_how_far_between_its_neighbours_a_frame_lies() -> None:
    rng = np.random.default_rng(0)
    a, b, other = rng.uniform(0, 255, (3, 192)).astype(np.float32)
    T = Pictures(np.stack([a, 0.7 * a + 0.3 * b, b, other]))
    share, off, size = between(T, np.array([0, 1, 0]), np.array([2, 3, 1]))
    assert share[0] == pytest.approx(0.3, abs=1e-3)
    assert off[0] == pytest.approx(0, abs=1e-3)
    assert off[1] > 0.3
    assert (share[2], off[2]) == (0, 0)
    assert size[0] == pytest.approx(np.sqrt(np.mean((b - a) ** 2)), rel=1e-4)
    assert MIXED < share[0] < 1 - MIXED


def test_numbers_do_not_depend_on_where_a_part_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    T, series, columns = measured(np.concatenate([two(seed, 0.4) for seed in (1, 3, 5)]))
    before, after = candidates(T, series, np.ones(len(T), bool))
    whole = numbers(T, series, columns, before, after)
    assert whole.shape == (len(after), len(NAMES))
    assert len(after) >= 5
    monkeypatch.setattr(pictures, "PASS", 3)
    assert np.allclose(numbers(T, series, columns, before, after), whole, atol=1e-5)
    assert np.array_equal(np.stack(candidates(T, series, np.ones(len(T), bool))), np.stack([before, after]))
