"""Frozen blocks that do not all lie on the GPU: a pool of device memory, and where each expert keeps the rest.

A block's frozen tensors lie in one row of bytes, so that one copy moves it. The pool has a place of its own for every
resident block and a ring of slots that the streamed ones share; a block always uses the same place, so tensors are
bound to it once and only bytes move. Streamed blocks lie in page-locked host memory for good: they are copied to the
device ahead of their use, forward and backward, and never back.

Two experts of one shape share a pool; whose numbers are in it is its owner. They change places block by block: out on
one stream, in on another, through two spare slabs, so that host memory holds one expert and not two.

Everything works on the CPU as well, where a copy is a copy; the tests run it there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from wantrain.slabs import Layout, Slabs

# Of the blocks, those before this share change places only when the switch comes: by then the link has had backward's
# time for the others, and the next forward wants the first blocks first.
EARLY = 0.5


@dataclass
class Pool:
    """Device memory for the frozen blocks of one expert at a time.

    size: bytes of a block. streamed: numbers of the blocks that share `slots` slots, in order. owner: whose numbers are
    here.
    """

    size: int
    layers: int
    streamed: tuple[int, ...]
    slots: int
    device: torch.device
    owner: Store | None = None
    places: list[Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.streamed and self.slots < 2:
            raise ValueError(f"slots = {self.slots}; streaming needs at least 2")
        self.slots = min(self.slots, len(self.streamed))
        self.index = {number: j for j, number in enumerate(self.streamed)}
        ring = [self._room() for _ in range(self.slots)]
        self.places = [
            ring[self.index[n] % self.slots] if n in self.index else self._room() for n in range(self.layers)
        ]
        gpu = self.device.type == "cuda"
        self.slabs = Slabs(self.size, pinned=gpu)
        self.into = torch.cuda.Stream(self.device) if gpu else None
        self.out = torch.cuda.Stream(self.device) if gpu else None
        self.held: list[int | None] = [None] * self.slots
        self.ready: list[Any] = [None] * self.slots
        self.used: list[Any] = [None] * self.slots
        self.arrived: dict[int, Any] = {}  # blocks of an expert that is coming

    def _room(self) -> Tensor:
        return torch.empty(self.size, dtype=torch.uint8, device=self.device)

    @property
    def resident(self) -> list[int]:
        return [n for n in range(self.layers) if n not in self.index]

    def copy(self, stream: Any, target: Tensor, source: Tensor, after: Any) -> Any:
        """Start a copy on `stream` once `after` has happened; the event of its end (None on the CPU)."""
        if stream is None:
            target.copy_(source)
            return None
        if after is not None:
            stream.wait_event(after)
        with torch.cuda.stream(stream):
            target.copy_(source, non_blocking=True)
            return stream.record_event()

    def now(self) -> Any:
        """An event at the end of what the main stream has been given so far."""
        return torch.cuda.current_stream(self.device).record_event() if self.into is not None else None

    def wait(self, event: Any) -> None:
        """What the main stream is given from here on comes after `event`."""
        if event is not None:
            torch.cuda.current_stream(self.device).wait_event(event)

    def forget(self) -> None:
        """The slots hold nobody's blocks."""
        self.held = [None] * self.slots

    def release(self) -> None:
        """Give the device memory back for a while; tensors stay bound to where it was and will be."""
        for place in self.places:
            place.untyped_storage().resize_(0)
        self.forget()

    def restore(self) -> None:
        for place in self.places:
            place.untyped_storage().resize_(self.size)


class Store:
    """One expert's frozen blocks. host: block -> its bytes: of streamed ones always, of all while away from the pool.

    moved: bytes brought to the device so far. leaving: who takes this one's place as backward is done with its blocks.
    """

    def __init__(self, pool: Pool, layout: Layout) -> None:
        if layout.bytes > pool.size:
            raise ValueError(f"a block of {layout.bytes} bytes does not fit into places of {pool.size}")
        self.pool, self.layout = pool, layout
        self.host: dict[int, Tensor] = {}
        self.moved = 0
        self.leaving: Store | None = None
        self.gone: set[int] = set()
        if pool.owner is None:
            pool.owner = self

    @property
    def here(self) -> bool:
        return self.pool.owner is self

    def room_for(self, number: int) -> list[dict[str, Tensor]]:
        """Where a block's tensors are to be written when they are first loaded."""
        pool = self.pool
        if self.here and number not in pool.index:
            return self.layout.views(pool.places[number])
        if number not in self.host:
            self.host[number] = pool.slabs.take()
        return self.layout.views(self.host[number])

    def views(self, number: int) -> list[dict[str, Tensor]]:
        """A block's tensors where they are when they are computed with."""
        return self.layout.views(self.pool.places[number])

    # --- at work ---

    def need(self, number: int, step: int) -> None:
        """Block `number` is computed with next, then those `step` (1 or -1) further on."""
        pool = self.pool
        if not self.here or (step > 0 and self.gone):
            raise RuntimeError("this expert's frozen weights are not on the device; bring it in first")
        if number in pool.arrived:
            pool.wait(pool.arrived.pop(number))
        if not pool.streamed:
            return
        order: Iterable[int] = pool.streamed if step > 0 else reversed(pool.streamed)
        ahead = [n for n in order if (n - number) * step >= 0][: pool.slots]
        for other in ahead:
            self._fetch(other)
        if number in pool.index:
            pool.wait(pool.ready[pool.index[number] % pool.slots])

    def _fetch(self, number: int) -> None:
        pool = self.pool
        slot = pool.index[number] % pool.slots
        if pool.held[slot] == number:
            return
        pool.ready[slot] = pool.copy(pool.into, pool.places[number], self.host[number], pool.used[slot])
        pool.held[slot] = number
        self.moved += pool.size

    def done(self, number: int, step: int) -> None:
        """The products with block `number` have been queued."""
        pool = self.pool
        if number in pool.index:
            pool.used[pool.index[number] % pool.slots] = pool.now()
        elif step < 0 and self.leaving is not None and number >= EARLY * pool.layers:
            self._hand_over(number, self.leaving)

    # --- changing places ---

    def hand_over_to(self, other: Store) -> None:
        """From now on a block changes places with `other`'s as soon as its backward is done (`done`)."""
        self.leaving = other

    def _hand_over(self, number: int, other: Store) -> None:
        if number in self.gone:
            return
        pool = self.pool
        if number in pool.arrived:  # it has only just come, and nothing has used it
            pool.wait(pool.arrived.pop(number))
        slab = pool.slabs.take(pool.out, spare=True)
        left = pool.copy(pool.out, slab, pool.places[number], pool.now())
        source = other.host.pop(number)
        pool.arrived[number] = pool.copy(pool.into, pool.places[number], source, left)
        pool.slabs.give(source, pool.arrived[number])
        self.host[number] = slab
        other.moved += pool.size
        self.gone.add(number)

    def give_way(self, other: Store) -> None:
        """`other` takes the pool. What has not changed places yet does so now, first blocks first: each is waited for
        when it is needed, so the rest arrives while the first are already at work.
        """
        pool = self.pool
        for number in pool.resident:
            self._hand_over(number, other)
        pool.forget()
        pool.owner, self.leaving, self.gone = other, None, set()

    def stay(self) -> None:
        """Not to leave after all: what changed places early changes back."""
        other = self.leaving
        if other is not None and self.gone:
            self.give_way(other)
            other.give_way(self)
        self.leaving = None

    def _all_here(self) -> None:
        for event in self.pool.arrived.values():
            self.pool.wait(event)
        self.pool.arrived.clear()

    def leave(self) -> None:
        """To host memory, with nobody to take the place; the pool's memory stays."""
        pool = self.pool
        self._all_here()
        for number in pool.resident:
            self.host[number] = pool.slabs.take(pool.out)
            pool.copy(pool.out, self.host[number], pool.places[number], pool.now())
        if pool.out is not None:
            pool.out.synchronize()
        pool.forget()
        pool.owner = None

    def come(self) -> None:
        """Into the empty pool."""
        pool = self.pool
        if pool.owner is not None:
            raise RuntimeError("the pool is somebody else's")
        for number in pool.resident:
            slab = self.host.pop(number)
            event = pool.copy(pool.into, pool.places[number], slab, pool.now())
            pool.slabs.give(slab, event)
            pool.wait(event)
        pool.forget()
        pool.owner = self

    def drop(self) -> None:
        """This expert is not needed any more."""
        for slab in self.host.values():
            self.pool.slabs.give(slab, self.pool.now())
        self.host.clear()
        if self.here:
            self.pool.forget()
            self.pool.owner = None


def spread(layers: int, streamed: int) -> tuple[int, ...]:
    """Which of `layers` blocks are streamed: `streamed` of them, evenly spread, so that copies never queue up."""
    return tuple(n for n in range(layers) if (n + 1) * streamed // layers > n * streamed // layers)
