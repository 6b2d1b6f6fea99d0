"""The last words of a command that could not do its work: one line that says why, and an exit code."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from movies import environment
from shell import as_from_a_shell, as_in_the_background

from wanprep import cli, inspect


@pytest.fixture
def ending(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command line as its entry point does: exit code and what it said on stderr."""

    def ending(*words: object) -> tuple[object, str]:
        monkeypatch.setattr(sys, "argv", ["wanprep", *map(str, words)])
        monkeypatch.setattr(cli.gc, "freeze", lambda: None)
        monkeypatch.setattr("wanprep.engines.children.still_deaf", lambda: None)  # these tests may run under nohup
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return stop.value.code, capsys.readouterr().err

    return ending


def raising(error: BaseException) -> Any:
    def call(*_: Any, **__: Any) -> None:
        raise error

    return call


def test_a_file_that_may_not_be_touched_is_named_in_one_line(tmp_path: Path, ending: Any) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(b"x")
    assert ending("run", film, "--out", film / "set") == (1, f"wanprep: Not a directory: {film / 'set' / 'manifest'}\n")


def test_so_is_the_lock_of_a_dataset_of_another_user(tmp_path: Path, ending: Any, monkeypatch: Any) -> None:
    (tmp_path / "film.mp4").write_bytes(b"x")
    lock = tmp_path / "set" / "manifest" / ".run.lock"
    monkeypatch.setattr("wanprep.dataset.exclusive", raising(PermissionError(13, "Permission denied", str(lock))))
    code, said = ending("run", tmp_path, "--out", tmp_path / "set")
    assert code == 1
    assert said.startswith(f"wanprep: Permission denied: {lock}. Give yourself the right to it (chmod")


def test_dead_workers_are_no_interruption(tmp_path: Path, ending: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(inspect, "look", raising(ChildProcessError("the process that starts workers ended")))
    assert ending("cuts", "film.mp4") == (1, "wanprep: the process that starts workers ended\n")


@pytest.mark.parametrize("error", [EOFError("end of a pipe"), OSError("no file is to blame")])
def test_what_nobody_foresaw_keeps_its_traceback(ending: Any, monkeypatch: Any, error: Exception) -> None:
    monkeypatch.setattr(inspect, "look", raising(error))
    with pytest.raises(type(error), match=str(error)):
        ending("cuts", "film.mp4")


def test_a_full_disk_is_one_line(tmp_path: Path, ending: Any, monkeypatch: Any) -> None:
    (tmp_path / "film.mp4").write_bytes(b"x")
    monkeypatch.setattr("wanprep.run.run_stage", raising(OSError(28, "No space left on device")))
    code, said = ending("run", tmp_path / "film.mp4", "--out", tmp_path / "set")
    assert (code, said.count("\n")) == (1, 1)
    assert said.startswith("wanprep: the disk is full; what was done is kept. Make room, then: wanprep run ")


def test_only_what_keeps_something_says_so_when_it_is_interrupted(
    tmp_path: Path, ending: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(inspect, "look", raising(KeyboardInterrupt()))
    assert ending("cuts", "film.mp4") == (130, "\nwanprep: interrupted; nothing is kept of it\n")
    (tmp_path / "film.mp4").write_bytes(b"x")
    monkeypatch.setattr("wanprep.run.run_stage", raising(KeyboardInterrupt()))
    code, said = ending("run", tmp_path / "film.mp4", "--out", tmp_path / "set")
    assert code == 130
    assert f"what was done is kept. Go on with: wanprep run {tmp_path / 'film.mp4'}" in said


# As the entry point goes on from anywhere: tables are loaded, then a program is started to which Ctrl-C comes.
INTERRUPTED = """
import subprocess, sys
from wanprep import cli
sys.argv = ["wanprep", "--version"]
cli.main()
import polars
command = "import os, signal; os.kill(os.getpid(), signal.SIGINT)"
sys.exit(subprocess.run([sys.executable, "-c", command]).returncode != 0)
"""


@pytest.mark.parametrize(("started", "code"), [(as_from_a_shell, 1), (as_in_the_background, 0)])
def test_what_is_started_in_the_background_and_all_below_it_stays_deaf(started: Any, code: int) -> None:
    command = [sys.executable, "-c", INTERRUPTED]
    assert subprocess.run(command, env=environment(), preexec_fn=started, capture_output=True).returncode == code
