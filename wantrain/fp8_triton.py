"""Triton kernels of fp8.py: quantising rows, and transposing a byte matrix."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

TILE = 64


@triton.jit
def _quantise_kernel(
    x, fold, out, scales, x_row, out_row, width, HAS_FOLD: tl.constexpr, BLOCK: tl.constexpr
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    i = tl.arange(0, BLOCK)
    there = i < width
    v = tl.load(x + row * x_row + i, there, 0.0).to(tl.float32)
    if HAS_FOLD:
        v *= tl.load(fold + i, there, 0.0)
    scale = tl.maximum(tl.max(tl.abs(v), 0) / 448.0, 1e-12)
    tl.store(scales + row, scale)
    tl.store(out + row * out_row + i, (v * (1.0 / scale)).to(out.dtype.element_ty), there)


@triton.jit
def _transpose_kernel(x, out, rows, columns, TILE: tl.constexpr):
    r = tl.program_id(0) * TILE + tl.arange(0, TILE)
    c = tl.program_id(1) * TILE + tl.arange(0, TILE)
    at = r[:, None].to(tl.int64) * columns + c[None, :]
    tile = tl.load(x + at, (r < rows)[:, None] & (c < columns)[None, :], 0)
    back = c[:, None].to(tl.int64) * rows + r[None, :]
    tl.store(out + back, tl.trans(tile), (c < columns)[:, None] & (r < rows)[None, :])


def quantise(x: Tensor, fold: Tensor | None) -> tuple[Tensor, Tensor]:
    rows, width = x.shape
    out = torch.empty(rows, width, dtype=torch.float8_e4m3fn, device=x.device)
    scales = torch.empty(rows, 1, dtype=torch.float32, device=x.device)
    block = triton.next_power_of_2(width)
    _quantise_kernel[(rows,)](
        x, scales if fold is None else fold, out, scales, x.stride(0), width, width, fold is not None, block,
        num_warps=16 if block > 8192 else 8,
    )  # fmt: skip
    return out, scales


def transposed(w8: Tensor) -> Tensor:
    rows, columns = w8.shape
    out = torch.empty(columns, rows, dtype=torch.uint8, device=w8.device)
    grid = (triton.cdiv(rows, TILE), triton.cdiv(columns, TILE))
    _transpose_kernel[grid](w8.view(torch.uint8), out, rows, columns, TILE, num_warps=4)
    return out.view(torch.float8_e4m3fn)
