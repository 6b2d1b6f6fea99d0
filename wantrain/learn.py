"""One forward and backward: what is drawn for it, what the model is asked, and what is logged.

The samples of a batch share a bucket; everything else (noise, sigma, caption dropout, weight) is each sample's own, so
that a batch is nothing but several draws in one forward.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wantrain import flow, lora, tasks

if TYPE_CHECKING:
    import torch

    from wanprep.cached import CachedDataset, CachedSample
    from wantrain.experts import Expert


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Samples for one forward. number: of the forward, counted from the run's begin. regular: they preserve."""

    number: int
    dataset: CachedDataset
    samples: tuple[CachedSample, ...]
    regular: bool


@dataclass(frozen=True, kw_only=True)
class Draw:
    """One sample's part of a forward, on the model's device. class_text: where the draw is to preserve. factor: of its
    loss. row: what is logged of it.
    """

    question: tasks.Question
    wanted: torch.Tensor
    text: torch.Tensor
    class_text: torch.Tensor | None
    factor: float
    row: dict[str, Any]


def next_batch(expert: Expert, number: int) -> Batch:
    """The samples of forward `number`; moves the cursor of the set that they come from."""
    regular = expert.regular is not None and tasks.picked(expert.settings.regularisation.share, number)
    cursor = expert.regular if regular and expert.regular else expert.cursor
    return Batch(number=number, dataset=cursor.dataset, samples=cursor.next_samples(), regular=regular)


def learn(expert: Expert, batch: Batch, share: float) -> list[dict[str, Any]]:
    """Forward and backward of a batch, each sample's loss times its weights and `share`; what to log of each."""
    return settled(forward_backward(expert, batch, prepare(expert, batch, share)))


def prepare(expert: Expert, batch: Batch, share: float) -> list[Draw]:
    """The draws of a batch: work of the CPU, while the GPU may be busy with something else, and is not waited for."""
    return [_draw(expert, batch, place, share) for place in range(len(batch.samples))]


def forward_backward(expert: Expert, batch: Batch, draws: list[Draw]) -> list[dict[str, Any]]:
    """Gradients of a batch whose draws are made; what to log of each, its losses still on the device (`settled`)."""
    with lora.dropout_on(expert.model, expert.config.dropout, expert.seed(f"dropout {batch.number}")):
        losses = _losses(expert, draws, [draw.text for draw in draws], [draw.wanted for draw in draws])
        sum(draw.factor * loss for draw, loss in zip(draws, losses, strict=True)).backward()  # type: ignore[union-attr]
        rows = [draw.row | {"loss": loss.detach()} for draw, loss in zip(draws, losses, strict=True)]
        named = [number for number, draw in enumerate(draws) if draw.class_text is not None]
        if named:
            kept = _preserve(expert, [draws[number] for number in named])
            for number, loss in zip(named, kept, strict=True):
                rows[number]["preservation"] = loss.detach()
    return [row | ({"regular": True} if batch.regular else {}) for row in rows]


@dataclass
class Numbers:
    """Numbers of rows that are on their way from the device. `settle` waits for them, and for nothing that the device
    was given later.
    """

    cells: list[tuple[dict[str, Any], str]]
    values: Any
    there: Any = None

    @staticmethod
    def of(rows: list[dict[str, Any]]) -> Numbers:
        import torch

        cells = [(row, key) for row in rows for key, value in row.items() if torch.is_tensor(value)]
        if not cells:
            return Numbers([], None)
        values = torch.stack([row[key].float() for row, key in cells])
        if not values.is_cuda:
            return Numbers(cells, values)
        host = torch.empty(values.shape, pin_memory=True).copy_(values, non_blocking=True)
        return Numbers(cells, host, torch.cuda.current_stream().record_event())

    def settle(self) -> None:
        if self.there is not None:
            self.there.synchronize()
            self.there = None
        for (row, key), value in zip(self.cells, self.values.tolist() if self.cells else [], strict=True):
            row[key] = value


def settled(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with plain numbers in place of tensors: one wait for the device, whatever their number."""
    Numbers.of(rows).settle()
    return rows


def pass_over(expert: Expert, batch: Batch) -> list[dict[str, Any]]:
    """Of a batch that another process computes: move the random numbers as if it were drawn here; what to log of it."""
    import torch

    family, rows = expert.settings.model_family, []
    for place, sample in enumerate(batch.samples):
        dropped = bool(torch.rand((), generator=expert.generator) < expert.settings.caption_dropout)
        stride, frames = family.spatial_stride, family.latent_frames(sample.frames)
        torch.randn(family.z, frames, sample.height // stride, sample.width // stride, generator=expert.generator)
        row = {"sample": sample.sample_id, "sigma": _sigma(expert, batch, place), "caption_dropped": dropped}
        rows.append(row | {"loss": None} | ({"preservation": None} if _preserves(expert, batch, sample) else {}))
    return [row | ({"regular": True} if batch.regular else {}) for row in rows]


def _sigma(expert: Expert, batch: Batch, place: int) -> float:
    return expert.sigmas.draws(expert.seed("sigma"), batch.number * expert.config.batch_size + place, 1).item()


def _preserves(expert: Expert, batch: Batch, sample: CachedSample) -> bool:
    return bool(expert.settings.loss.preservation and sample.class_path and not batch.regular)


def _draw(expert: Expert, batch: Batch, place: int, share: float) -> Draw:
    import torch

    settings, sample, dataset = expert.settings, batch.samples[place], batch.dataset
    # The order and number of draws is part of the state's meaning: always dropout, then noise.
    dropped = bool(torch.rand((), generator=expert.generator) < settings.caption_dropout)
    x0 = dataset.latent(sample).float()
    noise = torch.randn(x0.shape, generator=expert.generator)
    sigma = _sigma(expert, batch, place)
    shown = tasks.shows_first_frame(settings.first_frame, batch.number, sample)
    given = {"condition": tasks.condition_of(dataset, sample), "image": tasks.image_of(dataset, sample)}
    weight = sample.weight * settings.loss.views.get(sample.view, 1.0)
    weight *= settings.regularisation.weight if batch.regular else 1.0
    weight *= flow.sigma_weight(settings.loss.weighting, sigma, expert.sigmas)
    preserved = _preserves(expert, batch, sample)
    device = next(expert.model.parameters()).device
    question = tasks.ask(settings.model_family, x0, noise, sigma, **given, first_frame=shown)
    return Draw(
        question=tasks.sent(question, device),
        wanted=tasks.send(flow.target(x0, noise), device),
        text=tasks.send(tasks.true_tokens(dataset.empty() if dropped else dataset.text(sample)), device),
        class_text=tasks.send(tasks.true_tokens(dataset.class_text(sample)), device) if preserved else None,
        factor=weight * settings.loss.gradient_scale * share,
        row={"sample": sample.sample_id, "sigma": sigma, "caption_dropped": dropped},
    )


def _losses(
    expert: Expert, draws: list[Draw], texts: list[torch.Tensor], wanted: list[torch.Tensor]
) -> list[torch.Tensor]:
    questions = [draw.question for draw in draws]
    velocities = tasks.predict_batch(expert.model, questions, texts)
    return [tasks.loss(*found) for found in zip(velocities, wanted, questions, strict=True)]


def _preserve(expert: Expert, draws: list[Draw]) -> list[torch.Tensor]:
    """Differential output preservation: the base's answer to the class prompt is a second target."""
    import torch

    texts = [draw.class_text for draw in draws if draw.class_text is not None]
    with torch.no_grad(), lora.switched_off(expert.model):
        priors = tasks.predict_batch(expert.model, [draw.question for draw in draws], texts)
    losses = _losses(expert, draws, texts, list(priors))
    strength = expert.settings.loss.preservation
    sum(draw.factor * strength * loss for draw, loss in zip(draws, losses, strict=True)).backward()  # type: ignore[union-attr]
    return losses
