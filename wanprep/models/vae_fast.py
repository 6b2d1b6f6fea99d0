"""The Wan VAE's encoder as a GPU likes it: the weights of diffusers' class, another order of the same arithmetic.

diffusers goes through a clip four frames at a time, pads and concatenates copies of every activation and normalises
in several passes. Here (`vae_layers`) nothing is copied between two convolutions; the resolutions with the most pixels
run in stretches of many frames, what is below them once for the whole clip; where memory is short, in shorter ones and
in strips, which changes no value (`vae_plan`).

Legend: T frames, H, W pixels of a level, C channels; activations are [T, H, W, C].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from wanprep.models import vae_plan
from wanprep.models.vae import scaled
from wanprep.models.vae_layers import Attention, Block, Conv, Down, Level, Pending, settle, triton
from wanprep.models.vae_plan import CELL, LARGE, Plan, Strip, channels, handed


class FastEncoder:
    """Frames to the mode of the posterior.

    vae: diffusers' AutoencoderKLWan, whose weights are copied in `vae.dtype`. kernels: "triton", or "torch" for plain
    formulas and cuDNN. NotImplementedError for a VAE with parts that Wan's do not have.
    """

    def __init__(self, vae: Any, *, kernels: str = "torch") -> None:
        encoder, self.dtype, self.device = vae.encoder, vae.dtype, vae.device
        self.config, self.patch = vae.config, vae.config.patch_size or 1
        self.convs: list[Conv] = []
        self.settle = triton().settle if kernels == "triton" else settle

        def make(module: Any) -> Conv:
            self.convs.append(Conv(module, self.dtype, kernels == "triton"))
            return self.convs[-1]

        self.conv_in = make(encoder.conv_in)
        levels = [self._level(*parts, make) for parts in _levels(encoder)]
        self.large, self.small = levels[:LARGE], levels[LARGE:]
        mid = encoder.mid_block
        self.before, self.after = (Block(module, make, self.settle) for module in mid.resnets)
        self.attention = Attention(mid.attentions[0], self.settle)
        self.gamma_out = encoder.norm_out.gamma.detach().float().flatten()
        self.conv_out = make(encoder.conv_out)
        quant, z = vae.quant_conv, vae.config.z_dim
        self.quant = quant.weight.detach()[:z, :, 0, 0, 0].float(), quant.bias.detach()[:z].float()

    def _level(self, blocks: list[Any], down: Any, shortcut: Any, make: Callable[[Any], Conv]) -> Level:
        made = [Block(block, make, self.settle) for block in blocks]
        return Level(made, Down(down, self.dtype, self.settle) if down is not None else None, shortcut)

    @torch.no_grad()
    def __call__(self, frames_FHWC: Tensor, plan: Plan | None = None, *, condition: bool = False) -> Tensor:
        """uint8 [4n+1, H, W, 3] or float in [-1, 1] of the same shape -> float32 [z, n+1, h, w], not normalised.

        plan: how the work is cut, which changes no value. condition: of the first frame followed by mid-grey ones.
        """
        total, height, width, _ = frames_FHWC.shape
        plan = plan or vae_plan.usual(width, height, total)
        kept = frames_FHWC[:1] if condition else frames_FHWC
        joined = self._large(kept.to(self.device, non_blocking=True), total, plan)
        pieces = []
        self._forget()
        for start, end in vae_plan.spans(total, plan.rest):
            part = joined[handed(self.config, start) : handed(self.config, end)]
            pieces.append(self._rest(Pending(part), end < total))
        return torch.cat(pieces).permute(3, 0, 1, 2).contiguous()

    def _large(self, frames_FHWC: Tensor, total: int, plan: Plan) -> Tensor:
        """What the large levels make of `total` frames: those given, then mid-grey ones."""
        frames, height, width, _ = frames_FHWC.shape
        rows, columns = height // self.patch, width // self.patch
        shape = handed(self.config, total), rows // CELL, columns // CELL, channels(self.config)[LARGE]
        joined = torch.empty(shape, dtype=self.dtype, device=self.device)
        seen = frames + vae_plan.reach(self.config)  # later frames depend on grey ones only
        stretch = min(plan.stretch, seen + -seen % 4)
        for strip in vae_plan.strips(self.config, rows, plan.strips):
            self._forget()
            of_strip = joined[:, strip.first : strip.last]
            for start, end in vae_plan.spans(total, stretch):
                s = self._enter(frames_FHWC, start, end, strip, end < total)
                for level in self.large:
                    s = level(s, end < total)
                first, last = handed(self.config, start), handed(self.config, end)
                self._join(s, strip, of_strip[first:last])
                if seen < end:  # from here on every frame is the same
                    of_strip[last:] = of_strip[last - 1]
                    break
        return joined

    def _join(self, s: Pending, strip: Strip, out: Tensor) -> None:
        """Write a strip's own rows."""
        y, bias, res = s.take()
        own = slice(strip.first - strip.top, strip.last - strip.top)
        self.settle(y[:, own], bias, None if res is None else res[:, own].contiguous(), out=out)

    def _rest(self, s: Pending, more: bool) -> Tensor:
        for level in self.small:
            s = level(s, more)
        s = self.attention(self.before(s, more)[0])
        s = self.after(s, more)[0]
        y, bias, res = s.take()
        whole, room = self.conv_out.buffer(y)
        self.settle(y, bias, res, gamma=self.gamma_out, out=room, act=True)
        moments = self.conv_out(whole, more).float() + self.conv_out.bias
        return functional.linear(moments, *self.quant)

    def _forget(self) -> None:
        """Nothing came before; also after a clip that was broken off."""
        for conv in self.convs:
            conv.tail = None
        for level in (*self.large, *self.small):
            if level.down is not None:
                level.down.tail = None

    def _enter(self, frames_FHWC: Tensor, start: int, end: int, strip: Strip, more: bool) -> Pending:
        """The first convolution of frames [start, end) of one strip."""
        rows = slice(strip.top * CELL * self.patch, strip.bottom * CELL * self.patch)
        x = scaled(frames_FHWC[start:end, rows])
        if (grey := end - start - len(x)) > 0:
            x = torch.cat([x, x.new_zeros(grey, *x.shape[1:])])
        if self.patch > 1:
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
