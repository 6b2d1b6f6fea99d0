"""Frames to normalised latents and back.

pixels/127.5 − 1 → VAE → mode of the posterior → (z − mean)/std, as diffusers' Wan pipelines do it. The VAE drops frames
beyond 4n+1 and pixels beyond its stride without a word, so both are refused here.

Shapes: F frames, H, W pixels, C = 3, z channels, T = (F−1)/4+1 latent frames, h, w latent cells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

Frames = npt.NDArray[np.uint8]


def check_frames(frames_FHWC: Frames, *, stride: int, temporal_stride: int = 4) -> None:
    """ValueError unless uint8 [4n+1, H, W, 3] with H and W multiples of `stride` pixels."""
    if frames_FHWC.ndim != 4 or frames_FHWC.shape[3] != 3 or frames_FHWC.dtype != np.uint8:
        raise ValueError(f"frames must be uint8 [F, H, W, 3], not {frames_FHWC.dtype} {list(frames_FHWC.shape)}")
    frames, height, width, _ = frames_FHWC.shape
    if frames < 1 or (frames - 1) % temporal_stride:
        raise ValueError(f"{frames} frames is not {temporal_stride}n+1: the VAE would drop the last ones silently")
    if height < 1 or width < 1 or height % stride or width % stride:
        raise ValueError(f"{width}x{height} is not a multiple of {stride} both ways: the VAE would crop it silently")


def encode(vae: Any, frames_FHWC: Frames, *, grid: int | None = None) -> torch.Tensor:
    """uint8 [F, H, W, 3] -> float32 [z, (F−1)/4+1, H/s, W/s], normalised, on the CPU, by diffusers' class.

    Computed in the VAE's dtype on its device, one clip a call (a batch changes the last bits). grid: pixels H and W
    must be multiples of; the VAE's own stride where not given. ValueError for other shapes, RuntimeError when the
    result is not finite.
    """
    import torch

    check(vae, frames_FHWC, grid)
    return _finite(vae, raw(vae, torch.from_numpy(np.ascontiguousarray(frames_FHWC))))


def condition(vae: Any, frames_FHWC: Frames, *, grid: int | None = None) -> torch.Tensor:
    """Image-to-video's condition: as `encode` of the first frame followed by zero (mid-grey) pixels.

    Source: diffusers' WanImageToVideoPipeline.prepare_latents.
    """
    import torch

    check(vae, frames_FHWC, grid)
    return _finite(vae, raw(vae, first_then_grey(torch.from_numpy(np.ascontiguousarray(frames_FHWC)))))


def check(vae: Any, frames_FHWC: Frames, grid: int | None = None) -> None:
    """`check_frames` with the VAE's own strides, or `grid` pixels. vae: the model, or anything with its config."""
    stride = grid or vae.config.scale_factor_spatial
    check_frames(frames_FHWC, stride=stride, temporal_stride=vae.config.scale_factor_temporal)


def scaled(pixels: torch.Tensor) -> torch.Tensor:
    """uint8 to float32 in [-1, 1], as diffusers' VideoProcessor: x/255 to [0, 1], then 2x − 1. Floats stay."""
    import torch

    return pixels.float().div_(255.0).mul_(2.0).sub_(1.0) if pixels.dtype == torch.uint8 else pixels


def first_then_grey(pixels_FHWC: torch.Tensor) -> torch.Tensor:
    """The picture of image-to-video's condition in [-1, 1], float32 [F, H, W, 3], on the device of `pixels_FHWC`."""
    import torch

    first = scaled(pixels_FHWC[:1])
    return torch.cat([first, first.new_zeros(len(pixels_FHWC) - 1, *first.shape[1:])])


def raw(vae: Any, pixels_FHWC: torch.Tensor) -> torch.Tensor:
    """uint8, or float32 in [-1, 1] -> float32 [z, T, h, w], the mode of the posterior, by diffusers' class."""
    import torch

    with torch.no_grad():
        pixels_FHWC = scaled(pixels_FHWC.to(vae.device)).to(vae.dtype)
        return vae.encode(pixels_FHWC.permute(3, 0, 1, 2)[None].contiguous()).latent_dist.mode().float()[0]


def standardised(config: Any, raw_ZTHW: torch.Tensor) -> torch.Tensor:
    """(raw − mean) times 1/std of each channel, as the pipelines do it. config: the VAE's."""
    mean, inverse = _statistics(config, raw_ZTHW)
    return (raw_ZTHW - mean[0]) * inverse[0]


def _finite(vae: Any, raw_ZTHW: torch.Tensor) -> torch.Tensor:
    import torch

    latent = standardised(vae.config, raw_ZTHW).cpu()
    if not torch.isfinite(latent).all():
        raise RuntimeError(f"the VAE gave values that are not finite in {vae.dtype}; try fp32")
    return latent


def decode(vae: Any, latent_ZTHW: torch.Tensor) -> Frames:
    """Normalised latent [z, T, h, w] -> uint8 [4(T−1)+1, H, W, 3]. For previews."""
    import torch

    with torch.no_grad():
        latent = latent_ZTHW[None].to(vae.device, vae.dtype)
        mean, inverse = _statistics(vae.config, latent)
        video_CFHW = vae.decode(latent / inverse + mean, return_dict=False)[0][0].float()
        pixels = ((video_CFHW / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
    return pixels.permute(1, 2, 3, 0).cpu().numpy()


def _statistics(config: Any, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """mean and 1/std per channel, [1, z, 1, 1, 1], in the dtype and on the device of `like`."""
    import torch

    shape = (1, config.z_dim, 1, 1, 1)
    mean = torch.tensor(config.latents_mean).view(shape).to(like.device, like.dtype)
    return mean, 1.0 / torch.tensor(config.latents_std).view(shape).to(like.device, like.dtype)
