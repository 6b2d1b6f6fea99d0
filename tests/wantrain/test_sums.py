"""Gradients of a team, summed while backward is at work: what leaves, when, in which order, and what comes back."""

import gc
import weakref

import pytest
import torch
from torch import nn

from wantrain.sums import Sums, shares


class Other:
    """A team of two whose other member has three times our gradients. `told`: what happened, in order."""

    def __init__(self):
        self.told = []

    def sum_of(self, row):
        self.told.append(("sent", row.numel()))
        return row

    def wait(self, row):
        self.told.append(("waited", row.numel()))
        row.mul_(4)


class Told(torch.autograd.Function):
    """Says when backward passes it."""

    @staticmethod
    def forward(ctx, x, name, told):
        ctx.name, ctx.told = name, told
        return x.clone()

    @staticmethod
    def backward(ctx, d):
        ctx.told.append(("passed", ctx.name))
        return d, None, None


def chain(depth=4, width=8):
    torch.manual_seed(0)
    return nn.ModuleList([nn.Linear(width, width) for _ in range(depth)])


def loss_of(layers, x, told):
    for number, layer in enumerate(layers):
        x = Told.apply(layer(x), number, told).tanh()
    return x.square().sum()


def test_shares_run_from_the_last_parameter_to_the_first_and_hold_each_once():
    parameters = [nn.Parameter(torch.zeros(n)) for n in (3, 5, 2, 7, 1)]
    found = shares(parameters, size=4 * 7)
    assert [[p.numel() for p in share] for share in found] == [[1, 7], [2, 5], [3]]
    assert shares([], size=1) == []


def test_sums_are_those_of_everything_at_once_and_begin_during_backward():
    layers, x = chain(), torch.randn(3, 8)
    plain = torch.autograd.grad(loss_of(layers, x, []), list(layers.parameters()))
    team = Other()
    sums = Sums(team, layers.parameters(), size=1)  # each parameter a share of its own
    sums.begin()
    loss_of(layers, x, team.told).backward()
    numbers = torch.tensor([5.0, 6.0])
    sums.finish(numbers)
    for parameter, wanted in zip(layers.parameters(), plain, strict=True):
        assert torch.allclose(parameter.grad, 4 * wanted, rtol=1e-6)
    assert numbers.tolist() == [20, 24]
    kinds = [kind for kind, _ in team.told]
    last_layer = team.told.index(("passed", 0))
    assert kinds[:last_layer].count("sent") >= 4  # of three layers, before the first is reached
    assert kinds.index("waited") > last_layer
    assert kinds.count("sent") == kinds.count("waited") == len(sums.shares) + 1


def test_gradients_of_batches_before_the_last_stay_here_until_then():
    layers, x = chain(), torch.randn(3, 8)
    team = Other()
    sums = Sums(team, layers.parameters(), size=1)
    loss_of(layers, x, []).backward()
    assert team.told == []
    before = [p.grad.clone() for p in layers.parameters()]
    sums.begin()
    loss_of(layers, x, []).backward()
    sums.finish(torch.zeros(1))
    for parameter, one in zip(layers.parameters(), before, strict=True):
        assert torch.allclose(parameter.grad, 8 * one, rtol=1e-6)


def test_the_order_is_the_same_whoever_has_its_gradients_first():
    """A member that waits for one row while the other waits for another would wait for ever."""
    a, b, c = (nn.Parameter(torch.ones(n)) for n in (2, 3, 4))
    orders = []
    for first, second in ((a, c), (c, a)):
        team = Other()
        for p in (a, b, c):
            p.grad = None
        sums = Sums(team, [a, b, c], size=1)
        sums.begin()
        first.sum().backward()
        second.sum().backward()
        sums.finish(torch.zeros(1))
        orders.append([size for kind, size in team.told if kind == "sent"])
        assert torch.equal(b.grad, torch.zeros(3))  # no batch of ours touched it; the other's may have
    assert orders == [[4, 3, 2, 1]] * 2


def test_a_step_that_did_not_begin_exchanges_everything_at_its_end():
    layers, x = chain(), torch.randn(3, 8)
    team = Other()
    sums = Sums(team, layers.parameters(), size=1)
    for _ in range(2):
        loss_of(layers, x, team.told).backward()
        assert all(kind == "passed" for kind, _ in team.told)
        sums.finish(torch.zeros(1))
        team.told.clear()
        for parameter in layers.parameters():
            parameter.grad = None


def test_an_expert_that_is_let_go_of_takes_its_parameters_with_it():
    gc.disable()
    try:
        layers = chain()
        gone = weakref.ref(next(layers.parameters()))
        sums = Sums(Other(), layers.parameters())
        del layers, sums
        assert gone() is None
    finally:
        gc.enable()


def test_who_does_not_answer_is_told_from_within_backward():
    from wantrain.parallel import Gone

    class Silent(Other):
        def sum_of(self, row):
            raise Gone("another process of this run is gone")

    layers = chain()
    sums = Sums(Silent(), layers.parameters(), size=1)
    sums.begin()
    with pytest.raises(Gone):
        loss_of(layers, torch.randn(3, 8), []).backward()
