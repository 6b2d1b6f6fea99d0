"""What `run` would refuse before its first step, found without a model: `plan` and `--dry-run` say it as well.

Weights that were not asked for by name, and samples that are not cached, are no refusals: a plan is made before both.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wanprep.stage import Missing, UsageError
from wantrain import checkpoint, split
from wantrain.aside import Aside, aside_of
from wantrain.config import TrainConfig, settled, what_matters
from wantrain.ready import digests, refuse, visits_of

if TYPE_CHECKING:
    from wanprep.cached import CachedDataset

Refusal = UsageError | Missing


def refusals(
    config: TrainConfig, dataset: CachedDataset, open_aside: Callable[[], CachedDataset | None], *,
    mode: checkpoint.Mode = "auto", accept: bool = False,
) -> list[Refusal]:  # fmt: skip
    """Every one that is found, in the order in which `run` meets them. open_aside: opens the regularisation set."""
    found: list[Refusal] = []

    def attempt(check: Callable[[], Any]) -> Any:
        try:
            return check()
        except (UsageError, Missing) as error:
            found.append(error)
            return None

    attempt(lambda: _machine(config))
    regular = attempt(open_aside)
    memory = None if mode == "fresh" else split.remembered(config.folder)
    parts = split.divide(dataset.samples, config.validation.share, memory)
    config = settled(config, visits_of(dataset, parts[0]))
    if regular is not None or config.regularisation.dataset is None:
        attempt(lambda: aside_of(regular, dataset, parts, memory))
        attempt(lambda: refuse(config, dataset, parts[0], regular))
        if not found:
            attempt(lambda: _standing(config, dataset, regular, memory, mode, accept))
    return found


def foreseen(
    config: TrainConfig, dataset: CachedDataset, open_aside: Callable[[], CachedDataset | None], *,
    mode: checkpoint.Mode = "auto",
) -> tuple[split.Parts, Aside | None]:  # fmt: skip
    """What a run will train on and hold out, and its regularisation set: None without one, and where `refusals` says
    why it cannot be used."""
    memory = None if mode == "fresh" else split.remembered(config.folder)
    parts = split.divide(dataset.samples, config.validation.share, memory)
    try:
        return parts, aside_of(open_aside(), dataset, parts, memory)
    except UsageError:
        return parts, None


def standing(config: TrainConfig, dataset: CachedDataset, parts: split.Parts, *, mode: checkpoint.Mode) -> list[str]:
    """What `run` does with the run that is in its folder, in words; empty where there is none."""
    if not (config.folder / "run.json").exists():
        return []
    if mode == "fresh":
        return [f"{config.folder} is moved aside, and the run begins again"]
    from wantrain import resume

    run = checkpoint.Run(folder=config.folder)
    checkpoint.reread(run)
    return resume.standing(run, settled(config, visits_of(dataset, parts[0])))


def _machine(config: TrainConfig) -> None:
    """Missing for weights that were named and will not do, and for a device that is not there."""
    from wanprep.models.find import find_weights
    from wanprep.models.load import pick_device
    from wantrain.experts import COMPONENTS

    for name in config.stages if config.weights else ():
        find_weights(config.model_family, COMPONENTS[name], override=Path(str(config.weights)))
    pick_device(config.run.device)


def _standing(
    config: TrainConfig, dataset: CachedDataset, regular: CachedDataset | None, memory: split.Memory | None,
    mode: checkpoint.Mode, accept: bool,
) -> None:  # fmt: skip
    """UsageError for a run in this folder that cannot be gone on with. Base weights are not compared: a digest over
    them takes minutes."""
    from wantrain.resume import refuse_changes

    there = (config.folder / "run.json").exists()
    if mode == "resume" and not there:
        raise UsageError(f"there is nothing to resume in {config.folder}; leave out --resume to begin")
    if mode == "fresh" or not there:
        return
    run = checkpoint.Run(folder=config.folder)
    checkpoint.reread(run)
    base = {name: str(run.experts.get(name, {}).get("matters", {}).get("base", "")) for name in config.stages}
    matters = {
        name: what_matters(config, name, digests(config, name, dataset, base, regular)) for name in config.stages
    }
    refuse_changes(run, config, dataset, memory, matters, accept=accept)
