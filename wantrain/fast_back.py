"""The backward of one Wan block, and the autograd function made of both halves. Names as in fast_block.py.

Written in the order in which memory can be let go of: the feed-forward first, then cross-attention, then
self-attention; each takes what it needs from the tape for the last time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from wantrain.fast_away import Mover, Stored
from wantrain.fast_block import Inputs, Spec, Tape
from wantrain.fast_linear import Group
from wantrain.fast_ops import attention_back
from wantrain.fast_pads import cross_back


def backward(t: Tape, d: Tensor, need_input: bool) -> tuple[Tensor | None, list[Tensor | None]]:
    """Gradients of h0 (None unless `need_input`) and of `spec.parameters`, given that of h3. Uses up the tape."""
    d, ffn = _ffn_back(t, d)
    d, gated_o, cross = _cross_back(t, d)
    dx, own = _own_back(t, d, gated_o, need_input)
    return dx, [*own, *cross, *ffn]


def _ffn_back(t: Tape, d3: Tensor) -> tuple[Tensor, list[Tensor | None]]:
    """-> [dh2 | room for g of co], gradients of ffn0 and ffn2."""
    s, dim, inner = t.spec, d3.shape[-1], t.spec.ffn2.inputs
    dy = s.ffn2.room_back(d3)
    s.ops.gated(d3, t.modulation[5], dy[..., :dim])
    f = t.take("f")
    df = s.ffn0.room_back(d3)
    # A product of reduced weights writes rows without a gap only.
    da = s.ffn2.input_grad(dy, out=None if s.ffn2.scale is not None else df[..., :inner])
    if "x4" in t.values:
        s.ops.gelu_back(da, f, df[..., :inner])
        a = t.take("x4")[..., :inner]
    else:
        s.ops.gelu_back_both(da, f, df[..., :inner])
        a = f
    del da
    grads2 = s.ffn2.weight_grads(dy, a, t.take("l_2"))
    del a, f, dy
    dx = s.ffn0.input_grad(df)
    d2 = s.co.room_back(d3)
    shift, mult = t.modulation[3:5]
    x = _norm_back(t, "x3", t.take("h2"), dx, d3, mult, shift, None, s.eps, d2[..., :dim], None)
    return d2, [*s.ffn0.weight_grads(df, x, t.take("l_f")), *grads2]


def _cross_back(t: Tape, d2: Tensor) -> tuple[Tensor, Tensor, list[Tensor | None]]:
    """-> dh1, [its product with the gate | room for g of o], gradients of cq, kv and co."""
    s, dim = t.spec, t.values["h0"].shape[-1]
    attn: Any = s.block.attn2
    dco = s.co.input_grad(d2)
    grads_o = s.co.weight_grads(d2, t.crossed(), t.take("l_co"))
    q, (k, v) = t.take("cqn"), t.text_kv()
    found = t.take("co"), t.take("co_rest"), t.given.pads
    dq, dk, dv = cross_back(dco, q, k, v, *found, s.heads, s.backend, s.ops)
    grads_kv = _context_back(t, s.kv, "kv", t.given.text, dk, dv, attn.norm_k)
    if s.ikv is not None:
        k, v = t.image_kv()
        more, dk, dv = attention_back(dco, q, k, v, t.take("ci"), t.take("ci_rest"), s.heads, s.backend)
        dq = s.ops.add_gated(dq, more, None)
        grads_kv += _context_back(t, s.ikv, "ikv", t.given.image, dk, dv, attn.norm_added_k)
        del more
    del dco, q, k, v
    wide = s.cq.room_back(d2)
    s.ops.rms_back(t.take("cq"), dq, attn.norm_q.weight, attn.norm_q.eps, wide[..., :dim])
    dx = s.cq.input_grad(wide)
    d1, gated = torch.empty_like(dx), s.o.room_back(dx)
    norm: Any = s.block.norm2
    rest = (norm.weight, norm.bias, t.modulation[2], norm.eps, d1, gated[..., :dim])
    x = _norm_back(t, "x2", t.take("h1"), dx, d2[..., :dim], *rest)
    return d1, gated, [*s.cq.weight_grads(wide, x, t.take("l_cq")), *grads_kv, *grads_o]


def _context_back(
    t: Tape, group: Group, name: str, context: Tensor | None, dk: Tensor, dv: Tensor, norm: Any
) -> list[Tensor | None]:
    """Gradients of the keys and values of text or image, which are small."""
    assert context is not None
    dim = dk.shape[-1]
    raw = t.take(name)[..., :dim]
    d = group.room_back(raw)
    t.spec.ops.rms_back(raw, dk, norm.weight, norm.eps, d[..., :dim])
    d[..., dim : 2 * dim].copy_(dv)
    group.fill(d)
    return group.weight_grads(d, context, t.take(f"l_{name}"))


def _own_back(t: Tape, d1: Tensor, gated: Tensor, need_input: bool) -> tuple[Tensor | None, list[Tensor | None]]:
    """-> dh0, gradients of qkv and o."""
    s, dim = t.spec, d1.shape[-1]
    attn: Any = s.block.attn1
    d = s.o.input_grad(gated)
    out = t.take("attn")
    grads_o = s.o.weight_grads(gated, out, t.take("l_o"))
    del gated
    value = t.value()
    found = attention_back(d, t.take("q"), t.take("k"), value, out, t.take("attn_rest"), s.heads, s.backend)
    del d, out, value
    wide = s.qkv.room_back(d1)
    weights = attn.norm_q.weight, attn.norm_k.weight
    s.ops.qkv_back(
        t.take("qkv"), *found, *weights, t.given.cos, t.given.sin, s.heads, attn.norm_q.eps, wide[..., : 3 * dim]
    )
    del found
    if not need_input:
        s.qkv.fill(wide)
        return None, [*s.qkv.weight_grads(wide, t.get("x1")[..., :dim], t.take("l_qkv")), *grads_o]
    dx = s.qkv.input_grad(wide)
    d0 = torch.empty_like(dx)
    shift, mult = t.modulation[:2]
    x = _norm_back(t, "x1", t.values["h0"], dx, d1, mult, shift, None, s.eps, d0, None)
    return d0, [*s.qkv.weight_grads(wide, x, t.take("l_qkv")), *grads_o]


def _norm_back(
    t: Tape, name: str, h: Tensor, dx: Tensor, past: Tensor, mult: Tensor, shift: Tensor, gate: Tensor | None,
    eps: float, out: Tensor, out_gated: Tensor | None,
) -> Tensor:  # fmt: skip
    """Backward through a norm; returns its forward result, kept or written over dx."""
    there = name in t.values
    t.spec.ops.modulate_back(h, dx, past, mult, None if there else shift, gate, eps, out, out_gated)
    return t.take(name)[..., : h.shape[-1]] if there else dx


@dataclass
class Away:
    """What of one block waits in host memory, and who takes it there."""

    mover: Mover
    number: int
    names: frozenset[str]
    stored: dict[str, Stored] = field(default_factory=dict)


class BlockFunction(torch.autograd.Function):
    """h3 of h0. The parameters are arguments so that autograd knows them; their values are in the packed layers."""

    @staticmethod
    def forward(
        ctx: Any, h0: Tensor, spec: Spec, given: Inputs, keep: frozenset[str], away: Away | None,
        *parameters: nn.Parameter,
    ) -> Tensor:  # fmt: skip
        # Detached, so that kernels are not compiled twice: for a first block's input and for one with a gradient.
        ctx.tape, ctx.away = Tape(spec, given, {"h0": h0.detach()}, keep), away
        spec.need(1)
        out = ctx.tape.output()
        spec.done(1)
        if away is not None:
            values = ctx.tape.values
            away.stored = away.mover.put(away.number, {name: values.pop(name) for name in away.names})
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d: Tensor) -> tuple[Any, ...]:
        tape, ctx.tape = ctx.tape, None
        if tape is None:
            raise RuntimeError("the backward of a fast block runs once; do not use retain_graph")
        if ctx.away is not None:
            tape.values |= ctx.away.mover.take(ctx.away.number, ctx.away.stored)
        tape.spec.need(-1)
        dx, grads = backward(tape, d.contiguous(), ctx.needs_input_grad[0])
        tape.spec.done(-1)
        return (dx, None, None, None, None, *grads)
