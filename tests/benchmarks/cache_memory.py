"""The VAE encoder in less memory than it would take, and image to video's two encodings beside diffusers' own.

Parts of bench_cache. Without a GPU the same with tiny models and pictures: whether it runs, not how fast.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

from tests.benchmarks.vaes import footage, random_vae, say, seconds

GIB = 2**30
MEMORY = ((False, (832, 480, 81)), (False, (1280, 720, 81)), (True, (1280, 704, 121)))
MEMORY_TINY = ((False, (64, 96, 21)), (True, (64, 192, 21)))
I2V = ((384, 208, 45), (832, 480, 81))
I2V_TINY = ((64, 48, 21),)
CAPS = (12, 8, 6, 4, 3)  # GiB for everything in the process, weights and frames too


def memory() -> None:
    """Of each cap: the plan, planned and measured peak, seconds, error against the latents of the encoder uncut.

    Behind the caps, without one, the cuts by themselves, for what each costs.
    """
    import torch

    from wanprep.models.vae_fast import FastEncoder, kernels
    from wanprep.models.vae_plan import Plan, usual

    gpu = torch.cuda.is_available()
    for five, (width, height, frames) in MEMORY if gpu else MEMORY_TINY:
        vae = _vae(five)
        vae = vae.half() if gpu else vae
        fast = FastEncoder(vae, kernels=kernels() if gpu else "torch")
        config = vae.config
        del vae
        pixels = torch.from_numpy(footage(width, height, frames))
        pixels = pixels.pin_memory() if gpu else pixels
        whole = usual(width, height, frames)
        wanted = fast(pixels, whole).cpu()  # also compiles

        def row(where: str, plan: Plan, fast: Any = fast, pixels: Any = pixels, wanted: Any = wanted) -> None:
            values = _measured(lambda: fast(pixels, plan), wanted)
            say(where, cut=_cut(plan), planned_gib=_planned(fast.config, pixels, plan), **values)

        where = f"{'5b ' if five else ''}{width}x{height}x{frames}"
        row(f"{where} uncut", whole)
        for cap, plan in _capped(config, width, height, frames):
            _tried(f"{where} cap {cap}", plan, row)
        _limit(None)
        for plan in (
            Plan(stretch=whole.stretch, strips=1, rest=16),
            Plan(stretch=4, strips=1, rest=16),
            Plan(stretch=whole.stretch, strips=2, rest=16),
            Plan(stretch=whole.stretch, strips=4, rest=16),
        ):
            row(f"{where} {_cut(plan)}", plan)
        del fast, row


def _cut(plan: Any) -> str:
    """Strips x frames of a stretch + frames of a stretch below."""
    return f"{plan.strips}x{plan.stretch}+{plan.rest}"


def _capped(config: Any, width: int, height: int, frames: int) -> Iterator[tuple[str, Any]]:
    """Each cap, enforced, and the plan that is chosen under it."""
    import torch

    from wanprep.models.vae_encoder import free_bytes
    from wanprep.models.vae_fast import kernels
    from wanprep.models.vae_plan import LIBRARIES, choose, peak_bytes, usual

    if torch.cuda.is_available():
        for cap in CAPS:
            _limit(cap)
            yield f"{cap} GiB", choose(config, width, height, frames, free_bytes("cuda"), kernels=kernels())
        return
    work = peak_bytes(config, width, height, frames, usual(width, height, frames), kernels="torch") - LIBRARIES
    for share in (1.0, 0.7, 0.5, 0.3):
        yield f"{share:.0%}", choose(config, width, height, frames, LIBRARIES + int(share * work), kernels="torch")


def _tried(where: str, plan: Any, row: Callable[[str, Any], None]) -> None:
    import torch

    if plan is None:
        say(where, cut="refused")
        return
    try:
        row(where, plan)
    except torch.OutOfMemoryError as error:
        say(where, cut=_cut(plan), why=str(error)[:200])


def _limit(cap: int | None) -> None:
    """Let this process take so many GiB of the GPU, weights included."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(1.0 if cap is None else cap * GIB / total)


def _planned(config: Any, pixels: Any, plan: Any) -> float:
    import torch

    from wanprep.models.vae_fast import kernels
    from wanprep.models.vae_plan import peak_bytes

    frames, height, width, _ = pixels.shape
    how = {"kernels": kernels()} if torch.cuda.is_available() else {"kernels": "torch", "size": 4}
    return peak_bytes(config, width, height, frames, plan, **how) / GIB


def _measured(call: Callable[[], Any], wanted: Any) -> dict[str, Any]:
    """Peak beside what was there, what the allocator held at most, seconds, and the largest difference relative to the
    largest value and of norms."""
    import torch

    base = 0
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        base = torch.cuda.memory_allocated()
    found = call().cpu()
    values = {}
    if torch.cuda.is_available():
        values["peak_gib"] = (torch.cuda.max_memory_allocated() - base) / GIB
        values["held_gib"] = torch.cuda.max_memory_reserved() / GIB
    values["seconds"] = seconds(call, 1, 0)
    values["largest"] = float((found - wanted).abs().max() / wanted.abs().max())
    values["error"] = float((found - wanted).norm() / wanted.norm())
    return values


def i2v() -> None:
    """A clip's latent and image to video's 4 + 16 channels: ours, and by diffusers' pipeline in fp32 and bf16.

    Errors are relative to fp32 by diffusers.
    """
    import torch

    from wanprep.models.vae_encoder import LatentEncoder

    gpu = torch.cuda.is_available()
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    device = "cuda" if gpu else "cpu"
    full = _vae(False)
    vaes = {"fp32": full, "bf16": copy.deepcopy(full).bfloat16(), "fp16": copy.deepcopy(full).half()}
    computes = ("fp16", "bf16", "fp32") if gpu else ("fp32",)
    for width, height, frames in I2V if gpu else I2V_TINY:
        shown = footage(width, height, frames)
        pixels = torch.from_numpy(shown)
        pixels = pixels.pin_memory() if gpu else pixels
        theirs = {name: _Theirs(vaes[name], shown) for name in ("fp32", "bf16")}
        where, wanted = f"i2v {width}x{height}x{frames}", None
        for name, pipe in theirs.items():
            found = _compared(f"{where} diffusers {name}", pipe.latent, pipe.channels, wanted)
            wanted = wanted or found
        for compute in computes:
            ours = LatentEncoder(lambda name: vaes[name], device, compute=compute)
            ours.prepare()

            def latent(ours: Any = ours, pixels: Any = pixels) -> Any:
                return ours.start(pixels).done()[0]

            def channels(ours: Any = ours, pixels: Any = pixels) -> Any:
                condition = ours.start(pixels, condition=True).done()[0]
                mask = torch.zeros(4, *condition.shape[1:])  # as wantrain.tasks puts it before the condition
                mask[:, 0] = 1
                return torch.cat([mask, condition])

            _compared(f"{where} ours {compute} {ours.path}", latent, channels, wanted)


class _Theirs:
    """What diffusers' WanImageToVideoPipeline makes of a picture, and the latent of the whole clip by its VAE."""

    def __init__(self, vae: Any, shown: Any) -> None:
        import numpy as np
        from diffusers import UniPCMultistepScheduler, WanImageToVideoPipeline

        self.vae, self.size = vae, shown.shape[:3]
        self.pipe: Any = WanImageToVideoPipeline(
            tokenizer=None, text_encoder=None, vae=vae, scheduler=UniPCMultistepScheduler(), transformer=None,
            image_encoder=None, image_processor=None,
        )  # fmt: skip
        height, width = shown.shape[1:3]
        self.image = self.pipe.video_processor.preprocess(shown[0].astype(np.float32) / 255, height=height, width=width)
        self.video = self.pipe.video_processor.preprocess_video([f.astype(np.float32) / 255 for f in shown])

    def latent(self) -> Any:
        import torch

        from wanprep.models import vae as codec

        with torch.no_grad():
            raw = self.vae.encode(self.video.to(self.vae.device, self.vae.dtype)).latent_dist.mode()
        return codec.standardised(self.vae.config, raw.float()[0]).cpu()

    def channels(self) -> Any:
        """Its 4 mask and 16 condition channels."""
        import torch

        frames, height, width = self.size
        device = self.vae.device
        with torch.no_grad():
            _, channels = self.pipe.prepare_latents(
                self.image.to(device), 1, 16, height, width, frames, torch.float32, device
            )
        return channels[0].float().cpu()


def _compared(
    name: str, latent: Callable[[], Any], channels: Callable[[], Any], wanted: tuple[Any, Any] | None
) -> tuple[Any, Any]:
    """A row of both, and both. wanted: what errors are relative to; these themselves where nothing is given."""
    found = latent(), channels()
    wanted = wanted or found
    errors = [float((one - other).norm() / other.norm()) for one, other in zip(found, wanted, strict=True)]
    repeats = 1 if "fp32" in name else 3
    alone, more = seconds(latent, repeats, 0), seconds(channels, repeats, 0)
    say(
        name, seconds=alone + more, latent_seconds=alone, channels_seconds=more, latent_error=errors[0],
        channels_error=errors[1], mask_equal=bool((found[1][:4] == wanted[1][:4]).all()),
    )  # fmt: skip
    return found


def _vae(five: bool) -> Any:
    import torch

    gpu = torch.cuda.is_available()
    tiny = {} if gpu else {"base_dim": 16} | ({"decoder_base_dim": 8} if five else {})
    return random_vae("cuda" if gpu else "cpu", five, **tiny)
