"""The fast path of training: replaces the forward of a Wan transformer's blocks, changes neither weights nor meaning.

`install` takes diffusers' model with a peft adapter on it. Each block becomes one autograd function (fast_block.py)
over packed linear layers (fast_linear.py) with elementwise kernels compiled once for all blocks (fast_ops.py); what a
block keeps for backward follows from the memory that is free (memory.py). Parameters, state, saving and the plain
forward stay as they were: `switch(model, False)` is the reference, one flag away. With the adapter switched off
(`disable_adapters`) no gradient is formed.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from wanprep.costs import CLIP_TOKENS
from wanprep.stage import UsageError
from wantrain import memory
from wantrain.fast_away import Mover
from wantrain.fast_block import Inputs, Spec
from wantrain.fast_forward import Card, attach
from wantrain.fast_linear import REDUCED, Group, Kind, refusals
from wantrain.fast_ops import ops
from wantrain.stream import Layout, Pool, Store

MakePool = Callable[[Layout, memory.Sizes], Pool]
Fill = Callable[[int], None]
KEEP = Literal["auto", "inputs", "attention", "linears", "all"]
_KEPT = memory.KEPT
LAYERS = (
    ("qkv", ("attn1.to_q", "attn1.to_k", "attn1.to_v")), ("o", ("attn1.to_out.0",)), ("cq", ("attn2.to_q",)),
    ("kv", ("attn2.to_k", "attn2.to_v")), ("co", ("attn2.to_out.0",)), ("ffn0", ("ffn.net.0.proj",)),
    ("ffn2", ("ffn.net.2",)),
)  # fmt: skip
IMAGE_LAYERS = (("ikv", ("attn2.add_k_proj", "attn2.add_v_proj")),)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How the fast path works; every part can be switched alone.

    keep: what blocks keep for backward: "auto" fills the free memory, "inputs" is full checkpointing, "attention"
    adds attention's output, "linears" what matrix products made, "all" everything. budget: bytes for "auto"; None
    measures what is free at the first step. host: bytes of pinned host memory that "auto" may use beside it. reserve:
    bytes that "auto" leaves free. kernels: elementwise formulas by "triton", "inductor" or "eager" torch; "auto" takes
    Triton where it runs. fused: q, k, v (and the text's k, v) in one product. beside: a LoRA's part inside the base
    layer's product. first: form the gradient of the first block's input although nothing needs it (a negative
    control). attention: "cudnn", "flash" or "auto".
    """

    keep: KEEP = "auto"
    budget: float | None = None
    host: float = 0.0
    kernels: Literal["auto", "triton", "inductor", "eager"] = "auto"
    fused: bool = True
    beside: bool = True
    first: bool = False
    attention: Literal["auto", "cudnn", "flash"] = "auto"
    reserve: float = memory.RESERVE
    base: Kind = "packed"
    cap: float | None = None

    def __post_init__(self) -> None:
        if self.keep != "auto" and self.keep not in _KEPT:
            raise ValueError(f"keep = {self.keep!r}; use auto, {', '.join(_KEPT)}")
        if self.budget is not None and self.budget <= 0:
            raise ValueError(f"budget = {self.budget}; use a positive number of bytes, or None")
        if self.host < 0:
            raise ValueError(f"host = {self.host}; use a number of bytes, 0 for none")


@dataclass
class Fast:
    """What is installed on a model: the plan, the blocks made ready, and what each bucket keeps (tokens, batch).

    off, given, kept: of the forward that is under way, found out by its first block. pairs: what is cast into the
    packed layers of all blocks. card: says what is free. bold: a bucket's second step may keep more than estimates
    allow. tokens: of the next forward's text, where somebody said. trial: the bucket whose first step is under way, the
    bytes it was planned with, those that were not there (gradients, the rest of a text), and whose peak is looked for.
    """

    plan: Plan
    specs: list[Spec]
    sizes: memory.Sizes
    kernels: str
    on: bool = True
    caster: Any = None
    mover: Mover = field(default_factory=Mover)
    store: Store | None = None
    fill: Fill | None = None
    free: float | None = None
    bold: bool = True
    pending: bool = True
    off: bool = False
    given: Inputs | None = None
    kept: memory.Keep | None = None
    tokens: int | None = None
    pairs: list[tuple[Tensor, Tensor, float]] | None = None
    card: Card | None = None
    trial: tuple[tuple[int, int], float, float, int] | None = None
    buckets: dict[tuple[int, int], memory.Keep] = field(default_factory=dict)

    def load(self) -> None:
        """Every block's weights into their place, one after the other, so that no second copy of the model exists.

        Once at the start; again, with `fill`, when they were dropped meanwhile.
        """
        self.pairs = None
        if self.store is not None and self.store.pool.owner is None:
            self.store.pool.owner = self.store
        for number, spec in enumerate(self.specs):
            spec.number, spec.store = number, self.store
            if self.fill is not None:
                self.fill(number)
                spec.prepare()
            for group in spec.groups:
                if self.store is None:
                    group.pack()
            if self.store is not None:
                for group, into in zip(spec.groups, self.store.room_for(number), strict=True):
                    group.write(into)
                for group, views in zip(spec.groups, self.store.views(number), strict=True):
                    group.bind(views)

    def replan(self, *, pending: bool) -> None:
        """Measure the free memory again at the next step. pending: the optimizer has yet to take its moments."""
        self.free, self.pending = None, pending
        self.buckets.clear()
        self.trial = None


def problems(model: nn.Module) -> list[str]:
    """Why the fast path cannot serve this model; empty when it can."""
    why: list[str] = []
    blocks = cast(Any, model).blocks
    for number, block in enumerate(blocks):
        if getattr(block.norm2, "weight", None) is None:
            why.append(f"block {number} has no norm before cross-attention")
        for _, names in _layers(block):
            for name in names:
                why += refusals(block.get_submodule(name), f"blocks.{number}.{name}")
    if len({p.dtype for p in model.parameters() if not p.requires_grad} - {torch.float32}) > 1:
        why.append("the frozen weights have more than one reduced type")
    return why


def install(model: nn.Module, plan: Plan, *, pool: MakePool | None = None, fill: Fill | None = None) -> Fast:
    """Put the fast path on `model` (WanTransformer3DModel with a peft adapter). Again with another plan to change it.

    pool: makes the memory for frozen blocks of a layout, or finds it; without one, each block has its own. fill: loads
    the block of a number just before it is packed, for models whose weights are not there yet.

    UsageError when `problems` finds some; the model is then untouched. Gradient checkpointing of diffusers is switched
    off: the fast path has its own.
    """
    if fast_of(model) is None and (why := problems(model)):
        more = f" and {len(why) - 3} more" if len(why) > 3 else ""
        raise UsageError(f"the fast path cannot be used: {'; '.join(why[:3])}{more}. Train without it")
    whole: Any = model
    device = next(model.parameters()).device
    backend = assert_attention(plan, device)
    config = whole.config
    if (installed := fast_of(model)) is None:
        whole.disable_gradient_checkpointing()
        specs = [_spec(block, config, plan, backend, device) for block in whole.blocks]
        sizes = memory.Sizes(
            layers=len(specs), dim=specs[0].qkv.inputs, inner=specs[0].ffn2.inputs, heads=config.num_attention_heads,
            itemsize=specs[0].qkv.dtype.itemsize, fp8=plan.base.startswith("fp8"),
            nf4=plan.base == "nf4",
            image=0 if specs[0].ikv is None else CLIP_TOKENS,
        )  # fmt: skip
        whole._fast = Fast(plan=plan, specs=specs, sizes=sizes, kernels=_kernels(plan, device), fill=fill)
        if pool is not None:
            layout = Layout.of([group.layout() for group in specs[0].groups])
            whole._fast.store = Store(pool(layout, sizes), layout)
        whole._fast.load()
        for number, block in enumerate(whole.blocks):
            attach(block, whole._fast, number)
        return whole._fast
    if plan.base != installed.plan.base:
        raise UsageError(f"the weights are packed as {installed.plan.base!r} and cannot become {plan.base!r}")
    installed.plan, installed.on, installed.kernels = plan, True, _kernels(plan, device)
    installed.buckets.clear()
    for spec in installed.specs:
        spec.ops, spec.backend = ops(_kernels(plan, device)), backend
        for group in spec.groups:
            group.fused, group.beside = plan.fused, plan.beside and plan.base == "packed"
    return installed


def fast_of(model: nn.Module) -> Fast | None:
    """What `install` put on the model."""
    return getattr(model, "_fast", None)


def tell_tokens(model: nn.Module, tokens: int) -> None:
    """In the text of the next forward all rows from `tokens` on are zero, as padding is; for a fast path, if any."""
    if (installed := fast_of(model)) is not None and installed.on:
        installed.tokens = tokens


def cautious(model: nn.Module) -> bool:
    """After running out of memory: keep no more than estimates allow from now on. False when that is what was done."""
    installed = fast_of(model)
    if installed is None or installed.card is None or not installed.bold:
        return False
    installed.bold = False
    installed.replan(pending=installed.pending)
    return True


def switch(model: nn.Module, on: bool) -> None:
    """Use the fast path, or diffusers' own forward with peft's layers."""
    if (installed := fast_of(model)) is None:
        raise UsageError("the fast path is not installed on this model")
    if not on and (installed.store is not None or installed.plan.base in REDUCED):
        raise UsageError("the plain forward needs plain weights on the device; this model's are streamed or reduced")
    installed.on = on


def _kernels(plan: Plan, device: torch.device) -> str:
    """Triton comes with torch for CUDA on Linux and not elsewhere; without it everything works, more slowly."""
    if plan.kernels != "auto":
        return plan.kernels
    return "triton" if device.type == "cuda" and importlib.util.find_spec("triton") else "eager"


def _layers(block: nn.Module) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return LAYERS if cast(Any, block).attn2.add_k_proj is None else LAYERS + IMAGE_LAYERS


def _spec(block: nn.Module, config: Any, plan: Plan, backend: str, device: torch.device) -> Spec:
    groups: dict[str, Any] = {
        name: Group([block.get_submodule(n) for n in names], fused=plan.fused, beside=plan.beside, kind=plan.base)
        for name, names in _layers(block)
    }
    found = ops(_kernels(plan, device))
    layers = [block.get_submodule(name) for _, names in _layers(block) for name in names]
    heads, eps = config.num_attention_heads, config.eps
    return Spec(block=block, heads=heads, eps=eps, ops=found, backend=backend, layers=layers, **groups)


def assert_attention(plan: Plan, device: torch.device) -> str:
    """The attention kernel for `device`, tried on a small case; UsageError when the one asked for does not run."""
    if device.type != "cuda":
        return "cpu"
    from wantrain.fast_ops import attention, attention_back

    names = ("cudnn", "flash") if plan.attention == "auto" else (plan.attention,)
    errors = []
    for name in names:
        try:
            q, k, v, d = (torch.randn(1, 192, 256, device=device, dtype=torch.bfloat16) for _ in range(4))
            out, rest = attention(q, k, v, 2, name)
            attention_back(d, q, k, v, out, rest, 2, name)
            torch.cuda.synchronize(device)
            return name
        except RuntimeError as error:
            errors.append(f"{name}: {error}")
    raise UsageError("no attention kernel runs here. " + "; ".join(errors))
