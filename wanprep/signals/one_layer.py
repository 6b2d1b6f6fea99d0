"""Networks of one layer of hidden units (tanh), as rules for shots and scores ask them. Their numbers lie in files
beside the modules that ask; how they were trained, in tests/benchmarks.

Shape legend: N rows of evidence, K numbers in each.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np


def answers(file: Path, names: Sequence[str], found: Iterable[Mapping[str, float]]) -> list[float]:
    """What the network of a file says of each row of evidence, which has a number for each of these names."""
    return computed(
        np.array([[it[name] for name in names] for it in found]).reshape(-1, len(names)), weights(file)
    ).tolist()


def computed(rows: np.ndarray, w: Mapping[str, np.ndarray]) -> np.ndarray:
    """float[N]: what a network says of float[N, K] evidence. w: as `weights` reads them."""
    inner = np.tanh(np.clip((rows - w["mean"]) / w["scale"], -5, 5) @ w["hidden"] + w["bias"])
    return inner @ w["out"] + w["out_bias"]


@functools.cache
def weights(file: Path) -> dict[str, np.ndarray]:
    """mean and scale of the evidence, hidden and bias, out and out_bias: float64."""
    from safetensors.numpy import load_file

    return {name: values.astype(np.float64) for name, values in load_file(file).items()}
