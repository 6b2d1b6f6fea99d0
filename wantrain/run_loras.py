"""Which LoRAs of a run to sample with: the finished ones, those of a step, or what is named instead of them."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from wanprep.stage import UsageError


@dataclass(frozen=True, kw_only=True)
class RunLoras:
    """The LoRAs of a run. finished: expert -> its last file. checkpoints: expert -> step -> a file that is there."""

    folder: Path
    family: str
    finished: dict[str, Path] = field(default_factory=dict)
    checkpoints: dict[str, dict[int, Path]] = field(default_factory=dict)

    @property
    def steps(self) -> str:
        """The checkpoints there are, as "high 10, 20; low 10"."""
        return "; ".join(f"{name} {', '.join(map(str, made)) or 'none'}" for name, made in self.checkpoints.items())


def read_run(folder: Path) -> RunLoras:
    """The LoRAs of the run at `folder`. UsageError when it is none, or has saved nothing yet."""
    path = folder / "run.json"
    if not path.is_file():
        raise UsageError(f"{folder} is not a run (it has no run.json)")
    entries = json.loads(path.read_text(encoding="utf-8"))["experts"]
    if not entries:
        raise UsageError(f"{folder} has saved nothing yet")
    every = {
        name: {one["step"]: folder / one["file"] for one in entry.get("checkpoints", ())}
        for name, entry in entries.items()
    }
    return RunLoras(
        folder=folder, family=next(iter(entries.values()))["matters"]["family"],
        finished={name: folder / entry["lora"] for name, entry in entries.items() if "lora" in entry},
        checkpoints={n: {s: made[s] for s in sorted(made) if made[s].is_file()} for n, made in every.items()},
    )  # fmt: skip


def pick(run: RunLoras, step: int | None, instead: Collection[str]) -> tuple[dict[str, Path], list[str]]:
    """Expert -> the file to use, and what to say about it.

    step: None for the finished LoRAs, else the checkpoint of this step; an expert that has none takes its nearest, if
    another has one of this very step (experts may train for longer, and old checkpoints are removed). instead: experts
    that get LoRAs of their own and none of the run's. UsageError, with the steps there are, where nothing is left.
    """
    wanted = [name for name in run.checkpoints if name not in instead]
    if step is not None:
        return _of_step(run, wanted, step)
    files = {name: run.finished[name] for name in wanted if name in run.finished}
    if not files and not instead:
        raise UsageError(
            f"{run.folder} has no finished LoRA; finish it, or take a checkpoint with --step (there are {run.steps})"
        )
    lines = [
        f"{name} has no finished LoRA: its base model is used (checkpoints for --step: {run.steps})"
        for name in wanted if name not in files
    ]  # fmt: skip
    return files, lines


def _of_step(run: RunLoras, wanted: Collection[str], step: int) -> tuple[dict[str, Path], list[str]]:
    if not wanted:
        raise UsageError(f"--step {step} means nothing where every expert has a --lora; leave one of them out")
    if not any(step in run.checkpoints[name] for name in wanted):
        raise UsageError(f"--step {step}: {run.folder} has no such checkpoint; there are {run.steps}")
    files, lines = {}, []
    for name in wanted:
        made = run.checkpoints[name]
        if not made:
            lines.append(f"{name} has no checkpoint: its base model is used")
            continue
        near = min(made, key=lambda own: (abs(own - step), own))
        files[name] = made[near]
        lines.append(f"{name}: {made[near]}" + ("" if near == step else f" (of step {near}, its nearest to {step})"))
    return files, lines
