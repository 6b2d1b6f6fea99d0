"""The layers of the Wan VAE's encoder over activations whose channels lie side by side in memory.

Bias, residual, norm and SiLU between two convolutions are one pass (`settle`) that writes straight into the next
convolution's padded input, so a layer hands over sums that nobody has made yet (`Pending`). A causal convolution keeps
the last two frames that it saw, as diffusers' feature cache does: a clip may come in stretches.

Legend: T frames, H, W pixels of a level, C channels; activations are [T, H, W, C].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass
class Pending:
    """A residual stream not yet added up: y + bias + res. y [T, H, W, C], maybe strided; res contiguous."""

    y: Tensor
    bias: Tensor | None = None
    res: Tensor | None = None

    def take(self) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """The parts, which are then nowhere else: their memory goes when whoever took them is done with them."""
        parts = self.y, self.bias, self.res
        del self.y, self.bias, self.res
        return parts


def settle(
    y: Tensor, bias: Tensor | None, res: Tensor | None, *, gamma: Tensor | None = None, out: Tensor | None = None,
    act: bool = False, keep: bool = False,
) -> Tensor | None:  # fmt: skip
    """v = y + bias + res; with `keep` returned, in y's type; with `out` written there, normed by gamma, then SiLU.

    The norm is diffusers' WanRMS_norm: v / max(|v|, 1e-12) · sqrt(C) · gamma over the channels. y, out [T, H, W, C]
    with any strides but 1 for C; bias, gamma float32 [C]. The plain formulas; `vae_triton` has the same in one pass.
    """
    v = y.to(torch.float32, copy=True)
    v = v if bias is None else v.add_(bias)
    v = v if res is None else v.add_(res)
    new = v.to(y.dtype, copy=True).contiguous() if keep else None
    if out is not None:
        if gamma is not None:
            v.div_(torch.linalg.vector_norm(v, dim=-1, keepdim=True).clamp_min_(1e-12)).mul_(y.shape[-1] ** 0.5 * gamma)
        out.copy_(functional.silu(v, inplace=True) if act else v)
    return new


class Conv:
    """A causal 3x3x3 convolution without its bias, which whoever reads the result adds."""

    def __init__(self, module: Any, dtype: torch.dtype, kernels: bool) -> None:
        weight = module.weight.detach().to(dtype)
        self.channels = weight.shape[1] + -weight.shape[1] % 8  # of the input, filled up with zeros
        config = _config(self.channels, weight.shape[0]) if kernels else None
        self.bias = module.bias.detach().float()
        self.config = config
        self.border = 0 if config is None else 1  # cuDNN puts zeros around a picture itself
        self.tail: Tensor | None = None
        if config is None:
            more = (0, 0) * 3 + (0, self.channels - weight.shape[1])
            self.weight = functional.pad(weight, more).contiguous(memory_format=torch.channels_last_3d)
        else:
            self.weight = triton().conv_weight(weight, self.channels, config["K"])

    def buffer(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Room for the input: the whole, with the two frames before it filled in, and the part to write to."""
        frames, height, width = like.shape[:3]
        b = self.border
        shape = (frames + 2, height + 2 * b, width + 2 * b, self.channels)
        whole = torch.empty(shape, dtype=self.weight.dtype, device=like.device)
        for edge in (whole[:, :1], whole[:, -1:], whole[:, :, :1], whole[:, :, -1:]) if b else ():
            edge.zero_()
        if self.tail is None:
            whole[:2].zero_()
        else:
            whole[:2].copy_(self.tail)
        return whole, whole[2:, b : b + height, b : b + width]

    def __call__(self, whole: Tensor, more: bool) -> Tensor:
        """[T+2, H, W, C] -> [T, H, W, N]. more: frames follow, so remember the last two."""
        self.tail = whole[-2:].clone() if more else None
        if self.config is None:
            taken = whole[None].permute(0, 4, 1, 2, 3)
            return functional.conv3d(taken, self.weight, None, padding=(0, 1, 1))[0].permute(1, 2, 3, 0).contiguous()
        return triton().conv(whole, self.weight, self.config)


class Block:
    """WanResidualBlock."""

    def __init__(self, module: Any, make: Callable[[Any], Conv], settle: Callable[..., Any]) -> None:
        self.settle = settle
        self.gammas = [norm.gamma.detach().float().flatten() for norm in (module.norm1, module.norm2)]
        self.convs = [make(module.conv1), make(module.conv2)]
        shortcut = module.conv_shortcut
        self.shortcut = None if isinstance(shortcut, nn.Identity) else _linear(shortcut)

    def __call__(self, s: Pending, more: bool) -> tuple[Pending, Tensor]:
        """The stream after the block, and the one before it, settled."""
        first, second = self.convs
        y, bias, res = s.take()
        whole, room = first.buffer(y)
        trivial = bias is None and res is None and y.is_contiguous()
        x = self.settle(y, bias, res, gamma=self.gammas[0], out=room, act=True, keep=not trivial)
        x = y if trivial else x
        del y, res  # here and below: at these sizes a name kept too long is a gigabyte
        y = first(whole, more)
        del whole, room
        whole, room = second.buffer(y)
        self.settle(y, first.bias, None, gamma=self.gammas[1], out=room, act=True)
        del y
        y = second(whole, more)
        del whole, room
        return Pending(y, second.bias, x if self.shortcut is None else functional.linear(x, *self.shortcut)), x


class Down:
    """WanResample, downwards: half the width and height; with a time convolution half the frames after the first."""

    def __init__(self, module: Any, dtype: torch.dtype, settle: Callable[..., Any]) -> None:
        self.settle = settle
        conv = module.resample[1]
        self.weight = conv.weight.detach().to(dtype).contiguous(memory_format=torch.channels_last)
        self.bias = conv.bias.detach().to(dtype)
        time = module.time_conv if module.mode == "downsample3d" else None
        self.time = None if time is None else (time.weight.detach().to(dtype), time.bias.detach().to(dtype))
        self.tail: Tensor | None = None

    def __call__(self, s: Pending, more: bool) -> Tensor:
        y, bias, res = s.take()
        frames, height, width, channels = y.shape
        whole = torch.empty(frames, height + 1, width + 1, channels, dtype=y.dtype, device=y.device)
        whole[:, height].zero_()
        whole[:, :, width].zero_()
        self.settle(y, bias, res, out=whole[:, :height, :width])
        del y, res
        x = functional.conv2d(whole.permute(0, 3, 1, 2), self.weight, self.bias, stride=2).permute(0, 2, 3, 1)
        del whole
        if self.time is None:
            return x.contiguous()  # as it is on a GPU, where this copies nothing
        before, self.tail = self.tail, (x[-1:].clone() if more else None)
        pieces = [] if before is not None else [x[:1]]  # the clip's first frame is a latent frame of its own
        x = x if before is None else torch.cat([before, x])
        if len(x) >= 3:
            taken = x[None].permute(0, 4, 1, 2, 3)
            pieces.append(functional.conv3d(taken, *self.time, stride=(2, 1, 1))[0].permute(1, 2, 3, 0))
        return torch.cat(pieces).contiguous()


def average(x: Tensor, module: Any) -> Tensor:
    """AvgDown3D on [T, H, W, C]: the mean of `group_size` neighbours among a cell's pixels, channel by channel."""
    t, s = module.factor_t, module.factor_s
    x = functional.pad(x, (0, 0, 0, 0, 0, 0, -len(x) % t, 0))
    frames, height, width, channels = x.shape
    cells = x.reshape(frames // t, t, height // s, s, width // s, s, channels).permute(0, 2, 4, 6, 1, 3, 5)
    return cells.reshape(*cells.shape[:3], module.out_channels, module.group_size).mean(-1)


class Level:
    """The blocks of one resolution and the way down from it."""

    def __init__(self, blocks: list[Block], down: Down | None, shortcut: Any) -> None:
        self.blocks, self.down, self.shortcut = blocks, down, shortcut

    def __call__(self, s: Pending, more: bool) -> Pending:
        start: Tensor | None = None
        for block in self.blocks:
            s, before = block(s, more)
            start = before if start is None and self.shortcut is not None else start
            del before
        if self.down is not None:
            s = Pending(self.down(s, more))
        if start is not None:
            s = Pending(s.y, s.bias, average(start, self.shortcut) + (0 if s.res is None else s.res))
        return s


class Attention:
    """WanAttentionBlock: every frame attends to itself, one head."""

    def __init__(self, module: Any, settle: Callable[..., Any]) -> None:
        self.settle = settle
        self.gamma = module.norm.gamma.detach().float().flatten()
        self.qkv, self.proj = _linear(module.to_qkv), _linear(module.proj)

    def __call__(self, s: Pending) -> Pending:
        y, bias, res = s.take()
        normed = torch.empty(y.shape, dtype=y.dtype, device=y.device)
        x = self.settle(y, bias, res, gamma=self.gamma, out=normed, keep=True)
        frames, height, width, channels = x.shape
        del y, res
        qkv = functional.linear(normed, *self.qkv).view(frames, 1, height * width, 3 * channels)
        del normed
        q, k, v = qkv.chunk(3, dim=-1)
        seen = functional.scaled_dot_product_attention(q, k, v).view(frames, height, width, channels)
        return Pending(functional.linear(seen, *self.proj), None, x)


def triton() -> Any:
    from wanprep.models import vae_triton

    return vae_triton


def _config(channels: int, outputs: int) -> dict[str, int] | None:
    kernels = triton()
    return kernels.config_for(channels, outputs) if kernels.available() else None


def _linear(conv: Any) -> tuple[Tensor, Tensor]:
    """A convolution over one pixel as a matrix product: weight [N, C], bias [N]."""
    weight = conv.weight.detach()
    return weight.reshape(weight.shape[0], weight.shape[1]), conv.bias.detach()
