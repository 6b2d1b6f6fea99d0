"""What a run would do, worked out from the configuration and the dataset's table alone: no model, no torch."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wanprep.models.find import find_weights
from wanprep.stage import Missing
from wantrain.config import TrainConfig
from wantrain.data import hold_out
from wantrain.experts import COMPONENTS
from wantrain.flow import expert_interval, natural_share

if TYPE_CHECKING:
    from wanprep.cached import CachedDataset


def plan(config: TrainConfig, dataset: CachedDataset) -> dict[str, Any]:
    """Samples, buckets, steps, epochs, sigma intervals and where the weights are (None: nowhere)."""
    training, held = hold_out(dataset.samples, config.validation.share)
    allowed = set(training)
    epoch = sum(index in allowed for index in dataset.epoch_order(0, 0))
    buckets = Counter(f"{s.width}x{s.height}x{s.frames}" for s in dataset.samples)
    boundary, family = config.model_family.boundary, config.model_family
    total = sum(config.expert(name).steps for name in config.stages)
    override = Path(config.weights) if config.weights else None
    experts = {}
    for name in config.stages:
        own = config.expert(name)
        try:
            weights = find_weights(family, COMPONENTS[name], override=override)
        except Missing:
            weights = None
        experts[name] = {
            "steps": own.steps, "share": own.steps / total, "epochs": own.steps / max(1, epoch), "rank": own.rank,
            "alpha": own.lora_alpha, "lr": own.lr, "sigma": list(expert_interval(name, boundary)),
            "weights": None if weights is None else str(weights),
        }  # fmt: skip
    return {
        "run": str(config.folder), "family": config.family, "shift": config.shift, "samples": len(dataset.samples),
        "training": len(training), "held_out": len(held), "epoch": epoch, "buckets": dict(sorted(buckets.items())),
        "natural_share_high": None if boundary is None else natural_share(boundary, config.shift), "experts": experts,
    }  # fmt: skip


def plan_lines(planned: dict[str, Any]) -> list[str]:
    """The plan for people."""
    lines = [
        f"{planned['family']}, run {planned['run']}",
        f"{planned['samples']} samples: {planned['training']} to train on ({planned['epoch']} an epoch with repeats), "
        f"{planned['held_out']} held out",
        "buckets: " + ", ".join(f"{name} ({count})" for name, count in planned["buckets"].items()),
    ]
    for name, own in planned["experts"].items():
        low, high = own["sigma"]
        lines.append(
            f"{name}: {own['steps']} steps = {own['epochs']:.1f} epochs, {own['share']:.1%} of the steps; sigma "
            f"{low:g}–{high:g}, rank {own['rank']}, alpha {own['alpha']:g}, lr {own['lr']:g}; "
            f"weights: {own['weights'] or 'not on this machine'}"
        )
    if planned["natural_share_high"] is not None:
        lines.append(f"uniform draws would give high {planned['natural_share_high']:.1%} (shift {planned['shift']:g})")
    return lines
