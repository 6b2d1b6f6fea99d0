"""Scaled 8-bit weights, turned back into what they stand for: weight = stored · scale.

Four spellings are in use, all with one scale a layer (or one an output row):

    X.scale_weight, with the marker `scaled_fp8`      ComfyUI's fp8_scaled files until 2025, and Kijai's
    X.weight_scale, with X.comfy_quant (JSON)         ComfyUI's newer files
    X.weight_scale, with `_quantization_metadata`     the same, its JSON in the file's metadata
    no scale and no marker                            musubi-tuner's and Kijai's plain fp8_e4m3fn: a cast, nothing more

A loader that does not know them drops the scales as unknown names and uses weights hundreds of times too large. Input
scales (X.scale_input, X.input_scale) belong to 8-bit arithmetic, which is not done here. Other quantisations (nvfp4,
mxfp8, int8, GGUF) are refused by name.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from wanprep.models.tensorfile import TYPES, Reader, TensorFile

if TYPE_CHECKING:
    import torch

MARKER = "scaled_fp8"
SCALES = (".scale_weight", ".weight_scale")
IGNORED = (".scale_input", ".input_scale")
DESCRIPTION = ".comfy_quant"
METADATA = "_quantization_metadata"
FORMATS = ("float8_e4m3fn", "float8_e5m2")
STRETCH = 1 << 20  # numbers converted at once
_FLOATS = ("F64", "F32", "F16", "BF16")
_EIGHT = ("F8_E4M3", "F8_E5M2")


def is_note(name: str) -> bool:
    """Whether a tensor is about others and no weight itself."""
    return name.endswith((*SCALES, *IGNORED, DESCRIPTION)) or name.rpartition(".")[2] == MARKER


def scale_name(file: TensorFile, weight: str) -> str | None:
    """The name of the scale that belongs to `X.weight`, or None."""
    layer = weight.removesuffix(".weight")
    return next((layer + ending for ending in SCALES if layer + ending in file.entries), None)


def is_scaled(file: TensorFile) -> bool:
    """Whether the file says of itself that its 8-bit weights have scales."""
    marked = any(name.rpartition(".")[2] == MARKER for name in file.entries)
    return marked or METADATA in file.metadata or any(name.endswith((*SCALES, DESCRIPTION)) for name in file.entries)


def word(file: TensorFile) -> str:
    """The type most of the file's bytes are in, for people: "bf16", "fp8_e4m3fn scaled"."""
    totals: dict[str, int] = {}
    for name, entry in file.entries.items():
        if not is_note(name):
            totals[entry.dtype] = totals.get(entry.dtype, 0) + entry.bytes
    if not totals:
        return "empty"
    most = max(totals, key=lambda dtype: totals[dtype])
    words = {"F8_E4M3": "fp8_e4m3fn", "F8_E5M2": "fp8_e5m2", "F32": "fp32", "F16": "fp16", "BF16": "bf16"}
    return words.get(most, most.lower()) + (" scaled" if most in _EIGHT and is_scaled(file) else "")


def problems(file: TensorFile, weights: Iterable[str]) -> list[str]:
    """Why the tensors called `weights` cannot be turned back into numbers, in sentences; empty when they can."""
    strange = sorted(_formats(file) - set(FORMATS))
    if strange:
        return [f"it is quantised as {', '.join(strange)}; of 8-bit files {' and '.join(FORMATS)} are read"]
    wrong, scaled = [], is_scaled(file)
    bare = [name for name in weights if scaled and file.entries[name].dtype in _EIGHT and not scale_name(file, name)]
    if bare:
        wrong.append(f"it says that its 8-bit weights are scaled, and {len(bare)} have no scale ({bare[0]})")
    for name in weights:
        entry, scale = file.entries[name], scale_name(file, name)
        if entry.dtype not in (*_FLOATS, *_EIGHT):
            wrong.append(f"{name} is stored as {entry.dtype}, in a quantisation that is not read here")
            break
        if scale is not None and math.prod(file.entries[scale].shape) not in (1, entry.shape[0] if entry.shape else 1):
            wrong.append(
                f"{scale} has shape {list(file.entries[scale].shape)}: one scale a layer or an output row is read"
            )
            break
    return wrong


def read(reader: Reader, name: str, dtype: torch.dtype, device: str = "cpu") -> torch.Tensor:
    """A weight in `dtype` on `device`, multiplied with its scale where it has one. The product is rounded once.

    ValueError when the scale is not a positive number.
    """
    import torch

    scale = scale_name(reader.of, name)
    as_stored = scale is None and TYPES.get(reader.of.entries[name].dtype) == str(dtype).removeprefix("torch.")
    if scale is None:
        # Moved as it is and converted there: less to move, and a GPU converts faster.
        return reader.tensor(name, keep=as_stored and device == "cpu").to(device).to(dtype)
    factor = reader.tensor(scale).to(device, torch.float32)
    if not bool((torch.isfinite(factor) & (factor > 0)).all()):
        raise ValueError(f"{scale} is not a positive number")
    stored = reader.tensor(name, keep=False).to(device)
    factor = factor.reshape(-1, *(1 for _ in stored.shape[1:])) if factor.numel() > 1 else factor.reshape(())
    if device != "cpu":
        return (stored.to(torch.float32) * factor).to(dtype)
    return _multiplied(stored, factor, dtype)


def _multiplied(stored: torch.Tensor, factor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """On the CPU: a stretch at a time, so that no float32 copy of a layer lies about (a third of the model in holes of
    the heap, measured). Where a layer has one scale, a byte can mean 256 things: those are worked out, then looked up,
    which is five times quicker than converting and the same to the last bit."""
    import torch

    result = torch.empty(stored.shape, dtype=dtype)
    flat = result.view(-1)
    if factor.ndim == 0 and stored.element_size() == 1:
        codes = torch.arange(256, dtype=torch.uint8).view(stored.dtype)
        table, bytes_ = (codes.to(torch.float32) * factor).to(dtype), stored.reshape(-1).view(torch.uint8)
        places = torch.empty(STRETCH, dtype=torch.int32)
        for at in range(0, flat.numel(), STRETCH):
            piece = bytes_[at : at + STRETCH]
            found = places[: len(piece)].copy_(piece)
            torch.index_select(table, 0, found, out=flat[at : at + STRETCH])
        return result
    rows = max(1, STRETCH // max(1, stored[0].numel())) if stored.ndim else 1
    for at in range(0, len(stored) if stored.ndim else 0, rows):
        part = factor[at : at + rows] if factor.ndim else factor
        result[at : at + rows] = stored[at : at + rows].to(torch.float32) * part
    return result


def _formats(file: TensorFile) -> set[str]:
    """Every quantisation that the file names, layer by layer."""
    named: list[dict[str, object]] = []
    try:
        named += json.loads(file.metadata.get(METADATA, "{}")).get("layers", {}).values()
        notes = [name for name in file.entries if name.endswith(DESCRIPTION)]
        if notes:
            with file.reader() as reader:
                named += [json.loads(bytes(reader.tensor(name).tolist())) for name in notes]
        return {str(layer.get("format")) for layer in named}
    except (ValueError, AttributeError, TypeError):
        return {"something unreadable"}
