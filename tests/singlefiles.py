"""Single weight files as ComfyUI's users have them, made of the tiny family's folder.

The renaming uses wanprep's own tables, which tests/models/test_names.py checks against diffusers' converters and
against modules built as Wan-Video's code builds them.
"""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from wanprep.families import FAMILIES
from wanprep.models.layout import arguments, shapes
from wanprep.models.load import load_text, load_transformer, load_vae
from wanprep.models.names import STYLES

TINY = FAMILIES["tiny"]
WEIGHTS = {
    "vae": "vae/diffusion_pytorch_model.safetensors",
    "text": "text_encoder/model.safetensors",
    "transformer": "transformer/diffusion_pytorch_model.safetensors",
    "transformer_2": "transformer_2/diffusion_pytorch_model.safetensors",
}
COMFY_NAMES = {
    "vae": "vae/wan_2.1_vae.safetensors",
    "text": "text_encoders/umt5_xxl_fp16.safetensors",
    "transformer": "diffusion_models/wan_tiny_t2v_high_noise.safetensors",
    "transformer_2": "diffusion_models/wan_tiny_t2v_low_noise.safetensors",
}


def tensors_of(folder: Path, part: str) -> dict[str, torch.Tensor]:
    found = load_file(folder / WEIGHTS[part])
    return {name: tensor for name, tensor in found.items() if name != "encoder.embed_tokens.weight"}


def renamed(part: str, tensors: Mapping[str, torch.Tensor], style: str = "wan", prefix: str = "") -> dict[str, Any]:
    """The same tensors under the names of another program."""
    kind = "transformer" if part == "transformer_2" else part
    blocks = arguments(TINY, kind).get("num_res_blocks", 0)
    return {prefix + STYLES[kind][style](name, blocks).name: tensor for name, tensor in tensors.items()}


def scaled_fp8(
    tensors: Mapping[str, torch.Tensor], spelling: str = "scale_weight", rows: bool = False
) -> dict[str, Any]:
    """Weights of linear layers as ComfyUI stores them in 8 bits: largest value 448, one scale a layer (or an output
    row); everything else in fp16."""
    found: dict[str, Any] = {}
    for name, tensor in tensors.items():
        if not name.endswith(".weight") or tensor.ndim != 2 or "embed" in name or name.startswith("shared"):
            found[name] = tensor.half() if tensor.is_floating_point() else tensor
            continue
        largest = tensor.abs().amax(dim=1, keepdim=True) if rows else tensor.abs().max()
        scale = (largest.float() / 448).clamp(min=1e-12)
        found[name] = (tensor.float() / scale).to(torch.float8_e4m3fn)
        found[f"{name.removesuffix('.weight')}.{spelling}"] = scale
        if spelling == "scale_weight":
            found[f"{name.removesuffix('.weight')}.scale_input"] = torch.ones(())
    if spelling == "scale_weight":
        found["scaled_fp8"] = torch.zeros(2, dtype=torch.float8_e4m3fn)
    return found


def dequantised(tensors: Mapping[str, Any], spelling: str = "scale_weight") -> dict[str, torch.Tensor]:
    """What `scaled_fp8` stands for, worked out plainly."""
    found = {}
    for name, tensor in tensors.items():
        scale = tensors.get(f"{name.removesuffix('.weight')}.{spelling}") if name.endswith(".weight") else None
        found[name] = tensor.float() * scale if scale is not None else tensor
    return found


def comfy_quant(form: str = "float8_e4m3fn") -> torch.Tensor:
    return torch.tensor(list(json.dumps({"format": form}).encode()), dtype=torch.uint8)


def save(path: Path, tensors: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata=dict(metadata or {}))
    return path


def comfy_folder(whole: Path, root: Path) -> Path:
    """ComfyUI's models folder with all parts of the tiny family, the tokenizer inside the text encoder's file."""
    for part, name in COMFY_NAMES.items():
        style = "hf" if part == "text" else "wan"
        tensors = renamed(part, tensors_of(whole, part), style)
        if part == "text":
            tensors["spiece_model"] = spiece_tensor(whole / "tokenizer" / "tokenizer.json")
        save(root / name, tensors)
    return root


def spiece_tensor(tokenizer_json: Path) -> torch.Tensor:
    return torch.tensor(list(spiece(json.loads(tokenizer_json.read_text())["model"]["vocab"])), dtype=torch.uint8)


def spiece(vocabulary: list[Any], charsmap: bytes = b"", kind: int = 1) -> bytes:
    """A SentencePiece model, by the protocol buffer it is defined by: 1 pieces, 2 trainer_spec, 3 normalizer_spec."""
    out = b""
    for text, score in vocabulary:
        out += field(1, field(1, text.encode()) + bytes([2 << 3 | 5]) + struct.pack("<f", score))
    return out + field(2, bytes([3 << 3]) + varint(kind)) + field(3, field(1, b"nmt_nfkc") + field(2, charsmap))


def field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + varint(len(content)) + content


def varint(value: int) -> bytes:
    out = b""
    while True:
        value, low = value >> 7, value & 127
        out += bytes([low | (128 if value else 0)])
        if not value:
            return out


def empty(path: Path, tensors: dict[str, tuple[int, ...]]) -> Path:
    """A file with these shapes and no disk space: bytes that were never written are zero."""
    header, at = {}, 0
    for name, shape in tensors.items():
        size = 2 * int(torch.tensor(shape).prod())
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + at)
    return path


def full_size(family: str, part: str, path: Path, style: str = "wan", blocks: int = 2) -> Path:
    own = shapes(FAMILIES[family], part)
    return empty(path, {STYLES[part][style](name, blocks).name: shape for name, shape in own.items()})


def load(part: str, path: Path, dtype: str) -> Any:
    if part == "text":
        return load_text(TINY, path, dtype).model
    if part == "vae":
        return load_vae(TINY, path, dtype)
    return load_transformer(TINY, "low" if part == "transformer_2" else "high", path, dtype)


def high(whole: Path, path: Path, tensors: dict[str, Any] | None = None, **more: Any) -> Path:
    """The high expert under Wan's names, or what was made of it."""
    return save(path, tensors or renamed("transformer", tensors_of(whole, "transformer")), **more)
