import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from shell import as_from_a_shell

from wantrain.cli import main

ROOT = Path(__file__).parents[2]
SETTINGS = [
    "family=tiny", "run.name=toy", "run.deterministic=true", "run.checkpointing=false", "high.steps=4", "low.steps=3",
    "validation.share=0.2", "high.lr=5e-3",
]  # fmt: skip


def _sets(*more: str) -> list[str]:
    return [part for setting in (*SETTINGS, *more) for part in ("--set", setting)]


@pytest.fixture
def invoke(toy, dataset, monkeypatch):
    monkeypatch.setitem(sys.modules, "wanprep.dataset", toy.dataset_module(dataset))

    def call(*arguments: str):
        return CliRunner().invoke(main, [*arguments])

    return call


def test_run_prints_the_files_and_nothing_else_on_stdout(invoke, tmp_path):
    result = invoke("run", "--out", str(tmp_path), *_sets())
    assert result.exit_code == 0, result.output
    paths = result.stdout.splitlines()
    assert [Path(p).name for p in paths] == ["toy_high_noise.safetensors", "toy_low_noise.safetensors"]
    assert all(Path(p).is_file() for p in paths)
    assert re.search(r"high 4/4 +held-out loss \d\.\d+ \(predicting zero: \d\.\d+\)", result.stderr)
    again = invoke("run", "--out", str(tmp_path), *_sets(), "--json", "-q")
    report = json.loads(again.stdout)
    assert report["steps"] == {"high": 4, "low": 3}
    assert report["held_out"]["high"]["zero"] > 1
    assert again.stderr == ""


def test_dry_run_trains_nothing(invoke, tmp_path):
    result = invoke("run", "--dry-run", "--out", str(tmp_path / "runs"), *_sets())
    assert result.exit_code == 0
    assert "20 samples: 16 to train on (16 an epoch with repeats), 4 held out" in result.stdout
    assert "buckets to train on: 64x64x5 (16)" in result.stdout  # not those held out
    assert "high: 4 steps = 0.2 epochs, 57.1% of the steps; sigma 0.875–1" in result.stdout
    assert "41.7%" in result.stdout
    assert not (tmp_path / "runs").exists()
    planned = json.loads(invoke("run", "--dry-run", "--json", *_sets()).stdout)
    assert planned["experts"]["low"]["steps"] == 3


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--set", "high.learningrate=1"], 2, "unknown setting 'high.learningrate'"),
        (["nowhere.toml"], 2, "cannot read nowhere.toml"),
        (["--resume"], 2, "nothing to resume"),
        (["--resume", "--fresh"], 2, "give one of them"),
        (["--fresh", "--resume"], 2, "give one of them"),
        (["--set", "weights=/nowhere"], 3, "/nowhere"),
        (["--set", "family=wan2.2-t2v-a14b"], 2, "was made for tiny"),
        (["--frash"], 2, "--fresh"),
        (["--dataset", "a", "--set", "dataset=b"], 2, "--dataset a and --set dataset=b say the same setting twice"),
        (["--set", "regularisation.share=1"], 2, "share = 1.0 must be above 0 and below 1"),
    ],
)
def test_exit_codes(invoke, tmp_path, arguments, code, message):
    result = invoke("run", "--out", str(tmp_path), *_sets(), *arguments)
    assert result.exit_code == code, result.output
    assert message in result.stderr
    assert result.stdout == ""


def test_plan_looks_for_the_cached_files_as_run_does(toy, invoke, tmp_path, monkeypatch):
    whole = invoke("plan", *_sets())
    assert whole.exit_code == 0
    assert "cached files: all 24 are there, the digests of 24 are right" in whole.stdout
    broken = toy.toy_dataset(tmp_path / "data")
    (tmp_path / "data" / "latent-3.safetensors").unlink()
    monkeypatch.setitem(sys.modules, "wanprep.dataset", toy.dataset_module(broken))
    result = invoke("plan", *_sets())
    assert result.exit_code == 1
    assert "latent-3.safetensors is not there" in result.stderr


def test_no_gpu_is_exit_code_3(invoke, tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert invoke("run", "--out", str(tmp_path), *_sets("run.device=cuda")).exit_code == 3


def test_sample_makes_a_video_of_a_run(invoke, tmp_path, monkeypatch):
    import av

    from wanprep.media import film

    written, real = {}, film.write_film

    def write_film(path, frames, **how):
        written[Path(path).name] = (frames.copy(), *how.values())
        return real(path, frames, **how)

    monkeypatch.setattr(film, "write_film", write_film)
    monkeypatch.chdir(tmp_path)
    assert invoke("run", "--out", str(tmp_path), *_sets()).exit_code == 0
    common = ["--run", str(tmp_path / "toy"), "--size", "32x32", "--frames", "5", "--steps", "4", "a cat"]
    for name, more in (("a", ()), ("b", ()), ("zero", ("--strength", "0"))):
        result = invoke("sample", *more, "--out", f"{name}.mp4", *common)
        assert result.exit_code == 0, result.output
        assert result.stdout == f"{name}.mp4\n"
    base = ["sample", "--family", "tiny", "--out", "base.mp4", *common[2:]]
    assert invoke(*base).exit_code == 0
    assert written["a.mp4"][1:] == (16,)
    with av.open("a.mp4") as video:
        assert [video.streams.video[0].average_rate, sum(1 for _ in video.decode(video=0))] == [16, 5]
    assert (written["a.mp4"][0] == written["b.mp4"][0]).all()
    assert (written["zero.mp4"][0] == written["base.mp4"][0]).all()
    assert (written["a.mp4"][0] != written["base.mp4"][0]).any()
    file = tmp_path / "toy" / "toy_high_noise.safetensors"
    again = invoke(*base, "--lora", f"{file}:0.5")
    assert again.exit_code == 2
    assert "base.mp4 is there already" in again.stderr
    assert invoke(*base, "--lora", f"{file}:0.5", "--force").exit_code == 0
    swapped = invoke(*base, "--force", "--lora", f"low={file}")
    assert swapped.exit_code == 0
    assert f"warning: {file} was made for the expert 'high'" in swapped.stderr
    assert invoke("sample", "a cat").exit_code == 2
    assert invoke("sample", "--family", "tiny", "--size", "big", "a cat").exit_code == 2
    assert invoke("sample", "--run", str(tmp_path), "a cat").exit_code == 2


def test_a_table_without_rows_has_no_head(capsys, tmp_path):
    from wantrain.cli import _print_result
    from wantrain.ranking import judge
    from wantrain.train import TrainResult

    made = {"step": 2, "file": "loras/x", "loss": None, "asked": False}
    verdicts = {"high": judge([made], []), "low": judge([], [])}
    result = TrainResult(
        folder=tmp_path, loras={}, steps={"high": 2, "low": 1}, held_out={}, verdicts=verdicts, interrupted=True
    )
    _print_result(result, 1, as_json=False)
    said = capsys.readouterr().err
    assert "high: step" in said
    assert "low: step" not in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "s.gif"], "--out s.gif: videos are written as .mp4; name it s.mp4"),
        (["--out", "plain"], "name it plain.mp4"),
        (["--device", "gpu"], "--device 'gpu' must be"),
        (["--first-frame", "x.png"], "--first-frame: tiny makes videos from text alone; leave it out"),
        (["--steps", "0"], "--steps = 0 must be at least 1"),
        (["--guidance", "-1"], "--guidance = -1"),
        (["--frames", "6"], "--frames: 6 frames is not 4n+1; nearest: 5"),
        (["--size", "33x32"], "33x32: width and height must be multiples of 16"),
        (["--lora", "nowhere.safetensors"], "nowhere.safetensors is not there"),
    ],
)
def test_what_sample_refuses_before_anything_is_loaded(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    common = ["sample", "a cat", "--family", "tiny", "--size", "32x32", "--frames", "5"]
    result = CliRunner().invoke(main, [*common, *arguments])
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert not list(tmp_path.iterdir())


def test_help_loads_nothing_heavy():
    heavy = ("torch", "diffusers", "polars", "rich", "numpy")
    code = f"import sys, wantrain.cli; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-m", "wantrain.cli", "run", "--help"], capture_output=True, cwd=ROOT)
    assert b"Examples:" in done.stdout
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT, text=True).stdout == "[]\n"


def _long_run(tmp_path):
    script = [sys.executable, str(Path(__file__).with_name("toy.py")), "cli", str(tmp_path)]
    return [*script, "run", "--out", str(tmp_path / "runs"), *_sets("high.steps=3000", "low.steps=3000")]


def _wait_for_steps(process, metrics):
    deadline = time.monotonic() + 300
    while (
        process.poll() is None
        and time.monotonic() < deadline
        and not (metrics.exists() and metrics.read_text().count("\n") > 30)
    ):
        time.sleep(0.02)


def _check_saved(toy, run):
    """The last step that was done is the one that is saved."""
    record = json.loads((run / "run.json").read_text())
    assert record["experts"]
    for expert, entry in record["experts"].items():
        assert toy.rows(run, expert, "step")[-1]["step"] == entry["step"]


def _on_its_terminal():
    as_from_a_shell()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_saves_and_says_how_to_go_on(toy, tmp_path, number, code):
    process = subprocess.Popen(
        _long_run(tmp_path), env=toy.environment(), stderr=subprocess.PIPE, text=True, preexec_fn=as_from_a_shell
    )
    run = tmp_path / "runs" / "toy"
    _wait_for_steps(process, run / "metrics.jsonl")
    process.send_signal(number)
    if number == signal.SIGHUP:
        process.send_signal(number)  # the shell's and the kernel's
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == code, stderr
    assert "Go on with: wantrain run --set family=tiny" in stderr
    _check_saved(toy, run)


def test_a_terminal_that_closes_saves(toy, tmp_path):
    """The process leads a session whose terminal goes away, as sshd's or a terminal window's shell does."""
    ours, its = pty.openpty()
    process = subprocess.Popen(
        _long_run(tmp_path), env=toy.environment(), stdin=its, stdout=its, stderr=its, start_new_session=True,
        preexec_fn=_on_its_terminal,
    )  # fmt: skip
    os.close(its)
    reader = threading.Thread(target=_read_all, args=(ours,), daemon=True)
    reader.start()
    run = tmp_path / "runs" / "toy"
    _wait_for_steps(process, run / "metrics.jsonl")
    os.close(ours)
    assert process.wait(timeout=120) == 128 + signal.SIGHUP
    _check_saved(toy, run)


def _read_all(handle):
    with contextlib.suppress(OSError):
        while select.select([handle], [], [], 600) and os.read(handle, 4096):
            pass


def test_usr1_is_noted_before_anything_is_opened(toy, invoke, tmp_path, monkeypatch):
    """It comes while the settings are read, and is answered after the first step."""
    from wantrain import cli

    real = cli._settings

    def slow(*arguments):
        os.kill(os.getpid(), signal.SIGUSR1)
        return real(*arguments)

    monkeypatch.setattr(cli, "_settings", slow)
    died = signal.signal(signal.SIGUSR1, lambda *_: pytest.fail("it was not noted"))
    try:
        assert invoke("run", "--out", str(tmp_path), *_sets()).exit_code == 0
    finally:
        signal.signal(signal.SIGUSR1, died)
    assert (tmp_path / "toy" / "loras" / "toy_000001_high_noise.safetensors").is_file()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_what_is_ignored_in_the_background_stays_so(number):
    from wantrain.heard import Heard, stops_noted

    before = signal.signal(number, signal.SIG_IGN)
    try:
        heard = Heard()
        with stops_noted(heard):
            os.kill(os.getpid(), number)
        assert heard.stop == []
    finally:
        signal.signal(number, before)
