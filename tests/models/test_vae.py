"""Frames to latents: bit for bit what diffusers' pipelines compute, and nothing cut off silently."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from wanprep.families import FAMILIES
from wanprep.models import vae as codec
from wanprep.models.load import load_vae
from wanprep.models.tiny import tiny_folder

TINY = FAMILIES["tiny"]


def footage(frames: int, height: int, width: int, seed: int = 0) -> codec.Frames:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (frames, height // 8, width // 8, 3), dtype=np.uint8)
    return coarse.repeat(8, axis=1).repeat(8, axis=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("vae"))


@pytest.fixture(scope="module")
def vae(folder: Path):
    return load_vae(TINY, folder)


@pytest.fixture(scope="module")
def vae_5b():
    """The shape of the 5B model's VAE: 48 channels, stride 16, patched."""
    from diffusers import AutoencoderKLWan

    torch.manual_seed(0)
    return AutoencoderKLWan(
        base_dim=8, decoder_base_dim=8, z_dim=48, dim_mult=[1, 1, 1, 1], num_res_blocks=1, is_residual=True,
        in_channels=12, out_channels=12, patch_size=2, scale_factor_spatial=16,
        latents_mean=[0.01 * i for i in range(48)], latents_std=[0.1 + 0.01 * i for i in range(48)],
    ).eval()  # fmt: skip


def by_diffusers(vae, frames_FHWC: codec.Frames) -> torch.Tensor:
    """diffusers' own preprocessing, latent choice and normalisation (WanImageToVideoPipeline.prepare_latents)."""
    from diffusers.pipelines.wan.pipeline_wan_i2v import retrieve_latents
    from diffusers.video_processor import VideoProcessor

    processor = VideoProcessor(vae_scale_factor=vae.config.scale_factor_spatial)
    video = processor.preprocess_video([f.astype(np.float32) / 255.0 for f in frames_FHWC])
    mean = torch.tensor(vae.config.latents_mean).view(1, vae.config.z_dim, 1, 1, 1)
    inverse = 1.0 / torch.tensor(vae.config.latents_std).view(1, vae.config.z_dim, 1, 1, 1)
    with torch.no_grad():
        return ((retrieve_latents(vae.encode(video), sample_mode="argmax") - mean) * inverse)[0]


@pytest.mark.parametrize(("frames", "height", "width"), [(1, 64, 48), (5, 32, 80), (17, 48, 64)])
def test_latents_are_diffusers_bit_for_bit(vae, frames: int, height: int, width: int) -> None:
    frames_FHWC = footage(frames, height, width)
    latent = codec.encode(vae, frames_FHWC, grid=TINY.grid)
    assert latent.dtype == torch.float32
    assert tuple(latent.shape) == (16, (frames - 1) // 4 + 1, height // 8, width // 8)
    assert torch.equal(latent, by_diffusers(vae, frames_FHWC))
    assert 0.3 < latent.std() < 3


def test_the_5b_layout_too(vae_5b) -> None:
    frames_FHWC = footage(9, 64, 96)
    latent = codec.encode(vae_5b, frames_FHWC, grid=32)
    assert tuple(latent.shape) == (48, 3, 4, 6)
    assert torch.equal(latent, by_diffusers(vae_5b, frames_FHWC))
    assert codec.decode(vae_5b, latent).shape == (9, 64, 96, 3)


def test_same_frames_same_bits_whatever_came_before(vae) -> None:
    first = codec.encode(vae, footage(9, 32, 32))
    codec.encode(vae, footage(5, 64, 32, seed=1))
    assert torch.equal(first, codec.encode(vae, footage(9, 32, 32)))
    assert not torch.equal(first, codec.encode(vae, footage(9, 32, 32, seed=1)))


def test_the_latent_does_not_see_later_frames(vae) -> None:
    """The VAE is causal: window [0, 5) is the start of window [0, 9)."""
    frames_FHWC = footage(9, 32, 32)
    assert torch.allclose(codec.encode(vae, frames_FHWC)[:, :2], codec.encode(vae, frames_FHWC[:5]), atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "why"),
    [
        ((16, 32, 32, 3), "16 frames is not 4n"),
        ((18, 32, 32, 3), "18 frames"),
        ((0, 32, 32, 3), "0 frames"),
        ((5, 60, 32, 3), "32x60 is not a multiple of 16"),
        ((5, 32, 40, 3), "40x32 is not a multiple of 16"),  # 40 is one of the VAE's 8, not of the transformer's 16
        ((5, 32, 32, 4), "uint8"),
        ((32, 32, 3), "uint8"),
    ],
)
def test_what_would_be_cut_silently_is_refused(vae, shape: tuple[int, ...], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        codec.encode(vae, np.zeros(shape, np.uint8), grid=TINY.grid)


def test_floats_are_refused(vae) -> None:
    with pytest.raises(ValueError, match="float32"):
        codec.encode(vae, np.zeros((1, 16, 16, 3), np.float32))


def test_values_that_are_not_finite_are_an_error(folder: Path) -> None:
    broken = load_vae(TINY, folder)
    broken.quant_conv.weight.fill_(float("inf"))
    with pytest.raises(RuntimeError, match="not finite"):
        codec.encode(broken, footage(1, 32, 32))


def test_condition_is_diffusers_image_to_video_condition(vae, folder: Path) -> None:
    from diffusers import UniPCMultistepScheduler, WanImageToVideoPipeline

    pipe = WanImageToVideoPipeline(
        tokenizer=None, text_encoder=None, vae=vae, scheduler=UniPCMultistepScheduler(),
        transformer=None, transformer_2=None, image_encoder=None, image_processor=None,
    )  # fmt: skip
    frames_FHWC = footage(9, 32, 48)
    image = pipe.video_processor.preprocess(frames_FHWC[0].astype(np.float32) / 255.0, height=32, width=48)
    with torch.no_grad():
        _, expected = pipe.prepare_latents(
            image, batch_size=1, height=32, width=48, num_frames=9, dtype=torch.float32, device=torch.device("cpu"),
            generator=torch.Generator().manual_seed(0),
        )  # fmt: skip
    assert expected.shape[1] == 4 + 16  # the mask first
    assert torch.equal(codec.condition(vae, frames_FHWC), expected[0, 4:])


def test_decode_is_the_pipelines_decoding(vae) -> None:
    from diffusers.video_processor import VideoProcessor

    latent = codec.encode(vae, footage(9, 32, 48))
    mean = torch.tensor(vae.config.latents_mean).view(1, -1, 1, 1, 1)
    inverse = 1.0 / torch.tensor(vae.config.latents_std).view(1, -1, 1, 1, 1)
    with torch.no_grad():
        video = vae.decode(latent[None] / inverse + mean, return_dict=False)[0]
    expected = VideoProcessor(vae_scale_factor=8).postprocess_video(video, output_type="np")[0]
    decoded = codec.decode(vae, latent)
    assert decoded.dtype == np.uint8
    assert decoded.shape == (9, 32, 48, 3)
    assert np.array_equal(decoded, (expected * 255).round().astype(np.uint8))


def test_half_precision_is_close_and_comes_back_as_fp32(folder: Path, vae) -> None:
    half = codec.encode(load_vae(TINY, folder, "bf16"), footage(5, 32, 32))
    assert half.dtype == torch.float32
    full = codec.encode(vae, footage(5, 32, 32))
    assert 0 < (half - full).std() < 0.1 * full.std()
