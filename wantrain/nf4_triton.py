"""The Triton kernel of nf4.py: packed weights back into the model's type."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

CHUNK = 1024  # bytes of one program


@triton.jit
def _dequantise_kernel(packed, scale, codes, out, half, blocks, CHUNK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    first = tl.program_id(1) * CHUNK
    j = first + tl.arange(0, CHUNK)
    byte = tl.load(packed + row * half + j, j < half, 0).to(tl.int32)
    share = tl.load(scale + row * blocks + j // 32, j < half, 0.0).to(tl.float32)
    v = tl.interleave(tl.load(codes + (byte & 15)) * share, tl.load(codes + (byte >> 4)) * share)
    i = 2 * first + tl.arange(0, 2 * CHUNK)
    tl.store(out + row * 2 * half + i, v.to(out.dtype.element_ty), i < 2 * half)


def dequantise(packed: Tensor, scale: Tensor, codes: Tensor, dtype: torch.dtype) -> Tensor:
    rows, half = packed.shape
    out = torch.empty(rows, 2 * half, dtype=dtype, device=packed.device)
    grid = (rows, triton.cdiv(half, CHUNK))
    _dequantise_kernel[grid](packed, scale, codes, out, half, scale.shape[1], CHUNK, num_warps=4)
    return out
