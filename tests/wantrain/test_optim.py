"""Learning rates as their formulas say, and optimizers whose whole state survives being written down."""

import json

import pytest
import torch

from wanprep.stage import Missing, UsageError
from wantrain import optim, trial
from wantrain.sections import ExpertConfig


def _rates(**own) -> list[float]:
    config = ExpertConfig(steps=100, lr=1.0, **own)
    return [optim.lr_at(step, config) for step in range(100)]


def test_cosine_rises_then_falls():
    rates = _rates(warmup="10%")
    assert rates[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert rates[10] == pytest.approx(1)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[55] == pytest.approx(0.5)
    assert 0 < rates[-1] < 0.001
    assert _rates(warmup=10) == rates  # steps and per cent say the same
    assert optim.lr_at(0, ExpertConfig(steps=1, warmup="100%")) == 1e-4


def test_the_other_schedules():
    assert set(_rates(schedule="constant", warmup=0)) == {1.0}
    linear = _rates(schedule="polynomial", warmup=0)
    assert linear == pytest.approx([1 - i / 100 for i in range(100)])
    assert _rates(schedule="polynomial", warmup=0, power=2.0) == pytest.approx([x * x for x in linear])
    restarts = _rates(schedule="cosine_with_restarts", cycles=4, warmup=0)
    assert [i for i in range(1, 100) if restarts[i] > restarts[i - 1]] == [25, 50, 75]
    assert restarts[25:50] == pytest.approx(restarts[:25])
    once = _rates(schedule="cosine_with_restarts", cycles=1, warmup=0)
    assert once == pytest.approx(_rates(warmup=0))


@pytest.mark.parametrize("warmup", ["5 percent", "101%", -1, "7", "x%"])
def test_a_warmup_without_a_unit_or_meaning_is_refused(warmup):
    with pytest.raises(ValueError, match="warmup"):
        ExpertConfig(warmup=warmup)


class Remembers(torch.optim.Optimizer):
    """Keeps every kind of plain state: bytes as 8-bit optimizers do, counters, numbers in its group, nested lists."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.99)):
        super().__init__(params, {"lr": lr, "betas": betas, "d": 1e-6, "k": 0, "history": []})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            group["d"] *= 1.5
            group["k"] += 1
            group["history"] = [group["k"], None]
            for p in group["params"]:
                state = self.state[p]
                if not state:
                    state |= {"codes": torch.zeros(p.shape, dtype=torch.uint8), "step": 0, "pair": (p.clone(), True)}
                state["codes"] += p.grad.abs().mul(50).to(torch.uint8)
                state["step"] += 1
                p -= group["lr"] * (p.grad + 0.01 * state["codes"] + group["d"] + 0.1 * state["pair"][0])


def _problem():
    torch.manual_seed(0)
    return {name: torch.nn.Parameter(torch.randn(3, 4)) for name in ("a", "b")}


def _go_on(optimizer, params, steps):
    for _ in range(steps):
        optimizer.zero_grad()
        sum((p**2).sum() for p in params.values()).backward()
        optim.set_mode(optimizer, training=True)
        optimizer.step()
    return torch.cat([p.detach().flatten() for p in params.values()])


CLASSES = [
    ("AdamW", {}), ("torch.optim.SGD", {"momentum": 0.9}), ("torch.optim.Adafactor", {}), ("torch.optim.RAdam", {}),
    ("torch.optim.NAdam", {}), ("torch.optim.Adagrad", {}), ("torch.optim.Rprop", {}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments"), [*CLASSES, ("Remembers", {"betas": [0.5, 0.6]})])
def test_any_class_goes_on_as_if_nothing_had_happened(name, arguments, monkeypatch, tmp_path):
    if name == "Remembers":
        monkeypatch.setattr(torch.optim, "Remembers", Remembers, raising=False)
        name = "torch.optim.Remembers"
    config = ExpertConfig(optimizer=name, optimizer_args=arguments, lr=0.01)
    params = _problem()
    whole = _go_on(optim.make_optimizer(config, params.values()), params, 7)
    first = _problem()
    optimizer = optim.make_optimizer(config, first.values())
    _go_on(optimizer, first, 4)
    tensors, tree = optim.pack(optimizer, {id(p): n for n, p in first.items()})
    from safetensors.torch import load, save

    kept = load(save({key: t.contiguous() for key, t in tensors.items()})) if tensors else {}
    tree = json.loads(json.dumps(tree))
    second = {n: torch.nn.Parameter(p.detach().clone()) for n, p in first.items()}
    again = optim.make_optimizer(config, second.values())
    without = {n: torch.nn.Parameter(p.detach().clone()) for n, p in first.items()}
    optim.unpack(again, second, kept, tree)
    assert torch.equal(_go_on(again, second, 3), whole)
    forgetful = _go_on(optim.make_optimizer(config, without.values()), without, 3)
    assert not torch.equal(forgetful, whole)  # the state does matter to this class


def test_state_that_is_not_plain_is_refused():
    params = _problem()
    optimizer = torch.optim.SGD(params.values(), lr=0.1)
    optimizer.state[params["a"]]["odd"] = object()
    with pytest.raises(TypeError, match="object under 'odd/a'"):
        optim.pack(optimizer, {id(p): n for n, p in params.items()})


@pytest.mark.parametrize(
    ("own", "error", "message"),
    [
        ({"optimizer": "AdmW"}, UsageError, "did you mean 'AdamW'"),
        ({"optimizer": "torch.optim.Adamm"}, UsageError, "did you mean 'Adam'"),
        ({"optimizer": "no_such_package.Lion"}, Missing, "no_such_package"),
        ({"optimizer_args": {"beta": 1}}, UsageError, "no argument 'beta'"),
        ({"optimizer_args": {"betas": [2.0, 0.9]}}, UsageError, "refuses its arguments"),
    ],
)
def test_optimizers_that_cannot_be_made(own, error, message):
    with pytest.raises(error, match=message):
        optim.make_optimizer(ExpertConfig(**own), _problem().values())


def test_8_bit_adam_without_its_package_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", None)
    with pytest.raises(Missing, match=r"pip install bitsandbytes.*AdamW"):
        optim.optimizer_class("AdamW8bit")


def test_arguments_and_weight_decay_arrive():
    made = optim.make_optimizer(
        ExpertConfig(optimizer_args={"betas": [0.5, 0.6]}, weight_decay=0.2), _problem().values()
    )
    assert (made.defaults["betas"], made.defaults["weight_decay"]) == ((0.5, 0.6), 0.2)
    assert optim.make_optimizer(ExpertConfig(optimizer="torch.optim.Rprop"), _problem().values()).defaults["lr"] == 1e-4


@pytest.mark.parametrize(
    ("own", "error"),
    [
        ({"optimizer": "no_such_package.Lion"}, Missing),
        ({"optimizer": "torch.optim.Adam", "optimizer_args": {"momentun": 1}}, UsageError),
    ],
)
def test_an_optimizer_that_cannot_be_is_refused_before_a_model_is_loaded(toy, dataset, tmp_path, own, error):
    from wantrain.train import train

    loaded = []
    config = toy.toy_config(tmp_path, low={"steps": 2} | own)
    with pytest.raises(error):
        train(config, dataset, lambda name, device: loaded.append(name), base=toy.BASE)
    assert loaded == []
    assert not (tmp_path / "toy").exists()


class NeedsCuda(torch.optim.SGD):
    def step(self, closure=None):
        raise RuntimeError("expected a CUDA tensor")


class Broken(torch.optim.SGD):
    def step(self, closure=None):
        raise KeyError("surprise")


def test_one_step_on_a_tiny_parameter_tells_who_can_train(monkeypatch):
    for name, arguments in CLASSES:
        assert trial.first_state(ExpertConfig(optimizer=name, optimizer_args=arguments)) is not None, name
    for name, told in (("LBFGS", "closure"), ("SparseAdam", "dense gradients"), ("Broken", "KeyError: 'surprise'")):
        monkeypatch.setattr(torch.optim, "Broken", Broken, raising=False)
        with pytest.raises(UsageError, match=rf"^optimizer = 'torch\.optim\.{name}' .*{told}"):
            trial.first_state(ExpertConfig(optimizer=f"torch.optim.{name}"))
    monkeypatch.setattr(torch.optim, "NeedsCuda", NeedsCuda, raising=False)
    assert trial.first_state(ExpertConfig(optimizer="torch.optim.NeedsCuda")) is None  # a CPU cannot tell


def test_a_trial_draws_no_random_number():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    trial.first_state(ExpertConfig())
    assert torch.equal(torch.get_rng_state(), before)


def test_settings_of_an_optimizer_that_were_changed_count_after_a_resume():
    """And what it has come to by itself (d, k) is kept."""
    first, second = _problem(), _problem()
    optimizer = Remembers(first.values(), betas=(0.9, 0.99))
    _go_on(optimizer, first, 2)
    tensors, tree = optim.pack(optimizer, {id(p): n for n, p in first.items()})
    again = Remembers(second.values(), betas=(0.1, 0.2))
    optim.unpack(again, second, tensors, tree)
    (group,) = again.param_groups
    assert (group["betas"], group["k"]) == ((0.1, 0.2), 2)
    assert group["d"] == optimizer.param_groups[0]["d"] != 1e-6


def test_another_class_takes_over_only_what_it_knows():
    """Adam's and AdamW's groups differ in a value that makes one the other: it stays the new one's."""
    params = _problem()
    optimizer = torch.optim.Adam(params.values())
    _go_on(optimizer, params, 2)
    tensors, tree = optim.pack(optimizer, {id(p): n for n, p in params.items()})
    found = trial.carried(ExpertConfig(optimizer="torch.optim.Adam"), ExpertConfig())
    assert (found.same, found.kept) == (False, ("exp_avg", "exp_avg_sq", "step"))
    again = torch.optim.AdamW(params.values())
    before = {key: value for key, value in again.param_groups[0].items() if key != "params"}
    optim.unpack(again, params, tensors, tree, only=found.kept)
    assert {key: value for key, value in again.param_groups[0].items() if key != "params"} == before
    assert torch.equal(again.state[params["a"]]["exp_avg"], optimizer.state[params["a"]]["exp_avg"])
    plain = torch.optim.SGD(params.values())
    optim.unpack(plain, params, tensors, tree, only=())
    assert not plain.state
