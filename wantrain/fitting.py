"""Whether an expert's optimizer, layers and first LoRA can be had, told before any model is loaded."""

from __future__ import annotations

from pathlib import Path

from wanprep.stage import Missing, UsageError
from wantrain import lora
from wantrain.config import TrainConfig
from wantrain.optim import make_optimizer


def check_expert(config: TrainConfig, name: str) -> None:
    """UsageError for what cannot work, begun with the setting's whole name; Missing for an optimizer not installed."""
    import torch

    own = config.expert(name)
    try:
        make_optimizer(own, [torch.nn.Parameter(torch.zeros(2, 2))])  # a matrix, which all of them take
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
