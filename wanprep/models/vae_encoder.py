"""Which way frames become latents on this machine, how much memory that takes, and the encoding itself.

On a GPU the fast encoder in half precision, elsewhere (and with `path = "plain"`, in fp32 and in tiles) diffusers' own
class. Half precision means fp16 unless bf16 is asked for: at the same speed its latents are ten times nearer to those
of fp32. Its range is smaller, so every latent is looked at: a clip that overflows is encoded again in bf16.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wanprep.models import vae as codec
from wanprep.stage import Missing

if TYPE_CHECKING:
    import torch

PATHS = ("fast", "plain")


@dataclass(kw_only=True)
class Job:
    """An encoding under way on the device; `done` waits for it.

    pixels [F, H, W, 3], raw [z, T, h, w]. compute: the type it runs in.
    """

    encoder: LatentEncoder
    pixels: torch.Tensor
    raw: torch.Tensor
    compute: str
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
            return self.encoder.start(self.pixels, "bf16").done()
        raise RuntimeError(f"the VAE gave values that are not finite in {self.compute}; try cache.vae_compute = 'fp32'")


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
        self._made: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {}
        self._lock = threading.Lock()
        self.config: Any = None

    @property
    def path(self) -> str:
        return "fast" if self.fast else "plain"

    def prepare(self) -> None:
        """Load the weights now, where there is one caller, rather than with the first clip."""
        self._encode_in(self.compute)

    def start(self, pixels_FHWC: torch.Tensor, compute: str | None = None) -> Job:
        """pixels: uint8 [4n+1, H, W, 3], or float32 in [-1, 1]; in pinned memory they are fetched without waiting."""
        import torch

        compute = compute or self.compute
        encode = self._encode_in(compute)
        with torch.no_grad():
            raw = encode(pixels_FHWC)
        event = None
        if raw.is_cuda:
            host = torch.empty(raw.shape, dtype=raw.dtype, pin_memory=True)
            raw = host.copy_(raw, non_blocking=True)
            event = torch.cuda.Event()
            event.record()
        return Job(encoder=self, pixels=pixels_FHWC, raw=raw, compute=compute, event=event)

    def refuse_too_large(self, width: int, height: int, frames: int) -> None:
        """Missing when a clip of this bucket cannot fit into the GPU's memory, before anything is encoded."""
        if not self.device.startswith("cuda") or self.tiling:
            return
        import torch

        self.prepare()
        free = torch.cuda.mem_get_info(self.device)[0] + torch.cuda.memory_reserved(self.device)
        free -= torch.cuda.memory_allocated(self.device)
        needed = self.peak_bytes(width, height, frames)
        if needed > free:
            raise Missing(
                f"encoding {width}x{height}x{frames} takes about {needed / 2**30:.1f} GiB, {free / 2**30:.1f} are free",
                "Free memory of the GPU, make that view smaller, or set cache.tiling = true",
            )

    def peak_bytes(self, width: int, height: int, frames: int) -> int:
        if self.fast:
            from wanprep.models.vae_fast import peak_bytes

            return peak_bytes(self.config, width, height, frames)
        # diffusers: four frames at a time, about fifteen activations of the first level (measured, bf16: 4.4 GiB at
        # 832x480), and the clip in its type.
        size = 4 if self.compute == "fp32" else 2
        pixels = width * height // (self.config.patch_size or 1) ** 2
        return size * (15 * 4 * pixels * self.config.base_dim + 2 * 3 * width * height * frames) + (1 << 29)

    def _encode_in(self, compute: str) -> Callable[[torch.Tensor], torch.Tensor]:
        with self._lock:  # a clip that overflowed is encoded again by the thread that noticed
            return self._made.get(compute) or self._make(compute)

    def _make(self, compute: str) -> Callable[[torch.Tensor], torch.Tensor]:
        vae = self.load(compute)
        self.config = vae.config
        if self.tiling:
            vae.enable_tiling()
        if self.fast:
            from wanprep.models.vae_fast import FastEncoder, kernels

            self._made[compute] = FastEncoder(vae, kernels=kernels())
        else:
            self._made[compute] = lambda pixels: codec.raw(vae, pixels)
        return self._made[compute]
