"""Sums that are written out for speed are those of numpy, to the bit."""

from __future__ import annotations

import numpy as np
import pytest

from wanprep.signals.bars import _quantile
from wanprep.signals.mixing import mean, std


@pytest.mark.parametrize("shape", [(192,), (1, 192), (7, 192), (3, 4, 25), (5, 1)])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_means_and_deviations_are_numpys(shape, kind):
    rng = np.random.default_rng(sum(shape))
    for x in (rng.integers(0, 256, shape).astype(kind), rng.normal(100, 50, shape).astype(kind)):
        for given in (x, x[::-1]):
            assert np.array_equal(mean(given), given.mean(-1))
            assert np.array_equal(mean(given, keepdims=True), given.mean(-1, keepdims=True))
            assert np.array_equal(std(given), given.std(-1))
            assert mean(given).dtype == std(given).dtype == kind


def test_quantiles_of_whole_numbers_are_numpys():
    rng = np.random.default_rng(0)
    for n in (1, 2, 3, 4, 5, 8, 99):
        values = rng.integers(-300, 300, n).astype(np.int16)
        assert _quantile(values, 3) == np.quantile(values, 0.75)
        assert _quantile(values, 2) == np.median(values)
