import re
from dataclasses import is_dataclass
from pathlib import Path

import pytest

from wanprep.config import from_table
from wanprep.stage import UsageError
from wantrain.config import TrainConfig, load_config, settled, what_matters

PIPELINES = Path(__file__).parents[2] / "pipelines"


def test_the_default_preset_says_what_the_code_does():
    """Every value in the commented preset is the code's default, and every knob is shown."""
    preset = load_config(PIPELINES / "train-default.toml", [], {})
    assert preset == TrainConfig()
    text = (PIPELINES / "train-default.toml").read_text()
    for section in tuple(type(TrainConfig()).__dataclass_fields__):
        if section == "single" or not is_dataclass(getattr(TrainConfig(), section)):
            continue
        body = text.split(f"\n[{section}]", 1)[1].split("\n[", 1)[0]
        for knob in type(getattr(TrainConfig(), section)).__dataclass_fields__:
            assert re.search(rf"^#? ?{knob} = ", body, re.M), f"[{section}] {knob} is not in the preset"


def test_prompts_are_looked_for_beside_the_file_that_names_them(tmp_path, monkeypatch):
    from wantrain.preview_setup import check

    (tmp_path / "cfg").mkdir()
    monkeypatch.chdir(tmp_path)
    path = Path("cfg/train.toml")
    path.write_text('family = "tiny"\n[previews]\nprompts = "p.toml"\n')
    config = load_config(path, [], {})
    with pytest.raises(UsageError, match=rf"p\.toml is not there: neither beside .* nor in {re.escape(str(tmp_path))}"):
        check(config)
    text = '[[prompt]]\nprompt = "a"\nwidth = 32\nheight = 32\nframes = 5\n'
    Path("p.toml").write_text(text + "seed = 1\n")
    assert check(load_config(path, [], {}))[0].seed == 1  # where the command is run
    Path("cfg/p.toml").write_text(text + "seed = 2\n")
    assert check(load_config(path, [], {}))[0].seed == 2
    assert check(load_config(path, ["previews.prompts=p.toml"], {}))[0].seed == 1  # typed: as a shell means it
    assert check(load_config(path, [], {"WANTRAIN_PREVIEWS__PROMPTS": "p.toml"}))[0].seed == 1


def test_the_tiny_preset_loads():
    config = load_config(PIPELINES / "train-tiny.toml", [], {})
    assert (config.family, config.stages) == ("tiny", ("high", "low"))


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (["high.learning_rte=1"], "high.learning_rte"),
        (["high.stepz=1"], "did you mean 'high.steps'"),
        (["high.steps=0"], "steps = 0"),
        (["high.lr=7"], "lr = 7"),
        (["caption_dropout=1.5"], "caption_dropout"),
        (["run.name=../x"], "plain file name"),
        (["run.device=cdua"], 'device = \'cdua\' must be "auto", "cpu", "cuda" or "cuda:1"'),
        (["run.device=gpu"], "device = 'gpu'"),
        (["run.device=mps"], "device = 'mps'"),
        (["previews.device=cuda:x"], "device = 'cuda:x'"),
        (["compute.stream=banana"], "compute.stream must be int or \"auto\", got 'banana'"),
        (["experts.high_share=all"], "experts.high_share must be float or \"natural\", got 'all'"),
        (["experts.stages=high"], "experts.stages must be a list, as [\"high\"], got 'high'"),
        (["first_frame=0.5"], "is for ti2v families"),
        (["high.warmup=0.05"], "high.warmup"),
        (["high.targets='('"], "not a regular expression"),
        (["high.ranks={ffn=0}"], "ranks: 'ffn' = 0"),
        (["sampling.method=linear", "sampling.shift=3"], "shift means nothing to method = 'linear'"),
        (["sampling.method=logit_normal", "sampling.mean=-9", "sampling.std=0.1"], "draws almost no sigma"),
        (["experts.total_steps=100", "high.steps=5"], "both say how long high trains"),
        (["high.epochs=3", "high.steps=5"], "both say how long high trains"),
        (["experts.total_steps=100", "experts.stages=['high']"], "both must be trained"),
        (["experts.high_share=1.5", "experts.total_steps=100"], "high_share = 1.5"),
        (["loss.views={look=0}"], "views: look"),
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


def test_a_wrong_value_is_told_with_the_place_it_came_from(tmp_path):
    file = tmp_path / "t.toml"
    file.write_text("[high]\nlr = 'fast'\n")
    for assignments, environment, origin in (
        ([], {}, str(file)),
        (["high.lr=1e-4", "low.rank=x"], {}, "--set low.rank=x"),
        (["high.lr=1e-4"], {"WANTRAIN_LOW__RANK": "x"}, "the variable WANTRAIN_LOW__RANK"),
    ):
        with pytest.raises(UsageError) as told:
            load_config(file, assignments, environment)
        assert str(told.value).endswith(f"it comes from {origin}")


def test_a_mistyped_variable_is_refused():
    with pytest.raises(UsageError, match="did you mean 'WANTRAIN_HIGH__LR'"):
        load_config(None, [], {"WANTRAIN_HIHG__LR": "1e-4"})


def test_stages_and_shift_come_from_the_family():
    assert from_table(TrainConfig, {"family": "wan2.2-ti2v-5b"}).stages == ("single",)
    assert TrainConfig().sigmas("high").shift == 12
    assert from_table(TrainConfig, {"sampling": {"shift": 3}}).sigmas("low").shift == 3


def test_what_matters_leaves_out_places_and_the_other_expert():
    data = {"dataset": "f", "base": "w"}
    base = what_matters(TrainConfig(), "high", data)
    for change in (
        {"run": {"out": "/elsewhere", "device": "cpu"}}, {"weights": "/models/x"}, {"low": {"lr": 1e-5}},
        {"save": {"every": 7}}, {"experts": {"switch_every": 3, "schedule": "sequential"}}, {"dataset": "/data/y"},
        {"high": {"init": "/loras/x.safetensors"}}, {"goal": "style"}, {"validation": {"every": 5, "trained": 0}},
    ):  # fmt: skip
        assert what_matters(from_table(TrainConfig, change), "high", data) == base
    for change in (
        {"high": {"lr": 1e-5}}, {"run": {"seed": 1}}, {"sampling": {"shift": 5}}, {"caption_dropout": 0},
        {"sampling": {"bias": 1}}, {"sampling": {"window": 1}}, {"loss": {"preservation": 1}}, {"high": {"ema": 0.9}},
        {"high": {"optimizer_args": {"eps": 1e-6}}}, {"high": {"ranks": {"ffn": 8}}}, {"loss": {"views": {"a": 2}}},
        {"regularisation": {"dataset": "x"}}, {"high": {"batch_size": 2}},
    ):  # fmt: skip
        assert what_matters(from_table(TrainConfig, change), "high", data) != base, change
    assert what_matters(TrainConfig(), "high", data | {"base": "v"}) != base


def test_total_steps_are_shared_and_epochs_become_steps():
    def steps(**table) -> tuple[int, int]:
        config = settled(from_table(TrainConfig, table), {(64, 64, 5): 21, (64, 32, 5): 9})
        return config.high.steps, config.low.steps

    assert steps(experts={"total_steps": 1000}) == (500, 500)
    assert steps(experts={"total_steps": 1000, "high_share": 0.3}) == (300, 700)
    natural = {"total_steps": 1000, "high_share": "natural"}
    assert steps(experts=natural, sampling={"shift": 5}) == (417, 583)
    assert steps(experts=natural, sampling={"method": "sigmoid"}) == (26, 974)
    assert steps(high={"epochs": 2}, low={"epochs": 0.5, "accumulate": 4}) == (60, 4)
    assert steps(high={"epochs": 2, "batch_size": 4}, low={"epochs": 1, "batch_size": 4, "accumulate": 5}) == (18, 2)
    assert steps(high={"steps": 7}) == (7, 2000)


STEPS = "[high]\nsteps = 500\n[low]\nsteps = 600\n"


@pytest.mark.parametrize(
    ("file", "environment", "sets", "high", "low", "total"),
    [
        (STEPS, {}, ["high.epochs=15"], (2000, 15), (600, None), None),
        (STEPS, {}, ["high.epochs=15", "low.epochs=3"], (2000, 15), (2000, 3), None),
        (STEPS, {}, ["experts.total_steps=900"], (2000, None), (2000, None), 900),
        (STEPS, {"WANTRAIN_HIGH__EPOCHS": "4"}, [], (2000, 4), (600, None), None),
        (STEPS, {"WANTRAIN_HIGH__EPOCHS": "4"}, ["high.steps=7"], (7, None), (600, None), None),
        ("[experts]\ntotal_steps = 900\n", {}, ["high.steps=7", "low.epochs=2"], (7, None), (2000, 2), None),
        ("[high]\nepochs = 3\n", {}, ["high.steps=9"], (9, None), (2000, None), None),
        (STEPS, {}, ["high.lr=1e-5"], (500, None), (600, None), None),
    ],
)
def test_a_stronger_place_says_how_long_in_its_own_way(tmp_path, file, environment, sets, high, low, total):
    (tmp_path / "t.toml").write_text(file)
    config = load_config(tmp_path / "t.toml", sets, environment)
    assert [(own.steps, own.epochs) for own in (config.high, config.low)] == [high, low]
    assert config.experts.total_steps == total


def test_two_lengths_of_one_place_are_refused_and_named(tmp_path):
    path = tmp_path / "t.toml"
    path.write_text(STEPS + "epochs = 3\n")
    with pytest.raises(UsageError, match=r"low\.steps \(from .*t\.toml\) and low\.epochs \(from .*t\.toml\) both say"):
        load_config(path, [], {})
    with pytest.raises(
        UsageError, match=r"high\.epochs \(from --set high\.epochs=1\) both say how long high trains; keep"
    ):
        load_config(None, ["high.steps=3", "high.epochs=1"], {})
    path.write_text("[experts]\ntotal_steps = 900\n")
    # What low would do then nobody said.
    with pytest.raises(
        UsageError, match=r"experts\.total_steps \(from .*t\.toml\) and high\.epochs .* both experts' lengths"
    ):
        load_config(path, ["high.epochs=3"], {})


@pytest.mark.parametrize("text", ["2026-11-21", "2026", "true", "nan", "1.5", "12"])
def test_a_name_is_text_whatever_it_looks_like(text):
    assert load_config(None, [f"run.name={text}"], {}).run.name == text
    assert load_config(None, [], {"WANTRAIN_RUN__NAME": text}).run.name == text
    assert load_config(None, [f'run.name="{text}"'], {}).run.name == text
    assert load_config(None, [f"high.init={text}"], {}).high.init == text
    with pytest.raises(UsageError, match=r"run\.seed must be int"):  # numbers stay numbers
        load_config(None, ["run.seed=2026-11-21"], {})
    assert load_config(None, ["high.warmup=7", "run.seed=2026"], {}).run.seed == 2026
    with pytest.raises(UsageError, match="must be str, got"):
        load_config(None, ["run.name=[1]"], {})


def test_a_fault_of_no_section_names_no_class():
    with pytest.raises(UsageError, match=r"^previews\.every = 3 must be a multiple of save\.every = 2"):
        load_config(None, ["previews.prompts=p.toml", "previews.every=3", "save.every=2"], {})
    with pytest.raises(UsageError, match=r"^\[high\] rank = 0"):
        load_config(None, ["high.rank=0"], {})
