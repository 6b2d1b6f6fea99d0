"""LoRA files under the names of other programs, and back: tensors keep every bit, only names move.

ComfyUI reads its own names and musubi's; of diffusers' names some of its loaders send both kinds of attention to the
same layers, which is why we do not write them unasked. What a file may be called: `lora_file`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wanprep.ids import write_atomic
from wanprep.stage import UsageError
from wantrain.lora_file import (
    DIFFUSERS_KEY,
    METADATA_KEY,
    PEFT_CONFIG,
    PEFT_WEIGHTS,
    PREFIX,
    WAN_NAMES,
    Layers,
    adapter_config,
    read_layers,
)
from wantrain.outputs import require_writable

if TYPE_CHECKING:
    import torch


def convert_file(source: Path, out: Path, names: str) -> str:
    """Write the LoRA at `source` under other names to `out`; returns the names it had. UsageError when it cannot."""
    found = read_layers(source)
    WRITERS[names](out, found.layers, found.notes)
    return found.names


def refuse_to_replace(out: Path, names: str, force: bool) -> None:
    """UsageError when something lies where `convert_file` would write, unless it may be replaced (`force`), and where
    nothing can be written."""
    files = [out / PEFT_WEIGHTS, out / PEFT_CONFIG] if names == "peft" else [out]
    for path in files:
        require_writable(path)
        if path.exists() and not force:
            raise UsageError(f"{path} is there already; name another --out, or replace it with --force")


def _write_plain(name_of: Callable[[str], str], parts: Mapping[str, str]) -> Callable[[Path, Layers, Any], None]:
    def write(out: Path, layers: Layers, notes: Mapping[str, str]) -> None:
        import torch

        tensors = {}
        for module, layer in layers.items():
            for part, suffix in parts.items():
                tensors[f"{name_of(module)}.{suffix}"] = layer[part]
            alpha = layer["alpha"]
            tensors[f"{name_of(module)}.alpha"] = alpha if hasattr(alpha, "dtype") else torch.tensor(alpha)
        _save(out, tensors, notes)

    return write


def _comfyui_name(module: str) -> str:
    block, number, inside = module.split(".", 2)
    return f"{PREFIX}{block}.{number}.{WAN_NAMES[inside]}"


def _musubi_name(module: str) -> str:
    return "lora_unet_" + _comfyui_name(module).removeprefix(PREFIX).replace(".", "_")


def _dotted(prefix: str, layers: Layers) -> dict[str, torch.Tensor]:
    parts = ("lora_A", "lora_B")
    return {f"{prefix}{module}.{part}.weight": layer[part] for module, layer in layers.items() for part in parts}


def _config(layers: Layers) -> dict[str, Any]:
    ranks = {module: layer["lora_A"].shape[0] for module, layer in layers.items()}
    return adapter_config(ranks, {module: float(layer["alpha"]) for module, layer in layers.items()})


def _write_diffusers(out: Path, layers: Layers, notes: Mapping[str, str]) -> None:
    config = {f"transformer.{key}": value for key, value in _config(layers).items()}
    # diffusers reads its scale from here; without it alpha would be taken to be the rank.
    _save(out, _dotted("transformer.", layers), {**notes, DIFFUSERS_KEY: json.dumps(config, sort_keys=True)})


def _write_peft(out: Path, layers: Layers, notes: Mapping[str, str]) -> None:
    if out.is_file():
        raise UsageError(f"{out} is a file; peft's form is a folder")
    config = {"peft_type": "LORA", "task_type": None, "inference_mode": True, **_config(layers)}
    _save(out / PEFT_WEIGHTS, _dotted("base_model.model.", layers), notes)
    write_atomic(out / PEFT_CONFIG, (json.dumps(config, indent=1, sort_keys=True) + "\n").encode())


def _save(path: Path, tensors: Mapping[str, torch.Tensor], notes: Mapping[str, str]) -> None:
    from wanprep.tensors import to_bytes

    known = {METADATA_KEY: notes[METADATA_KEY]} if METADATA_KEY in notes else {}
    write_atomic(path, to_bytes(tensors, {"format": "pt", **known, **notes}))


WRITERS: dict[str, Callable[[Path, Layers, Any], None]] = {
    "comfyui": _write_plain(_comfyui_name, {"lora_A": "lora_A.weight", "lora_B": "lora_B.weight"}),
    "musubi": _write_plain(_musubi_name, {"lora_A": "lora_down.weight", "lora_B": "lora_up.weight"}),
    "diffusers": _write_diffusers,
    "peft": _write_peft,
}
