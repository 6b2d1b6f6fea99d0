"""The gradients of a team, summed over its members while backward is still at work.

Backward reaches the last block first, so the gradients of its LoRAs are there long before those of the first block. As
soon as a share of them is, it is copied into one row and the exchange of that row begins, beside the kernels of the
blocks before it; only the last share is waited for. (PyTorch's DistributedDataParallel does the same for whole models:
Li et al. 2020, https://arxiv.org/abs/2006.15704.) Shares leave in the same order everywhere, whoever is done first.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from wantrain.parallel import Team

SHARE = 32 * 2**20  # bytes of a row: large enough for the link's full speed, small enough to leave little at the end


def shares(parameters: Sequence[torch.nn.Parameter], size: int = SHARE) -> list[list[torch.nn.Parameter]]:
    """`parameters`, last one first, in lists of at least `size` bytes; what is left over is the last list."""
    found: list[list[torch.nn.Parameter]] = []
    room = 0
    for parameter in reversed(parameters):
        if room <= 0:
            found.append([])
            room = size
        found[-1].append(parameter)
        room -= parameter.numel() * parameter.element_size()
    return found


class Sums:
    """Sums the gradients of `parameters` over `team`. A step is `begin`, its last backward, `finish`.

    Without `begin` (a step whose last backward cannot be told) everything is exchanged in `finish`.
    """

    def __init__(self, team: Team, parameters: Iterable[torch.nn.Parameter], size: int = SHARE) -> None:
        self.team = team
        self.shares = shares(list(parameters), size)
        self._share_of = {id(p): number for number, share in enumerate(self.shares) for p in share}
        self._sent: list[tuple[torch.Tensor, Any]] = []
        self._missing: list[int] | None = None  # gradients that a share waits for; None: not in the last backward
        own = weakref.ref(self)  # parameters know nobody who knows them: an expert that is let go of is gone at once
        for share in self.shares:
            for parameter in share:
                parameter.register_post_accumulate_grad_hook(functools.partial(_tell, own))

    def begin(self) -> None:
        """The backward that comes next gives every parameter the last of its gradient."""
        self._missing = [len(share) for share in self.shares]

    def finish(self, numbers: torch.Tensor) -> None:
        """Wait for the sums: every `grad` is that of the team afterwards, and so is `numbers` (float32, in place).

        Gone (parallel.py) when another member does not answer.
        """
        self._missing = None
        while len(self._sent) < len(self.shares):
            self._send()
        self._sent.append((numbers, self.team.sum_of(numbers)))
        sent, self._sent = self._sent, []
        for _, work in sent:
            self.team.wait(work)

    def _arrived(self, parameter: torch.Tensor) -> None:
        if self._missing is None:
            return
        self._missing[self._share_of[id(parameter)]] -= 1
        while (at := len(self._sent)) < len(self.shares) and not self._missing[at]:
            self._send()

    def _send(self) -> None:
        """The next share into a row of its own, which its gradients are parts of from now on."""
        import torch

        share = self.shares[len(self._sent)]
        row = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in share])
        at = 0
        for parameter in share:
            parameter.grad = row[at : at + parameter.numel()].view_as(parameter)
            at += parameter.numel()
        self._sent.append((row, self.team.sum_of(row)))


def _tell(sums: weakref.ref[Sums], parameter: torch.Tensor) -> None:
    if (found := sums()) is not None:
        found._arrived(parameter)
