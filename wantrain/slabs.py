"""Rows of bytes for frozen blocks: how tensors lie in one, and page-locked host memory for it that is used again."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from wantrain.ram import SPARES

ALIGN = 256  # bytes
PAGE = 4096


@dataclass(frozen=True)
class Layout:
    """Tensors in a row of bytes. parts: (group, name, offset, shape, type)."""

    parts: tuple[tuple[int, str, int, tuple[int, ...], torch.dtype], ...]
    bytes: int

    @staticmethod
    def of(groups: Sequence[Mapping[str, tuple[tuple[int, ...], torch.dtype]]]) -> Layout:
        parts, at = [], 0
        for number, group in enumerate(groups):
            for name, (shape, dtype) in group.items():
                parts.append((number, name, at, shape, dtype))
                at += -(-math.prod(shape) * dtype.itemsize // ALIGN) * ALIGN
        return Layout(tuple(parts), at)

    def views(self, flat: Tensor) -> list[dict[str, Tensor]]:
        """The tensors of each group in `flat`, uint8 [bytes]."""
        found: list[dict[str, Tensor]] = [{} for _ in range(1 + max((part[0] for part in self.parts), default=-1))]
        for number, name, at, shape, dtype in self.parts:
            found[number][name] = flat[at : at + math.prod(shape) * dtype.itemsize].view(dtype).view(shape)
        return found


def page_locked(size: int, *, pinned: bool) -> Tensor:
    """uint8 [size] in host memory, locked for the GPU where `pinned`; never given back.

    Registered by hand: torch's own pinned memory rounds up to a power of two. RuntimeError when the system refuses.
    """
    if not pinned:
        return torch.empty(size, dtype=torch.uint8)
    # Whole pages of its own: a page that is locked already, for a neighbour, is refused.
    whole = -(-size // PAGE) * PAGE
    flat = torch.empty(whole + PAGE, dtype=torch.uint8)
    first = -flat.data_ptr() % PAGE
    runtime: Any = torch.cuda.cudart()
    error = int(runtime.cudaHostRegister(flat.data_ptr() + first, whole, 0))
    if error:
        raise RuntimeError(f"cudaHostRegister refused {size / 2**30:.1f} GiB of host memory (error {error})")
    _LOCKED.append(flat)  # malloc must not hand these pages to anybody else
    return flat[first : first + size]


_LOCKED: list[Tensor] = []


class Slabs:
    """Rows of host memory of one size that are used again. total: bytes made so far."""

    def __init__(self, size: int, *, pinned: bool) -> None:
        self.size, self.pinned, self.total = size, pinned, 0
        self.free: deque[tuple[Tensor, Any]] = deque()

    def take(self, stream: Any = None, *, spare: bool = False) -> Tensor:
        """A slab; `stream` waits until what was copied from it before has been. spare: keep two in rotation."""
        if len(self.free) < (SPARES if spare else 1):
            self.total += self.size
            return page_locked(self.size, pinned=self.pinned)
        slab, event = self.free.popleft()
        if event is not None:
            stream.wait_event(event) if stream is not None else event.synchronize()
        return slab

    def give(self, slab: Tensor, event: Any = None) -> None:
        self.free.append((slab, event))
