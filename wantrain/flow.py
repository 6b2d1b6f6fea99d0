"""Flow matching in numbers: which sigma an expert trains on, what it sees and what it should answer.

Rectified flow (Liu et al. 2022; Esser et al. 2024, "Scaling Rectified Flow Transformers", section 3.1): between a
latent x0 and Gaussian noise the model sees x_t = (1−σ)·x0 + σ·noise and predicts the velocity noise − x0. Wan draws
σ = s·u/(1+(s−1)·u) for uniform u and a flow shift s, and Wan 2.2 gives σ ≥ boundary to one expert and the rest to the
other. We choose the expert first and then σ inside its interval, by the inverse of the cumulative distribution cut at
the interval's ends: exactly the distribution that rejection would give, with no draw wasted and a fixed number of
random numbers a step, which is what makes a resumed run bit-equal to an uninterrupted one.

sigma is a number in 0–1 everywhere; the transformer's timestep, 1000·sigma, exists only at the model call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

Interval = tuple[float, float]  # sigma in [lower, upper)


def shift_sigma(u: torch.Tensor | float, shift: float) -> torch.Tensor | float:
    """σ = s·u/(1+(s−1)·u), a rising map of [0,1] onto itself; shift 1 is the identity."""
    return shift * u / (1 + (shift - 1) * u)


def u_boundary(sigma: float, shift: float) -> float:
    """The u whose shifted sigma is `sigma`: σ/(s−(s−1)σ)."""
    return sigma / (shift - (shift - 1) * sigma)


def expert_interval(expert: str, boundary: float | None) -> Interval:
    """The half-open sigma interval [lower, upper) of an expert: high [boundary,1), low [0,boundary), single [0,1)."""
    if expert == "single":
        return 0.0, 1.0
    if expert not in ("high", "low"):
        raise ValueError(f"unknown expert {expert!r}: high, low or single")
    if boundary is None or not 0 < boundary < 1:
        raise ValueError(f"expert {expert!r} needs a boundary between 0 and 1, got {boundary!r}")
    return (boundary, 1.0) if expert == "high" else (0.0, boundary)


def natural_share(boundary: float, shift: float) -> float:
    """Share of the high expert when u is uniform over [0,1]: 1 − u_b. For display; steps are set per expert."""
    return 1 - u_boundary(boundary, shift)


def sigma_at(quantile: torch.Tensor, interval: Interval, shift: float) -> torch.Tensor:
    """Quantiles in [0,1) -> sigma float64 inside `interval`, of the shifted distribution cut to that interval.

    Rounding may carry σ(u) across an end of the interval by one unit in the last place, hence the clamp: a sigma on
    the wrong side would train an expert on steps it never runs.
    """
    import torch

    lower, upper = interval
    if not 0 <= lower < upper <= 1:
        raise ValueError(f"interval must satisfy 0 <= lower < upper <= 1, got {interval}")
    if shift <= 0:
        raise ValueError(f"shift must be above 0, got {shift}")
    u_low, u_high = u_boundary(lower, shift), u_boundary(upper, shift)
    sigma = shift_sigma(u_low + (u_high - u_low) * quantile.double(), shift)
    below_upper = torch.nextafter(torch.tensor(upper, dtype=torch.float64), torch.tensor(0.0, dtype=torch.float64))
    return torch.as_tensor(sigma).clamp(lower, below_upper.item())


def sample_sigma(generator: torch.Generator, n: int, interval: Interval, shift: float) -> torch.Tensor:
    """Draw `n` sigmas (float64, [n]) inside `interval`: n random numbers, always."""
    import torch

    return sigma_at(torch.rand(n, generator=generator, dtype=torch.float64), interval, shift)


def noised(x0: torch.Tensor, noise: torch.Tensor, sigma: torch.Tensor | float) -> torch.Tensor:
    """x_t = (1−σ)·x0 + σ·noise in the latents' own type (float32 in training)."""
    return (1 - sigma) * x0 + sigma * noise


def target(x0: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """The velocity to predict: noise − x0."""
    return noise - x0


def flow_loss(prediction: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Mean squared error over all elements, computed in float32 whatever the model's type."""
    return (prediction.float() - wanted.float()).square().mean()
