"""The live display on a terminal: a line an expert, what the machine does, what was saved last, and warnings.

`panel` draws a state; it fits 80 columns. `Display` feeds it and keeps it on the screen.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from wantrain.observe import Course
from wantrain.pace import ExpertPace, Pace, clock, memory
from wantrain.progress import Progress

REFRESH = 4  # times a second
NARROW = 64  # columns; below, steps have no bar and the table no changes, gaps and learning rates


class Display(Progress):
    """What `Progress` says, above a panel that stays. console: another place than stderr, for tests."""

    def __init__(self, console: Any = None) -> None:
        from wanprep.tables import console as shown_on

        super().__init__()
        self._console = console or shown_on(err=True)
        self._live: Any = None
        self._course = Course(folder=_nowhere(), family="", device="cpu", steps={})

    def begin(self, course: Course) -> None:
        from rich.live import Live

        super().begin(course)
        self._course = course
        self._live = Live(
            get_renderable=self._draw, console=self._console, refresh_per_second=REFRESH, transient=False
        )  # fmt: skip
        self._live.start()

    def step(self, row: Mapping[str, Any], seconds: float, waits: Mapping[str, float]) -> None:
        self._pace.step(row, seconds, waits, time.monotonic())

    def say(self, text: str, *, problem: bool = False) -> None:
        self._console.print(text, highlight=False, markup=False, style="bold red" if problem else None)

    def end(self, *, wait: bool) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _draw(self) -> Any:
        statuses = self.among.statuses() if self.among is not None else []
        course = self._course
        title = f"{course.folder.name} · {course.family} · {course.device}"
        return panel(
            self._pace, title=title, memory=memory(course.device), busy=statuses, now=time.monotonic(),
            narrow=self._console.width < NARROW,
        )  # fmt: skip


def panel(pace: Pace, *, title: str, memory: str, busy: Sequence[str], now: float, narrow: bool = False) -> Any:
    """A rich renderable of the state at `now` (as `pace` was given it). narrow: what 40 columns hold."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    head = Table.grid(expand=True)
    head.add_column(overflow="ellipsis", no_wrap=True)
    head.add_column(justify="right", no_wrap=True)
    left = pace.left(now)
    head.add_row(Text(title, style="bold"), Text("finishing" if left == 0 else f"{clock(left)} left"))
    rows = Table(box=None, expand=True, padding=(0, 1, 0, 0), header_style="dim", pad_edge=False)
    for name in ("", "step"):
        rows.add_column(name, no_wrap=True, ratio=2 if name else None)
    numbers = ("loss", "held out") if narrow else ("loss", "held out", "change", "gap", "lr")
    for name in numbers:
        rows.add_column(name, justify="right", no_wrap=True)
    for name, own in pace.experts.items():
        rows.add_row(*_cells(name, own, current=pace.working(name), narrow=narrow)[: 2 + len(numbers)])
    lines: list[Any] = [head, rows, Text(" · ".join(_machine(pace, memory)), style="dim")]
    saved = [
        f"{name} {own.saved[0]}" + ("" if own.saved[1] is None else f" ({own.saved[1]:.4f})")
        for name, own in pace.experts.items() if own.saved is not None
    ]  # fmt: skip
    if saved:
        lines.append(Text("saved " + ", ".join(saved), style="dim"))
    lines += [Text(text, style="dim") for text in busy]
    lines += [
        Text(f"{name}: memorising, held-out loss {found.rise:.1%} above step {found.step}", style="yellow")
        for name, own in pace.experts.items() if (found := own.overfit) is not None
    ]  # fmt: skip
    return Group(*lines)


def _cells(name: str, own: ExpertPace, *, current: bool, narrow: bool) -> list[Any]:
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    step = Table.grid(padding=(0, 1, 0, 0), expand=True)
    step.add_column(ratio=1)
    step.add_column(justify="right", no_wrap=True)
    step.add_row(ProgressBar(total=own.total, completed=own.done), f"{own.done}/{own.total}")
    warn = "yellow" if own.overfit is not None else ""
    return [
        Text(f"{'▸' if current else ' '} {name}", style="bold" if current else ""),
        f"{own.done}/{own.total}" if narrow else Group(step),
        _number(own.loss.value, ".4f"),
        _number(own.held[-1]["loss"] if own.held else None, ".4f"),
        _number(own.change, "+z.1%"),
        Text(_number(own.gap, "+z.1%"), style=warn),
        f"{own.lr:.1e}" if own.lr else "–",
    ]


def _machine(pace: Pace, memory: str) -> list[str]:
    parts = []
    if pace.step_seconds is not None:
        parts.append(f"{pace.step_seconds:.2f} s/step")
    waiting = pace.waiting()
    if waiting is not None:
        parts.append(f"data {waiting[0]:.0%}" + (f" ({waiting[1]})" if waiting[1] else ""))
    if pace.turn_seconds is not None and len(pace.experts) > 1:
        parts.append(f"turn {pace.turn_seconds:.1f} s")
    return [*parts, memory]


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _nowhere() -> Any:
    from pathlib import Path

    return Path()
