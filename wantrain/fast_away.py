"""Kept tensors that wait in host memory between a block's forward and its backward.

Copies run on a stream of their own beside the products: out while the next blocks go forward, back one block ahead of
their use. A tensor on its way out is held for two more blocks, and the main stream then waits for the copy, so that
its memory is used again in the main stream's order; letting the allocator find out by itself (`record_stream`) would
let Python, which runs far ahead of the GPU, allocate the same memory several times over. Pinned buffers are reused from
step to step. On the CPU a copy is a copy.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

HELD = 2  # blocks
SLAB = 2**32  # bytes


@dataclass
class Stored:
    """A tensor's numbers in `buffer`; `back` on the device once it is fetched, complete after `ready`."""

    buffer: Tensor
    device: torch.device
    back: Tensor | None = None
    ready: Any = None


class Mover:
    """Puts tensors away and brings them back. One for a model; `pending`: block number -> its stored tensors."""

    def __init__(self) -> None:
        self.stream: Any = None
        self.spare: dict[tuple[torch.Size, torch.dtype], list[Tensor]] = {}
        self.leaving: deque[tuple[list[Tensor], Any]] = deque()
        self.pending: dict[int, dict[str, Stored]] = {}
        self.bytes = 0  # of host memory, at most so far

    def put(self, number: int, tensors: dict[str, Tensor]) -> dict[str, Stored]:
        """Start copying a block's tensors out; the caller then forgets them."""
        device = next(iter(tensors.values())).device
        gpu = device.type == "cuda"
        stored = {name: Stored(self._buffer(t, gpu), device) for name, t in tensors.items()}
        if not gpu:
            for name, tensor in tensors.items():
                stored[name].buffer.copy_(tensor)
        else:
            main = torch.cuda.current_stream(device)
            self.stream = self.stream or torch.cuda.Stream(device)
            self.stream.wait_stream(main)
            with torch.cuda.stream(self.stream):
                for name, tensor in tensors.items():
                    stored[name].buffer.copy_(tensor, non_blocking=True)
            self.leaving.append((list(tensors.values()), self.stream.record_event()))
            self.settle(HELD)
        self.pending[number] = stored
        return stored

    def settle(self, held: int = 0) -> None:
        """Let go of all but the last `held` blocks on their way out."""
        while len(self.leaving) > held:
            tensors, event = self.leaving.popleft()
            torch.cuda.current_stream(tensors[0].device).wait_event(event)
            del tensors

    def fetch(self, number: int) -> None:
        """Start bringing a block's tensors back; nothing when it has none there, or it is under way."""
        for stored in self.pending.get(number, {}).values():
            if stored.back is not None:
                continue
            stored.back = torch.empty(stored.buffer.shape, dtype=stored.buffer.dtype, device=stored.device)
            if stored.device.type != "cuda":
                stored.back.copy_(stored.buffer)
                continue
            self.stream.wait_stream(torch.cuda.current_stream(stored.device))  # whose memory `back` was before
            with torch.cuda.stream(self.stream):
                stored.back.copy_(stored.buffer, non_blocking=True)
                stored.ready = self.stream.record_event()

    def take(self, number: int, stored: dict[str, Stored]) -> dict[str, Tensor]:
        """A block's tensors, on the device. Starts fetching those of the block before it."""
        self.settle()
        if self.pending.get(number) is not stored:  # another forward came between: bring these back alone
            self.pending[number] = stored
        self.fetch(number)
        found: dict[str, Tensor] = {}
        for name, one in stored.items():
            if one.ready is not None:
                torch.cuda.current_stream(one.device).wait_event(one.ready)
            assert one.back is not None
            found[name] = one.back
            one.back = one.ready = None  # autograd's nodes, which hold `stored`, live until the whole backward is over
            self.spare.setdefault((one.buffer.shape, one.buffer.dtype), []).append(one.buffer)
        del self.pending[number]
        self.fetch(number - 1)
        return found

    def _buffer(self, like: Tensor, pinned: bool) -> Tensor:
        spare = self.spare.setdefault((like.shape, like.dtype), [])
        if not spare:
            size = like.numel() * like.element_size()
            # torch rounds pinned allocations up to a power of two; several in one waste less.
            count = max(1, min(SLAB // size, 8)) if pinned else 1
            slab = torch.empty((count, *like.shape), dtype=like.dtype, pin_memory=pinned)
            spare += slab.unbind(0)
            self.bytes += count * size
        return spare.pop()
