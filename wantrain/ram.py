"""How much host memory a run takes, before it begins, and what is left for streamed blocks. Arithmetic only: no torch.

With both experts in turns and the idle one in page-locked memory, host memory holds

    process    Python, torch, CUDA's libraries and context
    outside    large frozen layers outside the blocks, of the expert that waits
    trained    its LoRA and two moments, in chunks, and the chunk through which they change places (place.py)
    idle       all its blocks
    spares     two slabs through which blocks change places (stream.py)
    streamed   the blocks of the expert at work that do not stay on the card
    kept       activations that wait there

What streaming or keeping activations there takes of host memory is what it gives the card, byte for byte, so `ram`
limits both: activations give way first, since they only save time, then streamed blocks. For fp8 at rank 32 this gives
19.6 GiB with none streamed, 23.9 with 13 blocks (23.8 measured on an H100), 31.7 with 37, and 33.3 in bf16. The process
was fitted to earlier code, where what is trained waited for both experts: 21.7, 26.9, 33.7 and 36.0 were measured then
where the count gave 21.6, 26.9, 33.8 and 35.4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

GIB = 1024**3
PROCESS = 3.6 * GIB
SPARES = 2
CHUNK = 64 * 2**20
TRAINED_BYTES = 12  # a LoRA weight and two moments, in float32


@dataclass(frozen=True, kw_only=True)
class Ram:
    """Bytes of host memory, as the top of this file has them."""

    process: float = PROCESS
    outside: float = 0.0
    trained: float = 0.0
    idle: float = 0.0
    spares: float = 0.0
    streamed: float = 0.0
    kept: float = 0.0

    @property
    def total(self) -> float:
        return float(sum(getattr(self, one.name) for one in fields(self)))

    def __str__(self) -> str:
        parts = ((one.name, getattr(self, one.name) / GIB) for one in fields(self))
        told = ", ".join(f"{name} {size:.1f}" for name, size in parts if size >= 0.05)
        return f"{self.total / GIB:.1f} GiB of host memory ({told})"


@dataclass(frozen=True, kw_only=True)
class Load:
    """What a run has to put somewhere. block: bytes of one frozen block; trained: weights of one LoRA; outside: bytes
    of one expert's large frozen layers outside its blocks. experts: how many train in turns. idle: as in [compute].
    averages: each expert keeps a moving average.
    """

    layers: int
    block: float
    trained: float
    outside: float
    experts: int
    idle: str
    averages: bool = False

    def ram(self, streamed: int = 0, kept: float = 0.0) -> Ram:
        """With so many blocks streamed and so many bytes of activations in host memory.

        idle "gpu": nothing waits, but every expert streams from a copy of its own; "disk": its blocks are read again.
        """
        if not 0 <= streamed <= self.layers:
            raise ValueError(f"streamed = {streamed}; there are {self.layers} blocks")
        away = self.experts > 1 and self.idle in ("pinned", "disk", "host")
        waits = away and self.idle != "disk"
        copies = self.experts if self.idle == "gpu" else 1
        outside = self.outside * away
        row = self.trained * (TRAINED_BYTES + 4 * self.averages) * away + outside
        if self.idle == "host":  # one has left before the other comes
            outside, row = outside * self.experts, row * self.experts
        elif away:
            row = (math.ceil(row / CHUNK) + 1) * CHUNK
        return Ram(
            outside=outside, trained=row - outside,
            idle=self.layers * self.block * waits, spares=SPARES * self.block * (waits and self.idle == "pinned"),
            streamed=streamed * self.block * copies, kept=kept,
        )  # fmt: skip

    def most(self, limit: float | None) -> int:
        """Blocks that may be streamed within `limit` bytes. ValueError, with what there must be, when not even none."""
        if limit is None:
            return self.layers
        least = self.ram()
        if least.total > limit:
            raise ValueError(f"{limit / GIB:.1f} GiB are too few; without any block streamed it takes {least}")
        return min(self.layers, int((limit - least.total) / (self.ram(1).streamed or 1.0)))

    def left(self, limit: float | None, streamed: int, wanted: float) -> float:
        """Bytes for activations beside so many streamed blocks, of those that are wanted."""
        return wanted if limit is None else max(0.0, min(wanted, limit - self.ram(streamed).total))
