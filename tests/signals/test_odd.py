"""Odd frames between two shots and inside one: a cut and a flash, whatever they look like."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from footage import gliding as scene

from wanprep.inspect import listing
from wanprep.signals.meter import FIELDS, ShotMeter
from wanprep.signals.rules import ShotRules
from wanprep.signals.shots import ShotList, find_shots
from wanprep.signals.store import Signals
from wanprep.stages.split import SplitConfig, split


def signals(frames: np.ndarray) -> Signals:
    meter = ShotMeter()
    numbers, tiny = zip(*(meter.feed(frame) for frame in frames))
    lines = [np.percentile(frames[::12].max(3), 97, axis=axis).astype(np.uint8) for axis in (2, 1)]
    return Signals(
        time_base=Fraction(1, 25), width=128, height=72, last_duration=1, pts=np.arange(len(frames)),
        frame={name: np.array([it[name] for it in numbers], np.float32) for name in FIELDS},
        sampled=np.arange(0, len(frames), 12, dtype=np.int32), thumbs=np.zeros((len(lines[0]), 2, 2, 3), np.uint8),
        row_p97=lines[0], col_p97=lines[1], extra={"tiny": np.stack(tiny)},
    )  # fmt: skip


def shots(frames: np.ndarray) -> ShotList:
    return find_shots(signals(frames), ShotRules())


def toned(frames: np.ndarray, share: float, tone: float) -> np.ndarray:
    return (frames * (1.0 - share) + tone * share).round().astype(np.uint8)


@pytest.mark.parametrize(("share", "tone"), [(0.9, 0), (0.85, 0), (0.8, 255), (0.9, 200)])
@pytest.mark.parametrize(("left", "right"), [(1, 1), (2, 2), (1, 3)])
def test_a_cut_with_odd_frames_on_both_sides_is_found_and_they_are_in_no_clip(share, tone, left, right) -> None:
    frames = np.concatenate([scene(21, 40), scene(22, 40)])
    frames[40 - left : 40 + right] = toned(frames[40 - left : 40 + right], share, tone)
    found = shots(frames)
    assert listing(found)["hard"] == [40]
    clips = [clip for clip in split(signals(frames), SplitConfig())[0] if clip.state == "ok"]
    assert [clip.end_frame <= 40 - left or clip.start_frame >= 40 + right for clip in clips] == [True, True]
    assert [clip.end_frame - clip.start_frame for clip in clips] == [39 - left, 39 - right]  # a frame of margin each


@pytest.mark.parametrize("look", ["white", "grey", "noise"])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_frames_between_two_shots_are_in_no_clip(look: str, n: int) -> None:
    noise = np.random.default_rng(5).normal(128, 40, (n, 72, 128, 1)).clip(0, 255).repeat(3, -1).astype(np.uint8)
    slug = {"white": np.full_like(noise, 255), "grey": np.full_like(noise, 60), "noise": noise}[look]
    frames = np.concatenate([scene(23, 40), slug, scene(24, 40)])
    assert listing(shots(frames))["hard"] == [40 + n]
    clips = [clip for clip in split(signals(frames), SplitConfig())[0] if clip.state == "ok"]
    assert [(clip.start_frame, clip.end_frame) for clip in clips] == [(0, 39), (41 + n, 80 + n)]


@pytest.mark.parametrize("look", ["black", "inverted", "white", "dark", "grey"])
@pytest.mark.parametrize(("n", "speed"), [(1, 1.0), (3, 1.0), (2, 3.0)])
def test_the_same_shot_goes_on_after_a_flash_whatever_it_looks_like(look: str, n: int, speed: float) -> None:
    frames = scene(25, 80, speed)
    part = frames[40 : 40 + n]
    tone = {"black": (1.0, 0), "white": (1.0, 255), "dark": (0.9, 0), "grey": (0.9, 60)}
    frames[40 : 40 + n] = 255 - part if look == "inverted" else toned(part, *tone[look])
    found = shots(frames)
    assert (found.cuts, found.transitions) == ((), ())


@pytest.mark.parametrize("period", [1, 2, 3])
def test_a_cut_under_strobe_light_is_found_and_the_light_makes_none(period: int) -> None:
    frames = np.concatenate([scene(26, 42), scene(27, 42)])
    off = np.arange(len(frames)) // period % 2 == 1
    frames[off] = toned(frames[off], 0.88, 0)
    cuts = listing(shots(frames))["hard"]
    assert len(cuts) == 1
    assert abs(cuts[0] - 42) <= period
    alone = scene(28, 80)
    alone[off[:80]] = toned(alone[off[:80]], 0.88, 0)
    assert shots(alone).cuts == ()


def test_an_insert_of_another_picture_is_no_odd_frame() -> None:
    frames = scene(29, 80)
    frames[40:42] = scene(30, 2)
    assert shots(frames).cuts == (40, 42)
