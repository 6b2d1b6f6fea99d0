"""Weight files as what they hold: names, shapes and types from the header, then one tensor at a time.

A file is read with plain reads, never mapped into memory: a mapped file that gets shorter under us kills the process,
and its pages count as ours beside the model that is filled from them. So a model of n bytes is loaded with n bytes and
its largest tensor, whatever the size of the file.

Safetensors: https://huggingface.co/docs/safetensors#format. A .pth is opened by torch.load(weights_only=True), which
builds tensors and plain containers and runs no code of the file.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

SAFE = (".safetensors", ".sft")
PICKLED = (".pth", ".pt")

# safetensors' word -> torch's
TYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2", "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8", "U8": "uint8",
    "BOOL": "bool",
}  # fmt: skip
BYTES = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2, "I16": 2}  # all others: 1


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One tensor of a file. dtype: safetensors' word. start, end: bytes in the file; 0 for a .pth."""

    dtype: str
    shape: tuple[int, ...]
    start: int = 0
    end: int = 0

    @property
    def bytes(self) -> int:
        return self.end - self.start if self.end else math.prod(self.shape) * BYTES.get(self.dtype, 1)


@dataclass(frozen=True, kw_only=True)
class TensorFile:
    """What a weight file says of itself. metadata: safetensors' own strings."""

    path: Path
    entries: Mapping[str, Entry]
    metadata: Mapping[str, str] = field(default_factory=dict)

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """Reads tensors of the file while it is open."""
        if self.path.suffix.lower() in PICKLED:
            yield Reader(self, None, _unpickle(self.path))
            return
        with self.path.open("rb", buffering=0) as file:
            yield Reader(self, file, {})


@dataclass
class Reader:
    """An open weight file. scratch: where tensors are put that are only looked at until the next one is read."""

    of: TensorFile
    file: IO[bytes] | None
    loaded: Mapping[str, Any]
    scratch: torch.Tensor | None = None

    def tensor(self, name: str, keep: bool = True) -> torch.Tensor:
        """The tensor as it is stored, on the CPU. OSError where the file ends too early.

        keep: in memory of its own; otherwise it is good until the next is read, and a file's worth of short-lived
        buffers does not riddle the heap with holes (a quarter more memory, measured).
        """
        import torch

        if self.file is None:
            return self.loaded[name]
        entry = self.of.entries[name]
        raw = torch.empty(entry.bytes, dtype=torch.uint8) if keep else self._scratch()[: entry.bytes]
        self._fill(memoryview(raw.numpy().data), entry.start)
        # torch aligns its own memory, so viewing the bytes as wider numbers is allowed.
        return raw.view(getattr(torch, TYPES[entry.dtype])).reshape(entry.shape)

    def _scratch(self) -> torch.Tensor:
        import torch

        if self.scratch is None:
            self.scratch = torch.empty(max(e.bytes for e in self.of.entries.values()), dtype=torch.uint8)
        return self.scratch

    def _fill(self, view: memoryview, start: int) -> None:
        assert self.file is not None
        self.file.seek(start)
        while view:
            got = self.file.readinto(view)  # type: ignore[attr-defined]
            if not got:
                raise OSError(f"{self.of.path} ended while it was read; was it replaced meanwhile?")
            view = view[got:]


def read_header(path: Path) -> TensorFile:
    """What is in a safetensors or .pth file; ValueError, beginning with a verb, when it is not whole or none of these.

    Of safetensors only the header is read, and its promise compared with the file's size.
    """
    suffix = path.suffix.lower()
    if suffix in PICKLED:
        return TensorFile(path=path, entries={name: _entry_of(tensor) for name, tensor in _unpickle(path).items()})
    if suffix not in SAFE:
        raise ValueError(
            f"is a {suffix or 'file without an ending'}; {' and '.join((*SAFE[:1], *PICKLED[:1]))} are read"
        )
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(64)
        length = struct.unpack("<Q", head[:8])[0] if len(head) > 8 else size
        if 8 + length > size:
            raise ValueError(_what_else(head) or f"is cut off inside its header ({size} bytes)")
        file.seek(8)
        raw = file.read(length)
    try:
        header = json.loads(raw)
        metadata = header.pop("__metadata__", {})
        entries = {name: _entry(entry, 8 + length) for name, entry in header.items()}
        end = max((entry.end for entry in entries.values()), default=8 + length)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"has no readable safetensors header ({error!r})") from None
    if end != size:
        raise ValueError(f"has {size} bytes where its header promises {end}")
    for name, entry in entries.items():
        if entry.dtype in TYPES and entry.end - entry.start != math.prod(entry.shape) * BYTES.get(entry.dtype, 1):
            raise ValueError(f"has no readable safetensors header ({name} does not have the bytes of its shape)")
    return TensorFile(path=path, entries=entries, metadata=metadata)


# How files begin that people get instead of weights.
OTHERS = {
    b"<": "is a web page, not weights: most likely what a site answers without a login",
    b"version https://git-lfs": "is a Git LFS pointer, not the file it stands for (git lfs pull gets that)",
    b"GGUF": "is a GGUF file, which is not read",
    b"PK": "is a zip archive, such as a .pth, under another ending",
}


def _what_else(head: bytes) -> str:
    """What a file is that begins with `head` and is no whole safetensors file; empty for one that was cut off."""
    if not head:
        return "is empty"
    said = [text for start, text in OTHERS.items() if head.lstrip().startswith(start)]
    if said or head[8:9] in (b"{", b""):
        return said[0] if said else ""
    return f"is no safetensors file (it begins with {head[:12]!r})"


def _entry(entry: Mapping[str, Any], base: int) -> Entry:
    start, end = entry["data_offsets"]
    return Entry(dtype=entry["dtype"], shape=tuple(entry["shape"]), start=base + start, end=base + end)


def _entry_of(tensor: Any) -> Entry:
    words = {torch_name: word for word, torch_name in TYPES.items()}
    return Entry(
        dtype=words.get(str(tensor.dtype).removeprefix("torch."), str(tensor.dtype)), shape=tuple(tensor.shape)
    )


def _unpickle(path: Path) -> dict[str, Any]:
    """The tensors of a .pth, mapped where the format allows it; ValueError when it holds anything but tensors."""
    import pickle

    import torch

    try:
        try:
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except (RuntimeError, ValueError):  # files of torch before 1.6 cannot be mapped
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        wanted = re.search(r"GLOBAL (\S+)", str(error))  # torch's own words go on to recommend opening it all the same
        named = f" ({wanted[1]})" if wanted else ""
        raise ValueError(f"is refused, because opening it would run code{named}") from None
    except (RuntimeError, EOFError, OSError) as error:
        raise ValueError(f"cannot be opened by torch.load ({str(error).splitlines()[0]})") from None
    if not isinstance(content, dict) or not all(torch.is_tensor(value) for value in content.values()):
        raise ValueError("is no table of tensors")
    return content
