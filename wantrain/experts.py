"""One expert of a run: its adapter, optimizer, schedule, place in the data and random numbers.

Nothing here is shared between experts. An expert's next step is a function of its own state and configuration only,
so training `high` alone, `low` alone or both in turns gives the same two LoRAs, and an expert can be added to a run
later. `state` / `restore` turn the whole of it into tensors and plain numbers and back, without loss.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wanprep.ids import key_of
from wanprep.stage import UsageError
from wantrain import lora, optim
from wantrain.config import TrainConfig
from wantrain.data import Cursor
from wantrain.learn import Batch, Draw, Numbers, forward_backward, next_batch, pass_over, prepare
from wantrain.sections import ExpertConfig
from wantrain.sigma import Sigmas

if TYPE_CHECKING:
    import torch

    from wantrain.parallel import Team

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
    the next step's draws, once a step was done. team: with whom a step's batches are shared.
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
    team: Team | None = None

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


@dataclass
class Step:
    """An optimizer step that the device has been given. `finish` waits for it and returns what to log."""

    row: dict[str, Any]
    numbers: Numbers

    @property
    def here(self) -> bool:
        """Whether there is nothing to wait for."""
        return self.numbers.there is None

    def finish(self) -> dict[str, Any]:
        """ArithmeticError when the loss or its gradient is not finite; the step has then changed no weight."""
        self.numbers.settle()
        draws, norm = self.row["draws"], self.row["grad_norm"]
        self.row["loss"] = mean = sum(draw["loss"] for draw in draws) / len(draws)
        if not math.isfinite(norm) or not math.isfinite(mean):
            names = ", ".join(draw["sample"] for draw in draws)
            raise ArithmeticError(
                f"{self.row['expert']}: loss {mean} or its gradient is not finite at step {self.row['step']} (sample "
                f"{names}). The last saved state is intact; lower the learning rate, or check that latent"
            )
        return self.row


def train_step(expert: Expert, last: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """One optimizer step on the expert's next `accumulate` batches; returns what to log. Moves all of its state.

    last: called before the last backward of the step, after which nothing needs the frozen weights.
    """
    return begin_step(expert, last).finish()


def begin_step(expert: Expert, last: Callable[[], None] = lambda: None) -> Step:
    """The same without waiting for the device, where the optimizer can tell by itself whether a step is to be taken.

    Every sample counts alike, those of a short batch (the last of a bucket in an epoch) included.
    """
    import torch

    own = expert.config
    work = expert.ahead.work if expert.ahead else _next_work(expert, expert.step)
    expert.ahead = None
    draws = _learn(expert, work, last)
    grad_norm = torch.nn.utils.clip_grad_norm_(expert.params.values(), own.max_grad_norm or math.inf)
    if expert.step + 1 < own.steps:  # while a GPU is still busy with what it was given above
        before = expert.generator.get_state(), _positions(expert)
        expert.ahead = Ahead(_next_work(expert, expert.step + 1), *before)
    lr = optim.lr_at(expert.step, own)
    row = {"expert": expert.name, "step": expert.step + 1, "loss": 0.0, "lr": lr, "grad_norm": grad_norm}
    step = Step(row | {"draws": draws}, Numbers([], None))
    step.numbers = Numbers.of([step.row, *draws])
    if not optim.skips(expert.optimizer, ~torch.isfinite(grad_norm)):
        step.finish()
    optim.set_lr(expert.optimizer, lr)
    optim.set_mode(expert.optimizer, training=True)
    expert.optimizer.step()
    expert.optimizer.zero_grad(set_to_none=True)
    expert.step += 1
    _average(expert)
    return step


def _learn(expert: Expert, work: list[Work], last: Callable[[], None]) -> list[dict[str, Any]]:
    """Gradients of a step's batches, those of the whole team; what to log of each draw."""
    draws: list[dict[str, Any]] = []
    ours = sum(mine for _, _, mine in work)
    for batch, made, mine in work:
        ours -= mine
        if mine and not ours and not expert.settings.loss.preservation:  # which takes a second backward
            last()
        draws += forward_backward(expert, batch, made) if mine else made  # type: ignore[arg-type]
    if expert.team is not None and expert.team.size > 1:
        _add_up(expert, expert.team, draws)
    return draws


def _next_work(expert: Expert, step: int) -> list[Work]:
    """The batches of a step and their draws, in turn. Moves the expert's random numbers and its places in the data."""
    count = expert.config.accumulate
    batches = [next_batch(expert, number) for number in range(step * count, (step + 1) * count)]
    share = 1 / sum(len(batch.samples) for batch in batches)
    mine = expert.team.mine(count) if expert.team is not None else [True] * count
    return [
        (batch, prepare(expert, batch, share) if own else pass_over(expert, batch), own)
        for batch, own in zip(batches, mine, strict=True)
    ]


def _add_up(expert: Expert, team: Team, draws: list[dict[str, Any]]) -> None:
    """Gradients of the whole step, and the losses that others computed, on every member of the team."""
    import torch

    params = list(expert.params.values())
    cells = [(row, key) for row in draws for key in ("loss", "preservation") if key in row]
    zero = torch.zeros((), device=params[0].device)
    numbers = torch.stack([zero if row[key] is None else row[key].float() for row, key in cells])
    team.add_up(params, numbers)
    for (row, key), number in zip(cells, numbers, strict=True):
        row[key] = number


def _positions(expert: Expert) -> list[list[int]]:
    return [[c.epoch, c.position] for c in (expert.cursor, expert.regular) if c is not None]


def _average(expert: Expert) -> None:
    """Move the averages towards the parameters; faster at first, so that the start is soon forgotten."""
    if expert.averages is None:
        return
    decay = min(expert.config.ema, (1 + expert.step) / (10 + expert.step))
    for name, parameter in expert.params.items():
        expert.averages[name].lerp_(parameter.detach(), 1 - decay)


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


def state(expert: Expert) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Everything the next step depends on: tensors, and plain values (step, places in the data, the optimizer's)."""
    ahead = expert.ahead
    tensors = {"rng": ahead.rng if ahead else expert.generator.get_state()}
    tensors |= {f"lora/{name}": p.detach() for name, p in expert.params.items()}
    tensors |= {f"average/{name}": average for name, average in (expert.averages or {}).items()}
    kept, tree = optim.pack(expert.optimizer, {id(p): name for name, p in expert.params.items()})
    tensors |= {f"optimizer/{name}": tensor for name, tensor in kept.items()}
    cursors = ahead.positions if ahead else _positions(expert)
    values = {"step": expert.step, "cursors": cursors, "optimizer": tree}
    return {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, values


def restore(expert: Expert, tensors: dict[str, torch.Tensor], values: dict[str, Any]) -> None:
    """Put a fresh expert into a saved state. UsageError when the adapter's shapes differ (another rank)."""

    def part(prefix: str) -> dict[str, torch.Tensor]:
        return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}

    saved = part("lora/")
    if {name: tuple(p.shape) for name, p in expert.params.items()} != {n: tuple(t.shape) for n, t in saved.items()}:
        raise UsageError(
            f"{expert.name}: the saved adapter does not fit (rank {expert.config.rank} now). "
            "Set rank, ranks and targets back, or begin again with --fresh"
        )
    for name, parameter in expert.params.items():
        parameter.data.copy_(saved[name])
    optim.unpack(expert.optimizer, expert.params, part("optimizer/"), values["optimizer"])
    if expert.averages is not None and (averages := part("average/")):
        expert.averages = {name: t.to(expert.params[name].device).clone() for name, t in averages.items()}
    elif expert.averages is not None:  # switched on in the middle of a run
        expert.averages = {name: p.detach().clone() for name, p in expert.params.items()}
    expert.ahead = None
    expert.generator.set_state(tensors["rng"])
    expert.step = values["step"]
    for cursor, (epoch, position) in zip([c for c in (expert.cursor, expert.regular) if c], values["cursors"]):
        cursor.epoch, cursor.position = epoch, position
