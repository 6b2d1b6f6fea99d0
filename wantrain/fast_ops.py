"""The formulas between the matrix products of a Wan block, forward and backward, and attention with its halves apart.

Each function reads its inputs once and writes its results once when compiled (inductor makes one or two kernels of
it); uncompiled it is the same arithmetic, which is how the tests on the CPU check it. Everything is computed in
float32 and rounded once, to the type of the buffer it goes to. Legend: B batch, S tokens, D model width, H heads.
Functions with `out` arguments write there: these are slices of wider buffers, so that a LoRA's rank-wide product can
lie beside its operand (see fast_linear.py). Nothing here records gradients.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

GELU_A = 0.7978845608028654  # sqrt(2/π), of the tanh approximation
GELU_B = 0.044715


# --- layer norm with modulation: y = LN(h)·mult + shift ---


def modulate(h: Tensor, mult: Tensor, shift: Tensor, eps: float, out: Tensor) -> None:
    """out = LN(h)·mult + shift. h, out [B, S, D]; mult, shift float32, [B or 1, S or 1, D]."""
    out.copy_(functional.layer_norm(h.float(), h.shape[-1:], None, None, eps) * mult + shift)


def add_modulate(
    h: Tensor, y: Tensor, gate: Tensor | None, mult: Tensor, shift: Tensor, eps: float, out: Tensor
) -> Tensor:
    """The new hidden state n = h + y·gate (returned, in h's type), and out = LN(n)·mult + shift."""
    new = add_gated(h, y, gate)
    out.copy_(functional.layer_norm(new.float(), h.shape[-1:], None, None, eps) * mult + shift)
    return new


def add_gated(h: Tensor, y: Tensor, gate: Tensor | None) -> Tensor:
    """h + y·gate in float32, rounded to h's type. gate None is 1."""
    y = y.float() if gate is None else y.float() * gate
    return (h.float() + y).to(h.dtype)


def gated(d: Tensor, gate: Tensor, out: Tensor) -> None:
    """out = d·gate."""
    out.copy_(d.float() * gate)


def modulate_back(
    h: Tensor, d: Tensor, past: Tensor, mult: Tensor, shift: Tensor | None, gate: Tensor | None, eps: float,
    out: Tensor, out_gated: Tensor | None,
) -> None:  # fmt: skip
    """Backward of n -> (n, LN(n)·mult + shift) at n = h: out = past + dLN, where d is the gradient of the second.

    With a shift, d is overwritten by LN(h)·mult + shift, which the LoRA behind it needs for its own gradient and
    which costs one write here. With a gate, out_gated = out·gate.
    """
    x = h.float()
    mean = x.mean(-1, keepdim=True)
    centred = x - mean
    rstd = torch.rsqrt(centred.square().mean(-1, keepdim=True) + eps)
    hat = centred * rstd
    inner = d.float() * mult
    slope = (inner - inner.mean(-1, keepdim=True) - hat * (inner * hat).mean(-1, keepdim=True)) * rstd
    total = past.float() + slope
    if shift is not None:
        d.copy_(hat * mult + shift)
    out.copy_(total)
    if gate is not None and out_gated is not None:
        out_gated.copy_(total * gate)


# --- RMS norm over all heads, and rotary embedding ---


def rms(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x·rstd·weight over the last dimension."""
    wide = x.float()
    return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps) * weight.float()).to(x.dtype)


def _rms_slope(x: Tensor, d: Tensor, weight: Tensor, eps: float) -> Tensor:
    wide = x.float()
    rstd = torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
    inner = d.float() * weight.float()
    return (inner - wide * rstd.square() * (inner * wide).mean(-1, keepdim=True)) * rstd


def rms_back(x: Tensor, d: Tensor, weight: Tensor, eps: float, out: Tensor) -> None:
    """out = gradient of x, given d of rms(x)."""
    out.copy_(_rms_slope(x, d, weight, eps))


def _turned(x: Tensor) -> Tensor:
    """(x0, x1) -> (−x1, x0) for every pair of neighbours."""
    even, odd = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack((-odd, even), -1).flatten(-2)


def _rope(x: Tensor, cos: Tensor, sin: Tensor, heads: int) -> Tensor:
    """Rotate float32 [B, S, D] by cos, sin [1, S, 1, D/H], each value repeated for its pair. Real arithmetic."""
    split = x.unflatten(-1, (heads, -1))
    return (split * cos + _turned(split) * sin).flatten(-2)


def qk(qkv: Tensor, wq: Tensor, wk: Tensor, cos: Tensor, sin: Tensor, heads: int, eps: float) -> tuple[Tensor, Tensor]:
    """Queries and keys [B, S, D] from qkv [B, S, 3D]: RMS norm, then rotation, rounded once."""
    dim = qkv.shape[-1] // 3
    both = []
    for x, weight in ((qkv[..., :dim], wq), (qkv[..., dim : 2 * dim], wk)):
        wide = x.float()
        wide = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps) * weight.float()
        both.append(_rope(wide, cos, sin, heads).to(qkv.dtype))
    return both[0], both[1]


def qkv_back(
    qkv: Tensor, dq: Tensor, dk: Tensor, dv: Tensor, wq: Tensor, wk: Tensor, cos: Tensor, sin: Tensor, heads: int,
    eps: float, out: Tensor,
) -> None:  # fmt: skip
    """out [B, S, 3D] = gradient of qkv, given those of the queries, keys and values that attention took."""
    dim = dq.shape[-1]
    for number, (d, weight) in enumerate(((dq, wq), (dk, wk))):
        span = slice(number * dim, (number + 1) * dim)
        straight = _rope(d.float(), cos, -sin, heads)  # the transpose of a rotation turns back
        out[..., span].copy_(_rms_slope(qkv[..., span], straight, weight, eps))
    out[..., 2 * dim :].copy_(dv)


# --- GELU, tanh approximation ---


def gelu(f: Tensor, out: Tensor) -> None:
    """out = gelu(f)."""
    out.copy_(functional.gelu(f.float(), approximate="tanh"))


def _gelu_parts(f: Tensor) -> tuple[Tensor, Tensor]:
    """gelu(f) and its slope, float32."""
    x = f.float()
    t = torch.tanh(GELU_A * (x + GELU_B * x * x * x))
    half = 0.5 * (1 + t)
    return x * half, half + 0.5 * x * (1 - t * t) * GELU_A * (1 + 3 * GELU_B * x * x)


def gelu_back(d: Tensor, f: Tensor, into: Tensor | None = None) -> None:
    """The gradient of f into `into`, or in d's place."""
    (d if into is None else into).copy_(d.float() * _gelu_parts(f)[1])


def gelu_back_both(d: Tensor, f: Tensor, into: Tensor | None = None) -> None:
    """The same, and f becomes gelu(f)."""
    value, slope = _gelu_parts(f)
    (d if into is None else into).copy_(d.float() * slope)
    f.copy_(value)


# --- attention ---


def _heads(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def _flat(x: Tensor) -> Tensor:
    """[B, H, S, D/H] -> [B, S, D]; no copy when the kernel kept its inputs' layout."""
    return x.transpose(1, 2).flatten(2)


def attention(q: Tensor, k: Tensor, v: Tensor, heads: int, backend: str) -> tuple[Tensor, tuple[Any, ...]]:
    """softmax(q·kᵀ/√d)·v without mask, [B, S, D], and what its backward wants besides (log-sum-exp, random state).

    backend: "cudnn", "flash" (both CUDA) or "cpu". Called by name: torch's own dispatch may fall back in silence.
    """
    args = (_heads(q, heads), _heads(k, heads), _heads(v, heads))
    aten = torch.ops.aten
    if backend == "cudnn":
        out, *rest = aten._scaled_dot_product_cudnn_attention(*args, None, True)
    elif backend == "flash":
        out, *rest = aten._scaled_dot_product_flash_attention(*args)
    else:
        out, *rest = aten._scaled_dot_product_flash_attention_for_cpu(*args)
    return _flat(out), tuple(rest)


def attention_back(
    d: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, rest: tuple[Any, ...], heads: int, backend: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of q, k, v, each [B, S, D]."""
    args = [_heads(x, heads) for x in (d, q, k, v, out)]
    aten = torch.ops.aten
    if backend == "cudnn":
        lse, cum_q, cum_k, max_q, max_k, seed, offset, _ = rest
        back = aten._scaled_dot_product_cudnn_attention_backward
        found = back(*args, lse, seed, offset, None, cum_q, cum_k, max_q, max_k, 0.0, False)
    elif backend == "flash":
        lse, cum_q, cum_k, max_q, max_k, state, unused, _ = rest
        back = aten._scaled_dot_product_flash_attention_backward
        found = back(*args, lse, cum_q, cum_k, max_q, max_k, 0.0, False, state, unused)
    else:
        found = aten._scaled_dot_product_flash_attention_for_cpu_backward(*args, rest[0], 0.0, False)
    return _flat(found[0]), _flat(found[1]), _flat(found[2])


# --- cross-attention's padding, see fast_pads.py ---


def mix_pads(out: Tensor, lse: Tensor, q: Tensor, k: Tensor, v: Tensor, more: float) -> None:
    """Mix the padding's value into `out` [B, S, D] and its weight into `lse` [B, H, S], both in place.

    k, v [B, D]: its key and value. more: what its score is greater by, ln of how many keys it stands for.
    """
    heads, scale = lse.shape[1], (q.shape[-1] // lse.shape[1]) ** -0.5
    score = (q.float() * k.float()[:, None]).unflatten(-1, (heads, -1)).sum(-1) * scale + more
    whole = torch.logaddexp(lse.transpose(1, 2), score)
    share = torch.exp(score - whole)[..., None]
    wide = out.float().unflatten(-1, (heads, -1))
    out.copy_((wide + share * (v.float().unflatten(-1, (heads, -1))[:, None] - wide)).flatten(-2))
    lse.copy_(whole.transpose(1, 2))


def pads_back(
    d: Tensor, out: Tensor, lse: Tensor, q: Tensor, dq: Tensor, k: Tensor, v: Tensor, more: float
) -> tuple[Tensor, Tensor]:
    """Gradients of k and v, float32 [B, D], given that of `out`; adds the padding's part to dq. As mixed."""
    heads, scale = lse.shape[1], (q.shape[-1] // lse.shape[1]) ** -0.5
    wide = {name: x.float().unflatten(-1, (heads, -1)) for name, x in (("d", d), ("out", out), ("q", q))}
    key, value = (x.float().unflatten(-1, (heads, -1))[:, None] for x in (k, v))
    share = torch.exp((wide["q"] * key).sum(-1) * scale + more - lse.transpose(1, 2))
    slope = share * ((wide["d"] * value).sum(-1) - (wide["d"] * wide["out"]).sum(-1)) * scale
    dq.add_((slope[..., None] * key).flatten(-2))
    return (slope[..., None] * wide["q"]).sum(1).flatten(-2), (share[..., None] * wide["d"]).sum(1).flatten(-2)


# --- compiled or not ---

NAMES = (
    "modulate", "add_modulate", "add_gated", "gated", "modulate_back", "rms", "rms_back", "qk", "qkv_back", "gelu",
    "gelu_back", "gelu_back_both", "mix_pads", "pads_back",
)  # fmt: skip


class Ops:
    """The functions of NAMES as attributes: Triton's, inductor's, or as they are here. Attention is not among them."""

    modulate: Callable[..., None]
    add_modulate: Callable[..., Tensor]
    add_gated: Callable[..., Tensor]
    gated: Callable[..., None]
    modulate_back: Callable[..., None]
    rms: Callable[..., Tensor]
    rms_back: Callable[..., None]
    qk: Callable[..., tuple[Tensor, Tensor]]
    qkv_back: Callable[..., None]
    gelu: Callable[..., None]
    gelu_back: Callable[..., None]
    gelu_back_both: Callable[..., None]
    mix_pads: Callable[..., None]
    pads_back: Callable[..., tuple[Tensor, Tensor]]

    def __init__(self, kind: str) -> None:
        source = globals()
        if kind == "triton":
            from wantrain import fast_triton, fast_triton_pads

            source = vars(fast_triton) | vars(fast_triton_pads)
        for name in NAMES:
            setattr(self, name, _compiled(source[name]) if kind == "inductor" else source[name])


@functools.cache
def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """One compiled function a process, specialised for every bucket: a kernel compiles once a shape, not once a block.

    torch's default limit of 8 specialisations would turn a training set of many buckets into an error.
    """
    from torch._dynamo import config

    config.recompile_limit = max(config.recompile_limit, 512)
    config.accumulated_recompile_limit = max(config.accumulated_recompile_limit, 8192)
    return torch.compile(function, fullgraph=True, dynamic=False)


@functools.cache
def ops(kind: str) -> Ops:
    """kind: "triton", "inductor" or "eager"."""
    return Ops(kind)
