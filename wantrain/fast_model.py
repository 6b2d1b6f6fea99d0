"""Transformers of full size with random weights, inputs for them, and a bare training step. For `wantrain bench`.

Random weights give true timings: the kernels do the same work on any finite numbers (not on zeros, which run faster).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from wanprep.costs import CLIP_TOKENS, Transformer, transformer_of
from wanprep.families import Family
from wanprep.models import lazy
from wanprep.models.lazy import Hollow
from wantrain import lora
from wantrain.fast import tell_tokens

IMAGE_DIM = 1280  # of CLIP's embedding
FP32_PARTS = ("time_embedder", "scale_shift_table", "norm1", "norm2", "norm3")  # as the class keeps them when loading


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One bucket. tokens: of one example."""

    width: int
    height: int
    frames: int
    tokens: int

    @property
    def name(self) -> str:
        return f"{self.width}x{self.height}x{self.frames}"


def shape_of(family: Family, width: int, height: int, frames: int) -> Shape:
    """ValueError when the size is not on the family's grid or the frames are not 4n+1."""
    if width % family.grid or height % family.grid or width < 1 or height < 1:
        raise ValueError(f"{width}x{height}: both must be multiples of {family.grid} for {family.name}")
    latent = family.latent_frames(frames)
    tokens = latent * (width // family.grid) * (height // family.grid)
    return Shape(width=width, height=height, frames=frames, tokens=tokens)


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A smaller model of a family's architecture. layers: fewer or more blocks. width: a multiple of 128; the
    feed-forward shrinks with it. None is the family's own.
    """

    layers: int | None = None
    width: int | None = None

    def __post_init__(self) -> None:
        if self.layers is not None and self.layers < 1:
            raise ValueError(f"layers = {self.layers}; at least 1 is needed")
        if self.width is not None and (self.width < 128 or self.width % 128):
            raise ValueError(f"width = {self.width}; a multiple of 128 is needed, the size of a head")

    def of(self, family: Family) -> Transformer:
        """The sizes of the smaller model. ValueError for a family without a cost model."""
        whole = transformer_of(family)
        width = self.width or whole.dim
        return Transformer(layers=self.layers or whole.layers, dim=width, ffn=whole.ffn * width // whole.dim // 16 * 16)


WHOLE = Cut()


def _arguments(family: Family, cut: Cut) -> dict[str, Any]:
    sizes, patch = cut.of(family), family.grid // family.spatial_stride
    image = {"image_dim": IMAGE_DIM, "added_kv_proj_dim": sizes.dim} if family.clip_embeds else {}
    return {
        "num_attention_heads": sizes.dim // 128, "attention_head_dim": 128, "out_channels": family.z,
        "in_channels": family.z * 2 + 4 if family.task == "i2v" else family.z, "text_dim": family.text_dim,
        "ffn_dim": sizes.ffn, "num_layers": sizes.layers, "patch_size": (1, patch, patch), **image,
    }  # fmt: skip


def build(family: Family, *, cut: Cut = WHOLE, rank: int, device: str, dtype: torch.dtype, seed: int = 0) -> Any:
    """A transformer of the family with random weights, made on the device, and a LoRA on all linear layers; frozen.

    B is random too.
    """
    from diffusers import WanTransformer3DModel

    torch.manual_seed(seed)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            model: Any = WanTransformer3DModel(**_arguments(family, cut))
    finally:
        torch.set_default_dtype(before)
    for name, parameter in model.named_parameters():
        if any(part in name for part in FP32_PARTS):
            parameter.data = parameter.data.float()
    return _with_lora(model, rank, seed)


def _with_lora(model: Any, rank: int, seed: int) -> Any:
    params = lora.add_lora(model, rank=rank, alpha=rank, generator=torch.Generator().manual_seed(seed))
    for name, parameter in params.items():
        if name.endswith("lora_B"):
            parameter.data.normal_(std=0.01)
    return model.eval()


def build_hollow(
    family: Family, *, cut: Cut = WHOLE, device: str, dtype: torch.dtype, seed: int = 0, rank: int | None = None
) -> Hollow:
    """The same without the weights of its blocks, which come at random when they are read, always the same.

    rank: of a LoRA on all linear layers; None for none.
    """
    from diffusers import WanTransformer3DModel

    with torch.device("meta"):
        model: Any = WanTransformer3DModel(**_arguments(family, cut))
    shapes = {name: parameter.shape for name, parameter in model.named_parameters()}

    def read(name: str, dtype: torch.dtype) -> torch.Tensor:
        shape = shapes[name]
        if "norm" in name:
            return torch.full(shape, float(name.endswith("weight")), dtype=dtype, device=device)
        draw = torch.Generator(device).manual_seed(seed + zlib.crc32(name.encode()))
        bound = shape[1:].numel() ** -0.5 if len(shape) > 1 else 0.01
        return torch.empty(shape, dtype=dtype, device=device).uniform_(-bound, bound, generator=draw)

    found = lazy.hollow(model, read, device, dtype)
    if rank is not None:
        _with_lora(found.model, rank, seed)
    return found


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Cached inputs of one step, on the device. image: CLIP's, where the family's transformer looks at one. tokens: of
    the text that are no padding.
    """

    hidden: torch.Tensor
    wanted: torch.Tensor
    timestep: torch.Tensor
    text: torch.Tensor
    image: torch.Tensor | None = None
    tokens: int = 512


def batch_of(
    family: Family, shape: Shape, model: Any, device: str, seed: int = 1, text_tokens: int | None = None
) -> Batch:
    """Random inputs of batch size 1 in the model's type. text_tokens: of a caption, without padding; None fills all."""
    stride, draw = family.spatial_stride, torch.Generator(device).manual_seed(seed)
    room = (family.latent_frames(shape.frames), shape.height // stride, shape.width // stride)
    size = (1, model.config.in_channels, *room)
    dtype = model.patch_embedding.weight.dtype
    hidden = torch.randn(size, generator=draw, device=device)
    wanted = torch.randn((1, family.z, *room), generator=draw, device=device)
    tokens = (1, shape.tokens) if family.task == "ti2v" else (1,)
    text = torch.randn(1, family.text_len, family.text_dim, generator=draw, device=device)
    count = text_tokens or family.text_len
    text[:, count:] = 0
    timestep = torch.full(tokens, 900.0, device=device)
    image = None
    if family.clip_embeds:
        image = torch.randn(1, CLIP_TOKENS, IMAGE_DIM, generator=draw, device=device).to(dtype)
    hidden, text = hidden.to(dtype), text.to(dtype)
    return Batch(hidden=hidden, wanted=wanted, timestep=timestep, text=text, image=image, tokens=count)


def loss_of(model: Any, batch: Batch) -> torch.Tensor:
    """Mean squared error in float32, as in training."""
    seen = {} if batch.image is None else {"encoder_hidden_states_image": batch.image}
    tell_tokens(model, batch.tokens)
    found = model(
        hidden_states=batch.hidden, timestep=batch.timestep, encoder_hidden_states=batch.text, **seen,
        return_dict=False,
    )[0]  # fmt: skip
    return (found.float() - batch.wanted).square().mean()


def stepper(model: Any, batch: Batch) -> Callable[[], torch.Tensor]:
    """One training step: forward, backward, gradient clipping, AdamW. Its value is the loss, still on the device."""
    params = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(params, lr=1e-5, fused=params[0].is_cuda)

    def step() -> torch.Tensor:
        loss = loss_of(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    return step
