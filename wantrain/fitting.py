"""Whether an expert's optimizer, layers and first LoRA can be had, and whether what was saved of it goes on with them:
told before any model is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from wanprep.stage import Missing, UsageError
from wantrain import lora
from wantrain.config import TrainConfig
from wantrain.trial import Carried, carried, first_state


def check_expert(config: TrainConfig, name: str) -> None:
    """UsageError for what cannot work, begun with the setting's whole name; Missing for an optimizer not installed."""
    own = config.expert(name)
    try:
        first_state(own)
        layers = lora.layer_names(config.model_family)
        ranks = None
        if layers is not None:
            ranks = lora.chosen_ranks(layers, rank=own.rank, targets=own.targets, ranks=own.ranks)
        if own.init is not None:
            _check_init(Path(own.init).expanduser(), ranks)
    except UsageError as error:
        raise UsageError(f"{name}.{error}") from error
    except Missing as error:
        raise Missing(f"{name}.{error.what}", error.remedy) from error


def other_shape(config: TrainConfig, name: str, saved: Mapping[str, Any]) -> list[str]:
    """Settings, by their whole names, that would give the adapter another shape than it was saved with. saved: what the
    expert's state depended on (`config.what_matters`)."""
    if saved.get("family", config.family) != config.family:
        return ["family"]
    own = config.expert(name)
    now: dict[str, Any] = {"rank": own.rank, "targets": own.targets, "ranks": own.ranks}
    before = {key: saved.get(f"{name}.{key}", value) for key, value in now.items()}
    layers = lora.layer_names(config.model_family)
    if before == now or (layers and lora.chosen_ranks(layers, **before) == lora.chosen_ranks(layers, **now)):
        return []
    return [f"{name}.{key}" for key in now if before[key] != now[key]]


def other_optimizer(config: TrainConfig, name: str, saved: Mapping[str, Any]) -> tuple[list[str], Carried | None]:
    """Settings by which the expert's optimizer is not the saved one, and what it goes on with; None: it cannot."""
    own = config.expert(name)
    before = replace(
        own, optimizer=saved.get(f"{name}.optimizer", own.optimizer),
        optimizer_args=saved.get(f"{name}.optimizer_args", own.optimizer_args),
    )  # fmt: skip
    changed = [key for key in ("optimizer", "optimizer_args") if getattr(before, key) != getattr(own, key)]
    return [f"{name}.{key}" for key in changed], carried(before, own) if changed else Carried(same=True)


def _check_init(path: Path, ranks: dict[str, int] | None) -> None:
    if not path.exists():
        raise UsageError(f"init: {path} is not there")
    found = lora.read_lora(path).ranks
    wanted = found if ranks is None else ranks
    odd = sorted(layer for layer in found.keys() | wanted.keys() if found.get(layer) != wanted.get(layer))
    if odd:
        layer = odd[0]
        raise UsageError(
            f"init: {path} does not fit: {lora.wan_name(layer)} has rank {found.get(layer, 0)} there and "
            f"{wanted.get(layer, 0)} in this run ({len(odd)} layers differ); set rank, ranks and targets to its own"
        )
