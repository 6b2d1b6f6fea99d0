"""What a person sees while a run goes on: bars on a terminal, else a line every few seconds. Always on stderr."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

EVERY_SECONDS = 5.0


class Progress:
    """Shows steps and held-out losses. `verbosity`: 0 only problems, 1 normal, 2 every step."""

    def __init__(self, verbosity: int = 1) -> None:
        self.verbosity = verbosity
        self._losses: dict[str, deque[float]] = {}
        self._began = self._shown = time.monotonic()
        self._steps = 0
        self._bars: Any = None
        self._tasks: dict[str, Any] = {}

    def begin(self, steps: Mapping[str, tuple[int, int]]) -> None:
        """`steps`: expert -> (done, total)."""
        self._began = self._shown = time.monotonic()
        if self.verbosity < 1 or not sys.stderr.isatty():
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bars = Bars(*columns, TextColumn("{task.fields[note]}"), console=Console(stderr=True))
        for expert, (done, total) in steps.items():
            self._tasks[expert] = self._bars.add_task(expert, completed=done, total=total, note="")
        self._bars.start()

    def step(self, row: Mapping[str, Any], total: int) -> None:
        losses = self._losses.setdefault(row["expert"], deque(maxlen=50))
        losses.append(row["loss"])
        self._steps += 1
        mean = sum(losses) / len(losses)
        if self._bars is not None:
            self._bars.update(self._tasks[row["expert"]], completed=row["step"], note=f"loss {mean:.4f}")
            return
        now = time.monotonic()
        if self.verbosity >= 2 or (self.verbosity == 1 and now - self._shown >= EVERY_SECONDS):
            self._shown = now
            pace = (now - self._began) / self._steps
            self.say(f"{row['expert']} {row['step']}/{total}  loss {mean:.4f}  lr {row['lr']:.2e}  {pace:.2f} s/step")

    def say(self, text: str) -> None:
        if self.verbosity < 1:
            return
        if self._bars is not None:
            self._bars.console.print(text, highlight=False)
        else:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()

    def end(self) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = None
