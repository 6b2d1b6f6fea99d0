"""Before the first step: one forward and backward of the largest bucket, thrown away.

Memory runs out in the first seconds then, with the setting to change, and not when the largest bucket is drawn for the
first time. Nothing of it stays: gradients are dropped and the expert's random numbers are put back.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wanprep.stage import UsageError
from wantrain.learn import Batch, learn

if TYPE_CHECKING:
    import torch

    from wanprep.cached import CachedDataset, CachedSample
    from wantrain.data import Cursor
    from wantrain.experts import Expert

GIB = 1024**3


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """bucket: width, height, frames. batch: samples in it. seconds: of a forward and backward, once all is compiled.

    peak: highest bytes allocated on the card, with what the optimizer will add; None on a CPU.
    """

    expert: str
    bucket: tuple[int, int, int]
    batch: int
    seconds: float
    peak: float | None

    def __str__(self) -> str:
        width, height, frames = self.bucket
        size = f"{width}x{height}x{frames}" + (f", batch {self.batch}" if self.batch > 1 else "")
        memory = "" if self.peak is None else f", {self.peak / GIB:.1f} GiB at its highest"
        return f"{self.expert}: the largest bucket ({size}) fits: {self.seconds:.2f} s a forward and backward{memory}"


def largest(expert: Expert) -> tuple[CachedDataset, tuple[CachedSample, ...]]:
    """The samples of the batch with most tokens that can come up, of the regularisation set, too; and their dataset."""
    cursors = [cursor for cursor in (expert.cursor, expert.regular) if cursor is not None]
    family = expert.settings.model_family
    found = [(cursor.dataset, _largest(expert, cursor)) for cursor in cursors]
    return max(found, key=lambda one: sum(family.tokens(s.width, s.height, s.frames) for s in one[1]))


def _largest(expert: Expert, cursor: Cursor) -> tuple[CachedSample, ...]:
    dataset, size = cursor.dataset, expert.config.batch_size
    members: dict[tuple[int, int, int], list[int]] = {}
    for index in sorted(cursor.allowed):
        sample = dataset.samples[index]
        for _ in range(min(sample.repeats, size)):
            members.setdefault((sample.width, sample.height, sample.frames), []).append(index)
    family = expert.settings.model_family
    bucket = max(members, key=lambda b: (family.tokens(*b) * min(size, len(members[b])), b))
    return tuple(dataset.samples[index] for index in members[bucket][:size])


def rehearse(expert: Expert) -> Rehearsal:
    """Forward and backward of the largest batch. UsageError when memory does not suffice."""
    import torch

    from wantrain.fast import cautious

    dataset, samples = largest(expert)
    batch = Batch(number=0, dataset=dataset, samples=samples, regular=False)
    bucket = (samples[0].width, samples[0].height, samples[0].frames)
    device = next(iter(expert.params.values())).device
    on_gpu = device.type == "cuda"
    seconds = _forward_backward(expert, batch, device)
    if seconds is None and cautious(expert.model):
        seconds = _forward_backward(expert, batch, device)
    if seconds is None:
        raise UsageError(_too_large(expert, bucket, len(samples)))
    peak = None
    if on_gpu:
        moments = 0 if expert.optimizer.state else 2 * sum(4 * p.numel() for p in expert.params.values())
        peak = float(torch.cuda.max_memory_allocated(device) + moments)
        if peak > torch.cuda.mem_get_info(device)[1]:
            raise UsageError(_too_large(expert, bucket, len(samples)))
    return Rehearsal(expert=expert.name, bucket=bucket, batch=len(samples), seconds=seconds, peak=peak)


def _forward_backward(expert: Expert, batch: Batch, device: torch.device) -> float | None:
    """Seconds of it; None when memory does not suffice."""
    import torch

    on_gpu, before = device.type == "cuda", expert.generator.get_state()
    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    try:
        for _ in range(2 if on_gpu else 1):  # the first one on a GPU compiles, chooses kernels and shows its peak
            began = time.monotonic()
            learn(expert, batch, 1 / len(batch.samples))  # logs the loss, and so waits for the GPU
            seconds = time.monotonic() - began
        return seconds
    except torch.OutOfMemoryError:
        return None
    finally:
        expert.generator.set_state(before)
        expert.optimizer.zero_grad(set_to_none=True)


def _too_large(expert: Expert, bucket: tuple[int, int, int], batch: int) -> str:
    """What does not fit, and the settings to change, the cheapest first."""
    settings, name = expert.settings, expert.name
    width, height, frames = bucket
    advice = []
    if batch > 1:
        advice.append(
            f"{name}.batch_size = {(batch + 1) // 2} (with {name}.accumulate = {2 * expert.config.accumulate})"
        )
    if len(settings.stages) > 1 and settings.compute.idle == "gpu":
        advice.append('compute.idle = "pinned"')
    if not settings.run.checkpointing and settings.compute.path != "fast":
        advice.append("run.checkpointing = true")
    if expert.config.optimizer == "AdamW":
        advice.append(f'{name}.optimizer = "AdamW8bit"')
    advice.append("smaller views (`wanprep suggest --vram GB` proposes some that fit this card)")
    return (
        f"{name}: the largest bucket, {width}x{height}x{frames} with batch {batch}, does not fit into this card. "
        f"Nothing was trained yet. Change, the cheapest first: {'; '.join(advice)}"
    )
