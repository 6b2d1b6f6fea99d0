"""Scores made of embeddings, on vectors whose answers are known."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wanprep.signals import looks

RNG = np.random.default_rng(0)


def around(centre, count, spread, seed=0):
    rng = np.random.default_rng(seed)
    return looks.unit((centre + spread * rng.standard_normal((count, len(centre)))).astype(np.float32))


A, B = np.eye(64, dtype=np.float32)[:2]


@pytest.mark.parametrize("share", [0.0, 0.2, 0.4])
def test_the_middle_of_a_set_bears_strangers(share):
    count = 40
    strangers = round(share * count)
    mixed = np.concatenate([around(A, count - strangers, 0.05), around(B, strangers, 0.05, seed=1)])
    assert looks.robust_centre(mixed) @ A > 0.95
    if share == 0.4:
        assert looks.unit(mixed.mean(axis=0)[None])[0] @ A < 0.9  # a mean does not bear them


def test_strangers_are_outliers_and_a_set_without_any_has_none():
    alike = around(A, 30, 0.05)
    own = looks.likeness([*alike])
    assert looks.deviations(own).max() < 3.5
    mixed = looks.likeness([*alike, *around(B, 3, 0.05, seed=2)])
    found = looks.deviations(mixed)
    assert (found[:30] < 3.5).all()
    assert (found[30:] > 3.5).all()


def test_a_very_uniform_set_makes_no_outliers_of_nothing():
    values = np.full(20, 0.9) + RNG.uniform(-1e-4, 1e-4, 20)
    assert looks.deviations(values).max() < 0.1


def test_too_few_clips_say_nothing():
    assert np.isnan(looks.likeness([*around(A, looks.MIN_SET - 1, 0.1)])).all()
    assert np.isnan(looks.deviations(np.linspace(0, 1, looks.MIN_SET - 1))).all()
    assert np.isfinite(looks.deviations(np.linspace(0, 1, looks.MIN_SET))).all()
    assert not len(looks.likeness([]))


def test_unknown_clips_stay_unknown_and_other_models_do_not_mix():
    vectors = [*around(A, 10, 0.05), None, np.ones(8, np.float32)]
    found = looks.likeness(vectors)
    assert np.isfinite(found[:10]).all()
    assert np.isnan(found[10:]).all()


@given(st.lists(st.floats(0, 1), min_size=8, max_size=40), st.floats(-0.3, 0.3))
def test_deviations_do_not_depend_on_the_level(values, shift):
    values = np.array(values)
    before, after = looks.deviations(values), looks.deviations(values + shift)
    np.testing.assert_allclose(before, after, atol=1e-6)
    assert (before >= 0).all()


def test_contrast_is_a_two_class_softmax():
    frames = looks.unit(RNG.standard_normal((5, 64)).astype(np.float32))
    scale = 100.0
    found = looks.contrast(frames, A[None], B[None], scale)
    logits = scale * np.stack([frames @ A, frames @ B], axis=1).astype(np.float64)
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(found, exp[:, 0] / exp.sum(axis=1), rtol=1e-5)
    np.testing.assert_allclose(looks.contrast(frames, B[None], A[None], scale), 1 - found, atol=1e-9)
    assert looks.contrast(A[None], A[None], B[None], scale)[0] > 0.99
    assert looks.contrast(A[None], A[None], A[None], scale)[0] == 0.5


def test_windows_take_the_frames_inside_them():
    cosines, indices = [0.3, 0.3, 0.1, 0.3], [2, 6, 10, 14]
    assert looks.window_means(cosines, indices, [(0, 8), (8, 4), (8, 8)]) == pytest.approx([0.3, 0.1, 0.2])
    assert looks.window_means(cosines, indices, [(11, 1)]) == pytest.approx([0.1])  # the nearest, where none is inside


def test_drops_are_below_the_other_windows():
    assert looks.drops([0.3, 0.3, 0.1]) == pytest.approx([0, 0, 0.2])
    assert looks.drops([0.3, 0.25]) == pytest.approx([0, 0.05])
    assert looks.drops([0.3]) == [0.0]
    assert looks.drops([0.2, 0.2, 0.2]) == [0.0, 0.0, 0.0]
    assert not any(math.isnan(d) for d in looks.drops([]))
