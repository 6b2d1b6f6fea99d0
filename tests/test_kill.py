"""SIGKILL at random points of every real stage: the resumed run ends with the tables and files of a straight one.

`make test` kills each stage twice, `make torture` twenty times.
"""

import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from movies import check_files, environment, make_movies, options, tables, wanprep
from shell import as_from_a_shell

STAGES = ("split", "fps", "filter", "bucket", "caption", "cache")


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A dataset as it is after each stage of a run that nobody disturbed; and the movies."""
    base = tmp_path_factory.mktemp("kill")
    movies = make_movies(base / "movies")
    found = {"movies": movies}
    out = base / "working"
    wanprep("run", str(movies), *options(out), "--limit", "0")  # lists the sources and measures nothing
    shutil.copytree(out, base / "start")
    for stage in STAGES:
        wanprep(stage, "--out", str(out), "--workers", "2")
        found[stage] = shutil.copytree(out, base / stage)
    return found


def before(straight: dict[str, Path], stage: str) -> Path:
    index = STAGES.index(stage)
    return straight[STAGES[index - 1]] if index else straight["split"].with_name("start")


def start(stage: str, out: Path) -> subprocess.Popen[str]:
    """Start a stage and return when its measuring begins: that is when it writes its first line."""
    command = [sys.executable, "-m", "wanprep.cli", stage, "--out", str(out), "--workers", "2"]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=environment(), preexec_fn=as_from_a_shell
    )
    assert process.stderr
    process.stderr.readline()
    return process


def work_seconds(stage: str, out: Path) -> float:
    process = start(stage, out)
    began = time.perf_counter()
    process.communicate()
    return time.perf_counter() - began


def killed(stage: str, out: Path, after: float) -> bool:
    """Start the stage and kill it `after` seconds of its work; False if it was done sooner."""
    process = start(stage, out)
    time.sleep(after)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return process.returncode != 0


def check_stage(straight: dict[str, Path], stage: str, work: Path, kills: int) -> None:
    chooser = random.Random(stage)
    seconds = work_seconds(stage, shutil.copytree(before(straight, stage), work / "timed"))
    done = attempts = 0
    while done < kills and attempts < 6 * kills:
        out = shutil.copytree(before(straight, stage), work / f"killed-{attempts}")
        attempts += 1
        if killed(stage, out, chooser.uniform(0, seconds)):
            done += 1
        else:
            seconds *= 0.8  # the timed run was slower than this one: the machine has less to do now
        wanprep(stage, "--out", str(out), "--workers", "2")
        check_files(out)
        assert tables(out) == tables(straight[stage]), (stage, attempts)
        shutil.rmtree(out)
    assert done >= kills, f"only {done} of {attempts} attempts were killed in time"


@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_stage_resumes_to_the_same_end(straight: dict[str, Path], stage: str, tmp_path: Path) -> None:
    check_stage(straight, stage, tmp_path, kills=2)


@pytest.mark.torture
@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_killed_twenty_times(straight: dict[str, Path], stage: str, tmp_path: Path) -> None:
    check_stage(straight, stage, tmp_path, kills=20)


def test_interrupted_run_says_how_to_go_on(straight: dict[str, Path], tmp_path: Path) -> None:
    for _ in range(5):
        shutil.rmtree(tmp_path / "set", ignore_errors=True)
        shutil.copytree(before(straight, "bucket"), tmp_path / "set")
        process = start("bucket", tmp_path / "set")
        process.send_signal(signal.SIGINT)
        rest = process.communicate()[1]
        if process.returncode:
            break  # otherwise we were held up, and it was done sooner
    assert process.returncode == 130, rest
    assert f"Go on with: wanprep bucket --out {tmp_path / 'set'}" in rest
    wanprep("bucket", "--out", str(tmp_path / "set"))
    assert tables(tmp_path / "set") == tables(straight["bucket"])
