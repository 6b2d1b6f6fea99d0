"""A run's folder: one saved state per expert, a small file that names them, and the record of every step.

    runs/<name>/run.json                       the experts, their step, state file, digest and what they depend on
    runs/<name>/state/<expert>-<step>.safetensors   adapter, optimizer and random numbers (plain numbers in its header)
    runs/<name>/samples.json                   which samples are held out (split.py)
    runs/<name>/plan.json                      the settings and what was planned, sigma histograms included
    runs/<name>/metrics.jsonl                  one line a step and a held-out measurement
    runs/<name>/loras/, <name>_high_noise.safetensors, ...
    runs/<name>/save-now                       made by you (touch): a checkpoint after the step that is running

A state is published under its final name first and named by run.json second, both by rename, so whenever the process
dies run.json names complete states. Metrics may run ahead of the state: resuming cuts them back to the step they will
be written from again. Tensors and JSON only, no pickle: nothing in this folder can run code.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from wanprep.ids import digest_file, write_atomic
from wanprep.stage import UsageError
from wanprep.tensors import write_tensors

if TYPE_CHECKING:
    import torch

FORMAT = 2
SAVE_NOW = "save-now"
Mode = Literal["auto", "resume", "fresh"]


@dataclass(kw_only=True)
class Run:
    """An opened run folder. `experts`: run.json's entry for each expert that has a saved state."""

    folder: Path
    experts: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def metrics_path(self) -> Path:
        return self.folder / "metrics.jsonl"

    def step(self, expert: str) -> int:
        return int(self.experts.get(expert, {}).get("step", 0))


@contextmanager
def opened(folder: Path, mode: Mode = "auto") -> Iterator[Run]:
    """Open or create a run folder and hold it alone until the block ends.

    auto: go on when there is something, begin otherwise. resume: something must be there. fresh: an earlier run is
    moved aside to `<name>.old-1`, `.old-2`, ..., never deleted. UsageError when another process has the run.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Beside the folder, so that moving the folder aside keeps the lock. The kernel drops it with the process.
    with (folder.parent / f".{folder.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(
                f"{folder} is being trained by another process; wait, or choose --set run.name=…"
            ) from error
        if mode == "resume" and not (folder / "run.json").exists():
            raise UsageError(f"there is nothing to resume in {folder}; leave out --resume to begin")
        if mode == "fresh" and folder.exists():
            folder.rename(_free_name(folder))
        folder.mkdir(exist_ok=True)
        # Of a killed process: our own names (.tmp-…), and those of safetensors, which renames as well (.tmpXXXXXX).
        for leftover in folder.rglob(".tmp*"):
            leftover.unlink()
        run = _read(folder)
        for entry in run.experts.values():
            for dropped in entry.get("dropped", ()):
                (folder / dropped).unlink(missing_ok=True)
        yield run


def _free_name(folder: Path) -> Path:
    number = 1
    while (aside := folder.with_name(f"{folder.name}.old-{number}")).exists():
        number += 1
    return aside


def _read(folder: Path) -> Run:
    path = folder / "run.json"
    if not path.exists():
        return Run(folder=folder)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["format"] != FORMAT:
            raise UsageError(f"{path} has format {record['format']}, this version reads {FORMAT}; add --fresh")
        return Run(folder=folder, experts=record["experts"])
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is not a run file ({error}); begin again with --fresh") from error


def check_unchanged(
    run: Run, expert: str, matters: Mapping[str, Any], *, accept: bool, told: Mapping[str, str] | None = None
) -> str:
    """What changed since the expert's state was saved ("": nothing); UsageError that lists it, unless `accept`.

    told: name -> its change in words, where the two values say nothing to people.
    """
    saved = run.experts.get(expert, {}).get("matters")
    if saved is None:
        return ""
    # Through JSON, because that is how the saved side has been.
    now, told = json.loads(json.dumps(dict(matters))), told or {}
    names = sorted(name for name in saved.keys() | now.keys() if saved.get(name) != now.get(name))
    changes = "; ".join(f"{n}: {told.get(n) or f'{saved.get(n)!r} -> {now.get(n)!r}'}" for n in names)
    if changes and not accept:
        raise UsageError(
            f"run {run.folder} was begun with other settings or data for {expert} ({changes}). "
            "Set them back, add --accept-changes to go on with the new ones, or begin again with --fresh"
        )
    return changes


def save_expert(
    run: Run, expert: str, tensors: Mapping[str, torch.Tensor], values: Mapping[str, Any], entry: Mapping[str, Any]
) -> None:
    """Publish an expert's state, then name it in run.json (with `entry`), then drop older states."""
    path = run.folder / "state" / f"{expert}-{values['step']:06d}.safetensors"
    header = {"state": json.dumps(dict(values), sort_keys=True)}
    digest = write_tensors(path, tensors, header)
    with _alone_in(run):  # another process may write another expert's entry
        reread(run)
        _name(run, expert, path, digest, values, entry)
    for older in path.parent.glob(f"{expert}-*.safetensors"):
        if older != path:
            older.unlink()


def _name(run: Run, expert: str, path: Path, digest: str, values: Mapping[str, Any], entry: Mapping[str, Any]) -> None:
    run.experts[expert] = {
        "step": values["step"], "state": path.relative_to(run.folder).as_posix(), "digest": digest, **entry,
    }  # fmt: skip
    _write(run)


def _write(run: Run) -> None:
    record = {"format": FORMAT, "name": run.folder.name, "experts": run.experts}
    write_atomic(run.folder / "run.json", (json.dumps(record, indent=2, sort_keys=True) + "\n").encode())


def rename_lora(run: Run, expert: str, before: str, after: str | None) -> None:
    """Name an expert's finished LoRA anew in run.json; None: leave it out. Files stay as they are."""
    with _alone_in(run):
        reread(run)
        entry = run.experts[expert]
        made = [{**c, "file": after} if c["file"] == before else c for c in entry["checkpoints"]]
        entry["checkpoints"] = [c for c in made if c["file"] is not None]
        if after is None:
            del entry["lora"], entry["lora_digest"]
        else:
            entry["lora"] = after
        _write(run)


def reread(run: Run) -> None:
    """What other processes of the same run have saved meanwhile."""
    run.experts = _read(run.folder).experts


@contextmanager
def _alone_in(run: Run) -> Iterator[None]:
    with (run.folder.parent / f".{run.folder.name}.write-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def state_fault(run: Run, expert: str) -> str | None:
    """What is wrong with the state that run.json names for an expert; None when it is there as it was written."""
    entry = run.experts.get(expert)
    if entry is None:
        return None
    path = run.folder / entry["state"]
    if not path.is_file():
        return f"{path}, the saved state of {expert}, is gone"
    if digest_file(path) != entry["digest"]:  # safetensors itself does not notice a flipped bit
        return f"{path}, the saved state of {expert}, is damaged (digest differs)"
    return None


def load_expert(run: Run, expert: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
    """The state run.json names for an expert, or None. UsageError when the file is gone or its bytes changed."""
    from safetensors import safe_open

    if expert not in run.experts:
        return None
    fault = state_fault(run, expert)
    if fault is not None:
        raise UsageError(f"{fault}; put it back or begin again with --fresh")
    with safe_open(str(run.folder / run.experts[expert]["state"]), framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no iterator of its own)
        values = json.loads(file.metadata()["state"])
    return tensors, values


def last_steps(run: Run) -> dict[str, int]:
    """expert -> the newest step in metrics.jsonl, saved or not."""
    return {name: max(row["step"] for row in rows) for name, rows in read_rows(run.folder, "step").items()}


def cut_metrics(run: Run) -> None:
    """Drop the lines after each expert's saved step, and a torn last line: resuming writes them again."""
    if not run.metrics_path.exists():
        return
    kept = []
    for line in run.metrics_path.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if row["expert"] in run.experts and row["step"] <= run.step(row["expert"]):
            kept.append(line)
    write_atomic(run.metrics_path, "".join(f"{line}\n" for line in kept).encode())


def read_rows(folder: Path, kind: str) -> dict[str, list[dict[str, Any]]]:
    """expert -> the rows of one kind ("step", "held_out") of metrics.jsonl, in order. A torn last line is left out."""
    found: dict[str, list[dict[str, Any]]] = {}
    path = folder / "metrics.jsonl"
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if row["kind"] == kind:
            found.setdefault(row["expert"], []).append(row)
    return found


def newest(run: Run, expert: str) -> tuple[int, Path] | None:
    """Step and file of the expert's newest LoRA that is still there."""
    for made in reversed(run.experts.get(expert, {}).get("checkpoints", [])):
        path = run.folder / made["file"]
        if path.is_file():
            return made["step"], path
    return None


def asked_for(run: Run) -> bool:
    """Whether somebody put the file `save-now` into the run's folder; takes it away."""
    try:
        (run.folder / SAVE_NOW).unlink()
    except FileNotFoundError:
        return False
    return True


class Metrics:
    """metrics.jsonl, opened to append. What differs between equal runs (time) stands apart under `volatile`."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)

    def write(self, kind: str, row: Mapping[str, Any], **volatile: Any) -> None:
        # One call a line: several processes may append to the file.
        self._file.write((json.dumps({"kind": kind, **row, "volatile": volatile}) + "\n").encode())

    def sync(self) -> None:
        """Onto the disk, before a state that stands for these lines."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def pruned(checkpoints: list[dict[str, Any]], keep: int, keep_best: int) -> list[dict[str, Any]]:
    """The checkpoints to keep: the `keep` newest, the `keep_best` of lowest loss, and those that were asked for.

    checkpoints: {step, file, loss, asked} in order of step; questions: what the loss answered. Losses that answered
    others are not compared: the best of each questions are kept.
    """
    planned = [c for c in checkpoints if not c["asked"]]
    good = {c["step"] for c in planned[max(0, len(planned) - keep) :]}
    measured = sorted((c for c in planned if c["loss"] is not None), key=lambda c: (c["loss"], c["step"]))
    for questions in {c.get("questions") for c in measured}:
        good |= {c["step"] for c in [c for c in measured if c.get("questions") == questions][:keep_best]}
    return [c for c in checkpoints if c["step"] in good or c["asked"]]
