"""What a block's forward is on the fast path, and what the first block of a forward finds out for all of them.

Whatever is the same for all blocks (the inputs beside the hidden state, whether the adapter is on, what is kept) is
worked out once a forward.
"""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from wantrain import memory
from wantrain.fast_back import Away, BlockFunction
from wantrain.fast_block import Inputs, Tape
from wantrain.fast_pads import rows_of

if TYPE_CHECKING:
    from wantrain.fast import Fast

TEXT = 512  # tokens of a text behind an image's, as diffusers' WanAttnProcessor splits them


def attach(block: nn.Module, fast: Fast, number: int) -> None:
    """Give one block its forward, and keep its packed layers with it wherever it moves."""
    target: Any = block
    plain, move, spec = target.forward, target._apply, fast.specs[number]

    def forward(self: Any, h: Tensor, text: Tensor, temb: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
        if not fast.on:
            return plain(h, text, temb, rotary)
        if number == 0:  # blocks run in order
            _begin(fast, h, text, temb, rotary)
        given = fast.given
        assert given is not None
        if number == len(fast.specs) - 1:
            fast.given = None  # nothing outlives the forward but what backward needs
        if fast.off or not torch.is_grad_enabled():  # without its adapter nothing of a block is trained
            spec.need(1)
            with torch.no_grad():
                out = Tape(spec, given, {"h0": h}).output()
            spec.done(1)
            return out
        if fast.plan.first and not h.requires_grad:
            h = h.detach().requires_grad_()
        kept = fast.kept
        assert kept is not None
        away = Away(fast.mover, number, kept.away[number]) if kept.away and kept.away[number] else None
        return BlockFunction.apply(h, spec, given, kept.keep[number], away, *spec.parameters)

    def apply(self: Any, function: Any, recurse: bool = True) -> Any:
        if fast.store is not None:
            raise RuntimeError("the blocks of this model lie in a pool and do not move with it; see place.py")
        result = move(function, recurse)
        for group in spec.groups:
            group.apply(function)
        spec.prepare()
        fast.pairs = None
        return result

    target.forward = types.MethodType(forward, block)
    target._apply = types.MethodType(apply, block)


def _begin(fast: Fast, h: Tensor, text: Tensor, temb: Tensor, rotary: tuple[Tensor, Tensor]) -> None:
    """What all blocks of this forward share."""
    fast.off = any(getattr(layer, "disable_adapters", False) is True for layer in _adapted(fast))
    fast.given = _inputs(fast, text, temb, rotary)
    fast.tokens = None  # of the next text nothing is known
    if not fast.off and torch.is_grad_enabled():
        fast.kept = keep_for(fast, h)
    _refresh(fast, off=fast.off)


def _adapted(fast: Fast) -> list[nn.Module]:
    """A layer with an adapter, if there is one: adapters are switched for a whole model."""
    return next(([layer] for spec in fast.specs for layer in spec.layers if hasattr(layer, "disable_adapters")), [])


def _inputs(fast: Fast, context: Tensor, temb: Tensor, rotary: tuple[Tensor, Tensor]) -> Inputs:
    """context: the text, behind the image where blocks look at one. The modulation of whole examples in float32; one
    of every token would be as large as six hidden states.
    """
    temb = temb.float() if temb.ndim == 3 else temb
    count = 0 if fast.specs[0].ikv is None else context.shape[1] - TEXT
    if count < 1 and fast.specs[0].ikv is not None:
        raise ValueError(f"a context of {context.shape[1]} tokens has no image before its {TEXT} of text")
    text, image = context[:, count:], context[:, :count] if count else None
    rows, pads = (text.shape[1], 0) if fast.tokens is None else rows_of(fast.tokens, text.shape[1])
    return Inputs(text[:, :rows].contiguous(), temb, *rotary, image=image, pads=pads)


def _refresh(fast: Fast, *, off: bool) -> None:
    """The LoRA's parameters into the packed layers of all blocks: one launch with Triton, else one a matrix."""
    if fast.pairs is None:
        fast.pairs = [cast for spec in fast.specs for group in spec.groups for cast in group.casts]
    simple = all(source.dtype == torch.float32 and source.is_contiguous() for source, _, _ in fast.pairs)
    if fast.pairs and simple and fast.kernels == "triton" and not off:
        from wantrain.fast_cast import Caster

        fast.caster = fast.caster or Caster()
        fast.caster(fast.pairs)
        return
    for spec in fast.specs:
        for group in spec.groups:
            group.refresh(off=off)


class Card:
    """What the allocator of a GPU says; tests put another in its place. starts: how often somebody began to look."""

    starts = 0

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def allocated(self) -> float:
        return float(torch.cuda.memory_allocated(self.device))

    def free(self) -> float:
        """Bytes that can still be had, those that the allocator holds back included."""
        cached = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
        return float(torch.cuda.mem_get_info(self.device)[0] + cached)

    def peak(self) -> float:
        return float(torch.cuda.max_memory_allocated(self.device))

    def start(self) -> None:
        """Look for the peak from here on."""
        Card.starts += 1
        torch.cuda.reset_peak_memory_stats(self.device)


def keep_for(fast: Fast, h: Tensor) -> memory.Keep:
    """What the blocks keep for hidden states h [B, S, D]: planned at a bucket's first step from estimates, and once
    more at its second from the peak of the first, which leaves a good deal unused.
    """
    key = h.shape[1], h.shape[0]
    if key not in fast.buckets:
        if fast.plan.keep != "auto":
            fast.buckets[key] = memory.same(fast.sizes, key[0], memory.KEPT[fast.plan.keep], key[1])
            return fast.buckets[key]
        free = _free(fast, h)
        fast.buckets[key] = memory.plan(fast.sizes, key[0], free, key[1], host=fast.plan.host)
        if fast.card is not None and fast.plan.budget is None and fast.bold:
            fast.card.start()
            later = sum(4.0 * p.numel() for spec in fast.specs for p in spec.parameters if p.grad is None)
            later += _text_to_come(fast, h.shape[0])
            fast.trial, fast.specs[0].turned = (key, free, later, Card.starts), False
    elif fast.trial is not None and fast.specs[0].turned:
        tried, free, later, starts = fast.trial
        fast.trial = None
        if tried == key and fast.card is not None and starts == Card.starts:  # else the peak is somebody else's
            more = memory.spare_bytes(sum(_within(fast, fast.card)), fast.card.peak(), later)
            fast.buckets[key] = memory.plan(fast.sizes, key[0], free + more, key[1], host=fast.plan.host)
    return fast.buckets[key]


def _text_to_come(fast: Fast, batch: int) -> float:
    """Bytes of keys and values that a caption without padding has beside this step's."""
    spared = 0 if fast.given is None else max(0, fast.given.pads - 1)
    kv = next(item.bytes for item in memory.items(fast.sizes, 1, batch) if item.name == "kv")
    return fast.sizes.layers * kv * spared / fast.sizes.text


def _free(fast: Fast, h: Tensor) -> float:
    """Bytes for activations: the budget, or what is free at the first step less what the optimizer takes."""
    if fast.plan.budget is not None:
        return fast.plan.budget
    if h.is_cuda and fast.card is None:
        fast.card = Card(h.device)
    if fast.card is None:
        return 1e18  # the host has what it has
    if fast.free is None:
        fast.free = _within(fast, fast.card)[1]
    return fast.free - fast.plan.reserve


def _within(fast: Fast, card: Card) -> tuple[float, float]:
    """(bytes allocated, bytes that can still be had for activations): without what the optimizer is yet to take."""
    allocated, free = card.allocated(), card.free()
    if fast.plan.cap is not None:
        free = min(free, fast.plan.cap - allocated)
    # Two moments; gradients come into being while activations go.
    pending = sum(p.numel() * 8 for spec in fast.specs for p in spec.parameters) if fast.pending else 0
    return allocated, free - pending
