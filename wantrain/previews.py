"""Preview videos at checkpoints, made by a process of their own: nothing that happens there stops or changes training.

A preview is a folder RUN/previews/<expert>-<step>_…: links to the LoRA files (so that pruning checkpoints cannot take
them away), job.json, log.txt, and when it is done the videos, a contact sheet and preview.json. One is made at a time,
a few may wait, more are skipped with a note (never the finished LoRA's, where the run waits for it). On another device
it runs beside the training; on the GPU that trains, training waits between two steps with its experts in main memory
until the preview is done.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wanprep.config import to_table
from wanprep.engines.children import PYTHON, environment
from wanprep.ids import digest_file, key_of, write_atomic
from wantrain.observe import Course, Observer
from wantrain.preview_worker import Job, label
from wantrain.room import shortage

POLL_SECONDS = 0.05
GRACE_SECONDS = 5.0  # between asking and killing


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
    """

    job: Job
    every: int
    at_start: bool
    queue: int
    minutes: float
    at_end: str
    waits: bool
    alternate: bool
    command: tuple[str, ...] = (*PYTHON, "-m", "wantrain.preview_worker")


class Previews(Observer):
    """Starts preview processes and looks after them."""

    def __init__(self, setup: PreviewSetup) -> None:
        self.setup = setup
        self._root = Path()
        self._course = Course(folder=Path(), family="", device="cpu", steps={})
        self._steps: dict[str, int] = {}
        self._totals: dict[str, int] = {}
        self._loras: dict[str, tuple[int, Path]] = {}
        self._waiting: deque[tuple[Path, dict[str, int]]] = deque()
        self._making: Making | None = None

    def begin(self, course: Course) -> None:
        self._course, self._root = course, course.folder / "previews"
        self._loras = dict(course.loras)
        self._steps = {name: step for name, (step, _) in course.loras.items()}
        self._steps |= {name: done for name, (done, _) in course.steps.items()}
        self._totals = {name: total for name, (_, total) in course.steps.items()}
        for unfinished in self._root.glob("*/loras"):  # of a process that was killed
            shutil.rmtree(unfinished, ignore_errors=True)
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
            self._submit(dict(self._loras), finished=done)
        self._poll()

    def status(self) -> str:
        if self._making is None:
            return ""
        minutes, seconds = divmod(int(time.monotonic() - self._making.began), 60)
        more = f", {len(self._waiting)} waiting" if self._waiting else ""
        return f"preview of {label(self._making.steps)}: {minutes}:{seconds:02d}{more}"

    def end(self, *, wait: bool) -> None:
        """Finish what was begun, or stop it at once: when training failed or was stopped, or when that is wanted."""
        if wait and self.setup.at_end == "wait" and (self._making or self._waiting):
            self.tell("training is done; waiting for the previews (Ctrl-C stops them)")
            try:
                self._until(lambda: self._making is None and not self._waiting, self._poll)
            finally:
                self._stop_all()
        else:
            self._stop_all()

    def _all_there(self, expert: str, step: int) -> bool:
        """Where experts take turns, the last of them to reach `step` gives the preview, so that it shows both."""
        others = self._totals.keys() - {expert} if self.setup.alternate else ()
        return all(self._steps[other] >= min(step, self._totals[other]) for other in others)

    def _submit(self, loras: dict[str, tuple[int, Path]], *, finished: bool = False) -> None:
        """Link the LoRAs, write job.json, and start it or put it in the queue. finished: an expert's last step."""
        steps = {name: loras[name][0] if name in loras else 0 for name in self.setup.job.steps}
        due = finished and self.setup.at_end == "wait"
        if self._making is not None and len(self._waiting) >= self.setup.queue and not due:
            more = f", and {len(self._waiting)} wait (previews.queue)" if self._waiting else ""
            return self._note(steps, f"skipped: that of {label(self._making.steps)} is still being made{more}")
        folder = self._root / "_".join(f"{name}-{step:06d}" for name, step in steps.items())
        try:
            digests = {name: digest_file(path) for name, (_, path) in loras.items()}
            base = self.setup.job
            key = key_of(base=base.key, loras=digests)
            if _made(folder, key):
                return None
            shutil.rmtree(folder, ignore_errors=True)
            (folder / "loras").mkdir(parents=True)
            linked = {name: str(_link(path, folder / "loras" / path.name)) for name, (_, path) in loras.items()}
            job = replace(base, run=self._course.folder.name, steps=steps, loras=linked, key=key)
            write_atomic(folder / "job.json", (json.dumps(to_table(job), indent=1) + "\n").encode())
        except OSError as error:
            return self._note(steps, f"skipped: {error}", problem=True)
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
            shutil.rmtree(folder, ignore_errors=True)
            return self._note(steps, f"skipped: {lacking}", problem=True)
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
            shutil.rmtree(folder / "loras", ignore_errors=True)
            return self._note(steps, f"could not be started: {error}", problem=True)
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
        _kill(making.process)
        _tidy(making.folder)
        took = f"{time.monotonic() - making.began:.0f} s"
        if code == 0:
            return self._note(making.steps, f"made in {took}: {making.folder}")
        why = f"took longer than {self.setup.minutes:g} minutes" if code is None else _outcome(code)
        said = _last_line(making.folder / "log.txt")
        text = f"failed ({why}){': ' + said if said else ''}; training goes on. See {making.folder / 'log.txt'}"
        return self._note(making.steps, text, problem=True)

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
        dropped = [steps for _, steps in self._waiting]
        for folder, _ in self._waiting:
            shutil.rmtree(folder, ignore_errors=True)
        self._waiting.clear()
        if self._making is not None:
            making, self._making = self._making, None
            dropped.insert(0, making.steps)
            _kill(making.process)
            _tidy(making.folder)
        for steps in dropped:
            self._note(steps, "stopped with the training")

    def _note(self, steps: dict[str, int], text: str, *, problem: bool = False) -> None:
        self.tell(f"preview of {label(steps)} {text}", problem=problem)


def _made(folder: Path, key: str) -> bool:
    """Whether these very videos are there in full, from before the run was resumed."""
    try:
        record = json.loads((folder / "preview.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return record.get("key") == key and not record.get("failed")


def _link(path: Path, target: Path) -> Path:
    """A second name for the file, or a copy where the disk has no such thing."""
    try:
        os.link(path, target)
    except OSError:
        shutil.copy2(path, target)
    return target


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the process and its children; nothing of it is left afterwards."""
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
    if process.poll() is not None:
        return
    for number, patience in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, None)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)  # its own session, so its own group; children may be left after it
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)


def _tidy(folder: Path) -> None:
    shutil.rmtree(folder / "loras", ignore_errors=True)
    for leftover in folder.glob(".tmp*"):
        leftover.unlink(missing_ok=True)


def _outcome(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return f"killed by {signal.Signals(-code).name}"
    return f"killed by signal {-code}"


def _last_line(log: Path) -> str:
    """What it said last; its log is somebody else's text, so plain characters only."""
    try:
        lines: Sequence[str] = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return "".join(c if c.isprintable() else "?" for c in last)[:200]
