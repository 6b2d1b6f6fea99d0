"""Preview videos at checkpoints, made by a process of their own: nothing that happens there stops or changes training.

A preview is a folder RUN/previews/<expert>-<step>_…: links to the LoRA files (so that pruning checkpoints cannot take
them away), job.json, log.txt, and when it is done the videos, a contact sheet and preview.json. One is made at a time,
a few may wait, more are skipped with a note (never the finished LoRA's, where the run waits for it). On another device
it runs beside the training; on the GPU that trains, training waits between two steps with its experts in main memory
until the preview is done. A run that is complete makes those that are missing when its command is given again.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wanprep.config import to_table
from wanprep.engines.children import PYTHON, environment
from wanprep.ids import digest_file, key_of, write_atomic
from wantrain.observe import Course, Observer
from wantrain.preview_folder import kill, last_line, link, made, name_of, note_failure, outcome, tidy
from wantrain.preview_missing import Loras, planned
from wantrain.preview_worker import Job, label
from wantrain.room import shortage
from wantrain.run_loras import read_run

POLL_SECONDS = 0.05


@dataclass
class Making:
    """A preview process at work."""

    folder: Path
    steps: dict[str, int]
    process: subprocess.Popen[bytes]
    began: float


@dataclass(frozen=True, kw_only=True)
class PreviewSetup:
    """What `preview_setup.prepare` found out before the run. job: all but steps and LoRAs. waits: training pauses.

    at_end: wait for the last ones, or stop them. alternate: experts take turns, so that one preview shows both.
    stages: experts that are trained (none: all that the run has); sequential: one after the other. warnings: said
    once, when training begins.
    """

    job: Job
    every: int
    at_start: bool
    queue: int
    minutes: float
    at_end: str
    waits: bool
    alternate: bool
    stages: tuple[str, ...] = ()
    sequential: bool = False
    warnings: tuple[str, ...] = ()
    command: tuple[str, ...] = (*PYTHON, "-m", "wantrain.preview_worker")


class Previews(Observer):
    """Starts preview processes and looks after them."""

    def __init__(self, setup: PreviewSetup) -> None:
        self.setup = setup
        self._root = Path()
        self._course = Course(folder=Path(), family="", device="cpu", steps={})
        self._steps: dict[str, int] = {}
        self._totals: dict[str, int] = {}
        self._loras: Loras = {}
        self._waiting: deque[tuple[Path, dict[str, int]]] = deque()
        self._making: Making | None = None
        self._late = False  # the run is complete: only what is missing is made
        self._lost = 0

    def begin(self, course: Course) -> None:
        self._course, self._root = course, course.folder / "previews"
        self._loras = dict(course.loras)
        self._steps = {name: step for name, (step, _) in course.loras.items()}
        self._steps |= {name: done for name, (done, _) in course.steps.items()}
        self._totals = {name: total for name, (_, total) in course.steps.items()}
        for unfinished in self._root.glob("*/loras"):  # of a process that was killed
            shutil.rmtree(unfinished, ignore_errors=True)
        if not course.steps:
            self._make_missing()
            return
        for sentence in self.setup.warnings:
            self.tell(sentence)
        if self.setup.at_start and not any(self._steps.values()):
            self._submit({})

    def step(self, row: Mapping[str, Any], seconds: float, waits: Mapping[str, float]) -> None:
        self._steps[row["expert"]] = row["step"]
        self._poll()

    def saved(self, made: Mapping[str, Any]) -> None:
        expert, step = made["expert"], made["step"]
        self._steps[expert] = step
        self._loras[expert] = (step, self._course.folder / made["file"])
        done = step >= self._totals.get(expert, step)
        planned = done or step % (self.setup.every or 1) == 0
        if (made["asked"] and not done) or (planned and self._all_there(expert, step)):
            self._submit(dict(self._loras), due=done and self.setup.at_end == "wait")
        self._poll()

    def status(self) -> str:
        if self._making is None:
            return ""
        minutes, seconds = divmod(int(time.monotonic() - self._making.began), 60)
        more = f", {len(self._waiting)} waiting" if self._waiting else ""
        return f"preview of {label(self._making.steps)}: {minutes}:{seconds:02d}{more}"

    def end(self, *, wait: bool) -> None:
        """Finish what was begun, or stop it at once: when training failed or was stopped, or when that is wanted."""
        if wait and (self._late or self.setup.at_end == "wait") and (self._making or self._waiting):
            told = "" if self._late else "training is done; "
            self.tell(f"{told}waiting for the previews (Ctrl-C stops them)")
            try:
                self._until(lambda: self._making is None and not self._waiting, self._poll)
            finally:
                self._stop_all()
        else:
            self._stop_all()
        if wait and self._lost:
            lost = "1 preview was" if self._lost == 1 else f"{self._lost} previews were"
            self.tell(f"{lost} not made; the same command makes what is missing of the LoRAs that are still there")

    def _make_missing(self) -> None:
        """What a complete run should have and has not, of the checkpoints that are still there."""
        self._late = True
        there = read_run(self._course.folder).checkpoints
        totals = {name: max(there[name]) for name in self.setup.stages or self.setup.job.steps if there.get(name)}
        start, together = self.setup.at_start, not self.setup.sequential
        every = planned(there, totals, self.setup.every, at_start=start, together=together)
        found = [made(self._folder(loras)) for loras in every]
        missing = [loras for loras, key in zip(every, found, strict=True) if key is None]
        changed = [loras for loras, key in zip(every, found, strict=True) if key not in (None, self._key(loras))]
        if missing:
            self.tell(f"{len(missing)} of {len(every)} previews are missing and are made now")
        if changed:
            names = ", ".join(self._folder(loras).name for loras in changed[:3])
            self.tell(
                f"{len(changed)} previews are of other prompts or LoRAs and stay as they are ({names}"
                f"{', …' if len(changed) > 3 else ''}); delete a folder to have it made anew"
            )
        for loras in missing:
            if not self._course.stop():
                self._submit(loras, due=True)

    def _folder(self, loras: Loras) -> Path:
        return self._root / name_of(self._shown(loras))

    def _shown(self, loras: Loras) -> dict[str, int]:
        """Expert -> step of its LoRA, 0 for the base model."""
        return {name: loras[name][0] if name in loras else 0 for name in self.setup.job.steps}

    def _key(self, loras: Loras) -> str:
        return key_of(base=self.setup.job.key, loras={name: digest_file(path) for name, (_, path) in loras.items()})

    def _all_there(self, expert: str, step: int) -> bool:
        """Where experts take turns, the last of them to reach `step` gives the preview, so that it shows both."""
        others = self._totals.keys() - {expert} if self.setup.alternate else ()
        return all(self._steps[other] >= min(step, self._totals[other]) for other in others)

    def _submit(self, loras: Loras, *, due: bool = False) -> None:
        """Link the LoRAs, write job.json, and start it or put it in the queue. due: whatever waits already."""
        steps, folder = self._shown(loras), self._folder(loras)
        if self._making is not None and len(self._waiting) >= self.setup.queue and not due:
            more = f", and {len(self._waiting)} wait (previews.queue)" if self._waiting else ""
            self._lost += 1
            return self._note(steps, f"skipped: that of {label(self._making.steps)} is still being made{more}")
        try:
            key = self._key(loras)
            if made(folder) == key:
                return None
            shutil.rmtree(folder, ignore_errors=True)
            (folder / "loras").mkdir(parents=True)
            linked = {name: str(link(path, folder / "loras" / path.name)) for name, (_, path) in loras.items()}
            job = replace(self.setup.job, run=self._course.folder.name, steps=steps, loras=linked, key=key)
            write_atomic(folder / "job.json", (json.dumps(to_table(job), indent=1) + "\n").encode())
        except OSError as error:
            return self._fail(folder, steps, f"skipped: {error}")
        self._waiting.append((folder, steps))
        return self._start()

    def _start(self) -> None:
        """Start the first that waits, unless one is being made. On the training GPU: return when it is done."""
        if self._making is not None or not self._waiting:
            return
        folder, steps = self._waiting.popleft()
        if not self.setup.waits:
            self._launch(folder, steps)
            return
        with self._course.parked():
            self._launch(folder, steps)
            self._until(lambda: self._making is None, self._look)

    def _launch(self, folder: Path, steps: dict[str, int]) -> None:
        job = self.setup.job
        lacking = shortage(Path(job.weights), job.dtype, job.device)
        if lacking:
            return self._fail(folder, steps, f"skipped: {lacking}")
        child = environment()
        if not job.device.startswith("cuda"):
            child["CUDA_VISIBLE_DEVICES"] = ""  # or its context would take memory of the GPU that trains
        try:
            with (folder / "log.txt").open("wb") as log:
                process = subprocess.Popen(
                    [*self.setup.command, str(folder)], stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT,
                    env=child, start_new_session=True,
                )  # fmt: skip
        except OSError as error:
            return self._fail(folder, steps, f"could not be started: {error}")
        self._making = Making(folder, steps, process, time.monotonic())
        return None

    def _poll(self) -> None:
        self._look()
        self._start()

    def _look(self) -> None:
        """Whether the one that is being made is done, or takes too long."""
        making = self._making
        if making is None:
            return
        code = making.process.poll()
        if code is not None or time.monotonic() - making.began > self.setup.minutes * 60:
            self._finish(making, code)

    def _finish(self, making: Making, code: int | None) -> None:
        """code: exit code; None when it takes too long and is killed here."""
        self._making = None
        kill(making.process)
        took = f"{time.monotonic() - making.began:.0f} s"
        if code == 0:
            tidy(making.folder)
            return self._note(making.steps, f"made in {took}: {making.folder}")
        why = f"took longer than {self.setup.minutes:g} minutes" if code is None else outcome(code)
        said = last_line(making.folder / "log.txt")
        after = f"{'' if self._late else '; training goes on'}. See {making.folder / 'log.txt'}"
        return self._fail(making.folder, making.steps, f"failed ({why}){': ' + said if said else ''}", after)

    def _fail(self, folder: Path, steps: dict[str, int], why: str, after: str = "") -> None:
        """Say why there are no videos, and leave it in the preview's folder."""
        self._lost += 1
        tidy(folder)
        note_failure(folder, why)
        self._note(steps, why + after, problem=True)

    def _until(self, done: Callable[[], bool], look: Callable[[], None]) -> None:
        """`look` again and again until `done`, or somebody asks to stop."""
        while not done():
            if self._course.stop():
                self._stop_all()
            elif self._making is not None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._making.process.wait(POLL_SECONDS)
            look()

    def _stop_all(self) -> None:
        dropped = [*self._waiting]
        self._waiting.clear()
        if self._making is not None:
            making, self._making = self._making, None
            dropped.insert(0, (making.folder, making.steps))
            kill(making.process)
        for folder, steps in dropped:
            why = "stopped" if self._late else "stopped with the training"
            self._lost += 1
            tidy(folder)
            note_failure(folder, why)
            self._note(steps, why)

    def _note(self, steps: dict[str, int], text: str, *, problem: bool = False) -> None:
        self.tell(f"preview of {label(steps)} {text}", problem=problem)
