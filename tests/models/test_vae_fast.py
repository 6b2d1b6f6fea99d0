"""The encoder of our own: diffusers' latents by another order of work; and which way is taken where."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from wanprep.models import vae as codec
from wanprep.models.vae_encoder import LatentEncoder
from wanprep.models.vae_fast import FastEncoder, peak_bytes, stretch_frames

WAN: dict[str, Any] = {"base_dim": 8, "num_res_blocks": 1}
FIVE: dict[str, Any] = {
    **WAN, "z_dim": 48, "is_residual": True, "in_channels": 12, "out_channels": 12, "patch_size": 2,
    "scale_factor_spatial": 16, "decoder_base_dim": 8, "latents_mean": [0.0] * 48, "latents_std": [1.0] * 48,
}  # fmt: skip


def make(size: dict[str, Any]) -> Any:
    from diffusers import AutoencoderKLWan

    torch.manual_seed(0)
    vae: Any = AutoencoderKLWan(**size)
    for module in vae.modules():
        if hasattr(module, "gamma"):
            module.gamma.data.uniform_(0.5, 1.5)
    return vae.eval().requires_grad_(False)


def pixels(frames: int, height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(frames)
    return torch.randint(0, 256, (frames, height, width, 3), generator=generator, dtype=torch.uint8)


def theirs(vae: Any, frames: torch.Tensor) -> torch.Tensor:
    return codec.raw(vae, frames)


@pytest.mark.parametrize("size", [WAN, FIVE], ids=["2.1", "5b"])
@pytest.mark.parametrize("frames", [1, 5, 21])
@pytest.mark.parametrize(("stretch", "large"), [(4, 1), (8, 2), (8, 0), (None, 3)])
def test_other_orders_of_work_give_diffusers_latents(size, frames: int, stretch: int | None, large: int) -> None:
    vae = make(size)
    shown = pixels(frames, 32, 64)
    wanted = theirs(vae, shown)
    found = FastEncoder(vae, frames=stretch, large=large)(shown)
    assert found.shape == wanted.shape
    assert (found - wanted).norm() < 1e-5 * wanted.norm()
    other = FastEncoder(vae, frames=stretch, large=large)(255 - shown)
    assert (other - wanted).norm() > 0.01 * wanted.norm()


def test_a_clip_leaves_nothing_behind_for_the_next() -> None:
    vae = make(WAN)
    encoder = FastEncoder(vae, frames=4)
    first = encoder(pixels(9, 32, 32))
    encoder(pixels(21, 48, 32))
    assert torch.equal(first, encoder(pixels(9, 32, 32)))


def test_half_precision_is_near() -> None:
    vae = make(WAN)
    shown = pixels(9, 32, 64)
    wanted = theirs(vae, shown)
    half = FastEncoder(make(WAN).to(torch.bfloat16))(shown)
    assert 0 < (half - wanted).norm() < 0.05 * wanted.norm()


def test_the_triton_kernels_agree_in_the_interpreter() -> None:
    pytest.importorskip("triton")
    program = Path(__file__).with_name("vae_triton_check.py")
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True)
    assert done.stdout.strip() == "agree", done.stderr[-2000:]


def test_memory_is_planned_as_measured() -> None:
    """Peaks on an H100 beside the weights, GiB (docs/performance.md)."""
    config = type("Config", (), {"base_dim": 96, "dim_mult": [1, 2, 4, 4], "patch_size": None})()
    pytest.importorskip("triton")
    for bucket, measured in (((384, 208, 45), 4.29), ((832, 480, 81), 5.45)):
        assert measured <= 1.01 * peak_bytes(config, *bucket) / 2**30 <= 1.15 * measured
    assert stretch_frames(480, 832) == 8
    assert stretch_frames(720, 1280) == 4
    assert stretch_frames(4000, 4000) == 4


def encoder_of(load: Any, device: str = "cpu", **more: Any) -> LatentEncoder:
    return LatentEncoder(load, device, **more)


def test_the_cpu_takes_diffusers_own_class_in_fp32() -> None:
    asked: list[str] = []

    def load(compute: str) -> Any:
        asked.append(compute)
        return make(WAN)

    encoder = encoder_of(load)
    latent, compute = encoder.start(pixels(5, 32, 32)).done()
    assert (encoder.path, compute, asked) == ("plain", "fp32", ["fp32"])
    assert torch.equal(latent, codec.encode(make(WAN), pixels(5, 32, 32).numpy()))
    encoder.refuse_too_large(10**5, 10**5, 81)  # a GPU's memory is no limit here


@pytest.mark.parametrize(
    ("more", "path", "compute"),
    [
        ({}, "fast", "fp16"),
        ({"path": "plain"}, "plain", "fp16"),
        ({"compute": "bf16"}, "fast", "bf16"),
        ({"compute": "fp32"}, "plain", "fp32"),
        ({"tiling": True}, "plain", "fp16"),
    ],
)
def test_what_a_gpu_takes(more: dict[str, Any], path: str, compute: str) -> None:
    encoder = encoder_of(lambda _: None, "cuda", **more)
    assert (encoder.path, encoder.compute) == (path, compute)


@pytest.mark.parametrize(("compute", "ends"), [("auto", "bf16"), ("fp16", "error")])
def test_a_clip_that_overflows_fp16_is_encoded_again_in_bf16(compute: str, ends: str) -> None:
    def load(name: str) -> Any:
        vae = make(WAN)
        if name == "fp16":
            vae.encoder.conv_in.weight.fill_(float("inf"))
        return vae

    encoder = encoder_of(load, compute=compute)
    encoder.compute = "fp16"  # as on a GPU
    job = encoder.start(pixels(5, 32, 32))
    if ends == "error":
        with pytest.raises(RuntimeError, match="not finite in fp16"):
            job.done()
    else:
        latent, used = job.done()
        assert used == "bf16"
        assert torch.isfinite(latent).all()
