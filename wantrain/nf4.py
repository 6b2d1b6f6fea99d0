"""Frozen weights in 4 bits (NF4, Dettmers et al. 2023, "QLoRA", appendix E): for capacity, not for speed.

Of every 64 numbers along a row the largest magnitude is kept (float16), and each is rounded to one of 16 parts of it,
which lie as a normal distribution does: 4.25 bits a weight, a relative error of about a tenth. Products are those of
the model's own type: a weight is turned back into it, as a whole, just before each use, which costs its bytes once more
and 160 MB for the widest layer of a 14B model.

Functions as in fp8.py. Nothing here records gradients.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

BLOCK = 64
CODES = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)  # fmt: skip


def layout(outs: int, ins: int) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """The frozen tensors of a weight [outs, ins]: name -> shape and type. ValueError for an odd number of inputs."""
    if ins % 2:
        raise ValueError(f"{ins} inputs cannot be packed in pairs")
    return {"weight": ((outs, ins // 2), torch.uint8), "scale": ((outs, -(-ins // BLOCK)), torch.float16)}


def quantise(x: Tensor) -> tuple[Tensor, Tensor]:
    """x [N, K] -> packed uint8 [N, K/2], the even column in the low half of a byte, and float16 scales [N, K/64]."""
    rows, width = x.shape
    wide = torch.nn.functional.pad(x.float(), (0, -width % BLOCK)).view(rows, -1, BLOCK)
    scale = wide.abs().amax(2).half()
    codes = _codes(x.device)
    parts = wide / scale.float().clamp_min(1e-30)[..., None]
    index = torch.bucketize(parts, (codes[1:] + codes[:-1]) / 2, out_int32=True).to(torch.uint8)
    index = index.view(rows, -1)[:, :width]
    return index[:, 0::2] | index[:, 1::2] << 4, scale


def dequantise(packed: Tensor, scale: Tensor, dtype: torch.dtype) -> Tensor:
    """[N, K] in `dtype`."""
    if packed.is_cuda:
        from wantrain import nf4_triton

        return nf4_triton.dequantise(packed, scale, _codes(packed.device), dtype)
    index = torch.stack((packed & 15, packed >> 4), -1).flatten(1).int()
    share = scale.float().repeat_interleave(BLOCK, 1)[:, : index.shape[1]]
    return (_codes(packed.device)[index] * share).to(dtype)


def forward(x: Tensor, packed: Tensor, scale: Tensor, bias: Tensor, out: Tensor) -> None:
    """out [M, N] = x·Wᵀ + bias, for x [M, K]."""
    torch.addmm(bias, x, dequantise(packed, scale, x.dtype).t(), out=out)


def input_grad(dy: Tensor, packed: Tensor, scale: Tensor, turned: Tensor | None, out: Tensor) -> None:
    """out [M, K] = dy·W. turned: nothing; of fp8 only."""
    torch.mm(dy, dequantise(packed, scale, dy.dtype), out=out)


@functools.cache
def _codes(device: torch.device) -> Tensor:
    return torch.tensor(CODES, device=device)
