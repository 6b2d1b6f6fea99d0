"""What a training run is told, as frozen dataclasses filled from one TOML file.

Defaults are the moderate column of the public guides (rank 16, 1e-4, 2000 steps an expert, see
`pipelines/train-default.toml`). A knob that nobody knows is an error with the nearest name. Settings that cannot
change a result (folders, how often to save, which expert first) are not part of what a resumed run compares.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from wanprep import config as tables
from wanprep.families import Family, family
from wanprep.stage import UsageError


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Name, place and machine of a run.

    device: "auto" takes a GPU when there is one. dtype: of the frozen base; "auto" is bf16 on a GPU, fp32 on a
    CPU. deterministic: one CPU thread and deterministic kernels, for runs that must repeat bit for bit.
    checkpointing: recompute activations in the backward pass (less memory, about a third more time).
    offload_idle: keep the expert that is not training in main memory.
    """

    name: str = "lora"
    out: str = "runs"
    seed: int = 42
    device: str = "auto"
    dtype: Literal["auto", "fp32", "bf16"] = "auto"
    deterministic: bool = False
    checkpointing: bool = True
    offload_idle: bool = True

    def __post_init__(self) -> None:
        plain = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._ -]*", self.name) is not None
        _require(plain, f"name = {self.name!r} must be a plain file name: letters, digits, '.', '_', '-'")
        _require(0 <= self.seed < 2**63, f"seed = {self.seed} must be between 0 and 2^63")


@dataclass(frozen=True, kw_only=True)
class ExpertsConfig:
    """stages: the experts to train, all of the family's when empty. switch_every: steps before the other's turn."""

    stages: tuple[Literal["high", "low", "single"], ...] = ()
    switch_every: int = 10

    def __post_init__(self) -> None:
        _require(self.switch_every >= 1, f"switch_every = {self.switch_every} must be at least 1")
        _require(len(set(self.stages)) == len(self.stages), f"stages = {list(self.stages)} names an expert twice")


@dataclass(frozen=True, kw_only=True)
class ExpertConfig:
    """One expert's LoRA and optimizer (AdamW).

    alpha: LoRA scale is alpha/rank; the rank when left out. warmup: share of the steps over which lr rises to its full
    value. schedule: what follows. max_grad_norm: 0 switches clipping off.
    """

    steps: int = 2000
    rank: int = 16
    alpha: float | None = None
    lr: float = 1e-4
    weight_decay: float = 1e-4
    warmup: float = 0.05
    schedule: Literal["cosine", "constant"] = "cosine"
    max_grad_norm: float = 1.0

    def __post_init__(self) -> None:
        _require(self.steps >= 1, f"steps = {self.steps} must be at least 1")
        _require(self.rank >= 1, f"rank = {self.rank} must be at least 1")
        _require(self.alpha is None or self.alpha > 0, f"alpha = {self.alpha} must be above 0")
        _require(0 <= self.lr < 1, f"lr = {self.lr} must be at least 0 and below 1")
        _require(self.weight_decay >= 0, f"weight_decay = {self.weight_decay} must not be negative")
        _require(0 <= self.warmup <= 1, f"warmup = {self.warmup} is a share of the steps: between 0 and 1")
        _require(self.max_grad_norm >= 0, f"max_grad_norm = {self.max_grad_norm} must not be negative")

    @property
    def lora_alpha(self) -> float:
        return float(self.rank if self.alpha is None else self.alpha)


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """shift: flow_shift of the training sigmas; the family's inference default when left out."""

    shift: float | None = None

    def __post_init__(self) -> None:
        _require(self.shift is None or 0 < self.shift <= 100, f"shift = {self.shift} must be above 0, at most 100")


@dataclass(frozen=True, kw_only=True)
class ValidationConfig:
    """Held-out loss. share: of the samples, never trained on (0: none). every: steps. samples, sigmas: its size."""

    share: float = 0.1
    every: int = 250
    samples: int = 8
    sigmas: int = 4

    def __post_init__(self) -> None:
        _require(0 <= self.share < 1, f"share = {self.share} must be at least 0 and below 1")
        for name in ("every", "samples", "sigmas"):
            _require(getattr(self, name) >= 1, f"{name} = {getattr(self, name)} must be at least 1")


@dataclass(frozen=True, kw_only=True)
class SaveConfig:
    """every: steps between saved states and LoRA files. keep: LoRA files kept on the way, per expert."""

    every: int = 250
    keep: int = 6

    def __post_init__(self) -> None:
        _require(self.every >= 1, f"every = {self.every} must be at least 1")
        _require(self.keep >= 0, f"keep = {self.keep} must not be negative")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """A whole run. dataset: folder made by wanprep. weights: folder of the base model; searched for when left out."""

    dataset: str = "dataset"
    family: str = "wan2.2-t2v-a14b"
    weights: str | None = None
    caption_dropout: float = 0.05
    run: RunConfig = field(default_factory=RunConfig)
    experts: ExpertsConfig = field(default_factory=ExpertsConfig)
    high: ExpertConfig = field(default_factory=ExpertConfig)
    low: ExpertConfig = field(default_factory=ExpertConfig)
    single: ExpertConfig = field(default_factory=ExpertConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    save: SaveConfig = field(default_factory=SaveConfig)

    def __post_init__(self) -> None:
        known = family(self.family)
        if known.task == "i2v":
            raise UsageError(f"family {self.family!r}: only text-to-video training is supported so far")
        strange = [stage for stage in self.experts.stages if stage not in known.experts]
        if strange:
            raise UsageError(f"experts.stages: {self.family} has {', '.join(known.experts)}, not {', '.join(strange)}")
        _require(0 <= self.caption_dropout <= 1, f"caption_dropout = {self.caption_dropout} must be between 0 and 1")

    @property
    def model_family(self) -> Family:
        return family(self.family)

    @property
    def stages(self) -> tuple[str, ...]:
        return self.experts.stages or self.model_family.experts

    @property
    def shift(self) -> float:
        return self.model_family.flow_shift if self.sampling.shift is None else self.sampling.shift

    @property
    def folder(self) -> Path:
        return Path(self.run.out).expanduser() / self.run.name

    def expert(self, name: str) -> ExpertConfig:
        return {"high": self.high, "low": self.low, "single": self.single}[name]


def load_config(path: Path | None, assignments: Iterable[str], environment: Mapping[str, str]) -> TrainConfig:
    """Command line (`assignments`) > environment (`WANTRAIN_HIGH__LR`) > file > defaults."""
    environ = tables.from_environment(environment, TrainConfig.__dataclass_fields__, prefix="WANTRAIN_")
    merged = tables.merge(tables.read_toml(path) if path else {}, environ, tables.parse_set(assignments))
    config = tables.from_table(TrainConfig, merged)
    for name in ("high", "low", "single"):
        if name in merged and name not in config.model_family.experts:
            has = ", ".join(config.model_family.experts)
            raise UsageError(f"[{name}] is set, but {config.family} has no such expert; it has: {has}")
    return config


def what_matters(config: TrainConfig, expert: str, fingerprint: str) -> dict[str, Any]:
    """Everything one expert's weights depend on, as a flat table: what a resumed run compares and a LoRA file records.

    No folders, no device, nothing about the other expert.
    """
    own = {f"{expert}.{key}": value for key, value in tables.to_table(config.expert(expert)).items()}
    return own | {
        f"{expert}.alpha": config.expert(expert).lora_alpha,
        "family": config.family,
        "dataset": fingerprint,
        "caption_dropout": config.caption_dropout,
        "run.seed": config.run.seed,
        "run.dtype": config.run.dtype,
        "sampling.shift": config.shift,
        "validation.share": config.validation.share,
    }
