"""Held-out loss that can be compared: the same samples, the same noise and the same sigmas every time.

A training loss of single draws hardly shows learning, since most of its spread is which sigma came up. Here an expert
is asked the same questions before, during and after training. Sigmas are the middles of equal shares of the expert's
own distribution, so that a handful covers its interval. The score of a model that always answers zero stands next to
each result: a loss near it means that nothing was learned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wantrain import flow
from wantrain.experts import Expert, predict, seed_for

if TYPE_CHECKING:
    from wanprep.cached import CachedDataset


@dataclass(frozen=True, kw_only=True)
class Probe:
    """One fixed question: sample index, sigma, and the seed of its noise."""

    index: int
    sigma: float
    seed: int


def probes_for(expert: Expert, held: list[int], *, samples: int, sigmas: int) -> list[Probe]:
    """At most `samples` held-out samples, evenly spread over `held`, each at `sigmas` fixed sigmas.

    The noise depends on the expert and the probe's number, not on the run's seed: two runs that hold out the same
    samples can be compared.
    """
    import torch

    count = min(samples, len(held))
    chosen = [held[i * len(held) // count] for i in range(count)]
    middles = (torch.arange(sigmas, dtype=torch.float64) + 0.5) / sigmas
    values = flow.sigma_at(middles, expert.interval, expert.shift).tolist()
    pairs = [(index, sigma) for index in chosen for sigma in values]
    return [
        Probe(index=index, sigma=sigma, seed=seed_for(number, expert.name, "validation"))
        for number, (index, sigma) in enumerate(pairs)
    ]


def held_out_loss(expert: Expert, dataset: CachedDataset, probes: list[Probe]) -> dict[str, Any]:
    """Mean loss over `probes` and the mean loss of predicting zero. Leaves the expert's state as it is."""
    import torch

    losses, zeros = [], []
    with torch.no_grad():
        for probe in probes:
            sample = dataset.samples[probe.index]
            x0 = dataset.latent(sample).float()
            noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(probe.seed))
            sigma = torch.tensor([probe.sigma], dtype=torch.float64)
            wanted = flow.target(x0, noise)
            velocity = predict(expert.model, flow.noised(x0, noise, sigma.float()), sigma, dataset.text(sample))
            losses.append(flow.flow_loss(velocity, wanted.to(velocity.device)).item())
            zeros.append(wanted.square().mean().item())
    mean = len(probes)
    return {"expert": expert.name, "step": expert.step, "loss": sum(losses) / mean, "zero": sum(zeros) / mean}
