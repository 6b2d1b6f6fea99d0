"""What besides the plain loss moves an adapter: each is compared with its formula, and with nothing happening."""

from dataclasses import replace

import pytest
import torch

from wanprep.cached import CachedDataset
from wanprep.stage import UsageError
from wantrain import experts, lora, tasks
from wantrain.data import Cursor
from wantrain.step import train_step

PLAIN = {"rank": 4, "lr": 1e-2, "schedule": "constant", "warmup": 0, "max_grad_norm": 0.0, "steps": 50}
ONE = {"high": {"steps": 1, "max_grad_norm": 0.0}, "experts": {"stages": ["high"]}}


def _start(toy, dataset, tmp_path, own=None, regular=None, **changes):
    config = toy.toy_config(tmp_path, high=PLAIN | (own or {}), **changes)
    cursor = Cursor(dataset=dataset, allowed=frozenset(range(len(dataset))))
    return experts.start("high", config, toy.load("high"), cursor, regular)


def _gradients(expert):
    """Of one step, caught before the optimizer takes them."""
    caught = {}
    real = expert.optimizer.step
    expert.optimizer.step = lambda: (caught.update({n: p.grad.clone() for n, p in expert.params.items()}), real())
    row = train_step(expert)
    return torch.cat([caught[name].flatten() for name in sorted(caught)]), row


def _moved(expert):
    """Give B a value, so that the adapter does something."""
    for name, parameter in expert.params.items():
        if name.endswith("lora_B"):
            parameter.data.normal_(0, 0.05, generator=torch.Generator().manual_seed(len(name)))
    return expert


def test_accumulated_gradients_are_the_mean_of_single_ones(toy, dataset, tmp_path):
    torch.set_num_threads(1)
    together, row = _gradients(_start(toy, dataset, tmp_path, own={"accumulate": 3}))
    single = _start(toy, dataset, tmp_path, own={"lr": 0.0})
    parts = [_gradients(single) for _ in range(3)]
    assert torch.allclose(together, sum(g for g, _ in parts) / 3, rtol=1e-4, atol=1e-7)
    assert row["draws"] == [r["draws"][0] for _, r in parts]
    assert row["loss"] == pytest.approx(sum(r["loss"] for _, r in parts) / 3)


@pytest.mark.parametrize("loss", [{}, {"preservation": 0.5, "weighting": "cosmap"}])
def test_a_batch_is_several_draws_in_one_forward(toy, dataset, tmp_path, loss):
    torch.set_num_threads(1)
    one_by_one, a = _gradients(_moved(_start(toy, dataset, tmp_path, own={"accumulate": 3}, loss=loss)))
    together, b = _gradients(_moved(_start(toy, dataset, tmp_path, own={"batch_size": 3}, loss=loss)))
    assert torch.allclose(one_by_one, together, rtol=1e-4, atol=1e-7)
    assert [draw["sample"] for draw in a["draws"]] == [draw["sample"] for draw in b["draws"]]
    for first, second in zip(a["draws"], b["draws"], strict=True):
        assert {k: pytest.approx(v, rel=1e-5) for k, v in first.items() if k != "sample"} == {
            k: v for k, v in second.items() if k != "sample"
        }


@pytest.mark.parametrize(
    ("changes", "factor"),
    [({"loss": {"gradient_scale": 3.0}}, 3.0), ({"loss": {"views": {"main": 0.5}}}, 0.5), ({"loss": {}}, 1.0)],
)
def test_weights_scale_gradients_and_leave_the_logged_loss(toy, dataset, tmp_path, changes, factor):
    plain, a = _gradients(_start(toy, dataset, tmp_path))
    scaled, b = _gradients(_start(toy, dataset, tmp_path, **changes))
    assert a["loss"] == b["loss"]
    assert torch.allclose(scaled, factor * plain, rtol=1e-4, atol=1e-7)


def test_weighting_by_sigma_reaches_the_gradient(toy, dataset, tmp_path):
    from wantrain.flow import sigma_weight

    plain, row = _gradients(_start(toy, dataset, tmp_path))
    expert = _start(toy, dataset, tmp_path, loss={"weighting": "cosmap"})
    scaled, _ = _gradients(expert)
    weight = sigma_weight("cosmap", row["draws"][0]["sigma"], expert.sigmas)
    assert abs(weight - 1) > 1e-3
    assert torch.allclose(scaled, weight * plain, rtol=1e-4, atol=1e-7)


def test_differential_guidance_is_this_gradient_scale(toy, dataset, tmp_path):
    """target <- pred + s (target − pred), target detached: the gradient is s times the plain one, nothing else."""
    expert = _start(toy, dataset, tmp_path)
    sample = dataset.samples[0]
    x0, text = dataset.latent(sample).float(), dataset.text(sample)
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(0))
    question, wanted = tasks.ask(toy.TINY, x0, noise, 0.9), noise - x0
    gradients = []
    for scale in (1.0, 3.0):
        velocity = tasks.predict(expert.model, question, text)
        tasks.loss(velocity, (velocity + scale * (wanted - velocity)).detach(), question).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in expert.params.values()]))
        expert.optimizer.zero_grad()
    assert torch.allclose(gradients[1], 3 * gradients[0], rtol=1e-4, atol=1e-7)


def test_preservation_is_its_formula(toy, dataset, tmp_path):
    """loss + m · MSE(lora(x_t, class), base(x_t, class)), written out with a second, bare model."""
    torch.set_num_threads(1)
    with_it = _moved(_start(toy, dataset, tmp_path, loss={"preservation": 2.0}, caption_dropout=0.0))
    got, row = _gradients(with_it)
    reference = _moved(_start(toy, dataset, tmp_path, caption_dropout=0.0))
    draws = torch.Generator()
    draws.set_state(reference.generator.get_state())
    sample = next(s for s in dataset.samples if s.sample_id == row["draws"][0]["sample"])
    torch.rand((), generator=draws)
    x0 = dataset.latent(sample).float()
    noise = torch.randn(x0.shape, generator=draws)
    question = tasks.ask(toy.TINY, x0, noise, row["draws"][0]["sigma"])
    with torch.no_grad():
        prior = tasks.predict(toy.load("high"), question, dataset.class_text(sample))
    loss = (tasks.predict(reference.model, question, dataset.text(sample)) - (noise - x0)).square().mean()
    kept = (tasks.predict(reference.model, question, dataset.class_text(sample)) - prior).square().mean()
    (loss + 2 * kept).backward()
    wanted = torch.cat([reference.params[name].grad.flatten() for name in sorted(reference.params)])
    assert kept.item() > 1e-4
    assert row["draws"][0]["preservation"] == pytest.approx(kept.item(), rel=1e-4)
    assert torch.nn.functional.cosine_similarity(got, wanted, dim=0) > 0.9999
    without, _ = _gradients(_moved(_start(toy, dataset, tmp_path, caption_dropout=0.0)))
    assert torch.nn.functional.cosine_similarity(got, without, dim=0) < 0.999


def test_preservation_keeps_the_class_where_it_was(toy, dataset, tmp_path):
    """After the same training the adapter has moved the class prompt's answers less, and still learned its own."""
    drift, losses = {}, {}
    for m in (0.0, 10.0):
        expert = _start(toy, dataset, tmp_path, own={"steps": 40}, loss={"preservation": m})
        rows = [train_step(expert) for _ in range(40)]
        sample = dataset.samples[0]
        question = tasks.ask(toy.TINY, dataset.latent(sample).float(), torch.randn(16, 2, 8, 8), 0.95)
        with torch.no_grad():
            after = tasks.predict(expert.model, question, dataset.class_text(sample))
            with lora.switched_off(expert.model):
                before = tasks.predict(expert.model, question, dataset.class_text(sample))
        drift[m] = (after - before).square().mean().item()
        losses[m] = [sum(r["loss"] for r in rows[i : i + 10]) / 10 for i in (0, 30)]
    assert drift[10.0] < 0.6 * drift[0.0]
    assert losses[10.0][1] < 0.97 * losses[10.0][0]


def test_preservation_without_class_texts_is_refused(toy, dataset, tmp_path):
    bare = [replace(s, class_path="", class_digest="") for s in dataset.samples]
    data = CachedDataset(dataset.root, dataset.family, bare, dataset.empty_text)
    with pytest.raises(UsageError, match=r"caption\.class_word.*wanprep cache"):
        toy.train_toy(tmp_path, data, changes={"loss": {"preservation": 1.0}})
    with pytest.raises(UsageError, match="no view 'mian'"):
        toy.train_toy(tmp_path, dataset, changes={"loss": {"views": {"mian": 1.0}}})


def test_a_regularisation_set_takes_its_share_with_its_weight(toy, dataset, tmp_path):
    aside = toy.toy_dataset(tmp_path / "aside", groups=2)
    renamed = [replace(s, sample_id=f"r{s.sample_id}") for s in aside.samples]
    aside = CachedDataset(aside.root, aside.family, renamed, aside.empty_text)
    more = {"regularisation": {"dataset": "aside", "share": 0.25, "weight": 0.5}}
    changes = {"high": {"steps": 20}, "experts": {"stages": ["high"]}, **more}
    result = toy.train_toy(tmp_path / "runs", dataset, changes=changes, regular=aside)
    draws = [d for row in toy.rows(result.folder, "high", "step") for d in row["draws"]]
    assert [d.get("regular", False) for d in draws] == [False, False, False, True] * 5
    assert all(d["sample"].startswith("rs") == d.get("regular", False) for d in draws)
    with pytest.raises(UsageError, match="was not opened"):
        toy.train_toy(tmp_path / "runs", dataset, changes=changes)
    # The same draw at full weight has twice the gradient.
    norms = []
    for weight in (0.5, 1.0):
        own = {"regularisation": {"dataset": "aside", "share": 0.999, "weight": weight}}
        cursor = Cursor(dataset=aside, allowed=frozenset(range(len(aside))))
        expert = _start(toy, dataset, tmp_path, regular=cursor, own={"lr": 0.0}, **own)
        norms.append([train_step(expert)["grad_norm"] for _ in range(2)][1])
    assert norms[1] == pytest.approx(2 * norms[0], rel=1e-5)


def test_interrupting_with_everything_switched_on_changes_nothing(toy, dataset, tmp_path):
    """Accumulation, EMA, dropout, preservation, regularisation, ranks, another optimizer: still bit-equal."""
    own = {
        "steps": 9, "accumulate": 2, "ema": 0.9, "dropout": 0.2, "ranks": {"ffn": 2}, "optimizer": "torch.optim.NAdam",
    }  # fmt: skip
    changes = {
        "high": own, "low": own, "loss": {"preservation": 1.0, "weighting": "cosmap"},
        "regularisation": {"dataset": "aside", "share": 0.3}, "sampling": {"method": "sigmoid", "bias": 0.5},
    }  # fmt: skip
    aside = toy.toy_dataset(tmp_path / "aside", groups=2)
    calm = toy.train_toy(tmp_path / "calm", dataset, changes=changes, regular=aside)
    metrics = tmp_path / "cut" / "toy" / "metrics.jsonl"
    for after in (3, 8, 13):
        stop = lambda n=after: metrics.exists() and metrics.read_text().count('"step", "expert"') >= n  # noqa: E731
        assert toy.train_toy(tmp_path / "cut", dataset, changes=changes, regular=aside, stop=stop).interrupted
    cut = toy.train_toy(tmp_path / "cut", dataset, changes=changes, regular=aside)
    for name in ("high", "low"):
        assert toy.rows(cut.folder, name) == toy.rows(calm.folder, name)
        assert cut.loras[name].read_bytes() == calm.loras[name].read_bytes()
    content = lora.read_lora(cut.loras["high"])
    assert {rank for module, rank in content.ranks.items() if "ffn" in module} == {2}
    assert {rank for module, rank in content.ranks.items() if "attn" in module} == {4}
    assert set(content.scales.values()) == {1.0}


def test_dropout_drops_and_only_while_training(toy, dataset, tmp_path):
    wet, dry = (_moved(_start(toy, dataset, tmp_path, own={"dropout": p})) for p in (0.5, 0.0))
    assert train_step(wet)["loss"] != train_step(dry)["loss"]
    dropouts = [m for n, m in wet.model.named_modules() if "lora_dropout." in n]
    assert dropouts
    assert not any(m.training for m in dropouts)
    assert not wet.model.training


def test_ema_is_what_is_saved_and_measured(toy, dataset, tmp_path):
    expert = _start(toy, dataset, tmp_path, own={"ema": 0.9})
    history = [{n: p.detach().clone() for n, p in expert.params.items()}]
    for _ in range(6):
        train_step(expert)
        history.append({n: p.detach().clone() for n, p in expert.params.items()})
    wanted = history[0]
    for step in range(1, 7):
        decay = min(0.9, (1 + step) / (10 + step))
        wanted = {n: decay * wanted[n] + (1 - decay) * history[step][n] for n in wanted}
    with experts.as_saved(expert):
        assert all(torch.allclose(p, wanted[n], atol=1e-6) for n, p in expert.params.items())
    assert all(torch.equal(p, history[-1][n]) for n, p in expert.params.items())


def test_targets_and_ranks_choose_layers(toy):
    def names(**more):
        model = toy.load("high")
        params = lora.add_lora(model, rank=4, alpha=2.0, generator=torch.Generator().manual_seed(0), **more)
        return {n.rsplit(".", 1)[0]: p.shape[0] for n, p in params.items() if n.endswith("lora_A")}

    assert len(names()) == 20
    assert set(names(targets=r"self_attn\.[qk]$")) == {f"blocks.{n}.attn1.to_{p}" for n in (0, 1) for p in "qk"}
    ranks = names(ranks={r"blocks\.1\.ffn": 8, "ffn": 2})
    assert (ranks["blocks.1.ffn.net.2"], ranks["blocks.0.ffn.net.2"], ranks["blocks.0.attn1.to_q"]) == (8, 2, 4)
    with pytest.raises(UsageError, match="is found in no layer"):
        names(targets="blocks.9")
    with pytest.raises(UsageError, match="in no layer that gets a LoRA"):
        names(targets="ffn", ranks={"attn": 2})


def test_beginning_with_a_lora_is_going_on_from_it(toy, dataset, finished, tmp_path):
    """Another alpha/rank than the file's: the function is the file's all the same."""
    path = finished.loras["high"]
    expert = _start(toy, dataset, tmp_path, own={"init": str(path), "alpha": 1.0})
    content = lora.read_lora(path)
    for module, scale in content.scales.items():
        theirs = scale * content.tensors[f"{module}.lora_B"].float() @ content.tensors[f"{module}.lora_A"].float()
        ours = 0.25 * expert.params[f"{module}.lora_B"] @ expert.params[f"{module}.lora_A"]
        assert torch.allclose(ours, theirs, atol=1e-6)
    with pytest.raises(UsageError, match="set rank, ranks and targets"):
        _start(toy, dataset, tmp_path, own={"init": str(path), "rank": 8})
    with pytest.raises(UsageError, match="is not there"):
        toy.train_toy(tmp_path, dataset, changes={"high": {"init": "/nowhere.safetensors"}})
    toy.train_toy(tmp_path, dataset, changes=ONE | {"high": {"init": str(path), "steps": 1}})
    other = finished.loras["low"]
    with pytest.raises(UsageError, match="init: "):
        toy.train_toy(tmp_path, dataset, changes=ONE | {"high": {"init": str(other), "steps": 1}})
