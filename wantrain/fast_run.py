"""A whole training run on random weights and random samples, timed: both experts, data, switches and all.

`measure` in fast_measure.py times steps alone; here the real `train()` runs, so that what a user waits for is in it:
reading samples, logging, bringing the other expert in. Host memory is the process's peak.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from wanprep.cached import CachedDataset, CachedSample
from wanprep.config import from_table
from wanprep.families import Family, family
from wanprep.ids import digest_bytes, write_atomic
from wantrain.config import TrainConfig
from wantrain.fast_measure import Shape, build_hollow, shape_of
from wantrain.observe import Observer
from wantrain.train import train

SETTLE = 2  # steps of a turn that are not counted in the median: new shapes, another expert's clock


# What a case sets in [compute]. Capped ones show that it fits, not how fast a smaller card is.
RUNS: dict[str, dict[str, Any]] = {
    "gpu": {"idle": "gpu"},
    "pinned": {"idle": "pinned"},
    "disk": {"idle": "disk"},
    "fp8-gpu": {"base": "fp8", "idle": "gpu"},
    "fp8-pinned": {"base": "fp8", "idle": "pinned"},
    "fp8-22.5": {"base": "fp8", "idle": "pinned", "cap": 22.5},
    "fp8-15.5": {"base": "fp8", "idle": "pinned", "cap": 15.5},
    "fp8-22.5-ram": {"base": "fp8", "idle": "pinned", "cap": 22.5, "ram": 24.0},
    "fp8-22.5-host": {"base": "fp8", "idle": "pinned", "cap": 22.5, "activations": 16.0},
    "bf16-22.5": {"idle": "pinned", "cap": 22.5},
}


class _Heard(Observer):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str, *, problem: bool = False) -> None:
        if problem or "path (" in text or "bucket" in text:
            self.said.append(text)


def dataset_of(root: Path, model: Family, shape: Shape, count: int = 4) -> CachedDataset:
    """`count` samples of noise in one bucket."""
    from safetensors.torch import save

    def store(name: str, **tensors: torch.Tensor) -> tuple[str, str]:
        data = save(tensors)
        write_atomic(root / name, data)
        return name, digest_bytes(data)

    stride, draw = model.spatial_stride, torch.Generator().manual_seed(0)
    size = (model.z, model.latent_frames(shape.frames), shape.height // stride, shape.width // stride)
    text = store("text.safetensors", text=torch.randn(model.text_len, model.text_dim, generator=draw).bfloat16())
    samples = []
    for number in range(count):
        tensors = {"latent": torch.randn(size, generator=draw).bfloat16()}
        if model.task == "i2v":
            tensors["condition"] = torch.randn(size, generator=draw).bfloat16()
        path, digest = store(f"latent-{number}.safetensors", **tensors)
        samples.append(CachedSample(
            sample_id=f"s{number}", clip_id=f"c{number}", source_id="noise", group="noise", view="main",
            width=shape.width, height=shape.height, frames=shape.frames, repeats=1, weight=1.0, latent_path=path,
            latent_digest=digest, text_path=text[0], text_digest=text[1], caption="noise",
        ))  # fmt: skip
    return CachedDataset(root, model, samples, text)


def timed_run(
    model: Family, shape: Shape, compute: dict[str, Any], *, rank: int, steps: int, switch_every: int,
    layers: int | None = None, device: str = "cuda", dtype: torch.dtype = torch.bfloat16,
    stages: tuple[str, ...] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Train every expert for `steps` steps in turns of `switch_every`; what it took.

    -> median: of a step, after the first two of each turn. switch: median seconds of bringing the other expert in,
    without the very first turn of each. share: of the time, what switching and settling cost. allocated: peak bytes on
    the card; rss: of the process in host memory. said: which path, how many blocks streamed.
    """
    names = model.experts if stages is None else stages
    own = {"steps": steps, "rank": rank, "lr": 1e-5}
    with tempfile.TemporaryDirectory() as folder:
        config = from_table(TrainConfig, {
            "family": model.name, "run": {"out": folder, "name": "bench", "dtype": "bf16"}, "compute": compute,
            "experts": {"switch_every": switch_every, "stages": list(names)}, **dict.fromkeys(names, own),
            "validation": {"share": 0.0}, "save": {"every": 10**6},
        })  # fmt: skip
        dataset = dataset_of(Path(folder), model, shape)
        began, heard = time.time(), _Heard()

        def opened(expert: str, where: str) -> Any:
            return build_hollow(model, layers=layers, device=where, dtype=dtype, seed=model.experts.index(expert))

        result = train(
            config, dataset, lambda *_: None, open_model=opened, base=dict.fromkeys(names, "random"),  # type: ignore[arg-type, return-value]
            device=device, observers=[heard],
        )  # fmt: skip
        rows = [json.loads(line) for line in (result.folder / "metrics.jsonl").read_text().splitlines()]
        whole = time.time() - began
    return _summary([row for row in rows if row["kind"] == "step"], switch_every) | {
        "allocated": torch.cuda.max_memory_allocated() if device == "cuda" else 0,
        "reserved": torch.cuda.max_memory_reserved() if device == "cuda" else 0,
        "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, "whole": whole,
        "said": "; ".join(heard.said),
    }  # fmt: skip


def _summary(rows: list[dict[str, Any]], switch_every: int) -> dict[str, Any]:
    turns: list[list[dict[str, Any]]] = []
    for row in rows:
        if not turns or "switch_s" in row["volatile"]:
            turns.append([])
        turns[-1].append(row)
    settled = [row["volatile"]["seconds"] for turn in turns for row in turn[SETTLE:]]
    if not settled:
        raise ValueError(f"turns of {switch_every} steps are too short; at least {SETTLE + 1} are needed")
    later = turns[len({row["expert"] for row in rows}) :]
    entered = [turn[0]["volatile"]["switch_s"] for turn in later]
    median = statistics.median(settled)
    found: dict[str, Any] = {"median": median, "low": min(settled), "high": max(settled), "steps": len(settled)}
    found["loss"] = rows[-1]["loss"]
    if entered:
        whole = sum(row["volatile"]["seconds"] for turn in later for row in turn) + sum(entered)
        count = sum(len(turn) for turn in later)
        found |= {"switch": statistics.median(entered), "share": 1 - count * median / whole}
    return found


def apart(name: str, model: Family, shape: Shape, **more: Any) -> dict[str, Any]:
    """`timed_run` of a case of RUNS in a process of its own, so that its memory is its own. -> its row, or `error`."""
    asked = json.dumps([name, model.name, shape.width, shape.height, shape.frames, more])
    done = subprocess.run([sys.executable, "-m", "wantrain.fast_run", asked], capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit code {done.returncode}"]
        return {"error": lines[-1][:300], "trace": "\n".join(lines[-12:])}
    return json.loads(done.stdout.splitlines()[-1])


def line(row: dict[str, Any]) -> str:
    """One row as text."""
    head = f"{row['case']:15}{row['shape']:12}"
    if "error" in row:
        return f"{head}{row['error']}"
    switch = f"{row['switch']:8.3f}{row['share']:7.1%}" if "switch" in row else f"{'':15}"
    return (
        f"{head}{row['median']:8.3f}{row['low']:8.3f}{row['high']:8.3f}{switch}{row['allocated'] / 2**30:8.1f}"
        f"{row['reserved'] / 2**30:7.1f}{row['rss'] / 2**30:7.1f}{row['whole']:7.0f}  {row['said']}"
    )


HEADER = (
    f"{'run':15}{'shape':12}{'s/step':>8}{'low':>8}{'high':>8}{'switch':>8}{'share':>7}{'GiB':>8}{'resvd':>7}"
    f"{'RAM':>7}{'whole':>7}  what was said"
)


if __name__ == "__main__":
    case, known, width, height, frames, given = json.loads(sys.argv[1])
    found = family(known)
    print(json.dumps(timed_run(found, shape_of(found, width, height, frames), RUNS[case], **given)))  # noqa: T201
