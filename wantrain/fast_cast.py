"""The LoRA's float32 parameters into the packed layers of all blocks: one launch of one Triton kernel a step."""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

CHUNK = 4096  # numbers of one program


@triton.jit
def _cast_kernel(table, scales, like, BLOCK: tl.constexpr):
    entry = tl.program_id(0)
    source = tl.load(table + entry * 5).to(tl.pointer_type(tl.float32))
    target = tl.load(table + entry * 5 + 1).to(tl.pointer_type(like.dtype.element_ty))
    count, width = tl.load(table + entry * 5 + 2), tl.load(table + entry * 5 + 3)
    i = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    there = i < count
    v = tl.load(source + i, there, 0.0) * tl.load(scales + entry)
    row = i // width
    tl.store(target + row * tl.load(table + entry * 5 + 4) + i - row * width, v.to(like.dtype.element_ty), there)


class Caster:
    """Casts many float32 matrices into slices of other tensors in one launch, times a factor each.

    A table of addresses is kept on the device and made again when one of them has changed.
    """

    def __init__(self) -> None:
        self.addresses: list[tuple[int, int]] = []
        self.table = self.scales = torch.empty(0)
        self.chunks = 0

    def __call__(self, pairs: list[tuple[Tensor, Tensor, float]]) -> None:
        """pairs: (source float32 [r, c] contiguous, target [r, c] with any row stride, factor)."""
        addresses = [(source.data_ptr(), target.data_ptr()) for source, target, _ in pairs]
        if addresses != self.addresses:
            device = pairs[0][0].device
            rows: list[Any] = [
                [*at, source.numel(), source.shape[1], target.stride(0)]
                for at, (source, target, _) in zip(addresses, pairs, strict=True)
            ]
            self.table = torch.tensor(rows, dtype=torch.int64, device=device)
            self.scales = torch.tensor([scale for _, _, scale in pairs], dtype=torch.float32, device=device)
            self.chunks = triton.cdiv(max(source.numel() for source, _, _ in pairs), CHUNK)
            self.addresses = addresses
        _cast_kernel[(len(pairs), self.chunks)](self.table, self.scales, pairs[0][1], CHUNK)
