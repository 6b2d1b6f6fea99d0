"""Names and shapes, against the real classes, diffusers' own converters, and modules nested as Wan-Video nests them."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers, convert_wan_vae_to_diffusers
from torch import nn

from wanprep.families import FAMILIES
from wanprep.models.check import config_problems, parts_of
from wanprep.models.layout import arguments, shapes
from wanprep.models.names import STYLES
from wanprep.models.single import build

PARTS = [(name, part) for name, f in FAMILIES.items() for part in parts_of(f) if part != "transformer_2"]


def origins(family: str, part: str, style: str) -> dict[str, str]:
    own = FAMILIES[family]
    blocks = arguments(own, part).get("num_res_blocks", 0)
    return {name: STYLES[part][style](name, blocks).name for name in shapes(own, part)}


@pytest.mark.parametrize(("family", "part"), PARTS)
def test_shapes_are_those_of_the_class_and_the_configuration_is_the_familys(family: str, part: str) -> None:
    model = build(FAMILIES[family], part)
    real = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    real.pop("encoder.embed_tokens.weight", None)  # tied to shared.weight
    assert shapes(FAMILIES[family], part) == real
    assert all(parameter.is_meta for parameter in model.parameters())
    config = model.config if isinstance(model.config, dict) else model.config.to_dict()
    assert config_problems(FAMILIES[family], part, {**config, "_class_name": type(model).__name__}) == []


@pytest.mark.parametrize("family", ["wan2.1-t2v-1.3b", "wan2.1-i2v-14b", "wan2.2-t2v-a14b", "wan2.2-ti2v-5b", "tiny"])
def test_transformer_names_both_ways_against_diffusers(family: str) -> None:
    ours = origins(family, "transformer", "wan")
    assert len(set(ours.values())) == len(ours)
    for prefix in ("", "model.diffusion_model."):
        # What stands for a tensor is its own name, so the converter's result says where each came from.
        back = convert_wan_transformer_to_diffusers({prefix + name: torch.zeros(()) for name in ours.values()})
        assert back.keys() == ours.keys()
    marked = convert_wan_transformer_to_diffusers({name: name for name in ours.values()})
    assert marked == ours


def test_vae_names_both_ways_against_diffusers() -> None:
    ours = origins("wan2.1-t2v-14b", "vae", "wan")
    assert len(set(ours.values())) == len(ours) == 194
    assert convert_wan_vae_to_diffusers({name: name for name in ours.values()}) == ours


def test_names_as_they_stand_in_the_files() -> None:
    """Facts, so that an error in both tables at once would show."""
    wan = origins("wan2.1-i2v-14b", "transformer", "wan")
    assert wan["scale_shift_table"] == "head.modulation"
    assert wan["blocks.7.scale_shift_table"] == "blocks.7.modulation"
    assert wan["blocks.7.norm2.weight"] == "blocks.7.norm3.weight"
    assert wan["blocks.7.attn2.add_k_proj.weight"] == "blocks.7.cross_attn.k_img.weight"
    assert wan["blocks.7.attn2.norm_added_k.weight"] == "blocks.7.cross_attn.norm_k_img.weight"
    assert wan["blocks.7.attn1.to_out.0.bias"] == "blocks.7.self_attn.o.bias"
    assert wan["blocks.7.ffn.net.2.weight"] == "blocks.7.ffn.2.weight"
    assert wan["condition_embedder.time_embedder.linear_2.weight"] == "time_embedding.2.weight"
    assert wan["condition_embedder.image_embedder.norm2.bias"] == "img_emb.proj.4.bias"
    assert wan["proj_out.weight"] == "head.head.weight"
    t5 = origins("wan2.1-t2v-14b", "text", "wan")
    bias = "encoder.block.3.layer.0.SelfAttention.relative_attention_bias.weight"
    assert t5[bias] == "blocks.3.pos_embedding.embedding.weight"
    assert t5["encoder.block.3.layer.1.DenseReluDense.wi_0.weight"] == "blocks.3.ffn.gate.0.weight"
    assert len({**wan}) == 1303
    assert len(t5) == 242


class Residual(nn.Module):
    """Wan-Video's ResidualBlock: norm, SiLU, convolution, norm, SiLU, dropout, convolution."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        first, second = Gamma((before, 1, 1, 1)), Gamma((after, 1, 1, 1))
        end = nn.Conv3d(after, after, 3)
        self.residual = nn.Sequential(
            first, nn.SiLU(), nn.Conv3d(before, after, 3), second, nn.SiLU(), nn.Dropout(0.0), end
        )
        self.shortcut = nn.Conv3d(before, after, 1) if before != after else nn.Identity()


class Gamma(nn.Module):
    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(shape))


class Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.to_qkv, self.proj = (
            Gamma((width, 1, 1)),
            nn.Conv2d(width, 3 * width, 1),
            nn.Conv2d(width, width, 1),
        )


class Resample(nn.Module):
    def __init__(self, width: int, temporal: bool, up: bool) -> None:
        super().__init__()
        self.resample = nn.Sequential(nn.Identity(), nn.Conv2d(width, width, 3))
        if temporal:
            self.time_conv = nn.Conv3d(width, 2 * width if up else width, (3, 1, 1))


class Stage(nn.Module):
    """Down_ResidualBlock or Up_ResidualBlock of vae2_2.py; their shortcuts have no parameters."""

    def __init__(self, before: int, after: int, count: int, resample: nn.Module | None, name: str) -> None:
        super().__init__()
        blocks: list[nn.Module] = [Residual(before if n == 0 else after, after) for n in range(count)]
        setattr(self, name, nn.Sequential(*blocks, *([resample] if resample else [])))


class Half(nn.Module):
    """Encoder3d or Decoder3d of vae2_2.py."""

    def __init__(self, into: int, out: int, dims: list[int], temporal: list[bool], up: bool) -> None:
        super().__init__()
        name, middle = ("upsamples", dims[0]) if up else ("downsamples", dims[-1])
        self.conv1 = nn.Conv3d(into, dims[0], 3)
        stages = []
        for number, (before, after) in enumerate(pairwise(dims)):
            last = number == len(dims) - 2
            resample = None if last else Resample(after, temporal[number], up)
            stages.append(Stage(before, after, 3 if up else 2, resample, name))
        setattr(self, name, nn.Sequential(*stages))
        self.middle = nn.Sequential(Residual(middle, middle), Attention(middle), Residual(middle, middle))
        self.head = nn.Sequential(Gamma((dims[-1], 1, 1, 1)), nn.SiLU(), nn.Conv3d(dims[-1], out, 3))


def test_names_and_shapes_of_the_5b_vae_as_wan_video_nests_it() -> None:
    """diffusers' installed converter does not know this VAE; so the modules are nested as vae2_2.py nests them."""
    with torch.device("meta"):
        model = nn.Module()
        model.encoder = Half(12, 96, [160, 160, 320, 640, 640], [False, True, True], up=False)
        model.conv1, model.conv2 = nn.Conv3d(96, 96, 1), nn.Conv3d(48, 48, 1)
        model.decoder = Half(48, 12, [1024, 1024, 1024, 512, 256], [True, True, False], up=True)
    real = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    family = FAMILIES["wan2.2-ti2v-5b"]
    ours = {origin: shapes(family, "vae")[name] for name, origin in origins(family.name, "vae", "wan residual").items()}
    assert ours == real


def test_names_and_shapes_of_wans_clip() -> None:
    """Wan-Video's clip.py keeps query, key and value in one layer: three of our tensors have the same origin."""
    found: dict[str, set[int | None]] = {}
    for name in shapes(FAMILIES["wan2.1-i2v-14b"], "clip"):
        origin = STYLES["clip"]["wan"](name, 0)
        found.setdefault(origin.name, set()).add(origin.third)
    layers = [
        f"{n}.{p}" for n in ("norm1", "attn.to_qkv", "attn.proj", "norm2", "mlp.0", "mlp.2") for p in ("weight", "bias")
    ]
    wanted = {f"transformer.{number}.{layer}" for number in range(32) for layer in layers}
    wanted |= {f"{norm}_norm.{p}" for norm in ("pre", "post") for p in ("weight", "bias")}
    assert found.keys() == wanted | {"patch_embedding.weight", "cls_embedding", "pos_embedding"}
    assert all(thirds == ({0, 1, 2} if "to_qkv" in name else {None}) for name, thirds in found.items())
