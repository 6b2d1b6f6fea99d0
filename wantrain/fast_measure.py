"""Building a full-size transformer with random weights, and timing training steps on it. For `wantrain bench`.

Random weights give true timings: the kernels do the same work on any finite numbers (not on zeros, which run faster).
"""

from __future__ import annotations

import itertools
import statistics
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from wanprep.costs import step_tflop, transformer_of
from wanprep.families import Family
from wanprep.models import lazy
from wanprep.models.lazy import Hollow
from wantrain import fast, lora

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
FP32_PARTS = ("time_embedder", "scale_shift_table", "norm1", "norm2", "norm3")  # as the class keeps them when loading


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One bucket. tokens: of one example."""

    width: int
    height: int
    frames: int
    tokens: int

    @property
    def name(self) -> str:
        return f"{self.width}x{self.height}x{self.frames}"


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


def shape_of(family: Family, width: int, height: int, frames: int) -> Shape:
    """ValueError when the size is not on the family's grid or the frames are not 4n+1."""
    if width % family.grid or height % family.grid or width < 1 or height < 1:
        raise ValueError(f"{width}x{height}: both must be multiples of {family.grid} for {family.name}")
    latent = family.latent_frames(frames)
    tokens = latent * (width // family.grid) * (height // family.grid)
    return Shape(width=width, height=height, frames=frames, tokens=tokens)


def _arguments(family: Family, layers: int | None) -> dict[str, Any]:
    sizes = transformer_of(family)
    return {
        "num_attention_heads": sizes.dim // 128, "attention_head_dim": 128, "out_channels": family.z,
        "in_channels": family.z * 2 + 4 if family.task == "i2v" else family.z, "text_dim": family.text_dim,
        "ffn_dim": sizes.ffn, "num_layers": layers or sizes.layers,
    }  # fmt: skip


def build(family: Family, *, layers: int | None, rank: int, device: str, dtype: torch.dtype, seed: int = 0) -> Any:
    """A transformer of the family with random weights, made on the device, and a LoRA on all linear layers; frozen.

    B is random too. layers: None is the family's own number.
    """
    from diffusers import WanTransformer3DModel

    torch.manual_seed(seed)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            model: Any = WanTransformer3DModel(**_arguments(family, layers))
    finally:
        torch.set_default_dtype(before)
    for name, parameter in model.named_parameters():
        if any(part in name for part in FP32_PARTS):
            parameter.data = parameter.data.float()
    return _with_lora(model, rank, seed)


def _with_lora(model: Any, rank: int, seed: int) -> Any:
    params = lora.add_lora(model, rank=rank, alpha=rank, generator=torch.Generator().manual_seed(seed))
    for name, parameter in params.items():
        if name.endswith("lora_B"):
            parameter.data.normal_(std=0.01)
    return model.eval()


def build_hollow(
    family: Family, *, layers: int | None, device: str, dtype: torch.dtype, seed: int = 0, rank: int | None = None
) -> Hollow:
    """The same without the weights of its blocks, which come at random when they are read, always the same.

    rank: of a LoRA on all linear layers; None for none.
    """
    from diffusers import WanTransformer3DModel

    with torch.device("meta"):
        model: Any = WanTransformer3DModel(**_arguments(family, layers))
    shapes = {name: parameter.shape for name, parameter in model.named_parameters()}

    def read(name: str, dtype: torch.dtype) -> torch.Tensor:
        shape = shapes[name]
        if "norm" in name:
            return torch.full(shape, float(name.endswith("weight")), dtype=dtype, device=device)
        draw = torch.Generator(device).manual_seed(seed + zlib.crc32(name.encode()))
        bound = shape[1:].numel() ** -0.5 if len(shape) > 1 else 0.01
        return torch.empty(shape, dtype=dtype, device=device).uniform_(-bound, bound, generator=draw)

    found = lazy.hollow(model, read, device, dtype)
    if rank is not None:
        _with_lora(found.model, rank, seed)
    return found


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Cached inputs of one step, on the device."""

    hidden: torch.Tensor
    wanted: torch.Tensor
    timestep: torch.Tensor
    text: torch.Tensor


def batch_of(family: Family, shape: Shape, model: Any, device: str, seed: int = 1) -> Batch:
    """Random inputs of batch size 1 in the model's type."""
    stride, draw = family.spatial_stride, torch.Generator(device).manual_seed(seed)
    room = (family.latent_frames(shape.frames), shape.height // stride, shape.width // stride)
    size = (1, model.config.in_channels, *room)
    dtype = model.patch_embedding.weight.dtype
    hidden = torch.randn(size, generator=draw, device=device)
    wanted = torch.randn((1, family.z, *room), generator=draw, device=device)
    tokens = (1, shape.tokens) if family.task == "ti2v" else (1,)
    text = torch.randn(1, family.text_len, family.text_dim, generator=draw, device=device)
    timestep = torch.full(tokens, 900.0, device=device)
    return Batch(hidden=hidden.to(dtype), wanted=wanted, timestep=timestep, text=text.to(dtype))


def loss_of(model: Any, batch: Batch) -> torch.Tensor:
    """Mean squared error in float32, as in training."""
    found = model(
        hidden_states=batch.hidden, timestep=batch.timestep, encoder_hidden_states=batch.text, return_dict=False
    )[0]
    return (found.float() - batch.wanted).square().mean()


def stepper(model: Any, batch: Batch) -> Callable[[], torch.Tensor]:
    """One training step: forward, backward, gradient clipping, AdamW. Its value is the loss, still on the device."""
    params = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(params, lr=1e-5, fused=params[0].is_cuda)

    def step() -> torch.Tensor:
        loss = loss_of(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    return step


def measure(step: Callable[[], torch.Tensor], *, warmups: int, steps: int, limit: float = 60.0) -> Timing:
    """Time `steps` steps on the current CUDA device after `warmups`; the first of these is timed as `start`.

    Fewer of both (2 and 4 at least) where they would take more than `limit` seconds.
    """
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    began = time.perf_counter()
    step()
    torch.cuda.synchronize()
    start = time.perf_counter() - began
    began = time.perf_counter()
    step()
    torch.cuda.synchronize()
    each = time.perf_counter() - began
    for _ in range(min(warmups - 2, int(limit / each / 4))):
        step()
    steps = min(steps, max(4, int(limit / each)))
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(steps + 1)]
    hosts = []
    began = time.perf_counter()
    marks[0].record()
    for mark in marks[1:]:
        before = time.perf_counter()
        loss = step()
        mark.record()
        hosts.append(time.perf_counter() - before)
    torch.cuda.synchronize()
    wall = (time.perf_counter() - began) / steps
    seconds = [a.elapsed_time(b) / 1000 for a, b in itertools.pairwise(marks)]
    return Timing(
        median=statistics.median(seconds), low=min(seconds), high=max(seconds), wall=wall, host=min(hosts), start=start,
        allocated=torch.cuda.max_memory_allocated(), reserved=torch.cuda.max_memory_reserved(), steps=steps,
        loss=float(loss),
    )  # fmt: skip


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


def mfu(family: Family, shape: Shape, seconds: float, layers: int | None, device_name: str) -> float | None:
    """Share of the card's peak, counted on the operations of a step without recomputation. None for unknown cards."""
    peak = next((peak for part, peak in PEAK_TFLOPS.items() if part in device_name), None)
    if peak is None:
        return None
    whole = step_tflop(family, shape.tokens, "none") * (layers or 1) / (transformer_of(family).layers if layers else 1)
    return whole / seconds / peak


def cosines(found: dict[str, torch.Tensor], exact: dict[str, torch.Tensor]) -> tuple[float, float]:
    """Cosine of all gradients together, and the lowest of one parameter."""
    pairs = [(found[name].double().flatten(), exact[name].double().flatten()) for name in exact]
    dot = sum(float(a @ b) for a, b in pairs)
    norms = [sum(float(t @ t) for t in side) ** 0.5 for side in zip(*pairs)]
    alone = [float(torch.nn.functional.cosine_similarity(a, b, dim=0)) for a, b in pairs]
    return dot / (norms[0] * norms[1]), min(alone)


def parity(
    family: Family, shape: Shape, plans: dict[str, fast.Plan], *, layers: int, rank: int, device: str
) -> dict[str, Any]:
    """LoRA gradients in bf16 of a short model, by diffusers + peft and by each plan, against plain float32.

    -> "reference" and the plans' names: (cosine of all, lowest of one parameter, relative difference of the loss). All
    work on the same (bf16) weights.
    """
    results: dict[str, Any] = {}
    short = build_hollow(family, layers=layers, device=device, dtype=torch.bfloat16, rank=rank)
    model = short.model
    batch = batch_of(family, shape, model, device)

    def gradients(inputs: Batch) -> tuple[float, dict[str, torch.Tensor]]:
        model.zero_grad(set_to_none=True)
        loss = loss_of(model, inputs)
        loss.backward()
        return loss.item(), {n: p.grad.float() for n, p in model.named_parameters() if p.grad is not None}

    for number in range(layers):
        short.fill(number)
    trained = {name: p.data.clone() for name, p in model.named_parameters() if p.requires_grad}
    kinds = {name: parameter.dtype for name, parameter in model.named_parameters()}
    allowed = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        for parameter in model.parameters():
            parameter.data = parameter.data.float()
        exact = gradients(Batch(
            hidden=batch.hidden.float(), wanted=batch.wanted, timestep=batch.timestep, text=batch.text.float(),
        ))  # fmt: skip
    finally:
        torch.backends.cudnn.allow_tf32 = allowed
    for name, parameter in model.named_parameters():
        parameter.data = parameter.data.to(torch.bfloat16 if parameter.requires_grad else kinds[name])
    loss, grads = gradients(batch)
    results["reference"] = (*cosines(grads, exact[1]), abs(loss / exact[0] - 1))
    for kind, plan in plans.items():
        del model, short
        short = build_hollow(family, layers=layers, device=device, dtype=torch.bfloat16, rank=rank)
        model = short.model
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                parameter.data.copy_(trained[name])
        fast.install(model, plan, fill=short.fill)
        loss, grads = gradients(batch)
        results[kind] = (*cosines(grads, exact[1]), abs(loss / exact[0] - 1))
    return results
