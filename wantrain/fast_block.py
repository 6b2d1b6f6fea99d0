"""The forward of one Wan block, its intermediates made on demand. Its backward: fast_back.py.

Forward and backward are written out, so that it is plain to see what is computed and what is kept. `Tape.get` makes a
tensor and whatever it needs; forward asks for the block's output, backward for what the gradients need. What was kept
is there; the rest is made again, and no more than that: the last product of the feed-forward, the most expensive,
never. No gradient is formed for the timestep, the text, or a first block's input. The formulas are those of diffusers'
WanTransformerBlock (0.42), rounded to the model's type less often.

Names: h0 the block's input, x1..x4 inputs of linear layers with their strip (see fast_linear.py), qkv and f outputs
before norm and GELU, q and k after norm and rotation, attn/co the outputs of self- and cross-attention, h1 h2 h3 the
hidden state after each of the three parts, l_* a LoRA's rank-wide product. Wan 2.1 image to video looks at the image by
a second cross-attention with the same queries: ikv its keys and values, ci its output, which is added to co.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any, cast

from torch import Tensor, nn

from wantrain.fast_linear import Group
from wantrain.fast_ops import Ops, attention
from wantrain.fast_pads import cross
from wantrain.memory import ELEMENTWISE
from wantrain.stream import Store

# What is kept under one name comes and goes together.
PARTS = {
    "attn": ("attn", "attn_rest"), "co": ("co", "co_rest", "ci", "ci_rest"), "qk": ("q", "k"), "qkv": ("qkv", "l_qkv"),
    "h1": ("h1", "l_o"), "h2": ("h2", "l_co"), "cq": ("cq", "l_cq"), "f": ("f", "l_f"),
    "kv": ("kv", "l_kv", "ikv", "l_ikv"),
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
    ikv: Group | None = None
    number: int = 0
    store: Store | None = None
    turned: bool = False

    def __post_init__(self) -> None:
        image = () if self.ikv is None else (self.ikv,)
        self.groups: tuple[Group, ...] = (
            self.qkv, self.o, self.cq, self.kv, *image, self.co, self.ffn0, self.ffn2,
        )  # fmt: skip
        self.parameters = [parameter for group in self.groups for parameter in group.parameters]
        self.prepare()

    def prepare(self) -> None:
        """What follows from frozen parameters; again after they moved. table [1, 6, D]: scales have their 1 added."""
        self.table = cast(Tensor, self.block.scale_shift_table).detach().float().clone()
        self.table[:, 1::3] += 1

    def need(self, step: int) -> None:
        """The block is computed with next: forward (1) or backward (-1)."""
        if self.store is not None:
            self.store.need(self.number, step)

    def done(self, step: int) -> None:
        """turned: a backward has gone through it."""
        self.turned = self.turned or step < 0
        if self.store is not None:
            self.store.done(self.number, step)


@dataclass(frozen=True)
class Inputs:
    """What a block is given beside h0: text [B, L, D], temb [B, 6, D] or [B, S, 6, D], cos and sin [1, S, 1, D/H].

    image: [B, I, D], where the block looks at one. pads: how many equal tokens the text's last stands for, 0: it is one
    as the others (fast_pads.py).
    """

    text: Tensor
    temb: Tensor
    cos: Tensor
    sin: Tensor
    image: Tensor | None = None
    pads: int = 0


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
        """Let go: in forward of what is not kept, in backward of what an elementwise kernel makes again.

        Backward computes most of a block before it needs the first half of it: seven hidden states would lie about.
        """
        for name in names:
            if (name not in self.keep) if self.keep is not None else (name in ELEMENTWISE):
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
        if self.keep is not None and x in self.keep:
            self.values[name] = h
        elif self.keep is None or output in self.keep or output == "always":
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

    def _make_ikv(self) -> None:
        assert self.spec.ikv is not None
        assert self.given.image is not None
        self.values["ikv"], self.values["l_ikv"] = self.spec.ikv.forward_plain(self.given.image)

    def image_kv(self) -> tuple[Tensor, Tensor]:
        """The same of the image."""
        norm: Any = self.spec.block.attn2.norm_added_k  # type: ignore[union-attr]
        k, v = self.get("ikv").chunk(2, dim=-1)
        return self.spec.ops.rms(k, norm.weight, norm.eps), v

    def _make_co(self) -> None:
        heads, backend, q = self.spec.heads, self.spec.backend, self.get("cqn")
        found = cross(q, *self.text_kv(), self.given.pads, heads, backend, self.spec.ops)
        self.values["co"], self.values["co_rest"] = found
        if self.spec.ikv is not None:
            self.values["ci"], self.values["ci_rest"] = attention(q, *self.image_kv(), heads, backend)
        self.done("cqn", "kv")

    def crossed(self) -> Tensor:
        """What cross-attention found in all: attention's backward wants its outputs one by one, so no sum is kept."""
        co = self.get("co")
        return co if self.spec.ikv is None else self.spec.ops.add_gated(co, self.values["ci"], None)

    def _make_h2(self) -> None:
        y, h = self.spec.co.forward_plain(self.crossed())
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
        left = _left(self.keep)
        self.values = {name: value for name, value in self.values.items() if name in left}
        self.keep = None
        if self.given.temb.ndim == 4:  # as large as the hidden state six times over, and cheap
            self._modulation = None
        return out


@functools.cache
def _left(keep: frozenset[str]) -> frozenset[str]:
    """What of a tape outlives forward."""
    return frozenset({*ALWAYS, *(part for name in keep for part in PARTS[name])})


# The maker of a tensor that is not named after it.
MAKERS = {
    "ci": "co", "ci_rest": "co", "l_ikv": "ikv",
    "q": "qk", "k": "qk", "attn_rest": "attn", "co_rest": "co", "l_qkv": "qkv", "l_o": "h1", "l_cq": "cq", "l_kv": "kv",
    "l_co": "h2", "l_f": "f",
}  # fmt: skip
