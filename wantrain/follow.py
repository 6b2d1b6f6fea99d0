"""What other processes of the same run do, told to those who look on at the first one.

Experts that are trained side by side do not talk. But they write their lines into one metrics.jsonl and their
checkpoints into one run.json, and those can be read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from wantrain import checkpoint
from wantrain.observe import Course, Observer


class Follower(Observer):
    """Looks after every step of this process, and whenever it has nothing else to do."""

    def __init__(self) -> None:
        self._run = checkpoint.Run(folder=Path())
        self._elsewhere: frozenset[str] = frozenset()
        self._at = 0
        self._seen: dict[str, dict[str, int]] = {}

    def begin(self, course: Course) -> None:
        self._run, self._elsewhere = checkpoint.Run(folder=course.folder), course.elsewhere
        held = {name: rows[-1]["step"] for name, rows in course.held_out.items() if rows}
        self._seen = {
            "step": {name: done for name, (done, _) in course.steps.items()},
            "held_out": held,
            "saved": {name: step for name, (step, _) in course.loras.items()},
        }

    def step(self, row: Mapping[str, Any], seconds: float, waits: Mapping[str, float]) -> None:
        if row["expert"] not in self._elsewhere:
            self.look()

    def look(self) -> None:
        if self.among is None or not self._elsewhere:
            return
        for row in self._lines():
            kind, times = row.pop("kind"), row.pop("volatile")
            if kind == "step":
                self.among.step(row, times["seconds"], times["waits"])
            else:
                self.among.held_out(row)
        for made in self._checkpoints():
            self.among.saved(made)

    def _lines(self) -> Iterator[dict[str, Any]]:
        """Rows of the others that are new, from whole lines only."""
        with self._run.metrics_path.open("rb") as file:
            file.seek(self._at)
            text = file.read()
        text = text[: text.rfind(b"\n") + 1]
        self._at += len(text)
        for line in text.splitlines():
            row = json.loads(line)
            if row["kind"] in ("step", "held_out") and self._is_new(row["kind"], row["expert"], row["step"]):
                yield row

    def _checkpoints(self) -> Iterator[dict[str, Any]]:
        checkpoint.reread(self._run)
        for name in sorted(self._elsewhere & self._run.experts.keys()):
            for made in self._run.experts[name].get("checkpoints", []):
                if self._is_new("saved", name, made["step"]):
                    yield {"expert": name, **made}

    def _is_new(self, kind: str, expert: str, step: int) -> bool:
        if expert not in self._elsewhere or step <= self._seen[kind].get(expert, -1):
            return False
        self._seen[kind][expert] = step
        return True
