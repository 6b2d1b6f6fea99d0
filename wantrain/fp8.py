"""Matrix products in fp8 (e4m3) for frozen weights: y = x·Wᵀ + b and dx = dy·W, a scale for each row.

The weight is quantised once, by rows: W ≈ diag(s)·W8. Forward is then diag(sx)·x8·W8ᵀ·diag(s). Backward needs the same
W8 and nothing else, because s belongs to the index that is summed over: (dy·diag(s)) is quantised by rows instead of
dy. Hopper's fp8 products read both factors along the summed index, so backward takes W8 transposed: made anew for each
use (a byte a weight, some 12 ms a step of a 14B model) unless a second copy of all weights is kept.

Where there are no such products (cards before compute capability 8.9, the CPU) W8 is turned back into the type of x and
multiplied as usual: the memory is saved, the time is not. Scales: amax/448, float32. Nothing here records gradients.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

E4M3 = torch.float8_e4m3fn
LARGEST = 448.0
TINY = 1e-12  # below it a row is zero


@functools.cache
def native(device: torch.device) -> bool:
    """Whether the device multiplies e4m3 with a scale for every row: tried once on a small case."""
    if device.type != "cuda" or torch.cuda.get_device_capability(device) < (8, 9):
        return False
    try:
        x = torch.randn(32, 64, device=device, dtype=torch.bfloat16)
        product(*quantise(x), *quantise(x), None, torch.empty(32, 32, device=device, dtype=torch.bfloat16))
        torch.cuda.synchronize(device)
        return True
    except RuntimeError:
        return False


def layout(outs: int, ins: int) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """The frozen tensors of a weight [outs, ins]: name -> shape and type."""
    return {"weight": ((outs, ins), E4M3), "scale": ((outs, 1), torch.float32)}


def quantise(x: Tensor, fold: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """x [M, K] (any row stride), times `fold` [K] -> e4m3 [M, K] and float32 scales [M, 1]: x·fold ≈ scale·e4m3."""
    if x.is_cuda and torch.cuda.get_device_capability(x.device) >= (8, 9):
        from wantrain import fp8_triton

        return fp8_triton.quantise(x, fold)
    wide = x.float() if fold is None else x.float() * fold
    scale = (wide.abs().amax(1, keepdim=True) / LARGEST).clamp_min(TINY)
    return (wide / scale).to(E4M3), scale


def forward(x: Tensor, w8: Tensor, scale: Tensor, bias: Tensor, out: Tensor) -> None:
    """out [M, N] = x·Wᵀ + bias, for x [M, K] and W = scale·w8, [N, K]."""
    if native(x.device):
        product(*quantise(x), w8, scale, bias, out)
    else:
        torch.addmm(bias, x, (w8.to(x.dtype) * scale.to(x.dtype)).t(), out=out)


def input_grad(dy: Tensor, w8: Tensor, scale: Tensor, turned: Tensor | None, out: Tensor) -> None:
    """out [M, K] = dy·W. turned: w8 transposed, where it is kept."""
    if native(dy.device):
        turned = transposed(w8) if turned is None else turned
        product(*quantise(dy, scale[:, 0]), turned, None, None, out)
    else:
        torch.mm(dy, w8.to(dy.dtype) * scale.to(dy.dtype), out=out)


def product(x8: Tensor, sx: Tensor, w8: Tensor, sw: Tensor | None, bias: Tensor | None, out: Tensor) -> None:
    """out [M, N] = diag(sx)·x8·w8ᵀ·diag(sw) + bias. x8 [M, K], w8 [N, K], sx [M, 1], sw [N, 1] or None (ones)."""
    if not x8.is_cuda:  # the same numbers, for tests
        y = (x8.float() @ w8.float().t()) * sx
        y = y if sw is None else y * sw.t()
        out.copy_(y if bias is None else y + bias)
        return
    ones = _ones(len(w8), x8.device) if sw is None else sw.t()
    multiply: Any = torch._scaled_mm
    given = {"scale_a": sx, "scale_b": ones, "bias": bias, "out_dtype": out.dtype, "use_fast_accum": True}
    if out.is_contiguous():
        multiply(x8, w8.t(), **given, out=out)
    else:
        out.copy_(multiply(x8, w8.t(), **given))


def transposed(w8: Tensor) -> Tensor:
    """w8 [N, K] -> contiguous [K, N]."""
    if w8.is_cuda:
        from wantrain import fp8_triton

        return fp8_triton.transposed(w8)
    return w8.view(torch.uint8).t().contiguous().view(E4M3)


@functools.cache
def _ones(count: int, device: torch.device) -> Tensor:
    return torch.ones(1, count, dtype=torch.float32, device=device)
