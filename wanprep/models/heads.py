"""Small heads on image embeddings: a chain of linear layers from a file, as LAION's predictors of looks are stored.

Known to fit: LAION's improved aesthetic predictor (`sac+logos+ava1-l14-linearMSE.pth`: five layers without anything
between them), its first one (`sa_0_4_vit_l_14_linear.pth`: one layer), and LAION's NSFW detector in PyTorch form
(`h14_nsfw.pth`: layers with ReLU). A state dict does not say what stands between two layers; in these files a place is
numbered for it, so that ReLU is taken to stand where the numbers leave two places free (activation and dropout), and
nothing where they leave one (dropout) or none.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wanprep.models.find import model_roots
from wanprep.stage import Missing

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")


@dataclass(frozen=True, kw_only=True)
class Head:
    """weights [out, in] and biases [out] of each layer; relu: whether one follows it."""

    path: Path
    weights: tuple[NDArray[np.float32], ...]
    biases: tuple[NDArray[np.float32], ...]
    relu: tuple[bool, ...]

    @property
    def width(self) -> int:
        """Numbers of an embedding that it takes."""
        return self.weights[0].shape[1]

    def __call__(self, embeddings_ND: NDArray[np.float32]) -> NDArray[np.float32]:
        """[N] from embeddings of length 1. ValueError for embeddings of another width."""
        if embeddings_ND.shape[1] != self.width:
            raise ValueError(f"{self.path.name} takes {self.width} numbers, not {embeddings_ND.shape[1]}")
        values = embeddings_ND.astype(np.float32)
        for weight, bias, relu in zip(self.weights, self.biases, self.relu, strict=True):
            values = values @ weight.T + bias
            values = np.maximum(values, 0) if relu else values
        return values[:, 0]


def find_head(name: str, patterns: tuple[str, ...]) -> Path | None:
    """The file of a head. name: its path, or "auto": the first of WANPREP_MODELS that matches one of `patterns`.

    None when "auto" finds none; Missing for a path that is not there.
    """
    if name != "auto":
        path = Path(name).expanduser()
        if not path.is_file():
            raise Missing(f"the head {path} is not there", 'Name its file, or "auto"')
        return path
    for root in model_roots():
        for pattern in patterns:
            found = sorted(p for p in (*root.glob(pattern), *root.glob(f"*/{pattern}")) if p.suffix in SUFFIXES)
            if found:
                return found[0]
    return None


def load_head(path: Path) -> Head:
    """A head from safetensors, or a .pth read weights_only. Missing when it is no chain that ends in one number."""
    try:
        state = _state(path)
    except Exception as error:  # safetensors, torch and pickle each have their own for a damaged file
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise Missing(f"{path} cannot be read as a head: {first}", "Download it again") from error
    layers = sorted(
        (_place(name), name) for name, value in state.items() if name.endswith("weight") and value.ndim == 2
    )
    weights = tuple(state[name] for _, name in layers)
    biases = tuple(state.get(name.removesuffix("weight") + "bias", np.zeros(len(state[name]))) for _, name in layers)
    fits = all(a.shape[0] == b.shape[1] for a, b in itertools.pairwise(weights))
    if not weights or not fits or weights[-1].shape[0] != 1:
        shapes = ", ".join(str(list(weight.shape)) for weight in weights) or "no layer"
        raise Missing(f"{path} is no chain of linear layers that ends in one number: {shapes}", "Name another file")
    places = [place for place, _ in layers]
    relu = (*(after - before >= 3 for before, after in itertools.pairwise(places)), False)
    return Head(path=path, weights=weights, biases=biases, relu=relu)


def _state(path: Path) -> dict[str, Any]:
    if path.suffix == ".safetensors":
        from safetensors.numpy import load_file

        return {name: value.astype(np.float32) for name, value in load_file(path).items()}
    import torch

    read = torch.load(path, map_location="cpu", weights_only=True)
    read = read.get("state_dict", read)
    return {name: value.float().numpy() for name, value in read.items()}


def _place(name: str) -> int:
    numbers = re.findall(r"\d+", name)
    return int(numbers[-1]) if numbers else 0
