"""One Wan block as a single autograd function, its intermediates made on demand.

Forward and backward are written out, so that it is plain to see what is computed and what is kept. `Tape.get` makes a
tensor and whatever it needs; forward asks for the block's output, backward for what the gradients need. What was kept
is there; the rest is made again, and no more than that: the last product of the feed-forward, the most expensive,
never. No gradient is formed for the timestep, the text, or a first block's input. The formulas are those of diffusers'
WanTransformerBlock (0.42), rounded to the model's type less often.

Names: h0 the block's input, x1..x4 inputs of linear layers with their strip (see fast_linear.py), qkv and f outputs
before norm and GELU, q and k after norm and rotation, attn/co the outputs of self- and cross-attention, h1 h2 h3 the
hidden state after each of the three parts, l_* a LoRA's rank-wide product.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn

from wantrain.fast_away import Mover, Stored
from wantrain.fast_linear import Group
from wantrain.fast_ops import Ops, attention, attention_back

# What is kept under one name comes and goes together.
PARTS = {
    "attn": ("attn", "attn_rest"), "co": ("co", "co_rest"), "qk": ("q", "k"), "qkv": ("qkv", "l_qkv"),
    "h1": ("h1", "l_o"), "h2": ("h2", "l_co"), "cq": ("cq", "l_cq"), "kv": ("kv", "l_kv"), "f": ("f", "l_f"),
    "x1": ("x1",), "x2": ("x2",), "x3": ("x3",), "x4": ("x4",), "cqn": ("cqn",),
}  # fmt: skip
ALWAYS = ("h0", "l_2")


@dataclass
class Spec:
    """A block made ready: its packed layers, and what else its formulas need. `refresh` before every forward."""

    block: nn.Module
    heads: int
    eps: float
    ops: Ops
    backend: str
    qkv: Group
    o: Group
    cq: Group
    kv: Group
    co: Group
    ffn0: Group
    ffn2: Group
    layers: list[nn.Module]

    def __post_init__(self) -> None:
        self.prepare()

    def prepare(self) -> None:
        """What follows from frozen parameters; again after they moved. table [1, 6, D]: scales have their 1 added."""
        self.table = cast(Tensor, self.block.scale_shift_table).detach().float().clone()
        self.table[:, 1::3] += 1

    @property
    def disabled(self) -> bool:
        """Whether peft's adapter is switched off."""
        return any(getattr(layer, "disable_adapters", False) is True for layer in self.layers)

    @property
    def groups(self) -> tuple[Group, ...]:
        return (self.qkv, self.o, self.cq, self.kv, self.co, self.ffn0, self.ffn2)

    @property
    def parameters(self) -> list[nn.Parameter]:
        return [parameter for group in self.groups for parameter in group.parameters]


@dataclass(frozen=True)
class Inputs:
    """What a block is given beside h0: text [B, L, D], temb [B, 6, D] or [B, S, 6, D], cos and sin [1, S, 1, D/H]."""

    text: Tensor
    temb: Tensor
    cos: Tensor
    sin: Tensor


@dataclass
class Tape:
    """The intermediates of one block in one step. keep: while forward runs, what outlives it; None in backward."""

    spec: Spec
    given: Inputs
    values: dict[str, Any]
    keep: frozenset[str] | None = frozenset()
    _modulation: tuple[Tensor, ...] | None = field(default=None)

    def get(self, name: str) -> Any:
        """The tensor, made now if it is not there."""
        if name not in self.values:
            getattr(self, f"_make_{MAKERS.get(name, name)}")()
        return self.values[name]

    def take(self, name: str) -> Any:
        """The tensor, which is then gone from here."""
        value = self.get(name)
        del self.values[name]
        return value

    def done(self, *names: str) -> None:
        """In forward: let go of what is not kept."""
        if self.keep is not None:
            for name in names:
                if name not in self.keep:
                    for part in PARTS[name]:
                        self.values.pop(part, None)

    @property
    def modulation(self) -> tuple[Tensor, ...]:
        """shift, 1+scale, gate of self-attention, then of the feed-forward: float32 [B, 1 or S, D]."""
        if self._modulation is None:
            dimension = self.given.temb.ndim - 2
            parts = (self.spec.table + self.given.temb.float()).split(1, dim=dimension)
            self._modulation = tuple(p.squeeze(2) if dimension == 2 else p for p in parts)
        return self._modulation

    def strip(self, name: str, output: str, x: str, h: Tensor) -> None:
        """Remember a LoRA's rank-wide product: as it is where x is kept, else apart from it, so that x can go."""
        if self.keep is None or x in self.keep:
            self.values[name] = h
        elif output in self.keep or output == "always":
            self.values[name] = h.clone()

    # --- self-attention ---

    def _make_x1(self) -> None:
        shift, mult = self.modulation[:2]
        wide = self.spec.qkv.room(self.values["h0"])
        self.spec.ops.modulate(self.values["h0"], mult, shift, self.spec.eps, wide[..., : self.spec.qkv.inputs])
        self.values["x1"] = wide

    def _make_qkv(self) -> None:
        self.values["qkv"], h = self.spec.qkv.forward(self.get("x1"))
        self.strip("l_qkv", "qkv", "x1", h)
        self.done("x1")

    def _make_qk(self) -> None:
        attn: Any = self.spec.block.attn1
        qkv = self.get("qkv")
        weights = attn.norm_q.weight, attn.norm_k.weight
        self.values["q"], self.values["k"] = self.spec.ops.qk(
            qkv, *weights, self.given.cos, self.given.sin, self.spec.heads, attn.norm_q.eps
        )

    def value(self) -> Tensor:
        """The values of self-attention: a third of qkv."""
        return self.get("qkv")[..., 2 * self.values["h0"].shape[-1] :]

    def _make_attn(self) -> None:
        q, k = self.get("q"), self.get("k")
        out, rest = attention(q, k, self.value(), self.spec.heads, self.spec.backend)
        self.values["attn"], self.values["attn_rest"] = out, rest
        self.done("qk", "qkv")

    def _make_h1(self) -> None:
        y, h = self.spec.o.forward_plain(self.get("attn"))
        self.values["l_o"] = h
        self.done("attn")
        norm: Any = self.spec.block.norm2
        wide = self.spec.cq.room(y)
        self.values["h1"] = self.spec.ops.add_modulate(
            self.values["h0"], y, self.modulation[2], norm.weight, norm.bias, norm.eps, wide[..., : y.shape[-1]]
        )
        self.values["x2"] = wide

    # --- cross-attention ---

    def _make_x2(self) -> None:
        norm: Any = self.spec.block.norm2
        h1 = self.get("h1")
        if "x2" not in self.values:  # h1 was kept
            wide = self.spec.cq.room(h1)
            self.spec.ops.modulate(h1, norm.weight, norm.bias, norm.eps, wide[..., : self.spec.cq.inputs])
            self.values["x2"] = wide

    def _make_cq(self) -> None:
        self.values["cq"], h = self.spec.cq.forward(self.get("x2"))
        self.strip("l_cq", "cq", "x2", h)
        self.done("x2")

    def _make_cqn(self) -> None:
        norm: Any = self.spec.block.attn2.norm_q  # type: ignore[union-attr]
        self.values["cqn"] = self.spec.ops.rms(self.get("cq"), norm.weight, norm.eps)
        self.done("cq")

    def _make_kv(self) -> None:
        self.values["kv"], self.values["l_kv"] = self.spec.kv.forward_plain(self.given.text)

    def text_kv(self) -> tuple[Tensor, Tensor]:
        """Keys after norm and values of the text, [B, L, D]; made anew each time, they are small."""
        norm: Any = self.spec.block.attn2.norm_k  # type: ignore[union-attr]
        k, v = self.get("kv").chunk(2, dim=-1)
        return self.spec.ops.rms(k, norm.weight, norm.eps), v

    def _make_co(self) -> None:
        out, rest = attention(self.get("cqn"), *self.text_kv(), self.spec.heads, self.spec.backend)
        self.values["co"], self.values["co_rest"] = out, rest
        self.done("cqn", "kv")

    def _make_h2(self) -> None:
        y, h = self.spec.co.forward_plain(self.get("co"))
        self.values["l_co"] = h
        self.done("co")
        shift, mult = self.modulation[3:5]
        wide = self.spec.ffn0.room(y)
        out = wide[..., : y.shape[-1]]
        self.values["h2"] = self.spec.ops.add_modulate(self.get("h1"), y, None, mult, shift, self.spec.eps, out)
        self.values["x3"] = wide
        self.done("h1")

    # --- feed-forward ---

    def _make_x3(self) -> None:
        h2 = self.get("h2")
        if "x3" not in self.values:  # h2 was kept
            shift, mult = self.modulation[3:5]
            wide = self.spec.ffn0.room(h2)
            self.spec.ops.modulate(h2, mult, shift, self.spec.eps, wide[..., : self.spec.ffn0.inputs])
            self.values["x3"] = wide

    def _make_f(self) -> None:
        self.values["f"], h = self.spec.ffn0.forward(self.get("x3"))
        self.strip("l_f", "f", "x3", h)
        self.done("x3")

    def _make_x4(self) -> None:
        f = self.get("f")
        wide = self.spec.ffn2.room(f)
        self.spec.ops.gelu(f, wide[..., : self.spec.ffn2.inputs])
        self.values["x4"] = wide
        self.done("f")

    def output(self) -> Tensor:
        """h3; afterwards only what is kept is left here."""
        y, h = self.spec.ffn2.forward(self.get("x4"))
        self.strip("l_2", "always", "x4", h)
        out = self.spec.ops.add_gated(self.get("h2"), y, self.modulation[5])
        assert self.keep is not None
        left = {*ALWAYS, *(part for name in self.keep for part in PARTS[name])}
        self.values = {name: value for name, value in self.values.items() if name in left}
        self.keep = None
        if self.given.temb.ndim == 4:  # as large as the hidden state six times over, and cheap
            self._modulation = None
        return out


# The maker of a tensor that is not named after it.
MAKERS = {
    "q": "qk", "k": "qk", "attn_rest": "attn", "co_rest": "co", "l_qkv": "qkv", "l_o": "h1", "l_cq": "cq", "l_kv": "kv",
    "l_co": "h2", "l_f": "f",
}  # fmt: skip


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
    s.ffn2.input_grad(dy, out=df[..., :inner])
    if "x4" in t.values:
        s.ops.gelu_back(df[..., :inner], f)
        a = t.take("x4")[..., :inner]
    else:
        s.ops.gelu_back_both(df[..., :inner], f)
        a = f
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
    co = t.take("co")
    grads_o = s.co.weight_grads(d2, co, t.take("l_co"))
    (k, v), raw = t.text_kv(), t.take("kv")[..., :dim]
    dq, dk, dv = attention_back(dco, t.take("cqn"), k, v, co, t.take("co_rest"), s.heads, s.backend)
    del dco, co, v
    dkv = s.kv.room_back(raw)
    s.ops.rms_back(raw, dk, attn.norm_k.weight, attn.norm_k.eps, dkv[..., :dim])
    dkv[..., dim : 2 * dim].copy_(dv)
    s.kv.fill(dkv)
    grads_kv = s.kv.weight_grads(dkv, t.given.text, t.take("l_kv"))
    wide = s.cq.room_back(d2)
    s.ops.rms_back(t.take("cq"), dq, attn.norm_q.weight, attn.norm_q.eps, wide[..., :dim])
    dx = s.cq.input_grad(wide)
    d1, gated = torch.empty_like(dx), s.o.room_back(dx)
    norm: Any = s.block.norm2
    rest = (norm.weight, norm.bias, t.modulation[2], norm.eps, d1, gated[..., :dim])
    x = _norm_back(t, "x2", t.take("h1"), dx, d2[..., :dim], *rest)
    return d1, gated, [*s.cq.weight_grads(wide, x, t.take("l_cq")), *grads_kv, *grads_o]


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
        out = ctx.tape.output()
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
        dx, grads = backward(tape, d.contiguous(), ctx.needs_input_grad[0])
        return (dx, None, None, None, None, *grads)
