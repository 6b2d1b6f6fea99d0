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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from wantrain import fp8, nf4

ALIGN = 64
Kind = Literal["packed", "plain", "fp8", "fp8_twice", "nf4"]
REDUCED: dict[str, Any] = {"fp8": fp8, "fp8_twice": fp8, "nf4": nf4}  # whose numbers are of fewer bits


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
    """See the top of this file. inputs, outputs: features; strip: columns of the LoRAs in P, a multiple of 64.

    kind: "packed" is P; "plain" is W alone, in its own type; "fp8" W8 with a scale a row; with "fp8_twice" W8 lies
    there transposed as well; "nf4" packed pairs of 4 bits. In all but "packed" the LoRA's A and s·B are matrices of
    their own (`down`, `up`) and its part is added afterwards: frozen numbers stand alone, so they can be read from
    elsewhere, and be those of fewer bits.
    """

    def __init__(self, layers: Sequence[nn.Module], *, fused: bool, beside: bool, kind: Kind = "packed") -> None:
        self.fused, self.beside, self.kind = fused, beside and kind == "packed", kind
        self.reduced: Any = REDUCED.get(kind)
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
        self.dtype = self.members[0].base.weight.dtype
        self.frozen: dict[str, Tensor] = {}

    def layout(self) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
        """The frozen tensors of this group: name -> shape and type."""
        outs, ins = self.outputs, self.inputs
        found: dict[str, tuple[tuple[int, ...], torch.dtype]] = {"bias": ((outs,), self.dtype)}
        if self.kind == "packed":
            return found | {"packed": ((outs + self.strip, ins + self.strip), self.dtype)}
        if self.kind == "plain":
            return found | {"weight": ((outs, ins), self.dtype)}
        found |= self.reduced.layout(outs, ins)
        return found | ({"transposed": ((ins, outs), fp8.E4M3)} if self.kind == "fp8_twice" else {})

    def write(self, into: Mapping[str, Tensor]) -> None:
        """Put the members' weights, as they are, into tensors shaped as `layout` says, wherever those lie."""
        bases = [member.base for member in self.members]
        into["bias"].copy_(torch.cat([base.bias.detach() for base in bases]))
        if self.kind == "packed":
            into["packed"].zero_()
            for member in self.members:
                into["packed"][member.outs, : self.inputs].copy_(member.base.weight.detach())
            return
        for member in self.members:
            weight = member.base.weight.detach()
            if self.kind == "plain":
                into["weight"][member.outs].copy_(weight)
                continue
            numbers, scale = self.reduced.quantise(weight)
            into["weight"][member.outs].view(torch.uint8).copy_(numbers.view(torch.uint8))
            into["scale"][member.outs].copy_(scale)
            if "transposed" in into:
                into["transposed"].view(torch.uint8)[:, member.outs].copy_(fp8.transposed(numbers).view(torch.uint8))

    def pack(self) -> None:
        """Frozen tensors of this group's own, filled and bound."""
        device = self.members[0].base.weight.device
        own = {name: torch.empty(shape, dtype=dtype, device=device) for name, (shape, dtype) in self.layout().items()}
        self.write(own)
        self.bind(own)

    def bind(self, frozen: Mapping[str, Tensor]) -> None:
        """Work on these tensors from now on; the modules' weights become parts of them, so nothing is held twice."""
        self.frozen = dict(frozen)
        self.bias, device = frozen["bias"], frozen["bias"].device
        outs, ins = self.outputs, self.inputs
        if self.kind == "packed":
            self.packed = p = frozen["packed"]
            self.weight, self.down, self.up, self.back = p[:outs, :ins], p[outs:, :ins], p[:outs, ins:], p[:, :ins]
            self.wide_t = p[:outs].t()
        else:
            self.weight = frozen["weight"]
            if not hasattr(self, "down") or (self.down.device, self.down.dtype) != (device, self.dtype):
                self.down = torch.zeros(self.strip, ins, dtype=self.dtype, device=device)
                self.up = torch.zeros(outs, self.strip, dtype=self.dtype, device=device)
        self.down_t = self.down.t()
        self.scale = frozen.get("scale")
        self.casts: list[tuple[Tensor, Tensor, float]] = []
        for m in self.members:
            m.base.weight.data = self.weight[m.outs]
            m.base.bias.data = self.bias[m.outs]
            if m.a is not None and m.b is not None:
                self.casts += [(m.a, self.down[m.ranks], 1.0), (m.b, self.up[m.outs, m.ranks], m.scale)]

    def apply(self, function: Any) -> None:
        """Move or cast P and the bias with their module (`nn.Module._apply`), then make the weights views again."""
        moved = {name: function(tensor) for name, tensor in self.frozen.items()}
        self.dtype = moved["bias"].dtype
        if self.reduced and moved["weight"].dtype != self.frozen["weight"].dtype:
            raise RuntimeError(f"weights in {self.kind} cannot be cast")
        self.bind(moved)

    def refresh(self, *, off: bool = False) -> None:
        """Cast the LoRA's parameters into their place. Never skipped by a version check: `.data` writes leave no trace.

        off: no LoRA for now; its part of every product is zero.
        """
        if off:
            self.up.zero_()
            return
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

    def _products(self, x: Tensor, h: Tensor | None, y: Tensor) -> None:
        if self.fused or self.scale is not None:
            if self.scale is not None:
                self.reduced.forward(x, self.weight, self.scale, self.bias, y)
            else:
                torch.addmm(self.bias, x, self.wide_t if h is None else self.weight.t(), out=y)
            if h is not None and self.strip:
                y.addmm_(h, self.up.t())
            return
        for m in self.members:
            factor = (self.packed if h is None else self.weight)[m.outs]
            torch.addmm(self.bias[m.outs], x, factor.t(), out=y[:, m.outs])
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
        if self.scale is not None:
            turned = self.frozen.get("transposed")
            self.reduced.input_grad(rows[:, : self.outputs], self.weight, self.scale, turned, into)
        else:
            first, *others = [slice(0, self.outputs)] if self.fused else [m.outs for m in self.members]
            torch.mm(rows[:, first], self.weight[first], out=into)
            for outs in others:
                into.addmm_(rows[:, outs], self.weight[outs])
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
