"""The Wan VAE's encoder as a GPU likes it: the weights of diffusers' class, another order of the same arithmetic.

diffusers goes through a clip four frames at a time, pads and concatenates copies of every activation and normalises
in several passes. Here (`vae_layers`) nothing is copied between two convolutions; the resolutions with the most pixels
run in stretches of many frames, what is below them once for the whole clip. Every convolution is causal, so stretches
change no value.

Legend: T frames, H, W pixels of a level, C channels; activations are [T, H, W, C].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from wanprep.models.vae import scaled
from wanprep.models.vae_layers import Attention, Block, Conv, Down, Level, Pending, settle, triton

STRETCH_PIXELS = 3_200_000  # longer stretches were no faster on an H100 and cost 1.3 kB a pixel


def stretch_frames(height: int, width: int) -> int:
    """Frames of a stretch for pictures of this size: a multiple of 4."""
    return max(4, STRETCH_PIXELS // (height * width) // 4 * 4)


def peak_bytes(config: Any, width: int, height: int, frames: int) -> int:
    """Memory that encoding a clip takes beside the weights; six peaks measured on an H100 lie within 7 % of it.

    Seven activations of the widest large level while a stretch is there, or four of the widest small one for the whole
    clip; what the large levels leave; the frames themselves; what libraries take. Twice the first without the kernels,
    whose formulas keep copies in float32. config: the VAE's.
    """
    dims = [config.base_dim * m for m in (1, *config.dim_mult)]
    pixels = width * height // (config.patch_size or 1) ** 2
    stretch = (
        min(frames, stretch_frames(height, width) + 1) * pixels * dims[1] * 2 * (7 if kernels() == "triton" else 14)
    )
    rest = frames * pixels // 32 * dims[3] * 2 * 4
    left = frames * pixels // 32 * dims[2] * 2
    return max(stretch, rest) + left + 6 * width * height * frames + (1 << 29)


class FastEncoder:
    """Frames to the mode of the posterior.

    vae: diffusers' AutoencoderKLWan, whose weights are copied in `vae.dtype`. kernels: "triton", or "torch" for plain
    formulas and cuDNN. frames: longest stretch at the large levels, a multiple of 4 (the first has one more); by
    default about STRETCH_PIXELS of them. large: how many levels count as large. NotImplementedError for a VAE with
    parts that Wan's do not have.
    """

    def __init__(self, vae: Any, *, kernels: str = "torch", frames: int | None = None, large: int = 2) -> None:
        encoder, self.dtype, self.device = vae.encoder, vae.dtype, vae.device
        self.frames, self.patch, self.z = frames, vae.config.patch_size, vae.config.z_dim
        self.settle = triton().settle if kernels == "triton" else settle

        def make(module: Any) -> Conv:
            return Conv(module, self.dtype, kernels == "triton")

        self.conv_in = make(encoder.conv_in)
        levels = [self._level(*parts, make) for parts in _levels(encoder)]
        self.large, self.small = levels[:large], levels[large:]
        mid = encoder.mid_block
        self.before, self.after = (Block(module, make, self.settle) for module in mid.resnets)
        self.attention = Attention(mid.attentions[0], self.settle)
        self.gamma_out = encoder.norm_out.gamma.detach().float().flatten()
        self.conv_out = make(encoder.conv_out)
        quant = vae.quant_conv
        self.quant = quant.weight.detach()[: self.z, :, 0, 0, 0].float(), quant.bias.detach()[: self.z].float()

    def _level(self, blocks: list[Any], down: Any, shortcut: Any, make: Callable[[Any], Conv]) -> Level:
        made = [Block(block, make, self.settle) for block in blocks]
        return Level(made, Down(down, self.dtype, self.settle) if down is not None else None, shortcut)

    @torch.no_grad()
    def __call__(self, frames_FHWC: Tensor) -> Tensor:
        """uint8 [4n+1, H, W, 3] or float in [-1, 1] of the same shape -> float32 [z, n+1, h, w], not normalised."""
        total = len(frames_FHWC)
        stretch = self.frames or stretch_frames(*frames_FHWC.shape[1:3])
        pieces, start = [], 0
        while start < total:
            end = min(total, start + stretch + (1 if start == 0 else 0))
            s = self._enter(frames_FHWC[start:end], end < total)
            for level in self.large:
                s = level(s, end < total)
            pieces.append(s)
            start = end
        s = pieces[0] if len(pieces) == 1 else _joined(pieces)
        del pieces
        for level in self.small:
            s = level(s, False)
        s = self.attention(self.before(s, False)[0])
        s = self.after(s, False)[0]
        whole, room = self.conv_out.buffer(s.y)
        self.settle(s.y, s.bias, s.res, gamma=self.gamma_out, out=room, act=True)
        moments = self.conv_out(whole, False).float() + self.conv_out.bias
        return functional.linear(moments, *self.quant).permute(3, 0, 1, 2).contiguous()

    def _enter(self, frames_THWC: Tensor, more: bool) -> Pending:
        x = scaled(frames_THWC.to(self.device, non_blocking=True))
        if self.patch:
            t, h, w, c = x.shape
            p = self.patch
            # diffusers' patchify: channels, then the column within the patch, then its row
            x = x.reshape(t, h // p, p, w // p, p, c).permute(0, 1, 3, 5, 4, 2).reshape(t, h // p, w // p, c * p * p)
        whole, room = self.conv_in.buffer(x)
        room[..., x.shape[-1] :].zero_()
        room[..., : x.shape[-1]].copy_(x)
        return Pending(self.conv_in(whole, more), self.conv_in.bias)


def kernels() -> str:
    """What FastEncoder's kernels can be here: "triton" where that is installed."""
    from importlib.util import find_spec

    return "triton" if find_spec("triton") else "torch"


def _joined(pieces: list[Pending]) -> Pending:
    res = None if pieces[0].res is None else torch.cat([p.res for p in pieces if p.res is not None])
    return Pending(torch.cat([p.y for p in pieces]), pieces[0].bias, res)


def _levels(encoder: Any) -> list[tuple[list[Any], Any, Any]]:
    """(residual blocks, resampling, averaging shortcut) of each resolution; both layouts of diffusers' WanEncoder3d."""
    found: list[tuple[list[Any], Any, Any]] = []
    blocks: list[Any] = []
    for part in encoder.down_blocks:
        name = type(part).__name__
        if name == "WanResidualDownBlock":
            found.append((list(part.resnets), part.downsampler, part.avg_shortcut))
        elif name == "WanResidualBlock":
            blocks.append(part)
        elif name == "WanResample":
            found.append((blocks, part, None))
            blocks = []
        else:
            raise NotImplementedError(f'the VAE has a {name}, which is not known here; set cache.vae_path = "plain"')
    return [*found, (blocks, None, None)] if blocks else found
