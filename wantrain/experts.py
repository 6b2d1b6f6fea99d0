"""One expert of a run: its adapter, optimizer, schedule, place in the data and random numbers. Its steps: `step.py`.

Nothing here is shared between experts. An expert's next step is a function of its own state and configuration only,
so training `high` alone, `low` alone or both in turns gives the same two LoRAs, and an expert can be added to a run
later. `state` / `restore` turn the whole of it into tensors and plain numbers and back, without loss.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wanprep.ids import key_of
from wanprep.stage import UsageError
from wantrain import lora, optim
from wantrain.config import TrainConfig
from wantrain.data import Cursor
from wantrain.learn import Batch, Draw
from wantrain.sections import ExpertConfig
from wantrain.sigma import Sigmas

if TYPE_CHECKING:
    import torch

    from wantrain.sums import Sums

COMPONENTS = {"high": "transformer", "low": "transformer_2", "single": "transformer"}


Work = tuple["Batch", "list[Draw] | list[dict[str, Any]]", bool]  # whether it is ours; else what to log of it


@dataclass(frozen=True)
class Ahead:
    """The next step's draws, made early, and what the expert's state was before them: that is what is saved."""

    work: list[Work]
    rng: torch.Tensor
    positions: list[list[int]]


@dataclass
class Expert:
    """An expert at work. `model` is its transformer with the adapter on it, `params` the adapter's parameters.

    regular: the cursor of the regularisation set. averages: the moving average of `params`, where there is one. ahead:
    the next step's draws, once a step was done. sums: the gradients of a team, where a step's batches are shared.
    """

    name: str
    settings: TrainConfig
    sigmas: Sigmas
    model: torch.nn.Module
    params: dict[str, torch.nn.Parameter]
    optimizer: Any
    generator: torch.Generator
    cursor: Cursor
    regular: Cursor | None = None
    averages: dict[str, torch.Tensor] | None = None
    step: int = 0
    ahead: Ahead | None = None
    sums: Sums | None = None

    @property
    def config(self) -> ExpertConfig:
        return self.settings.expert(self.name)

    @property
    def done(self) -> bool:
        return self.step >= self.config.steps

    @property
    def scale(self) -> float:
        """alpha/rank of the adapter."""
        return self.config.lora_alpha / self.config.rank

    def seed(self, purpose: str) -> int:
        return seed_for(self.settings.run.seed, self.name, purpose)


def seed_for(seed: int, expert: str, purpose: str) -> int:
    """A seed below 2^63 that two experts, or two purposes of one expert, never share."""
    return int(key_of(seed=seed, expert=expert, purpose=purpose)[:15], 16)


def start(
    name: str, settings: TrainConfig, model: torch.nn.Module, cursor: Cursor, regular: Cursor | None = None
) -> Expert:
    """A fresh expert at step 0: adapter added to `model`, B zero and A drawn from the expert's own seed, or `init`.

    settings: settled, so that `steps` is what counts. The cursors are given the expert's own seeds and batch size here.
    """
    import torch

    own, seed = settings.expert(name), settings.run.seed
    first_draws = torch.Generator().manual_seed(seed_for(seed, name, "adapter"))
    params = lora.add_lora(
        model, rank=own.rank, alpha=own.lora_alpha, generator=first_draws, targets=own.targets, ranks=own.ranks,
        dropout=own.dropout,
    )  # fmt: skip
    if own.init is not None:
        lora.init_from(params, Path(own.init).expanduser(), scale=own.lora_alpha / own.rank)
    for which, purpose in ((cursor, "order"), (regular, "regularisation")):
        if which is not None:
            which.seed, which.batch_size = seed_for(seed, name, purpose), own.batch_size
    return Expert(
        name=name,
        settings=settings,
        sigmas=settings.sigmas(name),
        model=model,
        params=params,
        optimizer=optim.make_optimizer(own, params.values()),
        # Random numbers are drawn on the CPU whatever the device: the same run on other hardware sees the same noise.
        generator=torch.Generator().manual_seed(seed_for(seed, name, "steps")),
        cursor=cursor,
        regular=regular,
        averages={key: p.detach().clone() for key, p in params.items()} if own.ema else None,
    )


def place(expert: Expert, device: str) -> None:
    """Move the model and all that is kept about its adapter."""
    expert.model.to(device)
    optim.move_state(expert.optimizer)
    if expert.averages is not None:
        expert.averages = {name: tensor.to(device) for name, tensor in expert.averages.items()}


def positions(expert: Expert) -> list[list[int]]:
    """Epoch and place of each of its cursors."""
    return [[c.epoch, c.position] for c in (expert.cursor, expert.regular) if c is not None]


@contextmanager
def as_saved(expert: Expert) -> Iterator[None]:
    """The weights that are measured and saved, for a while: the average, or what a schedule-free optimizer means.

    Training goes on afterwards from the very bits it was interrupted at.
    """
    if expert.averages is None and not hasattr(expert.optimizer, "eval"):
        yield
        return
    before = {name: p.detach().clone() for name, p in expert.params.items()}
    optim.set_mode(expert.optimizer, training=False)
    for name, average in (expert.averages or {}).items():
        expert.params[name].data.copy_(average)
    try:
        yield
    finally:
        optim.set_mode(expert.optimizer, training=True)
        for name, tensor in before.items():
            expert.params[name].data.copy_(tensor)


@contextmanager
def as_begun(expert: Expert) -> Iterator[None]:
    """The weights of step 0, for a while: the base model's, or those of `init`. The optimizer is left alone."""
    before = {name: p.detach().clone() for name, p in expert.params.items()}
    try:
        for name, parameter in expert.params.items():
            if name.endswith("lora_B"):
                parameter.data.zero_()
        if expert.config.init is not None:
            lora.init_from(expert.params, Path(expert.config.init).expanduser(), scale=expert.scale)
        yield
    finally:
        for name, tensor in before.items():
            expert.params[name].data.copy_(tensor)


def state(expert: Expert) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Everything the next step depends on: tensors, and plain values (step, places in the data, the optimizer's)."""
    ahead = expert.ahead
    tensors = {"rng": ahead.rng if ahead else expert.generator.get_state()}
    tensors |= {f"lora/{name}": p.detach() for name, p in expert.params.items()}
    tensors |= {f"average/{name}": average for name, average in (expert.averages or {}).items()}
    kept, tree = optim.pack(expert.optimizer, {id(p): name for name, p in expert.params.items()})
    tensors |= {f"optimizer/{name}": tensor for name, tensor in kept.items()}
    cursors = ahead.positions if ahead else positions(expert)
    values = {"step": expert.step, "cursors": cursors, "optimizer": tree}
    return {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, values


def restore(
    expert: Expert, tensors: dict[str, torch.Tensor], values: dict[str, Any], *, kept: Collection[str] | None = None
) -> None:
    """Put a fresh expert into a saved state. UsageError when the adapter's shapes differ (another rank).

    kept: when the optimizer is of another class than it was, what it goes on with (`trial.carried`).
    """

    def part(prefix: str) -> dict[str, torch.Tensor]:
        return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}

    saved = part("lora/")
    if {name: tuple(p.shape) for name, p in expert.params.items()} != {n: tuple(t.shape) for n, t in saved.items()}:
        raise UsageError(
            f"{expert.name}: the saved adapter does not fit (rank {expert.config.rank} now). "
            "Set rank, ranks and targets back, begin a run of another name, or begin again with --fresh"
        )
    for name, parameter in expert.params.items():
        parameter.data.copy_(saved[name])
    optim.unpack(expert.optimizer, expert.params, part("optimizer/"), values["optimizer"], only=kept)
    if expert.averages is not None and (averages := part("average/")):
        expert.averages = {name: t.to(expert.params[name].device).clone() for name, t in averages.items()}
    elif expert.averages is not None:  # switched on in the middle of a run
        expert.averages = {name: p.detach().clone() for name, p in expert.params.items()}
    expert.ahead = None
    expert.generator.set_state(tensors["rng"])
    expert.step = values["step"]
    for cursor, (epoch, position) in zip([c for c in (expert.cursor, expert.regular) if c], values["cursors"]):
        cursor.epoch, cursor.position = epoch, position
