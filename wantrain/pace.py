"""Numbers for people about a run that is going on: smoothed losses, seconds a step, time left, shares of waiting.

Pure: fed with rows and seconds, asked for numbers. What shows them is `progress.py` and `display.py`.
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wantrain import ranking

KEEP = 0.95  # of the smoothed loss, as in the report: about the last twenty steps
RECENT = 50  # steps that "now" means
FEW = 3  # steps without which nothing is said of the time left


class Smooth:
    """Exponential moving average, corrected for its start (as Adam does). `value` is None before the first number."""

    def __init__(self, keep: float = KEEP) -> None:
        self._keep, self._mean, self._weight = keep, 0.0, 0.0

    def feed(self, value: float) -> None:
        self._mean = self._keep * self._mean + (1 - self._keep) * value
        self._weight = self._keep * self._weight + (1 - self._keep)

    @property
    def value(self) -> float | None:
        return self._mean / self._weight if self._weight else None


@dataclass
class ExpertPace:
    """One expert. early: whether `seconds` still has this process's first step. held: its held-out measurements so
    far; saved: (step, held-out loss) of its newest checkpoint."""

    done: int
    total: int
    loss: Smooth = field(default_factory=Smooth)
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))
    early: bool = True
    held: list[Mapping[str, Any]] = field(default_factory=list)
    saved: tuple[int, float | None] | None = None
    lr: float = 0.0

    @property
    def step_seconds(self) -> float | None:
        return sum(self.seconds) / len(self.seconds) if self.seconds else None

    @property
    def usual_seconds(self) -> float | None:
        """Of a step to come; None before `FEW` steps. The first steps compile and warm up: while they are among the
        recent ones the median counts, afterwards the mean, since buckets differ."""
        if len(self.seconds) < FEW:
            return None
        return statistics.median(self.seconds) if self.early else self.step_seconds

    @property
    def change(self) -> float | None:
        """The newest held-out loss against step 0, as a share."""
        held = ranking.comparable(self.held)
        return None if not held or held[0]["step"] != 0 else held[-1]["loss"] / held[0]["loss"] - 1

    @property
    def gap(self) -> float | None:
        """The newest gap between held out and trained on (`ranking.gaps`)."""
        return ranking.gaps(self.held).get(self.held[-1]["step"]) if self.held else None

    @property
    def overfit(self) -> ranking.Overfit | None:
        return ranking.overfitting(self.held)


class Pace:
    """A run. steps: expert -> (done, total), as it begins; held_out: expert -> what was measured before.

    elsewhere: experts that other processes train beside this one's.
    """

    def __init__(
        self, steps: Mapping[str, tuple[int, int]], held_out: Mapping[str, Any] | None = None, *, now: float,
        elsewhere: frozenset[str] = frozenset(),
    ) -> None:  # fmt: skip
        earlier = held_out or {}
        self.experts = {n: ExpertPace(done, all_, held=list(earlier.get(n, ()))) for n, (done, all_) in steps.items()}
        self.elsewhere = elsewhere
        self.current: str | None = None
        self._began, self._stepping = now, 0.0
        self._steps: deque[tuple[float, dict[str, float]]] = deque(maxlen=RECENT)
        self._turns: deque[float] = deque(maxlen=RECENT)

    def turn(self, expert: str, seconds: float) -> None:
        self.current = expert
        self._turns.append(seconds)

    def step(
        self, row: Mapping[str, Any], seconds: float, waits: Mapping[str, float], now: float | None = None
    ) -> None:
        """now: when the step ended. What went before the first one (loading, a rehearsal) says nothing of the rest."""
        own = self.experts[row["expert"]]
        own.early = own.early and len(own.seconds) < RECENT
        own.done, own.lr = row["step"], row["lr"]
        own.loss.feed(row["loss"])
        own.seconds.append(seconds)
        if row["expert"] in self.elsewhere:
            return
        self.current = row["expert"]
        if now is not None and not self._stepping:
            self._began = now - seconds
        self._stepping += seconds
        self._steps.append((seconds, dict(waits)))

    def held_out(self, row: Mapping[str, Any]) -> None:
        self.experts[row["expert"]].held.append(row)

    def saved(self, made: Mapping[str, Any]) -> None:
        self.experts[made["expert"]].saved = (made["step"], made["loss"])

    @property
    def step_seconds(self) -> float | None:
        """Of this process's newest steps, whosever they were."""
        return sum(seconds for seconds, _ in self._steps) / len(self._steps) if self._steps else None

    @property
    def turn_seconds(self) -> float | None:
        return sum(self._turns) / len(self._turns) if self._turns else None

    def waiting(self) -> tuple[float, str] | None:
        """Share of the newest steps spent reading files, and the kind that took most of it; None before any step."""
        whole = sum(seconds for seconds, _ in self._steps)
        if not whole:
            return None
        kinds: dict[str, float] = {}
        for _, waits in self._steps:
            for kind, seconds in waits.items():
                kinds[kind] = kinds.get(kind, 0.0) + seconds
        worst = max(kinds, key=lambda kind: kinds[kind], default="")
        return min(1.0, sum(kinds.values()) / whole), worst

    def working(self, expert: str) -> bool:
        """Whether the expert is being trained now: its turn is on, or it has a process of its own."""
        own = self.experts[expert]
        return expert == self.current or (expert in self.elsewhere and own.done < own.total)

    def left(self, now: float) -> float | None:
        """Seconds until all experts are done: their remaining steps at their own recent pace, and as much besides
        steps (measuring, saving, moving) as there has been so far. Those trained elsewhere take their time beside.
        None before it can be known."""
        known = [own.usual_seconds for own in self.experts.values() if own.usual_seconds is not None]
        if not known or not self._stepping:
            return None
        guess = sum(known) / len(known)  # for an expert that has not had its turn yet
        each = {n: (own.total - own.done) * (own.usual_seconds or guess) for n, own in self.experts.items()}
        beside = max((each.pop(name) for name in self.elsewhere), default=0.0)
        here = sum(each.values())
        return max(here, beside) * (max(1.0, (now - self._began) / self._stepping) if here else 1.0)


def clock(seconds: float | None) -> str:
    """ "4:05:09", or "–"."""
    if seconds is None:
        return "–"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"


def memory(device: str) -> str:
    """Memory in use: "VRAM 21.3 of 24.0 GB" (peak of the process and the card's), or "RAM 2.1 GB" on a CPU."""
    if device.startswith("cuda"):
        import torch

        peak = torch.cuda.max_memory_reserved(device)
        return f"VRAM {peak / 1e9:.1f} of {torch.cuda.get_device_properties(device).total_memory / 1e9:.1f} GB"
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return f"RAM {peak / 1e9:.1f} GB"


def held_out_line(row: Mapping[str, Any], total: int) -> str:
    text = f"held-out loss {row['loss']:.4f} (predicting zero: {row['zero']:.4f})"
    return f"{row['expert']} {row['step']}/{total}  {text}"
