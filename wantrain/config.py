"""What a training run is told: one frozen dataclass filled from one TOML file, its sections in `sections.py`.

A knob that nobody knows is an error with the nearest name. Settings that cannot change a result (folders, how often to
save, which expert first) are not part of what a resumed run compares.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from wanprep import config as tables
from wanprep import layers
from wanprep.costs import Bucket, batches_of
from wanprep.families import Family, family
from wanprep.stage import UsageError
from wantrain.sections import (
    ComputeConfig,
    ExpertConfig,
    ExpertsConfig,
    Goal,
    LossConfig,
    RegularisationConfig,
    RunConfig,
    SamplingConfig,
    require,
)
from wantrain.sections_watch import PreviewsConfig, SaveConfig, ValidationConfig
from wantrain.sigma import Sigmas, expert_interval

EXPERTS = ("high", "low", "single")
TOTAL = ("experts", "total_steps")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """A whole run.

    dataset: folder made by wanprep. weights: the base model, a folder or files as docs/weights.md says; searched for
    when left out. goal: what the set is for; only the advice of `wantrain plan` depends on it. caption_dropout: share
    of draws that see the empty prompt. first_frame: ti2v families only, share of draws that are given a clean first
    frame (1: image to video, 0: text to video).
    """

    dataset: str = "dataset"
    family: str = "wan2.2-t2v-a14b"
    weights: str | None = None
    goal: Goal | None = None
    caption_dropout: float = 0.05
    first_frame: float = 0.0
    run: RunConfig = field(default_factory=RunConfig)
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    experts: ExpertsConfig = field(default_factory=ExpertsConfig)
    high: ExpertConfig = field(default_factory=ExpertConfig)
    low: ExpertConfig = field(default_factory=ExpertConfig)
    single: ExpertConfig = field(default_factory=ExpertConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    regularisation: RegularisationConfig = field(default_factory=RegularisationConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    save: SaveConfig = field(default_factory=SaveConfig)
    previews: PreviewsConfig = field(default_factory=PreviewsConfig)

    def __post_init__(self) -> None:
        known = family(self.family)
        strange = [stage for stage in self.experts.stages if stage not in known.experts]
        if strange:
            raise UsageError(f"experts.stages: {self.family} has {', '.join(known.experts)}, not {', '.join(strange)}")
        require(0 <= self.caption_dropout <= 1, f"caption_dropout = {self.caption_dropout} must be between 0 and 1")
        require(0 <= self.first_frame <= 1, f"first_frame = {self.first_frame} must be between 0 and 1")
        fits = known.task == "ti2v" or self.first_frame == 0
        require(fits, f"first_frame = {self.first_frame} is for ti2v families; {self.family} is {known.task}")
        whole = self.experts.total_steps is None or set(self.stages) == {"high", "low"}
        require(whole, "experts.total_steps is shared by high and low: both must be trained")
        for name in self.stages:
            self.sigmas(name)
        if self.previews.prompts is not None:
            every, save = self.previews.every, self.save.every
            told = f"previews.every = {every} must be a multiple of save.every = {save}, whose LoRAs are shown"
            require(every % save == 0, told)
            require(self.save.keep >= 1, "save.keep = 0 leaves previews no LoRA to show; keep at least 1")

    @property
    def model_family(self) -> Family:
        return family(self.family)

    @property
    def stages(self) -> tuple[str, ...]:
        return self.experts.stages or self.model_family.experts

    @property
    def folder(self) -> Path:
        return Path(self.run.out).expanduser() / self.run.name

    def expert(self, name: str) -> ExpertConfig:
        return {"high": self.high, "low": self.low, "single": self.single}[name]

    def sigmas(self, expert: str) -> Sigmas:
        """The distribution from which an expert's sigmas are drawn; "single" asks for the whole range."""
        own = self.sampling
        shift = self.model_family.flow_shift if own.shift is None else own.shift
        return Sigmas(
            method=own.method, interval=expert_interval(expert, self.model_family.boundary), shift=shift, mean=own.mean,
            std=own.std, bias=own.bias, window=own.window,
        )  # fmt: skip

    def natural_share(self) -> float | None:
        """Share of draws over the whole range that would fall to `high`; None with one expert."""
        boundary = self.model_family.boundary
        return None if boundary is None else 1 - self.sigmas("single").below(boundary)


def load_config(path: Path | None, assignments: Iterable[str], environment: Mapping[str, str]) -> TrainConfig:
    """Command line (`assignments`) > environment (`WANTRAIN_HIGH__LR`) > file > defaults."""
    own = one_length([
        [layers.of_file(path)] if path else [],
        layers.of_environment(environment, TrainConfig, "WANTRAIN_"),
        layers.of_assignments(assignments, TrainConfig),
    ])  # fmt: skip
    config = layers.build(TrainConfig, own)
    layers.check_environment(environment, TrainConfig, "WANTRAIN_")
    merged = tables.merge(*(layer.table for layer in own))
    for name in EXPERTS:
        if name in merged and name not in config.model_family.experts:
            has = ", ".join(config.model_family.experts)
            raise UsageError(f"[{name}] is set, but {config.family} has no such expert; it has: {has}")
    by_file = [layer for layer in own if "prompts" in layer.table.get("previews", {})][-1:] == own[:1]
    return _with_prompts_beside(config, path) if path and by_file else config


def one_length(levels: Sequence[Sequence[layers.Layer]]) -> list[layers.Layer]:
    """The layers of all levels, the weakest first, with one length of each expert: what a level says of it (`steps`,
    `epochs`, `experts.total_steps` for both) takes out what weaker ones said in another way.

    UsageError, with where they come from, when two are left: of one level, or `total_steps` and that of one expert.
    """
    kept: list[layers.Layer] = []
    for level in levels:
        said = set(_lengths(level))
        gone = {(name, other) for name, length in said for other in ("steps", "epochs") if other != length}
        if TOTAL in said:
            gone |= {(name, length) for name in ("high", "low") for length in ("steps", "epochs")}
        if {"high", "low"} <= {name for name, _ in said}:
            gone.add(TOTAL)
        kept = [_without(layer, gone) for layer in kept] + [*level]
    found = _lengths(kept)
    for name in EXPERTS:
        both = [key for key in (TOTAL, (name, "steps"), (name, "epochs")) if key in found]
        if len(both) > 1 and both != [TOTAL]:
            told = " and ".join(f"{'.'.join(key)} (from {found[key]})" for key in both[:2])
            way = "keep one, or give both experts' lengths" if both[0] == TOTAL else "keep one"
            raise UsageError(f"{told} both say how long {name} trains; {way}")
    return kept


def _lengths(found: Iterable[layers.Layer]) -> dict[tuple[str, str], str]:
    """(section, setting) of every length that layers have -> where it comes from."""
    keys = [TOTAL, *((name, length) for name in EXPERTS for length in ("steps", "epochs"))]
    origins = {}
    for layer in found:
        for section, key in keys:
            table = layer.table.get(section)
            if isinstance(table, Mapping) and key in table:
                origins[section, key] = layer.origin
    return origins


def _without(layer: layers.Layer, gone: set[tuple[str, str]]) -> layers.Layer:
    table = {
        section: {key: value for key, value in own.items() if (section, key) not in gone}
        if isinstance(own, Mapping) else own for section, own in layer.table.items()
    }  # fmt: skip
    return layers.Layer(table, layer.origin)


def _with_prompts_beside(config: TrainConfig, path: Path) -> TrainConfig:
    """A file of prompts that the configuration at `path` names is beside it, or else where the command is run."""
    named = config.previews.prompts
    beside = path.parent / Path(named or "").expanduser()
    return replace(config, previews=replace(config.previews, prompts=str(beside))) if beside.is_file() else config


def settled(config: TrainConfig, visits: Mapping[Bucket, int]) -> TrainConfig:
    """The same run with plain `steps` for each expert: `epochs` and `total_steps` worked out.

    visits: draws of an epoch in each bucket. Batches of a regularisation set come on top of an epoch's.
    """
    drawn = 1.0 if config.regularisation.dataset is None else 1 - config.regularisation.share
    total = config.experts.total_steps
    if total is not None:
        share = config.experts.high_share
        wanted = config.natural_share() if share == "natural" else share
        high = min(max(round(total * float(wanted or 0)), 1), total - 1)
        steps = {"high": high, "low": total - high}
    else:
        own = {name: config.expert(name) for name in EXPERTS}
        steps = {
            name: own[name].steps if (epochs := own[name].epochs) is None
            else max(1, math.ceil(epochs * batches(own[name], visits) / drawn / own[name].accumulate))
            for name in EXPERTS
        }  # fmt: skip
    plain: dict[str, Any] = {
        name: replace(config.expert(name), steps=count, epochs=None) for name, count in steps.items()
    }
    return replace(config, experts=replace(config.experts, total_steps=None), **plain)


def batches(expert: ExpertConfig, visits: Mapping[Bucket, int]) -> int:
    """Batches of an epoch: each of one bucket."""
    return sum(batches_of(count, expert.batch_size) for count in visits.values())


def what_matters(config: TrainConfig, expert: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """Everything one expert's weights depend on, as a flat table: what a resumed run compares and a LoRA file records.

    config: settled. data: digests of what is not in the configuration (the dataset, the base weights, a LoRA to begin
    with). No folders, no device, nothing about the other expert.
    """
    own = tables.to_table(config.expert(expert)) | {"alpha": config.expert(expert).lora_alpha}
    own.pop("init", None)
    sections = {
        expert: own,
        "sampling": tables.to_table(config.sampling) | {"shift": config.sigmas(expert).shift},
        "loss": tables.to_table(config.loss),
    }
    if config.compute.base != "full":
        sections["compute"] = {"base": config.compute.base}
    if config.regularisation.dataset is not None:
        sections["regularisation"] = tables.to_table(replace(config.regularisation, dataset=None))
    return {
        **{f"{section}.{key}": value for section, table in sections.items() for key, value in table.items()},
        **data,
        "family": config.family,
        "caption_dropout": config.caption_dropout,
        "first_frame": config.first_frame,
        "run.seed": config.run.seed,
        "run.dtype": config.run.dtype,
        "validation.share": config.validation.share,
    }
