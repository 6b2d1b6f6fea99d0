"""What a person sees while a run goes on, off a terminal: a line every few seconds. Always on stderr.

`shown` gives this, or the live display of `display.py` on a terminal.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

from wantrain.observe import Course, Observer
from wantrain.pace import Pace, clock, held_out_line, memory

EVERY_SECONDS = 5.0


def shown(verbosity: int = 1) -> Observer:
    """`verbosity`: 0 only problems, 1 normal, 2 a line for every step."""
    if verbosity == 1 and sys.stderr.isatty():
        from wantrain.display import Display

        return Display()
    return Progress(verbosity)


class Progress(Observer):
    """Plain lines. `verbosity`: 0 only problems, 1 a line every few seconds, 2 every step."""

    def __init__(self, verbosity: int = 1) -> None:
        self.verbosity = verbosity
        self._device = "cpu"
        self._shown = time.monotonic()
        self._pace = Pace({}, now=self._shown)
        self._warned: set[tuple[str, int]] = set()

    def begin(self, course: Course) -> None:
        self._shown = time.monotonic()
        self._device = course.device
        self._pace = Pace(course.steps, course.held_out, now=self._shown, elsewhere=course.elsewhere)

    def turn(self, expert: str, seconds: float) -> None:
        self._pace.turn(expert, seconds)

    def step(self, row: Mapping[str, Any], seconds: float, waits: Mapping[str, float]) -> None:
        now = time.monotonic()
        self._pace.step(row, seconds, waits, now)
        if self.verbosity >= 2:
            self.say(step_line(self._pace, row["expert"], self._device, now))
        elif self.verbosity == 1 and now - self._shown >= EVERY_SECONDS:
            self._shown = now
            for name, own in self._pace.experts.items():  # one, or those that are trained side by side
                if name == row["expert"] or (self._pace.working(name) and own.seconds):
                    self.say(step_line(self._pace, name, self._device, now))

    def held_out(self, row: Mapping[str, Any]) -> None:
        self._pace.held_out(row)
        own = self._pace.experts[row["expert"]]
        self.say(held_out_line(row, own.total))
        overfit = own.overfit
        if overfit is not None and (row["expert"], overfit.step) not in self._warned:
            self._warned.add((row["expert"], overfit.step))
            self.say(f"{row['expert']}: {overfit.sentence}")

    def saved(self, made: Mapping[str, Any]) -> None:
        self._pace.saved(made)

    def say(self, text: str, *, problem: bool = False) -> None:
        if self.verbosity >= 1 or problem:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()


def step_line(pace: Pace, expert: str, device: str, now: float) -> str:
    own, waiting = pace.experts[expert], pace.waiting()
    parts = [f"{expert} {own.done}/{own.total}", f"loss {own.loss.value or 0.0:.4f}", f"lr {own.lr:.2e}"]
    parts.append(f"{own.step_seconds or 0.0:.2f} s/step")
    if expert in pace.elsewhere:  # waiting, memory and time left are this process's
        return "  ".join(parts)
    if waiting is not None and waiting[0] >= 0.01:
        parts.append(f"{waiting[0]:.0%} waiting for {waiting[1]}")
    left = pace.left(now)
    parts += [memory(device), *([] if left is None else [f"{clock(left)} left"])]
    return "  ".join(parts)
