"""Safetensors bytes that are the same each time.

The library keeps metadata in a hash map with a random seed, so equal tensors and equal metadata give different files.
Artefacts are known by their digest here; the header is therefore written anew with its names in order.
Format: https://huggingface.co/docs/safetensors#format
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from wanprep.ids import numbered_errors, write_atomic

if TYPE_CHECKING:
    import torch


def to_bytes(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> bytes:
    """A safetensors file as bytes, deterministic. Values of `metadata` must be strings (TypeError otherwise)."""
    from safetensors.torch import save

    for name, value in metadata.items():
        if not isinstance(value, str):
            raise TypeError(f"safetensors metadata {name!r} must be a string, not {type(value).__name__}")
    raw = save({name: tensor.contiguous() for name, tensor in tensors.items()})
    length = struct.unpack("<Q", raw[:8])[0]
    header = {"__metadata__": dict(sorted(metadata.items()))} | json.loads(raw[8 : 8 + length])
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the tensors start at a multiple of eight bytes
    return struct.pack("<Q", len(text)) + text + raw[8 + length :]


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> str:
    """Publish a safetensors file atomically without a copy of it in memory; returns its digest.

    Whoever may read other files of this process may read it: the library's own files are their owner's alone.
    Raises OSError when the disk is full, as other writers do; the library's own error only says so in its text.
    """
    from safetensors.torch import save_file

    def save(temporary: Path) -> None:
        temporary.touch()  # with the mode that the umask gives, which cannot be asked for without changing it
        mode = temporary.stat().st_mode
        save_file(dict(tensors), str(temporary), metadata=dict(metadata))
        temporary.chmod(mode)

    with numbered_errors(path):
        return write_atomic(path, save)


def metadata_of(data: bytes) -> dict[str, str]:
    """The metadata of a safetensors file given as bytes."""
    length = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8 : 8 + length]).get("__metadata__", {})
