"""The training loop: read it from top to bottom.

Experts take turns of `switch_every` steps until each has its own number; whose turn it is follows from their step
counts alone, so a resumed run needs no memory of it. LoRA, state and run file are written in that order: dying between
two of them costs steps that will be done again with the same result, never a file that claims too much.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wanprep.ids import digest_file
from wantrain import checkpoint, lora
from wantrain.config import TrainConfig, what_matters
from wantrain.data import hold_out
from wantrain.experts import Expert, place, restore, start, state, train_step
from wantrain.progress import Progress
from wantrain.validate import Probe, held_out_loss, probes_for

if TYPE_CHECKING:
    import torch

    from wanprep.cached import CachedDataset

LoadModel = Callable[[str, str], "torch.nn.Module"]  # (expert, device) -> its frozen transformer


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """loras: expert -> final LoRA file. steps: expert -> steps done. held_out: expert -> last held-out row.

    interrupted: stopped on request, everything saved.
    """

    folder: Path
    loras: dict[str, Path]
    steps: dict[str, int]
    held_out: dict[str, dict[str, Any]]
    interrupted: bool


@dataclass(kw_only=True)
class Session:
    """What a process holds while it trains: the open run and where to report. Nothing here outlives the process."""

    config: TrainConfig
    dataset: CachedDataset
    run: checkpoint.Run
    metrics: checkpoint.Metrics
    progress: Progress
    matters: dict[str, dict[str, Any]]
    probes: dict[str, list[Probe]] = field(default_factory=dict)


def train(
    config: TrainConfig,
    dataset: CachedDataset,
    load_model: LoadModel,
    *,
    device: str = "cpu",
    mode: checkpoint.Mode = "auto",
    accept_changes: bool = False,
    stop: Callable[[], bool] = lambda: False,
    progress: Progress | None = None,
) -> TrainResult:
    """Train the configured experts on a cached dataset; returns when all are done or `stop()` says so.

    Raises UsageError (changed settings, nothing to train on) and ArithmeticError (a loss that is not finite), and what
    `load_model` raises; whatever was saved before stays valid.
    """
    progress = progress or Progress(verbosity=0)
    matters = {name: what_matters(config, name, dataset.fingerprint) for name in config.stages}
    with checkpoint.opened(config.folder, mode) as run, _arithmetic(config.run.deterministic):
        for name in config.stages:
            checkpoint.check_unchanged(run, name, matters[name], accept=accept_changes)
        checkpoint.cut_metrics(run)
        session = Session(
            config=config, dataset=dataset, run=run, matters=matters, progress=progress,
            metrics=checkpoint.Metrics(run.metrics_path),
        )  # fmt: skip
        experts = _start_experts(session, load_model, device)
        progress.begin({expert.name: (expert.step, expert.config.steps) for expert in experts})
        try:
            while (expert := next_turn(experts, config.experts.switch_every)) and not stop():
                _bring_in(expert, experts, device, offload=config.run.offload_idle)
                if expert.step == 0:
                    _measure_held_out(session, expert)
                turn_end = (expert.step // config.experts.switch_every + 1) * config.experts.switch_every
                while expert.step < min(turn_end, expert.config.steps) and not stop():
                    began = time.monotonic()
                    row = train_step(expert, dataset)
                    session.metrics.write("step", row, seconds=round(time.monotonic() - began, 4))
                    progress.step(row, expert.config.steps)
                    if expert.done or expert.step % config.validation.every == 0:
                        _measure_held_out(session, expert)
                    if expert.done or expert.step % config.save.every == 0:
                        _save(session, expert)
            for expert in experts:  # stopped on request, or done but its LoRA is gone
                if expert.step > run.step(expert.name) or (expert.done and not _finished(run, config, expert.name)):
                    _save(session, expert)
        finally:
            progress.end()
            session.metrics.close()
        return TrainResult(
            folder=run.folder,
            loras={n: run.folder / run.experts[n]["lora"] for n in config.stages if _finished(run, config, n)},
            steps={name: run.step(name) for name in config.stages},
            held_out=checkpoint.last_held_out(run),
            interrupted=any(not expert.done for expert in experts),
        )


def next_turn(experts: list[Expert], switch_every: int) -> Expert | None:
    """Whose turn it is: of the unfinished experts the one with the fewest whole turns, the first of equals."""
    working = [expert for expert in experts if not expert.done]
    return min(working, key=lambda expert: expert.step // switch_every, default=None)


def _start_experts(session: Session, load_model: LoadModel, device: str) -> list[Expert]:
    """The experts with steps left, each from its saved state where there is one. The first to work is on `device`."""
    config, run = session.config, session.run
    training, held = hold_out(session.dataset.samples, config.validation.share)
    pending = [name for name in config.stages if not _finished(run, config, name)]
    experts: list[Expert] = []
    for name in pending:
        saved = checkpoint.load_expert(run, name)
        model: Any = load_model(name, "cpu" if experts and config.run.offload_idle else device)
        if config.run.checkpointing:
            model.enable_gradient_checkpointing()
        expert = start(name, config, model, session.dataset, frozenset(training))
        if saved is not None:
            restore(expert, *saved)
        if held:
            size = {"samples": config.validation.samples, "sigmas": config.validation.sigmas}
            session.probes[name] = probes_for(expert, held, **size)
        experts.append(expert)
    return experts


def _bring_in(active: Expert, experts: list[Expert], device: str, *, offload: bool) -> None:
    """Put the active expert on `device`; the others leave it first, so that both need never fit at once."""
    for expert in experts:
        if expert is not active and offload:
            place(expert, "cpu")
    place(active, device)


def _measure_held_out(session: Session, expert: Expert) -> None:
    probes = session.probes.get(expert.name)
    if not probes:
        return
    row = held_out_loss(expert, session.dataset, probes)
    session.metrics.write("held_out", row)
    text = f"held-out loss {row['loss']:.4f} (predicting zero: {row['zero']:.4f})"
    session.progress.say(f"{expert.name} {expert.step}/{expert.config.steps}  {text}")


def _save(session: Session, expert: Expert) -> None:
    """LoRA (at its end and at every planned save), state, run.json."""
    session.metrics.sync()
    config, folder, matters = session.config, session.run.folder, session.matters[expert.name]
    entry: dict[str, Any] = {"matters": matters}
    metadata = {"expert": expert.name, "step": expert.step, "made_with": _versions(), **matters}
    if expert.done:
        path = folder / lora.file_name(config.run.name, expert.name)
        digest = lora.save_lora(path, expert.params, alpha=expert.config.lora_alpha, metadata=metadata)
        entry |= {"lora": path.name, "lora_digest": digest}
    elif expert.step % config.save.every == 0:
        path = folder / "loras" / lora.file_name(config.run.name, expert.name, expert.step)
        lora.save_lora(path, expert.params, alpha=expert.config.lora_alpha, metadata=metadata)
        pattern = f"{config.run.name}_[0-9]*{lora.SUFFIXES[expert.name]}.safetensors"
        checkpoint.prune_loras(path.parent, pattern, config.save.keep)
    checkpoint.save_expert(session.run, expert.name, *state(expert), entry)


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "diffusers", "peft")}


def _finished(run: checkpoint.Run, config: TrainConfig, name: str) -> bool:
    """All steps done, and the final LoRA is on the disk with the bytes that were written."""
    entry = run.experts.get(name, {})
    if entry.get("step", 0) < config.expert(name).steps or "lora" not in entry:
        return False
    path = run.folder / entry["lora"]
    return path.is_file() and digest_file(path) == entry["lora_digest"]


@contextmanager
def _arithmetic(deterministic: bool) -> Iterator[None]:
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
