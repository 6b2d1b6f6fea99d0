"""Fitting the networks of one hidden layer that `wanprep.signals.one_layer.computed` works out, from cached films."""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
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


def arguments(about: str | None) -> argparse.Namespace:
    """Of a script that fits one; about: its docstring."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "cutbench")
    parser.add_argument("--media", type=Path, default=Path(__file__).resolve().parents[3] / "shared/media/dev")
    parser.add_argument("--folds", type=int, default=0)
    return parser.parse_args()


@contextlib.contextmanager
def workers() -> Iterator[Callable[..., list[Any]]]:
    """A process a core; they work out a function of each job, a tuple of arguments, in order. Spawned: decoders keep
    threads that do not survive a fork."""
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        yield lambda work, jobs: list(pool.map(work, *zip(*jobs), chunksize=1))


def joined(found: Sequence[tuple[np.ndarray, ...]]) -> tuple[np.ndarray, ...]:
    """The rows of all films, one below the other."""
    return tuple(np.concatenate(part) for part in zip(*found))


def folds(found: Sequence[tuple[np.ndarray, ...]], count: int) -> Iterator[tuple[tuple[np.ndarray, ...], ...]]:
    """(rows of the other films, rows of the part's own) of so many parts; every `count`th film is of one."""
    for fold in range(count):
        own = [it for i, it in enumerate(found) if i % count == fold]
        yield joined([it for i, it in enumerate(found) if i % count != fold]), joined(own)
