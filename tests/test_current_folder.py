"""What lies in the folder a command is started in is never imported, whatever process it comes to."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from footage import make_video
from movies import environment, options

from wanprep.signals import lanes
from wantrain.previews import PreviewSetup

TRAP = "from pathlib import Path\nPath(__file__).with_suffix('.ran').touch()\n"
SETTINGS = ("family=tiny", "split.min_seconds=0.5", 'views=[{name="look",resolution=[64,32],frames=[9]}]')


@pytest.fixture
def downloads(tmp_path: Path) -> Path:
    """A folder with empty folders named as our packages, and files named as modules that our processes load."""
    folder = tmp_path / "downloads"
    for name in ("wanprep", "wantrain"):
        (folder / name).mkdir(parents=True)
    for name in ("random", "json", "socket", "cv2", "av", "torch"):
        (folder / f"{name}.py").write_text(TRAP)
    return folder


def ran(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.ran"))


def test_the_traps_work(downloads: Path) -> None:
    subprocess.run([sys.executable, "-c", "import random"], cwd=downloads, env=environment(), check=False)
    assert ran(downloads) == ["random.ran"]


@pytest.mark.parametrize("start", ["script", "module"])
@pytest.mark.parametrize("command", ["run", "score"])
def test_no_worker_imports_what_lies_there(downloads: Path, tmp_path: Path, command: str, start: str) -> None:
    (tmp_path / "in").mkdir()
    movies = [make_video(tmp_path / "in" / f"{n}.mp4", frames=30 + n, size=(96, 54)) for n in range(2)]
    script = tmp_path / "bin" / "wanprep"  # as it is installed: its own folder is on the path, not the current one
    script.parent.mkdir()
    script.write_text("from wanprep.cli import main\nif __name__ == '__main__':\n    main()\n")
    what = [str(tmp_path / "in"), *options(tmp_path / "set", SETTINGS)] if command == "run" else map(str, movies)
    begun = [str(script)] if start == "script" else ["-m", "wanprep"]
    done = subprocess.run(
        [sys.executable, *begun, command, *what, "--workers", "2"],
        cwd=downloads, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert ran(downloads) == []


@pytest.mark.parametrize("package", ["wanprep", "wantrain"])
def test_nor_does_a_package_that_is_run_as_a_module(downloads: Path, package: str) -> None:
    command = [sys.executable, "-m", package]
    for folder in (downloads, Path(lanes.__file__).parents[2]):  # of the clone, too
        told = subprocess.run([*command, "--help"], cwd=folder, env=environment(), capture_output=True, text=True)
        assert told.returncode == 0, told.stderr
        assert told.stdout.startswith(f"Usage: python -m {package} ")
    wrong = subprocess.run([*command, "nonsense"], cwd=downloads, env=environment(), capture_output=True, check=False)
    assert wrong.returncode == 2
    assert ran(downloads) == []


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="no shared memory without a name here")
def test_nor_do_the_meters_of_one_source(downloads: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(downloads)
    pool = lanes.Pool()
    try:
        seen: list[object] = []
        pool.begin([abs] * lanes.LANES, [seen.append] * lanes.LANES)
        pool.add(-1)
        pool.end()
    finally:
        pool.close()
    assert seen == [1] * lanes.LANES
    assert ran(downloads) == []


def test_nor_does_the_trainer_s_preview_worker(downloads: Path, tmp_path: Path) -> None:
    command = [*PreviewSetup.command, str(tmp_path)]
    with subprocess.Popen(command, cwd=downloads, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        said = process.stderr.read()  # standard input stays open: when it closes, the worker ends
    assert "job.json" in said  # it came as far as looking for its work
    assert ran(downloads) == []


def test_nor_do_the_processes_of_bench(downloads: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from wantrain.bench_runs import apart
    from wantrain.fast_model import Shape
    from wantrain.fast_run import Guest, Job
    from wantrain.observe import Course

    monkeypatch.chdir(downloads)
    (told,) = apart(Job(family="none", shape=Shape(width=16, height=16, frames=1, tokens=1), device="cpu"))
    assert "none" in told["error"]  # no such family: it came as far as its job
    guest = Guest(1, 0.0, "none")
    guest.begin(Course(folder=downloads, family="", device="cpu", steps={}))
    guest.step({}, 0.0, {})
    assert "none" in guest.told["guest_error"]
    assert ran(downloads) == []
