"""Ways from one shot to another through much motion are found by all evidence at once; one shot's motion is none."""

from __future__ import annotations

import numpy as np
import pytest

from wanprep.signals import crossings, pictures
from wanprep.signals.meter import FIELDS, ShotMeter
from wanprep.signals.pictures import Pictures
from wanprep.signals.rules import WipeRules

H, W, N, AT = 72, 128, 100, 44


def scene(seed: int, n: int, pace: float) -> np.ndarray:
    """uint8[n, H, W, 3]: a camera that moves `pace` px a frame over coarse and fine shapes."""
    import cv2

    rng = np.random.default_rng(seed)
    canvas = np.full((H, W + 400, 3), rng.uniform(70, 180, 3), np.float32)
    for cells, gain in ((3, 45), (9, 30), (30, 15)):
        grid = rng.normal(0, gain, (cells, cells * 5, 3)).astype(np.float32)
        canvas += cv2.resize(grid, (W + 400, H), interpolation=cv2.INTER_CUBIC)
    canvas = np.clip(canvas, 0, 255).astype(np.uint8)
    shifts = [np.float32([[1, 0, -pace * k], [0, 1, 0]]) for k in range(n)]
    return np.stack([cv2.warpAffine(canvas, shift, (W, H)) for shift in shifts])


def wiped(seed: int, pace: float, length: int) -> np.ndarray:
    """Two such scenes and a diagonal wipe of `length` frames from frame AT on."""
    old, new = scene(seed, N, pace), scene(seed + 100, N, -pace)
    y, x = np.mgrid[0:H, 0:W]
    when = (x / W + y / H) / 2
    share = np.clip((np.arange(N) - AT + 1) / (length + 1), 0, 1)
    return np.where(when[None, :, :, None] < share[:, None, None, None], new, old)


def whipped(seed: int, away: bool = True) -> np.ndarray:
    """A scene that runs away to the left, smeared, and another that comes to rest; or the same one again."""
    import cv2

    old, new = scene(seed, N, 0.3), scene(seed + 100 if away else seed, N, 0.3)
    out = []
    for k in range(N):
        t = (k - AT + 0.5) / 8
        way = np.sign(t) * (1 - min(1.0, abs(t))) ** 3
        frame = np.concatenate([old[k] if t < 0 else new[k]] * 3, 1)
        frame[:, :W], frame[:, 2 * W :] = frame[:, W - 1 :: -1], frame[:, : W - 1 : -1][:, :W]
        blur = 1 + int(40 * max(0.0, 1 - abs(t)) ** 2)
        at = round(W + 0.9 * W * way)
        out.append(cv2.blur(frame, (blur, 1))[:, at : at + W])
    return np.stack(out)


def measured(frames: np.ndarray) -> tuple[Pictures, dict[str, np.ndarray]]:
    meter = ShotMeter()
    rows, tiny = zip(*(meter.feed(frame) for frame in frames))
    numbers = {name: np.array([row[name] for row in rows], np.float32) for name in FIELDS}
    return Pictures(np.stack(tiny).reshape(len(frames), -1)), numbers


def found(frames: np.ndarray, walls: tuple[int, ...] = (), free: np.ndarray | None = None, **rules: float):
    T, numbers = measured(frames)
    free = np.ones(len(T), bool) if free is None else free
    return crossings.find_crossings(T, crossings.Numbers.of(T, numbers), walls, free, WipeRules(**rules))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("length", [8, 18])
def test_a_wipe_between_cameras_that_move(seed: int, length: int) -> None:
    spans = found(wiped(seed, 1.5, length))
    assert len(spans) == 1
    assert abs(spans[0].first - AT) <= 8
    assert abs(spans[0].last - (AT + length - 1)) <= 8


@pytest.mark.parametrize("pace", [0.0, 0.5, 3.0])
def test_a_camera_alone_is_none(pace: float) -> None:
    for seed in range(4):
        assert not found(scene(seed, N, pace))


def test_whip_pans_to_another_shot_are_found_and_those_that_come_back_are_not() -> None:
    for seed in range(6):
        assert found(whipped(seed), scan_doubt=-1.5)
        assert not found(whipped(seed, away=False), scan_doubt=-1.5)


def test_nothing_spans_a_cut_or_lies_in_frames_that_are_taken() -> None:
    film = wiped(0, 1.5, 18)
    (span,) = found(film)
    taken = np.ones(N, bool)
    taken[span.first + 3] = False
    assert all(it.last < span.first + 3 or it.first > span.first + 3 for it in found(film, free=taken))
    assert all(it.last < AT + 9 or it.first > AT + 9 - 1 for it in found(film, walls=(AT + 9,)))


def test_nothing_is_found_where_wipes_are_not_looked_for() -> None:
    assert not found(wiped(0, 1.5, 18), enabled=False)


def test_frames_that_are_found_are_taken() -> None:
    free = np.ones(N, bool)
    (span,) = found(wiped(0, 1.5, 18), free=free)
    assert np.array_equal(np.flatnonzero(~free), np.arange(span.first, span.last + 1))


def test_what_is_found_does_not_depend_on_how_many_frames_are_looked_at_at_once(monkeypatch) -> None:
    film = wiped(1, 1.5, 12)
    whole = found(film, scan_doubt=-9.0)
    monkeypatch.setattr(pictures, "PASS", 37)
    monkeypatch.setattr(pictures, "TOGETHER", 37)
    parts = found(film, scan_doubt=-9.0)
    assert [(it.first, it.last) for it in parts] == [(it.first, it.last) for it in whole]
    assert [it.odds for it in parts] == pytest.approx([it.odds for it in whole], abs=1e-3)


def test_only_likely_ways_are_kept_and_they_are_the_same_ones() -> None:
    T, numbers = measured(wiped(1, 1.5, 12))
    it = {"T": T, "numbers": crossings.Numbers.of(T, numbers), "walls": (), "free": np.ones(N, bool)}
    every, likely = crossings.spans(**it), crossings.spans(**it, least=crossings.LIKELY)
    good = every[3] >= crossings.LIKELY
    assert 0 < good.sum() < len(good)
    for all_of, kept in zip(every, likely):
        assert np.array_equal(all_of[good], kept)


@pytest.mark.parametrize("n", [2, 3, 5, 6])
def test_films_of_a_few_frames(n: int) -> None:
    assert not found(scene(0, n, 1.0))


def test_what_speaks_against_a_wipe_that_was_found() -> None:
    def against(frames: np.ndarray) -> float:
        T, numbers = measured(frames)
        return crossings.against_sweep(T, crossings.Numbers.of(T, numbers), AT, AT + 17)

    for seed in range(4):
        assert against(wiped(seed, 1.5, 18)) == 0
        assert against(scene(seed, N, 3.0)) < -1
    assert against(np.repeat(scene(0, 1, 0.0), N, 0)) == -np.inf  # nothing changes
