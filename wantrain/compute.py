"""Which path an expert computes on, and where its tensors lie: what `[compute]` of a run means for a loaded model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wanprep.stage import UsageError
from wantrain.config import TrainConfig

if TYPE_CHECKING:
    import torch

    from wantrain.experts import Expert


def obstacles(config: TrainConfig, model: torch.nn.Module, device: str) -> list[str]:
    """Why the fast path cannot serve this run; empty when it can. model: with the adapter on it."""
    import torch

    from wantrain.fast import problems

    why = problems(model)
    if device.startswith("cuda"):
        if config.run.deterministic:
            why.append("run.deterministic asks for kernels that repeat themselves, and attention's backward does not")
        if next(model.parameters()).dtype == torch.float32:
            why.append("the base is in fp32, and attention's kernels take 16 bits")
    return why


def choose_path(config: TrainConfig, model: torch.nn.Module, device: str) -> tuple[bool, str]:
    """(whether the fast path is taken, why). UsageError when it was asked for by name and cannot be."""
    asked = config.compute.path
    if asked == "reference":
        return False, "as set"
    if asked == "auto" and not device.startswith("cuda"):
        return False, "it pays on a GPU only"
    why = obstacles(config, model, device)
    if not why:
        return True, "as set" if asked == "fast" else "nothing stands against it"
    told = "; ".join(why[:3]) + (f" and {len(why) - 3} more" if len(why) > 3 else "")
    if asked == "fast":
        raise UsageError(f'compute.path = "fast" cannot be had: {told}. Use "auto" or "reference"')
    return False, told


def set_up(expert: Expert, device: str) -> str:
    """Put the chosen path on a freshly started expert; returns what to tell people about it."""
    config, model = expert.settings, expert.model
    chosen, why = choose_path(config, model, device)
    if not chosen:
        if config.run.checkpointing:
            reference: Any = model
            reference.enable_gradient_checkpointing()
        return f"{expert.name}: reference path ({why})"
    from wantrain import fast

    fast.install(model, fast.Plan())
    return f"{expert.name}: fast path ({why})"


def replan(experts: list[Expert]) -> None:
    """Another model has come or gone: what blocks keep is planned anew from the memory that is free then."""
    from wantrain.fast import fast_of

    for expert in experts:
        if (installed := fast_of(expert.model)) is not None:
            installed.replan(pending=not expert.optimizer.state)
