"""Single files load as the folder does, bit for bit where the type allows it; 8-bit ones with their scales; or not."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import singlefiles as files
import torch
from safetensors.torch import load_file

from wanprep.families import FAMILIES
from wanprep.models import single
from wanprep.models.check import problems
from wanprep.models.identity import model_id
from wanprep.models.layout import shapes
from wanprep.models.load import load_clip, load_text
from wanprep.models.names import STYLES
from wanprep.models.tiny import tiny_folder
from wanprep.stage import Missing

TINY = files.TINY
T2V = FAMILIES["wan2.2-t2v-a14b"]


@pytest.fixture(scope="module")
def whole() -> Path:
    return tiny_folder()


@pytest.fixture(scope="module")
def comfy(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return files.comfy_folder(whole, tmp_path_factory.mktemp("ComfyUI"))


def equal(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(
        mine[name].dtype == theirs[name].dtype and torch.equal(mine[name], theirs[name]) for name in mine
    )


@pytest.mark.parametrize("dtype", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("part", files.COMFY_NAMES)
def test_a_single_file_gives_the_folders_model_in_every_type(whole: Path, comfy: Path, part: str, dtype: str) -> None:
    """Values, and which layers stay in fp32."""
    alone = files.load(part, comfy / files.COMFY_NAMES[part], dtype)
    assert equal(alone, files.load(part, whole, dtype))
    assert not alone.training
    assert not any(parameter.requires_grad for parameter in alone.parameters())


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model.", "diffusion_model."])
@pytest.mark.parametrize("style", ["wan", "diffusers"])
def test_every_naming_of_a_transformer(whole: Path, tmp_path: Path, style: str, prefix: str) -> None:
    tensors = files.renamed("transformer", files.tensors_of(whole, "transformer"), style, prefix)
    path = files.save(tmp_path / "x.safetensors", tensors)
    assert equal(files.load("transformer", path, "fp32"), files.load("transformer", whole, "fp32"))


def test_the_text_encoder_under_wans_names_with_a_tokenizer_beside_it(whole: Path, tmp_path: Path) -> None:
    tensors = files.renamed("text", files.tensors_of(whole, "text"), "wan")
    path = files.save(tmp_path / "umt5-xxl-enc-bf16.safetensors", tensors)
    assert "has no spiece_model inside" in problems(TINY, "text", path)[0]
    (tmp_path / "tokenizer").mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "tokenizer" / name).write_bytes((whole / "tokenizer" / name).read_bytes())
    text, folder = load_text(TINY, path, "fp32"), load_text(TINY, whole, "fp32")
    assert torch.equal(text.encode("a dog runs"), folder.encode("a dog runs"))


def test_a_pth_is_opened_without_running_its_code(whole: Path, tmp_path: Path) -> None:
    torch.save(files.renamed("vae", files.tensors_of(whole, "vae")), tmp_path / "Wan2.1_VAE.pth")
    assert equal(files.load("vae", tmp_path / "Wan2.1_VAE.pth", "fp32"), files.load("vae", whole, "fp32"))

    class Harm:
        def __reduce__(self) -> Any:
            return (os.mkdir, (str(tmp_path / "harm"),))

    torch.save({"conv1.weight": Harm()}, tmp_path / "bad.pth")
    with pytest.raises(Missing, match="refused, because opening it would run code"):
        files.load("vae", tmp_path / "bad.pth", "fp32")
    (tmp_path / "old.pth").write_bytes(pickle.dumps(Harm()))
    with pytest.raises(Missing, match=r"old\.pth"):
        files.load("vae", tmp_path / "old.pth", "fp32")
    assert not (tmp_path / "harm").exists()
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    with pytest.raises(Missing, match="no table of tensors"):
        files.load("vae", tmp_path / "list.pth", "fp32")


# --- wrong files ---


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("blocks.1.cross_attn.q.weight"), r"lacks blocks\.1\.cross_attn\.q\.weight"),
        (lambda t: t.update({"vace_blocks.0.x": torch.zeros(1)}), r"has unknown vace_blocks\.0\.x"),
        (lambda t: t.update({"head.head.bias": torch.zeros(9)}), r"head\.head\.bias is \[9\] where \[64\] is needed"),
    ],
)
def test_what_is_amiss_is_said_by_name_before_anything_is_read(
    whole: Path, tmp_path: Path, change: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors = files.renamed("transformer", files.tensors_of(whole, "transformer"))
    change(tensors)
    path = files.high(whole, tmp_path / "x_high.safetensors", tensors)
    monkeypatch.setattr(single, "build", lambda *_: pytest.fail("the model was built"))
    with pytest.raises(Missing, match=message) as caught:
        files.load("transformer", path, "fp32")
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("cut", [3, 200, -1])
def test_a_truncated_file_is_refused(whole: Path, tmp_path: Path, cut: int) -> None:
    path = files.high(whole, tmp_path / "x_high.safetensors")
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(Missing, match=r"x_high\.safetensors (is cut off|has \d+ bytes where its header promises)"):
        files.load("transformer", path, "fp32")


def test_full_size_files_fit_their_own_family_only(tmp_path: Path) -> None:
    """Headers of the real sizes. 2.1 14B and both experts of 2.2 cannot be told apart, and only these."""
    alike = {"wan2.1-t2v-14b", "wan2.2-t2v-a14b"}
    for name in FAMILIES:
        if name == "tiny":
            continue
        path = files.full_size(name, "transformer", tmp_path / f"{name}.safetensors")
        plain = path.rename(tmp_path / "checkpoint.safetensors")
        fits = {other for other, f in FAMILIES.items() if not problems(f, "transformer", plain)}
        assert fits == (alike if name in alike else {name})
        for other in FAMILIES.keys() - fits - {"tiny"}:
            assert f"its tensors are those of transformer of {name}" in (
                problems(FAMILIES[other], "transformer", plain)[0].replace("wan2.1-t2v-14b, wan2.2-t2v-a14b", name)
            )
    vae = files.full_size("wan2.2-ti2v-5b", "vae", tmp_path / "wan2.2_vae.safetensors", "wan residual")
    assert problems(FAMILIES["wan2.2-ti2v-5b"], "vae", vae) == []
    assert "those of vae of wan2.2-ti2v-5b" in problems(T2V, "vae", vae)[0]
    assert "those of vae of wan2.2-ti2v-5b" in problems(T2V, "transformer", vae)[0]
    small = files.full_size("wan2.1-t2v-14b", "vae", tmp_path / "wan_2.1_vae.safetensors")
    assert problems(T2V, "vae", small) == []
    assert problems(FAMILIES["wan2.2-ti2v-5b"], "vae", small) != []


def test_the_name_may_object_where_tensors_cannot(tmp_path: Path) -> None:
    path = files.full_size("wan2.2-t2v-a14b", "transformer", tmp_path / "wan2.2_t2v_low_noise_14B_fp16.safetensors")
    assert problems(T2V, "transformer_2", path) == []
    assert "its name says low noise, and the high-noise expert is wanted" in problems(T2V, "transformer", path)[0]
    assert "its name says Wan 2.2" in problems(FAMILIES["wan2.1-t2v-14b"], "transformer", path)[0]
    old = path.rename(tmp_path / "Wan2_1-T2V-14B_fp8_e4m3fn.safetensors")
    assert "Wan 2.1, and wan2.2-t2v-a14b is wanted" in problems(T2V, "transformer", old)[0]
    assert problems(FAMILIES["wan2.1-t2v-14b"], "transformer", old) == []
    other = old.rename(tmp_path / "my merge.safetensors")
    assert [problems(T2V, part, other) for part in ("transformer", "transformer_2")] == [[], []]


def test_other_kinds_of_files_are_refused_by_name(tmp_path: Path) -> None:
    for name in ("wan2.2-t2v-high-Q8_0.gguf", "model.ckpt", "weights"):
        (tmp_path / name).write_bytes(b"GGUF")
        assert ".safetensors and .pth are read" in problems(T2V, "transformer", tmp_path / name)[0]
    lora = files.save(
        tmp_path / "lora.safetensors", {"diffusion_model.blocks.0.ffn.0.lora_A.weight": torch.zeros(1, 1)}
    )
    assert "it has none of its tensors" in problems(T2V, "transformer", lora)[0]


def test_wans_clip_in_both_namings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from wanprep.models import layout

    i2v = FAMILIES["wan2.1-i2v-14b"]
    monkeypatch.setattr(
        layout,
        "_CLIP",
        layout._CLIP | {"num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2},
    )
    layout.shapes.cache_clear()
    single._origins.cache_clear()
    try:
        own = {name: torch.randn(shape) for name, shape in shapes(i2v, "clip").items()}
        wan: dict[str, torch.Tensor] = {"log_scale": torch.ones(()), "visual.head": torch.zeros(32, 8)}
        for name, tensor in own.items():
            origin = STYLES["clip"]["wan"](name, 0)
            if origin.third is None:
                tensor = (
                    tensor[None, None] if "cls" in origin.name else tensor[None] if "pos" in origin.name else tensor
                )
                wan["visual." + origin.name] = tensor
        for layer in range(2):
            for kind in ("weight", "bias"):
                parts = [own[f"encoder.layers.{layer}.self_attn.{p}_proj.{kind}"] for p in "qkv"]
                wan[f"visual.transformer.{layer}.attn.to_qkv.{kind}"] = torch.cat(parts)
        hf = {f"vision_model.{name}": tensor for name, tensor in own.items()}
        hf |= {
            "visual_projection.weight": torch.zeros(8, 32),
            "vision_model.embeddings.position_ids": torch.arange(257),
        }
        for name, tensors in (("xlm-roberta_visual", wan), ("clip_vision_h", hf)):
            held = load_clip(i2v, files.save(tmp_path / f"{name}.safetensors", tensors)).state_dict()
            assert all(torch.equal(held[key], tensor) for key, tensor in own.items()), name
    finally:
        layout.shapes.cache_clear()
        single._origins.cache_clear()


def test_an_identity_is_of_the_bytes_and_of_the_tokenizer(comfy: Path, tmp_path: Path) -> None:
    text = comfy / files.COMFY_NAMES["text"]
    before = model_id(text, "text")
    copy = tmp_path / "renamed.safetensors"
    copy.write_bytes(text.read_bytes())
    assert model_id(copy, "text") == before
    tensors = load_file(text)
    tensors["shared.weight"][0, 0] += 1
    assert model_id(files.save(tmp_path / "other.safetensors", tensors), "text") != before
    parts = {model_id(comfy / name, part) for part, name in files.COMFY_NAMES.items()}
    assert len(parts) == 4


# --- memory ---

_MEASURE = """
import resource, sys
from pathlib import Path
import torch
from wanprep.families import FAMILIES
from wanprep.models import single
from wanprep.models.load import load_vae
torch.set_num_threads(1)
single.build(FAMILIES["wan2.1-t2v-14b"], "vae")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
model = single.load(FAMILIES["wan2.1-t2v-14b"], "vae", Path(sys.argv[1]), sys.argv[2], "cpu")
held = sum(p.numel() * p.element_size() for p in model.parameters())
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024, held)
"""


@pytest.mark.parametrize("dtype", ["fp16", pytest.param("fp32", marks=pytest.mark.torture)])
def test_the_host_never_holds_a_file_twice(tmp_path: Path, dtype: str) -> None:
    """The real VAE's size (127 M parameters, 254 MB): the peak grows by the model and about one tensor of it."""
    path = files.full_size("wan2.1-t2v-14b", "vae", tmp_path / "wan_2.1_vae.safetensors")
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(path), dtype], capture_output=True, text=True, check=True, timeout=120
    )
    grown, held = map(int, done.stdout.split())
    assert held == 126_892_531 * (2 if dtype == "fp16" else 4)
    assert grown < held + 60e6
