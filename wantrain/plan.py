"""What a run would do, worked out from the configuration and the dataset's table alone: no model is loaded.

The sigma histogram is not an expectation: draws are a function of the seed, so these are the very numbers that the run
will draw.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wanprep.config import to_table
from wanprep.models.find import find_weights
from wanprep.stage import Missing
from wantrain.advice import warnings_for
from wantrain.aside import Aside, mixture, taken
from wantrain.aside import lines as aside_lines
from wantrain.aside import planned as regularisation
from wantrain.config import TrainConfig, batches, settled
from wantrain.data import fewer_held_out
from wantrain.experts import COMPONENTS, seed_for
from wantrain.forecast import SHOWN, forecast, forecast_lines
from wantrain.lora_file import mixed_up
from wantrain.ready import visits_of
from wantrain.sigma import histogram, sparkline
from wantrain.split import Parts, divide, remembered

if TYPE_CHECKING:
    from wanprep.cached import CachedDataset

BINS = 10


def plan(
    config: TrainConfig,
    dataset: CachedDataset,
    cards: Sequence[str] = SHOWN,
    parts: Parts | None = None,
    aside: Aside | None = None,
) -> dict[str, Any]:
    """Samples, buckets, steps, epochs, sigmas, warnings, time on each of `cards`, and where the weights are (None:
    nowhere). parts: (training, held out) indices; left out, what a run in this folder remembers, or the rule's. aside:
    the regularisation set, as the run will use it.

    settings: the whole configuration with plain steps, for the record; it holds the folders that were given.
    """
    training, held = parts or divide(dataset.samples, config.validation.share, remembered(config.folder))
    visits = visits_of(dataset, training)
    epoch = sum(visits.values())
    config = settled(config, visits)
    shown = [dataset.samples[index] for index in training]
    buckets = Counter(f"{s.width}x{s.height}x{s.frames}" for s in shown)
    total, share = sum(config.expert(name).steps for name in config.stages), config.regularisation.share
    override = Path(config.weights) if config.weights else None
    experts = {}
    for name in config.stages:
        own = config.expert(name)
        try:
            weights = find_weights(config.model_family, COMPONENTS[name], override=override)
        except Missing:  # named, and not usable: `foresee` says so
            weights = None
        sigmas, draws = config.sigmas(name), own.steps * own.accumulate * own.batch_size
        drawn = sigmas.draws(seed_for(config.run.seed, name, "sigma"), 0, draws).tolist()
        forwards = own.steps * own.accumulate
        epochs = (forwards - (taken(share, forwards) if aside else 0)) / max(1, batches(own, visits))
        experts[name] = {
            "steps": own.steps, "share": own.steps / total, "epochs": epochs, "rank": own.rank,
            "alpha": own.lora_alpha, "lr": own.lr, "sigma": list(sigmas.interval), "edges": sigmas.edges(BINS),
            "drawn": histogram(drawn, sigmas.edges(BINS)), "weights": None if weights is None else str(weights),
        }  # fmt: skip
    drawn_of = mixture(visits, aside, share)
    forecasts = [found for card in cards if (found := forecast(config, drawn_of, card)) is not None]
    clips = len({dataset.samples[index].clip_id for index in training})
    return {
        "run": str(config.folder), "family": config.family, "method": config.sampling.method,
        "shift": config.sigmas(config.stages[0]).shift, "samples": len(dataset.samples), "training": len(training),
        "held_out": len(held), "pending": dataset.pending, "epoch": epoch, "buckets": dict(sorted(buckets.items())),
        "natural_share_high": config.natural_share(), "experts": experts,
        "regularisation": None if aside is None else regularisation(config, aside),
        "notes": _notes(dataset, config, held),
        "forecast": [asdict(found) | {"total_hours": found.total_hours} for found in forecasts],
        "warnings": warnings_for(config, clips=clips, epoch=epoch), "settings": to_table(config),
    }  # fmt: skip


def _notes(dataset: CachedDataset, config: TrainConfig, held: Sequence[int]) -> list[str]:
    fewer = fewer_held_out(dataset.samples, config.validation.share, held)
    notes = [fewer] if fewer else []
    if dataset.pending:
        notes.append(
            f"{dataset.pending} good samples are not cached and will not be trained on; `wanprep cache` encodes them, "
            "`wanprep status` says why if it could not"
        )
    given = [(name, Path(init).expanduser()) for name in config.stages if (init := config.expert(name).init)]
    odd = [mixed_up(path, name) for name, path in given if path.exists()]
    return notes + [f"warning: {sentence}" for sentence in odd if sentence]


def plan_lines(planned: dict[str, Any]) -> list[str]:
    """The plan for people."""
    lines = [
        f"{planned['family']}, run {planned['run']}",
        f"{planned['samples']} samples: {planned['training']} to train on ({planned['epoch']} an epoch with repeats), "
        f"{planned['held_out']} held out",
        "buckets to train on: " + ", ".join(f"{name} ({count})" for name, count in planned["buckets"].items()),
    ]
    for name, own in planned["experts"].items():
        low, high = own["sigma"]
        lines.append(
            f"{name}: {own['steps']} steps = {own['epochs']:.1f} epochs, {own['share']:.1%} of the steps; sigma "
            f"{low:g}–{high:g}, rank {own['rank']}, alpha {own['alpha']:g}, lr {own['lr']:g}; "
            f"weights: {own['weights'] or 'not on this machine'}"
        )
    lines += aside_lines(planned["regularisation"])
    lines += sigma_lines(planned)
    lines += forecast_lines(planned["forecast"])
    return lines + planned["notes"] + planned["warnings"]


def sigma_lines(planned: dict[str, Any]) -> list[str]:
    """What will be drawn, an expert a line, and the share that drawing over the whole range would give `high`."""
    lines = []
    for name, own in planned["experts"].items():
        low, high = own["sigma"]
        counts = " ".join(str(count) for count in own["drawn"])
        lines.append(f"sigma of {name}, {low:g} to {high:g}: {sparkline(own['drawn'])}  {counts}")
    if planned["natural_share_high"] is not None:
        share, method = planned["natural_share_high"], planned["method"]
        told = f"{method} {planned['shift']:g}" if method == "shift" else method
        lines.append(f"natural shares ({told} over the whole range): high {share:.1%}, low {1 - share:.1%}")
    return lines
