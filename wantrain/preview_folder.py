"""The folder of a preview, and the process that works in it: ended, tidied up, and why there are no videos.

A preview that was not made leaves failed.json with the reason, which is also the last line of its log.txt: a process
that is killed says nothing itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wanprep.ids import write_atomic

GRACE_SECONDS = 5.0  # between asking and killing
FAILED = "failed.json"


def name_of(steps: Mapping[str, int]) -> str:
    """Of its folder: high-000250_low-000250."""
    return "_".join(f"{name}-{step:06d}" for name, step in steps.items())


def made(folder: Path) -> str | None:
    """The key of the videos that are there in full; None without all of them."""
    try:
        record = json.loads((folder / "preview.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return None if record.get("failed") else record.get("key")


def note_failure(folder: Path, why: str) -> None:
    """Leave the reason in the folder, in failed.json and at the end of log.txt. A disk that is full keeps neither."""
    with contextlib.suppress(OSError):
        write_atomic(folder / FAILED, (json.dumps({"why": why}, indent=1) + "\n").encode())
        with (folder / "log.txt").open("a", encoding="utf-8") as log:
            log.write(f"no preview: {why}\n")


def failures(run: Path) -> list[dict[str, Any]]:
    """{steps, why} of every preview of a run that was begun and has no videos at all, in order of training."""
    found = []
    for job in sorted((run / "previews").glob("*/job.json")):
        if (job.parent / "preview.json").is_file():
            continue  # it says itself which of its videos failed
        with contextlib.suppress(ValueError, OSError, KeyError):
            steps = json.loads(job.read_text(encoding="utf-8"))["steps"]
            why = "not finished, or still being made"  # as a run that is killed leaves it
            if (job.parent / FAILED).is_file():
                why = json.loads((job.parent / FAILED).read_text(encoding="utf-8"))["why"]
            found.append({"steps": steps, "why": why})
    return sorted(found, key=lambda record: sum(record["steps"].values()))


def link(path: Path, target: Path) -> Path:
    """A second name for the file, or a copy where the disk has no such thing."""
    try:
        os.link(path, target)
    except OSError:
        shutil.copy2(path, target)
    return target


def kill(process: subprocess.Popen[bytes]) -> None:
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


def tidy(folder: Path) -> None:
    shutil.rmtree(folder / "loras", ignore_errors=True)
    for leftover in folder.glob(".tmp*"):
        leftover.unlink(missing_ok=True)


def outcome(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return f"killed by {signal.Signals(-code).name}"
    return f"killed by signal {-code}"


def last_line(log: Path) -> str:
    """What it said last; its log is somebody else's text, so plain characters only."""
    try:
        lines: Sequence[str] = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return "".join(c if c.isprintable() else "?" for c in last)[:200]
