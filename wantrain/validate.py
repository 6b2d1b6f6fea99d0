"""Held-out loss that can be compared: the same samples, the same noise and the same sigmas every time.

A training loss of single draws hardly shows learning, since most of its spread is which sigma came up. Here an expert
is asked the same questions before, during and after training. Sigmas are the middles of equal shares of the expert's
own distribution, so that a handful covers its interval. The score of a model that always answers zero stands next to
each result: a loss near it means that nothing was learned. Some samples that are trained on get the same questions:
where only their loss still falls, the set is being memorised. Each result carries a digest of its questions, because
losses that answered others (a changed dataset, other settings) must not be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wanprep.ids import key_of
from wantrain import flow, tasks
from wantrain.experts import Expert, as_begun, as_saved, seed_for

if TYPE_CHECKING:
    from wanprep.cached import CachedDataset


@dataclass(frozen=True, kw_only=True)
class Probe:
    """One fixed question: sample index, sigma, the seed of its noise, and whether a first frame is given."""

    index: int
    sigma: float
    seed: int
    first_frame: bool = False


def probes_for(expert: Expert, indices: Sequence[int], *, samples: int, sigmas: int) -> list[Probe]:
    """At most `samples` samples, evenly spread over `indices`, each at `sigmas` fixed sigmas.

    The noise depends on the expert and the probe's number, not on the run's seed: two runs that hold out the same
    samples can be compared.
    """
    count = min(samples, len(indices))
    chosen = [indices[i * len(indices) // count] for i in range(count)]
    pairs = [(index, sigma) for index in chosen for sigma in expert.sigmas.middles(sigmas)]
    dataset, share = expert.cursor.dataset, expert.settings.first_frame
    return [
        Probe(
            index=index, sigma=sigma, seed=seed_for(number, expert.name, "validation"),
            first_frame=tasks.shows_first_frame(share, number, dataset.samples[index]),
        )
        for number, (index, sigma) in enumerate(pairs)
    ]  # fmt: skip


def digest_of(expert: Expert, probes: Sequence[Probe]) -> str:
    """Of all that the questions consist of: the samples' files (latent, conditions, caption), sigmas, seeds, order."""
    samples = [expert.cursor.dataset.samples[probe.index] for probe in probes]
    asked = [
        [sample.sample_id, sample.latent_digest, sample.text_digest, probe.sigma, probe.seed, probe.first_frame]
        for sample, probe in zip(samples, probes, strict=True)
    ]
    return key_of(questions=asked)


def held_out_loss(
    expert: Expert, held: Sequence[Probe], trained: Sequence[Probe] = (), *, begun: bool = False
) -> dict[str, Any]:
    """What is logged of a measurement. Leaves the expert's state as it is. begun: of step 0, whatever its step is.

    loss, zero: means over `held` of the loss and of the loss of predicting zero. losses: of each probe. bands: sigma,
    loss and zero of each of its sigmas. trained: mean loss over the other probes, None without. questions,
    trained_questions: digests of the probes.
    """
    with as_begun(expert) if begun else as_saved(expert):
        pairs = [_answer(expert, probe) for probe in held]
        seen = [_answer(expert, probe)[0] for probe in trained]
    losses, zeros = ([pair[i] for pair in pairs] for i in (0, 1))
    bands = []
    for sigma in sorted({probe.sigma for probe in held}):
        here = [pair for probe, pair in zip(held, pairs, strict=True) if probe.sigma == sigma]
        bands.append([round(sigma, 6), *(_mean([pair[i] for pair in here]) for i in (0, 1))])
    return {
        "expert": expert.name, "step": 0 if begun else expert.step, "loss": _mean(losses), "zero": _mean(zeros),
        "losses": losses, "bands": bands, "trained": _mean(seen) if seen else None,
        "questions": digest_of(expert, held), "trained_questions": digest_of(expert, trained),
    }  # fmt: skip


def _answer(expert: Expert, probe: Probe) -> tuple[float, float]:
    """Loss of one question, and the loss of answering zero."""
    import torch

    dataset: CachedDataset = expert.cursor.dataset
    sample = dataset.samples[probe.index]
    x0 = dataset.latent(sample).float()
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(probe.seed))
    wanted = flow.target(x0, noise)
    question = tasks.ask(
        expert.settings.model_family, x0, noise, probe.sigma,
        condition=tasks.condition_of(dataset, sample), image=tasks.image_of(dataset, sample),
        first_frame=probe.first_frame,
    )  # fmt: skip
    with torch.no_grad():
        velocity = tasks.predict(expert.model, question, tasks.true_tokens(dataset.text(sample)))
    return tasks.loss(velocity, wanted, question).item(), tasks.loss(torch.zeros_like(wanted), wanted, question).item()


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
