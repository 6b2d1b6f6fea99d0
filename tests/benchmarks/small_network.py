"""Fitting the networks of one hidden layer that `wanprep.signals.dissolves.computed` works out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Fit:
    """networks: how many, side by side, whose mean is the answer. units: hidden ones of each. rounds, rate: of Adam,
    all rows at once. small: cost of squared weights. shaken: deviation of the noise that rows get in every round, in
    units of their own. least: added to each number's deviation, so that constant ones do no harm."""

    networks: int
    units: int
    rounds: int
    rate: float
    small: float
    shaken: float
    least: float


def fitted(rows: np.ndarray, target: np.ndarray, loss: Callable[[Any, Any], Any], fit: Fit) -> dict[str, np.ndarray]:
    """float32 weights for rows float[N, K] and target float[N]. loss: of what the network says (tensor[N]) and of the
    target, a tensor; lower is better."""
    import torch

    mean, scale = rows.mean(0), rows.std(0) + fit.least
    x = torch.tensor(((rows - mean) / scale).clip(-5, 5), dtype=torch.float32)
    y = torch.tensor(target, dtype=torch.float32)
    hidden: list[Any] = []
    for seed in range(fit.networks):
        torch.manual_seed(seed)
        net = torch.nn.Sequential(
            torch.nn.Linear(rows.shape[1], fit.units), torch.nn.Tanh(), torch.nn.Linear(fit.units, 1)
        )
        optimizer = torch.optim.Adam(net.parameters(), lr=fit.rate)
        for _ in range(fit.rounds):
            optimizer.zero_grad()
            wrong = loss(net(x + fit.shaken * torch.randn_like(x))[:, 0], y)
            (wrong + fit.small * sum((p**2).sum() for p in net.parameters())).backward()
            optimizer.step()
        hidden.append([p.detach().numpy() for p in net.parameters()])
    weights = {
        "mean": mean, "scale": scale,
        "hidden": np.concatenate([w.T for w, *_ in hidden], axis=1),
        "bias": np.concatenate([b for _, b, *_ in hidden]),
        "out": np.concatenate([w[0] for *_, w, _ in hidden]) / fit.networks,
        "out_bias": np.mean([b for *_, b in hidden], axis=0),
    }  # fmt: skip
    return {name: np.ascontiguousarray(values, np.float32) for name, values in weights.items()}
