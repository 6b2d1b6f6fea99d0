import re
from pathlib import Path

import pytest

from wanprep.config import from_table
from wanprep.stage import UsageError
from wantrain.config import TrainConfig, load_config, what_matters

PIPELINES = Path(__file__).parents[2] / "pipelines"


def test_the_default_preset_says_what_the_code_does():
    """Every value in the commented preset is the code's default, and every knob is shown."""
    preset = load_config(PIPELINES / "train-default.toml", [], {})
    assert preset == TrainConfig()
    text = (PIPELINES / "train-default.toml").read_text()
    for section in ("run", "experts", "high", "low", "sampling", "validation", "save"):
        body = text.split(f"\n[{section}]", 1)[1].split("\n[", 1)[0]
        for knob in type(getattr(TrainConfig(), section)).__dataclass_fields__:
            assert re.search(rf"^#? ?{knob} = ", body, re.M), f"[{section}] {knob} is not in the preset"


def test_the_tiny_preset_loads():
    config = load_config(PIPELINES / "train-tiny.toml", [], {})
    assert (config.family, config.stages) == ("tiny", ("high", "low"))


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (["high.learning_rte=1"], "high.learning_rte"),
        (["high.stepz=1"], "did you mean 'steps'"),
        (["high.steps=0"], "steps = 0"),
        (["high.lr=7"], "lr = 7"),
        (["caption_dropout=1.5"], "caption_dropout"),
        (["run.name=../x"], "plain file name"),
        (["family=wan2.2-i2v-a14b"], "text-to-video"),
        (["family=tiny", "experts.stages=['single']"], "has high, low"),
        (["family=wan2.2-ti2v-5b", "high.lr=1e-4"], "no such expert"),
        (["experts.stages=['high', 'high']"], "twice"),
        (["family=wan2.2-t2v-a14"], "did you mean 'wan2.2-t2v-a14b'"),
    ],
)
def test_wrong_settings_are_usage_errors_that_say_which(assignments, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        load_config(None, assignments, {})


def test_precedence(tmp_path):
    file = tmp_path / "t.toml"
    file.write_text("[high]\nlr = 1e-3\nrank = 4\nsteps = 5\n")
    config = load_config(file, ["high.lr=3e-3"], {"WANTRAIN_HIGH__LR": "2e-3", "WANTRAIN_HIGH__RANK": "8"})
    assert (config.high.lr, config.high.rank, config.high.steps) == (3e-3, 8, 5)
    assert config.low == TrainConfig().low


def test_stages_and_shift_come_from_the_family():
    assert from_table(TrainConfig, {"family": "wan2.2-ti2v-5b"}).stages == ("single",)
    assert TrainConfig().shift == 12
    assert from_table(TrainConfig, {"sampling": {"shift": 3}}).shift == 3


def test_what_matters_leaves_out_places_and_the_other_expert():
    base = what_matters(TrainConfig(), "high", "f")
    for change in (
        {"run": {"out": "/elsewhere", "device": "cpu"}}, {"weights": "/models/x"}, {"low": {"lr": 1e-5}},
        {"save": {"every": 7}}, {"experts": {"switch_every": 3}}, {"dataset": "/data/y"},
    ):  # fmt: skip
        assert what_matters(from_table(TrainConfig, change), "high", "f") == base
    for change in ({"high": {"lr": 1e-5}}, {"run": {"seed": 1}}, {"sampling": {"shift": 5}}, {"caption_dropout": 0}):
        assert what_matters(from_table(TrainConfig, change), "high", "f") != base
    assert what_matters(TrainConfig(), "high", "g") != base
