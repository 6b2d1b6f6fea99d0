"""Rows of bytes: how tensors lie in one, and page-locked host memory in pieces that are used again.

The row of a frozen block is moved whole. What an expert trains is longer, and of two such rows one is always on the
device: `swap` lets them change places piece by piece, so that host memory holds one of them and one piece.
"""

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
    """uint8 [size] in host memory, locked for the GPU where `pinned`, until `unlock`.

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
    _LOCKED[flat.data_ptr() + first] = flat  # malloc must not hand these pages to anybody else
    return flat[first : first + size]


def unlock(memory: Tensor) -> None:
    """Let go of what `page_locked` made, once nothing copies from or to it any more."""
    if (flat := _LOCKED.pop(memory.data_ptr(), None)) is not None:
        runtime: Any = torch.cuda.cudart()
        if error := int(runtime.cudaHostUnregister(memory.data_ptr())):
            _LOCKED[memory.data_ptr()] = flat
            raise RuntimeError(f"cudaHostUnregister refused {memory.numel()} bytes of host memory (error {error})")


_LOCKED: dict[int, Tensor] = {}


class Slabs:
    """Pieces of host memory of one size that are used again. total: bytes of all there are."""

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

    def have(self, count: int) -> None:
        """`count` slabs in all. Missing ones are made; of those too many the free ones go."""
        while self.total < count * self.size:
            self.free.append((page_locked(self.size, pinned=self.pinned), None))
            self.total += self.size
        over = min(len(self.free), self.total // self.size - count)
        if over > 0 and self.pinned:
            torch.cuda.synchronize()  # until the last copies from them have been
        for _ in range(over):
            unlock(self.free.pop()[0])
            self.total -= self.size


def swap(leaving: Tensor, coming: Tensor, held: list[Tensor], slabs: Slabs) -> list[Tensor]:
    """Rows change places: `leaving` goes from the device into slabs, which are returned, `coming` there out of `held`.

    Both uint8 [any length, also 0] on the device. A slab that has been copied from takes the other row's next bytes.
    Nothing waits: the current stream does its copies in order.
    """
    taken = []
    for at in range(0, max(leaving.numel(), coming.numel()), slabs.size):
        if len(part := leaving[at : at + slabs.size]):
            taken.append(slabs.take())
            taken[-1][: len(part)].copy_(part, non_blocking=True)
        if len(part := coming[at : at + slabs.size]):
            slab = held.pop(0)
            part.copy_(slab[: len(part)], non_blocking=True)
            slabs.give(slab)
    return taken
