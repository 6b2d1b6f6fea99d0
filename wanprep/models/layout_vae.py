"""Every tensor of Wan's two VAEs with its shape, as diffusers' AutoencoderKLWan names them.

2.1's VAE (16 channels, stride 8) strings its blocks together; 2.2's (48 channels, stride 16, `is_residual`) groups them
and works on patches of 2x2 pixels, hence 12 channels at either end.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

Shapes = dict[str, tuple[int, ...]]


def vae_shapes(c: Mapping[str, Any]) -> Shapes:
    """Name -> shape, for the arguments `c` of AutoencoderKLWan."""
    z, times = c["z_dim"], c["dim_mult"]
    dims = [c["base_dim"] * factor for factor in (1, *times)]
    up = [(c["decoder_base_dim"] or c["base_dim"]) * factor for factor in (times[-1], *reversed(times))]
    found: Shapes = {}
    _encoder(found, c, dims)
    found |= _conv("encoder.conv_in", dims[0], c["in_channels"]) | _conv("encoder.conv_out", 2 * z, dims[-1])
    found |= _conv("quant_conv", 2 * z, 2 * z, (1, 1, 1)) | _conv("post_quant_conv", z, z, (1, 1, 1))
    found |= _conv("decoder.conv_in", up[0], z) | _conv("decoder.conv_out", c["out_channels"], up[-1])
    _decoder(found, c, up)
    for half, width, end in (("encoder", dims[-1], dims[-1]), ("decoder", up[0], up[-1])):
        found |= _middle(f"{half}.mid_block", width)
        found[f"{half}.norm_out.gamma"] = (end, 1, 1, 1)
    return found


def _encoder(found: Shapes, c: Mapping[str, Any], dims: list[int]) -> None:
    number = 0  # 2.1 counts residual blocks and resamplings in one list
    last = len(c["dim_mult"]) - 1
    for stage, (before, after) in enumerate(pairwise(dims)):
        for block in range(c["num_res_blocks"]):
            inner = f"{stage}.resnets.{block}" if c["is_residual"] else str(number)
            found |= _residual(f"encoder.down_blocks.{inner}", before if block == 0 else after, after)
            number += 1
        if stage == last:
            continue
        inner = f"{stage}.downsampler" if c["is_residual"] else str(number)
        number += 1
        found |= _conv(f"encoder.down_blocks.{inner}.resample.1", after, after, (3, 3))
        if c["temperal_downsample"][stage]:
            found |= _conv(f"encoder.down_blocks.{inner}.time_conv", after, after, (3, 1, 1))


def _decoder(found: Shapes, c: Mapping[str, Any], dims: list[int]) -> None:
    last = len(c["dim_mult"]) - 1
    temporal = c["temperal_downsample"][::-1]
    for stage, (before, after) in enumerate(pairwise(dims)):
        if stage and not c["is_residual"]:
            before //= 2  # 2.1 halves the width when it enlarges
        for block in range(c["num_res_blocks"] + 1):
            name = f"decoder.up_blocks.{stage}.resnets.{block}"
            found |= _residual(name, before if block == 0 else after, after)
        if stage == last:
            continue
        inner = "upsampler" if c["is_residual"] else "upsamplers.0"
        name = f"decoder.up_blocks.{stage}.{inner}"
        found |= _conv(f"{name}.resample.1", after if c["is_residual"] else after // 2, after, (3, 3))
        if temporal[stage]:
            found |= _conv(f"{name}.time_conv", 2 * after, after, (3, 1, 1))


def _conv(name: str, out: int, into: int, kernel: tuple[int, ...] = (3, 3, 3)) -> Shapes:
    return {f"{name}.weight": (out, into, *kernel), f"{name}.bias": (out,)}


def _residual(name: str, before: int, after: int) -> Shapes:
    found: Shapes = {f"{name}.norm1.gamma": (before, 1, 1, 1), f"{name}.norm2.gamma": (after, 1, 1, 1)}
    found |= _conv(f"{name}.conv1", after, before) | _conv(f"{name}.conv2", after, after)
    return found if before == after else found | _conv(f"{name}.conv_shortcut", after, before, (1, 1, 1))


def _middle(name: str, width: int) -> Shapes:
    found: Shapes = {f"{name}.attentions.0.norm.gamma": (width, 1, 1)}
    found |= _conv(f"{name}.attentions.0.to_qkv", 3 * width, width, (1, 1))
    found |= _conv(f"{name}.attentions.0.proj", width, width, (1, 1))
    for number in (0, 1):
        found |= _residual(f"{name}.resnets.{number}", width, width)
    return found
