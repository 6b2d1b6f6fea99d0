"""A small cached dataset with something to learn: each caption has its own constant latent. And how to train on it.

As a program it is the victim of the kill and interrupt tests: `toy.py kill FOLDER SEED` or `toy.py cli FOLDER ...`.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from wanprep.cached import CachedDataset, CachedSample
from wanprep.config import from_table, merge
from wanprep.families import family
from wanprep.ids import digest_bytes, write_atomic
from wanprep.models.find import require_weights
from wanprep.models.load import load_transformer
from wantrain.config import TrainConfig
from wantrain.train import TrainResult, train

TINY = family("tiny")
BASE = {"high": "base of high", "low": "base of low", "single": "base"}


def _store(root: Path, name: str, key: str, tensor: torch.Tensor) -> tuple[str, str]:
    return store_all(root, name, {key: tensor})


def store_all(root: Path, name: str, tensors: dict[str, torch.Tensor]) -> tuple[str, str]:
    from safetensors.torch import save

    data = save({key: tensor.contiguous() for key, tensor in tensors.items()})
    write_atomic(root / name, data)
    return name, digest_bytes(data)


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def toy_dataset(
    root: Path, groups: int = 5, per_group: int = 4, captions: int = 2, scale: float = 1.5
) -> CachedDataset:
    """`groups` works of `per_group` clips, 64x64x5; captions take turns, so every group shows all of them."""
    samples = []
    for number in range(groups * per_group):
        group, caption = number // per_group, number % captions
        channels = torch.randn(16, generator=torch.Generator().manual_seed(100 + caption))
        texture = torch.randn(16, 2, 8, 8, generator=torch.Generator().manual_seed(number))
        latent = (1.5 * channels[:, None, None, None] + 0.1 * texture).bfloat16()
        words = torch.randn(8, 32, generator=torch.Generator().manual_seed(1000 + caption))
        latent_path, latent_digest = _store(root, f"latent-{number}.safetensors", "latent", latent)
        text_path, text_digest = _store(root, f"text-{caption}.safetensors", "text", words)
        twin = _store(root, "text-class.safetensors", "text", torch.randn(8, 32, generator=_seeded(999)))
        samples.append(
            CachedSample(
                sample_id=f"s{number:02d}", clip_id=f"c{number:02d}", source_id=f"src{group}", group=f"g{group}",
                view="main", width=64, height=64, frames=5, repeats=1, weight=1.0, latent_path=latent_path,
                latent_digest=latent_digest, text_path=text_path, text_digest=text_digest, caption=f"caption {caption}",
                start_s=float(number % per_group), class_path=twin[0], class_digest=twin[1],
            )
        )  # fmt: skip
    empty = _store(root, "text-empty.safetensors", "text", torch.ones(1, 32))
    return CachedDataset(root, TINY, samples, empty)


def load(expert: str, device: str = "cpu") -> Any:
    """The tiny transformer of one expert."""
    return load_transformer(TINY, expert, require_weights(TINY, "transformer"), "fp32", device)


def toy_config(out: Path, drop: Sequence[str] = (), **changes: Any) -> TrainConfig:
    """A short deterministic run; `changes` are nested tables, `drop` names sections to leave out."""
    expert = {"steps": 12, "rank": 4, "lr": 5e-3}
    table = {
        "family": "tiny",
        "run": {"name": "toy", "out": str(out), "deterministic": True, "checkpointing": False},
        "experts": {"switch_every": 5},
        "high": expert, "low": expert,
        "validation": {"share": 0.2, "every": 6, "samples": 2, "sigmas": 2, "trained": 1},
        "save": {"every": 4, "keep": 2, "keep_best": 0},
    }  # fmt: skip
    return from_table(TrainConfig, {k: v for k, v in merge(table, changes).items() if k not in drop})


def train_toy(out: Path, dataset: CachedDataset, *, changes: dict[str, Any] | None = None, **more: Any) -> TrainResult:
    return train(toy_config(out, **(changes or {})), dataset, load, **({"base": BASE} | more))


def rows(folder: Path, expert: str, kind: str | None = None) -> list[dict[str, Any]]:
    """metrics.jsonl of one expert without what may differ between equal runs."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    every = [{k: v for k, v in json.loads(line).items() if k != "volatile"} for line in lines]
    return [row for row in every if row["expert"] == expert and kind in (None, row["kind"])]


KILL_CHANGES = {"high": {"steps": 120}, "low": {"steps": 80}, "save": {"every": 3}}


def kill_until_done(folder: Path, seed: int) -> None:
    """Train in forked children, each killed at a random moment, until one gets to the end. Prints the exit statuses.

    Forked, because importing torch and diffusers takes longer than the whole run; this process computes nothing.
    """
    import diffusers.training_utils  # noqa: F401
    import peft  # noqa: F401
    from diffusers import WanTransformer3DModel  # noqa: F401

    torch.set_num_threads(1)
    moments = random.Random(seed)
    statuses: list[int] = []
    while not statuses or statuses[-1] != 0:
        assert len(statuses) < 60, "the run never gets to its end"
        child = os.fork()
        if child == 0:
            try:
                train_toy(folder / "runs", toy_dataset(folder / "data"), changes=KILL_CHANGES)
            except BaseException as error:
                sys.stderr.write(f"{error!r}\n")
                os._exit(1)
            os._exit(0)
        # Long enough for some progress; after that any moment, inside a save or between two, is fair.
        deadline = time.monotonic() + (moments.uniform(0.3, 0.7) if len(statuses) < 6 else 60)
        finished, status = os.waitpid(child, os.WNOHANG)
        while not finished and time.monotonic() < deadline:
            time.sleep(0.002)
            finished, status = os.waitpid(child, os.WNOHANG)
        if not finished:
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
        statuses.append(os.waitstatus_to_exitcode(status))
        assert statuses[-1] in (0, -signal.SIGKILL), "a child failed by itself"
    print(json.dumps(statuses))


def environment() -> dict[str, str]:
    """For running this file: the repository's own modules first."""
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    return dict(os.environ) | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}


def dataset_module(dataset: CachedDataset) -> types.ModuleType:
    """A stand-in for wanprep.dataset that opens this dataset whatever folder is named."""
    module = types.ModuleType("wanprep.dataset")
    module.open_cached = lambda path: dataset  # type: ignore[attr-defined]
    return module


def cli(folder: Path, arguments: list[str]) -> None:
    """The real command line on the toy dataset."""
    from wantrain.cli import main

    sys.modules["wanprep.dataset"] = dataset_module(toy_dataset(folder / "data"))
    main(arguments, prog_name="wantrain")


if __name__ == "__main__":
    if sys.argv[1] == "kill":
        kill_until_done(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        cli(Path(sys.argv[2]), sys.argv[3:])


def strong_lora(path: Path, *, seed: int = 0) -> Path:
    """A LoRA file of the high expert: ranks 4 and (in ffn) 3, scale 2.5, values that show."""
    import torch

    from wantrain import lora

    draws = torch.Generator().manual_seed(seed)
    params = lora.add_lora(load("high"), rank=4, alpha=10.0, generator=draws, ranks={"ffn": 3})
    for parameter in params.values():
        parameter.data.normal_(0, 0.1, generator=draws)
    lora.save_lora(path, params, scale=2.5, metadata={"expert": "high"})
    return path


def delta(content: Any, module: str) -> Any:
    """What a LoRA adds to a layer's weight, float32: alpha/rank · B·A."""
    a, b = (content.tensors[f"{module}.{part}"].float() for part in ("lora_A", "lora_B"))
    return content.scales[module] * b @ a
