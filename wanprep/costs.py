"""What a set of samples costs to train: tokens, batches, steps, arithmetic, memory. No torch, no clock.

The arithmetic counts a multiply-add as two operations and covers the transformer blocks (everything else is below
1 %). Frozen base weights need no weight gradient, so the linear layers' backward costs one forward of them (none for
keys and values of the text, which needs no gradient at all), and attention's costs 2.5 (FlashAttention-2, Dao 2023:
five matrix products back against two forward).

The memory model is of one resident expert, full checkpointing and a batch of equal samples: weights + LoRA with its
optimizer + the input of every block + the working set of the block that is recomputed. It was fitted to peaks measured
on an H100 (wan2.2-t2v-a14b, rank 32, batch 1; 384x208x45, 512x512x41, 832x480x81):

    musubi-tuner bf16   31.1  36.5  51.9 GiB, model 31.6  37.0  52.3 (+1.5, +1.2, +0.8 %)
    musubi-tuner fp8    19.0  24.3  39.7      model 18.7  24.1  39.5 (-1.4, -0.7, -0.5 %)
    diffusers + peft    31    36    50.5      model 31.6  37.0  52.3 (+1.8, +2.6, +3.6 %)

Other families, nf4 and other ranks follow from their sizes and are not measured.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from wanprep.families import Family

Bucket = tuple[int, int, int]  # width, height, frames
Recompute = Literal["none", "full"]
Weights = Literal["bf16", "fp8", "nf4"]

ATTENTION_BACKWARD = 2.5
CLIP_TOKENS = 257  # CLIP ViT-H/14 at 224 pixels: 16 x 16 patches and the class token
GIB = 1024**3

# Bytes a weight of the blocks, scales included; what is outside the blocks stays in bf16. 14.8 GB of fp8 and 8 GB of
# nf4 for 14.29 billion are measured.
WEIGHT_BYTES: dict[str, float] = {"bf16": 2.0, "fp8": 1.02, "nf4": 0.53}
TRAINED_BYTES = 16  # a LoRA weight, its gradient and two moments of AdamW, all fp32
# Working set of one block while it is recomputed and differentiated, in hidden states (tokens · dim · 2 bytes): the
# feed-forward's inner activations and their gradients (4 of ffn width), and everything of model width. 35 in all for
# 14B, where the fit was made.
WORKING_INNER = 4.0
WORKING_WIDTH = 24.2
MODULATION = 12.0  # ti2v has a timestep a token: six fp32 vectors of model width for each


@dataclass(frozen=True, kw_only=True)
class Transformer:
    """Sizes of one expert. Source: `wan/configs/*.py` of Wan-Video/Wan2.1 and Wan2.2 (num_layers, dim, ffn_dim)."""

    layers: int
    dim: int
    ffn: int


_14B = Transformer(layers=40, dim=5120, ffn=13824)
TRANSFORMERS: dict[str, Transformer] = {
    "wan2.1-t2v-1.3b": Transformer(layers=30, dim=1536, ffn=8960),
    "wan2.1-t2v-14b": _14B,
    "wan2.1-i2v-14b": _14B,
    "wan2.2-t2v-a14b": _14B,
    "wan2.2-i2v-a14b": _14B,
    "wan2.2-ti2v-5b": Transformer(layers=30, dim=3072, ffn=14336),
}


def transformer_of(family: Family) -> Transformer:
    """ValueError for a family without a cost model (`tiny`: its size is whatever was built)."""
    if family.name not in TRANSFORMERS:
        raise ValueError(f"no cost model for family {family.name!r}; known: {', '.join(TRANSFORMERS)}")
    return TRANSFORMERS[family.name]


# --- arithmetic of one forward and one step ---


@dataclass(frozen=True, kw_only=True)
class _Forward:
    """Floating-point operations of one forward of one example."""

    linear: float  # on every token: self-attention q k v o, cross-attention q o, feed-forward
    text: float  # cross-attention k v, on the text (and image) tokens
    own: float  # self-attention
    cross: float  # cross-attention

    @property
    def total(self) -> float:
        return self.linear + self.text + self.own + self.cross


def _forward(family: Family, tokens: int) -> _Forward:
    if tokens < 1:
        raise ValueError(f"{tokens} tokens; an example has at least one")
    model = transformer_of(family)
    layers, dim = model.layers, model.dim
    context = family.text_len + (CLIP_TOKENS if family.clip_embeds else 0)
    return _Forward(
        linear=layers * 2 * tokens * (6 * dim * dim + 2 * dim * model.ffn),
        text=layers * 2 * context * 2 * dim * dim,
        own=layers * 4 * tokens * tokens * dim,
        cross=layers * 4 * tokens * context * dim,
    )


def forward_tflop(family: Family, tokens: int) -> float:
    """Operations of one forward of one expert on one example of `tokens` tokens, in 10^12."""
    return _forward(family, tokens).total / 1e12


def step_tflop(family: Family, tokens: int, recompute: Recompute = "full") -> float:
    """Operations of forward and backward of one example with LoRA on a frozen expert, in 10^12.

    recompute "full" repeats the forward (checkpointing every block); "none" keeps every activation. The LoRA's own
    products (below 1 % at rank 32) are left out.
    """
    if recompute not in ("none", "full"):
        raise ValueError(f"recompute {recompute!r}; use none or full")
    forward = _forward(family, tokens)
    backward = forward.linear + ATTENTION_BACKWARD * (forward.own + forward.cross)
    return (forward.total * (2 if recompute == "full" else 1) + backward) / 1e12


def block_input_bytes(family: Family, tokens: int) -> int:
    """Activations kept by full checkpointing: one bf16 hidden state a block, for one example."""
    model = transformer_of(family)
    return model.layers * tokens * model.dim * 2


# --- memory of training ---


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes on the card. weights: of one expert. lora: with gradients and optimizer. inputs: of all blocks, kept by
    checkpointing. working: of the block at work. Not in it: the CUDA context and fragmentation (about 1 GiB)."""

    weights: float
    lora: float
    inputs: float
    working: float

    @property
    def total(self) -> float:
        return self.weights + self.lora + self.inputs + self.working


def block_params(family: Family) -> int:
    """Weights of one expert's blocks: self- and cross-attention and the feed-forward."""
    model = transformer_of(family)
    attention = 8 + (2 if family.clip_embeds else 0)
    return model.layers * (attention * model.dim**2 + 2 * model.dim * model.ffn)


def other_params(family: Family) -> int:
    """Weights outside the blocks: text, time and modulation projections."""
    dim = transformer_of(family).dim
    return family.text_dim * dim + dim * dim + 256 * dim + 7 * dim * dim


def lora_params(family: Family, rank: int) -> int:
    """Weights of a LoRA on every linear layer of every block."""
    model = transformer_of(family)
    attention = 8 + (2 if family.clip_embeds else 0)
    return model.layers * rank * (attention * 2 * model.dim + 2 * (model.dim + model.ffn))


def token_bytes(family: Family) -> float:
    """Activations that one token more costs with full checkpointing."""
    model = transformer_of(family)
    working = WORKING_WIDTH + WORKING_INNER * model.ffn / model.dim + (MODULATION if family.task == "ti2v" else 0)
    return (model.layers + working) * model.dim * 2


def training_memory(
    family: Family, tokens: int, *, weights: Weights = "bf16", rank: int = 16, batch: int = 1
) -> Memory:
    """Peak of one training step on `batch` samples of `tokens` tokens; see the top of this file for how far it is off.

    ValueError for a family without a cost model, and for numbers below 1.
    """
    if min(tokens, rank, batch) < 1:
        raise ValueError(f"tokens = {tokens}, rank = {rank}, batch = {batch}; all must be at least 1")
    inputs = block_input_bytes(family, tokens) * batch
    return Memory(
        weights=block_params(family) * WEIGHT_BYTES[weights] + other_params(family) * 2,
        lora=lora_params(family, rank) * TRAINED_BYTES,
        inputs=inputs,
        working=token_bytes(family) * tokens * batch - inputs,
    )


def max_tokens(family: Family, budget: float, *, weights: Weights = "bf16", rank: int = 16, batch: int = 1) -> int:
    """Tokens of the largest sample that trains within `budget` bytes; 0 when not even the weights fit."""
    fixed = training_memory(family, 1, weights=weights, rank=rank, batch=batch)
    return max(0, int((budget - fixed.weights - fixed.lora) // (token_bytes(family) * batch)))


def latent_bytes(family: Family, width: int, height: int, frames: int, *, itemsize: int = 2) -> int:
    """Bytes of one latent `[z, (F−1)/4+1, H/s, W/s]` (bf16 by default), without a file's header.

    ValueError when the frames are not 4n+1 or a side is not a multiple of the VAE's stride.
    """
    stride = family.spatial_stride
    if width % stride or height % stride:
        raise ValueError(f"{width}x{height} is not a multiple of the VAE's stride {stride}")
    return family.z * family.latent_frames(frames) * (height // stride) * (width // stride) * itemsize


# --- epochs ---


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One pass over a set. samples: distinct. visits: with repeats. batches: each of one bucket. tokens: of visits.

    steps: optimizer steps; `accumulate` batches each, the last one of what is left.
    """

    samples: int
    visits: int
    batches: int
    steps: int
    tokens: int


def visits_of(samples: Iterable[Mapping[str, Any]]) -> dict[Bucket, int]:
    """How often an epoch visits each bucket: repeats of the rows in state "ok", by (width, height, frames)."""
    visits: Counter[Bucket] = Counter()
    for row in samples:
        if row["state"] == "ok":
            visits[row["width"], row["height"], row["frames"]] += row["repeats"]
    return dict(sorted(visits.items()))


def batches_of(visits: int, batch_size: int) -> int:
    """Batches of one bucket: the last may be smaller, none is dropped or filled up from another bucket."""
    return -(-visits // batch_size)


def epoch_of(samples: Iterable[Mapping[str, Any]], *, batch_size: int = 1, accumulate: int = 1) -> Epoch:
    """Exact counts of an epoch over sample rows. ValueError when batch_size or accumulate is below 1."""
    if batch_size < 1 or accumulate < 1:
        raise ValueError(f"batch_size = {batch_size}, accumulate = {accumulate}; both must be at least 1")
    made = [row for row in samples if row["state"] == "ok"]
    visits = visits_of(made)
    batches = sum(batches_of(count, batch_size) for count in visits.values())
    return Epoch(
        samples=len(made),
        visits=sum(visits.values()),
        batches=batches,
        steps=-(-batches // accumulate),
        tokens=sum(row["tokens"] * row["repeats"] for row in made),
    )
