"""LoRA files, read: under the names of every program that makes them, in one place.

comfyui    diffusion_model.blocks.0.self_attn.q.lora_A.weight, .lora_B.weight, .alpha   (what we write; .lora_down,
           .lora_up and .lora_A.default are read too, as ComfyUI reads them)
musubi     lora_unet_blocks_0_self_attn_q.lora_down.weight, .lora_up.weight, .alpha     (musubi-tuner, kohya)
diffusers  transformer.blocks.0.attn1.to_q.lora_A.weight, …; alphas in its own metadata
peft       base_model.model.blocks.0.attn1.to_q.lora_A.weight, … in a folder; alphas in adapter_config.json

The names a file has are recognised, and every tensor must be understood: a name passed over in silence is a LoRA that
does less than it should.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wanprep.ids import digest_file, key_of
from wanprep.stage import UsageError

if TYPE_CHECKING:
    import torch

# diffusers' module inside a block -> Wan's own: every linear layer of a block. The image's keys and values are Wan 2.1
# image-to-video's alone.
WAN_NAMES = {
    **{f"attn1.{d}": f"self_attn.{w}" for d, w in (("to_q", "q"), ("to_k", "k"), ("to_v", "v"), ("to_out.0", "o"))},
    **{f"attn2.{d}": f"cross_attn.{w}" for d, w in (("to_q", "q"), ("to_k", "k"), ("to_v", "v"), ("to_out.0", "o"))},
    "attn2.add_k_proj": "cross_attn.k_img",
    "attn2.add_v_proj": "cross_attn.v_img",
    "ffn.net.0.proj": "ffn.0",
    "ffn.net.2": "ffn.2",
}
PREFIX = "diffusion_model."
METADATA_KEY = "wantrain"
PEFT_WEIGHTS, PEFT_CONFIG = "adapter_model.safetensors", "adapter_config.json"
DIFFUSERS_KEY = "lora_adapter_metadata"
_INSIDE = {wan: module for module, wan in WAN_NAMES.items()}
_MUSUBI = {name.replace(".", "_"): module for name, module in _INSIDE.items()}
_MODULE = "|".join(re.escape(name) for name in WAN_NAMES)
_WAN = "|".join(re.escape(name) for name in _INSIDE)
_BOTH = r"(?:lora_A|lora_B|lora_down|lora_up)(?:\.default)?\.weight|alpha"
_PATTERNS = {
    "comfyui": rf"{re.escape(PREFIX)}(blocks\.\d+)\.({_WAN})\.({_BOTH})",
    "musubi": rf"lora_unet_(blocks_\d+)_({'|'.join(_MUSUBI)})\.({_BOTH})",
    "diffusers": rf"transformer\.(blocks\.\d+)\.({_MODULE})\.(lora_[AB](?:\.default)?\.weight)",
    "peft": rf"base_model\.model\.(blocks\.\d+)\.({_MODULE})\.(lora_[AB](?:\.default)?\.weight)",
}
_STARTS = {"comfyui": PREFIX, "musubi": "lora_unet_", "diffusers": "transformer.", "peft": "base_model.model."}
_PARTS = {
    "lora_down.weight": "lora_A",
    "lora_up.weight": "lora_B",
    "lora_A.weight": "lora_A",
    "lora_B.weight": "lora_B",
}
# (tensors by module and part, alpha by module)
Layers = dict[str, dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class LoraFile:
    """A LoRA file's content. tensors: `blocks.0.attn1.to_q.lora_A` -> [rank, in] or `.lora_B` -> [out, rank].

    alphas: module -> alpha. keys: a tensor's name -> what the file calls it.
    """

    tensors: Mapping[str, torch.Tensor]
    alphas: Mapping[str, float]
    metadata: Mapping[str, Any]
    keys: Mapping[str, str]

    @property
    def ranks(self) -> dict[str, int]:
        """module -> rank."""
        return {module: self.tensors[f"{module}.lora_A"].shape[0] for module in self.alphas}

    @property
    def scales(self) -> dict[str, float]:
        """module -> alpha/rank."""
        ranks = self.ranks
        return {module: alpha / ranks[module] for module, alpha in self.alphas.items()}


@dataclass(frozen=True, kw_only=True)
class Found:
    """A file as it is. layers: diffusers' module name -> {lora_A, lora_B, alpha}; alpha is a tensor where the file has
    one, else a number (of diffusers' or peft's configuration). names: the kind it has. notes: its other metadata."""

    layers: Layers
    names: str
    notes: dict[str, str]
    keys: dict[str, str]


def read_lora(source: Path) -> LoraFile:
    """A LoRA under any of the names: a file, or peft's folder. UsageError, with what is wrong, when it is none."""
    found = read_layers(source)
    tensors = {f"{m}.{part}": layer[part] for m, layer in found.layers.items() for part in ("lora_A", "lora_B")}
    return LoraFile(
        tensors=dict(sorted(tensors.items())),
        alphas={module: float(layer["alpha"]) for module, layer in found.layers.items()},
        metadata=json.loads(found.notes.get(METADATA_KEY, "{}")),
        keys=found.keys,
    )


def mixed_up(source: Path, expert: str) -> str | None:
    """A sentence where a LoRA's metadata says that it was made for the other of two experts. UsageError as `read_lora`.

    Not an error: which expert a file serves is the user's to say.
    """
    from safetensors import safe_open

    path = _file_of(source)
    try:
        with safe_open(str(path), framework="pt") as file:
            made_for = json.loads((file.metadata() or {}).get(METADATA_KEY, "{}")).get("expert")
    except Exception as error:
        raise UsageError(_unreadable(path, error)) from error
    if made_for == expert or not {made_for, expert} <= {"high", "low"}:
        return None
    return f"{source} was made for the expert {made_for!r}, its metadata says, and is used for {expert!r} here"


def _file_of(source: Path) -> Path:
    return source / PEFT_WEIGHTS if source.is_dir() else source


def _unreadable(path: Path, error: Exception) -> str:
    if not path.exists():
        return f"LoRA {path} is not there"
    return f"{path} cannot be read as a LoRA: it is no safetensors file, or a damaged one ({error})"


def read_layers(source: Path) -> Found:
    """As `read_lora`, every tensor as it is stored."""
    from safetensors import safe_open

    path = _file_of(source)
    try:
        with safe_open(str(path), framework="pt") as file:
            raw = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no iterator of its own)
            header = dict(file.metadata() or {})
    except Exception as error:  # safetensors raises its own type for a torn header
        raise UsageError(_unreadable(path, error)) from error
    names = next((name for name, begin in _STARTS.items() if raw and all(key.startswith(begin) for key in raw)), None)
    if names is None:
        example = next(iter(raw), "nothing")
        known = ", ".join(f"{name} ({begin}…)" for name, begin in _STARTS.items())
        raise UsageError(f"{path} has names of no kind known here ({example}): {known}")
    layers, keys = _sorted_out(path, names, raw)
    _fill_alphas(path, names, layers, header)
    notes = {name: value for name, value in header.items() if name not in (DIFFUSERS_KEY, "format")}
    return Found(layers=dict(sorted(layers.items())), names=names, notes=notes, keys=keys)


def _sorted_out(path: Path, names: str, raw: Mapping[str, torch.Tensor]) -> tuple[Layers, dict[str, str]]:
    """The tensors by module and part, and what the file calls each. UsageError for a name of no layer."""
    layers: Layers = {}
    keys: dict[str, str] = {}
    strange = []
    for key, tensor in raw.items():
        match = re.fullmatch(_PATTERNS[names], key)
        if match is None:
            strange.append(key)
            continue
        inside = {"comfyui": _INSIDE, "musubi": _MUSUBI}.get(names, {}).get(match[2], match[2])
        module = f"{match[1].replace('_', '.')}.{inside}"
        part = _PARTS.get(match[3].replace(".default", ""), "alpha")
        if part in layers.setdefault(module, {}):
            raise UsageError(f"{path}: {key} is there twice, under two names of {part}")
        layers[module][part], keys[f"{module}.{part}"] = tensor, key
    if strange:
        more = "; differences of norms and biases (.diff), DoRA and LyCORIS are not read" if _foreign(strange) else ""
        listed = ", ".join(strange[:3])
        raise UsageError(f"{path}: {len(strange)} names of no layer of a Wan transformer: {listed}{more}")
    return layers, keys


def _foreign(names: list[str]) -> bool:
    """Whether some are parts of other kinds of adapters."""
    return any(re.search(r"\.(diff|diff_b|dora_scale|lora_mid|hada_|lokr_|lora_magnitude)", name) for name in names)


def digest_of(source: Path) -> str:
    """Identity of a LoRA's bytes: of the file, or of both files of peft's folder."""
    if source.is_file():
        return digest_file(source)
    if absent := [name for name in (PEFT_WEIGHTS, PEFT_CONFIG) if not (source / name).is_file()]:
        raise UsageError(f"{source} is no LoRA in peft's form: it has no {absent[0]}")
    return key_of(files={name: digest_file(source / name) for name in (PEFT_WEIGHTS, PEFT_CONFIG)})


def _fill_alphas(path: Path, names: str, layers: Layers, header: Mapping[str, str]) -> None:
    """Give every layer its alpha, and check that it is whole. Without one it is the rank: so all programs read it."""
    config: Mapping[str, Any] = {}
    if names == "peft":
        beside = path.with_name(PEFT_CONFIG)
        if not beside.is_file():
            raise UsageError(f"{beside} is not there; peft's scale is unknown without it")
        config = json.loads(beside.read_text(encoding="utf-8"))
    elif names == "diffusers" and DIFFUSERS_KEY in header:
        stored = json.loads(header[DIFFUSERS_KEY])
        config = {key.removeprefix("transformer."): value for key, value in stored.items()}
    for module, layer in layers.items():
        absent = {"lora_A", "lora_B"} - layer.keys()
        if absent:
            raise UsageError(f"{path}: {module} has no {min(absent)}")
        shapes = [list(layer[part].shape) for part in ("lora_A", "lora_B")]
        if [len(shape) for shape in shapes] != [2, 2] or shapes[0][0] != shapes[1][1]:
            raise UsageError(f"{path}: the two halves of {module} do not fit: {shapes}")
        if "alpha" not in layer:
            rank = shapes[0][0]
            own = next((v for k, v in config.get("alpha_pattern", {}).items() if _is(k, module)), None)
            alpha = float(own or config.get("lora_alpha") or rank)
            layer["alpha"] = alpha * math.sqrt(rank) if config.get("use_rslora") else alpha  # scale alpha/sqrt(rank)


def _is(pattern: str, module: str) -> bool:
    """peft's rule for which module a pattern of rank_pattern or alpha_pattern is about."""
    return re.match(rf"(.*\.)?({pattern})$", module) is not None


def adapter_config(ranks: Mapping[str, int], alphas: Mapping[str, float]) -> dict[str, Any]:
    """What peft must know to build the same adapter: the commonest rank and alpha, and the exceptions by name."""
    rank = max(sorted(set(ranks.values())), key=list(ranks.values()).count)
    alpha = max(sorted(set(alphas.values())), key=list(alphas.values()).count)
    return {
        "r": rank,
        "lora_alpha": alpha,
        "target_modules": sorted(ranks),
        "rank_pattern": {re.escape(m): r for m, r in ranks.items() if r != rank},
        "alpha_pattern": {re.escape(m): a for m, a in alphas.items() if a != alpha},
        "lora_dropout": 0.0,
        "bias": "none",
    }
