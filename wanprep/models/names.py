"""The same tensors under the names of other programs: from a class's own name to the name in the file.

This direction, because then the model says what it needs: every one of its tensors is asked for by exactly one name,
and whatever else the file holds is left over and can be counted.

    transformer   wan: Wan-Video's own, in all of ComfyUI's and Kijai's files;  diffusers: the class's
    vae           wan, diffusers
    text          hf: transformers' (ComfyUI's files);  wan: Wan-Video's t5.py (Kijai's files, models_t5_*.pth)
    clip          hf: transformers' (ComfyUI's clip_vision_h);  wan: Wan-Video's clip.py (Kijai's *_visual_*, the .pth)
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Origin:
    """Where a tensor is in the file. third: 0, 1 or 2 where the file keeps query, key and value in one."""

    name: str
    third: int | None = None


Rules = list[tuple[str, str | Callable[[re.Match[str]], str]]]
Namer = Callable[[str, int], Origin]  # (the class's name, residual blocks a stage of the VAE) -> where it is

# What a file of each part may be wrapped in; "" first.
PREFIXES = {
    "transformer": ("", "model.diffusion_model.", "diffusion_model."),
    "vae": ("", "vae.", "first_stage_model."),
    "text": ("", "text_encoder."),
    "clip": ("", "visual.", "model.visual."),
}
# What may be left over: it belongs to the same download and is not needed for Wan.
LEFT_OVER = {
    "transformer": r"$^",
    "vae": r"$^",
    "text": r"(spiece_model|encoder\.embed_tokens\.weight|logit_scale)",
    "clip": r"(vision_model\.)?embeddings\.position_ids|(visual\.)?(visual_projection\.weight|head|logit_scale)"
    r"|log_scale|logit_scale|textual\..*",
}


def _same(name: str, _: int) -> Origin:
    return Origin(name)


_TRANSFORMER: Rules = [
    (r"^condition_embedder\.time_embedder\.linear_(\d)", lambda m: f"time_embedding.{2 * int(m[1]) - 2}"),
    (r"^condition_embedder\.text_embedder\.linear_(\d)", lambda m: f"text_embedding.{2 * int(m[1]) - 2}"),
    (r"^condition_embedder\.time_proj", "time_projection.1"),
    (r"^condition_embedder\.image_embedder\.norm1", "img_emb.proj.0"),
    (r"^condition_embedder\.image_embedder\.ff\.net\.0\.proj", "img_emb.proj.1"),
    (r"^condition_embedder\.image_embedder\.ff\.net\.2", "img_emb.proj.3"),
    (r"^condition_embedder\.image_embedder\.norm2", "img_emb.proj.4"),
    (r"^scale_shift_table$", "head.modulation"),
    (r"^proj_out", "head.head"),
    (r"\.scale_shift_table$", ".modulation"),
    (r"\.attn1\.", ".self_attn."),
    (r"\.attn2\.", ".cross_attn."),
    (r"\.to_out\.0\.", ".o."),
    (r"\.to_([qkv])\.", r".\1."),
    (r"\.add_([kv])_proj\.", r".\1_img."),
    (r"\.norm_added_k\.", ".norm_k_img."),
    (r"^(blocks\.\d+)\.norm2\.", r"\1.norm3."),  # Wan numbers its norms by when they were written, not by order
    (r"\.ffn\.net\.0\.proj\.", ".ffn.0."),
    (r"\.ffn\.net\.2\.", ".ffn.2."),
]


def _rewritten(name: str, rules: Rules) -> str:
    for pattern, new in rules:
        name = re.sub(pattern, new, name)
    return name


def _transformer(name: str, _: int) -> Origin:
    return Origin(_rewritten(name, _TRANSFORMER))


_BLOCK: Rules = [
    (r"\.norm1\.", ".residual.0."),
    (r"\.conv1\.", ".residual.2."),
    (r"\.norm2\.", ".residual.3."),
    (r"\.conv2\.", ".residual.6."),
    (r"\.conv_shortcut\.", ".shortcut."),
]
_VAE_ENDS: Rules = [
    (r"^quant_conv\.", "conv1."),
    (r"^post_quant_conv\.", "conv2."),
    (r"^(encoder|decoder)\.conv_in\.", r"\1.conv1."),
    (r"^(encoder|decoder)\.norm_out\.", r"\1.head.0."),
    (r"^(encoder|decoder)\.conv_out\.", r"\1.head.2."),
    (r"\.mid_block\.attentions\.0\.", ".middle.1."),
]


def _vae(name: str, blocks: int) -> Origin:
    """blocks: residual blocks a stage of the encoder; the decoder has one more."""
    ends = _rewritten(name, _VAE_ENDS)
    if ends != name:
        return Origin(ends)
    inner = _rewritten(name, _BLOCK)
    if match := re.match(r"(encoder|decoder)\.mid_block\.resnets\.(\d)\.(.*)", inner):
        return Origin(f"{match[1]}.middle.{2 * int(match[2])}.{match[3]}")
    if match := re.match(r"encoder\.down_blocks\.(\d+)\.(?:resnets\.(\d+)|(downsampler))\.(.*)", inner):  # 2.2
        place = match[2] if match[2] else str(blocks)
        return Origin(f"encoder.downsamples.{match[1]}.downsamples.{place}.{match[4]}")
    if match := re.match(r"encoder\.down_blocks\.(\d+)\.(.*)", inner):
        return Origin(f"encoder.downsamples.{match[1]}.{match[2]}")
    if match := re.match(r"decoder\.up_blocks\.(\d+)\.upsampler\.(.*)", inner):  # 2.2
        return Origin(f"decoder.upsamples.{match[1]}.upsamples.{blocks + 1}.{match[2]}")
    match = re.match(r"decoder\.up_blocks\.(\d+)\.(?:resnets\.(\d+)|upsamplers\.0)\.(.*)", inner)
    assert match, name
    place = int(match[2]) if match[2] else blocks + 1
    return Origin(f"decoder.upsamples.{int(match[1]) * (blocks + 2) + place}.{match[3]}")


def _vae_residual(name: str, blocks: int) -> Origin:
    """2.2's decoder keeps its stages apart, 2.1's counts through; everything else is the same."""
    if match := re.match(r"decoder\.up_blocks\.(\d+)\.resnets\.(\d+)\.(.*)", name):
        inner = _rewritten(f".{match[3]}", _BLOCK)
        return Origin(f"decoder.upsamples.{match[1]}.upsamples.{match[2]}{inner}")
    return _vae(name, blocks)


_T5: Rules = [
    (r"^shared\.weight$", "token_embedding.weight"),
    (r"^encoder\.final_layer_norm\.", "norm."),
    (
        r"^encoder\.block\.(\d+)\.layer\.0\.SelfAttention\.relative_attention_bias\.",
        r"blocks.\1.pos_embedding.embedding.",
    ),
    (r"^encoder\.block\.(\d+)\.layer\.0\.SelfAttention\.", r"blocks.\1.attn."),
    (r"^encoder\.block\.(\d+)\.layer\.0\.layer_norm\.", r"blocks.\1.norm1."),
    (r"^encoder\.block\.(\d+)\.layer\.1\.layer_norm\.", r"blocks.\1.norm2."),
    (r"^encoder\.block\.(\d+)\.layer\.1\.DenseReluDense\.wi_0\.", r"blocks.\1.ffn.gate.0."),
    (r"^encoder\.block\.(\d+)\.layer\.1\.DenseReluDense\.wi_1\.", r"blocks.\1.ffn.fc1."),
    (r"^encoder\.block\.(\d+)\.layer\.1\.DenseReluDense\.wo\.", r"blocks.\1.ffn.fc2."),
]


def _t5(name: str, _: int) -> Origin:
    return Origin(_rewritten(name, _T5))


_VISION: Rules = [
    (r"^embeddings\.class_embedding$", "cls_embedding"),
    (r"^embeddings\.patch_embedding\.", "patch_embedding."),
    (r"^embeddings\.position_embedding\.weight$", "pos_embedding"),
    (r"^pre_layrnorm\.", "pre_norm."),
    (r"^post_layernorm\.", "post_norm."),
    (r"^encoder\.layers\.(\d+)\.layer_norm(\d)\.", r"transformer.\1.norm\2."),
    (r"^encoder\.layers\.(\d+)\.mlp\.fc1\.", r"transformer.\1.mlp.0."),
    (r"^encoder\.layers\.(\d+)\.mlp\.fc2\.", r"transformer.\1.mlp.2."),
    (r"^encoder\.layers\.(\d+)\.self_attn\.out_proj\.", r"transformer.\1.attn.proj."),
    (r"^encoder\.layers\.(\d+)\.self_attn\.[qkv]_proj\.", r"transformer.\1.attn.to_qkv."),
]


def _vision(name: str, _: int) -> Origin:
    found = re.search(r"\.self_attn\.([qkv])_proj\.", name)
    return Origin(_rewritten(name, _VISION), "qkv".index(found[1]) if found else None)


def _vision_hf(name: str, _: int) -> Origin:
    return Origin(f"vision_model.{name}")


STYLES: dict[str, dict[str, Namer]] = {
    "transformer": {"wan": _transformer, "diffusers": _same},
    "vae": {"wan": _vae, "wan residual": _vae_residual, "diffusers": _same},
    "text": {"hf": _same, "wan": _t5},
    "clip": {"hf": _vision_hf, "hf bare": _same, "wan": _vision},
}
