"""The sections of a training file, one frozen dataclass each; `config.TrainConfig` puts them together.

Defaults are the moderate column of the public guides (rank 16, 1e-4, 2000 steps an expert, see
`pipelines/train-default.toml`). A value that cannot work is refused here, by name, with what to write instead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

Method = Literal["shift", "linear", "sigmoid", "logit_normal"]
Goal = Literal["character", "style", "motion", "domain"]


def require(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)


def require_device(told: str, device: str) -> None:
    """ValueError, begun with `told`, for what is no name of a device here. Whether it is there is for `pick_device`."""
    known = re.fullmatch(r"auto|cpu|cuda(:\d+)?", device) is not None
    require(known, f'{told}{device!r} must be "auto", "cpu", "cuda" or "cuda:1" (the GPU of that number)')


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Name, place and machine of a run.

    device: "auto" takes a GPU when there is one. dtype: of the frozen base; "auto" is bf16 on a GPU, fp32 on a
    CPU. deterministic: one CPU thread and deterministic kernels, for runs that must repeat bit for bit.
    checkpointing: recompute activations in the backward pass of the reference path (less memory, about a third more
    time); the fast path plans by itself what it computes again. price: of an hour on this machine, in any currency, for
    the forecast. tensorboard: write its event files beside metrics.jsonl.
    """

    name: str = "lora"
    out: str = "runs"
    seed: int = 42
    device: str = "auto"
    dtype: Literal["auto", "fp32", "bf16"] = "auto"
    deterministic: bool = False
    checkpointing: bool = True
    price: float | None = None
    tensorboard: bool = False

    def __post_init__(self) -> None:
        plain = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._ -]*", self.name) is not None
        require(plain, f"name = {self.name!r} must be a plain file name: letters, digits, '.', '_', '-'")
        require_device("device = ", self.device)
        require(0 <= self.seed < 2**63, f"seed = {self.seed} must be between 0 and 2^63")
        require(self.price is None or self.price >= 0, f"price = {self.price} must not be negative")


@dataclass(frozen=True, kw_only=True)
class ComputeConfig:
    """How the numbers are made and where they lie: time and memory, not what is learned (but for `base`).

    path: "fast" is the hand-written forward and backward of `fast.py`, "reference" plain diffusers + peft; "auto" takes
    the first on a GPU where it can and says why where it cannot. base: type of the frozen base in its blocks, "full" is
    `run.dtype`; "fp8" halves its memory and is faster where the card multiplies fp8; "nf4" has a quarter of it, coarser
    and slower: for what does not fit otherwise. idle: where the expert that is not
    training waits: "gpu", "host" (plain host memory), "pinned" (host memory that the GPU reads directly), "disk" (read
    again); "auto" is "pinned" on a GPU. cap: GiB of the GPU to use at most. ram: GiB of host memory that streaming may
    use, the idle expert's included. stream: frozen blocks that are copied from host memory whenever they are needed;
    "auto" by the memory. activations: GiB of host memory for activations;
    "auto" takes some where nothing fits otherwise.
    """

    path: Literal["auto", "fast", "reference"] = "auto"
    base: Literal["full", "fp8", "nf4"] = "full"
    idle: Literal["auto", "gpu", "host", "pinned", "disk"] = "auto"
    cap: float | None = None
    ram: float | None = None
    stream: int | Literal["auto"] = "auto"
    activations: float | Literal["auto"] = "auto"

    def __post_init__(self) -> None:
        for name in ("cap", "ram"):
            value = getattr(self, name)
            require(value is None or value > 0, f"{name} = {value} must be above 0 GiB")
        blocks = self.stream if isinstance(self.stream, int) else 0
        require(blocks >= 0 and blocks != 1, f'stream = {self.stream} must be 0, at least 2 blocks, or "auto"')
        given = 0.0 if isinstance(self.activations, str) else self.activations
        require(given >= 0, f"activations = {self.activations} must not be negative")
        needy = [name for name, given in (("base", self.base != "full"), ("stream", bool(blocks)),
                 ("idle", self.idle in ("pinned", "disk"))) if given]  # fmt: skip
        fits = self.path != "reference" or not needy
        require(fits, f'path = "reference" has no {", ".join(needy)} such as this; take "fast" or "auto"')


@dataclass(frozen=True, kw_only=True)
class ExpertsConfig:
    """Which experts are trained, and in which order.

    stages: the experts to train, all of the family's when empty. schedule: "alternate" gives each `switch_every` steps
    at a time, "sequential" finishes one before the next begins, "parallel" gives each its own GPU (with torchrun; with
    one process it is "alternate"); the result is the same, memory traffic is not.
    total_steps: steps of both experts together, of which `high` gets `high_share`: a share, or "natural" for what
    drawing sigma over the whole range would give. Left out: each expert's own `steps`.
    """

    stages: tuple[Literal["high", "low", "single"], ...] = ()
    schedule: Literal["alternate", "sequential", "parallel"] = "alternate"
    switch_every: int = 10
    total_steps: int | None = None
    high_share: float | Literal["natural"] = 0.5

    def __post_init__(self) -> None:
        require(self.switch_every >= 1, f"switch_every = {self.switch_every} must be at least 1")
        require(len(set(self.stages)) == len(self.stages), f"stages = {list(self.stages)} names an expert twice")
        total, share = self.total_steps, self.high_share
        require(total is None or total >= 2, f"total_steps = {total} must be at least 2")
        said = f'high_share = {share} must be above 0 and below 1, or "natural"'
        require(isinstance(share, str) or 0 < share < 1, said)


@dataclass(frozen=True, kw_only=True)
class ExpertConfig:
    """One expert's LoRA, optimizer and schedule.

    steps: optimizer steps; epochs: passes over the training samples instead. batch_size: samples of one bucket in one
    forward; accumulate: such batches a step.
    rank, alpha: the LoRA's scale is alpha/rank in every layer; alpha is the rank when left out. targets: a regular
    expression; layers in whose name (`blocks.0.self_attn.q`) it is found get a LoRA, all when empty. ranks: expression
    -> rank of the layers it is found in, first match wins. dropout: of the LoRA's input. init: LoRA file to begin with.
    optimizer: "AdamW", "AdamW8bit" or module.Class; optimizer_args: its further arguments. warmup: steps (100) or a
    share ("5%") over which lr rises to its full value. schedule: what follows; cycles: of cosine_with_restarts; power:
    of polynomial. max_grad_norm: 0 switches clipping off. ema: decay a step of an averaged copy, which is then what is
    measured and saved; 0: none.
    """

    steps: int = 2000
    epochs: float | None = None
    batch_size: int = 1
    accumulate: int = 1
    rank: int = 16
    alpha: float | None = None
    targets: str = ""
    ranks: dict[str, int] = field(default_factory=dict)
    dropout: float = 0.0
    init: str | None = None
    lr: float = 1e-4
    optimizer: str = "AdamW"
    optimizer_args: dict[str, Any] = field(default_factory=dict)
    weight_decay: float = 1e-4
    warmup: int | str = "5%"
    schedule: Literal["constant", "cosine", "cosine_with_restarts", "polynomial"] = "cosine"
    cycles: int = 3
    power: float = 1.0
    max_grad_norm: float = 1.0
    ema: float = 0.0

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "accumulate", "rank", "cycles"):
            require(getattr(self, name) >= 1, f"{name} = {getattr(self, name)} must be at least 1")
        require(self.epochs is None or self.epochs > 0, f"epochs = {self.epochs} must be above 0")
        require(self.alpha is None or self.alpha > 0, f"alpha = {self.alpha} must be above 0")
        require(0 <= self.lr <= 1, f"lr = {self.lr} must be between 0 and 1")
        require(self.weight_decay >= 0, f"weight_decay = {self.weight_decay} must not be negative")
        require(self.max_grad_norm >= 0, f"max_grad_norm = {self.max_grad_norm} must not be negative")
        require(0 <= self.dropout < 1, f"dropout = {self.dropout} must be at least 0 and below 1")
        require(0 <= self.ema < 1, f"ema = {self.ema} must be at least 0 and below 1")
        require(self.power > 0, f"power = {self.power} must be above 0")
        for expression in (self.targets, *self.ranks):
            try:
                re.compile(expression)
            except re.error as error:
                raise ValueError(f"{expression!r} is not a regular expression: {error}") from error
        for expression, rank in self.ranks.items():
            good = isinstance(rank, int) and not isinstance(rank, bool) and rank >= 1
            require(good, f"ranks: {expression!r} = {rank!r} must be a whole number of at least 1")
        self.warmup_steps(self.steps)

    def warmup_steps(self, steps: int) -> int:
        """`warmup` in steps, for a run of `steps`."""
        text = f"{self.warmup}"
        number = text.removesuffix("%")
        try:
            value = float(number)
        except ValueError:
            value = -1.0
        share = text != number
        good = 0 <= value <= 100 if share else value >= 0 and isinstance(self.warmup, int)
        require(good, f'warmup = {self.warmup!r} must be a number of steps (100) or a share of them ("5%")')
        return round(steps * value / 100) if share else int(value)

    @property
    def lora_alpha(self) -> float:
        return float(self.rank if self.alpha is None else self.alpha)


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """From which distribution sigma is drawn, before it is cut to the expert's interval.

    method: "shift" (uniform, shifted by `shift`; the family's flow_shift when left out), "linear" (uniform), "sigmoid"
    (sigmoid of std · normal), "logit_normal" (sigmoid of mean + std · normal). bias: inside the interval, 1 leans to
    high noise as strongly as AI Toolkit's favor_high, -1 to low noise, 0 not at all. window: draws that are spread
    evenly together; 1 leaves each to chance.
    """

    method: Method = "shift"
    shift: float | None = None
    mean: float = 0.0
    std: float = 1.0
    bias: float = 0.0
    window: int = 20

    def __post_init__(self) -> None:
        require(self.shift is None or 0 < self.shift <= 100, f"shift = {self.shift} must be above 0, at most 100")
        require(0.05 <= self.std <= 20, f"std = {self.std} must be between 0.05 and 20")
        require(abs(self.mean) <= 10, f"mean = {self.mean} must be between -10 and 10")
        require(abs(self.bias) <= 3, f"bias = {self.bias} must be between -3 and 3")
        require(1 <= self.window <= 10_000, f"window = {self.window} must be between 1 and 10000")
        unused = {"shift": self.shift is not None, "mean": self.mean != 0, "std": self.std != 1}
        used = {"shift": ("shift",), "linear": (), "sigmoid": ("std",), "logit_normal": ("mean", "std")}[self.method]
        idle = [name for name, given in unused.items() if given and name not in used]
        require(not idle, f"{', '.join(idle)} means nothing to method = {self.method!r}; leave it out")


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """What besides the mean squared error counts.

    weighting: factor by sigma, 1 on average over what the expert sees: "none", "cosmap" or "sigma_sqrt" (Esser et al.
    2024). views: view -> factor on the loss of its samples, on top of the samples' own weights. preservation: weight of
    differential output preservation, 0 for none. gradient_scale: factor on every gradient before clipping (what AI
    Toolkit's differential guidance amounts to).
    """

    weighting: Literal["none", "cosmap", "sigma_sqrt"] = "none"
    views: dict[str, float] = field(default_factory=dict)
    preservation: float = 0.0
    gradient_scale: float = 1.0

    def __post_init__(self) -> None:
        require(self.preservation >= 0, f"preservation = {self.preservation} must not be negative")
        require(self.gradient_scale > 0, f"gradient_scale = {self.gradient_scale} must be above 0")
        for view, weight in self.views.items():
            good = isinstance(weight, int | float) and 0 < weight < 1e6
            require(good, f"views: {view} = {weight!r} must be a number above 0")


@dataclass(frozen=True, kw_only=True)
class RegularisationConfig:
    """A second dataset that keeps the base's abilities: `share` of the samples, their loss times `weight`."""

    dataset: str | None = None
    share: float = 0.2
    weight: float = 1.0

    def __post_init__(self) -> None:
        require(0 < self.share < 1, f"share = {self.share} must be above 0 and below 1")
        require(self.weight > 0, f"weight = {self.weight} must be above 0")
