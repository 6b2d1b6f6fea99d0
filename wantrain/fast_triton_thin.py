"""A LoRA's rank-wide products as one Triton kernel, where cuBLAS takes three.

x·Aᵀ and dy·B give few columns, so few tiles that cuBLAS cuts the sum into pieces to fill the card, and then clears a
buffer, multiplies, and adds the pieces up: at 3,744 tokens half of the time of such a product goes into the gaps
between. Here a program takes 32 rows and the whole sum, and columns that only pad the strip are written as zeros
instead of being computed. With many rows or a high rank cuBLAS does as well and is called.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

MOST_ROWS = 8192
MOST_COLUMNS = 64
ROWS, SUM = 32, 128


@triton.jit
def _thin_kernel(
    a, b, out, rows, inner, a_row, b_inner, b_column, out_row, COLUMNS: tl.constexpr, PADDING: tl.constexpr,
    ROWS: tl.constexpr, SUM: tl.constexpr,
):  # fmt: skip
    s = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    j, t = tl.arange(0, COLUMNS), tl.arange(0, SUM)
    there = s < rows
    left = a + s.to(tl.int64)[:, None] * a_row + t[None, :]
    right = b + t[:, None] * b_inner + j[None, :] * b_column
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for first in range(0, inner, SUM):
        inside = t < inner - first
        x = tl.load(left + first, there[:, None] & inside[None, :], 0.0)
        w = tl.load(right + first * b_inner, inside[:, None], 0.0)
        total = tl.dot(x, w, total, input_precision="ieee")
    into = out + s.to(tl.int64)[:, None] * out_row
    tl.store(into + j[None, :], total.to(out.dtype.element_ty), there[:, None])
    if PADDING > 0:
        p = tl.arange(0, PADDING)
        tl.store(into + COLUMNS + p[None, :], tl.zeros((ROWS, PADDING), out.dtype.element_ty), there[:, None])


def thin(a: Tensor, b: Tensor, out: Tensor, columns: int) -> None:
    """out = a·b, of which only `columns` columns are not zero. a [R, K], b [K, N], out [R, N], rows side by side."""
    wide, live = out.shape[1], max(16, triton.next_power_of_2(columns))
    padding = wide - live
    if a.shape[0] > MOST_ROWS or live > MOST_COLUMNS or padding < 0 or padding & (padding - 1):
        torch.mm(a, b, out=out)
        return
    _thin_kernel[(triton.cdiv(a.shape[0], ROWS),)](
        a, b, out, *a.shape, a.stride(0), *b.stride(), out.stride(0), live, padding, ROWS, SUM, num_warps=4,
        num_stages=5,
    )  # fmt: skip
