"""`mix_pads` and `pads_back` of fast_ops.py as Triton kernels: one program a head and a stretch of queries."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

ROWS = 32  # queries at once
STRETCH = 128  # of a program in the backward, which leaves one row of sums
WARPS = 2  # there: 80 us at 3,744 rows where 4 take 86 and 8 take 131 (H100; 64 is what memory allows)


@triton.jit
def _mix_kernel(
    out, lse, q, k, v, batch_rows, out_row, q_row, k_row, v_row, lse_batch, lse_head, lse_row, scale, more,
    HEAD: tl.constexpr, WIDTH: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    batch, head = tl.program_id(1).to(tl.int64), tl.program_id(2)
    s = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    j = tl.arange(0, WIDTH)
    there, columns = s < batch_rows, j < HEAD
    both = there[:, None] & columns[None, :]
    rows, at = batch * batch_rows + s, head * HEAD + j
    key = tl.load(k + batch * k_row + at, columns, 0.0).to(tl.float32)
    value = tl.load(v + batch * v_row + at, columns, 0.0).to(tl.float32)
    query = tl.load(q + rows[:, None] * q_row + at[None, :], both, 0.0).to(tl.float32)
    score = tl.sum(query * key[None, :], 1) * scale + more
    places = lse + batch * lse_batch + head * lse_head + s * lse_row
    old = tl.load(places, there, 0.0)
    top = tl.maximum(old, score)
    whole = top + tl.log(tl.exp(old - top) + tl.exp(score - top))
    share = tl.exp(score - whole)
    into = out + rows[:, None] * out_row + at[None, :]
    x = tl.load(into, both, 0.0).to(tl.float32)
    tl.store(into, (x + share[:, None] * (value[None, :] - x)).to(out.dtype.element_ty), both)
    tl.store(places, whole, there)


@triton.jit
def _back_kernel(
    d, out, lse, q, dq, k, v, dk, dv, batch_rows, d_row, out_row, q_row, dq_row, k_row, v_row, lse_batch, lse_head,
    lse_row, scale, more, width, HEAD: tl.constexpr, WIDTH: tl.constexpr, ROWS: tl.constexpr, STRETCH: tl.constexpr,
):  # fmt: skip
    part, batch, head = tl.program_id(0), tl.program_id(1).to(tl.int64), tl.program_id(2)
    j = tl.arange(0, WIDTH)
    columns, at = j < HEAD, head * HEAD + j
    key = tl.load(k + batch * k_row + at, columns, 0.0).to(tl.float32)
    value = tl.load(v + batch * v_row + at, columns, 0.0).to(tl.float32)
    sum_k, sum_v = tl.zeros((WIDTH,), tl.float32), tl.zeros((WIDTH,), tl.float32)
    for first in range(0, STRETCH, ROWS):
        s = part * STRETCH + first + tl.arange(0, ROWS)
        there = s < batch_rows
        both = there[:, None] & columns[None, :]
        rows = batch * batch_rows + s
        query = tl.load(q + rows[:, None] * q_row + at[None, :], both, 0.0).to(tl.float32)
        slope = tl.load(d + rows[:, None] * d_row + at[None, :], both, 0.0).to(tl.float32)
        x = tl.load(out + rows[:, None] * out_row + at[None, :], both, 0.0).to(tl.float32)
        whole = tl.load(lse + batch * lse_batch + head * lse_head + s * lse_row, there, 0.0)
        score = tl.sum(query * key[None, :], 1) * scale + more
        share = tl.where(there, tl.exp(score - whole), 0.0)
        ds = share * tl.sum(slope * (value[None, :] - x), 1) * scale
        into = dq + rows[:, None] * dq_row + at[None, :]
        past = tl.load(into, both, 0.0).to(tl.float32)
        tl.store(into, (past + ds[:, None] * key[None, :]).to(dq.dtype.element_ty), both)
        sum_k += tl.sum(ds[:, None] * query, 0)
        sum_v += tl.sum(share[:, None] * slope, 0)
    row = (batch * tl.num_programs(0) + part) * width
    tl.store(dk + row + at, sum_k, columns)
    tl.store(dv + row + at, sum_v, columns)


def mix_pads(out: Tensor, lse: Tensor, q: Tensor, k: Tensor, v: Tensor, more: float) -> None:
    (batch, heads, rows), head = lse.shape, q.shape[-1] // lse.shape[1]
    _mix_kernel[(triton.cdiv(rows, ROWS), batch, heads)](
        out, lse, q, k, v, rows, out.stride(1), q.stride(1), k.stride(0), v.stride(0), *lse.stride(), head**-0.5, more,
        head, triton.next_power_of_2(head), ROWS,
    )  # fmt: skip


def pads_back(
    d: Tensor, out: Tensor, lse: Tensor, q: Tensor, dq: Tensor, k: Tensor, v: Tensor, more: float
) -> tuple[Tensor, Tensor]:
    (batch, heads, rows), width = lse.shape, q.shape[-1]
    parts, head = triton.cdiv(rows, STRETCH), width // heads
    dk, dv = (lse.new_empty(batch, parts, width) for _ in range(2))
    _back_kernel[(parts, batch, heads)](
        d, out, lse, q, dq, k, v, dk, dv, rows, d.stride(1), out.stride(1), q.stride(1), dq.stride(1), k.stride(0),
        v.stride(0), *lse.stride(), head**-0.5, more, width, head, triton.next_power_of_2(head), ROWS, STRETCH,
        num_warps=WARPS,
    )  # fmt: skip
    return dk.sum(1), dv.sum(1)
