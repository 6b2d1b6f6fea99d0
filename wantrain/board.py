"""TensorBoard event files beside metrics.jsonl, for those who have tensorboard: it is no dependency.

One folder an expert (RUN/tensorboard/high, …), which TensorBoard shows as runs of the same charts. A resumed run purges
what was written after the state that it goes on from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wantrain.observe import Course, Observer
from wantrain.ranking import gaps

MISSING = (
    "run.tensorboard is set, but tensorboard is not installed: pip install tensorboard. metrics.jsonl is written anyway"
)


class Board(Observer):
    """Writes the numbers of the report: loss, lr, gradient norm, seconds; held out, by sigma, gap."""

    def __init__(self) -> None:
        self._writers: dict[str, Any] = {}
        self._held: dict[str, list[Mapping[str, Any]]] = {}

    def begin(self, course: Course) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            self.tell(MISSING, problem=True)
            return
        self._held = {name: list(rows) for name, rows in course.held_out.items()}
        for name, (done, _) in course.steps.items():
            folder = course.folder / "tensorboard" / name
            purge = done + 1 if done else None
            self._writers[name] = SummaryWriter(str(folder), purge_step=purge, flush_secs=30)

    def step(self, row: Mapping[str, Any], seconds: float, waits: Mapping[str, float]) -> None:
        writer = self._writers.get(row["expert"])
        if writer is None:
            return
        for name in ("loss", "lr", "grad_norm"):
            writer.add_scalar(f"train/{name}", row[name], row["step"])
        writer.add_scalar("train/seconds", seconds, row["step"])
        writer.add_scalar("train/seconds_reading", sum(waits.values()), row["step"])

    def held_out(self, row: Mapping[str, Any]) -> None:
        writer = self._writers.get(row["expert"])
        if writer is None:
            return
        self._held.setdefault(row["expert"], []).append(row)
        for name in ("loss", "trained"):
            if row.get(name) is not None:
                writer.add_scalar(f"held_out/{name}", row[name], row["step"])
        for sigma, loss, _ in row["bands"]:
            writer.add_scalar(f"held_out_by_sigma/{sigma:.3f}", loss, row["step"])
        gap = gaps(self._held[row["expert"]]).get(row["step"])
        if gap is not None:
            writer.add_scalar("held_out/gap", gap, row["step"])

    def end(self, *, wait: bool) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers = {}
