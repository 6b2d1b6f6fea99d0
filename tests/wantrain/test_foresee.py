"""`plan` and `--dry-run` say what `run` would refuse, with its exit code; and plan before anything is cached."""

import json
import re
import sys
import types
from dataclasses import replace

import pytest
from click.testing import CliRunner

from wanprep.cached import CachedDataset, Example
from wanprep.families import FAMILIES, family
from wanprep.stage import UsageError
from wantrain import lora
from wantrain.cli import main
from wantrain.uncached import Uncached, open_uncached

SETTINGS = [
    "family=tiny", "run.name=toy", "run.deterministic=true", "run.checkpointing=false", "high.steps=2", "low.steps=2",
    "high.rank=4", "low.rank=4", "validation.share=0.2",
]  # fmt: skip


def _sets(*settings):
    return [part for setting in (*SETTINGS, *settings) for part in ("--set", setting)]


@pytest.fixture
def bare(dataset):
    """The toy's dataset, without class texts."""
    samples = [replace(sample, class_path="", class_digest="") for sample in dataset.samples]
    return CachedDataset(dataset.root, dataset.family, samples, dataset.empty_text)


@pytest.fixture
def invoke(bare, monkeypatch):
    def open_cached(path):
        if path.name == "nope":
            raise UsageError("nope is not a dataset")
        return bare

    module = types.ModuleType("wanprep.dataset")
    module.open_cached = open_cached  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wanprep.dataset", module)
    return lambda *arguments: CliRunner().invoke(main, [*map(str, arguments)])


REFUSED = [
    ("high.optimizer=Foo", 2, "high.optimizer = 'Foo' is neither"),
    ("high.optimizer=torch.optim.Nope", 2, "high.optimizer = 'torch.optim.Nope': torch.optim has no class 'Nope'"),
    ("high.optimizer=no_such_package.Lion", 3, "high.optimizer = 'no_such_package.Lion' needs the module"),
    (
        "high.optimizer=torch.optim.LBFGS",
        2,
        "high.optimizer = 'torch.optim.LBFGS' computes the loss several times a step",
    ),
    ("low.optimizer=torch.optim.SparseAdam", 2, "low.optimizer = 'torch.optim.SparseAdam' fails at its first step"),
    ("low.optimizer_args={beta=1}", 2, "low.optimizer_args: AdamW has no argument 'beta'"),
    ("high.targets=nothing", 2, "high.targets = 'nothing' is found in no layer; layers are called blocks.N.{self_attn"),
    ("high.targets='blocks\\.2\\.'", 2, "N from 0 to 1"),
    ("low.ranks={foo=3}", 2, "low.ranks: 'foo' is found in no layer"),
    ("high.init=nope.safetensors", 2, "high.init: nope.safetensors is not there"),
    ("regularisation.dataset=nope", 2, "regularisation.dataset: nope is not a dataset"),
    ("loss.views={stills=0.5}", 2, "the dataset has no view 'stills'"),
    ("loss.preservation=1", 2, "loss.preservation needs captions with the class word"),
    ("run.device=cuda", 3, "there is no CUDA device"),
    ("weights=/nowhere", 3, "/nowhere"),
]


@pytest.mark.parametrize(("setting", "code", "message"), REFUSED)
def test_plan_refuses_what_run_refuses(invoke, tmp_path, monkeypatch, setting, code, message):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    sets = _sets(f"run.out={tmp_path}", setting)
    for command in (["plan"], ["run", "--dry-run"], ["run"]):
        result = invoke(*command, *sets)
        assert result.exit_code == code, (command, result.output)
        assert message in result.stderr
        assert ("sigma of high" in result.stdout) == (command != ["run"])  # the plan itself is there, too
    assert message in json.loads(invoke("plan", *sets, "--json").stdout)["refused"][0]
    assert not (tmp_path / "toy").exists()


def test_a_plan_that_run_would_follow_refuses_nothing(invoke):
    result = invoke("plan", *_sets(), "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["refused"] == []


def test_a_lora_to_begin_with_must_fit_and_its_expert_is_told(invoke, plain, tmp_path):
    fits = ["high.ranks={ffn=3}", "high.alpha=10"]
    result = invoke("plan", *_sets(f"high.init={plain}", *fits))
    assert (result.exit_code, "warning" in result.stdout) == (0, False)
    result = invoke("plan", *_sets(f"high.init={plain}"))
    assert result.exit_code == 2
    assert "high.init" in result.stderr
    assert "has rank 3 there and 4 in this run (4 layers differ)" in result.stderr
    mixed = _sets(f"low.init={plain}", "low.ranks={ffn=3}", f"run.out={tmp_path}")
    said = f"warning: {plain} was made for the expert 'high', its metadata says, and is used for 'low' here"
    assert said in invoke("plan", *mixed).stdout
    result = invoke("run", *mixed)
    assert result.exit_code == 0
    assert said in result.stderr


def test_changed_settings_of_a_run_that_is_there_are_told(invoke, tmp_path):
    out = f"run.out={tmp_path}"
    result = invoke("plan", "--set", "family=tiny", "--set", out)
    assert result.exit_code == 0
    assert invoke("run", "--dry-run", "--resume", *_sets(out)).exit_code == 2
    assert invoke("run", *_sets(out), "-q").exit_code == 0
    before = {path: path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file()}
    assert invoke("plan", *_sets(out)).exit_code == 0
    for command in (["plan"], ["run", "--dry-run"], ["run", "--dry-run", "--resume"], ["run"]):
        result = invoke(*command, *_sets(out, "high.lr=0.9"))
        assert result.exit_code == 2
        assert "was begun with other settings" in result.stderr
        assert "high.lr: 0.0001 -> 0.9" in result.stderr
    for more in ("--accept-changes", "--fresh"):
        assert invoke("run", "--dry-run", more, *_sets(out, "high.lr=0.9")).exit_code == 0
    assert before == {path: path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file()}


MISFITS = [
    ("low.rank=6", "low.rank: 4 -> 6): its adapter keeps the shape", "own (--set run.name=...)"),
    ("high.ranks={ffn=3}", "high.ranks: {} -> {'ffn': 3}): its adapter", "own (--set run.name=...)"),
    ("high.targets=ffn", "high.targets: '' -> 'ffn'): its adapter", "own (--set run.name=...)"),
    (
        "high.optimizer=torch.optim.Adagrad",
        "its optimizer cannot use what AdamW remembers",
        "of step 2 (--set run.name=",
    ),
    (
        "high.optimizer=torch.optim.RMSprop",
        "its optimizer cannot use what AdamW remembers",
        "of step 2 (--set run.name=",
    ),
    (
        "high.optimizer_args={amsgrad=true}",
        "high.optimizer_args: {} -> {'amsgrad': True})",
        "of step 2 (--set run.name=",
    ),
]


@pytest.fixture
def stopped(invoke, tmp_path):
    """Settings of a run of 2 of 4 steps: its folder is there."""
    first = _sets(f"run.out={tmp_path}", "save.every=2")
    assert invoke("run", *first, "-q").exit_code == 0
    return [f"run.out={tmp_path}", "save.every=2", "high.steps=4", "low.steps=4"]


def test_a_plan_says_from_where_the_run_goes_on_or_that_it_is_complete(invoke, tmp_path, stopped):
    commands = (["plan"], ["run", "--dry-run"], ["run", "--dry-run", "--accept-changes"])
    for command in commands:
        result = invoke(*command, *_sets(*stopped[:2]))
        assert result.exit_code == 0
        assert f"{tmp_path / 'toy'} is complete; nothing is left to do" in result.stdout
    longer = _sets(*stopped)
    assert json.loads(invoke("plan", *longer, "--json").stdout)["standing"] == []  # refused: more steps need consent
    found = invoke("run", "--dry-run", "--accept-changes", *longer, "--json")
    assert json.loads(found.stdout)["standing"] == [f"{name} goes on after step 2 of 4" for name in ("high", "low")]
    told = invoke("run", "--accept-changes", *longer, "-v").stderr
    assert "high goes on after step 2 of 4" in told  # what the run itself says
    fresh = invoke("run", "--dry-run", "--fresh", *longer)
    assert "toy is moved aside, and the run begins again" in fresh.stdout
    new = invoke("plan", *_sets(*stopped, "run.name=new"), "--json")
    assert json.loads(new.stdout)["standing"] == []


@pytest.mark.parametrize("consent", [[], ["--accept-changes"]], ids=["", "accepted"])
def test_what_no_consent_mends_is_refused_alike_and_names_a_way_that_works(invoke, stopped, consent):
    for setting, cause, way in MISFITS:
        for command in (["plan"], ["run", "--dry-run", *consent], ["run", *consent]):
            result = invoke(*command, *_sets(*stopped, setting))
            assert result.exit_code == 2, (setting, command, result.output)
            assert cause in result.stderr
            assert way in result.stderr
            assert "--accept-changes" not in result.stderr
            assert "Traceback" not in result.output
    init = re.search(r"--set (high\.init=\S+)\)", result.stderr).group(1)
    own = _sets(*stopped, setting, init, "run.name=other")
    assert invoke("run", *own, "-q").exit_code == 0


def test_the_same_layers_in_other_words_go_on(invoke, stopped):
    same = _sets(*stopped, "high.targets=blocks", "high.ranks={attn=4}")
    assert invoke("run", "--dry-run", "--accept-changes", *same).exit_code == 0
    assert invoke("run", "-q", "--accept-changes", *same).exit_code == 0


FITS = [
    ("high.optimizer=torch.optim.SGD", "optimizer remembers: exp_avg, exp_avg_sq, step dropped)"),
    ("high.optimizer=torch.optim.Adam", "optimizer remembers: exp_avg, exp_avg_sq, step kept)"),
    ("high.optimizer_args={betas=[0.8, 0.9]}", "optimizer remembers: exp_avg, exp_avg_sq, step kept)"),
]


@pytest.mark.parametrize(("setting", "told"), FITS)
def test_what_becomes_of_the_optimizers_memory_is_said(invoke, stopped, setting, told):
    sets = _sets(*stopped, setting)
    refused = invoke("run", *sets)
    assert refused.exit_code == 2
    assert told in refused.stderr
    assert "add --accept-changes" in refused.stderr
    result = invoke("run", *sets, "--accept-changes")
    assert result.exit_code == 0, result.output
    assert told in result.stderr


def test_a_complete_run_says_that_accepted_settings_change_nothing_of_it(invoke, tmp_path):
    out = f"run.out={tmp_path}"
    assert invoke("run", *_sets(out), "-q").exit_code == 0
    result = invoke("run", *_sets(out, "high.lr=0.9"), "--accept-changes")
    assert result.exit_code == 0
    assert (
        "high is complete, so that nothing of it changes by other settings or data: high.lr: 0.0001 -> 0.9"
        in result.stderr
    )
    assert "goes on" not in result.stderr


def test_layers_are_known_without_weights(toy):
    model = toy.load("high")
    assert lora.layer_names(toy.TINY) == list(lora.layer_ranks(model, rank=4))
    assert len(lora.layer_names(family("wan2.2-t2v-a14b"))) == 40 * 10
    i2v = lora.layer_names(family("wan2.1-i2v-14b"))
    assert (len(i2v), "blocks.39.attn2.add_k_proj" in i2v) == (40 * 12, True)
    assert all(lora.layer_names(one) for one in FAMILIES.values())


def test_the_sizes_are_those_of_the_real_model():
    """diffusers' own class, without memory, says the same names."""
    import torch
    from diffusers import WanTransformer3DModel

    with torch.device("meta"):
        model = WanTransformer3DModel(num_layers=30, num_attention_heads=2, attention_head_dim=12, ffn_dim=8)
    assert lora.layer_names(family("wan2.1-t2v-1.3b")) == list(lora.layer_ranks(model, rank=4))


@pytest.fixture
def uncached(monkeypatch, tmp_path):
    """wan2.2-t2v-a14b, prepared and not cached."""
    from wantrain import uncached as module

    samples = tuple(
        Example(
            sample_id=f"s{n}", clip_id=f"c{n}", source_id=f"src{n % 4}", group=f"g{n % 4}", view="main", width=832,
            height=480, frames=81, repeats=1, start_s=float(n), class_path="",
        )
        for n in range(12)
    )  # fmt: skip
    found = Uncached(root=tmp_path, family=family("wan2.2-t2v-a14b"), samples=samples, first="`wanprep fetch x`")
    stand_in = types.ModuleType("wanprep.dataset")

    def nothing(path):
        raise UsageError("no cached samples")

    stand_in.open_cached = nothing  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wanprep.dataset", stand_in)
    monkeypatch.setattr(module, "open_uncached", lambda root: found)
    return found


def test_a_plan_forecasts_before_anything_is_cached(uncached):
    result = CliRunner().invoke(main, ["plan", "--set", "validation.share=0.2"])
    assert result.exit_code == 0, result.output
    assert "12 samples: 10 to train on (10 an epoch with repeats), 2 held out" in result.stdout
    assert "forecast for one " in result.stdout
    assert "GiB of VRAM" in result.stdout
    assert "no sample is cached whole yet" in result.stdout
    assert "Before `run`: `wanprep fetch x`" in result.stdout
    result = CliRunner().invoke(main, ["run"])
    assert result.exit_code == 2
    assert "has no cached samples; run `wanprep fetch x`" in result.stderr


def _prepared(root, states, assignments=(), caption="a cup"):
    from wanprep.dataset import Dataset

    dataset = Dataset.create(root, assignments=["family=wan2.2-t2v-a14b", *assignments])
    dataset.save()
    rows = [
        {
            "sample_id": f"s{n}", "clip_id": "c", "source_id": "src", "group": "g", "view": "main", "state": state,
            "cache_state": cached, "caption": caption, "width": 832, "height": 480, "frames": 81, "repeats": 2,
        }
        for n, (state, cached) in enumerate(states)
    ]  # fmt: skip
    dataset.manifest.replace("samples", rows)
    dataset.manifest.replace("clips", [{"clip_id": "c", "start_s": 1.5}])


def test_samples_are_read_of_the_manifest_where_nothing_is_cached(tmp_path, monkeypatch):
    from wanprep.models import find

    monkeypatch.setattr(find, "find_weights", lambda *_, **__: None)
    _prepared(tmp_path / "a", [("ok", "pending"), ("rejected", "pending"), ("ok", "pending")])
    found = open_uncached(tmp_path / "a")
    assert [(s.sample_id, s.repeats, s.start_s, s.class_path) for s in found.samples] == [
        ("s0", 2, 1.5, ""),
        ("s2", 2, 1.5, ""),
    ]
    assert found.first == f"`wanprep fetch wan2.2-t2v-a14b`, then `wanprep cache --out {tmp_path / 'a'}`"
    monkeypatch.setattr(find, "find_weights", lambda *_, **__: tmp_path)
    words = ["caption.trigger=frung", "caption.class_word=a cup"]
    _prepared(tmp_path / "b", [("ok", "pending")], words)
    found = open_uncached(tmp_path / "b")
    assert (found.samples[0].class_path, found.first) == ("to be cached", f"`wanprep cache --out {tmp_path / 'b'}`")
    _prepared(tmp_path / "e", [("ok", "pending")], caption=None)  # its captions failed: latents may be there
    e = tmp_path / "e"
    assert open_uncached(e).first == f"`wanprep caption --out {e}`, then `wanprep cache --out {e}`"
    _prepared(tmp_path / "c", [("ok", "cached"), ("ok", "pending")])
    assert open_uncached(tmp_path / "c") is None  # what is cached counts
    assert open_uncached(tmp_path) is None
    _prepared(tmp_path / "d", [("rejected", "pending")])
    with pytest.raises(UsageError, match="no sample to train on yet; `wanprep status"):
        open_uncached(tmp_path / "d")
