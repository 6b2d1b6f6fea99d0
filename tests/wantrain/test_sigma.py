"""Which sigmas are drawn: the right distribution, on the right side of the boundary, evenly, and known beforehand."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wantrain.sigma import Sigmas, expert_interval, histogram, shift_sigma, sparkline, u_boundary

METHODS = ("shift", "linear", "sigmoid", "logit_normal")


def _raw(method: str, n: int, seed: int, shift=5.0, mean=0.0, std=1.0) -> torch.Tensor:
    """The uncut distribution, drawn by its textbook formula."""
    draws = torch.Generator().manual_seed(seed)
    if method in ("shift", "linear"):
        u = torch.rand(n, generator=draws, dtype=torch.float64)
        return shift * u / (1 + (shift - 1) * u) if method == "shift" else u
    z = torch.randn(n, generator=draws, dtype=torch.float64)
    return torch.sigmoid(std * z + mean)


def _ks(a: torch.Tensor, b: torch.Tensor) -> float:
    """Two-sample Kolmogorov–Smirnov statistic over its critical value at 0.1 %: above 1 means different."""
    grid = torch.cat([a, b]).sort().values
    cdf = [torch.searchsorted(x.sort().values, grid, right=True) / len(x) for x in (a, b)]
    return (cdf[0] - cdf[1]).abs().max().item() / (1.95 * math.sqrt((len(a) + len(b)) / (len(a) * len(b))))


@pytest.mark.parametrize(("boundary", "shift", "share"), [(0.900, 5, 0.357), (0.875, 5, 0.417), (0.875, 12, 0.632)])
def test_natural_shares_are_those_of_the_design(boundary, shift, share):
    whole = Sigmas(method="shift", interval=(0.0, 1.0), shift=shift)
    assert 1 - whole.below(boundary) == pytest.approx(share, abs=5e-4)
    assert (_raw("shift", 200_000, 1, shift) >= boundary).double().mean().item() == pytest.approx(share, abs=5e-3)


def test_ai_toolkits_sigmoid_rarely_reaches_the_high_expert():
    assert 1 - Sigmas(method="sigmoid", interval=(0.0, 1.0)).below(0.875) == pytest.approx(0.026, abs=5e-4)


def test_u_boundary_inverts_the_shift():
    for sigma in (0.0, 0.3, 0.875, 1.0):
        for shift in (1.0, 3.0, 12.0):
            assert shift_sigma(u_boundary(sigma, shift), shift) == pytest.approx(sigma)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("expert", ["high", "low"])
@pytest.mark.parametrize("window", [1, 20])
def test_the_distribution_is_that_of_rejection(method, expert, window):
    more = {"mean": 0.6, "std": 1.3} if method == "logit_normal" else {}
    interval = expert_interval(expert, 0.875)
    everything = _raw(method, 400_000 if expert == "high" else 30_000, 7, **more)
    kept = everything[(everything >= interval[0]) & (everything < interval[1])][:20_000]
    ours = Sigmas(method=method, interval=interval, shift=5.0, window=window, **more).draws(8, 0, len(kept))
    assert _ks(ours, kept) < 1
    lower, upper = interval
    if method != "linear":  # the test can tell: uniform in sigma is another distribution
        assert _ks(lower + (upper - lower) * torch.rand(len(kept), dtype=torch.float64), kept) > 1


def test_bias_is_ai_toolkits_cube():
    """favor high: idx = lo + u³(hi − lo) in timesteps that fall, so sigma = upper − u³(upper − lower) when linear."""
    u = torch.rand(20_000, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    for bias, theirs in ((1.0, 1 - 0.125 * u**3), (-1.0, 1 - 0.125 * (1 - u**3))):
        ours = Sigmas(method="linear", interval=(0.875, 1.0), bias=bias).draws(1, 0, 20_000)
        assert _ks(ours, theirs) < 1
        assert _ks(Sigmas(method="linear", interval=(0.875, 1.0)).draws(1, 0, 20_000), theirs) > 1


@settings(deadline=None, max_examples=150)
@given(
    seed=st.integers(0, 2**40),
    boundary=st.floats(0.1, 0.95),
    shift=st.floats(0.1, 20),
    bias=st.floats(-3, 3),
    expert=st.sampled_from(["high", "low", "single"]),
    method=st.sampled_from(METHODS),
)
def test_no_draw_is_on_the_wrong_side(seed, boundary, shift, bias, expert, method):
    interval = expert_interval(expert, boundary)
    sigma = Sigmas(method=method, interval=interval, shift=shift, bias=bias, window=7).draws(seed, 3, 40)
    assert sigma.dtype == torch.float64
    assert len(sigma) == 40
    assert (sigma >= interval[0]).all()
    assert (sigma < interval[1]).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("boundary", [0.875, 0.9])
def test_the_very_ends_of_the_interval_stay_inside(method, boundary):
    ends = torch.tensor([0.0, 1 - 2**-53, 1.0], dtype=torch.float64)
    for shift in (1.0, 3.0, 12.0):
        assert (Sigmas(method=method, interval=(boundary, 1.0), shift=shift).at(ends) >= boundary).all()
        assert (Sigmas(method=method, interval=(0.0, boundary), shift=shift).at(ends) < boundary).all()


def test_far_in_a_tail_draws_are_still_spread():
    """0.99–1 of a logit-normal around 0: 2 in a million; the smaller tail is computed, not one minus the larger."""
    sigma = Sigmas(method="sigmoid", interval=(0.99, 1.0), window=100).draws(0, 0, 1000)
    assert sigma.unique().numel() == 1000
    raw = _raw("sigmoid", 4_000_000, 3)
    assert _ks(sigma, raw[raw >= 0.99]) < 1


def test_every_window_visits_every_equal_share_once():
    sigmas = Sigmas(method="linear", interval=(0.0, 1.0), window=20)
    for start in (0, 20, 140):
        shares = (sigmas.draws(5, start, 20) * 20).floor().int().tolist()
        assert sorted(shares) == list(range(20))
        assert shares != list(range(20))
    loose = (Sigmas(method="linear", interval=(0.0, 1.0), window=1).draws(5, 0, 20) * 20).floor().int().tolist()
    assert sorted(loose) != list(range(20))  # what stratifying is for


def test_a_draw_depends_on_seed_and_number_alone():
    sigmas = Sigmas(method="shift", interval=(0.875, 1.0), shift=5.0, window=16)
    everything = sigmas.draws(9, 0, 100)
    assert torch.equal(torch.cat([sigmas.draws(9, n, 1) for n in range(100)]), everything)
    assert torch.equal(sigmas.draws(9, 37, 20), everything[37:57])
    assert not torch.equal(sigmas.draws(10, 0, 100), everything)
    assert len(sigmas.draws(9, 5, 0)) == 0


def test_histogram_and_its_picture():
    assert histogram([0.0, 0.1, 0.5, 0.99, 1.0], [0.0, 0.5, 1.0]) == [2, 3]
    assert sparkline([0, 1, 8]) == "▁▂█"
    assert sparkline([0, 0]) == "▁▁"


def test_errors_name_the_value():
    with pytest.raises(ValueError, match="middle"):
        expert_interval("middle", 0.875)
    with pytest.raises(ValueError, match="None"):
        expert_interval("high", None)
    with pytest.raises(ValueError, match="shift"):
        Sigmas(method="shift", interval=(0.0, 1.0), shift=0.0)
    with pytest.raises(ValueError, match="interval"):
        Sigmas(method="shift", interval=(1.0, 0.5), shift=5.0)
    with pytest.raises(ValueError, match=r"draws almost no sigma in 0.875–1"):
        Sigmas(method="logit_normal", interval=(0.875, 1.0), mean=-4.0, std=0.5)


def test_what_was_announced_is_what_is_drawn(toy, dataset, finished):
    """The histogram of plan.json against the sigmas of metrics.jsonl, exactly."""
    import json

    planned = json.loads((finished.folder / "plan.json").read_text())
    for name in ("high", "low"):
        drawn = [draw["sigma"] for row in toy.rows(finished.folder, name, "step") for draw in row["draws"]]
        own = planned["experts"][name]
        assert histogram(drawn, own["edges"]) == own["drawn"]
        assert sum(own["drawn"]) == 12
