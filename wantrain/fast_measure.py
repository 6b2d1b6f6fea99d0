"""Timing training steps of a model of full size, and comparing its gradients with float32. For `wantrain bench`."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from wanprep.costs import step_tflop, transformer_of
from wanprep.families import Family
from wantrain import fast
from wantrain.fast_model import Batch, Cut, Shape, batch_of, build_hollow, loss_of

# Dense bf16 with float32 sums, from the vendors' datasheets, by a part of the device's name.
PEAK_TFLOPS = {
    "H100 PCIe": 756,
    "H100 NVL": 835,
    "H100": 989,
    "H200": 989,
    "A100": 312,
    "L40S": 362,
    "RTX 4090": 165,
    "RTX 5090": 210,
}


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Seconds a step: median, lowest and highest by CUDA events, and by the wall clock over all steps without a break.

    host: seconds until Python has queued a step; below `median`, the GPU never waits. Bytes: highest allocated and
    reserved. start: seconds of the first step, compilation included. kept: what blocks keep, in words.
    """

    median: float
    low: float
    high: float
    wall: float
    host: float
    allocated: int
    reserved: int
    start: float
    steps: int
    loss: float
    kept: str = ""


def measure(
    step: Callable[[], torch.Tensor], *, warmups: int, steps: int, limit: float = 60.0, device: str = "cuda"
) -> Timing:
    """Time `steps` steps after `warmups`, on the current CUDA device or the CPU; the first is timed as `start`.

    Fewer of both (2 and 4 at least) where they would take more than `limit` seconds.
    """
    gpu = device.startswith("cuda")

    def alone() -> float:
        began = time.perf_counter()
        step()
        if gpu:
            torch.cuda.synchronize()
        return time.perf_counter() - began

    if gpu:
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
    start, each = alone(), alone()
    for _ in range(min(warmups - 2, int(limit / each / 4))):
        step()
    steps = min(steps, max(4, int(limit / each)))
    if gpu:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    marks, hosts, began = [_mark(gpu)], [], time.perf_counter()
    for _ in range(steps):
        before = time.perf_counter()
        loss = step()
        marks.append(_mark(gpu))
        hosts.append(time.perf_counter() - before)
    if gpu:
        torch.cuda.synchronize()
    wall = (time.perf_counter() - began) / steps
    seconds = [a.elapsed_time(b) / 1000 if gpu else b - a for a, b in itertools.pairwise(marks)]
    return Timing(
        median=statistics.median(seconds), low=min(seconds), high=max(seconds), wall=wall, host=min(hosts), start=start,
        allocated=torch.cuda.max_memory_allocated() if gpu else 0,
        reserved=torch.cuda.max_memory_reserved() if gpu else 0, steps=steps, loss=float(loss),
    )  # fmt: skip


def _mark(gpu: bool) -> Any:
    if not gpu:
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def into_reference(model: Any, *, compiled: bool = True) -> None:
    """Diffusers + peft as well as it goes without own code: checkpointing, each block compiled, the LoRA in bf16."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.bfloat16)
    model.enable_gradient_checkpointing()
    if compiled:
        model.compile_repeated_blocks(fullgraph=True, dynamic=False)


def out_of_reference(model: Any) -> None:
    """Undo `into_reference`: float32 LoRA, nothing compiled."""
    for block in model.blocks:
        block._compiled_call_impl = None
    torch._dynamo.reset()
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data, parameter.grad = parameter.data.float(), None
    model.disable_gradient_checkpointing()


def mfu(family: Family, shape: Shape, seconds: float, cut: Cut, device_name: str) -> float | None:
    """Share of the card's peak, counted on the operations of a step without recomputation.

    None for unknown cards, and for a model of another width.
    """
    peak = next((peak for part, peak in PEAK_TFLOPS.items() if part in device_name), None)
    if peak is None or cut.width is not None:
        return None
    whole = step_tflop(family, shape.tokens, "none") * cut.of(family).layers / transformer_of(family).layers
    return whole / seconds / peak


def cosines(found: dict[str, torch.Tensor], exact: dict[str, torch.Tensor]) -> tuple[float, float]:
    """Cosine of all gradients together, and the lowest of one parameter."""
    pairs = [(found[name].double().flatten(), exact[name].double().flatten()) for name in exact]
    dot = sum(float(a @ b) for a, b in pairs)
    norms = [sum(float(t @ t) for t in side) ** 0.5 for side in zip(*pairs)]
    alone = [float(torch.nn.functional.cosine_similarity(a, b, dim=0)) for a, b in pairs]
    return dot / (norms[0] * norms[1]), min(alone)


def parity(
    family: Family, shape: Shape, plans: dict[str, fast.Plan], *, cut: Cut, rank: int, device: str
) -> dict[str, Any]:
    """LoRA gradients in bf16 of a short model, by diffusers + peft and by each plan, against plain float32.

    -> "reference" and the plans' names: (cosine of all, lowest of one parameter, relative difference of the loss). All
    work on the same (bf16) weights.
    """
    results: dict[str, Any] = {}
    short = build_hollow(family, cut=cut, device=device, dtype=torch.bfloat16, rank=rank)
    model = short.model
    batch = batch_of(family, shape, model, device)

    def gradients(inputs: Batch) -> tuple[float, dict[str, torch.Tensor]]:
        model.zero_grad(set_to_none=True)
        loss = loss_of(model, inputs)
        loss.backward()
        return loss.item(), {n: p.grad.float() for n, p in model.named_parameters() if p.grad is not None}

    for number in range(len(model.blocks)):
        short.fill(number)
    trained = {name: p.data.clone() for name, p in model.named_parameters() if p.requires_grad}
    kinds = {name: parameter.dtype for name, parameter in model.named_parameters()}
    allowed = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        for parameter in model.parameters():
            parameter.data = parameter.data.float()
        wide = {name: t.float() for name, t in vars(batch).items() if torch.is_tensor(t)}
        exact = gradients(Batch(**(vars(batch) | wide)))
    finally:
        torch.backends.cudnn.allow_tf32 = allowed
    for name, parameter in model.named_parameters():
        parameter.data = parameter.data.to(torch.bfloat16 if parameter.requires_grad else kinds[name])
    loss, grads = gradients(batch)
    results["reference"] = (*cosines(grads, exact[1]), abs(loss / exact[0] - 1))
    for kind, plan in plans.items():
        del model, short
        short = build_hollow(family, cut=cut, device=device, dtype=torch.bfloat16, rank=rank)
        model = short.model
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                parameter.data.copy_(trained[name])
        fast.install(model, plan, fill=short.fill)
        loss, grads = gradients(batch)
        results[kind] = (*cosines(grads, exact[1]), abs(loss / exact[0] - 1))
    return results
