"""What `[compute]` of a run means for a loaded expert: which path it takes, and where its frozen blocks lie."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from wanprep.stage import UsageError
from wantrain.config import TrainConfig
from wantrain.forecast import CONTEXT
from wantrain.place import LARGE, Places
from wantrain.ram import Load

if TYPE_CHECKING:
    import torch

    from wanprep.models.lazy import Hollow
    from wantrain.experts import Expert
    from wantrain.fast import Fast
    from wantrain.fast_away import Mover
    from wantrain.stream import Layout, Pool


def obstacles(config: TrainConfig, model: torch.nn.Module, device: str) -> list[str]:
    """Why the fast path cannot serve this run; empty when it can. model: with the adapter on it."""
    import torch

    from wantrain.fast import problems

    why = problems(model)
    if device.startswith("cuda"):
        if config.run.deterministic:
            why.append("run.deterministic asks for kernels that repeat themselves, and attention's backward does not")
        if cast(Any, model).dtype == torch.float32:
            why.append("the base is in fp32, and attention's kernels take 16 bits")
    return why


def choose_path(config: TrainConfig, model: torch.nn.Module, device: str) -> tuple[bool, str]:
    """(whether the fast path is taken, why). UsageError when it, or what only it can do, was asked for in vain."""
    asked = config.compute.path
    if asked == "reference":
        return False, "as set"
    needs = [f"compute.{name}" for name in ("base", "stream", "idle") if _needs_it(config, name)]
    if asked == "auto" and not device.startswith("cuda") and not needs:
        return False, "it pays on a GPU only"
    why = obstacles(config, model, device)
    if not why:
        return True, "as set" if asked == "fast" else "nothing stands against it"
    told = "; ".join(why[:3]) + (f" and {len(why) - 3} more" if len(why) > 3 else "")
    if asked == "fast" or needs:
        wish = 'compute.path = "fast"' if asked == "fast" else " and ".join(needs)
        raise UsageError(f'{wish} cannot be had: {told}. Leave the setting out, or use compute.path = "auto"')
    return False, told


def _needs_it(config: TrainConfig, name: str) -> bool:
    value = getattr(config.compute, name)
    return value in ("fp8", "nf4", "pinned", "disk") or (name == "stream" and value not in ("auto", 0))


@dataclass
class Workplace:
    """Loads the experts of one session and puts each on its path. One pool of device memory for those that share it.

    tokens, batch: of the largest batch that will be trained on. open_model: (expert, device) -> its model with blocks
    still to be read; without it models are loaded whole.
    """

    config: TrainConfig
    device: str
    tokens: int
    batch: int
    load_model: Callable[[str, str], torch.nn.Module]
    open_model: Callable[[str, str], Hollow] | None = None
    hollow: dict[str, Hollow] = field(default_factory=dict)
    pool: Pool | None = None
    mover: Mover | None = None
    away: float = 0.0  # bytes of host memory that activations of streamed models were found to need

    def __post_init__(self) -> None:
        self.places = Places(device=self.device, idle="host")
        if self.config.compute.cap is not None and self.device.startswith("cuda"):
            import torch

            share = self.config.compute.cap * 2**30 / torch.cuda.get_device_properties(self.device).total_memory
            torch.cuda.set_per_process_memory_fraction(min(1.0, share))

    def model(self, name: str) -> Any:
        """An expert's transformer; its blocks may still be on the disk."""
        wanted = self.device.startswith("cuda") or self.config.compute.path == "fast"
        if self.open_model is None or not wanted or self.config.compute.path == "reference":
            return self.load_model(name, self.device)
        self.hollow[name] = self.open_model(name, self.device)
        return self.hollow[name].model

    def install(self, expert: Expert) -> str:
        """Put a freshly started expert (its adapter is on) on its path; returns what to tell people about it."""
        config, model, name = self.config, expert.model, expert.name
        chosen, why = choose_path(config, model, self.device)
        hollow = self.hollow.pop(name, None)
        if not chosen:
            self.places.idle = config.compute.idle if config.compute.idle in ("gpu", "host") else "host"
            for number in range(len(hollow.model.blocks)) if hollow else ():
                hollow.fill(number)  # type: ignore[union-attr]
            if config.run.checkpointing:
                reference: Any = model
                reference.enable_gradient_checkpointing()
            return f"{name}: reference path ({why})"
        return f"{name}: fast path ({why}){self._install_fast(expert, hollow)}"

    def _install_fast(self, expert: Expert, hollow: Hollow | None) -> str:
        from wantrain import fast

        own, kind = self.config.compute, self._kind()
        cap = own.cap * 2**30 if own.cap is not None else None
        plan = fast.Plan(base=kind, host=0.0 if isinstance(own.activations, str) else own.activations * 2**30, cap=cap)
        self.places.idle = self._idle(expert)
        shared = self.places.idle in ("pinned", "disk") and len(self.config.stages) > 1
        if self.places.idle == "disk" and hollow is None:
            raise UsageError('compute.idle = "disk" reads blocks again from files, and this model is not in any')
        streams = own.stream if isinstance(own.stream, int) else (None if self.device.startswith("cuda") else 0)
        pooled = shared or streams != 0
        fill = None if hollow is None else hollow.fill
        installed = fast.install(
            expert.model, plan, pool=(lambda layout, sizes: self._pool(expert, layout, sizes)) if pooled else None,
            fill=fill,
        )  # fmt: skip
        self.mover = installed.mover = self.mover or installed.mover  # one expert is at work at a time
        told = ""
        if installed.store is not None:
            streamed, layout = len(installed.store.pool.streamed), installed.store.layout
            load = self._load(expert, layout.bytes, len(installed.specs))
            kept = load.left(self._ram(), streamed, max(plan.host, self.away))
            installed.plan = replace(plan, host=kept)
            told = f", {load.ram(streamed, kept)}" if self.device.startswith("cuda") else ""
            if not shared:
                self.pool = None  # the next expert's is its own
        return "".join([
            f", base in {kind}" if kind in ("fp8", "nf4") else "",
            f", {len(installed.store.pool.streamed)} blocks streamed" if installed.store else "",
            f", the idle expert waits: {self.places.idle}" if len(self.config.stages) > 1 else "",
            told,
        ])  # fmt: skip

    def _kind(self) -> Any:
        """The LoRA beside the weights is fastest; it needs blocks that are alike wherever they change places."""
        if self.config.compute.base != "full":
            return self.config.compute.base
        own = [self.config.expert(name) for name in self.config.stages]
        alike = len({one.rank for one in own}) == 1 and not any(one.targets or one.ranks for one in own)
        moves = self.config.compute.idle in ("auto", "pinned", "disk") and len(own) > 1
        return "packed" if (alike or not moves) and self.config.compute.stream in ("auto", 0) else "plain"

    def _idle(self, expert: Expert) -> str:
        asked = self.config.compute.idle
        if asked != "auto":
            return asked
        if len(self.config.stages) == 1 or self.config.experts.schedule == "sequential":
            return "gpu"
        if not self.device.startswith("cuda"):
            return "host"
        return "pinned"

    def _pool(self, expert: Expert, layout: Layout, sizes: Any) -> Pool:
        """The memory for frozen blocks of this layout: the pool that is there, or a new one."""
        import torch

        from wantrain import memory, stream

        if self.pool is not None and self.pool.size >= layout.bytes:
            return self.pool
        asked, device = self.config.compute.stream, torch.device(self.device)
        if isinstance(asked, int):
            streamed = min(asked, sizes.layers)
        elif device.type != "cuda":
            streamed = 0
        else:
            load, limit = self._load(expert, layout.bytes, sizes.layers), self._ram()
            wanted = self.config.compute.activations
            try:
                most = load.most(limit)
            except ValueError as error:
                raise UsageError(
                    f'compute.ram: {error}. Set it higher, or use compute.idle = "disk", compute.base = "fp8", or a '
                    "lower rank"
                ) from error
            try:
                streamed, self.away = memory.settle(
                    sizes, self.tokens, self.batch, total=self._total(expert), block=layout.bytes,
                    fixed=self._fixed(expert), most=most, wanted=None if isinstance(wanted, str) else wanted * 2**30,
                    left=lambda size, count: load.left(limit, count, size),
                )  # fmt: skip
            except ValueError as error:
                raise UsageError(
                    f'{expert.name}: {error} for {self.batch} x {self.tokens} tokens. Use compute.base = "fp8", '
                    "a higher compute.ram, a smaller view, a smaller batch or a lower rank"
                ) from error
        self.pool = stream.Pool(
            size=layout.bytes, layers=sizes.layers, streamed=stream.spread(sizes.layers, streamed), slots=memory.SLOTS,
            device=device,
        )  # fmt: skip
        return self.pool

    def _ram(self) -> float | None:
        ram = self.config.compute.ram
        return None if ram is None else ram * 2**30

    def _load(self, expert: Expert, block: int, layers: int) -> Load:
        """What host memory may have to hold (`ram.py`)."""
        return Load(
            layers=layers, block=block, trained=sum(p.numel() for p in expert.params.values()),
            outside=sum(p.numel() * p.element_size() for p in _outside(expert) if p.numel() >= LARGE),
            experts=1 if self.config.experts.schedule == "sequential" else len(self.config.stages),
            idle=self.places.idle, averages=expert.averages is not None,
        )  # fmt: skip

    def _total(self, expert: Expert) -> float:
        """Bytes of the card for this expert: all that can be had, but for what others have there (idle = "gpu")."""
        import torch

        free, whole = torch.cuda.mem_get_info(self.device)
        allocated, reserved = torch.cuda.memory_allocated(self.device), torch.cuda.memory_reserved(self.device)
        cap = self.config.compute.cap
        # By storages: blocks that are still to be read take none.
        storages = {s.data_ptr(): s.nbytes() for s in (p.untyped_storage() for p in expert.model.parameters())}
        own = sum(storages.values())
        return min(free + reserved, cap * 2**30 if cap is not None else whole - CONTEXT) - max(0, allocated - own)

    def _fixed(self, expert: Expert) -> float:
        """Bytes on the card besides blocks and activations: what is trained, frozen layers outside, a reserve."""
        from wantrain import memory

        outside = sum(p.numel() * p.element_size() for p in _outside(expert))
        trained = sum(p.numel() for p in expert.params.values())
        return memory.fixed_bytes(trained, outside, averages=expert.averages is not None)


def _outside(expert: Expert) -> list[Any]:
    """Parameters outside the blocks."""
    blocks: Any = expert.model.blocks
    inside = {id(p) for block in blocks for p in block.parameters()}
    return [p for p in expert.model.parameters() if id(p) not in inside]


def replan(experts: Iterable[Expert]) -> None:
    """Another model has come or gone: what blocks keep is planned anew from the memory that is free then."""
    from wantrain.fast import fast_of

    for expert in experts:
        installed: Fast | None = fast_of(expert.model)
        if installed is not None:
            installed.replan(pending=not expert.optimizer.state)
