"""8-bit weight files: multiplied with their scales in each spelling, a plain cast without any, or refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import singlefiles as files
import torch
from safetensors.torch import load_file

from wanprep.models.check import problems
from wanprep.models.layout import shapes
from wanprep.models.load import load_text
from wanprep.models.names import STYLES
from wanprep.models.tiny import tiny_folder
from wanprep.stage import Missing

TINY = files.TINY


@pytest.fixture(scope="module")
def whole() -> Path:
    return tiny_folder()


@pytest.mark.parametrize("spelling", ["scale_weight", "comfy_quant", "metadata", "rows"])
def test_scaled_weights_are_multiplied_with_their_scales(whole: Path, tmp_path: Path, spelling: str) -> None:
    wan = files.renamed("transformer", files.tensors_of(whole, "transformer"))
    word = "scale_weight" if spelling == "scale_weight" else "weight_scale"
    stored = files.scaled_fp8(wan, word, rows=spelling == "rows")
    layers = [name.removesuffix(f".{word}") for name in stored if name.endswith(f".{word}")]
    assert len(layers) == 22  # ten a block, the time projection and the head
    wanted = files.dequantised(stored, word)
    metadata = None
    if spelling == "comfy_quant":
        stored |= {f"{layer}.comfy_quant": files.comfy_quant() for layer in layers}
    if spelling == "metadata":
        formats = {layer: {"format": "float8_e4m3fn"} for layer in layers}
        metadata = {"_quantization_metadata": json.dumps({"format_version": "1.0", "layers": formats})}
    path = files.save(tmp_path / "high_noise.safetensors", stored, metadata)
    held = files.load("transformer", path, "fp32").state_dict()
    exact = load_file(whole / files.WEIGHTS["transformer"])
    for name in shapes(TINY, "transformer"):
        origin = STYLES["transformer"]["wan"](name, 0).name
        assert torch.equal(held[name], wanted[origin].float()), name
        assert torch.allclose(held[name], exact[name], atol=float(exact[name].abs().max()) * 0.04), name
    bf16 = files.load("transformer", path, "bf16").state_dict()  # rounded once, from the exact product
    name = "blocks.0.ffn.net.2.weight"
    assert torch.equal(bf16[name], wanted["blocks.0.ffn.2.weight"].bfloat16())


def test_a_plain_load_drops_the_scales_without_a_word(whole: Path, tmp_path: Path) -> None:
    """The negative control: what diffusers' own loader makes of the same file, with the right configuration."""
    from diffusers import WanTransformer3DModel

    stored = files.scaled_fp8(files.renamed("transformer", files.tensors_of(whole, "transformer")))
    path = files.save(tmp_path / "high_noise_fp8_scaled.safetensors", stored)
    plain: Any = WanTransformer3DModel.from_single_file(
        str(path), config=str(whole / "transformer"), local_files_only=True, torch_dtype=torch.float32
    )
    exact = files.load("transformer", whole, "fp32")
    ours = files.load("transformer", path, "fp32")
    layer = "blocks.0.attn1.to_q.weight"
    true = exact.state_dict()[layer]
    assert (ours.state_dict()[layer] - true).norm() / true.norm() < 0.04
    assert plain.state_dict()[layer].norm() / true.norm() > 500


def test_unscaled_8_bits_are_a_cast(whole: Path, tmp_path: Path) -> None:
    """musubi-tuner's and Kijai's fp8_e4m3fn: weights are simply rounded, some layers kept in 16 bits."""
    wan = files.renamed("transformer", files.tensors_of(whole, "transformer"))
    stored = {n: t.to(torch.float8_e4m3fn) if "blocks" in n and t.ndim == 2 else t.bfloat16() for n, t in wan.items()}
    held = files.load("transformer", files.high(whole, tmp_path / "x_high.safetensors", stored), "fp32").state_dict()
    for name in shapes(TINY, "transformer"):
        assert torch.equal(held[name], stored[STYLES["transformer"]["wan"](name, 0).name].float())
    e5m2 = {n: t.to(torch.float8_e5m2) if t.ndim == 2 else t for n, t in wan.items()}
    assert problems(TINY, "transformer", files.high(whole, tmp_path / "y_high.safetensors", e5m2)) == []


def test_the_text_encoder_in_8_bits(whole: Path, tmp_path: Path) -> None:
    tensors = files.tensors_of(whole, "text")
    stored = files.scaled_fp8(tensors)
    assert stored["encoder.block.0.layer.0.SelfAttention.q.weight"].dtype == torch.float8_e4m3fn
    spiece = files.spiece_tensor(whole / "tokenizer" / "tokenizer.json")
    path = files.save(tmp_path / "umt5_xxl_fp8_e4m3fn_scaled.safetensors", stored | {"spiece_model": spiece})
    ours, exact = load_text(TINY, path, "fp32"), load_text(TINY, whole, "fp32")
    got, wanted = ours.encode("a woman walks"), exact.encode("a woman walks")
    assert got.shape == wanted.shape
    assert (got - wanted).norm() / wanted.norm() < 0.1
    assert ours.model.encoder.embed_tokens.weight is ours.model.shared.weight


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("blocks.1.ffn.0.scale_weight"), r"1 have no scale \(blocks\.1\.ffn\.0\.weight\)"),
        (lambda t: t.update({"blocks.1.ffn.0.scale_weight": torch.zeros(())}), "not a positive number"),
        (lambda t: t.update({"blocks.1.ffn.0.scale_weight": torch.tensor(float("nan"))}), "not a positive number"),
        (lambda t: t.update({"blocks.1.ffn.0.scale_weight": torch.ones(7)}), "one scale a layer or an output row"),
        (lambda t: t.update({"blocks.1.ffn.0.comfy_quant": files.comfy_quant("nvfp4")}), "quantised as nvfp4"),
        (lambda t: t.update({"blocks.1.ffn.0.comfy_quant": torch.zeros(3, dtype=torch.uint8)}), "something unreadable"),
        (lambda t: t.update({"blocks.1.ffn.0.weight": torch.zeros(192, 96, dtype=torch.int8)}), "stored as I8"),
        (
            lambda t: t.update({"blocks.1.ffn.0.weight_scale_2": torch.ones(())}),
            "unknown blocks.1.ffn.0.weight_scale_2",
        ),
    ],
)
def test_8_bits_that_are_not_understood_are_refused(whole: Path, tmp_path: Path, change: Any, message: str) -> None:
    stored = files.scaled_fp8(files.renamed("transformer", files.tensors_of(whole, "transformer")))
    change(stored)
    with pytest.raises(Missing, match=message):
        files.load("transformer", files.high(whole, tmp_path / "x_high.safetensors", stored), "fp32")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_every_code_of_a_large_layer_is_rounded_once(dtype: torch.dtype, tmp_path: Path) -> None:
    """All 256 bytes, in both 8-bit types, over several stretches; one scale a layer and one a row."""
    from wanprep.models import fp8
    from wanprep.models.tensorfile import read_header

    codes = torch.arange(256, dtype=torch.uint8).repeat(4096 + 3, 2).reshape(-1, 512)
    for kind in (torch.float8_e4m3fn, torch.float8_e5m2):
        for scale in (torch.tensor(0.0173), torch.rand(len(codes), 1) + 0.01):
            stored = codes.view(kind)
            path = files.save(tmp_path / "x.safetensors", {"a.weight": stored, "a.scale_weight": scale})
            with read_header(path).reader() as reader:
                got = fp8.read(reader, "a.weight", dtype)
            wanted = (stored.float() * scale).to(dtype)
            assert got.numel() > fp8.STRETCH
            assert torch.equal(got.nan_to_num(), wanted.nan_to_num())
            assert torch.equal(got.isnan(), wanted.isnan())
