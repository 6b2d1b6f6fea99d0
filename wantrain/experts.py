"""One expert of a run: its adapter, optimizer, schedule, place in the data and random numbers.

Nothing here is shared between experts. An expert's next step is a function of its own state and configuration only,
so training `high` alone, `low` alone or both in turns gives the same two LoRAs, and an expert can be added to a run
later. `state` / `restore` turn the whole of it into tensors and plain numbers and back, without loss.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from wanprep.ids import key_of
from wanprep.stage import UsageError
from wantrain import flow, lora
from wantrain.config import ExpertConfig, TrainConfig
from wantrain.data import Cursor

if TYPE_CHECKING:
    import torch

    from wanprep.cached import CachedDataset

COMPONENTS = {"high": "transformer", "low": "transformer_2", "single": "transformer"}


@dataclass
class Expert:
    """An expert at work. `model` is its transformer with the adapter on it, `params` the adapter's parameters."""

    name: str
    config: ExpertConfig
    interval: flow.Interval
    shift: float
    caption_dropout: float
    model: torch.nn.Module
    params: dict[str, torch.nn.Parameter]
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    cursor: Cursor
    step: int = 0

    @property
    def done(self) -> bool:
        return self.step >= self.config.steps


def seed_for(seed: int, expert: str, purpose: str) -> int:
    """A seed below 2^63 that two experts, or two purposes of one expert, never share."""
    return int(key_of(seed=seed, expert=expert, purpose=purpose)[:15], 16)


def start(
    name: str, config: TrainConfig, model: torch.nn.Module, dataset: CachedDataset, allowed: frozenset[int]
) -> Expert:
    """A fresh expert at step 0: adapter added to `model`, B zero, A drawn from the expert's own seed."""
    import torch

    own = config.expert(name)
    seed = config.run.seed
    start_draws = torch.Generator().manual_seed(seed_for(seed, name, "adapter"))
    params = lora.add_lora(model, rank=own.rank, alpha=own.lora_alpha, generator=start_draws)
    return Expert(
        name=name,
        config=own,
        interval=flow.expert_interval(name, config.model_family.boundary),
        shift=config.shift,
        caption_dropout=config.caption_dropout,
        model=model,
        params=params,
        optimizer=torch.optim.AdamW(params.values(), lr=own.lr, weight_decay=own.weight_decay),
        # Random numbers are drawn on the CPU whatever the device: the same run on other hardware sees the same noise.
        generator=torch.Generator().manual_seed(seed_for(seed, name, "steps")),
        cursor=Cursor(dataset=dataset, allowed=allowed, seed=seed_for(seed, name, "order")),
    )


def place(expert: Expert, device: str) -> None:
    """Move the model and what the optimizer keeps about it. AdamW's step counter stays on the CPU, where it belongs."""
    expert.model.to(device)
    for parameter, kept in expert.optimizer.state.items():
        for key, value in kept.items():
            if key != "step":
                kept[key] = value.to(parameter.device)


def lr_at(step: int, config: ExpertConfig) -> float:
    """Learning rate of the 0-based `step`: a linear rise over warmup·steps, then constant or half a cosine to 0."""
    rise = round(config.warmup * config.steps)
    if step < rise:
        return config.lr * (step + 1) / rise
    if config.schedule == "constant":
        return config.lr
    return config.lr * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, config.steps - rise)))


def predict(model: torch.nn.Module, noisy: torch.Tensor, sigma: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    """The transformer's velocity for one sample.

    noisy [z, T, h, w] and text [512, d] on any device and in any type; sigma in 0–1, one number. Returns float32
    [z, T, h, w] on the model's device. The only place where sigma becomes a timestep.
    """
    import torch

    device, dtype = next(model.parameters()).device, cast("torch.dtype", model.dtype)
    velocity = model(
        hidden_states=noisy[None].to(device, dtype),
        timestep=(1000 * sigma).reshape(1).to(device, torch.float32),
        encoder_hidden_states=text[None].to(device, dtype),
        return_dict=False,
    )[0][0]
    return velocity.float()


def train_step(expert: Expert, dataset: CachedDataset) -> dict[str, Any]:
    """One optimizer step on the expert's next sample; returns what to log. Moves every part of the expert's state."""
    import torch

    sample = dataset.samples[expert.cursor.next()]
    # The order and number of draws is part of the state's meaning: always dropout, sigma, noise.
    dropped = bool(torch.rand((), generator=expert.generator) < expert.caption_dropout)
    sigma = flow.sample_sigma(expert.generator, 1, expert.interval, expert.shift)
    x0 = dataset.latent(sample).float()
    noise = torch.randn(x0.shape, generator=expert.generator)
    text = dataset.empty() if dropped else dataset.text(sample)

    velocity = predict(expert.model, flow.noised(x0, noise, sigma.float()), sigma, text)
    loss = flow.flow_loss(velocity, flow.target(x0, noise).to(velocity.device))
    (sample.weight * loss).backward()
    limit = expert.config.max_grad_norm or math.inf
    grad_norm = float(torch.nn.utils.clip_grad_norm_(expert.params.values(), limit))
    if not math.isfinite(grad_norm):
        raise ArithmeticError(
            f"{expert.name}: loss {loss.item()} or its gradient is not finite at step {expert.step + 1} (sample "
            f"{sample.sample_id}). The last saved state is intact; lower the learning rate, or check that latent"
        )
    lr = lr_at(expert.step, expert.config)
    for group in expert.optimizer.param_groups:
        group["lr"] = lr
    expert.optimizer.step()
    expert.optimizer.zero_grad(set_to_none=True)
    expert.step += 1
    return {
        "expert": expert.name, "step": expert.step, "loss": loss.item(), "lr": lr, "grad_norm": grad_norm,
        "sigma": sigma.item(), "sample": sample.sample_id, "caption_dropped": dropped,
    }  # fmt: skip


def state(expert: Expert) -> tuple[dict[str, torch.Tensor], dict[str, int]]:
    """Everything the next step depends on: tensors, and the plain numbers step, epoch and position."""
    tensors = {"rng": expert.generator.get_state()}
    for name, parameter in expert.params.items():
        tensors[f"lora/{name}"] = parameter.detach()
        for key, value in expert.optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer.{key}/{name}"] = value
    numbers = {"step": expert.step, "epoch": expert.cursor.epoch, "position": expert.cursor.position}
    return {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, numbers


def restore(expert: Expert, tensors: dict[str, torch.Tensor], numbers: dict[str, int]) -> None:
    """Put a fresh expert into a saved state. UsageError when the adapter's shapes differ (another rank)."""
    wanted = {name: tuple(p.shape) for name, p in expert.params.items()}
    saved = {name.removeprefix("lora/"): tuple(t.shape) for name, t in tensors.items() if name.startswith("lora/")}
    if wanted != saved:
        raise UsageError(
            f"{expert.name}: the saved adapter does not fit (rank {expert.config.rank} now). "
            "Set the rank back, or begin again with --fresh"
        )
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for index, (name, parameter) in enumerate(expert.params.items()):
        parameter.data.copy_(tensors[f"lora/{name}"])
        keys = [k for k in tensors if k.startswith("optimizer.") and k.endswith(f"/{name}")]
        moments[index] = {k.split("/")[0].removeprefix("optimizer."): tensors[k] for k in keys}
    groups = expert.optimizer.state_dict()["param_groups"]
    expert.optimizer.load_state_dict({"state": moments, "param_groups": groups})
    expert.generator.set_state(tensors["rng"])
    expert.step, expert.cursor.epoch, expert.cursor.position = numbers["step"], numbers["epoch"], numbers["position"]
