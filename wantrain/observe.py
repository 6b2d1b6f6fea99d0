"""What looks on while a run trains: progress, TensorBoard, previews. One small interface, so that the loop has no ifs.

An observer is told what happened and changes nothing of it: no weight, no random number, no file that a result depends
on. One that fails is dropped with a sentence, and training goes on as if it had never been there.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from wanprep.cached import CachedDataset

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Course:
    """What a run is about to do.

    steps: expert -> (done, total). loras: expert -> (step, newest LoRA file) of an earlier process. held_out: expert ->
    what it measured then. elsewhere: those of `steps` that other processes train at the same time. stop: whether
    somebody asked to stop. parked: while it is open, no expert is on the GPU.
    """

    folder: Path
    family: str
    device: str
    steps: Mapping[str, tuple[int, int]]
    loras: Mapping[str, tuple[int, Path]] = field(default_factory=dict)
    held_out: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    elsewhere: frozenset[str] = frozenset()
    stop: Callable[[], bool] = lambda: False
    parked: Callable[[], AbstractContextManager[Any]] = contextlib.nullcontext


class Observer:
    """Told what happens, in this order. Every method may be left as it is."""

    among: Observers | None = None

    def begin(self, course: Course) -> None:
        """Before the first step; nothing is loaded yet."""

    def turn(self, expert: str, seconds: float) -> None:
        """`expert` is on the device, which took `seconds`; its steps follow."""

    def step(self, row: Row, seconds: float, waits: Mapping[str, float]) -> None:
        """One optimizer step. row: as in metrics.jsonl. waits: kind of file -> seconds of the step spent reading it."""

    def held_out(self, row: Row) -> None:
        """One held-out measurement. row: as in metrics.jsonl."""

    def saved(self, made: Row) -> None:
        """A LoRA file is on the disk: {expert, step, file (in the run's folder), loss, asked}."""

    def look(self) -> None:
        """Nothing happens here for a while, but other processes are still at work."""

    def say(self, text: str, *, problem: bool = False) -> None:
        """A sentence for people; a problem is said even to those who want no progress."""

    def status(self) -> str:
        """What it is busy with, in a few words, for a display."""
        return ""

    def end(self, *, wait: bool) -> None:
        """After the last step. wait: nobody is in a hurry (no error, no signal)."""

    def tell(self, text: str, *, problem: bool = False) -> None:
        """Let everybody who shows sentences show this one."""
        if self.among is not None:
            self.among.say(text, problem=problem)


class Observers(Observer):
    """Several as one. One that raises is dropped."""

    def __init__(self, members: Sequence[Observer]) -> None:
        self.members = list(members)
        for member in self.members:
            member.among = self

    @contextmanager
    def during(self, course: Course) -> Iterator[Observers]:
        """begin, and end whatever happens; those that wait for something are in a hurry after an error or a signal."""
        try:
            self.begin(course)
            yield self
        except BaseException:
            self.end(wait=False)
            raise
        self.end(wait=not course.stop())

    def begin(self, course: Course) -> None:
        self._each(lambda one: one.begin(course))

    def turn(self, expert: str, seconds: float) -> None:
        self._each(lambda one: one.turn(expert, seconds))

    def step(self, row: Row, seconds: float, waits: Mapping[str, float]) -> None:
        self._each(lambda one: one.step(row, seconds, waits))

    def held_out(self, row: Row) -> None:
        self._each(lambda one: one.held_out(row))

    def saved(self, made: Row) -> None:
        self._each(lambda one: one.saved(made))

    def look(self) -> None:
        self._each(lambda one: one.look())

    def say(self, text: str, *, problem: bool = False) -> None:
        self._each(lambda one: one.say(text, problem=problem))

    def statuses(self) -> list[str]:
        found: list[str] = []
        self._each(lambda one: found.append(one.status()))
        return [text for text in found if text]

    def end(self, *, wait: bool) -> None:
        # The last to join ends first: what shows things goes on showing until all others have ended.
        self._each(lambda one: one.end(wait=wait), backwards=True)

    def _each(self, call: Callable[[Observer], object], *, backwards: bool = False) -> None:
        for member in [*(reversed(self.members) if backwards else self.members)]:
            try:
                call(member)
            except Exception as error:
                if member not in self.members:
                    continue  # dropped while it was asked something else
                self.members.remove(member)
                with contextlib.suppress(Exception):
                    member.end(wait=False)
                sentence = f"{type(member).__name__} stopped working ({error!r}); training goes on without it"
                if self.members:
                    self.say(sentence, problem=True)
                else:
                    with contextlib.suppress(OSError):  # the terminal may be what is gone
                        sys.stderr.write(sentence + "\n")


class Waits:
    """Seconds spent reading, by kind of file, since they were last taken."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    @contextmanager
    def of(self, kind: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[kind] = self._seconds.get(kind, 0.0) + time.perf_counter() - began

    def take(self) -> dict[str, float]:
        taken, self._seconds = self._seconds, {}
        return {kind: round(seconds, 5) for kind, seconds in sorted(taken.items())}


KINDS = {
    "latent": "latents",
    "condition": "conditions",
    "image": "conditions",
    "text": "texts",
    "class_text": "texts",
    "empty": "texts",
}


class _Timed:
    """A dataset that notes how long its files take to read. Everything else is the dataset's own."""

    def __init__(self, dataset: CachedDataset, waits: Waits) -> None:
        self._dataset, self._waits = dataset, waits

    def __len__(self) -> int:
        return len(self._dataset)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._dataset, name)
        kind = KINDS.get(name)
        if kind is None:
            return found

        def timed(*arguments: Any) -> Any:
            with self._waits.of(kind):
                return found(*arguments)

        return timed


def timed(dataset: CachedDataset, waits: Waits) -> CachedDataset:
    """The same dataset, with the seconds of every read noted in `waits`."""
    return cast("CachedDataset", _Timed(dataset, waits))
