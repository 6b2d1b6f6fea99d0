"""What a run that is there goes on from: checked, said and made safe before anything is trained.

Nothing that a table ever named is written over by another step's file: a finished LoRA gets a name with its step before
its expert goes on.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wanprep.ids import digest_file, write_atomic
from wanprep.stage import UsageError
from wantrain import checkpoint, fitting, lora, split
from wantrain.config import TrainConfig, what_matters
from wantrain.session import finished

if TYPE_CHECKING:
    from wanprep.cached import CachedDataset
    from wantrain.aside import Aside


def take_up(
    run: checkpoint.Run, config: TrainConfig, dataset: CachedDataset, parts: split.Parts, memory: split.Memory | None,
    matters: Mapping[str, Mapping[str, Any]], aside: Aside | None = None, *, accept: bool,
) -> list[str]:  # fmt: skip
    """Make a run ready to go on, by the process that opened it; what to say about it.

    UsageError when something that matters changed and `accept` is not set, or when a saved state is damaged.
    """
    lines = refuse_changes(run, config, dataset, memory, matters, accept=accept)
    lines += standing(run, config)
    for name in config.stages:
        lines += _keep_final(run, config, name)
    lines += _new_samples(dataset, parts, memory)
    drawn = [aside.dataset.samples[index] for index in aside.allowed] if aside else []
    split.remember(run.folder, dataset, parts, memory, drawn)
    checkpoint.cut_metrics(run)
    return lines


def refuse_changes(
    run: checkpoint.Run, config: TrainConfig, dataset: CachedDataset, memory: split.Memory | None,
    matters: Mapping[str, Mapping[str, Any]], *, accept: bool,
) -> list[str]:  # fmt: skip
    """What `take_up` refuses, without a change to anything; returns the changes that are accepted, in words."""
    lines = []
    optimizers = {name: _refuse_misfit(run, config, name) for name in matters}  # first what no consent can mend
    for name, now in matters.items():
        told = optimizers[name] | _told(run.experts.get(name, {}).get("matters", {}), dataset, memory)
        changes = checkpoint.check_unchanged(run, name, now, accept=accept, told=told)
        if changes:
            done = finished(run, config, name)
            begun = "is complete, so that nothing of it changes by" if done else "goes on with"
            lines.append(f"{name} {begun} other settings or data: {changes}")
    _check_states(run, config)
    return lines


def _refuse_misfit(run: checkpoint.Run, config: TrainConfig, name: str) -> dict[str, str]:
    """UsageError for settings that what was saved of an expert cannot go on with, whatever is accepted. Else those that
    change its optimizer, the change and what becomes of its memory in words."""
    saved = run.experts.get(name, {}).get("matters", {})
    changed, cause = fitting.other_shape(config, name, saved), "its adapter keeps the shape that it was begun with"
    found: fitting.Carried | None = None
    if not changed and not finished(run, config, name):
        changed, found = fitting.other_optimizer(config, name, saved)
        cause = f"its optimizer cannot use what {saved.get(f'{name}.optimizer')} remembers of the steps done"
    now = what_matters(config, name, {})
    values = {key: f"{saved.get(key)!r} -> {now[key]!r}" for key in changed}
    if not changed or found is not None:
        return {key: f"{values[key]} ({found})" for key in changed[:1]}
    way = "train it in a run of its own (--set run.name=...)"
    last = checkpoint.newest(run, name)
    if "optimizer" in changed[0] and last is not None:
        own = f"--set run.name=... --set {name}.init={last[1]}"
        way = f"begin a run of its own with its last LoRA, of step {last[0]} ({own})"
    told = "; ".join(f"{key}: {value}" for key, value in values.items())
    raise UsageError(
        f"run {run.folder} cannot go on for {name} with other settings ({told}): {cause}. Set them back, {way}, or "
        "begin again with --fresh"
    )


def _told(saved: Mapping[str, Any], dataset: CachedDataset, memory: split.Memory | None) -> dict[str, str]:
    """Changes that two digests would tell nobody, in words."""
    if "dataset" not in saved or saved["dataset"] == dataset.fingerprint:
        return {}
    known = memory is not None and memory.dataset == saved["dataset"]
    return {"dataset": split.what_changed(dataset, memory) if known and memory else "other samples or captions"}


def _new_samples(dataset: CachedDataset, parts: split.Parts, memory: split.Memory | None) -> list[str]:
    if memory is None or all(sample.sample_id in memory.samples for sample in dataset.samples):
        return []
    new = [sum(dataset.samples[index].sample_id not in memory.samples for index in part) for part in parts]
    return [f"new samples: {new[0]} to train on, {new[1]} held out; those that the run knew stay on their side"]


def standing(run: checkpoint.Run, config: TrainConfig) -> list[str]:
    """Where each expert of a run goes on, or that all of it is done. Changes nothing. config: settled."""
    remains = checkpoint.last_steps(run)
    lines = [line for name in config.stages for line in _standing(run, config, name, remains.get(name, 0))]
    if run.experts and all(finished(run, config, name) for name in config.stages):
        more = f"--set {config.stages[0]}.steps=N --accept-changes"
        lines.append(f"{run.folder} is complete; nothing is left to do (more steps: {more}; anew: --fresh)")
    return lines


def _standing(run: checkpoint.Run, config: TrainConfig, name: str, last: int) -> list[str]:
    """Where an expert goes on. last: the newest step that metrics.jsonl has of it."""
    done, total = run.step(name), config.expert(name).steps
    again = ""
    if last > done:
        span = f"steps {done + 1} to {last} are" if last > done + 1 else f"step {last} is"
        again = f"; {span} done again, because nothing was saved after {done or 'the start'}"
    if finished(run, config, name):
        return [f"{name} is complete: {done} of {total} steps"]
    if done > total and "lora" not in run.experts[name]:
        more = f"{name} has done {done} steps, more than the {total} that are asked for now"
        return [f"{more}: none is undone, and its LoRA of step {done} becomes the final one"]
    if done >= total:
        return [f"{name} has done {done} of {total} steps; its LoRA is not there as it was written and is made again"]
    if done:
        return [f"{name} goes on after step {done} of {total}{again}"]
    return [f"{name} begins anew{again}"] if again else []


def _check_states(run: checkpoint.Run, config: TrainConfig) -> None:
    """UsageError when the state of an expert that is to go on is gone or damaged, with what can still be done."""
    for name in config.stages:
        fault = None if finished(run, config, name) else checkpoint.state_fault(run, name)
        if fault is None:
            continue
        others = [other for other in run.experts if other != name and checkpoint.state_fault(run, other) is None]
        said = f"{fault}. "
        if others:
            only = " ".join(f"""--set 'experts.stages=["{other}"]'""" for other in others)
            said += f"What was saved of {', '.join(others)} is intact: {only} goes on with it alone. "
        found = checkpoint.newest(run, name)
        if found is not None:
            said += (
                f"""{name} can begin a run of its own with its last LoRA, of step {found[0]}: --set run.name=... """
                f"""--set 'experts.stages=["{name}"]' --set {name}.init={found[1]}. """
            )
        raise UsageError(f"{said}Or put the file back, or begin again with --fresh")


def _keep_final(run: checkpoint.Run, config: TrainConfig, name: str) -> list[str]:
    """Where a finished expert goes on: its LoRA gets a name with its step, for its own name is the next one's."""
    entry = run.experts.get(name, {})
    final = entry.get("lora")
    steps = [made["step"] for made in entry.get("checkpoints", []) if made["file"] == final]
    if final is None or final.startswith("loras/") or not steps or run.step(name) >= config.expert(name).steps:
        return []
    path = run.folder / final
    if not path.is_file() or digest_file(path) != entry["lora_digest"]:
        checkpoint.rename_lora(run, name, final, None)
        return [f"{path}, the LoRA of {name} at step {steps[-1]}, is gone or was changed: the table leaves it out"]
    kept = Path("loras") / lora.file_name(config.run.name, name, steps[-1])
    write_atomic(run.folder / kept, lambda temporary: shutil.copyfile(path, temporary))
    checkpoint.rename_lora(run, name, final, kept.as_posix())
    return [f"{name}'s LoRA of step {steps[-1]} is kept as {kept}"]
