"""Where the time of training steps goes on the GPU: kernels by their time, and when none of them runs.

For `wantrain bench --profile` and `--idle`. On a CPU torch's operators stand for kernels, so that tests can run it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from wantrain.observe import Observer

WAITING = 50e-6  # seconds: what kernels that are queued leave between them is a few microseconds


@dataclass(frozen=True, kw_only=True)
class Idle:
    """Seconds from the first interval's begin to the last one's end, and how much of them no interval covers.

    busy: covered by at least one. waiting: in gaps longer than `WAITING`, where nothing was queued. longest: gap.
    """

    wall: float
    busy: float
    waiting: float
    longest: float
    count: int

    @property
    def share(self) -> float:
        """Idle time, all gaps."""
        return 1 - self.busy / self.wall if self.wall else 0.0

    @property
    def waiting_share(self) -> float:
        """Idle time that faster kernels would not have: the GPU waits for the host."""
        return self.waiting / self.wall if self.wall else 0.0


def idle_of(intervals: Iterable[tuple[float, float]]) -> Idle:
    """Of (begin, end) in seconds, in any order; they may overlap. ValueError without any."""
    spans = sorted(intervals)
    if not spans:
        raise ValueError("no interval: nothing was traced")
    first = end = spans[0][0]
    busy, waiting, longest = 0.0, 0.0, 0.0
    for begin, until in spans:
        gap = max(0.0, begin - end)
        longest, waiting = max(longest, gap), waiting + (gap if gap > WAITING else 0.0)
        busy += max(0.0, until - max(begin, end))
        end = max(end, until)
    wall = end - first
    return Idle(wall=wall, busy=busy, waiting=waiting, longest=longest, count=len(spans))


class Tracer(Observer):
    """Traces steps `first` + 1 to `last` of a run, reading, logging and all. `found` is there after the last."""

    def __init__(self, first: int, last: int, *, gpu: bool) -> None:
        if not 0 < first < last:
            raise ValueError(f"steps {first} to {last}: they must rise from 1")
        self.first, self.last, self.gpu = first, last, gpu
        self.seen, self.profiler, self.found = 0, None, None  # type: int, Any, Idle | None

    def step(self, row: Mapping[str, Any], seconds: float, waits: Mapping[str, float]) -> None:
        self.seen += 1
        if self.seen == self.first:
            self._begin()
        elif self.seen == self.last and self.profiler is not None:
            self.profiler.__exit__(None, None, None)
            self.found = idle_of(spans(self.profiler, gpu=self.gpu))
            self.profiler = None

    def _begin(self) -> None:
        from torch.profiler import ProfilerActivity, profile

        kind = ProfilerActivity.CUDA if self.gpu else ProfilerActivity.CPU
        self.profiler = profile(activities=[kind])
        self.profiler.__enter__()


def spans(profiler: Any, *, gpu: bool) -> list[tuple[float, float]]:
    """(begin, end) in seconds of the kernels in a finished profile; without copies from and to the host, which run
    beside them.
    """
    wanted = [e for e in profiler.events() if (_on_gpu(e) if gpu else e.cpu_parent is None)]
    return [
        (e.time_range.start / 1e6, e.time_range.end / 1e6)
        for e in wanted
        if not e.name.startswith(("Memcpy HtoD", "Memcpy DtoH"))
    ]


def kernels(step: Any) -> str:
    """The kernels of one step by their time on the GPU."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as found:
        step()
        torch.cuda.synchronize()
    events = [e for e in found.key_averages() if _on_gpu(e)]
    events.sort(key=lambda event: -event.self_device_time_total)
    idle = idle_of(spans(found, gpu=True))
    lines = [f"{idle.busy * 1000:9.1f} ms in {idle.count} kernels, {(idle.wall - idle.busy) * 1000:.1f} ms idle"]
    lines += [f"{e.self_device_time_total / 1000:9.2f} ms {e.count:6} x {e.key[:110]}" for e in events[:45]]
    return "\n".join(lines)


def _on_gpu(event: Any) -> bool:
    """A kernel or copy; profiler marks such as `Optimizer.step` span several."""
    import torch

    marked = getattr(event, "is_user_annotation", False) or event.key.startswith(("Optimizer.", "Activity", "Profiler"))
    return event.device_type == torch.autograd.DeviceType.CUDA and not marked
