"""Experts taking turns on one device: what of the idle one waits where, and bringing it in.

gpu     both stay; nothing moves.
host    the whole model goes to plain host memory and back (any path).
pinned  frozen blocks change places with those of the expert that leaves (stream.py), through page-locked memory: as
        fast as the link, and host memory holds one expert, not two.
disk    frozen blocks are read again from their files; host memory holds only what one expert trains.

In the last two what is trained changes places in the same way (slabs.py). They need the fast path, whose blocks lie
where one copy moves them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from wantrain.experts import Expert, place
from wantrain.ram import CHUNK

if TYPE_CHECKING:
    from torch import Tensor

    from wantrain.slabs import Slabs

LARGE = 2**20  # numbers: what has fewer stays on the device


@dataclass
class Baggage:
    """What an expert takes along besides its frozen blocks: its LoRA, moments, averages, and large layers outside the
    blocks. All of it lies in one row on the device, and its tensors are parts of it. held: the row's bytes in host
    memory while the expert is away; the row's memory is somebody else's then and the tensors must not be looked at.
    """

    expert: Expert
    row: Any = None
    held: list[Tensor] = field(default_factory=list)
    away: bool = False
    outside: list[Any] | None = None

    @property
    def bytes(self) -> int:
        """Of its row, once there is one, with two moments, which come with the first step."""
        if self.row is None:
            return 0
        soon = 0 if self.expert.optimizer.state else 2
        return self.row.numel() + soon * sum(_padded(parameter) for parameter in self.expert.params.values())

    def gather(self) -> None:
        """Make its tensors parts of one row, unless they are; moments appear with the first step."""
        import torch

        cells = list(self._cells())
        if self.row is not None:
            start, end = self.row.data_ptr(), self.row.data_ptr() + self.row.numel()
            if all(start <= tensor.data_ptr() < end for tensor, _ in cells):
                return
        sizes = [_padded(tensor) for tensor, _ in cells]
        self.row, at = torch.empty(sum(sizes), dtype=torch.uint8, device=cells[0][0].device), 0
        for (tensor, put), size in zip(cells, sizes, strict=True):
            end = at + tensor.nbytes
            put(self.row[at:end].view(tensor.dtype).view(tensor.shape).copy_(tensor))
            at += size

    def _cells(self) -> Iterator[tuple[Tensor, Callable[[Any], None]]]:
        """The tensors, and how to put another in the place of each."""
        import torch

        def into(parameter: Any) -> Callable[[Any], None]:
            return lambda new: setattr(parameter, "data", new)

        def under(table: dict[str, Any], key: str) -> Callable[[Any], None]:
            return lambda new: table.__setitem__(key, new)

        for parameter in self.expert.params.values():
            yield parameter.data, into(parameter)
        for kept in self.expert.optimizer.state.values():
            for key, value in kept.items():
                if torch.is_tensor(value) and value.numel() > 1:
                    yield value, under(kept, key)
        averages = self.expert.averages or {}
        for name, value in averages.items():
            yield value, under(averages, name)
        for parameter in self._frozen():
            yield parameter.data, into(parameter)

    def _frozen(self) -> list[Any]:
        if self.outside is None:  # walking through the modules of a large model takes a good part of a step
            named = self.expert.model.named_parameters()
            self.outside = [
                p for name, p in named
                if not p.requires_grad and p.numel() >= LARGE and not name.startswith("blocks.")
            ]  # fmt: skip
        return self.outside


def change_places(leaving: Baggage | None, coming: Baggage | None, slabs: Slabs) -> None:
    """One row off the device, another onto it, each in its own memory there. Copies run after what the device was
    given so far, and nothing waits for them.
    """
    import torch

    from wantrain.slabs import swap

    out = into = torch.empty(0, dtype=torch.uint8)
    if leaving is not None:
        leaving.gather()
        out = leaving.row
        _resize(_strips(leaving.expert), there=False)
    if coming is not None:
        into = coming.row
        _resize([into], there=True)
    taken = swap(out, into, coming.held if coming is not None else [], slabs)
    if slabs.pinned and torch.cuda.current_stream() != torch.cuda.default_stream():
        torch.cuda.current_stream().synchronize()  # memory is used again in the order of one stream only
    if leaving is not None:
        _resize([out], there=False)
        leaving.held, leaving.away = taken, True
    if coming is not None:
        strips = _strips(coming.expert)
        _resize(strips, there=True)
        for strip in strips:
            strip.zero_()  # columns that pad a LoRA stay zero
        coming.away = False


def _padded(tensor: Tensor) -> int:
    from wantrain.slabs import ALIGN

    return -(-tensor.nbytes // ALIGN) * ALIGN


def _resize(tensors: list[Tensor], *, there: bool) -> None:
    for tensor in tensors:
        tensor.untyped_storage().resize_(tensor.nbytes if there else 0)


def _strips(expert: Expert) -> list[Tensor]:
    """The LoRA as its products want it, where it has memory of its own; made from the parameters in every step."""
    fast = _fast(expert)
    groups = [group for spec in fast.specs for group in spec.groups if group.kind != "packed"] if fast else []
    return [strip for group in groups for strip in (group.down, group.up)]


@dataclass
class Places:
    """The experts of a session and where they are. idle: gpu, host, pinned or disk. chunk: bytes of a slab through
    which rows change places.
    """

    device: str
    idle: str
    bags: dict[str, Baggage] = field(default_factory=dict)
    chunk: int = CHUNK

    def __post_init__(self) -> None:
        from wantrain.slabs import Slabs

        self.slabs = Slabs(self.chunk, pinned=self.device.startswith("cuda"))

    def make_room(self, coming: str, crew: Mapping[str, Expert]) -> None:
        """Before `coming` is loaded or enters: the others leave, but for frozen blocks that change places with it."""
        if self.idle == "gpu":
            return
        known = self.bags.get(coming)
        for other in crew.values():
            if other.name != coming and not self._bag(other).away:
                if (store := _store(other)) is None:
                    place(other, "cpu")
                    continue
                self._move(self._bag(other), known if known is not None and known.away else None)
                if self.idle == "disk" and store.here:
                    store.drop()

    def enter(self, expert: Expert) -> None:
        """Onto the device, whoever was there."""
        store, bag = _store(expert), self._bag(expert)
        if store is None:
            if self.idle != "gpu":
                place(expert, self.device)
            return
        if bag.away:
            self._move(None, bag)
        owner = store.pool.owner
        if owner is None and len(store.host) == store.pool.layers:
            store.come()
        elif owner is None:
            _read_again(expert)
        elif owner is not store:
            owner.give_way(store)

    def announce(self, expert: Expert, coming: Expert | None) -> None:
        """The next backward is `expert`'s last one before `coming` takes its place: they may begin to change."""
        if self.idle == "pinned" and coming is not None:
            store, other = _store(expert), _store(coming)
            if store is not None and other is not None and store is not other and store.here and other.host:
                store.hand_over_to(other)

    def stay(self, expert: Expert) -> None:
        """It is needed once more before the other comes."""
        if (store := _store(expert)) is not None:
            store.stay()

    def forget(self, expert: Expert) -> None:
        """It has done all its steps. Its memory is free at once, whoever still holds a word of it."""
        if (store := _store(expert)) is not None:
            store.drop()
        for slab in self.bags.pop(expert.name, Baggage(expert)).held:
            self.slabs.give(slab)
        for strip in _strips(expert):
            strip.untyped_storage().resize_(0)
        # Modules, blocks and kernels refer to one another in circles, which Python takes apart when it likes.
        for parameter in expert.model.parameters():
            parameter.data, parameter.grad = parameter.data.new_empty(0), None
        if (fast := _fast(expert)) is not None:
            for group in (group for spec in fast.specs for group in spec.groups):
                group.__dict__.clear()
        expert.optimizer.state.clear()
        (expert.averages or {}).clear()

    @contextmanager
    def parked(self, crew: Mapping[str, Expert]) -> Iterator[None]:
        """No expert on the device while somebody else needs its memory; then all are back where they were."""
        here = [expert for expert in crew.values() if self._on_device(expert)]
        for expert in here:
            self._evict(expert)
        if here and self.device != "cpu":
            import torch

            torch.cuda.empty_cache()
        try:
            yield
        finally:
            for expert in here:
                if (store := _store(expert)) is not None:
                    store.pool.restore()
                self.enter(expert)
                if store is None and self.idle == "gpu":
                    place(expert, self.device)

    def _evict(self, expert: Expert) -> None:
        if (store := _store(expert)) is None:
            place(expert, "cpu")
            return
        store.stay()
        self._move(self._bag(expert), None)
        store.drop() if self.idle == "disk" else store.leave()
        store.pool.release()

    def _move(self, leaving: Baggage | None, coming: Baggage | None) -> None:
        change_places(leaving, coming, self.slabs)
        # Locking memory takes a tenth of a second a GB: what a switch takes stays, the rest goes once it is free.
        self.slabs.have(1 + max(-(-bag.bytes // self.chunk) for bag in self.bags.values()))

    def _on_device(self, expert: Expert) -> bool:
        if (store := _store(expert)) is not None:
            return store.here
        return next(expert.model.parameters()).device.type != "cpu"

    def _bag(self, expert: Expert) -> Baggage:
        return self.bags.setdefault(expert.name, Baggage(expert))


def _fast(expert: Expert) -> Any:
    from wantrain.fast import fast_of

    return fast_of(expert.model)


def _store(expert: Expert) -> Any:
    fast = _fast(expert)
    return fast.store if fast else None


def _read_again(expert: Expert) -> None:
    _fast(expert).load()
