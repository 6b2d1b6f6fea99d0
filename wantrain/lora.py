"""The adapters: put on a transformer, saved under the names ComfyUI and diffusers both read, and read back.

peft does the arithmetic (scale = alpha/rank, A random, B zero). The file speaks Wan's own module names behind
`diffusion_model.`, because that is the one form that ComfyUI matches in full and diffusers converts, with or without a
subset of the layers; diffusers' own names would be sent to cross-attention by some loaders. Alpha is a scalar per
layer: a loader that sees none silently assumes a scale of 1. The metadata is one JSON value under one key, since
safetensors writes several keys in a random order and the same run must give the same bytes.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wanprep.costs import TRANSFORMERS
from wanprep.families import Family
from wanprep.stage import UsageError
from wanprep.tensors import write_tensors
from wantrain.lora_file import METADATA_KEY, PREFIX, WAN_NAMES, read_lora

if TYPE_CHECKING:
    import torch

TARGETS = r"blocks\.\d+\.(" + "|".join(re.escape(name) for name in WAN_NAMES) + ")"
SUFFIXES = {"high": "_high_noise", "low": "_low_noise", "single": ""}
_PARTS = ("lora_A", "lora_B")


def file_name(name: str, expert: str, step: int | None = None) -> str:
    """`<name>_high_noise.safetensors`; with a step, `<name>_000250_high_noise.safetensors`."""
    middle = "" if step is None else f"_{step:06d}"
    return f"{name}{middle}{SUFFIXES[expert]}.safetensors"


def layer_names(family: Family) -> list[str] | None:
    """The layers of one expert that can get a LoRA, without its weights; None where the family's size is not known."""
    if family.name == "tiny":
        from wanprep.models.tiny import tiny_folder

        config = json.loads((tiny_folder() / "transformer" / "config.json").read_text(encoding="utf-8"))
        blocks = int(config["num_layers"])
    elif family.name in TRANSFORMERS:
        blocks = TRANSFORMERS[family.name].layers
    else:
        return None
    inside = [name for name in WAN_NAMES if family.clip_embeds or "add_" not in name]
    return [f"blocks.{number}.{name}" for number in range(blocks) for name in inside]


def layer_ranks(
    model: torch.nn.Module, *, rank: int, targets: str = "", ranks: Mapping[str, int] | None = None
) -> dict[str, int]:
    """module -> rank of the layers that get a LoRA. `targets` and `ranks` look at Wan's names (`blocks.0.ffn.2`).

    UsageError when an expression finds no layer.
    """
    names = [name for name, _ in model.named_modules() if re.fullmatch(TARGETS, name)]
    return chosen_ranks(names, rank=rank, targets=targets, ranks=ranks)


def chosen_ranks(
    names: Iterable[str], *, rank: int, targets: str = "", ranks: Mapping[str, int] | None = None
) -> dict[str, int]:
    """`layer_ranks` of the layers called `names`."""
    layers = {name: wan_name(name) for name in names}
    chosen = {name: own for name, own in layers.items() if re.search(targets, own)}
    if not chosen:
        kinds = dict.fromkeys(own.split(".", 2)[2] for own in layers.values())
        last = max((int(own.split(".")[1]) for own in layers.values()), default=0)
        raise UsageError(
            f"targets = {targets!r} is found in no layer; layers are called blocks.N.{{{', '.join(kinds)}}}, N from 0 "
            f"to {last}"
        )
    for expression in ranks or {}:
        if not any(re.search(expression, own) for own in chosen.values()):
            raise UsageError(f"ranks: {expression!r} is found in no layer that gets a LoRA")
    return {
        name: next((r for expression, r in (ranks or {}).items() if re.search(expression, own)), rank)
        for name, own in chosen.items()
    }


def add_lora(
    model: torch.nn.Module,
    *,
    rank: int,
    alpha: float,
    generator: torch.Generator,
    targets: str = "",
    ranks: Mapping[str, int] | None = None,
    dropout: float = 0.0,
) -> dict[str, torch.nn.Parameter]:
    """Freeze `model`, put a LoRA on every chosen layer and return its parameters (float32) by name, sorted.

    The scale is alpha/rank in all layers, those with a rank of their own (`ranks`) included. A is Kaiming-uniform with
    a = sqrt(5) as in peft, but drawn from `generator` in order of name, so that an expert's start depends on its own
    seed alone; B is zero, so that the first forward equals the base model's.
    """
    import torch
    from diffusers.training_utils import cast_training_params
    from peft import LoraConfig

    layers = layer_ranks(model, rank=rank, targets=targets, ranks=ranks)
    own = {re.escape(name): value for name, value in layers.items() if value != rank}
    model.requires_grad_(False)
    config = LoraConfig(
        r=rank, lora_alpha=alpha, target_modules=list(layers), lora_dropout=dropout,  # type: ignore[arg-type]
        init_lora_weights=True,
        rank_pattern=own, alpha_pattern={name: alpha * value / rank for name, value in own.items()},
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):  # peft draws its own start from the global generator
        model.add_adapter(config)  # type: ignore[operator]
    cast_training_params([model], dtype=torch.float32)
    for name, module in model.named_modules():
        if ".lora_dropout." in name:
            module.eval()
    params = lora_parameters(model)
    for name, parameter in params.items():
        if name.endswith("lora_A"):
            fresh = torch.empty(parameter.shape, dtype=torch.float32)
            torch.nn.init.kaiming_uniform_(fresh, a=math.sqrt(5), generator=generator)
            parameter.data.copy_(fresh)
    return params


def init_from(params: Mapping[str, torch.nn.Parameter], path: Path, *, scale: float) -> None:
    """Fill an adapter with the LoRA of a file. `scale`: the adapter's alpha/rank; the file's own goes into B.

    The file may have any names that `lora_file` reads. UsageError unless layers and ranks are the same.
    """
    content = read_lora(path)
    wanted, found = ({name: tuple(t.shape) for name, t in side.items()} for side in (params, content.tensors))
    if wanted != found:
        odd = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
        raise UsageError(
            f"init: {path} does not fit: {odd[0]} is {found.get(odd[0], 'not there')} in the file and "
            f"{wanted.get(odd[0], 'not there')} in this run ({len(odd)} differ); set rank, ranks and targets to its own"
        )
    for name, parameter in params.items():
        module, part = name.rsplit(".", 1)
        tensor = content.tensors[name].float()
        if part == "lora_B":
            tensor = tensor * (content.scales[module] / scale)
        parameter.data.copy_(tensor)


@contextmanager
def switched_off(model: Any) -> Iterator[None]:
    """The base model, for a while."""
    model.disable_adapters()
    try:
        yield
    finally:
        model.enable_adapters()


@contextmanager
def dropout_on(model: torch.nn.Module, probability: float, seed: int) -> Iterator[None]:
    """The adapter's dropout at work, its random numbers from `seed` alone; everything else stays in eval mode."""
    if not probability:
        yield
        return
    import torch

    modules = [module for name, module in model.named_modules() if ".lora_dropout." in name]
    device = next(model.parameters()).device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        for module in modules:
            module.train()
        try:
            yield
        finally:
            for module in modules:
                module.eval()


def wan_name(module: str) -> str:
    """`blocks.0.attn1.to_q` -> `blocks.0.self_attn.q`."""
    block, number, inside = module.split(".", 2)
    return f"{block}.{number}.{WAN_NAMES[inside]}"


def lora_parameters(model: torch.nn.Module, adapter: str = "default") -> dict[str, torch.nn.Parameter]:
    """A model's LoRA parameters by `<module>.lora_A` / `<module>.lora_B`, sorted by name."""
    found = {}
    for name, parameter in model.named_parameters():
        for part in _PARTS:
            if name.endswith(f".{part}.{adapter}.weight"):
                found[name.removesuffix(f".{adapter}.weight")] = parameter
    return dict(sorted(found.items()))


def to_file_key(module: str) -> str:
    """`blocks.0.attn1.to_q` -> `diffusion_model.blocks.0.self_attn.q`."""
    return PREFIX + wan_name(module)


def save_lora(
    path: Path,
    tensors: Mapping[str, torch.Tensor],
    *,
    scale: float,
    metadata: Mapping[str, Any],
    dtype: str = "bfloat16",
) -> str:
    """Write a LoRA file atomically and return its digest. `tensors` are named as `lora_parameters` names them.

    scale: alpha/rank, the same for every layer.
    """
    import torch

    named: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        module, part = name.rsplit(".", 1)
        named[f"{to_file_key(module)}.{part}.weight"] = tensor.detach().to("cpu", getattr(torch, dtype)).contiguous()
        # One tensor a layer, in float32: bfloat16 has no 33, and safetensors refuses shared memory.
        if part == "lora_A":
            named[f"{to_file_key(module)}.alpha"] = torch.tensor(scale * tensor.shape[0], dtype=torch.float32)
    text = json.dumps(dict(metadata), sort_keys=True)
    return write_tensors(path, named, {METADATA_KEY: text})
