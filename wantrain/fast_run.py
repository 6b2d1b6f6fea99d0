"""A whole training run on random weights and random samples, timed: both experts, data, switches and all.

`measure` in fast_measure.py times steps alone; here the real `train()` runs, so that what a user waits for is in it:
reading samples, logging, bringing the other expert in, a guest on the card. Host memory is the process's peak.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from wanprep.cached import CachedDataset, CachedSample
from wanprep.config import from_table
from wanprep.engines.children import PYTHON
from wanprep.families import Family, family
from wanprep.ids import digest_bytes, write_atomic
from wantrain import parallel
from wantrain.bench_profile import Tracer
from wantrain.config import TrainConfig
from wantrain.fast_model import IMAGE_DIM, WHOLE, Cut, Shape, build_hollow
from wantrain.observe import Course, Observer
from wantrain.train import train

SETTLE = 2  # steps of a turn that are not counted in the median: new shapes, another expert's clock
DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}


@dataclass(frozen=True, kw_only=True)
class Job:
    """A run to time. compute: what it sets in [compute]. stages: experts; none is all of the family's.

    turn: steps until the other expert's turn. trace: the idle share of the GPU is looked for, over the second half of
    the steps. guest: GiB that a process like a preview's wants on the card in the middle of the run; training waits for
    it with its experts in host memory. curve: the loss of every step is told.
    """

    family: str
    shape: Shape
    compute: Mapping[str, Any] = field(default_factory=dict)
    cut: Cut = WHOLE
    rank: int = 32
    steps: int = 30
    turn: int = 10
    stages: tuple[str, ...] = ()
    schedule: str = "alternate"
    accumulate: int = 1
    lr: float = 1e-5
    device: str = "cuda"
    dtype: str = "bf16"
    trace: bool = False
    guest: float | None = None
    curve: bool = False

    @property
    def model(self) -> Family:
        return family(self.family)

    @property
    def experts(self) -> tuple[str, ...]:
        return self.stages or self.model.experts


class Heard(Observer):
    """What a run says that has one of `words` in it, and every problem."""

    def __init__(self, *words: str) -> None:
        self.words, self.said = words, []  # type: tuple[str, ...], list[str]

    def say(self, text: str, *, problem: bool = False) -> None:
        if problem or any(word in text for word in self.words):
            self.said.append(text)


GUEST = """
import sys, torch
device, size = sys.argv[1], float(sys.argv[2])
free = torch.cuda.mem_get_info()[0] if device.startswith("cuda") else 0
held = torch.empty(int(size * 2**30), dtype=torch.uint8, device=device)
work = torch.randn(1024, 1024, device=device)
for _ in range(20):
    work = torch.nn.functional.normalize(work @ work)
held.fill_(1)
print(free, float(work.sum()))
"""


class Guest(Observer):
    """Somebody else on the card, once: what a preview on the training GPU does to a run, without a pipeline's weights.

    `told`: seconds of the whole pause, of putting the experts away, of the guest, and of bringing them back; bytes that
    were free for it.
    """

    def __init__(self, at: int, size: float, device: str) -> None:
        self.at, self.size, self.device, self.seen = at, size, device, 0
        self.course: Course | None = None
        self.told: dict[str, Any] = {}

    def begin(self, course: Course) -> None:
        self.course = course

    def step(self, row: Mapping[str, Any], seconds: float, waits: Mapping[str, float]) -> None:
        self.seen += 1
        if self.seen != self.at or self.course is None:
            return
        _wait(self.device)  # for the step that is under way
        marks = [time.perf_counter()]
        with self.course.parked():
            _wait(self.device)
            marks.append(time.perf_counter())
            command = [*PYTHON, "-c", GUEST, self.device, str(self.size)]
            done = subprocess.run(command, capture_output=True, text=True)
            marks.append(time.perf_counter())
        _wait(self.device)
        marks.append(time.perf_counter())
        if done.returncode:
            self.told = {"guest_error": done.stderr.strip().splitlines()[-1][:300]}
            return
        put, guest, back = (later - earlier for earlier, later in itertools.pairwise(marks))
        self.told = {
            "pause": marks[-1] - marks[0], "put_away": put, "guest": guest, "brought_back": back,
            "guest_free": int(done.stdout.split()[0]),
        }  # fmt: skip


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


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
        if model.clip_embeds:
            tensors["image"] = torch.randn(257, IMAGE_DIM, generator=draw).bfloat16()
        path, digest = store(f"latent-{number}.safetensors", **tensors)
        samples.append(CachedSample(
            sample_id=f"s{number}", clip_id=f"c{number}", source_id="noise", group="noise", view="main",
            width=shape.width, height=shape.height, frames=shape.frames, repeats=1, weight=1.0, latent_path=path,
            latent_digest=digest, text_path=text[0], text_digest=text[1], caption="noise",
        ))  # fmt: skip
    return CachedDataset(root, model, samples, text)


def timed_run(job: Job) -> dict[str, Any]:
    """Train every expert of the job in turns; what it took. With WORLD_SIZE set, as one process of several.

    -> median: of a step, after the first two of each turn. switch: median seconds of bringing the other expert in,
    without the very first turn of each. share: of the time, what switching and settling cost. allocated: peak bytes on
    the card; rss: of the process in host memory. said: which path, how many blocks streamed. idle, waiting, longest
    with `trace`; pause and its parts with `guest`; losses with `curve`: expert -> of every step.
    """
    began, heard, gpu = time.time(), Heard("path (", " fits: "), job.device.startswith("cuda")
    whole = job.steps * len(job.experts)
    tracer = Tracer(whole // 2, whole - 2, gpu=gpu) if job.trace else None
    guest = Guest(whole // 2, job.guest, job.device) if job.guest is not None else None
    with contextlib.ExitStack() as stack:
        # A team's members write into one folder, which the first of them names.
        rank, world, device = stack.enter_context(parallel.joined(job.device))
        folder = Path(_shared(stack.enter_context(tempfile.TemporaryDirectory()), world))
        config = _config(job, folder)
        own = folder / f"data-{rank}"
        own.mkdir()
        result = train(
            config, dataset_of(own, job.model, job.shape), lambda *given: _opened(job, *given, whole=True),
            open_model=lambda *given: _opened(job, *given), base=dict.fromkeys(job.experts, "random"), device=device,
            observers=[one for one in (heard, tracer, guest) if one is not None],
            team=parallel.team_of(config, rank, world),
        )  # fmt: skip
        rows = [json.loads(line) for line in (result.folder / "metrics.jsonl").read_text().splitlines()]
        if world > 1:
            torch.distributed.barrier()
    steps = [row for row in rows if row["kind"] == "step"]
    # Where experts train beside each other their lines stand in one file: each process tells of its own.
    mine = config.stages if world == 1 or job.schedule != "parallel" else (config.stages[rank],)
    found = _summary([row for row in steps if row["expert"] in mine], job.turn) | {
        "allocated": torch.cuda.max_memory_allocated() if gpu else 0,
        "reserved": torch.cuda.max_memory_reserved() if gpu else 0,
        "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, "whole": time.time() - began,
        "said": "; ".join(heard.said),
    }  # fmt: skip
    if tracer is not None and tracer.found is not None:
        idle = tracer.found
        found |= {"idle": idle.share, "waiting": idle.waiting_share, "longest": idle.longest, "kernels": idle.count}
    if job.curve:
        found["losses"] = {name: [r["loss"] for r in steps if r["expert"] == name] for name in job.experts}
    return found | (guest.told if guest is not None else {})


def _shared(folder: str, world: int) -> str:
    """The folder that the first process has made, for all."""
    if world == 1:
        return folder
    names = [folder]
    torch.distributed.broadcast_object_list(names, src=0)
    return names[0]


def _config(job: Job, folder: Path) -> TrainConfig:
    expert = {"steps": job.steps, "rank": job.rank, "lr": job.lr, "accumulate": job.accumulate, "warmup": 0,
              "schedule": "constant"}  # fmt: skip
    return from_table(TrainConfig, {
        "family": job.family, "compute": dict(job.compute),
        "run": {"out": str(folder), "name": "bench", "dtype": "bf16", "checkpointing": False},
        "experts": {"switch_every": job.turn, "stages": list(job.experts), "schedule": job.schedule},
        **dict.fromkeys(job.experts, expert), "validation": {"share": 0.0}, "save": {"every": 10**6},
    })  # fmt: skip


def _opened(job: Job, expert: str, where: str, *, whole: bool = False) -> Any:
    """An expert with weights that its name gives; `whole`: the model itself, its blocks read."""
    seed = job.model.experts.index(expert)
    hollow = build_hollow(job.model, cut=job.cut, device=where, dtype=DTYPES[job.dtype], seed=seed)
    for number in range(len(hollow.model.blocks)) if whole else ():
        hollow.fill(number)
    return hollow.model if whole else hollow


def _summary(rows: list[dict[str, Any]], turn: int) -> dict[str, Any]:
    turns: list[list[dict[str, Any]]] = []
    for row in rows:
        if not turns or "switch_s" in row["volatile"]:
            turns.append([])
        turns[-1].append(row)
    settled = [row["volatile"]["seconds"] for turn in turns for row in turn[SETTLE:]]
    if not settled:
        raise ValueError(f"turns of {turn} steps are too short; at least {SETTLE + 1} are needed")
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
