"""Optimizers by name, their learning rate, and their whole state as tensors and plain numbers.

Any class that takes parameters and `lr` works: torch's, bitsandbytes', Prodigy, schedule-free ones. What an optimizer
remembers (tensors of any type, counters, values it changes in its groups) is stored without pickle and put back
directly, since `load_state_dict` would turn 8-bit state into floats.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import math
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from wanprep.stage import Missing, UsageError
from wantrain.sections import ExpertConfig

if TYPE_CHECKING:
    import torch

SHORT = {"AdamW": "torch.optim.AdamW", "AdamW8bit": "bitsandbytes.optim.AdamW8bit"}
HOW = ("fused", "foreach")  # how torch computes a step: this machine's affair, not the state's
PACKAGES = {"prodigyopt": "prodigyopt", "schedulefree": "schedulefree", "lion_pytorch": "lion-pytorch"}


def optimizer_class(name: str) -> type:
    """The class behind "AdamW", "AdamW8bit" or "module.Class".

    Missing when its package is not installed, UsageError when the package has no such class.
    """
    module, _, wanted = SHORT.get(name, name).rpartition(".")
    if not module:
        near = difflib.get_close_matches(name, SHORT, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else 'as "torch.optim.Adafactor"'
        raise UsageError(f"optimizer = {name!r} is neither {' nor '.join(SHORT)} nor module.Class ({hint})")
    package = module.partition(".")[0]
    try:
        found = importlib.import_module(module)
    except ImportError as error:
        raise Missing(
            f"optimizer = {name!r} needs the module {module}, which cannot be imported here ({error})",
            f'Install it (pip install {PACKAGES.get(package, package)}), or set optimizer = "AdamW"',
        ) from error
    cls = getattr(found, wanted, None)
    if not isinstance(cls, type):
        near = difflib.get_close_matches(wanted, dir(found), n=1, cutoff=0.6)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise UsageError(f"optimizer = {name!r}: {module} has no class {wanted!r}{hint}")
    return cls


def make_optimizer(config: ExpertConfig, parameters: Iterable[torch.nn.Parameter]) -> Any:
    """The configured optimizer. `weight_decay` is passed where the class knows it, unless optimizer_args has it."""
    cls = optimizer_class(config.optimizer)
    known = inspect.signature(cls).parameters
    open_ended = any(p.kind is p.VAR_KEYWORD for p in known.values())
    arguments = {"lr": config.lr, **config.optimizer_args}
    parameters = list(parameters)
    # One kernel for all parameters, and no temporary copies of them; torch's own choice takes both.
    ours = cls.__module__.startswith("torch.optim") and cls.__name__ in ("Adam", "AdamW")
    if ours and not set(HOW) & arguments.keys() and all(p.is_cuda for p in parameters):
        arguments["fused"] = True
    if "weight_decay" in known:
        arguments.setdefault("weight_decay", config.weight_decay)
    strange = [name for name in arguments if name not in known and not open_ended]
    if strange:
        raise UsageError(
            f"optimizer_args: {config.optimizer} has no argument {strange[0]!r}; it has {', '.join(known)}"
        )
    try:
        return cls(parameters, **{k: tuple(v) if isinstance(v, list) else v for k, v in arguments.items()})
    except (TypeError, ValueError) as error:
        raise UsageError(f"optimizer_args: {config.optimizer} refuses its arguments {arguments}: {error}") from error


def lr_at(step: int, config: ExpertConfig) -> float:
    """Learning rate of the 0-based `step`: a linear rise during warm-up, then what `schedule` says, towards 0."""
    rise = config.warmup_steps(config.steps)
    if step < rise:
        return config.lr * (step + 1) / rise
    done = (step - rise) / max(1, config.steps - rise)
    if config.schedule == "constant":
        return config.lr
    if config.schedule == "polynomial":
        return config.lr * (1 - done) ** config.power
    turns = done * config.cycles if config.schedule == "cosine_with_restarts" else done
    return config.lr * 0.5 * (1 + math.cos(math.pi * (turns % 1)))


def set_lr(optimizer: Any, lr: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = lr


def set_mode(optimizer: Any, *, training: bool) -> None:
    """Schedule-free optimizers keep two sets of weights: one to train on, one to measure and save."""
    switch = getattr(optimizer, "train" if training else "eval", None)
    if switch is not None:
        switch()


def skips(optimizer: Any, spoiled: torch.Tensor) -> bool:
    """Make the next step change nothing where `spoiled` (a truth value on the device); False when it cannot do that.

    torch's fused optimizers can: it is how gradient scalers use them.
    """
    if not spoiled.is_cuda or not all(group.get("fused") for group in optimizer.param_groups):
        return False
    optimizer.found_inf = spoiled.float()
    optimizer.grad_scale = None
    return True


def move_state(optimizer: Any) -> None:
    """What the optimizer keeps about each parameter, onto that parameter's device.

    Step counters stay on the CPU, but for optimizers that work in one kernel and want them beside it.
    """
    fused = {id(p) for group in optimizer.param_groups if group.get("fused") for p in group["params"]}
    for parameter, kept in optimizer.state.items():
        for key, value in kept.items():
            if hasattr(value, "to") and (key != "step" or id(parameter) in fused):
                kept[key] = value.to(parameter.device)


def pack(optimizer: Any, names: Mapping[int, str]) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """An optimizer's state as (tensors by name, JSON tree). names: id of a parameter -> its name.

    TypeError when it keeps something that is neither tensor nor plain value.
    """
    tensors: dict[str, torch.Tensor] = {}
    state = {
        names[id(parameter)]: {
            key: _pack(value, f"{key}/{names[id(parameter)]}", tensors) for key, value in kept.items()
        }
        for parameter, kept in optimizer.state.items()
    }
    groups = [
        {
            key: _pack(value, f"group.{number}.{key}", tensors)
            for key, value in group.items()
            if key not in ("params", *HOW)
        }
        for number, group in enumerate(optimizer.param_groups)
    ]
    return tensors, {"state": state, "groups": groups}


def unpack(
    optimizer: Any, parameters: Mapping[str, torch.nn.Parameter], tensors: Mapping[str, torch.Tensor], tree: Any,
    *, only: Collection[str] | None = None,
) -> None:  # fmt: skip
    """Put a packed state into a fresh optimizer over the same parameters. What its class is called with stays as it was
    made: those are settings, which may be others now, and not what it has come to.

    only: for an optimizer of another class, what it takes over for each parameter; nothing of the groups then.
    """
    optimizer.state.clear()
    for name, kept in tree["state"].items():
        taken = {key: _unpack(value, tensors) for key, value in kept.items() if only is None or key in only}
        if taken or only is None:  # some classes begin where there is no entry
            optimizer.state[parameters[name]] = taken
    if only is None:
        own = inspect.signature(type(optimizer)).parameters
        for group, saved in zip(optimizer.param_groups, tree["groups"], strict=True):
            group.update({key: _unpack(value, tensors) for key, value in saved.items() if key not in own})
    move_state(optimizer)


def _pack(value: Any, name: str, tensors: dict[str, torch.Tensor]) -> Any:
    import torch

    if isinstance(value, torch.Tensor):
        tensors[name] = value
        return {"tensor": name}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple | list):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [_pack(part, f"{name}.{i}", tensors) for i, part in enumerate(value)]}
    if isinstance(value, Mapping):
        return {"table": {str(key): _pack(part, f"{name}.{key}", tensors) for key, part in value.items()}}
    raise TypeError(f"the optimizer keeps {type(value).__name__} under {name!r}, which cannot be saved as plain data")


def _unpack(value: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    (kind, content), *_ = value.items()
    if kind == "tensor":
        return tensors[content].clone()
    if kind == "table":
        return {key: _unpack(part, tensors) for key, part in content.items()}
    parts = [_unpack(part, tensors) for part in content]
    return tuple(parts) if kind == "tuple" else parts
