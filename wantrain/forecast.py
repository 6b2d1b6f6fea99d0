"""How long a run takes, what it costs and what memory it needs, before anything is loaded. Arithmetic only: no torch.

Time is the operations of `wanprep.costs` (nothing counted twice for recomputation) over the card's dense bf16 rate and
the share of it that is reached: 50–54 % were measured with the fast path on an H100, 34–40 % with diffusers + peft
(docs/performance.md). Other cards are taken to reach the same share, which nobody has measured here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wanprep import costs
from wanprep.costs import GIB, Bucket, Weights
from wanprep.families import Family
from wantrain import memory
from wantrain.config import TrainConfig
from wantrain.ram import Load, Ram

REACHED = {"fast": 0.52, "reference": 0.37}
CONTEXT = 0.75 * GIB  # bytes of a card that are not the allocator's to give
BYTES = {"full": 2.0, "fp8": 1.0, "nf4": 4.25 / 8}  # of a frozen weight, see fp8.py and nf4.py
OVERHEAD = 1.0  # GiB beside the tensors: CUDA's context and what fragments


@dataclass(frozen=True, kw_only=True)
class Card:
    """tflops: dense bf16 with fp32 sums, from the maker's data sheets. gib: memory."""

    tflops: float
    gib: float


# What a device's name contains -> the card; the first that fits.
CARDS = {
    "RTX 4070 Ti SUPER": Card(tflops=88, gib=16), "RTX 4070 Ti": Card(tflops=80, gib=12),
    "RTX 4080": Card(tflops=97, gib=16),
    "RTX 3090": Card(tflops=71, gib=24), "RTX 4090": Card(tflops=165, gib=24), "RTX 5090": Card(tflops=209, gib=32),
    "L40S": Card(tflops=362, gib=48), "RTX 6000 Ada": Card(tflops=364, gib=48), "A6000": Card(tflops=155, gib=48),
    "A100": Card(tflops=312, gib=80), "H100": Card(tflops=989, gib=80), "H200": Card(tflops=989, gib=141),
}  # fmt: skip
SHOWN = ("RTX 4090", "A100", "H100")  # without a card of our own


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """hours: expert -> of its steps on the card. step_s: expert -> mean seconds a step. cost: hours times the price.

    vram: GiB on the card of one expert with full recomputation, the least that the largest bucket needs. host: GiB of
    main memory for an expert that waits there. ram: GiB of main memory in all; streamed: blocks that the card has no
    room for; problem: why the largest bucket cannot be trained so.
    """

    card: str
    hours: dict[str, float]
    step_s: dict[str, float]
    cost: float | None
    vram: float
    host: float
    ram: float = 0.0
    streamed: int = 0
    problem: str = ""

    @property
    def total_hours(self) -> float:
        return sum(self.hours.values())


def card_named(device_name: str) -> str | None:
    """The card of `CARDS` that a device's name (as torch gives it) or a setting stands for; None when unknown."""
    plain = device_name.lower()
    return next((name for name in CARDS if name.lower() in plain), None)


def forecast(config: TrainConfig, visits: Mapping[Bucket, float], card: str) -> Forecast | None:
    """Of a settled run; None without samples or a cost model of the family.

    visits: draws of an epoch in each bucket, or the parts that they are of all.
    """
    family = config.model_family
    if family.name not in costs.TRANSFORMERS or not visits:
        return None
    path = "reference" if config.compute.path == "reference" else "fast"
    rate = CARDS[card].tflops * REACHED[path]
    step_s, hours = {}, {}
    for name in config.stages:
        own = config.expert(name)
        step_s[name] = _sample_tflop(config, family, visits) * own.batch_size * own.accumulate / rate
        hours[name] = step_s[name] * own.steps / 3600
    price = config.run.price
    vram = max(_needed(config, name, visits) for name in config.stages) / GIB + OVERHEAD
    found, streamed, problem = host_memory(config, visits, CARDS[card].gib)
    return Forecast(
        card=card, hours=hours, step_s=step_s, cost=None if price is None else price * sum(hours.values()), vram=vram,
        host=_waiting(config, CARDS[card].gib - vram), ram=found.total / GIB, streamed=streamed, problem=problem,
    )  # fmt: skip


def _sample_tflop(config: TrainConfig, family: Family, visits: Mapping[Bucket, float]) -> float:
    """Of the mean draw. Preservation adds a forward of the base, and a forward and backward, to every draw."""
    total = 0.0
    for (width, height, frames), count in visits.items():
        tokens = family.tokens(width, height, frames)
        step = costs.step_tflop(family, tokens, "none")
        total += count * (step + (step + costs.forward_tflop(family, tokens) if config.loss.preservation else 0.0))
    return total / sum(visits.values())


def _base(config: TrainConfig) -> Weights:
    return "bf16" if config.compute.base == "full" else config.compute.base


def _needed(config: TrainConfig, expert: str, visits: Mapping[Bucket, float]) -> float:
    own, family = config.expert(expert), config.model_family
    tokens = max(family.tokens(*bucket) for bucket in visits)
    return costs.training_memory(family, tokens, weights=_base(config), rank=own.rank, batch=own.batch_size).total


def _waiting(config: TrainConfig, free: float) -> float:
    """GiB of the weights of an expert that waits in main memory, where the card has `free` GiB beside the other."""
    if len(config.stages) == 1 or config.experts.schedule == "sequential" or config.compute.idle in ("gpu", "disk"):
        return 0.0
    weights = costs.training_memory(config.model_family, 1, weights=_base(config)).weights / GIB
    return 0.0 if config.compute.idle == "auto" and weights < free else weights


def host_memory(config: TrainConfig, visits: Mapping[Bucket, float], gib: float) -> tuple[Ram, int, str]:
    """(main memory on a card of `gib` GiB, blocks streamed, what stands against it), as the fast path will arrange it.

    Where experts take turns the idle one is taken to wait as set ("auto": in page-locked memory).
    """
    family, own = config.model_family, config.compute
    sizes = costs.transformer_of(family)
    expert = max((config.expert(name) for name in config.stages), key=lambda one: one.rank)
    trained, outside = costs.lora_params(family, expert.rank), 2.0 * costs.other_params(family)
    block = costs.block_params(family) * BYTES[own.base] / sizes.layers
    turns = config.experts.schedule != "sequential"
    load = Load(
        layers=sizes.layers, block=block, trained=trained, outside=outside,
        experts=len(config.stages) if turns else 1, idle="pinned" if own.idle == "auto" else own.idle,
        averages=bool(expert.ema),
    )  # fmt: skip
    shape = memory.Sizes(
        layers=sizes.layers, dim=sizes.dim, inner=sizes.ffn, heads=sizes.dim // 128, fp8=own.base == "fp8",
        nf4=own.base == "nf4",
        image=costs.CLIP_TOKENS if family.clip_embeds else 0,
    )  # fmt: skip
    limit = None if own.ram is None else own.ram * GIB
    wanted = None if isinstance(own.activations, str) else own.activations * GIB
    if isinstance(own.stream, int):
        streamed = min(own.stream, sizes.layers)
        return load.ram(streamed, load.left(limit, streamed, wanted) if wanted else 0.0), streamed, ""
    try:
        streamed, kept = memory.settle(
            shape, max(family.tokens(*bucket) for bucket in visits), expert.batch_size, block=int(block),
            total=min(gib - CONTEXT / GIB, own.cap or gib) * GIB, most=load.most(limit), wanted=wanted,
            fixed=memory.fixed_bytes(trained, outside, averages=bool(expert.ema)),
            left=lambda size, count: load.left(limit, count, size),
        )  # fmt: skip
    except ValueError as error:
        return load.ram(), 0, str(error)
    return load.ram(streamed, kept), streamed, ""


def forecast_lines(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """For people, of forecasts as the plan holds them: time and cost on each card, then memory, the same on all."""
    told = []
    for one in found:
        steps = ", ".join(f"{name} {seconds:.2f} s/step" for name, seconds in one["step_s"].items())
        cost = "" if one["cost"] is None else f", costs {one['cost']:.2f}"
        larger = one["vram"] > CARDS[one["card"]].gib
        streams = larger and not one["problem"]
        slower = "; the largest bucket is larger than the card, so blocks are streamed, slower" if streams else ""
        waiting = f", {one['ram']:.1f} GiB of main memory"
        waiting += f" ({one['host']:.0f} of them for the idle expert)" if one["host"] else ""
        waiting += f", {one['streamed']} blocks streamed" if one["streamed"] else ""
        waiting += f"; does not fit: {one['problem']}" if one["problem"] else ""
        told.append(f"forecast for one {one['card']}: {clock(one['total_hours'])} ({steps}){cost}{waiting}{slower}")
    if found:
        told.append(f"the largest bucket needs {found[0]['vram']:.1f} GiB of VRAM when nothing is streamed")
    return told


def clock(hours: float) -> str:
    minutes = round(hours * 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"
