"""A run killed at random moments, five times and more, is the run that nobody disturbed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("seed", [1])
def test_killed_runs_end_as_an_undisturbed_one(toy, tmp_path, seed):
    script = Path(__file__).with_name("toy.py")
    process = subprocess.run(
        [sys.executable, str(script), "kill", str(tmp_path), str(seed)],
        env=toy.environment() | {"CUDA_VISIBLE_DEVICES": ""},  # CUDA cannot be used after a fork
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    statuses = json.loads(process.stdout)
    assert statuses.count(-9) >= 5
    assert statuses[-1] == 0

    dataset = toy.toy_dataset(tmp_path / "data")
    calm = toy.train_toy(tmp_path / "calm", dataset, changes=toy.KILL_CHANGES)
    killed = tmp_path / "runs" / "toy"
    for name, steps in (("high", 120), ("low", 80)):
        assert len(toy.rows(killed, name, "step")) == steps
        assert toy.rows(killed, name) == toy.rows(calm.folder, name)
        assert (killed / calm.loras[name].name).read_bytes() == calm.loras[name].read_bytes()
    left = {p.relative_to(killed).as_posix() for p in killed.rglob("*") if p.is_file()}
    assert left == {p.relative_to(calm.folder).as_posix() for p in calm.folder.rglob("*") if p.is_file()}
