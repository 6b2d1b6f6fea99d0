"""One optimizer step of an expert: its next batches, their gradients, clipping, the moving average, what to log.

Where the device can tell by itself whether a step is to be taken, nobody waits for its numbers: `begin_step` returns
at once, and the next step's draws are made meanwhile.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wantrain import optim
from wantrain.experts import Ahead, Expert, Work, positions
from wantrain.learn import Numbers, forward_backward, next_batch, pass_over, prepare

if TYPE_CHECKING:
    from wantrain.sums import Sums


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
                f"{names}). What was saved before is intact; lower the learning rate, or check that latent"
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
        before = expert.generator.get_state(), positions(expert)
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
            if expert.sums is not None:
                expert.sums.begin()
        draws += forward_backward(expert, batch, made) if mine else made  # type: ignore[arg-type]
    if expert.sums is not None:
        _add_up(expert, expert.sums, draws)
    return draws


def _next_work(expert: Expert, step: int) -> list[Work]:
    """The batches of a step and their draws, in turn. Moves the expert's random numbers and its places in the data."""
    count = expert.config.accumulate
    batches = [next_batch(expert, number) for number in range(step * count, (step + 1) * count)]
    share = 1 / sum(len(batch.samples) for batch in batches)
    mine = expert.sums.team.mine(count) if expert.sums is not None else [True] * count
    return [
        (batch, prepare(expert, batch, share) if own else pass_over(expert, batch), own)
        for batch, own in zip(batches, mine, strict=True)
    ]


def _add_up(expert: Expert, sums: Sums, draws: list[dict[str, Any]]) -> None:
    """Gradients of the whole step, and the losses that others computed, on every member of the team."""
    import torch

    cells = [(row, key) for row in draws for key in ("loss", "preservation") if key in row]
    zero = torch.zeros((), device=next(iter(expert.params.values())).device)
    numbers = torch.stack([zero if row[key] is None else row[key].float() for row, key in cells])
    sums.finish(numbers)
    for (row, key), number in zip(cells, numbers, strict=True):
        row[key] = number


def _average(expert: Expert) -> None:
    """Move the averages towards the parameters; faster at first, so that the start is soon forgotten."""
    if expert.averages is None:
        return
    decay = min(expert.config.ema, (1 + expert.step) / (10 + expert.step))
    for name, parameter in expert.params.items():
        expert.averages[name].lerp_(parameter.detach(), 1 - decay)
