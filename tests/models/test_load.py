"""Finding, checking and loading weights: complete and fitting, or refused by name; never filled up with noise."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from wanprep.families import FAMILIES
from wanprep.models.check import config_problems, parts_of, problems, tensor_names
from wanprep.models.dtypes import torch_dtype
from wanprep.models.find import available, find_weights, require_weights
from wanprep.models.load import load_text, load_transformer, load_vae, pick_device
from wanprep.models.tiny import tiny_folder
from wanprep.stage import Missing

TINY = FAMILIES["tiny"]
A14B = FAMILIES["wan2.2-t2v-a14b"]
FILES = {
    "vae": "vae/diffusion_pytorch_model.safetensors",
    "text": "text_encoder/model.safetensors",
    "transformer": "transformer/diffusion_pytorch_model.safetensors",
    "transformer_2": "transformer_2/diffusion_pytorch_model.safetensors",
}
LOAD = {
    "vae": load_vae,
    "text": load_text,
    "transformer": lambda family, folder: load_transformer(family, "high", folder),
    "transformer_2": lambda family, folder: load_transformer(family, "low", folder),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy"))


@pytest.fixture(autouse=True)
def nothing_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("WANPREP_MODELS", raising=False)


@pytest.mark.parametrize("part", FILES)
def test_each_part_loads_in_eval_without_gradients(whole: Path, part: str) -> None:
    loaded = LOAD[part](TINY, whole)
    model = loaded.model if part == "text" else loaded
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    stored = load_file(whole / FILES[part])
    held = model.state_dict()
    assert stored.keys() <= held.keys()
    assert all(torch.equal(held[name], stored[name].to(held[name].dtype)) for name in stored)


def test_dtype_is_what_was_asked_for(whole: Path) -> None:
    assert load_vae(TINY, whole, "bf16").dtype == torch.bfloat16
    high = load_transformer(TINY, "high", whole, "bf16")
    assert high.blocks[0].attn1.to_q.weight.dtype == torch.bfloat16
    assert high.condition_embedder.time_embedder.linear_1.weight.dtype == torch.float32  # kept by the class
    with pytest.raises(ValueError, match="int8"):
        torch_dtype("int8")


@pytest.mark.parametrize("part", FILES)
def test_a_deleted_tensor_is_refused_by_name(folder: Path, part: str) -> None:
    path = folder / FILES[part]
    tensors = load_file(path)
    name = sorted(tensors)[7]
    del tensors[name]
    save_file(tensors, path, metadata={"format": "pt"})
    assert not problems(TINY, part, folder)  # the header alone cannot tell
    with pytest.raises(Missing, match=f"lacks {name}"):
        LOAD[part](TINY, folder)


@pytest.mark.parametrize("part", ["vae", "text", "transformer"])
def test_a_tensor_nobody_uses_is_refused(folder: Path, part: str) -> None:
    """The mark of a scaled fp8 checkpoint, whose weights mean nothing without their scales."""
    path = folder / FILES[part]
    save_file(load_file(path) | {"scaled_fp8": torch.zeros(1)}, path, metadata={"format": "pt"})
    with pytest.raises(Missing, match="has unknown scaled_fp8"):
        LOAD[part](TINY, folder)


@pytest.mark.parametrize("part", ["vae", "text", "transformer"])
def test_a_tensor_of_another_shape_is_refused(folder: Path, part: str) -> None:
    path = folder / FILES[part]
    tensors = load_file(path)
    name = next(n for n in sorted(tensors) if tensors[n].shape[0] > 1)
    save_file(tensors | {name: tensors[name][:1].clone()}, path, metadata={"format": "pt"})
    with pytest.raises(Missing, match="wrong shape"):
        LOAD[part](TINY, folder)


def test_the_text_encoder_may_store_its_tied_embedding_twice(folder: Path) -> None:
    path = folder / FILES["text"]
    tensors = load_file(path)
    twice = tensors | {"encoder.embed_tokens.weight": tensors["shared.weight"].clone()}
    save_file(twice, path, metadata={"format": "pt"})
    assert torch.equal(load_text(TINY, folder, "fp32").model.shared.weight, tensors["shared.weight"])


@pytest.mark.parametrize("cut", [4, 100, -1])
def test_a_truncated_file_is_refused_before_loading(folder: Path, cut: int) -> None:
    path = folder / FILES["vae"]
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(Missing, match=r"diffusion_pytorch_model\.safetensors (is cut off|has \d+ bytes)"):
        load_vae(TINY, folder)


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("vae", "z_dim", 48),
        ("vae", "scale_factor_spatial", 16),
        ("text", "d_model", 4096),
        ("transformer", "in_channels", 36),
        ("transformer", "num_layers", 40),
        ("transformer", "image_dim", 1280),
        ("transformer_2", "text_dim", 64),
        ("vae", "_class_name", "AutoencoderKL"),
    ],
)
def test_a_configuration_of_another_family_is_refused(folder: Path, part: str, name: str, value: object) -> None:
    path = (folder / FILES[part]).with_name("config.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))
    with pytest.raises(Missing, match=f"{name} is {value!r}"):
        LOAD[part](TINY, folder)


def test_experts_are_told_apart_by_the_index(folder: Path) -> None:
    index = folder / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"boundary_ratio": None}))
    with pytest.raises(Missing, match=r"boundary_ratio is None, tiny has 0\.875"):
        load_transformer(TINY, "high", folder)
    load_vae(TINY, folder)  # the VAE does not care
    with pytest.raises(ValueError, match="no expert 'single'"):
        load_transformer(TINY, "single", folder)


def test_official_configurations_fit_their_own_family_only() -> None:
    """Facts of the Wan-AI/*-Diffusers configurations; absent names are the classes' defaults."""
    transformer = {"_class_name": "WanTransformer3DModel", "out_channels": 16, "patch_size": [1, 2, 2]}
    i2v = {"in_channels": 36, "num_attention_heads": 40, "num_layers": 40}
    configs = {
        "wan2.1-t2v-1.3b": transformer | {"in_channels": 16, "num_attention_heads": 12, "num_layers": 30},
        "wan2.1-t2v-14b": transformer | {"in_channels": 16, "num_attention_heads": 40, "num_layers": 40},
        "wan2.1-i2v-14b": transformer | i2v | {"image_dim": 1280},
        "wan2.2-i2v-a14b": transformer | i2v | {"image_dim": None},
        "wan2.2-ti2v-5b": transformer
        | {"in_channels": 48, "out_channels": 48, "num_attention_heads": 24, "num_layers": 30},
    }
    configs["wan2.2-t2v-a14b"] = configs["wan2.1-t2v-14b"]  # equal: only boundary_ratio differs
    for name, config in configs.items():
        fits = {f for f in configs if not config_problems(FAMILIES[f], "transformer", config)}
        equal = {"wan2.1-t2v-14b", "wan2.2-t2v-a14b"}
        assert fits == (equal if name in equal else {name})
    vae = {"_class_name": "AutoencoderKLWan", "z_dim": 16}  # the 2.1 file does not state its scale factors
    vae_5b = vae | {"z_dim": 48, "scale_factor_spatial": 16, "scale_factor_temporal": 4}
    for name, family in FAMILIES.items():
        assert bool(config_problems(family, "vae", vae)) == (name == "wan2.2-ti2v-5b")
        assert bool(config_problems(family, "vae", vae_5b)) == (name != "wan2.2-ti2v-5b")


def test_tiny_is_always_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANPREP_HOME", str(tmp_path))
    assert parts_of(TINY) == ("vae", "text", "transformer", "transformer_2")
    assert available(TINY) == dict.fromkeys(parts_of(TINY), tiny_folder())


def test_nothing_is_found_and_nothing_is_fetched() -> None:
    for name, family in FAMILIES.items():
        if name != "tiny":
            assert set(available(family).values()) == {None}
    with pytest.raises(Missing, match=r"hf download Wan-AI/Wan2\.2-T2V-A14B-Diffusers .*tokenizer"):
        require_weights(A14B, "text")
    with pytest.raises(ValueError, match="no part 'transformer_2'"):
        find_weights(FAMILIES["wan2.1-t2v-14b"], "transformer_2")


def as_real_vae(folder: Path) -> None:
    """The tiny VAE has the 16 channels and strides of the real one, so it may stand in for a download of it."""
    shutil.rmtree(folder / "transformer")


def test_found_in_named_folders_and_in_the_hub_cache(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_real_vae(folder)
    repository = tmp_path / "hub" / "models--Wan-AI--Wan2.2-T2V-A14B-Diffusers"
    old, new = repository / "snapshots" / "aaa", repository / "snapshots" / "bbb"
    shutil.copytree(folder, old)
    shutil.copytree(folder, new)
    assert find_weights(A14B, "vae") == old
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("bbb")
    assert find_weights(A14B, "vae") == new
    # the I2V model has the same VAE, the 5B one has not
    assert find_weights(FAMILIES["wan2.2-i2v-a14b"], "vae") == new
    assert find_weights(FAMILIES["wan2.2-ti2v-5b"], "vae") is None
    assert find_weights(A14B, "transformer") is None
    models = tmp_path / "models"
    shutil.copytree(folder, models / "Wan2.2-T2V-A14B-Diffusers")
    monkeypatch.setenv("WANPREP_MODELS", f"{tmp_path / 'nowhere'}:{models}")
    assert find_weights(A14B, "vae") == models / "Wan2.2-T2V-A14B-Diffusers"


def test_an_unfinished_download_is_passed_over_and_explained(folder: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "hub" / "models--Wan-AI--Wan2.2-T2V-A14B-Diffusers" / "snapshots" / "aaa"
    shutil.copytree(folder, snapshot)
    (snapshot / FILES["vae"]).unlink()
    assert find_weights(A14B, "vae") is None
    with pytest.raises(Missing, match=r"has no diffusion_pytorch_model\.safetensors"):
        require_weights(A14B, "vae")


def test_a_named_folder_is_used_or_refused_with_everything_that_is_wrong(folder: Path, tmp_path: Path) -> None:
    assert find_weights(TINY, "vae", override=folder) == folder
    assert load_vae(TINY, folder / "vae").config.z_dim == 16  # the part's own folder will do
    with pytest.raises(Missing, match="is not there"):
        find_weights(TINY, "vae", override=tmp_path / "nowhere")
    single = tmp_path / "wan_2.1_vae.safetensors"
    single.write_bytes(b"x")
    with pytest.raises(Missing, match="is cut off inside its header"):
        find_weights(A14B, "vae", override=single)
    (folder / "tokenizer" / "tokenizer.json").unlink()
    with pytest.raises(Missing, match=r"neither tokenizer\.json nor spiece\.model"):
        find_weights(TINY, "text", override=folder)
    with pytest.raises(Missing, match="d_model is 32"):
        find_weights(A14B, "text", override=folder)


def test_shards_must_all_be_there_and_hold_what_the_index_says(folder: Path) -> None:
    path = folder / FILES["transformer"]
    tensors = load_file(path)
    names = sorted(tensors)
    path.unlink()
    shards = {"a.safetensors": names[:9], "b.safetensors": names[9:]}
    for shard, held in shards.items():
        save_file({n: tensors[n] for n in held}, path.with_name(shard), metadata={"format": "pt"})
    index = path.with_name(path.name + ".index.json")
    index.write_text(json.dumps({"metadata": {}, "weight_map": {n: s for s, held in shards.items() for n in held}}))
    loaded = load_transformer(TINY, "high", folder, "fp32").state_dict()
    assert all(torch.equal(loaded[n], tensors[n]) for n in names)
    save_file({n: tensors[n] for n in names[10:]}, path.with_name("b.safetensors"), metadata={"format": "pt"})
    assert problems(TINY, "transformer", folder) == [f"{index} lists 1 tensors no shard holds: {names[9]}, …"]
    path.with_name("b.safetensors").unlink()
    assert "b.safetensors is not there" in problems(TINY, "transformer", folder)[0]


def test_header_garbage_is_not_a_header(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes((5).to_bytes(8, "little") + b"[1,2]")
    with pytest.raises(ValueError, match="no readable safetensors header"):
        tensor_names(path)


def test_a_gpu_that_is_not_there_is_said_so() -> None:
    assert pick_device("cpu") == "cpu"
    if not torch.cuda.is_available():
        assert pick_device("auto") == "cpu"
        with pytest.raises(Missing, match="no CUDA device"):
            pick_device("cuda:1")


def test_of_gpus_that_are_there_the_numbers_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [pick_device(name) for name in ("auto", "cuda", "cuda:1")] == ["cuda", "cuda", "cuda:1"]
    with pytest.raises(Missing, match='"cuda:0", "cuda:1"'):
        pick_device("cuda:2")


def test_i2v_expects_the_mask_and_the_first_frame(whole: Path) -> None:
    config = json.loads((whole / "transformer" / "config.json").read_text())
    i2v = replace(TINY, task="i2v")
    assert config_problems(i2v, "transformer", config) == ["in_channels is 16, tiny has 36"]
    assert not config_problems(i2v, "transformer", config | {"in_channels": 36})
