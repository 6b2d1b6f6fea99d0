"""The check lists and whole runs of `wantrain bench`, on the CPU: what they print on a GPU, but for the kernels."""

import json
import signal
import subprocess
import sys

import pytest
import torch
from click.testing import CliRunner

from wantrain import bench, bench_profile, bench_runs, bench_suite, fast_model, fast_run
from wantrain.fast_model import Cut

TINY = ["--device", "cpu", "--layers", "2", "--width", "128", "--shape", "64x48x9"]


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny products on several threads wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def here(monkeypatch):
    """Runs in this process: starting Python anew takes longer than they do."""

    def apart(job, world=1):
        assert world == 1
        return [fast_run.timed_run(bench_runs._job(json.loads(json.dumps(_table(job)))))]

    monkeypatch.setattr(bench_runs, "apart", apart)


def _table(job):
    from dataclasses import asdict

    return asdict(job)


def job(**more):
    shape = fast_model.Shape(width=64, height=48, frames=9, tokens=36)
    own = {"family": "wan2.2-t2v-a14b", "shape": shape, "cut": Cut(layers=2, width=128), "rank": 4, "device": "cpu"}
    return fast_run.Job(**(own | more))


# --- idle time ---


@pytest.mark.parametrize(
    ("spans", "busy", "waiting", "longest"),
    [
        ([(0, 1), (1, 2)], 2, 0, 0),
        ([(0, 1), (3, 4)], 2, 2, 2),
        ([(3, 4), (0, 2), (1, 2.5)], 3.5, 0.5, 0.5),  # in any order, overlapping
        ([(0, 10), (2, 3), (4, 5), (11, 12)], 11, 1, 1),  # inside another
        ([(0, 1), (1 + 1e-5, 2)], 2 - 1e-5, 0, 1e-5),  # a gap too short to be anybody's waiting
    ],
)  # fmt: skip
def test_idle_time_is_what_no_kernel_covers(spans, busy, waiting, longest):
    found = bench_profile.idle_of(spans)
    assert found.busy == pytest.approx(busy)
    assert found.waiting == pytest.approx(waiting)
    assert found.longest == pytest.approx(longest)
    assert found.share == pytest.approx(1 - busy / found.wall)


def test_a_trace_needs_something():
    with pytest.raises(ValueError, match="nothing"):
        bench_profile.idle_of([])
    with pytest.raises(ValueError, match="rise"):
        bench_profile.Tracer(3, 3, gpu=False)


def test_sleeping_between_operators_is_seen_as_idle():
    import time

    tracer = bench_profile.Tracer(1, 2, gpu=False)
    tracer.step({}, 0.0, {})
    torch.ones(10).sum()
    time.sleep(0.05)
    torch.ones(10).sum()
    tracer.step({}, 0.0, {})
    assert tracer.found.longest >= 0.05
    assert tracer.found.waiting >= 0.05


# --- runs ---


def test_three_places_in_one_command(here):
    found = CliRunner().invoke(bench.bench, [*TINY, "--places", "fp8", "--steps", "6", "--turn", "3", "--json"])
    assert found.exit_code == 0, found.output
    rows = json.loads(found.stdout.splitlines()[-1])["rows"]
    assert [row["case"] for row in rows] == ["fp8-gpu", "fp8-pinned", "fp8-disk"]
    for row, place in zip(rows, ("gpu", "pinned", "disk"), strict=True):
        assert f"the idle expert waits: {place}" in row["said"]
        assert row["switch"] >= 0
    assert len({row["loss"] for row in rows}) == 1  # places change no number


def test_curves_lie_on_each_other_and_other_noise_does_not(here):
    found = bench_runs.curve_of(job(steps=6, lr=1e-3))
    assert len(found["reference"]["losses"]) == 6
    assert 0 < found["fast"]["largest"] < 5e-3
    assert found["fast"]["mean"] <= found["fast"]["largest"]
    assert 0 < found["fp8"]["largest"] < 2e-2
    lines = bench_runs.curve_lines(found)
    assert len(lines) == 4
    assert "off by" in lines[2]
    shuffled = found["reference"]["losses"][::-1]  # the negative control: another order of samples
    assert bench_runs.deviation(shuffled, found["reference"]["losses"])["largest"] > 5e-3
    with pytest.raises(ValueError, match="curves"):
        bench_runs.deviation([1.0], [1.0, 2.0])


def test_image_to_video_trains_on_the_fast_path(here):
    asked = [*TINY, "--family", "wan2.1-i2v-14b", "--run", "pinned", "--steps", "6", "--turn", "3", "--json"]
    found = CliRunner().invoke(bench.bench, asked)
    assert found.exit_code == 0, found.output
    (row,) = json.loads(found.stdout.splitlines()[-1])["rows"]
    assert "fast path" in row["said"]
    curve = bench_runs.curve_of(job(family="wan2.1-i2v-14b", steps=4, turn=4))
    assert curve["fast"]["largest"] < 5e-3


def test_ratios_of_two_gpus_are_those_of_their_steps(monkeypatch):
    seen = []

    def apart(job, world=1):
        seen.append((job.schedule, job.accumulate, job.stages, world))
        median = {("alternate", 1): 2.0, ("alternate", 2): 1.25, ("parallel", 2): 1.0}[job.schedule, world]
        return [{"median": median + 0.25 * rank, "losses": {"high": [1.0, 2.0 + world]}} for rank in range(world)]

    monkeypatch.setattr(bench_runs, "apart", apart)
    found = bench_runs.gpus_of(job(), 2)
    assert seen == [("alternate", 2, ("high",), 1), ("alternate", 2, ("high",), 2), ("parallel", 1, (), 2)]
    assert found["alone"] == 1.0  # of a batch
    assert (found["shared"], found["efficiency"]) == (1.6, 0.8)
    assert found["parallel"] == pytest.approx(1 / 1.0 + 1 / 1.25)
    assert found["loss_off"] == pytest.approx(1 / 3)


@pytest.mark.torture
def test_two_processes_share_batches_and_experts():
    """Started as `--gpus 2` starts them, with gloo."""
    small = job(steps=4, turn=4, cut=Cut(layers=1, width=128))
    found = bench_runs.gpus_of(small, 2)
    assert "error" not in found, found.get("trace")
    assert found["efficiency"] == pytest.approx(found["shared"] / 2)
    assert found["parallel"] > 0
    assert found["loss_off"] < 1e-6
    assert "an expert on each" in bench_runs.gpus_line(found)


def test_a_process_that_fails_ends_those_that_wait_for_it():
    waiting = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
    failing = subprocess.Popen([sys.executable, "-S", "-c", "raise SystemExit(3)"])
    assert not bench_runs._ended_well([waiting, failing])
    assert waiting.returncode == -signal.SIGKILL
    assert failing.returncode == 3


@pytest.mark.torture
def test_a_run_that_fails_is_a_row():
    (row,) = bench_runs.apart(job(dtype="no such type", steps=4, accumulate=2), 2)
    assert "no such type" in row["error"]
    assert "no such type" in bench_runs.line(row | {"case": "gpu", "shape": "64x48x9"})


# --- check lists ---


@pytest.mark.torture
@pytest.mark.parametrize("whole", [False, True])
def test_the_gpu_check_runs_end_to_end(here, monkeypatch, whole):
    """whole: with real previews, which are processes of their own."""
    if not whole:
        monkeypatch.setattr(bench_suite, "_preview", lambda device: ({"made": 2}, ""))
    monkeypatch.setattr(bench_suite, "_gpu_tests", lambda: ({"exit": 0, "said": "1 passed"}, "1 passed"))
    asked = [*TINY, "--suite", "gpu-check", "--steps", "6", "--turn", "3", "--curve", "5", "--minutes", "60", "--json"]
    found = CliRunner().invoke(bench.bench, asked)
    assert found.exit_code == 0, found.output
    rows = {row["part"]: row for row in json.loads(found.stdout.splitlines()[-1])["rows"]}
    assert list(rows) == [
        "GPU tests", "idle share", "idle expert: gpu", "idle expert: pinned", "idle expert: disk", "guest", "preview",
        "curve", "Python",
    ]  # fmt: skip
    assert 0 < rows["idle share"]["idle"] < 1
    assert rows["guest"]["pause"] > 0
    assert rows["preview"]["made"] == 2
    assert [row["case"] for row in rows["Python"]["rows"]] == ["fast", "fp8"]
    assert rows["curve"]["fp8"]["largest"] < 2e-2


def test_the_check_for_two_gpus(monkeypatch):
    row = {"world": 2, "shape": "64x48x9", "alone": 1.0, "shared": 1.9, "efficiency": 0.95, "loss_off": 0.0}
    monkeypatch.setattr(bench_runs, "gpus_of", lambda *_: row)
    monkeypatch.setattr(bench_suite, "gpus_of", lambda *_: row)
    found = CliRunner().invoke(bench.bench, [*TINY, "--suite", "two-gpus"])
    assert found.exit_code == 0, found.output
    assert "efficiency 95.0%" in found.output
    assert "1 of 1 parts done" in found.output


def test_what_cannot_begin_in_time_is_left_out_and_what_fails_is_told():
    def wrong():
        raise RuntimeError("no such kernel")

    parts = [
        bench_suite.Part("good", 1, lambda: ({"x": 1}, "fine")), bench_suite.Part("wrong", 1, wrong),
        bench_suite.Part("long", 1000, lambda: ({}, "never")),
    ]  # fmt: skip
    told = []
    rows = list(bench_suite.run_parts(parts, 1, told.append))
    assert [bench_suite.failed(row) for row in rows] == [False, True, False]
    assert "skipped" in rows[2]
    assert bench_suite.verdict(rows) == "1 of 3 parts done; failed: wrong; left out: long"
    assert "no such kernel" in told[1]
    assert bench_suite.failed({"part": "curve", "fast": {"error": "x"}})
