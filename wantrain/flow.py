"""Flow matching in numbers: what a model sees, what it should answer, and how the answer is judged.

Rectified flow (Liu et al. 2022; Esser et al. 2024, "Scaling Rectified Flow Transformers", section 3.1): between a
latent x0 and Gaussian noise the model sees x_t = (1−σ)·x0 + σ·noise and predicts the velocity noise − x0.

sigma is a number in 0–1 everywhere; the transformer's timestep, 1000·sigma, exists only at the model call.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

from wantrain.sigma import Sigmas

if TYPE_CHECKING:
    import torch

SIGMA_FLOOR = 0.1  # of "sigma_sqrt": σ⁻² has no mean near 0


def noised(x0: torch.Tensor, noise: torch.Tensor, sigma: torch.Tensor | float) -> torch.Tensor:
    """x_t = (1−σ)·x0 + σ·noise in the latents' own type (float32 in training)."""
    return (1 - sigma) * x0 + sigma * noise


def target(x0: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """The velocity to predict: noise − x0."""
    return noise - x0


def flow_loss(prediction: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Mean squared error over all elements, computed in float32 whatever the model's type."""
    return (prediction.float() - wanted.float()).square().mean()


def sigma_weight(weighting: str, sigma: float, sigmas: Sigmas) -> float:
    """Factor on the loss at `sigma`, with mean 1 over what `sigmas` draws, so that lr keeps its meaning.

    cosmap: 2/(π(1−2σ+2σ²)), most weight in the middle; sigma_sqrt: σ⁻² (floored at σ = 0.1), most at low noise.
    Both from Esser et al. 2024 as diffusers writes them (`compute_loss_weighting_for_sd3`).
    """
    return 1.0 if weighting == "none" else _raw_weight(weighting, sigma) / _mean_weight(weighting, sigmas)


def _raw_weight(weighting: str, sigma: float) -> float:
    if weighting == "cosmap":
        return 2 / (math.pi * (1 - 2 * sigma + 2 * sigma**2))
    if weighting == "sigma_sqrt":
        return max(sigma, SIGMA_FLOOR) ** -2
    raise ValueError(f"unknown weighting {weighting!r}: none, cosmap or sigma_sqrt")


@functools.lru_cache(maxsize=16)
def _mean_weight(weighting: str, sigmas: Sigmas) -> float:
    values = sigmas.middles(4096)
    return sum(_raw_weight(weighting, sigma) for sigma in values) / len(values)
