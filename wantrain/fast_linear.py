"""Linear layers that share an input, with their LoRAs, as few and large matrix products.

y = x·Wᵀ + b + s·(x·Aᵀ)·Bᵀ. Adding the LoRA's part afterwards reads and writes all of y once more for 0.6 % of the
arithmetic. Instead W, A and s·B lie in one matrix P (rows: outputs, then A; columns: inputs, then s·B), so that

    h = x·Aᵀ                       rank wide, written beside x           [x | h]
    y = [x | h]·P[:out]ᵀ + b       one product does base and LoRA
    g = dy·(s·B)                   written beside dy                     [dy | g]
    dx = [dy | g]·P[:, :in]        likewise

The frozen weight gets no gradient; dA = gᵀ·x and dB = s·dyᵀ·h come out in float32. The module's own `weight` becomes a
view of P, so the plain forward still works and nothing is held twice. The LoRA's float32 parameters are cast into P by
`refresh`, once a forward pass. Rank-wide strips are padded with zeros to 64 columns: rows stay aligned for TMA.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

ALIGN = 64


@dataclass(frozen=True)
class Member:
    """One linear layer of a group. a, b: its LoRA's parameters or None; scale: alpha/rank; first: of its ranks in P."""

    base: nn.Linear
    a: nn.Parameter | None
    b: nn.Parameter | None
    scale: float
    first: int
    outs: slice

    @property
    def ranks(self) -> slice:
        return slice(self.first, self.first + (0 if self.a is None else self.a.shape[0]))


def refusals(layer: nn.Module, name: str) -> list[str]:
    """Why this layer cannot be packed; empty when it can."""
    if isinstance(layer, nn.Linear):
        return [] if layer.bias is not None else [f"{name} has no bias"]
    if not isinstance(getattr(layer, "base_layer", None), nn.Linear):
        return [f"{name} is a {type(layer).__name__}"]
    found: Any = layer
    if found.base_layer.bias is None:
        return [f"{name} has no bias"]
    if len(found.active_adapters) != 1:
        return [f"{name} has {len(found.active_adapters)} active adapters"]
    adapter = found.active_adapters[0]
    why = []
    if found.merged:
        why.append(f"the adapter of {name} is merged")
    if not isinstance(found.lora_dropout[adapter], nn.Identity):
        why.append(f"{name} has dropout")
    if getattr(found, "lora_bias", {}).get(adapter) or getattr(found, "use_dora", {}).get(adapter):
        why.append(f"{name} has a LoRA bias or DoRA")
    return why


class Group:
    """See the top of this file. inputs, outputs: features; strip: columns of the LoRAs in P, a multiple of 64."""

    def __init__(self, layers: Sequence[nn.Module], *, fused: bool, beside: bool) -> None:
        self.fused, self.beside = fused, beside
        self.members: list[Member] = []
        row = rank = 0
        for layer in layers:
            found: Any = layer
            base: nn.Linear = layer if isinstance(layer, nn.Linear) else found.base_layer
            a = b = None
            scale = 1.0
            if base is not layer:
                adapter = found.active_adapters[0]
                a, b = found.lora_A[adapter].weight, found.lora_B[adapter].weight
                scale = float(found.scaling[adapter])
            outs = slice(row, row + base.out_features)
            self.members.append(Member(base=base, a=a, b=b, scale=scale, first=rank, outs=outs))
            row, rank = outs.stop, rank + (0 if a is None else a.shape[0])
        self.inputs, self.outputs = self.members[0].base.in_features, row
        self.rank, self.strip = rank, -(-rank // ALIGN) * ALIGN
        self._pack()

    def _pack(self) -> None:
        weight = self.members[0].base.weight
        shape = (self.outputs + self.strip, self.inputs + self.strip)
        self.packed = torch.zeros(shape, dtype=weight.dtype, device=weight.device)
        self.bias = torch.cat([m.base.bias.detach() for m in self.members]).to(weight.dtype)
        for member in self.members:
            self.packed[member.outs, : self.inputs] = member.base.weight.detach()
        self._tie()

    def _tie(self) -> None:
        """Make the weights, and the views used in every step, parts of P as it is now."""
        outs, ins, p = self.outputs, self.inputs, self.packed
        for member in self.members:
            member.base.weight.data = p[member.outs, :ins]
        self.down, self.up, self.back = p[outs:, :ins], p[:outs, ins:], p[:, :ins]
        self.down_t, self.wide_t = self.down.t(), p[:outs].t()
        self.casts: list[tuple[Tensor, Tensor, float]] = []
        for m in self.members:
            if m.a is not None and m.b is not None:
                rows = slice(outs + m.ranks.start, outs + m.ranks.stop)
                self.casts += [(m.a, p[rows, :ins], 1.0)]
                self.casts += [(m.b, p[m.outs, ins + m.ranks.start : ins + m.ranks.stop], m.scale)]

    def apply(self, function: Any) -> None:
        """Move or cast P and the bias with their module (`nn.Module._apply`), then make the weights views again."""
        self.packed, self.bias = function(self.packed), function(self.bias)
        self._tie()

    def refresh(self) -> None:
        """Cast the LoRA's parameters into P. Never skipped by a version check: `.data` writes leave no trace."""
        for source, target, scale in self.casts:
            found = source.detach()
            target.copy_(found if scale == 1 else found * scale)

    # --- forward ---

    def room(self, like: Tensor) -> Tensor:
        """An empty [B, S, inputs + strip] for x and h, on the device and in the type of `like` [B, S, ...]."""
        return like.new_empty(*like.shape[:2], self.inputs + self.strip)

    def forward(self, wide: Tensor) -> tuple[Tensor, Tensor]:
        """y [B, S, outputs] of wide = [x | room for h], and h [B, S, strip] (a view of `wide`, which is filled)."""
        rows = wide.flatten(0, 1)
        x, h = rows[:, : self.inputs], rows[:, self.inputs :]
        if self.strip:
            torch.mm(x, self.down_t, out=h)
        y = wide.new_empty(*wide.shape[:2], self.outputs)
        self._products(rows if self.beside else x, None if self.beside else h, y.flatten(0, 1))
        return y, wide[..., self.inputs :]

    def forward_plain(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The same for an x [B, S, inputs] without room beside it: the LoRA's part is added afterwards."""
        rows = x.flatten(0, 1)
        h = torch.mm(rows, self.down_t)
        y = x.new_empty(*x.shape[:2], self.outputs)
        self._products(rows, h, y.flatten(0, 1))
        return y, h.view(*x.shape[:2], self.strip)

    def _parts(self) -> list[slice]:
        return [slice(0, self.outputs)] if self.fused else [m.outs for m in self.members]

    def _products(self, x: Tensor, h: Tensor | None, y: Tensor) -> None:
        if self.fused:
            torch.addmm(self.bias, x, self.wide_t if h is None else self.wide_t[: self.inputs], out=y)
            if h is not None and self.strip:
                y.addmm_(h, self.up.t())
            return
        for m in self.members:
            torch.addmm(self.bias[m.outs], x, self.packed[m.outs, : x.shape[1]].t(), out=y[:, m.outs])
            if h is not None and self.strip:
                y[:, m.outs].addmm_(h, self.up[m.outs].t())

    # --- backward ---

    def room_back(self, like: Tensor) -> Tensor:
        """An empty [B, S, outputs + strip] for dy and g."""
        return like.new_empty(*like.shape[:2], self.outputs + self.strip)

    def fill(self, wide: Tensor) -> None:
        """g into wide = [dy | room for g]."""
        rows = wide.flatten(0, 1)
        if self.strip:
            torch.mm(rows[:, : self.outputs], self.up, out=rows[:, self.outputs :])

    def input_grad(self, wide: Tensor, out: Tensor | None = None) -> Tensor:
        """dx [B, S, inputs] from wide = [dy | room for g], which is filled. out: where to, [B, S, inputs]."""
        self.fill(wide)
        rows = wide.flatten(0, 1)
        dx = wide.new_empty(*wide.shape[:2], self.inputs) if out is None else out
        into = dx.flatten(0, 1)
        if self.fused and self.beside:
            torch.mm(rows, self.back, out=into)
            return dx
        first, *others = self._parts()
        torch.mm(rows[:, first], self.packed[first, : self.inputs], out=into)
        for outs in others:
            into.addmm_(rows[:, outs], self.packed[outs, : self.inputs])
        if self.strip:
            into.addmm_(rows[:, self.outputs :], self.down)
        return dx

    def weight_grads(self, wide: Tensor, x: Tensor, h: Tensor) -> list[Tensor | None]:
        """dA and dB of every member, float32, in the order of `parameters`. wide: filled; x [B, S, inputs]."""
        if not self.strip:
            return []
        rows, h = wide.flatten(0, 1), h.flatten(0, 1)
        dy, g = rows[:, : self.outputs], rows[:, self.outputs :]
        ranks = slice(0, self.rank)  # without the padding, so that a single layer's gradients need no copy
        da, db = _mm_f32(g[:, ranks].t(), x.flatten(0, 1)), _mm_f32(dy.t(), h[:, ranks])
        grads: list[Tensor | None] = []
        for m in self.members:
            if m.a is not None:
                b = db[m.outs, m.ranks]
                grads += [da[m.ranks], b.contiguous() if m.scale == 1 else b * m.scale]
        return grads

    @property
    def parameters(self) -> list[nn.Parameter]:
        return [p for m in self.members for p in (m.a, m.b) if p is not None]


def _mm_f32(a: Tensor, b: Tensor) -> Tensor:
    """a·b with a float32 result: what the tensor cores sum in, not rounded on the way out."""
    if a.dtype == torch.float32:
        return torch.mm(a, b)
    if a.is_cuda:
        return torch.mm(a, b, out_dtype=torch.float32)
    return torch.mm(a, b).float()
