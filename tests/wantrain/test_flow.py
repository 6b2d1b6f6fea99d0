import math

import pytest
import torch

from wantrain import flow
from wantrain.sigma import Sigmas

LOW = Sigmas(method="linear", interval=(0.0, 0.875))


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


@pytest.mark.parametrize("weighting", ["none", "cosmap", "sigma_sqrt"])
@pytest.mark.parametrize("method", ["linear", "sigmoid", "shift"])
def test_weights_have_mean_one_over_what_is_drawn(weighting, method):
    sigmas = Sigmas(method=method, interval=(0.0, 0.875), shift=5.0, window=2000)
    drawn = sigmas.draws(3, 0, 20_000).tolist()
    weights = [flow.sigma_weight(weighting, sigma, sigmas) for sigma in drawn]
    assert sum(weights) / len(weights) == pytest.approx(1, abs=0.01)


def test_weights_have_the_shape_of_their_formulas():
    from diffusers.training_utils import compute_loss_weighting_for_sd3

    for name in ("cosmap", "sigma_sqrt"):
        ours = [flow.sigma_weight(name, sigma, LOW) for sigma in (0.2, 0.5, 0.8)]
        theirs = compute_loss_weighting_for_sd3(name, torch.tensor([0.2, 0.5, 0.8])).tolist()
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        assert ratios == pytest.approx([ratios[0]] * 3)
    assert math.isfinite(flow.sigma_weight("sigma_sqrt", 0.0, LOW))
    with pytest.raises(ValueError, match="unknown weighting"):
        flow.sigma_weight("bell", 0.5, LOW)
