"""What the models of a family are made of: the arguments of their classes, and every tensor with its shape.

The configuration is never guessed from a weight file: a guess takes the 2.2 image-to-video model for 2.1's and every
VAE for 2.1's. With the shapes here (a test compares them with the real classes) a file can be checked in full from its
header, without torch.

Sources: the config.json files of the `Wan-AI/*-Diffusers` repositories, `wan/configs/*.py`, `wan/modules/{vae2_2,t5,
clip}.py` of Wan-Video/Wan2.2, and diffusers' scripts/convert_wan_to_diffusers.py.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from typing import Any

from wanprep.costs import transformer_of
from wanprep.families import Family

Shapes = dict[str, tuple[int, ...]]
Arguments = Mapping[str, Any]

_UMT5 = {
    "vocab_size": 256384, "d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_heads": 64,
    "relative_attention_num_buckets": 32, "relative_attention_max_distance": 128, "feed_forward_proj": "gated-gelu",
}  # fmt: skip
# ViT-H/14 of laion's open_clip; Wan 2.1 image-to-video sees its last layer but one.
_CLIP = {
    "hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 16,
    "image_size": 224, "patch_size": 14, "hidden_act": "gelu", "projection_dim": 1024,
}  # fmt: skip
_VAE = {
    "base_dim": 96, "z_dim": 16, "dim_mult": [1, 2, 4, 4], "num_res_blocks": 2, "attn_scales": [],
    "temperal_downsample": [False, True, True], "dropout": 0.0,
    "latents_mean": [
        -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508, 0.4134, -0.0715, 0.5517, -0.3632,
        -0.1922, -0.9497, 0.2503, -0.2921,
    ],
    "latents_std": [
        2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743, 3.2687, 2.1526, 2.8652, 1.5579, 1.6382,
        1.1253, 2.8251, 1.916,
    ],
}  # fmt: skip
_VAE_5B = _VAE | {
    "base_dim": 160, "decoder_base_dim": 256, "z_dim": 48, "is_residual": True, "in_channels": 12,
    "out_channels": 12, "patch_size": 2, "scale_factor_spatial": 16, "scale_factor_temporal": 4,
    "latents_mean": [
        -0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557, -0.1382, 0.0542, 0.2813, 0.0891,
        0.1570, -0.0098, 0.0375, -0.1825, -0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108, -0.2158, 0.2502,
        -0.2055, -0.0322, 0.1109, 0.1567, -0.0729, 0.0899, -0.2799, -0.1230, -0.0313, -0.1649, 0.0117, 0.0723,
        -0.2839, -0.2083, -0.0520, 0.3748, 0.0152, 0.1957, 0.1433, -0.2944, 0.3573, -0.0548, -0.1681, -0.0667,
    ],
    "latents_std": [
        0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013, 0.8158, 1.0344, 0.5894, 1.0901,
        0.6885, 0.6165, 0.8454, 0.4978, 0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659,
        0.7069, 0.5338, 0.4889, 0.4917, 0.4069, 0.4999, 0.6866, 0.4093, 0.5709, 0.6065, 0.6415, 0.4944,
        0.5726, 1.2042, 0.5458, 1.6887, 0.3971, 1.0600, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744,
    ],
}  # fmt: skip
_DEFAULTS = {"in_channels": 3, "out_channels": 3, "is_residual": False, "decoder_base_dim": None}  # of AutoencoderKLWan


def arguments(family: Family, part: str) -> dict[str, Any]:
    """What the class of `part` is built with: AutoencoderKLWan, UMT5Config, CLIPVisionConfig, WanTransformer3DModel."""
    if family.name == "tiny":
        return _tiny(part)
    if part == "vae":
        return dict(_VAE_5B if family.z == 48 else _VAE)
    if part in ("text", "clip"):
        return dict(_UMT5 if part == "text" else _CLIP)
    size = transformer_of(family)
    patch = family.grid // family.spatial_stride
    image = {"image_dim": 1280, "added_kv_proj_dim": size.dim} if family.clip_embeds else {}
    return {
        "patch_size": [1, patch, patch], "num_attention_heads": size.dim // 128, "attention_head_dim": 128,
        "in_channels": 2 * family.z + 4 if family.task == "i2v" else family.z, "out_channels": family.z,
        "text_dim": family.text_dim, "freq_dim": 256, "ffn_dim": size.ffn, "num_layers": size.layers,
        "cross_attn_norm": True, "qk_norm": "rms_norm_across_heads", "eps": 1e-6, "rope_max_seq_len": 1024, **image,
    }  # fmt: skip


def _tiny(part: str) -> dict[str, Any]:
    """The tiny family's own: its normalisation was measured and its vocabulary counted when it was built."""
    from wanprep.models.check import PARTS
    from wanprep.models.tiny import tiny_folder

    text = (tiny_folder() / PARTS[part] / "config.json").read_text(encoding="utf-8")
    volatile = ("transformers_version", "architectures", "dtype", "torch_dtype", "model_type", "tokenizer_class")
    return {name: v for name, v in json.loads(text).items() if not name.startswith("_") and name not in volatile}


@functools.lru_cache(maxsize=32)
def shapes(family: Family, part: str) -> Mapping[str, tuple[int, ...]]:
    """Every tensor of `part` -> its shape, under the names of the class (diffusers' or transformers')."""
    return _SHAPES[part](arguments(family, part))


def _layers(
    prefix: str, layers: Mapping[str, tuple[int, ...]], bias: bool = True
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Each layer's weight, and the bias that is as long as the weight's first side."""
    for name, shape in layers.items():
        yield f"{prefix}{name}.weight", shape
        if bias:
            yield f"{prefix}{name}.bias", shape[:1]


def _transformer(c: Arguments) -> Shapes:
    dim = c["num_attention_heads"] * c["attention_head_dim"]
    patch = tuple(c["patch_size"])
    found: Shapes = {"scale_shift_table": (1, 2, dim)}
    found |= _layers("", {
        "patch_embedding": (dim, c["in_channels"], *patch),
        "condition_embedder.time_embedder.linear_1": (dim, c["freq_dim"]),
        "condition_embedder.time_embedder.linear_2": (dim, dim),
        "condition_embedder.time_proj": (6 * dim, dim),
        "condition_embedder.text_embedder.linear_1": (dim, c["text_dim"]),
        "condition_embedder.text_embedder.linear_2": (dim, dim),
        "proj_out": (c["out_channels"] * patch[0] * patch[1] * patch[2], dim),
    })  # fmt: skip
    if image := c.get("image_dim"):
        inner = {"norm1": (image,), "ff.net.0.proj": (image, image), "ff.net.2": (dim, image), "norm2": (dim,)}
        found |= _layers("condition_embedder.image_embedder.", inner)
    attention = {f"{a}.{b}": (dim, dim) for a in ("attn1", "attn2") for b in ("to_q", "to_k", "to_v", "to_out.0")}
    norms = {f"{a}.{b}": (dim,) for a in ("attn1", "attn2") for b in ("norm_q", "norm_k")}
    feed = {"norm2": (dim,), "ffn.net.0.proj": (c["ffn_dim"], dim), "ffn.net.2": (dim, c["ffn_dim"])}
    for number in range(c["num_layers"]):
        block = f"blocks.{number}."
        found[f"{block}scale_shift_table"] = (1, 6, dim)
        found |= _layers(block, attention | feed)
        found |= _layers(block, norms, bias=False)
        if c.get("added_kv_proj_dim"):
            found |= _layers(block, {"attn2.add_k_proj": (dim, dim), "attn2.add_v_proj": (dim, dim)})
            found |= _layers(block, {"attn2.norm_added_k": (dim,)}, bias=False)
    return found


def _text(c: Arguments) -> Shapes:
    width, inner, model = c["num_heads"] * c["d_kv"], c["d_ff"], c["d_model"]
    found: Shapes = {"shared.weight": (c["vocab_size"], model), "encoder.final_layer_norm.weight": (model,)}
    buckets = c.get("relative_attention_num_buckets", 32)
    for number in range(c["num_layers"]):
        attention, feed = (f"encoder.block.{number}.layer.{half}." for half in (0, 1))
        found |= _layers(
            f"{attention}SelfAttention.", dict.fromkeys("qkv", (width, model)) | {"o": (model, width)}, False
        )
        found[f"{attention}SelfAttention.relative_attention_bias.weight"] = (buckets, c["num_heads"])
        dense = {"wi_0": (inner, model), "wi_1": (inner, model), "wo": (model, inner)}
        found |= _layers(f"{feed}DenseReluDense.", dense, False)
        found |= {f"{half}layer_norm.weight": (model,) for half in (attention, feed)}
    return found


def _clip(c: Arguments) -> Shapes:
    dim, inner, patch = c["hidden_size"], c["intermediate_size"], c["patch_size"]
    found: Shapes = {
        "embeddings.class_embedding": (dim,),
        "embeddings.patch_embedding.weight": (dim, 3, patch, patch),
        "embeddings.position_embedding.weight": ((c["image_size"] // patch) ** 2 + 1, dim),
    }
    found |= _layers("", {"pre_layrnorm": (dim,), "post_layernorm": (dim,)})
    layer: Shapes = {f"self_attn.{name}_proj": (dim, dim) for name in ("q", "k", "v", "out")}
    layer |= {"mlp.fc1": (inner, dim), "mlp.fc2": (dim, inner), "layer_norm1": (dim,), "layer_norm2": (dim,)}
    for number in range(c["num_hidden_layers"]):
        found |= _layers(f"encoder.layers.{number}.", layer)
    return found


def _vae(c: Arguments) -> Shapes:
    from wanprep.models.layout_vae import vae_shapes

    return vae_shapes(_DEFAULTS | dict(c))


_SHAPES = {"transformer": _transformer, "transformer_2": _transformer, "text": _text, "clip": _clip, "vae": _vae}
