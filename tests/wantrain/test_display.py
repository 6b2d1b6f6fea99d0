"""What people see of a run: right numbers, in 80 columns; TensorBoard; and mirrored copies held out together."""

import io
import json
import sys
import types
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from wantrain.board import Board
from wantrain.data import hold_out
from wantrain.display import Display, panel
from wantrain.observe import Course, Observer, Observers
from wantrain.pace import Pace, Smooth, clock
from wantrain.progress import Progress, shown, step_line
from wantrain.svg import smoothed


def _row(expert: str, step: int, loss: float = 0.5) -> dict:
    return {"expert": expert, "step": step, "loss": loss, "lr": 1e-4, "grad_norm": 1.0}


def _held(expert: str, step: int, loss: float, trained: float) -> dict:
    return {
        "expert": expert, "step": step, "loss": loss, "losses": [loss * 0.9, loss * 1.1], "trained": trained,
        "zero": 1.2, "bands": [[0.9, loss, 1.2]],
    }  # fmt: skip


def _pace() -> Pace:
    pace = Pace({"high": (0, 2000), "low": (0, 2000)}, now=0.0)
    for expert, loss in (("high", 0.1), ("low", 0.2)):
        pace.held_out(_held(expert, 0, loss, loss))
    for step in range(1, 501):
        pace.step(_row("high", step), 4.0, {"latents": 0.3, "texts": 0.1})
        pace.step(_row("low", step), 2.0, {"latents": 0.2})
    pace.held_out(_held("low", 250, 0.17, 0.17))
    pace.held_out(_held("low", 500, 0.19, 0.15))
    pace.saved({"expert": "low", "step": 500, "loss": 0.19})
    return pace


def test_numbers_of_a_run():
    pace = _pace()
    assert pace.step_seconds == pytest.approx(3.0)
    share, kind = pace.waiting()
    assert (round(share, 3), kind) == (0.1, "latents")
    assert pace.left(3000.0) == pytest.approx(1500 * 4 + 1500 * 2)
    assert pace.left(6000.0) == pytest.approx(2 * 9000)  # half of the time went into something else
    low = pace.experts["low"]
    assert (low.change, low.gap) == (pytest.approx(-0.05), pytest.approx(0.95 - 0.75))
    assert low.overfit.step == 250
    assert pace.experts["high"].overfit is None
    assert Pace({"high": (0, 9)}, now=0.0).left(5.0) is None
    assert clock(4 * 3600 + 65.7) == "4:01:05"
    mean = Smooth()
    points = [(step, float(step % 7)) for step in range(40)]
    for _, value in points:
        mean.feed(value)
    assert mean.value == pytest.approx(smoothed(points)[-1][1])  # the display and the report say the same


def test_time_left_is_not_told_before_it_can_be_known():
    pace, now = Pace({"high": (0, 100), "low": (0, 100)}, now=0.0), 60.0  # a minute of loading
    for step, seconds in enumerate((9.0, 1.0, 1.0, 1.0), start=1):
        now += seconds
        pace.step(_row("high", step), seconds, {}, now)
        assert (pace.left(now) is None) == (step < 3)
        assert ("left" in step_line(pace, "high", "cpu", now)) == (step >= 3)
    assert pace.left(now) == 96 + 100  # of low, which had no turn yet, too
    now += 12.0  # a measurement: as long as all steps until now
    assert pace.left(now) == 2 * 196


def test_the_first_slow_step_counts_no_more_once_it_is_old():
    pace, now = Pace({"high": (0, 1000)}, now=0.0), 0.0
    times = [9.0, *([1.0, 1.0, 4.0] * 40)]  # two buckets: the mean is 2, the median 1
    for step, seconds in enumerate(times, start=1):
        now += seconds
        pace.step(_row("high", step), seconds, {}, now)
    assert pace.experts["high"].usual_seconds == pytest.approx(2.0, rel=0.02)
    assert pace.left(now) == pytest.approx((1000 - 121) * 2, rel=0.02)


def test_the_panel_fits_80_columns_and_says_everything():
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    title, busy = "style · wan2.2-t2v-a14b · cuda", ["preview of high 250: 2:10"]
    console.print(panel(_pace(), title=title, memory="VRAM 21.3 of 24.0 GB", busy=busy, now=3000.0))
    lines = console.export_text().splitlines()
    text = "\n".join(lines)
    assert max(map(len, lines)) <= 80
    for part in (
        "2:30:00 left", "500/2000", "0.5000", "0.1900", "-5.0%", "+20.0%", "1.0e-04", "3.00 s/step",
        "data 10% (latents)", "VRAM 21.3 of 24.0 GB", "saved low 500 (0.1900)", "preview of high 250: 2:10", "▸ low",
        "low: memorising, held-out loss 11.8% above step 250",
    ):  # fmt: skip
        assert part in text, text


def test_when_all_steps_are_done_no_time_is_told():
    console = Console(width=80, record=True, file=io.StringIO())
    pace = _pace()
    for own in pace.experts.values():
        own.done = own.total
    console.print(panel(pace, title="style", memory="", busy=["preview of low 2000: 2:10"], now=3000.0))
    text = console.export_text()
    assert "finishing" in text
    assert " left" not in text


@pytest.mark.parametrize("width", [40, 50, 63, 64, 80])
def test_a_narrow_terminal_still_shows_the_steps(width):
    console = Console(width=width, record=True, file=io.StringIO())
    display = Display(console)
    display._pace = _pace()
    console.print(display._draw())
    text = console.export_text()
    for part in ("▸ low", "500/2000", "0.5000", "0.1900"):
        assert part in text, text
    assert ("-5.0%" in text) == (width >= 64)


def test_the_live_display_changes_nothing(toy, dataset, finished, tmp_path):
    console = Console(width=80, force_terminal=True, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    result = toy.train_toy(tmp_path, dataset, observers=[Display(console)])
    for name in ("high", "low"):
        assert result.loras[name].read_bytes() == finished.loras[name].read_bytes()
    text = console.export_text()
    assert "12/12" in text
    assert "high 12/12  held-out loss" in text
    steps = [json.loads(line) for line in (result.folder / "metrics.jsonl").read_text().splitlines()]
    assert any("latents" in row["volatile"].get("waits", {}) for row in steps)


def test_off_a_terminal_there_are_plain_lines(capsys, monkeypatch):
    assert isinstance(shown(1), Progress)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert isinstance(shown(1), Display)
    assert isinstance(shown(2), Progress)
    line = step_line(_pace(), "low", "cpu", 3000.0)
    for part in ("low 500/2000", "loss 0.5000", "2.00 s/step", "10% waiting for latents", "2:30:00 left"):
        assert part in line
    quiet = Progress(0)
    quiet.say("a note")
    quiet.say("a problem", problem=True)
    assert capsys.readouterr().err == "a problem\n"


class _Writer:
    made: dict = {}

    def __init__(self, folder, purge_step, flush_secs):
        self.rows, self.purge = [], purge_step
        _Writer.made[Path(folder).name] = self

    def add_scalar(self, name, value, step):
        self.rows.append((name, value, step))

    def close(self):
        self.rows.append("closed")


def test_tensorboard_gets_the_numbers_and_its_absence_a_note(tmp_path, monkeypatch):
    class Ear(Observer):
        heard: list = []

        def say(self, text, *, problem=False):
            self.heard.append(text)

    module = types.ModuleType("torch.utils.tensorboard")
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    course = Course(folder=tmp_path, family="tiny", device="cpu", steps={"high": (5, 9)})
    without = Observers([Ear(), Board()])
    without.begin(course)
    without.step(_row("high", 6), 1.0, {})
    assert "pip install tensorboard" in Ear.heard[0]
    module.SummaryWriter = _Writer
    watch = Observers([Board()])
    watch.begin(course)
    watch.step(_row("high", 6), 1.5, {"latents": 0.25})
    watch.held_out(_held("high", 6, 0.4, 0.3))
    watch.end(wait=True)
    writer = _Writer.made["high"]
    assert writer.purge == 6
    assert ("train/loss", 0.5, 6) in writer.rows
    assert ("train/seconds_reading", 0.25, 6) in writer.rows
    assert ("held_out_by_sigma/0.900", 0.4, 6) in writer.rows
    assert writer.rows[-1] == "closed"


@pytest.mark.parametrize("case", ["groups", "one movie"])
def test_mirrored_copies_stand_on_their_originals_side(dataset, case):
    one = {"group": "g", "source_id": "s"} if case == "one movie" else {}
    plain = [replace(s, start_s=float(i), **one) for i, s in enumerate(dataset.samples)]
    both = [copy for s in plain for copy in (s, replace(s, sample_id=f"{s.sample_id}-mirrored"))]
    training, held = hold_out(both, 0.2)
    assert held
    sides = {number: {both[i].clip_id for i in side} for number, side in enumerate((training, held))}
    assert not sides[0] & sides[1]
    assert len(held) % 2 == 0
