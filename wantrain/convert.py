"""LoRA files under the names of other programs, and back: tensors keep every bit, only names move.

comfyui    diffusion_model.blocks.0.self_attn.q.lora_A.weight, .lora_B.weight, .alpha   (what we write; .lora_down,
           .lora_up and .lora_A.default are read too, as ComfyUI reads them)
musubi     lora_unet_blocks_0_self_attn_q.lora_down.weight, .lora_up.weight, .alpha     (musubi-tuner, kohya)
diffusers  transformer.blocks.0.attn1.to_q.lora_A.weight, …; alphas in its own metadata
peft       base_model.model.blocks.0.attn1.to_q.lora_A.weight, … in a folder; alphas in adapter_config.json

The names a file has are recognised, and every tensor must be understood: a name passed over in silence is a LoRA that
does less than it should. ComfyUI reads the first two; of diffusers' names some of its loaders send both kinds of
attention to the same layers, which is why we do not write them unasked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wanprep.ids import digest_file, key_of, write_atomic
from wanprep.stage import UsageError
from wantrain.lora import METADATA_KEY, PREFIX, WAN_NAMES, LoraFile

if TYPE_CHECKING:
    import torch

PEFT_WEIGHTS, PEFT_CONFIG = "adapter_model.safetensors", "adapter_config.json"
DIFFUSERS_KEY = "lora_adapter_metadata"
# Files of others may also be for Wan 2.1 image to video, whose cross-attention sees the image by two more layers.
_NAMES = WAN_NAMES | {"attn2.add_k_proj": "cross_attn.k_img", "attn2.add_v_proj": "cross_attn.v_img"}
_INSIDE = {wan: module for module, wan in _NAMES.items()}
_MUSUBI = {name.replace(".", "_"): module for name, module in _INSIDE.items()}
_MODULE = "|".join(re.escape(name) for name in _NAMES)
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


def convert_file(source: Path, out: Path, names: str) -> str:
    """Write the LoRA at `source` under other names to `out`; returns the names it had. UsageError when it cannot."""
    layers, was, notes = read_layers(source)
    WRITERS[names](out, layers, notes)
    return was


def read_layers(source: Path) -> tuple[Layers, str, dict[str, str]]:
    """(diffusers' module name -> {lora_A, lora_B, alpha}, the names found, the file's other metadata).

    alpha is a float32 tensor where the file has one, else a number (of diffusers' or peft's configuration).
    """
    from safetensors import safe_open

    path = source / PEFT_WEIGHTS if source.is_dir() else source
    try:
        with safe_open(str(path), framework="pt") as file:
            raw = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no iterator of its own)
            header = dict(file.metadata() or {})
    except Exception as error:  # safetensors raises its own type for a torn header
        raise UsageError(f"cannot read LoRA {path}: {error}") from error
    was = next((name for name, begin in _STARTS.items() if raw and all(key.startswith(begin) for key in raw)), None)
    if was is None:
        example = next(iter(raw), "nothing")
        known = ", ".join(f"{name} ({begin}…)" for name, begin in _STARTS.items())
        raise UsageError(f"{path} has names of no kind known here ({example}): {known}")
    layers: Layers = {}
    strange = []
    for key, tensor in raw.items():
        match = re.fullmatch(_PATTERNS[was], key)
        if match is None:
            strange.append(key)
            continue
        inside = {"comfyui": _INSIDE, "musubi": _MUSUBI}.get(was, {}).get(match[2], match[2])
        layer = layers.setdefault(f"{match[1].replace('_', '.')}.{inside}", {})
        part = _PARTS.get(match[3].replace(".default", ""), "alpha")
        if part in layer:
            raise UsageError(f"{path}: {key} is there twice, under two names of {part}")
        layer[part] = tensor
    if strange:
        more = (
            "; differences of norms and biases (.diff), DoRA and LyCORIS cannot be renamed" if _foreign(strange) else ""
        )
        names = ", ".join(strange[:3])
        raise UsageError(f"{path}: {len(strange)} names of no layer of a Wan transformer: {names}{more}")
    _fill_alphas(path, was, layers, header)
    notes = {name: value for name, value in header.items() if name not in (DIFFUSERS_KEY, "format")}
    return dict(sorted(layers.items())), was, notes


def _foreign(names: list[str]) -> bool:
    """Whether some are parts of other kinds of adapters."""
    return any(re.search(r"\.(diff|diff_b|dora_scale|lora_mid|hada_|lokr_|lora_magnitude)", name) for name in names)


def read_any(source: Path) -> LoraFile:
    """A LoRA under any of the names, as `lora.read_lora` gives one under ours."""
    layers, _, notes = read_layers(source)
    tensors = {f"{module}.{part}": layer[part] for module, layer in layers.items() for part in ("lora_A", "lora_B")}
    alphas = {module: float(layer["alpha"]) for module, layer in layers.items()}
    return LoraFile(tensors=tensors, alphas=alphas, metadata=json.loads(notes.get(METADATA_KEY, "{}")))


def digest_of(source: Path) -> str:
    """Identity of a LoRA's bytes: of the file, or of both files of peft's folder."""
    if source.is_file():
        return digest_file(source)
    if absent := [name for name in (PEFT_WEIGHTS, PEFT_CONFIG) if not (source / name).is_file()]:
        raise UsageError(f"{source} is no LoRA in peft's form: it has no {absent[0]}")
    return key_of(files={name: digest_file(source / name) for name in (PEFT_WEIGHTS, PEFT_CONFIG)})


def _fill_alphas(path: Path, was: str, layers: Layers, header: Mapping[str, str]) -> None:
    """Give every layer its alpha, and check that it is whole. Without one it is the rank: so all programs read it."""
    config: Mapping[str, Any] = {}
    if was == "peft":
        beside = path.with_name(PEFT_CONFIG)
        if not beside.is_file():
            raise UsageError(f"{beside} is not there; peft's scale is unknown without it")
        config = json.loads(beside.read_text(encoding="utf-8"))
    elif was == "diffusers" and DIFFUSERS_KEY in header:
        stored = json.loads(header[DIFFUSERS_KEY])
        config = {key.removeprefix("transformer."): value for key, value in stored.items()}
    for module, layer in layers.items():
        absent = {"lora_A", "lora_B"} - layer.keys()
        if absent:
            raise UsageError(f"{path}: {module} has no {absent.pop()}")
        if layer["lora_A"].shape[0] != layer["lora_B"].shape[1]:
            shapes = [list(layer[part].shape) for part in ("lora_A", "lora_B")]
            raise UsageError(f"{path}: the two halves of {module} do not fit: {shapes}")
        if "alpha" not in layer:
            own = next((v for k, v in config.get("alpha_pattern", {}).items() if _is(k, module)), None)
            layer["alpha"] = float(own or config.get("lora_alpha") or layer["lora_A"].shape[0])


def _is(pattern: str, module: str) -> bool:
    """peft's rule for which module a pattern of rank_pattern or alpha_pattern is about."""
    return re.match(rf"(.*\.)?({pattern})$", module) is not None


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
    return f"{PREFIX}{block}.{number}.{_NAMES[inside]}"


def _musubi_name(module: str) -> str:
    return "lora_unet_" + _comfyui_name(module).removeprefix(PREFIX).replace(".", "_")


def _dotted(prefix: str, layers: Layers) -> dict[str, torch.Tensor]:
    parts = ("lora_A", "lora_B")
    return {f"{prefix}{module}.{part}.weight": layer[part] for module, layer in layers.items() for part in parts}


def _adapter_config(layers: Layers) -> dict[str, Any]:
    """What peft must know to build the same adapter: the commonest rank and alpha, and the exceptions by name."""
    ranks = {module: layer["lora_A"].shape[0] for module, layer in layers.items()}
    alphas = {module: float(layer["alpha"]) for module, layer in layers.items()}
    rank = max(sorted(set(ranks.values())), key=list(ranks.values()).count)
    alpha = max(sorted(set(alphas.values())), key=list(alphas.values()).count)
    return {
        "r": rank,
        "lora_alpha": alpha,
        "target_modules": sorted(layers),
        "rank_pattern": {re.escape(m): r for m, r in ranks.items() if r != rank},
        "alpha_pattern": {re.escape(m): a for m, a in alphas.items() if a != alpha},
        "lora_dropout": 0.0,
        "bias": "none",
    }


def _write_diffusers(out: Path, layers: Layers, notes: Mapping[str, str]) -> None:
    config = {f"transformer.{key}": value for key, value in _adapter_config(layers).items()}
    # diffusers reads its scale from here; without it alpha would be taken to be the rank.
    _save(out, _dotted("transformer.", layers), {**notes, DIFFUSERS_KEY: json.dumps(config, sort_keys=True)})


def _write_peft(out: Path, layers: Layers, notes: Mapping[str, str]) -> None:
    if out.is_file():
        raise UsageError(f"{out} is a file; peft's form is a folder")
    config = {"peft_type": "LORA", "task_type": None, "inference_mode": True, **_adapter_config(layers)}
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
