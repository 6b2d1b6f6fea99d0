"""Everything about previews that can go wrong is found here, before the first step: prompts, weights, devices."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from wanprep.config import to_table
from wanprep.families import Family
from wanprep.ids import digest_file, key_of
from wanprep.stage import Missing, UsageError
from wantrain.config import TrainConfig
from wantrain.preview_worker import Job
from wantrain.previews import Previews, PreviewSetup
from wantrain.prompts import Prompt, read_prompts
from wantrain.sample import cautions


def check(config: TrainConfig) -> tuple[Prompt, ...]:
    """The prompts of a run, none without [previews] prompts. UsageError for any mistake in them. Loads no model."""
    named = config.previews.prompts
    if named is None:
        return ()
    path = Path(named).expanduser()
    if not path.is_file():
        looked = "" if path.is_absolute() else f": neither beside the configuration that names it nor in {Path.cwd()}"
        raise UsageError(f"previews.prompts: {named} is not there{looked}")
    return read_prompts(path, config.model_family)


def warnings(prompts: Sequence[Prompt], family: Family) -> list[str]:
    """What `cautions` says about prompts, once however many it is true of."""
    told: dict[str, int] = {}
    for prompt in prompts:
        for sentence in cautions(prompt.request(family), family):
            told[sentence] = told.get(sentence, 0) + 1
    return [
        f"previews: {sentence} ({count} of {len(prompts)} {'prompt' if len(prompts) == 1 else 'prompts'})"
        for sentence, count in told.items()
    ]


def prepare(config: TrainConfig, device: str, dtype: str) -> Previews | None:
    """The observer that makes previews, or None. device, dtype: those of the training.

    Raises UsageError for a mistake in the prompts or the device, Missing when the base model is not there as a whole.
    """
    prompts = check(config)
    if not prompts:
        return None
    own, family = config.previews, config.model_family
    where = pick(own.device, device, cuda_devices())
    folder = whole_pipeline(family, Path(config.weights) if config.weights else None)
    pictures = [digest_file(Path(p.first_frame)) for p in prompts if p.first_frame]
    key = key_of(prompts=to_table(prompts), pictures=pictures, family=family.name, dtype=dtype)
    job = Job(
        run="", family=family.name, weights=str(folder), dtype=dtype,
        device=where, key=key, steps=dict.fromkeys(family.experts, 0), prompts=prompts, columns=own.columns,
        threads=max(1, (os.cpu_count() or 2) // 2) if where == "cpu" else 0,
    )  # fmt: skip
    return Previews(
        PreviewSetup(
            job=job, every=own.every, at_start=own.at_start, queue=own.queue, minutes=own.minutes, at_end=own.at_end,
            waits=where.startswith("cuda") and _same(where, device),
            alternate=config.experts.schedule == "alternate", stages=config.stages,
            sequential=config.experts.schedule == "sequential", warnings=tuple(warnings(prompts, family)),
        )
    )  # fmt: skip


def pick(wanted: str, training: str, count: int) -> str:
    """Where previews are made. wanted: the setting; training: the device that trains; count: of CUDA devices.

    UsageError for a GPU that is not there.
    """
    if wanted == "cpu" or (wanted == "auto" and count == 0):
        return "cpu"
    if wanted == "auto":
        others = [f"cuda:{number}" for number in range(count) if not _same(f"cuda:{number}", training)]
        return others[0] if others else training
    number = int(wanted.partition(":")[2] or 0)
    if number >= count:
        raise UsageError(f'previews.device = "{wanted}" is not there: this machine has {count} CUDA devices; try "cpu"')
    return wanted


def _same(one: str, other: str) -> bool:
    """Whether both name one device: "cuda" is "cuda:0"."""
    return one.replace("cuda:0", "cuda") == other.replace("cuda:0", "cuda")


def cuda_devices() -> int:
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def whole_pipeline(family: Family, override: Path | None) -> Path:
    """All parts of the base model, as `whole_base` has them: a sampler needs VAE, text encoder and both experts too."""
    from wantrain.base import whole_base

    try:
        return whole_base(family, override)
    except Missing as error:
        what = f"previews need the whole base model: {error.what}"
        raise Missing(what, f"{error.remedy}; or leave previews.prompts out") from error
