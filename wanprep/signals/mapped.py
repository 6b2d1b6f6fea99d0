"""Safetensors files written piece by piece and read in place, so that neither costs memory.

The library wants all tensors as bytes before it writes, and copies them when it reads: of the signals of two hours of
film, 230 MB, there were four copies at the end of the analysis and one in each worker afterwards. Mapped pages are
read when looked at, shared between processes and given back by the system when it needs them.
Format: https://huggingface.co/docs/safetensors#format; the same bytes as the library writes.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

# In the library's order: tensors of the first kind come last in the file, so that larger elements stay aligned.
KINDS = {"U8": np.uint8, "I32": np.int32, "F32": np.float32, "I64": np.int64}


class Pieces:
    """A tensor uint8[size] given as many pieces of bytes, which are never joined, nor all in memory at once."""

    dtype = np.dtype(np.uint8)

    def __init__(self, pieces: Iterable[Any], size: int) -> None:
        self.pieces = pieces
        self.shape = (size,)


def chunks(tensors: Mapping[str, np.ndarray | Pieces], metadata: Mapping[str, str]) -> Iterator[Any]:
    """The bytes of a file, in order. ValueError for a kind of tensor that signals do not have."""
    kinds = {np.dtype(kind): name for name, kind in KINDS.items()}
    for name, tensor in tensors.items():
        if tensor.dtype not in kinds:
            raise ValueError(f"tensor {name!r} is {tensor.dtype}; signals hold {', '.join(map(str, kinds))}")
    order = list(KINDS)[::-1]
    names = sorted(tensors, key=lambda name: (order.index(kinds[tensors[name].dtype]), name))
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for name in names:
        tensor = tensors[name]
        start, end = end, end + math.prod(tensor.shape) * tensor.dtype.itemsize
        header[name] = {"dtype": kinds[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    yield struct.pack("<Q", len(text) + -len(text) % 8) + text + b" " * (-len(text) % 8)
    for name in names:
        tensor = tensors[name]
        if isinstance(tensor, Pieces):
            yield from tensor.pieces
        else:
            yield np.ascontiguousarray(tensor).reshape(-1).view(np.uint8).data


def read(path: Path) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """(metadata, tensors) of a file; the tensors are read-only views of it. ValueError when it is no such file."""
    bad = f"{path} is not a safetensors file of signals; analyse the source again"
    size = path.stat().st_size
    if size < 8:
        raise ValueError(bad)
    data = np.asarray(np.memmap(path, np.uint8, mode="r"))  # slices of a memmap are slow ones
    length = struct.unpack("<Q", data[:8].tobytes())[0]
    if length > size - 8:
        raise ValueError(bad)
    try:
        header = json.loads(data[8 : 8 + length].tobytes())
        metadata = header.pop("__metadata__", {})
        tensors = {name: _view(data[8 + length :], **facts) for name, facts in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(bad) from error
    return metadata, tensors


def _view(data: np.ndarray, dtype: str, shape: list[int], data_offsets: list[int]) -> np.ndarray:
    start, end = data_offsets
    if end > len(data):
        raise ValueError("cut short")
    return np.asarray(data[start:end]).view(KINDS[dtype]).reshape(shape)
