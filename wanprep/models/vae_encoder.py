"""Which way frames become latents on this machine, how much memory that takes, and the encoding itself.

On a GPU the fast encoder in half precision, elsewhere (and with `path = "plain"`, in fp32 and in tiles) diffusers' own
class. Half precision means fp16 unless bf16 is asked for: at the same speed its latents are ten times nearer to those
of fp32. Its range is smaller, so every latent is looked at: a clip that overflows is encoded again in bf16.

The fast encoder cuts its work to the memory that is free (`vae_plan`), which changes no value.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wanprep.models import vae as codec
from wanprep.models import vae_plan
from wanprep.stage import Missing

if TYPE_CHECKING:
    import torch

    from wanprep.models.vae_plan import Plan

SMALLER = 0.85  # of what a plan takes is allowed to the next one, when memory was short


@dataclass(kw_only=True)
class Job:
    """An encoding under way on the device; `done` waits for it.

    pixels [F, H, W, 3], raw [z, T, h, w]. condition: of the first frame and mid-grey ones. compute: the type it runs
    in. plan: how it was cut, where it is the fast encoder's.
    """

    encoder: LatentEncoder
    pixels: torch.Tensor
    raw: torch.Tensor
    condition: bool
    compute: str
    plan: Plan | None
    event: Any = None

    def done(self) -> tuple[torch.Tensor, str]:
        """The normalised latent, float32 [z, T, h, w] on the CPU, and the type it was computed in.

        RuntimeError when it is not finite in any type that may be tried.
        """
        import torch

        if self.event is not None:
            self.event.synchronize()
        latent = codec.standardised(self.encoder.config, self.raw.cpu())
        if torch.isfinite(latent).all():
            return latent, self.compute
        if self.compute == "fp16" and self.encoder.may_fall_back:
            return self.encoder.start(self.pixels, condition=self.condition, compute="bf16").done()
        way = "; its weights are damaged" if self.compute == "fp32" else "; try cache.vae_compute = 'fp32'"
        raise RuntimeError(f"the VAE gave values that are not finite in {self.compute}{way}")


class LatentEncoder:
    """Encodes clips one by one. Work on a GPU only begins in `start`, so that the next clip can be given meanwhile.

    load: dtype name ("fp32", "fp16", "bf16") -> diffusers' AutoencoderKLWan on the device, without gradients.
    compute: "auto" (fp16 on a GPU, bf16 where that overflows; fp32 elsewhere) or one of those names.
    """

    def __init__(
        self, load: Callable[[str], Any], device: str, *, compute: str = "auto", path: str = "fast",
        tiling: bool = False,
    ) -> None:  # fmt: skip
        self.load, self.device, self.tiling = load, device, tiling
        on_gpu = device.startswith("cuda")
        self.may_fall_back = compute == "auto"
        self.compute = ("fp16" if on_gpu else "fp32") if compute == "auto" else compute
        self.fast = path == "fast" and on_gpu and not tiling and self.compute != "fp32"
        self._made: dict[str, Callable[..., torch.Tensor]] = {}
        self._plans: dict[tuple[int, int, int], Plan] = {}
        self._lock = threading.RLock()
        self.config: Any = None

    @property
    def path(self) -> str:
        return "fast" if self.fast else "plain"

    @functools.cached_property
    def kernels(self) -> str:
        from wanprep.models.vae_fast import kernels

        return kernels()

    def prepare(self) -> None:
        """Load the weights now, where there is one caller, rather than with the first clip."""
        self._encode_in(self.compute)

    def start(self, pixels_FHWC: torch.Tensor, *, condition: bool = False, compute: str | None = None) -> Job:
        """pixels: uint8 [4n+1, H, W, 3], or float32 in [-1, 1]; in pinned memory they are fetched without waiting.

        condition: image-to-video's, of the first frame and mid-grey ones.
        """
        import torch

        compute = compute or self.compute
        frames, height, width, _ = pixels_FHWC.shape
        # A clip that overflowed is encoded again by the thread that noticed: one at a time, or memory is taken twice.
        with self._lock, torch.no_grad():
            encode = self._encode_in(compute)
            raw = self._within_memory(lambda plan: encode(pixels_FHWC, plan, condition), width, height, frames)
            plan = self._plans.get((width, height, frames))
        event = None
        if raw.is_cuda:
            host = torch.empty(raw.shape, dtype=raw.dtype, pin_memory=True)
            raw = host.copy_(raw, non_blocking=True)
            event = torch.cuda.Event()
            event.record()
        return Job(
            encoder=self, pixels=pixels_FHWC, raw=raw, condition=condition, compute=compute, plan=plan, event=event
        )

    def refuse_too_large(self, width: int, height: int, frames: int) -> None:
        """Missing when a clip of this bucket cannot fit into the GPU's memory, before anything is encoded."""
        if not self.device.startswith("cuda") or self.tiling:
            return
        self.prepare()
        if self.fast:
            self.plan(width, height, frames)
        elif (needed := self._plain_bytes(width, height, frames)) > (free := free_bytes(self.device)):
            raise Missing(
                f"encoding {width}x{height}x{frames} by diffusers' class takes about {_gib(needed)}, {_gib(free)} are "
                "free",
                'Set cache.vae_path = "fast" and cache.vae_compute = "auto", whose encoder cuts its work to the '
                "memory there is; or free memory of the GPU, make that view smaller, or set cache.tiling = true",
            )

    def plan(self, width: int, height: int, frames: int) -> Plan:
        """How clips of this bucket are cut, settled when first asked for. Missing when no cut is small enough."""
        bucket = width, height, frames
        if bucket not in self._plans:
            free, how = free_bytes(self.device), self.kernels
            plan = vae_plan.choose(self.config, *bucket, free, kernels=how)
            if plan is None:
                smallest = vae_plan.least(self.config, width, height)
                needed = vae_plan.peak_bytes(self.config, *bucket, smallest, kernels=how)
                raise Missing(
                    f"encoding {width}x{height}x{frames} takes at least {_gib(needed)}, in {smallest.strips} strips "
                    f"of {smallest.stretch} frames; {_gib(free)} are free",
                    "Free memory of the GPU, or make that view smaller",
                )
            self._plans[bucket] = plan
        return self._plans[bucket]

    def _within_memory(
        self, encode: Callable[[Plan | None], torch.Tensor], width: int, height: int, frames: int
    ) -> torch.Tensor:
        """Encode by the bucket's plan; by smaller ones from now on when memory is short in spite of it (other programs
        take some, free memory may be in pieces)."""
        import torch

        if not self.fast:
            return encode(None)
        while True:
            plan = self.plan(width, height, frames)
            try:
                return encode(plan)
            except torch.OutOfMemoryError:
                how = self.kernels
                less = vae_plan.peak_bytes(self.config, width, height, frames, plan, kernels=how) * SMALLER
                smaller = vae_plan.choose(self.config, width, height, frames, int(less), kernels=how)
                if smaller is None:
                    raise
            self._plans[width, height, frames] = smaller  # here, where the exception no longer holds on to tensors
            torch.cuda.empty_cache()

    def _plain_bytes(self, width: int, height: int, frames: int) -> int:
        """Memory that diffusers' class takes: four frames at a time, about fifteen activations of the first level
        (measured, bf16: 4.4 GiB at 832x480), and the clip twice in its type."""
        size = 4 if self.compute == "fp32" else 2
        pixels = width * height // (self.config.patch_size or 1) ** 2
        clip = 3 * width * height * frames
        return size * (15 * 4 * pixels * self.config.base_dim + 2 * clip) + vae_plan.LIBRARIES

    def _encode_in(self, compute: str) -> Callable[..., torch.Tensor]:
        with self._lock:
            return self._made.get(compute) or self._make(compute)

    def _make(self, compute: str) -> Callable[..., torch.Tensor]:
        vae = self.load(compute)
        self.config = vae.config
        if self.tiling:
            vae.enable_tiling()
        if self.fast:
            from wanprep.models.vae_fast import FastEncoder

            fast = FastEncoder(vae, kernels=self.kernels)
            self._made[compute] = lambda pixels, plan, condition: fast(pixels, plan, condition=condition)
        else:
            self._made[compute] = lambda pixels, plan, condition: codec.raw(
                vae, codec.first_then_grey(pixels) if condition else pixels
            )
        return self._made[compute]


def free_bytes(device: str) -> int:
    """Memory of a GPU that this process can still have: what its allocator holds unused counts, and its limit."""
    import torch

    index = torch.device(device).index
    at = torch.cuda.current_device() if index is None else index  # the limit is told of a number only
    free, total = torch.cuda.mem_get_info(at)
    limit = int(total * torch.cuda.get_per_process_memory_fraction(at))
    return min(free + torch.cuda.memory_reserved(at), limit) - torch.cuda.memory_allocated(at)


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"
