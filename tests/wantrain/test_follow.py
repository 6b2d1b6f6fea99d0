"""What one process shows of an expert that another trains: read from the run's files, never asked for."""

import io
import json

import pytest
from rich.console import Console

from wantrain import progress
from wantrain.display import panel
from wantrain.follow import Follower
from wantrain.observe import Course, Observer, Observers
from wantrain.pace import Pace


class Ear(Observer):
    def __init__(self):
        self.steps, self.held, self.made, self.said = [], [], [], []

    def step(self, row, seconds, waits):
        self.steps.append((row["expert"], row["step"], seconds))

    def held_out(self, row):
        self.held.append((row["expert"], row["step"]))

    def saved(self, made):
        self.made.append((made["expert"], made["step"], made["file"]))

    def say(self, text, *, problem=False):
        self.said.append(text)


def _row(expert, step, loss=0.5):
    return {"expert": expert, "step": step, "loss": loss, "lr": 1e-4}


def _line(kind, expert, step):
    times = {"seconds": 0.5, "waits": {}} if kind == "step" else {}
    return json.dumps({"kind": kind, **_row(expert, step), "volatile": times}) + "\n"


def _write(path, *lines):
    with path.open("a") as file:
        file.write("".join(lines))


def _watch(tmp_path, **more):
    ear = Ear()
    watch = Observers([ear, Follower()])
    steps = {"high": (0, 9), "low": (2, 9)}
    watch.begin(Course(folder=tmp_path, family="tiny", device="cpu", steps=steps, elsewhere=frozenset({"low"}), **more))
    return watch, ear


def test_the_others_lines_are_told_once_each_and_only_when_they_are_whole(tmp_path):
    metrics = tmp_path / "metrics.jsonl"
    _write(metrics, *(_line("step", "low", n) for n in (1, 2)), _line("held_out", "low", 2))
    watch, ear = _watch(tmp_path, held_out={"low": [{"step": 2}]})
    watch.look()
    assert (ear.steps, ear.held) == ([], [])  # known from before
    whole = _line("step", "low", 4)
    _write(metrics, _line("step", "low", 3), _line("step", "high", 1), _line("held_out", "high", 1), whole[:20])
    watch.step(_row("high", 1), 1.0, {})
    assert ear.steps == [("high", 1, 1.0), ("low", 3, 0.5)]
    _write(metrics, whole[20:], _line("held_out", "low", 4))
    watch.look()
    watch.look()
    assert ear.steps[2:] == [("low", 4, 0.5)]
    assert ear.held == [("low", 4)]


def test_the_others_checkpoints_are_told(tmp_path):
    _write(tmp_path / "metrics.jsonl")
    watch, ear = _watch(tmp_path, loras={"low": (2, tmp_path / "loras" / "x")})
    made = [{"step": step, "file": f"loras/{step}", "loss": None, "asked": False} for step in (2, 4, 6)]
    entry = {"step": 4, "state": "", "digest": ""}
    for count in (2, 3):
        record = {"format": 2, "experts": {name: entry | {"checkpoints": made[:count]} for name in ("high", "low")}}
        (tmp_path / "run.json").write_text(json.dumps(record))
        watch.look()
    assert ear.made == [("low", 4, "loras/4"), ("low", 6, "loras/6")]


def test_lines_that_cannot_be_read_stop_the_looking_and_nothing_else(tmp_path):
    _write(tmp_path / "metrics.jsonl", "nonsense\n")
    watch, ear = _watch(tmp_path)
    for step in (1, 2):
        watch.step(_row("high", step), 1.0, {})
    assert [step for _, step, _ in ear.steps] == [1, 2]
    assert len(ear.said) == 1
    assert "Follower stopped working" in ear.said[0]


def _pace():
    pace = Pace({"high": (0, 100), "low": (0, 100)}, now=0.0, elsewhere=frozenset({"low"}))
    for step in range(1, 51):
        pace.step(_row("high", step, 0.1), 2.0, {"latents": 0.2})
        pace.step(_row("low", step // 2 + 1, 0.2), 4.0, {"latents": 4.0})
    return pace


def test_time_left_is_that_of_the_slower_and_waiting_is_this_processs():
    pace = _pace()
    assert pace.left(100.0) == (100 - 26) * 4.0
    assert (pace.current, pace.step_seconds) == ("high", 2.0)
    assert pace.waiting()[0] == pytest.approx(0.1)
    together = Pace({"high": (0, 100), "low": (0, 100)}, now=0.0)  # the same in turns
    for _ in range(3):
        together.step(_row("high", 50), 2.0, {})
        together.step(_row("low", 26), 4.0, {})
    assert together.left(18.0) == 50 * 2.0 + 74 * 4.0


def test_both_are_shown(tmp_path, monkeypatch, capsys):
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(panel(_pace(), title="t", memory="RAM", busy=(), now=100.0))
    text = console.export_text()
    assert "▸ high" in text
    assert "▸ low" in text
    assert "26/100" in text
    monkeypatch.setattr(progress, "EVERY_SECONDS", 0.0)
    lines = progress.Progress()
    steps = {"high": (0, 9), "low": (0, 9)}
    lines.begin(Course(folder=tmp_path, family="tiny", device="cpu", steps=steps, elsewhere=frozenset({"low"})))
    for name in ("high", "low", "high"):
        lines.step(_row(name, 3), 1.0, {})
    found = capsys.readouterr().err.splitlines()
    assert [line.split("  ")[0] for line in found] == ["high 3/9", "high 3/9", "low 3/9", "high 3/9", "low 3/9"]
    assert ["RAM" in line for line in found[-2:]] == [True, False]  # whose memory it is
