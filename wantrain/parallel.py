"""Several processes, one a GPU, on one run: experts apart, batches of a step shared, or both. Started by `torchrun`.

parallel (experts.schedule)   each process trains one expert; they never talk while they train.
otherwise                     all train the same experts in turn and share the `accumulate` batches of every step.

With more processes than experts both hold: those that train the same expert form a team. A team's members walk through
the same samples and random numbers and each computes its part of a step's batches; their gradients are summed
(sums.py), so every member takes the same step. Nothing of the layout enters a result but the order of that sum: any
number of processes writes the same checkpoints and goes on from them. One member of a team, its lead, measures and
writes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wanprep.stage import UsageError
from wantrain import checkpoint
from wantrain.config import TrainConfig

if TYPE_CHECKING:
    import torch

# Members wait while their lead measures or samples, and a finished expert's process for the other's. Nobody waits for
# one that died: torchrun ends the others.
PATIENCE = timedelta(days=7)
LOOK_SECONDS = 0.2


class Gone(Exception):
    """Another process of the run ended before its time."""


@contextmanager
def _heard() -> Iterator[None]:
    """What torch.distributed raises where nobody answers, in words."""
    try:
        yield
    except RuntimeError as error:
        said = str(error).strip().splitlines()
        raise Gone(
            f"another process of this run is gone ({said[0] if said else type(error).__name__}); what was saved is "
            "intact, and the same command goes on"
        ) from error


@dataclass(frozen=True, kw_only=True)
class Team:
    """The processes that train the same experts. rank, world: of all processes. members: ranks; stages: their experts.

    group: torch's handle; None where there is nobody to talk to. words: another one, for what the processes tell one
    another without their GPUs: an answer from a GPU comes when all that was queued is done, and it idles meanwhile.
    """

    stages: tuple[str, ...]
    rank: int = 0
    world: int = 1
    members: tuple[int, ...] = (0,)
    group: Any = None
    words: Any = None

    @property
    def place(self) -> int:
        return self.members.index(self.rank)

    @property
    def lead(self) -> bool:
        return self.place == 0

    @property
    def size(self) -> int:
        return len(self.members)

    def mine(self, count: int) -> list[bool]:
        """Which of a step's `count` batches this member computes."""
        return [number % self.size == self.place for number in range(count)]

    def sum_of(self, row: torch.Tensor) -> Any:
        """Begin to sum `row` over the team, in place. -> what to `wait` for; the row must not be touched until then."""
        from torch import distributed

        with _heard():
            return distributed.all_reduce(row, group=self.group, async_op=True)

    def wait(self, work: Any) -> None:
        """Until what `sum_of` began is done, or at least, with a GPU, in the order of what it does."""
        with _heard():
            work.wait()

    def agreed(self, wish: Callable[[], bool]) -> Callable[[], bool]:
        """`wish` of any member, asked by all of them at the same place of the loop."""
        if self.size == 1:
            return wish

        def asked() -> bool:
            import torch
            from torch import distributed

            flag = torch.tensor([float(wish())])
            with _heard():
                distributed.all_reduce(flag, group=self.words)
                return bool(flag.item())

        return asked

    def meet(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Wait until every process is here. meanwhile: called now and then."""
        if self.world > 1:
            from torch import distributed

            with _heard():
                here: Any = distributed.barrier(async_op=True)
            while not here.is_completed():
                meanwhile()
                time.sleep(LOOK_SECONDS)
            with _heard():
                here.wait()
            meanwhile()


def divide(stages: Sequence[str], schedule: str, world: int) -> list[tuple[tuple[str, ...], tuple[int, ...]]]:
    """The teams: (experts, ranks) of each. UsageError when processes cannot be shared out evenly."""
    if schedule != "parallel" or world == 1 or len(stages) == 1:
        return [(tuple(stages), tuple(range(world)))]
    if world % len(stages):
        raise UsageError(
            f'experts.schedule = "parallel" with {len(stages)} experts needs a multiple of {len(stages)} processes, '
            f"not {world}; start torchrun with another --nproc-per-node"
        )
    return [((name,), tuple(range(first, world, len(stages)))) for first, name in enumerate(stages)]


def team_of(config: TrainConfig, rank: int, world: int) -> Team:
    """This process's team; with several processes torch.distributed must be up.

    UsageError when a step has fewer batches than its team has members, or cannot be shared evenly.
    """
    teams = divide(config.stages, config.experts.schedule, world)
    group, words, own = None, None, teams[0]
    for stages, members in teams:
        made: tuple[Any, Any] = None, None
        if world > 1 and len(members) > 1:
            from torch import distributed

            # Made by all, whoever is in it.
            first, second = (distributed.new_group(members, timeout=PATIENCE, backend=kind) for kind in (None, "gloo"))
            made = first, second
        if rank in members:
            (group, words), own = made, (stages, members)
    for name in own[0]:
        batches, count = config.expert(name).accumulate, len(own[1])
        if batches % count:
            raise UsageError(
                f"{count} processes share the batches of a step, and {name}.accumulate = {batches}: set it to a "
                f"multiple of {count} (a step is the mean over all of its batches, however many processes there are)"
            )
    return Team(stages=own[0], rank=rank, world=world, members=own[1], group=group, words=words)


@contextmanager
def joined(device: str) -> Iterator[tuple[int, int, str]]:
    """(rank, world, device of this process), from torchrun's environment; alone without it."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield 0, 1, device
        return
    import torch
    from torch import distributed

    if device.startswith("cuda"):
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if local >= torch.cuda.device_count():
            raise UsageError(f"process {local} of this machine has no GPU: there are {torch.cuda.device_count()}")
        device = f"cuda:{local}"
        torch.cuda.set_device(local)
    distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo", timeout=PATIENCE)
    try:
        yield distributed.get_rank(), world, device
    finally:
        distributed.destroy_process_group()


@contextmanager
def opened(
    team: Team, folder: Path, mode: checkpoint.Mode, prepare: Callable[[checkpoint.Run], None]
) -> Iterator[checkpoint.Run]:
    """The run's folder for every process: the first one opens and prepares it, and lets go of it last."""
    if team.rank == 0:
        with checkpoint.opened(folder, mode) as run:
            prepare(run)
            team.meet()
            yield run
            team.meet()
            checkpoint.reread(run)
        return
    team.meet()
    run = checkpoint.Run(folder=folder)
    checkpoint.reread(run)
    yield run
    team.meet()
    checkpoint.reread(run)  # what the others made decides, too, whether the run is done
