import json
import math

import pytest
import torch

from wanprep.stage import UsageError
from wantrain import experts
from wantrain.data import Cursor
from wantrain.step import train_step
from wantrain.validate import held_out_loss, probes_for

PLAIN = {"rank": 4, "alpha": 8.0, "lr": 1e-2, "schedule": "constant", "warmup": 0, "max_grad_norm": 0.0, "steps": 50}


def _expert(toy, dataset, tmp_path, name="high", own=None, **changes):
    config = toy.toy_config(tmp_path, high=PLAIN | (own or {}), low=PLAIN | (own or {}), **changes)
    cursor = Cursor(dataset=dataset, allowed=frozenset(range(len(dataset.samples))))
    return experts.start(name, config, toy.load(name), cursor)


def test_losses_and_gradients_equal_a_plain_loop(toy, dataset, tmp_path):
    """Five steps against diffusers, peft and torch put together here by hand, with formulas written out again."""
    from peft import LoraConfig

    torch.set_num_threads(1)
    ours = _expert(toy, dataset, tmp_path, caption_dropout=0.3)
    start = {name: p.detach().clone() for name, p in ours.params.items()}
    draws = torch.Generator()
    draws.set_state(ours.generator.get_state())

    model = toy.load("high").requires_grad_(False)
    targets = ["to_q", "to_k", "to_v", "to_out.0", "ffn.net.0.proj", "ffn.net.2"]
    model.add_adapter(LoraConfig(r=4, lora_alpha=8, target_modules=targets))
    theirs = {n.replace(".default.weight", ""): p for n, p in model.named_parameters() if p.requires_grad}
    assert theirs.keys() == start.keys()
    for name, parameter in theirs.items():
        parameter.data.copy_(start[name])
    optimizer = torch.optim.AdamW(theirs.values(), lr=1e-2, weight_decay=1e-4)

    losses, gradients = [], []
    ours.optimizer.step, real_step = lambda: (gradients.append(_flat(ours.params)), real_step()), ours.optimizer.step
    for _ in range(5):
        row = train_step(ours)
        (drawn,) = row["draws"]
        sample = next(s for s in dataset.samples if s.sample_id == drawn["sample"])
        dropped = torch.rand((), generator=draws).item() < 0.3
        sigma = drawn["sigma"]  # test_sigma.py is about which ones are drawn
        assert 0.875 <= sigma < 1
        x0 = dataset.latent(sample).float()
        noise = torch.randn(x0.shape, generator=draws)
        text = dataset.empty() if dropped else dataset.text(sample)
        output = model(
            hidden_states=(x0 + sigma * (noise - x0))[None], timestep=torch.tensor([1000 * sigma]),
            encoder_hidden_states=text[None],
        ).sample[0]  # fmt: skip
        loss = torch.nn.functional.mse_loss(output, noise - x0)
        optimizer.zero_grad()
        loss.backward()
        cosine = torch.nn.functional.cosine_similarity(gradients[-1], _flat(theirs), dim=0).item()
        assert cosine >= 0.9999
        assert gradients[-1].norm().item() == pytest.approx(_flat(theirs).norm().item(), rel=1e-4)
        optimizer.step()
        losses.append((row["loss"], loss.item(), drawn["caption_dropped"], dropped))
    for a, b, *rest in losses:
        assert a == pytest.approx(b, abs=1e-6 * max(1, abs(b)))
        assert rest[0] == rest[1]
    assert len({loss[0] for loss in losses}) == 5


def _flat(params) -> torch.Tensor:
    return torch.cat([params[name].grad.flatten() for name in sorted(params)])


def test_state_and_restore_lose_nothing(toy, dataset, tmp_path):
    torch.set_num_threads(1)

    def fresh():
        return _expert(toy, dataset, tmp_path, own={"ema": 0.9})

    def four(expert):
        rows = [train_step(expert) for _ in range(4)]
        return rows, [t.clone() for t in expert.averages.values()]

    first = fresh()
    for _ in range(25):  # past the end of the first epoch
        train_step(first)
    tensors, values = experts.state(first)
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    values = json.loads(json.dumps(values))
    second = fresh()
    experts.restore(second, tensors, values)
    (rows, averages), (again, same) = four(first), four(second)
    assert rows == again
    assert all(torch.equal(a, b) for a, b in zip(averages, same, strict=True))
    assert all(torch.equal(first.params[name], second.params[name]) for name in first.params)

    # Each part of the state is needed: leaving one out shows.
    empty, zero = experts.state(fresh())
    for part in ("rng", "optimizer/exp_avg/", "optimizer/exp_avg_sq/", "lora/", "average/", "cursors", "step"):
        third = fresh()
        spoilt = {
            name: empty.get(name, torch.zeros_like(t)) if name.startswith(part) else t for name, t in tensors.items()
        }
        experts.restore(third, spoilt, {k: zero[k] if k == part else v for k, v in values.items()})
        got, averaged = four(third)
        differs = any(not torch.equal(a, b) for a, b in zip(averages, averaged, strict=True))
        assert got != rows or differs, part


def test_another_rank_cannot_be_restored(toy, dataset, tmp_path):
    saved = experts.state(_expert(toy, dataset, tmp_path))
    other = _expert(toy, dataset, tmp_path, own={"rank": 6})
    with pytest.raises(UsageError, match="rank 6"):
        experts.restore(other, *saved)


def test_a_loss_that_is_not_finite_stops_before_it_spoils_anything(toy, dataset, tmp_path, monkeypatch):
    expert = _expert(toy, dataset, tmp_path)
    before = {name: p.detach().clone() for name, p in expert.params.items()}
    monkeypatch.setattr(type(dataset), "latent", lambda self, sample: torch.full((16, 2, 8, 8), math.nan))
    with pytest.raises(ArithmeticError, match="not finite at step 1"):
        train_step(expert)
    assert all(torch.equal(p, before[name]) for name, p in expert.params.items())


def test_held_out_questions_are_fixed_and_leave_the_state_alone(toy, dataset, tmp_path):
    expert = _expert(toy, dataset, tmp_path, name="low")
    probes = probes_for(expert, [3, 5, 9], samples=2, sigmas=4)
    assert probes == probes_for(expert, [3, 5, 9], samples=2, sigmas=4)
    assert len(probes) == 8
    assert {p.index for p in probes} == {3, 5}
    assert all(0 <= p.sigma < 0.875 for p in probes)
    assert len({p.seed for p in probes}) == 8
    rng = expert.generator.get_state()
    first = held_out_loss(expert, probes)
    assert held_out_loss(expert, probes) == first
    assert torch.equal(expert.generator.get_state(), rng)
    assert all(p.grad is None for p in expert.params.values())
    # Predicting zero scores the target's mean square: 1 for the noise and the latents' own.
    power = sum(dataset.latent(dataset.samples[i]).float().square().mean().item() for i in (3, 5)) / 2
    assert first["zero"] == pytest.approx(1 + power, rel=0.05)


def test_seeds_differ_between_experts_and_purposes():
    seeds = {
        experts.seed_for(s, e, p) for s in range(5) for e in ("high", "low") for p in ("adapter", "steps", "order")
    }
    assert len(seeds) == 30
    assert all(0 <= seed < 2**63 for seed in seeds)
