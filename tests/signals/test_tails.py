"""Fades last as long as the gain of one picture changes; cuts and other pictures end them."""

from __future__ import annotations

import numpy as np
import pytest

from wanprep.signals.gradual import Mix
from wanprep.signals.pictures import Pictures
from wanprep.signals.tails import complete

P = 192


def film(gains: np.ndarray, tone: float = 0.0, noise: float = 0.5) -> Pictures:
    rng = np.random.default_rng(5)
    picture = rng.uniform(30, 220, P)
    return Pictures(tone + np.asarray(gains)[:, None] * (picture - tone) + rng.normal(0, noise, (len(gains), P)))


def mix(kind: str, first: int, last: int) -> Mix:
    return Mix(kind=kind, first=first, last=last, change=60.0, fitness=1.0)


@pytest.mark.parametrize("tone", [0.0, 255.0])
def test_a_fade_in_found_in_part_is_completed(tone):
    gains = np.concatenate([np.zeros(10), np.arange(1, 41) / 41, np.ones(40)])
    done = complete(film(gains, tone), [mix("fade_in", 10, 35)], [], 120)
    assert [(m.kind, m.first) for m in done] == [("fade_in", 10)]
    assert 46 <= done[0].last <= 50


def test_a_fade_out_is_completed_backwards():
    gains = np.concatenate([np.ones(40), np.arange(30, 0, -1) / 31, np.zeros(10)])
    done = complete(film(gains), [mix("fade_out", 52, 69)], [], 120)
    assert len(done) == 1
    assert 39 <= done[0].first <= 43
    assert done[0].last == 69


def test_the_other_half_of_a_dip_is_added():
    gains = np.concatenate([np.ones(20), np.arange(10, 0, -1) / 11, np.zeros(3), np.arange(1, 13) / 13, np.ones(30)])
    kinds = [(m.kind, m.first, m.last) for m in complete(film(gains), [mix("fade_out", 20, 29)], [], 120)]
    assert [k for k, *_ in kinds] == ["fade_out", "fade_in"]
    assert abs(kinds[1][2] - 44) <= 2


def test_a_cut_another_mix_and_a_steady_picture_end_a_fade():
    gains = np.concatenate([np.zeros(10), np.arange(1, 41) / 41, np.ones(40)])
    T = film(gains)
    assert complete(T, [mix("fade_in", 10, 30)], [40], 120)[0].last <= 39
    assert complete(T, [mix("fade_in", 10, 30), mix("dissolve", 42, 60)], [], 120)[0].last <= 41
    assert complete(T, [mix("fade_in", 10, 49)], [], 120)[0].last <= 50
    still = mix("dissolve", 60, 70)
    assert complete(T, [still], [], 120) == [still]


def dipped(n: int, tone: float, faint: float) -> Pictures:
    """Two shots, the one faded out and the other faded in within n frames each; the tone itself is never shown."""
    rng = np.random.default_rng(6)
    shots, ramp = rng.uniform(30, 220, (2, P)), np.linspace(1, faint, n + 1)[1:]
    gains = np.concatenate([np.ones(20), ramp, ramp[::-1], np.ones(30)])
    shown = np.repeat(shots, [20 + n, 30 + n], axis=0)
    return Pictures(tone + gains[:, None] * (shown - tone) + rng.normal(0, 0.5, shown.shape))


@pytest.mark.parametrize("tone", [0.0, 255.0])
@pytest.mark.parametrize(
    "found", [("dissolve", 20, 25), ("dissolve", 26, 31), ("fade_out", 20, 25), ("fade_in", 26, 31)]
)
def test_half_of_a_dip_whose_tone_is_never_shown_is_a_fade_and_has_another_half(found, tone):
    halves = complete(dipped(6, tone, 1 / 7), [mix(*found)], [], 120)
    assert [m.kind for m in halves] == ["fade_out", "fade_in"]
    assert [m.first for m in halves] == [20, 26]
    assert halves[0].last == 25
    assert abs(halves[1].last - 31) <= 1


def test_a_dissolve_to_a_faint_shot_or_a_shot_that_grows_dark_is_no_half_of_a_dip():
    rng = np.random.default_rng(7)
    one, other = rng.uniform(30, 220, P), 20 + rng.uniform(-9, 9, P)
    ramp = np.concatenate([np.zeros(20), np.arange(1, 9) / 9, np.ones(30)])[:, None]
    to_faint = Pictures(one * (1 - ramp) + other * ramp)
    dark = Pictures(one * (1 - 0.8 * ramp))
    for T in (to_faint, dark):
        assert complete(T, [mix("dissolve", 20, 27)], [], 120) == [mix("dissolve", 20, 27)]
