"""Shots are the same in whatever parts a film is looked at, and no part grows with the film."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wanprep.signals import carried, pictures, shots
from wanprep.signals.pictures import Inside, Pictures, all_spans, parts
from wanprep.signals.rules import ShotRules
from wanprep.signals.shots import FIELDS, ShotList, ShotMeter, find_shots
from wanprep.signals.store import Signals

HEIGHT, WIDTH = 36, 64
KINDS = ("cut", "blend", "dissolve", "fade", "white", "wipe", "flash", "black")


def view(rng: np.random.Generator, n: int) -> np.ndarray:
    """float32[n, 36, 64, 3]: a camera that glides, or stands, over a random landscape with a little noise."""
    import cv2

    canvas = np.full((HEIGHT, WIDTH * 3, 3), rng.uniform(60, 180, 3), np.float32)
    for cells, gain in ((4, 55), (12, 35)):
        canvas += cv2.resize(rng.normal(0, gain, (cells, cells * 3, 3)).astype(np.float32), canvas.shape[1::-1])
    speed = rng.choice([0, 0, 0.4, 1.5])
    frames = [canvas[:, x : x + WIDTH] for x in (int(min(speed * t, 2 * WIDTH)) for t in range(n))]
    return np.stack(frames) + rng.normal(0, 1.5, (n, HEIGHT, WIDTH, 1))


def joined(kind: str, old: np.ndarray, new: np.ndarray, n: int) -> np.ndarray:
    """The n frames between two shots, of n frames of each."""
    ramp = ((np.arange(n) + 1) / (n + 1))[:, None, None, None]
    tone = {"fade": 0.0, "white": 255.0}.get(kind)
    if tone is not None:
        return np.concatenate([old * (1 - ramp) + tone * ramp, new * ramp + tone * (1 - ramp)])
    if kind == "wipe":
        return np.where(np.arange(WIDTH)[None, None, :, None] < ramp * WIDTH, new, old)
    if kind == "flash":
        return old * (1 - ramp[::-1]) + 255 * ramp[::-1]
    if kind == "black":
        return np.zeros_like(old)
    return old * (1 - ramp) + new * ramp if kind == "dissolve" else (old[:1] + new[:1]) / 2 if kind == "blend" else new


def film(seed: int, kinds: tuple[str, ...]) -> Signals:
    rng, out = np.random.default_rng(seed), []
    for kind in kinds:
        old, new, n = view(rng, 60), view(rng, 30), int(rng.integers(3, 25))
        out += [old[: int(rng.integers(8, 60))], joined(kind, old[:n], new[:n], n)]
        out += [old[n:] if kind == "flash" else new[n:]]
    frames = np.clip(np.concatenate(out), 0, 255).astype(np.uint8)
    meter = ShotMeter()
    measured = [meter.feed(frame) for frame in frames]
    none = np.zeros((0, 2), np.uint8)
    return Signals(
        time_base=Fraction(1, 25), width=2, height=2, pts=np.arange(len(frames), dtype=np.int64), last_duration=1,
        frame={name: np.array([numbers[name] for numbers, _ in measured], np.float32) for name in FIELDS},
        sampled=np.zeros(0, np.int32), thumbs=np.zeros((0, 2, 2, 3), np.uint8), row_p97=none, col_p97=none,
        extra={"tiny": np.stack([tiny for _, tiny in measured])},
    )  # fmt: skip


class Whole(Pictures):
    """All numbers at once, as plain numpy would have them: what every other way must agree with."""

    def __init__(self, stored: np.ndarray, inside: Inside | None = None) -> None:
        super().__init__(stored.astype(np.float32) if inside is None else inside(stored))

    def __getitem__(self, index):
        return self._stored[index]

    def backwards(self) -> Pictures:
        return Whole(self._stored[::-1])


def found(monkeypatch: pytest.MonkeyPatch, signals: Signals, size: int, kind: type[Pictures] = Pictures) -> ShotList:
    with monkeypatch.context() as patch:
        patch.setattr(pictures, "PASS", size)
        patch.setattr(pictures, "TOGETHER", max(1, size // 4))
        patch.setattr(carried, "AT_ONCE", size)
        patch.setattr(shots, "Pictures", kind)
        return find_shots(signals, ShotRules())


def test_all_kinds_are_the_same_in_parts_of_any_size(monkeypatch):
    signals = film(1, KINDS)
    whole = found(monkeypatch, signals, 10**9, Whole)
    assert {t.kind for t in whole.transitions} >= {"dissolve", "wipe", "dip_to_black"}
    assert len(whole.cuts) >= 3
    for size in (1, 2, 3, 7, 20, 64, 199, 500, 10**9):
        assert found(monkeypatch, signals, size) == whole


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.sampled_from(KINDS), min_size=1, max_size=3), st.integers(1, 90))
def test_any_film_is_the_same_in_parts_of_any_size(seed, kinds, size):
    with pytest.MonkeyPatch.context() as monkeypatch:
        signals = film(seed, tuple(kinds))
        assert found(monkeypatch, signals, size) == found(monkeypatch, signals, 10**9, Whole)


def test_a_frame_left_out_of_its_part_would_be_seen(monkeypatch):
    """The check can fail: a frame of a part that is not compared with its own neighbour loses its cut."""
    signals = film(3, ("cut", "cut"))
    whole = found(monkeypatch, signals, 10**9)
    edge = whole.cuts[0]
    with monkeypatch.context() as patch:
        wrong = lambda at: (np.where(part == edge, edge - 1, part) for part in parts(at))  # noqa: E731
        patch.setattr("wanprep.signals.jumps.parts", wrong)
        assert find_shots(signals, ShotRules()) != whole


def test_no_request_grows_with_the_film(monkeypatch):
    largest: list[int] = []

    class Counted(Pictures):
        def __getitem__(self, index):
            rows = super().__getitem__(index)
            largest[-1] = max(largest[-1], rows.size)
            return rows

    once = film(4, KINDS)
    for times in (2, 12):
        largest.append(0)
        longer = {name: np.tile(values, times) for name, values in once.frame.items()}
        tiny = np.tile(once.extra["tiny"], (times, 1, 1))
        pts = np.arange(len(tiny), dtype=np.int64)
        signals = Signals(**{**vars(once), "frame": longer, "extra": {"tiny": tiny}, "pts": pts})
        found(monkeypatch, signals, 256, Counted)
    assert largest[1] <= 1.2 * largest[0] < 0.1 * tiny.size


def test_parts_are_all_of_it_in_order(monkeypatch):
    monkeypatch.setattr(pictures, "PASS", 4)
    assert [part.tolist() for part in parts(np.arange(9))] == [[0, 1, 2, 3], [4, 5, 6, 7], [8]]
    assert [part.tolist() for part in parts(np.arange(0))] == [[]]


def test_pictures_are_numbers_of_what_is_stored():
    stored = np.arange(24, dtype=np.uint8).reshape(4, 6)
    T = Pictures(stored)
    assert len(T) == 4
    assert T[2].dtype == np.float32
    assert np.array_equal(T[1:3, stored[0] > 2], stored[1:3, 3:])
    assert np.array_equal(T.backwards()[0], stored[3])
    T[0][:] = 7  # a copy
    assert np.array_equal(T[0], stored[0])


def test_what_several_ask_for_is_worked_out_once():
    T, asked = Pictures(np.arange(24, dtype=np.uint8).reshape(4, 6)), []

    def sums(pictures: Pictures) -> np.ndarray:
        asked.append(len(pictures))
        return pictures[0:4].sum(1)

    assert [T.once(sums).tolist() for _ in range(3)] == [[15.0, 51.0, 87.0, 123.0]] * 3
    assert asked == [4]
    assert not T.once(sums).flags.writeable


def test_inside_of_bars_is_the_picture_at_its_whole_size():
    shape = (12, 16)
    rng = np.random.default_rng(0)
    plain = np.repeat(rng.integers(0, 255, (50, 1)), 192, axis=1).astype(np.uint8).reshape(50, *shape)
    plain[:, :2] = plain[:, 10:] = 0
    T = Pictures(plain.reshape(50, -1), Inside(shape, (1.5 / 12, 10.5 / 12), (0.0, 1.0)))  # half of a row is a bar
    assert np.array_equal(T[0:50], np.repeat(plain[:, 5, :1], 192, axis=1))
    ramp = np.arange(192, dtype=np.uint8).reshape(1, 192)
    down = Pictures(ramp, Inside(shape, (0.25, 0.75), (0.0, 1.0)))[0].reshape(shape)
    assert np.allclose(down[:, 0], 16 * np.clip(3 + (np.arange(12) + 0.5) / 2 - 0.5, 3, 8), atol=0.1)
    assert np.array_equal(down[:, 5] - down[:, 0], np.full(12, 5))


def test_inside_does_not_depend_on_how_many_are_asked_for():
    stored = np.random.default_rng(1).integers(0, 255, (300, 192)).astype(np.uint8)
    T = Pictures(stored, Inside((12, 16), (0.125, 0.875), (0.1, 0.93)))
    whole = T[0:300]
    assert whole.dtype == np.float32
    assert all(np.array_equal(T[i], whole[i]) for i in range(300))
    assert np.array_equal(T[np.array([[7, 250], [0, 9]])], whole[[[7, 250], [0, 9]]])
    assert np.array_equal(T.backwards()[4], whole[295])


def test_without_room_inside_all_of_it_is_shown():
    stored = np.random.default_rng(2).integers(0, 255, (3, 192)).astype(np.uint8)
    for rows in ((0.0, 1.0), (0.3, 0.7)):
        assert np.array_equal(Pictures(stored, Inside((12, 16), rows, (0.0, 1.0)))[0:3], stored.astype(np.float32))


@pytest.mark.parametrize(("n", "room"), [(72, 0), (72, 10), (7, 4), (3, 1), (0, 0)])
def test_every_span_comes_once_whatever_comes_together(n, room):
    strides = {2: 1, 6: 2, 10: 3}
    came = [list(zip(S.tolist(), E.tolist())) for S, E in all_spans(n, strides, room)]
    wanted = [(s, s + length) for length, stride in strides.items() for s in range(0, n - length, stride)]
    assert sorted(span for part in came for span in part) == sorted(wanted)
    for part in came:
        assert part == sorted(part, key=lambda span: (span[1] - span[0], span[0]))
