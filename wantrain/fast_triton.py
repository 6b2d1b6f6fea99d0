"""The formulas of fast_ops.py as Triton kernels: one program a row, every input read once, one launch each.

Inductor makes good kernels of the same formulas, but calling them costs Python 0.1 ms each (measured: 720 calls a step
took 70 ms of a 400 ms step) and every bucket compiles anew for 20 s. These compile once a width, on any card that
Triton knows. Rounding is that of fast_ops.py: float32 inside, once to the buffer's type. TRITON_INTERPRET=1 runs them
on the CPU; the tests compare the two so.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

CHUNK = 2048  # columns of one program in the kernels without sums


@triton.jit
def _norm_kernel(
    h, y, gate, mult, shift, new, out, h_row, y_row, gate_row, mult_row, shift_row, new_row, out_row, every, width, eps,
    HAS_Y: tl.constexpr, HAS_GATE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    group = row // every
    i = tl.arange(0, BLOCK)
    there = i < width
    x = tl.load(h + row * h_row + i, there, 0.0).to(tl.float32)
    if HAS_Y:
        add = tl.load(y + row * y_row + i, there, 0.0).to(tl.float32)
        if HAS_GATE:
            add *= tl.load(gate + group * gate_row + i, there, 0.0).to(tl.float32)
        rounded = (x + add).to(new.dtype.element_ty)
        tl.store(new + row * new_row + i, rounded, there)
        x = rounded.to(tl.float32)
    mean = tl.sum(x, 0) / width
    centred = tl.where(there, x - mean, 0.0)
    rstd = 1 / tl.sqrt(tl.sum(centred * centred, 0) / width + eps)
    m = tl.load(mult + group * mult_row + i, there, 0.0).to(tl.float32)
    s = tl.load(shift + group * shift_row + i, there, 0.0).to(tl.float32)
    tl.store(out + row * out_row + i, (centred * rstd * m + s).to(out.dtype.element_ty), there)


@triton.jit
def _norm_back_kernel(
    h, d, past, mult, shift, gate, out, gated, h_row, d_row, past_row, mult_row, shift_row, gate_row, out_row,
    gated_row, every, width, eps, HAS_SHIFT: tl.constexpr, HAS_GATE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    group = row // every
    i = tl.arange(0, BLOCK)
    there = i < width
    x = tl.load(h + row * h_row + i, there, 0.0).to(tl.float32)
    m = tl.load(mult + group * mult_row + i, there, 0.0).to(tl.float32)
    slope = tl.load(d + row * d_row + i, there, 0.0).to(tl.float32) * m
    mean = tl.sum(x, 0) / width
    hat = tl.where(there, x - mean, 0.0)
    rstd = 1 / tl.sqrt(tl.sum(hat * hat, 0) / width + eps)
    hat *= rstd
    along = tl.sum(slope * hat, 0) / width
    total = (slope - tl.sum(slope, 0) / width - hat * along) * rstd
    total += tl.load(past + row * past_row + i, there, 0.0).to(tl.float32)
    if HAS_SHIFT:
        s = tl.load(shift + group * shift_row + i, there, 0.0).to(tl.float32)
        tl.store(d + row * d_row + i, (hat * m + s).to(d.dtype.element_ty), there)
    tl.store(out + row * out_row + i, total.to(out.dtype.element_ty), there)
    if HAS_GATE:
        g = tl.load(gate + group * gate_row + i, there, 0.0).to(tl.float32)
        tl.store(gated + row * gated_row + i, (total * g).to(gated.dtype.element_ty), there)


@triton.jit
def _rms_kernel(
    x, weight, cos, sin, out, x_row, out_row, tokens, width, eps, ROPE: tl.constexpr, HEAD: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    i = tl.arange(0, BLOCK)
    there = i < width
    v = tl.load(x + row * x_row + i, there, 0.0).to(tl.float32)
    rstd = 1 / tl.sqrt(tl.sum(v * v, 0) / width + eps)
    v = v * rstd * tl.load(weight + i, there, 0.0).to(tl.float32)
    if ROPE:
        j = tl.arange(0, BLOCK // 2)
        at = (row % tokens) * HEAD + (2 * j) % HEAD
        c, s = tl.load(cos + at), tl.load(sin + at)
        even, odd = tl.split(tl.reshape(v, (BLOCK // 2, 2)))
        v = tl.reshape(tl.join(even * c - odd * s, odd * c + even * s), (BLOCK,))
    tl.store(out + row * out_row + i, v.to(out.dtype.element_ty), there)


@triton.jit
def _rms_back_kernel(
    x, d, weight, cos, sin, out, x_row, d_row, out_row, tokens, width, eps, ROPE: tl.constexpr, HEAD: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    i = tl.arange(0, BLOCK)
    there = i < width
    v = tl.load(x + row * x_row + i, there, 0.0).to(tl.float32)
    slope = tl.load(d + row * d_row + i, there, 0.0).to(tl.float32)
    if ROPE:  # the transpose of a rotation turns back
        j = tl.arange(0, BLOCK // 2)
        at = (row % tokens) * HEAD + (2 * j) % HEAD
        c, s = tl.load(cos + at), tl.load(sin + at)
        even, odd = tl.split(tl.reshape(slope, (BLOCK // 2, 2)))
        slope = tl.reshape(tl.join(even * c + odd * s, odd * c - even * s), (BLOCK,))
    slope *= tl.load(weight + i, there, 0.0).to(tl.float32)
    rstd = 1 / tl.sqrt(tl.sum(v * v, 0) / width + eps)
    along = tl.sum(slope * v, 0) / width * rstd * rstd
    tl.store(out + row * out_row + i, ((slope - v * along) * rstd).to(out.dtype.element_ty), there)


@triton.jit
def _add_kernel(
    h, y, gate, out, h_row, y_row, gate_row, out_row, every, width, HAS_H: tl.constexpr, HAS_GATE: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    i = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    there = i < width
    v = tl.load(y + row * y_row + i, there, 0.0).to(tl.float32)
    if HAS_GATE:
        v *= tl.load(gate + (row // every) * gate_row + i, there, 0.0).to(tl.float32)
    if HAS_H:
        v += tl.load(h + row * h_row + i, there, 0.0).to(tl.float32)
    tl.store(out + row * out_row + i, v.to(out.dtype.element_ty), there)


@triton.jit
def _gelu_kernel(
    d, f, out, into, d_row, f_row, out_row, into_row, width, BACK: tl.constexpr, FORTH: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    i = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    there = i < width
    x = tl.load(f + row * f_row + i, there, 0.0).to(tl.float32)
    # gelu(x) = x·σ(2z), z = √(2/π)·(x + 0.044715·x³): (1 + tanh z)/2 is the logistic function of 2z
    half = tl.sigmoid(1.5957691216057308 * (x + 0.044715 * x * x * x))
    if BACK:
        inner = 1.5957691216057308 * (1 + 0.134145 * x * x)
        slope = half + x * half * (1 - half) * inner
        v = tl.load(d + row * d_row + i, there, 0.0).to(tl.float32)
        tl.store(into + row * into_row + i, (v * slope).to(into.dtype.element_ty), there)
    if FORTH:
        tl.store(out + row * out_row + i, (x * half).to(out.dtype.element_ty), there)


# --- as fast_ops.py calls them ---


def _rows(x: Tensor) -> int:
    return x.shape[0] * x.shape[1]


def _per(x: Tensor | None) -> int:
    """Elements from one group of a modulation to the next; 0 for a plain weight, which is the same for all."""
    if x is None or x.ndim == 1:
        return 0
    return x.stride(0) if x.shape[1] == 1 else x.stride(1)


def _every(h: Tensor, *parts: Tensor | None) -> int:
    """Rows that share a modulation: a whole example, or one token."""
    return 1 if any(p is not None and p.ndim > 1 and p.shape[1] > 1 for p in parts) else h.shape[1]


def _block(width: int) -> int:
    return triton.next_power_of_2(width)


def _norm(
    h: Tensor, y: Tensor | None, gate: Tensor | None, mult: Tensor, shift: Tensor, eps: float, new: Tensor, out: Tensor
) -> None:
    width = h.shape[-1]
    _norm_kernel[(_rows(h),)](
        h, h if y is None else y, mult if gate is None else gate, mult, shift, new, out, h.stride(1),
        h.stride(1) if y is None else y.stride(1), _per(gate), _per(mult), _per(shift), new.stride(1), out.stride(1),
        _every(h, gate, mult, shift), width, eps, y is not None, gate is not None, _block(width), num_warps=8,
    )  # fmt: skip


def modulate(h: Tensor, mult: Tensor, shift: Tensor, eps: float, out: Tensor) -> None:
    _norm(h, None, None, mult, shift, eps, h, out)


def add_modulate(
    h: Tensor, y: Tensor, gate: Tensor | None, mult: Tensor, shift: Tensor, eps: float, out: Tensor
) -> Tensor:
    new = torch.empty_like(h)
    _norm(h, y, gate, mult, shift, eps, new, out)
    return new


def _add(h: Tensor | None, y: Tensor, gate: Tensor | None, out: Tensor) -> None:
    width = y.shape[-1]
    _add_kernel[(_rows(y), triton.cdiv(width, CHUNK))](
        y if h is None else h, y, y if gate is None else gate, out, 0 if h is None else h.stride(1), y.stride(1),
        _per(gate), out.stride(1), _every(y, gate), width, h is not None, gate is not None, CHUNK,
    )  # fmt: skip


def add_gated(h: Tensor, y: Tensor, gate: Tensor | None) -> Tensor:
    out = torch.empty_like(h)
    _add(h, y, gate, out)
    return out


def gated(d: Tensor, gate: Tensor, out: Tensor) -> None:
    _add(None, d, gate, out)


def modulate_back(
    h: Tensor, d: Tensor, past: Tensor, mult: Tensor, shift: Tensor | None, gate: Tensor | None, eps: float,
    out: Tensor, out_gated: Tensor | None,
) -> None:  # fmt: skip
    width = h.shape[-1]
    beside = out if out_gated is None else out_gated
    _norm_back_kernel[(_rows(h),)](
        h, d, past, mult, mult if shift is None else shift, mult if gate is None else gate, out, beside, h.stride(1),
        d.stride(1), past.stride(1), _per(mult), _per(shift), _per(gate), out.stride(1), beside.stride(1),
        _every(h, mult, shift, gate), width, eps, shift is not None, gate is not None, _block(width), num_warps=8,
    )  # fmt: skip


def _rms(
    x: Tensor, weight: Tensor, eps: float, out: Tensor, cos: Tensor | None = None, sin: Tensor | None = None
) -> None:
    width, head = x.shape[-1], 1 if cos is None else cos.shape[-1]
    _rms_kernel[(_rows(x),)](
        x, weight, weight if cos is None else cos, weight if sin is None else sin, out, x.stride(1), out.stride(1),
        x.shape[1], width, eps, cos is not None, head, _block(width), num_warps=8,
    )  # fmt: skip


def rms(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    out = x.new_empty(x.shape)
    _rms(x, weight, eps, out)
    return out


def qk(qkv: Tensor, wq: Tensor, wk: Tensor, cos: Tensor, sin: Tensor, heads: int, eps: float) -> tuple[Tensor, Tensor]:
    dim = qkv.shape[-1] // 3
    both = []
    for x, weight in ((qkv[..., :dim], wq), (qkv[..., dim : 2 * dim], wk)):
        out = x.new_empty(x.shape)
        _rms(x, weight, eps, out, cos, sin)
        both.append(out)
    return both[0], both[1]


def rms_back(
    x: Tensor, d: Tensor, weight: Tensor, eps: float, out: Tensor, cos: Tensor | None = None, sin: Tensor | None = None
) -> None:
    width, head = x.shape[-1], 1 if cos is None else cos.shape[-1]
    _rms_back_kernel[(_rows(x),)](
        x, d, weight, weight if cos is None else cos, weight if sin is None else sin, out, x.stride(1), d.stride(1),
        out.stride(1), x.shape[1], width, eps, cos is not None, head, _block(width), num_warps=8,
    )  # fmt: skip


def qkv_back(
    qkv: Tensor, dq: Tensor, dk: Tensor, dv: Tensor, wq: Tensor, wk: Tensor, cos: Tensor, sin: Tensor, heads: int,
    eps: float, out: Tensor,
) -> None:  # fmt: skip
    dim = dq.shape[-1]
    rms_back(qkv[..., :dim], dq, wq, eps, out[..., :dim], cos, sin)
    rms_back(qkv[..., dim : 2 * dim], dk, wk, eps, out[..., dim : 2 * dim], cos, sin)
    _add(None, dv, None, out[..., 2 * dim :])


def _gelu(d: Tensor, f: Tensor, out: Tensor, back: bool, forth: bool, into: Tensor | None = None) -> None:
    into = d if into is None else into
    width = f.shape[-1]
    _gelu_kernel[(_rows(f), triton.cdiv(width, CHUNK))](
        d, f, out, into, d.stride(1), f.stride(1), out.stride(1), into.stride(1), width, back, forth, CHUNK
    )


def gelu(f: Tensor, out: Tensor) -> None:
    _gelu(f, f, out, False, True)


def gelu_back(d: Tensor, f: Tensor, into: Tensor | None = None) -> None:
    _gelu(d, f, f, True, False, into)


def gelu_back_both(d: Tensor, f: Tensor, into: Tensor | None = None) -> None:
    _gelu(d, f, f, True, True, into)
