"""Optimizers tried on a parameter of 2x2: whether one can train here at all, and whether it can go on with what another
one remembers. Both are told by doing it, before any model is loaded, for a class says neither.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wanprep.stage import Missing, UsageError
from wantrain.optim import make_optimizer, optimizer_class, pack, set_mode, unpack
from wantrain.sections import ExpertConfig

if TYPE_CHECKING:
    import torch

NAME = "weight"
GPU_ONLY = re.compile(r"cuda|gpu|triton|device", re.IGNORECASE)  # of errors that tell nothing about a GPU


@dataclass(frozen=True, kw_only=True)
class Packed:
    """What an optimizer remembers after one step, as `optim.pack` gives it."""

    tensors: dict[str, torch.Tensor]
    tree: dict[str, Any]

    @property
    def keys(self) -> set[str]:
        return set(self.tree["state"].get(NAME, {}))


@dataclass(frozen=True, kw_only=True)
class Carried:
    """What of an optimizer's memory another one goes on with. same: they are of one class. anew: what begins empty."""

    same: bool
    kept: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    anew: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = (("kept", self.kept), ("dropped", self.dropped), ("begun anew", self.anew))
        said = "; ".join(f"{', '.join(names)} {word}" for word, names in parts if names)
        return f"of what the optimizer remembers: {said}" if said else "the optimizer remembers nothing"


def first_state(config: ExpertConfig) -> Packed | None:
    """What the optimizer remembers after its first step; None where it works on a GPU only and cannot be tried here.

    UsageError, begun with `optimizer`, when it cannot train: it wants a closure, other gradients, or fails.
    """
    try:
        return _stepped(config, None)
    except (UsageError, Missing):
        raise
    except Exception as error:
        if _gpu_only(config) or GPU_ONLY.search(str(error)):
            return None
        raise UsageError(
            f"optimizer = {config.optimizer!r} fails at its first step ({type(error).__name__}: {error}); correct "
            'optimizer_args, or take another, such as "AdamW"'
        ) from error


def carried(before: ExpertConfig, now: ExpertConfig) -> Carried | None:
    """What the optimizer of `now` goes on with of that of `before`; None when it cannot go on with it."""
    try:
        same = optimizer_class(before.optimizer) is optimizer_class(now.optimizer)
        old, new = first_state(before), first_state(now)
    except (UsageError, Missing):
        return None
    if old is None or new is None:
        return Carried(same=True) if same else None
    found = Carried(
        same=same, kept=tuple(sorted(old.keys & new.keys)), dropped=tuple(sorted(old.keys - new.keys)),
        anew=tuple(sorted(new.keys - old.keys)),
    )  # fmt: skip
    try:
        _stepped(now, old, found)
    except Exception:  # whatever a class does with a memory that is not its own
        return None
    return found


def _stepped(config: ExpertConfig, memory: Packed | None, how: Carried | None = None) -> Packed:
    import torch

    parameter = torch.nn.Parameter(torch.ones(2, 2))  # a matrix, which all of them take
    parameter.grad = torch.ones(2, 2)
    with torch.random.fork_rng(devices=[]):
        optimizer = make_optimizer(config, [parameter])
        if memory is not None and how is not None:
            only = None if how.same else how.kept
            unpack(optimizer, {NAME: parameter}, memory.tensors, memory.tree, only=only)
        wanted = inspect.signature(optimizer.step).parameters.values()
        if any(p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in wanted):
            raise UsageError(
                f"optimizer = {config.optimizer!r} computes the loss several times a step (it wants a closure), which "
                'is not done here; take another, such as "AdamW"'
            )
        set_mode(optimizer, training=True)
        optimizer.step()
    tensors, tree = pack(optimizer, {id(parameter): NAME})
    return Packed(tensors=tensors, tree=tree)


def _gpu_only(config: ExpertConfig) -> bool:
    return optimizer_class(config.optimizer).__module__.startswith("bitsandbytes.")
