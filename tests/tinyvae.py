"""Tiny VAEs with random weights, of both layouts, as diffusers' class makes them; and what that gives."""

from __future__ import annotations

from typing import Any

import torch

from wanprep.models import vae as codec

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
