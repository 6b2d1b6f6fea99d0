"""`make train` is `wantrain run` with what was said to make."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize(
    ("given", "arguments"),
    [
        ([], 'pipelines/train-default.toml --dataset "dataset"'),
        (["FAMILY=tiny", "OUT=x"], 'pipelines/train-tiny.toml --dataset "x" --set family=tiny'),
        (["FAMILY=wan2.1-t2v-14b"], '--dataset "dataset" --set family=wan2.1-t2v-14b'),  # one expert: no [high]
        (["FAMILY=tiny", "CONFIG=mine.toml"], 'mine.toml --dataset "dataset" --set family=tiny'),
    ],
)
def test_make_train_passes_the_family_on(given, arguments):
    # Under `make test` another make's flags and variables are in the environment.
    own = {
        name: value
        for name, value in os.environ.items()
        if "MAKE" not in name and name not in ("MFLAGS", "FAMILY", "CONFIG", "OUT")
    }
    command = ["make", "-n", "--no-print-directory", "train", *given]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=own).stdout
    assert said.splitlines()[-1].split() == [".venv/bin/wantrain", "run", *arguments.split()]
