"""`[compute]` of a run: the fast path trains what the reference trains, and nothing falls back without a word."""

import pytest
import torch

from wanprep.stage import UsageError
from wantrain import compute, fast
from wantrain.observe import Observer


class Heard(Observer):
    def __init__(self):
        self.said = []

    def say(self, text, *, problem=False):
        self.said.append(text)


def train(toy, out, dataset, changes, **more):
    heard = Heard()
    result = toy.train_toy(out, dataset, changes=changes, observers=[heard], **more)
    return result, heard.said


FAST = {"compute": {"path": "fast"}}


@pytest.fixture(scope="module")
def quick(toy, dataset, tmp_path_factory):
    result, said = train(toy, tmp_path_factory.mktemp("fast"), dataset, FAST)
    assert all(any(line.startswith(f"{name}: fast path (as set)") for line in said) for name in ("high", "low"))
    return result


def losses(toy, folder, name):
    rows = toy.rows(folder, name, "step")
    held = toy.rows(folder, name, "held_out")
    return [row["loss"] for row in rows], [row["grad_norm"] for row in rows], [row["loss"] for row in held]


@pytest.mark.parametrize("name", ["high", "low"])
def test_the_same_losses_as_the_reference(toy, quick, finished, name):
    for ours, theirs in zip(losses(toy, quick.folder, name), losses(toy, finished.folder, name), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)
        assert ours != theirs  # else nothing else was computed


@pytest.mark.parametrize("after", [1, 9, 17])
def test_stopping_and_going_on_equals_no_stop(toy, dataset, quick, tmp_path, after):
    metrics = tmp_path / "toy" / "metrics.jsonl"
    stop = lambda: metrics.exists() and metrics.read_text().count('"step", "expert"') >= after  # noqa: E731
    stopped, _ = train(toy, tmp_path, dataset, FAST, stop=stop)
    assert sum(stopped.steps.values()) == after
    result, _ = train(toy, tmp_path, dataset, FAST)
    for name in ("high", "low"):
        assert toy.rows(result.folder, name) == toy.rows(quick.folder, name)
        assert result.loras[name].read_bytes() == quick.loras[name].read_bytes()


OPTIONS = {
    "high": {"accumulate": 2, "ema": 0.9, "targets": "self_attn|ffn", "ranks": {"ffn": 3}, "steps": 5},
    "low": {"batch_size": 2, "optimizer": "torch.optim.RAdam", "steps": 5},
    "loss": {"preservation": 0.5},
}


def test_with_averages_ranks_targets_batches_and_preservation(toy, dataset, tmp_path):
    plain, _ = train(toy, tmp_path / "plain", dataset, OPTIONS)
    quick, said = train(toy, tmp_path / "fast", dataset, OPTIONS | FAST)
    assert any(line.startswith("high: fast path (as set)") for line in said)
    for name in ("high", "low"):
        for ours, theirs in zip(losses(toy, quick.folder, name), losses(toy, plain.folder, name), strict=True):
            assert ours == pytest.approx(theirs, rel=1e-5)
        kept = [[d["preservation"] for row in toy.rows(r.folder, name, "step") for d in row["draws"]]
                for r in (quick, plain)]  # fmt: skip
        assert kept[0] == pytest.approx(kept[1], rel=1e-4, abs=1e-9)


def test_what_it_cannot_do_is_said_and_done_by_the_reference(toy, dataset, tmp_path):
    changes = {"high": {"dropout": 0.1, "steps": 2}, "experts": {"stages": ["high"]}}
    with pytest.raises(UsageError, match="dropout"):
        train(toy, tmp_path / "a", dataset, changes | FAST)
    _, said = train(toy, tmp_path / "b", dataset, changes)
    assert "high: reference path (it pays on a GPU only)" in said
    config = toy.toy_config(tmp_path / "c", **changes)
    model = toy.load("high")
    from wantrain import lora

    lora.add_lora(model, rank=2, alpha=2, generator=torch.Generator(), dropout=0.1)
    taken, why = compute.choose_path(config, model, "cuda")
    assert not taken
    assert "dropout" in why


def test_without_deterministic_kernels_a_gpu_takes_it(toy, tmp_path, monkeypatch):
    from wantrain import lora

    config = toy.toy_config(tmp_path, run={"deterministic": False})
    model = toy.load("high").to(torch.bfloat16)
    lora.add_lora(model, rank=2, alpha=2, generator=torch.Generator())
    assert compute.choose_path(config, model, "cuda") == (True, "nothing stands against it")
    assert compute.choose_path(config, model, "cpu")[0] is False
    strict = toy.toy_config(tmp_path, run={"deterministic": True})
    assert "deterministic" in compute.choose_path(strict, model, "cuda")[1]
    assert "fp32" in compute.choose_path(config, model.float(), "cuda")[1]


def test_a_new_model_on_the_card_changes_what_is_kept():
    from wantrain import memory

    sizes = memory.Sizes(layers=1, dim=8, inner=8, heads=1)
    found = fast.Fast(plan=fast.Plan(), specs=[], sizes=sizes, kernels="eager", free=5.0)
    found.buckets[1, 1] = memory.same(sizes, 1, frozenset())
    found.replan(pending=False)
    assert (found.free, found.buckets, found.pending) == (None, {}, False)
