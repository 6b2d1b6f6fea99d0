"""What must hold before the first step: data that fits the settings, what the result depends on, and arithmetic that
repeats itself."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wanprep.costs import Bucket
from wanprep.ids import key_of
from wanprep.stage import UsageError
from wantrain.config import TrainConfig
from wantrain.fitting import check_expert
from wantrain.forecast import SHOWN, card_named
from wantrain.lora_file import digest_of
from wantrain.tasks import refuse_unusable

if TYPE_CHECKING:
    from wanprep.cached import CachedDataset

CHECK_SECONDS = 20.0  # of comparing digests before a run


def visits_of(dataset: CachedDataset, training: list[int]) -> dict[Bucket, int]:
    """Draws of an epoch in each bucket: its training samples, each as often as it repeats."""
    counts: Counter[Bucket] = Counter()
    for sample in (dataset.samples[index] for index in training):
        counts[sample.width, sample.height, sample.frames] += sample.repeats
    return dict(sorted(counts.items()))


def refuse(config: TrainConfig, dataset: CachedDataset, training: list[int], regular: CachedDataset | None) -> None:
    """UsageError for what could only fail, or be without effect, later; Missing for an optimizer that is not here."""
    samples = [dataset.samples[index] for index in training]
    everything = [*dataset.samples, *(regular.samples if regular else ())]
    refuse_unusable(everything, config.model_family, config.first_frame)
    strange = set(config.loss.views) - {sample.view for sample in everything}
    if strange:
        raise UsageError(f"loss.views: the dataset has no view {sorted(strange)[0]!r}")
    if config.loss.preservation and not any(sample.class_path for sample in samples):
        raise UsageError(
            "loss.preservation needs captions with the class word in place of the trigger, and none is cached: set "
            "caption.trigger and caption.class_word in the dataset's wanprep.toml and run `wanprep cache`"
        )
    if (config.regularisation.dataset is None) != (regular is None):
        raise UsageError("regularisation.dataset is set but was not opened, or the reverse")
    for name in config.stages:
        own = config.expert(name)
        if own.warmup_steps(own.steps) >= own.steps > 1:
            raise UsageError(
                f"{name}.warmup = {own.warmup!r}: lr would still be rising when the {own.steps} steps of "
                f"{name} end; set fewer steps, or a share of them (5%)"
            )
    for name in config.stages:  # before any model is loaded
        check_expert(config, name)


def check_caches(*datasets: CachedDataset) -> str:
    """Every cached file is there, and as many digests as `CHECK_SECONDS` allow are right; else Damaged. Says what was
    compared: the others are when they are first read."""
    compared, files = (sum(counts) for counts in zip(*(d.verify(CHECK_SECONDS) for d in datasets), strict=True))
    checked = f"cached files: all {files} are there, the digests of {compared} are right"
    return "\n".join([checked, *(note for d in datasets for note in d.notes)])


def digests(
    config: TrainConfig, name: str, dataset: CachedDataset, base: Mapping[str, str], regular: CachedDataset | None
) -> dict[str, Any]:
    """What an expert's weights depend on besides the settings, by digest."""
    init = config.expert(name).init
    found: dict[str, Any] = {"dataset": dataset.fingerprint, "base": base[name]}
    if init is not None:
        path = Path(init).expanduser()
        if not path.exists():
            raise UsageError(f"{name}.init: {path} is not there")
        found["init"] = digest_of(path)
    if config.loss.preservation:
        found["class_texts"] = key_of(digests=[sample.class_digest for sample in dataset.samples])
    if regular is not None:
        found["regularisation"] = regular.fingerprint
    return found


def cards_here() -> tuple[str, ...]:
    """The card of this machine as `forecast` knows it; some usual ones where there is none."""
    import torch

    name = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    found = card_named(name)
    return SHOWN if found is None else (found,)


@contextmanager
def arithmetic(deterministic: bool) -> Iterator[None]:
    """One thread and deterministic kernels while `deterministic`: thread count changes sums in the last bits."""
    import torch

    if not deterministic:
        yield
        return
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what cuBLAS needs to repeat itself
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)
