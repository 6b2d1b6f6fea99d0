"""The kernels of the fast VAE encoder in Triton: what stands between two convolutions, and the convolution itself.

A frame's rows are pixels, a pixel's channels lie side by side (T, H, W, C). Arithmetic is float32 inside and rounded
once, to the type of the buffer that is written. TRITON_INTERPRET=1 runs them on the CPU; the tests compare them so.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

FEW_PIXELS = 40_000  # of a convolution's output


@triton.jit
def _settle_kernel(
    y, bias, res, gamma, new, out, rows, height, width, y_t, y_h, y_w, out_t, out_h, out_w, scale, C: tl.constexpr,
    HAS_BIAS: tl.constexpr, HAS_RES: tl.constexpr, KEEP: tl.constexpr, NORM: tl.constexpr, WRITE: tl.constexpr,
    ACT: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_R: tl.constexpr,
):  # fmt: skip
    number = tl.program_id(0) * BLOCK_R + tl.arange(0, BLOCK_R)
    c = tl.arange(0, BLOCK_C)[None, :]
    # Divided in 32 bits, which is several times cheaper; only addresses need 64.
    line = number // width
    t, h, w = (line // height).to(tl.int64), line % height, number % width
    row = number.to(tl.int64)
    there = (row < rows)[:, None] & (c < C)
    at = (row * C)[:, None] + c
    v = tl.load(y + (t * y_t + h * y_h + w * y_w)[:, None] + c, there, 0.0).to(tl.float32)
    if HAS_BIAS:
        v += tl.load(bias + c, c < C, 0.0)
    if HAS_RES:
        v += tl.load(res + at, there, 0.0).to(tl.float32)
    if KEEP:
        tl.store(new + at, v.to(new.dtype.element_ty), there)
    if WRITE:
        if NORM:
            norm = tl.sqrt(tl.sum(tl.where(there, v * v, 0.0), 1))[:, None]
            v = v / tl.maximum(norm, 1e-12) * (scale * tl.load(gamma + c, c < C, 0.0))
        if ACT:
            v = v / (1 + tl.exp(-v))
        tl.store(out + (t * out_t + h * out_h + w * out_w)[:, None] + c, v.to(out.dtype.element_ty), there)


def settle(
    y: Tensor, bias: Tensor | None, res: Tensor | None, *, gamma: Tensor | None = None, out: Tensor | None = None,
    act: bool = False, keep: bool = False,
) -> Tensor | None:  # fmt: skip
    """As `vae_layers.settle`."""
    frames, height, width, channels = y.shape
    rows = frames * height * width
    new = torch.empty(y.shape, dtype=y.dtype, device=y.device) if keep else None
    block = triton.next_power_of_2(channels)
    rows_each = max(1, 8192 // block)
    nothing: Any = y
    target = nothing if out is None else out
    _settle_kernel[(triton.cdiv(rows, rows_each),)](
        y, nothing if bias is None else bias, nothing if res is None else res, nothing if gamma is None else gamma,
        nothing if new is None else new, target, rows, height, width, *y.stride()[:3], *target.stride()[:3],
        channels**0.5, C=channels, HAS_BIAS=bias is not None, HAS_RES=res is not None, KEEP=keep,
        NORM=gamma is not None, WRITE=out is not None, ACT=act, BLOCK_C=block, BLOCK_R=rows_each, num_warps=8,
    )  # fmt: skip
    return new


@triton.jit
def _conv_kernel(
    a, b, out, last, plane, line, N: tl.constexpr, GROUP: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):  # fmt: skip
    # Neighbouring programs share the pixels they read: all columns of a strip of pixels before the next strip.
    columns: tl.constexpr = (N + BLOCK_N - 1) // BLOCK_N
    p = (tl.program_id(0) // columns) * BLOCK_M
    n = (tl.program_id(0) % columns) * BLOCK_N
    total = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for step in range(9 * GROUP):
        tap, k = step // GROUP, (step % GROUP) * BLOCK_K
        pixels = a.load([p + (tap // 3) * plane + (tap % 3) * line, k])
        total = tl.dot(pixels, b.load([n, tap * GROUP * BLOCK_K + k]).T, total)
    row = p.to(tl.int64) + tl.arange(0, BLOCK_M)
    column = n + tl.arange(0, BLOCK_N)
    there = (row < last)[:, None] & (column < N)[None, :]
    tl.store(out + row[:, None] * N + column[None, :], total.to(out.dtype.element_ty), there)


def conv_weight(weight: Tensor, channels: int, block_k: int) -> Tensor:
    """[N, C, 3, 3, 3] -> [N, 9 · K]: nine taps in time and height, each with the three of width and the channels side
    by side, filled up with zeros to a multiple of `block_k`. channels: of the input, at least C."""
    n, c = weight.shape[:2]
    taps = weight.new_zeros(n, 3, 3, 3, channels)
    taps[..., :c] = weight.permute(0, 2, 3, 4, 1)
    taps = taps.reshape(n, 9, 3 * channels)
    fill = -taps.shape[2] % block_k
    return torch.nn.functional.pad(taps, (0, fill)).reshape(n, -1).contiguous()


def config_for(channels: int, outputs: int) -> dict[str, int] | None:
    """Tiles for a convolution of so many channels, or None where cuDNN was faster (one H100, docs/measured/caches.md).

    cuDNN reaches 600 TFLOP/s with 192 outputs and wastes half of itself with 96, and nearly all with 8 channels.
    """
    if channels <= 16:
        return {"M": 128, "N": 128, "K": 32 if 3 * channels <= 32 else 64, "warps": 4, "stages": 3}
    if outputs in (64, 96) or outputs % 128 == 0:
        return {"M": 256, "N": 128, "K": 32 if outputs < 128 else 64, "warps": 8, "stages": 4}
    return None


def available() -> bool:
    """Whether the convolution kernel runs here: it needs Hopper's copy engine and shared memory."""
    return torch.cuda.is_available() and torch.cuda.get_device_capability() >= (9, 0)


def conv(buffer: Tensor, weight: Tensor, config: dict[str, int]) -> Tensor:
    """Convolution 3x3x3 of a buffer with its borders: [T+2, H+2, W+2, C] -> [T, H, W, N], a view of padded lines.

    As one matrix product a tap on the flattened buffer: with a border on every side, the pixel a tap away is at a
    constant distance in memory, whatever the pixel; what is computed for border pixels is left out of the view. The
    three taps of width are neighbours in memory too, so one row of the operand is 3·C numbers, rows overlapping.
    """
    from triton.tools.tensor_descriptor import TensorDescriptor

    frames, high, wide, channels = buffer.shape
    n = weight.shape[0]
    plane = high * wide
    last = (frames - 2) * plane
    block_m, block_n, block_k = config["M"], config["N"], config["K"]
    warps, stages = config["warps"], config["stages"]
    if last < FEW_PIXELS:  # small tiles, so that there is one for every multiprocessor
        block_m, warps, stages = 128, 4, 4
    out = torch.empty(frames - 2, high, wide, n, dtype=buffer.dtype, device=buffer.device)
    rows = frames * plane - 2
    a = TensorDescriptor(buffer, [rows, 3 * channels], [channels, 1], [block_m, block_k])
    b = TensorDescriptor(weight, list(weight.shape), [weight.shape[1], 1], [block_n, block_k])
    grid = (triton.cdiv(last, block_m) * triton.cdiv(n, block_n),)
    _conv_kernel[grid](
        a, b, out, last, plane, wide, N=n, GROUP=triton.cdiv(3 * channels, block_k), BLOCK_M=block_m, BLOCK_N=block_n,
        BLOCK_K=block_k, num_warps=warps, num_stages=stages,
    )  # fmt: skip
    return out[:, : high - 2, : wide - 2]
