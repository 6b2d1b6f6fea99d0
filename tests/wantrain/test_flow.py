import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wantrain import flow


@pytest.mark.parametrize(("boundary", "shift", "share"), [(0.900, 5, 0.357), (0.875, 5, 0.417), (0.875, 12, 0.632)])
def test_natural_shares_are_those_of_the_design(boundary, shift, share):
    assert flow.natural_share(boundary, shift) == pytest.approx(share, abs=5e-4)
    u = torch.rand(200_000, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert (flow.shift_sigma(u, shift) >= boundary).double().mean().item() == pytest.approx(share, abs=5e-3)


def test_u_boundary_inverts_the_shift():
    for sigma in (0.0, 0.3, 0.875, 1.0):
        for shift in (1.0, 3.0, 12.0):
            assert flow.shift_sigma(flow.u_boundary(sigma, shift), shift) == pytest.approx(sigma)


@settings(deadline=None, max_examples=200)
@given(
    seed=st.integers(0, 2**40),
    boundary=st.floats(0.01, 0.99),
    shift=st.floats(0.1, 20),
    expert=st.sampled_from(["high", "low", "single"]),
)
def test_no_draw_is_on_the_wrong_side(seed, boundary, shift, expert):
    interval = flow.expert_interval(expert, boundary)
    sigma = flow.sample_sigma(torch.Generator().manual_seed(seed), 64, interval, shift)
    assert sigma.dtype == torch.float64
    assert (sigma >= interval[0]).all()
    assert (sigma < interval[1]).all()


@pytest.mark.parametrize("boundary", [0.875, 0.9])
def test_the_very_ends_of_the_interval_stay_inside(boundary):
    ends = torch.tensor([0.0, 1 - 2**-53, 1.0], dtype=torch.float64)
    for shift in (1.0, 3.0, 5.0, 12.0):
        assert (flow.sigma_at(ends, (boundary, 1.0), shift) >= boundary).all()
        assert (flow.sigma_at(ends, (0.0, boundary), shift) < boundary).all()


def _ks(a: torch.Tensor, b: torch.Tensor) -> float:
    """Two-sample Kolmogorov–Smirnov statistic over its critical value at 0.1 %: above 1 means different."""
    grid = torch.cat([a, b]).sort().values
    cdf = [torch.searchsorted(x.sort().values, grid, right=True) / len(x) for x in (a, b)]
    return (cdf[0] - cdf[1]).abs().max().item() / (1.95 * math.sqrt((len(a) + len(b)) / (len(a) * len(b))))


@pytest.mark.parametrize("expert", ["high", "low"])
@pytest.mark.parametrize("shift", [1.0, 5.0, 12.0])
def test_the_distribution_is_that_of_rejection(expert, shift):
    interval = flow.expert_interval(expert, 0.875)
    everything = flow.shift_sigma(
        torch.rand(60_000, generator=torch.Generator().manual_seed(7), dtype=torch.float64), shift
    )
    kept = everything[(everything >= interval[0]) & (everything < interval[1])]
    ours = flow.sample_sigma(torch.Generator().manual_seed(8), len(kept), interval, shift)
    assert _ks(ours, kept) < 1
    if shift > 1:  # the test can tell: uniform in sigma is another distribution
        lower, upper = interval
        assert _ks(lower + (upper - lower) * torch.rand(len(kept), dtype=torch.float64), kept) > 1


def test_noised_and_target_agree_with_the_scheduler_of_diffusers():
    from diffusers import FlowMatchEulerDiscreteScheduler

    scheduler = FlowMatchEulerDiscreteScheduler(shift=5.0)
    scheduler.set_timesteps(10)
    x0, noise = torch.randn(1, 16, 2, 4, 4), torch.randn(1, 16, 2, 4, 4)
    for timestep in scheduler.timesteps[:9]:
        theirs = scheduler.scale_noise(x0, timestep[None], noise)
        assert torch.allclose(flow.noised(x0, noise, timestep / 1000), theirs, atol=1e-6)
    # Following the velocity from pure noise down to sigma 0 gives the clean latent.
    assert torch.allclose(noise - flow.target(x0, noise), x0, atol=1e-6)


def test_loss_is_computed_in_float32():
    prediction = torch.full((1000,), 1.0, dtype=torch.bfloat16)
    loss = flow.flow_loss(prediction, torch.full((1000,), 1.001))
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(1e-6, rel=0.01)


def test_errors_name_the_value():
    with pytest.raises(ValueError, match="middle"):
        flow.expert_interval("middle", 0.875)
    with pytest.raises(ValueError, match="None"):
        flow.expert_interval("high", None)
    with pytest.raises(ValueError, match="shift"):
        flow.sigma_at(torch.rand(1), (0.0, 1.0), 0.0)
    with pytest.raises(ValueError, match="interval"):
        flow.sigma_at(torch.rand(1), (1.0, 0.5), 5.0)
