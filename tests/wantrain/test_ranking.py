"""Which checkpoint is recommended, and why; what is kept on disk; and checkpoints on demand."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wantrain import checkpoint, ranking


def _row(step: int, losses: list[float], trained: float | None = None) -> dict:
    mean = sum(losses) / len(losses)
    return {"step": step, "loss": mean, "losses": losses, "trained": trained}


def _files(*steps: int) -> list[dict]:
    return [{"step": step, "file": f"loras/x_{step}.safetensors"} for step in steps]


def test_a_clear_best_is_recommended():
    held = [
        _row(0, [2.0, 3.0, 4.0]),
        _row(100, [1.5, 2.5, 3.5]),
        _row(200, [1.0, 2.0, 3.0]),
        _row(300, [1.2, 2.2, 3.2]),
    ]
    verdict = ranking.judge(_files(100, 200, 300), held)
    assert [row.step for row in verdict.rows] == [200, 300, 100]
    assert verdict.recommended.step == 200
    assert verdict.reason == "lowest held-out loss (2.0000, -33.3% against the base)"
    assert verdict.overfit_from is None


def test_among_equals_within_chance_the_earliest():
    """300 is lower on average by less than the questions scatter; the same difference without scatter counts."""
    scattered = [_row(0, [3.0] * 4), _row(100, [2.0, 2.0, 2.0, 2.0]), _row(300, [1.0, 2.9, 2.0, 2.0])]
    verdict = ranking.judge(_files(100, 300), scattered)
    assert (verdict.rows[0].step, verdict.recommended.step) == (300, 100)
    assert "standard error of the best, of step 300" in verdict.reason
    steady = [_row(0, [3.0] * 4), _row(100, [2.0, 2.0, 2.0, 2.0]), _row(300, [1.98, 1.97, 1.97, 1.98])]
    assert ranking.judge(_files(100, 300), steady).recommended.step == 300


def test_nothing_better_than_the_base_is_said_and_not_recommended():
    held = [_row(0, [2.0, 2.0], 2.0), _row(100, [2.1, 2.2], 1.5), _row(200, [2.3, 2.4], 1.0)]
    verdict = ranking.judge(_files(100, 200), held)
    assert verdict.recommended is None
    assert "only being memorised" in verdict.reason
    idle = [_row(0, [2.0, 2.0], 2.0), _row(100, [2.0, 2.0], 2.0)]
    assert "train longer" in ranking.judge(_files(100), idle).reason


def test_memorising_shows_as_a_gap():
    held = [_row(0, [2.0, 4.0], 2.0), _row(100, [1.5, 3.0], 1.5), _row(200, [1.6, 3.2], 1.0)]
    assert ranking.gaps(held) == pytest.approx({0: 0.0, 100: 0.0, 200: 0.3})
    found = ranking.overfitting(held)
    assert found.step == 100
    assert found.rise == pytest.approx(2.4 / 2.25 - 1)
    verdict = ranking.judge(_files(100, 200), held)
    assert verdict.overfit_from == 100
    assert "memorised from step 100 on: held-out loss 6.7% above its lowest" in verdict.reason
    assert "2% is the limit, Prechelt 1998" in verdict.reason
    assert {row.step: row.memorised for row in verdict.rows} == {100: False, 200: True}
    table = ranking.table_lines("high", verdict)
    assert ["!" in line for line in table[1:3]] == [False, True]
    both_rise = [*held[:2], _row(200, [1.6, 3.2], 1.6)]  # a bad lr, not memorising
    assert ranking.overfitting(both_rise) is None
    by_chance = [*held[:2], _row(200, [3.2, 1.6], 1.0)]  # one question up, one down: 2.4 on average too
    assert ranking.overfitting(by_chance) is None
    a_little = [*held[:2], _row(200, [1.52, 3.04], 1.0)]
    assert ranking.overfitting(a_little) is None
    assert ranking.overfitting(held[:1]) is None
    assert ranking.gaps([_row(0, [1.0])]) == {}


def test_without_held_out_samples_none_is_told_from_another():
    verdict = ranking.judge(_files(100, 200), [])
    assert verdict.recommended.step == 200
    assert "nothing was held out" in verdict.reason
    assert ranking.judge([], []).recommended is None


def test_only_the_same_questions_are_compared():
    """More, fewer, or as many but others: neither a crash nor a comparison, and the newest questions count."""
    old = [_row(0, [2.0, 2.0], 2.0) | {"questions": "a"}, _row(100, [0.5, 0.5], 1.0) | {"questions": "a"}]
    for losses in ([1.9], [1.9, 1.9], [1.9, 1.9, 1.9]):
        new = [_row(step, [loss - step / 1000 for loss in losses]) | {"questions": "b"} for step in (0, 200)]
        held = [*old, *new]
        assert [row["questions"] for row in ranking.comparable(held)] == ["b", "b"]
        verdict = ranking.judge(_files(100, 200), held)
        assert verdict.recommended.step == 200
        assert verdict.recommended.change == pytest.approx(-0.2 / 1.9)
        assert verdict.rows[1].loss is None
        assert verdict.reason.endswith("of step 100 only answers to other questions are known: not compared")
        assert ranking.overfitting(held) is None
    unasked = ranking.judge(_files(100), [*old, new[0]])
    assert (unasked.recommended.step, unasked.rows[0].loss) == (100, None)
    assert "none has answered the present held-out questions" in unasked.reason
    both = [_row(0, [2.0], 2.0) | {"trained_questions": "t"}, _row(100, [1.5], 1.0) | {"trained_questions": "u"}]
    assert ranking.gaps(both) == {}  # other trained-on samples: no gap, but still a ranking
    assert ranking.judge(_files(100), both).recommended.step == 100


def test_no_change_against_the_base_is_not_recommended():
    idle = [_row(0, [2.0, 2.0]), _row(100, [1.99995, 1.99994])]
    verdict = ranking.judge(_files(100), idle)
    assert verdict.recommended is None
    assert "nothing to speak of was learned" in verdict.reason
    little = [_row(0, [2.0, 2.0]), _row(100, [1.99, 1.991])]
    assert ranking.judge(_files(100), little).recommended.step == 100


def test_the_best_of_each_questions_are_kept():
    listed = [
        {"step": s, "file": f"{s}", "loss": loss, "asked": False, "questions": q}
        for s, loss, q in ((10, 9.0, "a"), (20, 8.0, "a"), (30, 2.0, "b"), (40, 1.0, "b"), (50, 3.0, "b"))
    ]
    assert [c["step"] for c in checkpoint.pruned(listed, keep=1, keep_best=1)] == [20, 40, 50]


def test_last_k_and_best_k_are_kept():
    listed = [
        {"step": s, "file": f"{s}", "loss": loss, "asked": s == 30}
        for s, loss in ((10, 1.0), (20, 3.0), (30, 9.0), (40, 2.0), (50, 4.0), (60, 5.0))
    ]
    assert [c["step"] for c in checkpoint.pruned(listed, keep=2, keep_best=1)] == [10, 30, 50, 60]
    assert [c["step"] for c in checkpoint.pruned(listed, keep=0, keep_best=0)] == [30]
    assert [c["step"] for c in checkpoint.pruned(listed, keep=9, keep_best=9)] == [10, 20, 30, 40, 50, 60]
    unmeasured = [c | {"loss": None} for c in listed]
    assert [c["step"] for c in checkpoint.pruned(unmeasured, keep=1, keep_best=3)] == [30, 60]


def test_the_best_stays_on_disk(toy, tmp_path):
    """Every sample has something of its own to learn, so training memorises: the best LoRA is an early one."""
    data = toy.toy_dataset(tmp_path / "data", groups=5, per_group=2, captions=10)
    changes = {
        "high": {"steps": 150, "rank": 8, "lr": 1e-2}, "experts": {"stages": ["high"]},
        "save": {"every": 25, "keep": 1, "keep_best": 1},
    }  # fmt: skip
    result = toy.train_toy(tmp_path / "runs", data, changes=changes)
    held = {row["step"]: row["loss"] for row in toy.rows(result.folder, "high", "held_out")}
    best = min(range(25, 150, 25), key=held.get)
    assert best < 125
    kept = sorted(int(p.name.split("_")[1]) for p in (result.folder / "loras").iterdir())
    assert kept == [best, 125]
    assert result.verdicts["high"].rows[0].step == best
    assert all((result.folder / row.file).is_file() for row in result.verdicts["high"].rows)


def test_a_checkpoint_is_made_when_the_file_appears(toy, dataset, finished, tmp_path):
    folder = tmp_path / "toy"
    asked = []

    def save_now() -> bool:
        rows = toy.rows(folder, "high", "step")
        if len(rows) == 2 and not asked:
            asked.append((folder / checkpoint.SAVE_NOW).touch())
        return len(rows) == 7 and len(asked) == 1 and not asked.append(None)

    result = toy.train_toy(tmp_path, dataset, save_now=save_now)
    assert not (folder / checkpoint.SAVE_NOW).exists()
    names = sorted(p.name for p in (folder / "loras").glob("*high*"))
    assert names == [f"toy_{step:06d}_high_noise.safetensors" for step in (2, 4, 7, 8)]  # keep = 2: 4 and 8
    for name in ("high", "low"):
        assert result.loras[name].read_bytes() == finished.loras[name].read_bytes()


def test_sigusr1_makes_a_checkpoint_and_training_goes_on(toy, tmp_path):
    settings = [
        "family=tiny", "run.name=toy", "run.deterministic=true", "run.checkpointing=false", "high.steps=4000",
        "experts.stages=['high']", "validation.share=0", "save.every=100000",
    ]  # fmt: skip
    script = [sys.executable, str(Path(__file__).with_name("toy.py")), "cli", str(tmp_path), "run", "-q"]
    options = [part for setting in settings for part in ("--set", setting)]
    command = [*script, "--out", str(tmp_path / "runs"), *options]
    process = subprocess.Popen(command, env=toy.environment(), stderr=subprocess.PIPE, text=True)
    folder = tmp_path / "runs" / "toy"

    def wait(condition) -> None:
        deadline = time.monotonic() + 300
        while not condition():
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def steps() -> int:
        return len(toy.rows(folder, "high", "step")) if (folder / "metrics.jsonl").exists() else 0

    try:
        wait(lambda: steps() > 3)
        process.send_signal(signal.SIGUSR1)
        wait(lambda: list((folder / "loras").glob("toy_*_high_noise.safetensors")))
        reached = steps()
        wait(lambda: steps() > reached)
    finally:
        process.kill()
        process.communicate(timeout=30)
