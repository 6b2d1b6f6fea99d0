"""Kept tensors that wait in host memory between a block's forward and its backward.

Copies run on a stream of their own beside the products: out while the next blocks go forward, back one block ahead of
their use. A tensor on its way out is held for two more blocks, and the main stream then waits for the copy, so that
its memory is used again in the main stream's order; letting the allocator find out by itself (`record_stream`) would
let Python, which runs far ahead of the GPU, allocate the same memory several times over. On the CPU a copy is a copy.

Host memory is had in page-locked pieces of one size, and a tensor lies in as many as it needs: what one shape, one
bucket or one expert has used the next uses again, so that all of them together take what the largest step takes.
"""

from __future__ import annotations

import weakref
from collections import deque
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from wantrain.slabs import page_locked

HELD = 2  # blocks
PIECE = 2**23  # bytes
ROW = 2**28  # bytes that are locked at once: the system keeps a record of every stretch that is


@dataclass(eq=False)
class Stored:
    """A tensor's numbers in `pieces` of host memory; `back` on the device once it is fetched, complete after `ready`.

    release: gives the pieces back; it happens by itself when this is forgotten, as after a step that broke off.
    """

    pieces: list[Tensor]
    like: Tensor  # on no device: shape and type
    device: torch.device
    release: Any = None
    back: Tensor | None = None
    ready: Any = None

    def copy(self, tensor: Tensor, *, back: bool) -> None:
        """Start copying the bytes of a contiguous `tensor` into the pieces, or back out of them."""
        flat, at = tensor.view(-1).view(torch.uint8), 0
        for piece in self.pieces:
            part = flat[at : at + PIECE]
            here = piece[: len(part)]
            part.copy_(here, non_blocking=True) if back else here.copy_(part, non_blocking=True)
            at += PIECE


class Mover:
    """Puts tensors away and brings them back; `pending`: block number -> its stored tensors.

    One for all models of a process: one of them is at work at a time.
    """

    def __init__(self) -> None:
        self.stream: Any = None
        self.free: list[Tensor] = []
        self.leaving: deque[tuple[list[Tensor], Any]] = deque()
        self.pending: dict[int, dict[str, Stored]] = {}
        self.bytes = 0  # of host memory

    def put(self, number: int, tensors: dict[str, Tensor]) -> dict[str, Stored]:
        """Start copying a block's tensors out; the caller then forgets them."""
        self.pending.pop(number, None)
        device = next(iter(tensors.values())).device
        # A first block's input may lie in another order.
        flat = {name: tensor.contiguous() for name, tensor in tensors.items()}
        stored = {name: self._room(tensor) for name, tensor in flat.items()}
        if device.type != "cuda":
            for name, tensor in flat.items():
                stored[name].copy(tensor, back=False)
        else:
            main = torch.cuda.current_stream(device)
            self.stream = self.stream or torch.cuda.Stream(device)
            self.stream.wait_stream(main)
            with torch.cuda.stream(self.stream):
                for name, tensor in flat.items():
                    stored[name].copy(tensor, back=False)
            self.leaving.append((list(flat.values()), self.stream.record_event()))
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
            stored.back = torch.empty_like(stored.like, device=stored.device)
            if stored.device.type != "cuda":
                stored.copy(stored.back, back=True)
                continue
            self.stream.wait_stream(torch.cuda.current_stream(stored.device))  # whose memory `back` was before
            with torch.cuda.stream(self.stream):
                stored.copy(stored.back, back=True)
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
            one.release()  # what is next copied into its pieces comes after on the same stream
        del self.pending[number]
        self.fetch(number - 1)
        return found

    def _room(self, tensor: Tensor) -> Stored:
        """Pieces for a contiguous tensor."""
        count = -(-tensor.numel() * tensor.element_size() // PIECE)
        while len(self.free) < count:
            self.free += page_locked(ROW, pinned=tensor.is_cuda).split(PIECE)
            self.bytes += ROW
        pieces = [self.free.pop() for _ in range(count)]
        found = Stored(pieces, torch.empty_like(tensor, device="meta"), tensor.device)
        found.release = weakref.finalize(found, self.free.extend, pieces)
        found.release.atexit = False
        return found
