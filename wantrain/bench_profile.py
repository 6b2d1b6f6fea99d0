"""Where the time of one training step goes on the GPU. For `wantrain bench --profile`."""

from __future__ import annotations

import itertools
from typing import Any


def kernels(step: Any) -> str:
    """The kernels of one step by their time on the GPU."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as found:
        step()
        torch.cuda.synchronize()
    events = [e for e in found.key_averages() if _on_gpu(e)]
    events.sort(key=lambda event: -event.self_device_time_total)
    spans = sorted((e.time_range.start, e.time_range.end) for e in found.events() if _on_gpu(e))
    whole = sum(end - start for start, end in spans)
    idle = sum(max(0.0, after[0] - before[1]) for before, after in itertools.pairwise(spans))
    lines = [f"{whole / 1000:9.1f} ms in {len(spans)} kernels, {idle / 1000:.1f} ms between them"]
    lines += [f"{e.self_device_time_total / 1000:9.2f} ms {e.count:6} x {e.key[:110]}" for e in events[:45]]
    return "\n".join(lines)


def _on_gpu(event: Any) -> bool:
    """A kernel or copy; profiler marks such as `Optimizer.step` span several."""
    import torch

    return event.device_type == torch.autograd.DeviceType.CUDA and not event.key.startswith(("Optimizer.", "Activity"))
