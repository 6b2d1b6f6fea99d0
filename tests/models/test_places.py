"""Single files found where ComfyUI keeps them, and the ways to name them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import singlefiles as files
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from wanprep.cli import cli
from wanprep.families import FAMILIES
from wanprep.models.claims import Claims, claims_of, is_of, part_named
from wanprep.models.find import available, find_weights, require_weights
from wanprep.models.places import Place, places
from wanprep.models.tiny import tiny_folder
from wanprep.stage import Missing, UsageError

TINY = files.TINY
A14B, OLD = FAMILIES["wan2.2-t2v-a14b"], FAMILIES["wan2.1-t2v-14b"]


@pytest.fixture(autouse=True)
def nothing_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("WANPREP_MODELS", raising=False)


@pytest.fixture
def comfy(tmp_path: Path) -> Path:
    return files.comfy_folder(tiny_folder(), tmp_path / "ComfyUI" / "models")


@pytest.fixture
def real_vae(tmp_path: Path) -> Path:
    """A header of the real VAE's size, under the name that ComfyUI's users have it by."""
    (tmp_path / "models" / "vae").mkdir(parents=True)
    return files.full_size("wan2.1-t2v-14b", "vae", tmp_path / "models" / "vae" / "wan_2.1_vae.safetensors")


NAMES = {
    "wan2.2_t2v_high_noise_14B_fp8_scaled.safetensors": ("2.2", "t2v", "14b", "high"),
    "wan2.2_i2v_low_noise_14B_fp16.safetensors": ("2.2", "i2v", "14b", "low"),
    "Wan2_2-T2V-A14B-HIGH_fp8_e4m3fn_scaled_KJ.safetensors": ("2.2", "t2v", "14b", "high"),
    "Wan2_2-I2V-A14B-LOW_bf16.safetensors": ("2.2", "i2v", "14b", "low"),
    "wan2.2_ti2v_5B_fp16.safetensors": ("2.2", "ti2v", "5b", None),
    "wan2.1_t2v_1.3B_bf16.safetensors": ("2.1", "t2v", "1.3b", None),
    "Wan2_1-T2V-1_3B_fp32.safetensors": ("2.1", "t2v", "1.3b", None),
    "wan2.1_i2v_480p_14B_fp8_e4m3fn.safetensors": ("2.1", "i2v", "14b", None),
    "wan2.1_i2v_720p_14B_fp16.safetensors": ("2.1", "i2v", "14b", None),
    "Wan2_1-T2V-14B_fp8_e4m3fn.safetensors": ("2.1", "t2v", "14b", None),
    "WAN22 highlight reel.safetensors": ("2.2", None, None, None),
    "slow-flow.safetensors": (None, None, None, None),
    "my_HighNoise.safetensors": (None, None, None, "high"),
    "high_and_low_merged.safetensors": (None, None, None, None),
}


@pytest.mark.parametrize("name", NAMES)
def test_what_a_name_says(name: str) -> None:
    version, task, size, expert = NAMES[name]
    assert claims_of(name) == Claims(version=version, task=task, size=size, expert=expert)


def test_each_well_known_name_is_of_one_part_of_one_family() -> None:
    parts = {
        "wan_2.1_vae.safetensors": "vae", "wan2.2_vae.safetensors": "vae", "Wan2_1_VAE_bf16.safetensors": "vae",
        "Wan2.1_VAE.pth": "vae", "umt5_xxl_fp8_e4m3fn_scaled.safetensors": "text",
        "umt5-xxl-enc-bf16.safetensors": "text", "models_t5_umt5-xxl-enc-bf16.pth": "text",
        "clip_vision_h.safetensors": "clip",
        "open-clip-xlm-roberta-large-vit-huge-14_visual_fp16.safetensors": "clip", "sdxl_vae.safetensors": None,
        "wan2.2_t2v_lightx2v_4steps_lora_v1.1_high_noise.safetensors": None, "t5xxl_fp16.safetensors": None,
        "wan2.2_fun_vace_high_noise_14B_fp8_scaled.safetensors": None, "wan2.2_s2v_14B_fp8_scaled.safetensors": None,
    }  # fmt: skip
    assert {name: part_named(name) for name in parts} == parts
    for name in [n for n, said in NAMES.items() if said[1]]:
        takers = [
            (f.name, p)
            for f in FAMILIES.values()
            for p in ("transformer", "transformer_2")[: len(f.experts)]
            if is_of(f, p, name)
        ]
        assert len(takers) == 1, name


def test_a_comfyui_folder_serves_as_weights(comfy: Path) -> None:
    for part, name in files.COMFY_NAMES.items():
        assert find_weights(TINY, part, override=comfy) == comfy / name
    (comfy / files.COMFY_NAMES["transformer"]).rename(comfy / "diffusion_models" / "mine.safetensors")
    with pytest.raises(Missing, match="no file under a name that is known for transformer of tiny"):
        find_weights(TINY, "transformer", override=comfy)


def test_files_are_found_among_models_and_downloads(
    real_vae: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_weights(A14B, "vae") is None
    monkeypatch.setenv("WANPREP_MODELS", str(tmp_path / "models"))
    assert find_weights(A14B, "vae") == real_vae
    assert available(OLD)["vae"] == real_vae
    assert find_weights(FAMILIES["wan2.2-ti2v-5b"], "vae") is None
    with pytest.raises(Missing, match=r"looked at .*wan_2\.1_vae.*those of vae of wan2\.1"):
        require_weights(FAMILIES["wan2.2-ti2v-5b"], "vae")
    monkeypatch.delenv("WANPREP_MODELS")
    snapshot = tmp_path / "hub/models--Comfy-Org--Wan_2.2_ComfyUI_Repackaged/snapshots/abc/split_files/vae"
    snapshot.mkdir(parents=True)
    assert find_weights(A14B, "vae") is None
    (snapshot / real_vae.name).symlink_to(real_vae)
    assert find_weights(A14B, "vae") == snapshot / real_vae.name


def test_a_truncated_file_is_passed_over_and_explained(real_vae: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANPREP_MODELS", str(real_vae.parents[1]))
    os.truncate(real_vae, real_vae.stat().st_size - 1)
    assert find_weights(A14B, "vae") is None
    with pytest.raises(Missing, match="bytes where its header promises"):
        require_weights(A14B, "vae")


def test_the_most_exact_file_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANPREP_MODELS", str(tmp_path))
    fp16 = files.full_size("wan2.1-t2v-1.3b", "transformer", tmp_path / "wan2.1_t2v_1.3B_fp16.safetensors")
    small = tmp_path / "wan2.1_t2v_1.3B_fp8.safetensors"
    head = int.from_bytes(fp16.read_bytes()[:8], "little")
    header = json.loads(fp16.open("rb").read(8 + head)[8:])
    at = 0
    for entry in header.values():
        size = (entry["data_offsets"][1] - entry["data_offsets"][0]) // 2
        entry |= {"dtype": "F8_E4M3", "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    with small.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + at)
    family = FAMILIES["wan2.1-t2v-1.3b"]
    assert find_weights(family, "transformer") == fp16
    fp16.unlink()
    assert find_weights(family, "transformer") == small


def test_labels_say_what_a_file_is_for(comfy: Path, tmp_path: Path) -> None:
    high, low = (tmp_path / f"mine_{n}.safetensors" for n in (1, 2))
    shutil.copy(comfy / files.COMFY_NAMES["transformer"], high)
    shutil.copy(comfy / files.COMFY_NAMES["transformer_2"], low)
    with pytest.raises(Missing, match=f"may be the high or the low expert.*write high={high}"):
        find_weights(TINY, "transformer", override=high)
    named = Path(f"high={high}:low={low}:vae={comfy / files.COMFY_NAMES['vae']}")
    assert find_weights(TINY, "transformer", override=named) == high
    assert find_weights(TINY, "transformer_2", override=named) == low
    assert find_weights(TINY, "text", override=named) == tiny_folder()  # nothing named is about it
    wrong = Path(f"high={comfy / files.COMFY_NAMES['transformer_2']}")
    with pytest.raises(Missing, match="its name says low noise, and the high-noise expert is wanted"):
        find_weights(TINY, "transformer", override=wrong)
    both = Path(f"{comfy / files.COMFY_NAMES['transformer']}:{comfy / files.COMFY_NAMES['transformer_2']}")
    assert [find_weights(TINY, part, override=both).name for part in ("transformer", "transformer_2")] == [
        "wan_tiny_t2v_high_noise.safetensors",
        "wan_tiny_t2v_low_noise.safetensors",
    ]
    assert places(tmp_path, TINY) == [Place(path=tmp_path)]
    with pytest.raises(
        UsageError, match=r"'hihg' in 'hihg=x' is no part of tiny; parts are vae, text, clip, high, low"
    ):
        places(Path("hihg=x"), TINY)
    with pytest.raises(UsageError, match="'high'"):
        places(Path("high=x"), OLD)


def test_a_named_file_of_another_part_is_refused_only_for_its_own(comfy: Path) -> None:
    vae = comfy / files.COMFY_NAMES["vae"]
    assert find_weights(TINY, "text", override=vae) == tiny_folder()
    tensors = load_file(vae)
    tensors.pop("conv2.bias")
    files.save(vae, tensors)
    with pytest.raises(Missing, match=r"lacks conv2\.bias"):
        find_weights(TINY, "vae", override=vae)
    (comfy / "x.gguf").write_bytes(b"GGUF")
    with pytest.raises(Missing, match=r"\.safetensors and \.pth are read"):
        find_weights(TINY, "vae", override=comfy / "x.gguf")
    with pytest.raises(Missing, match=r"no vae of wan2\.2-t2v-a14b"):
        find_weights(A14B, "vae", override=files.save(comfy / "other.safetensors", {"x": torch.zeros(1)}))


def test_one_file_is_not_two_parts(tmp_path: Path) -> None:
    one, link, two = (tmp_path / name for name in ("one.safetensors", "link.safetensors", "two.safetensors"))
    one.write_bytes(b"1")
    two.write_bytes(b"1")
    link.symlink_to(one)
    for other in (one, link):
        with pytest.raises(UsageError, match=r"one.safetensors are one file|link.safetensors are one file"):
            places(Path(f"high={one}{os.pathsep}low={other}"), A14B)
    assert [place.part for place in places(Path(f"high={one}{os.pathsep}low={two}"), A14B)] == [
        "transformer", "transformer_2",
    ]  # fmt: skip
    folder = places(Path(f"high={tmp_path}{os.pathsep}low={tmp_path}"), A14B)  # which may hold both
    assert [place.path for place in folder] == [tmp_path, tmp_path]


def test_a_mistyped_folder_of_models_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANPREP_MODELS", os.pathsep.join([str(tmp_path), str(tmp_path / "modles")]))
    with pytest.raises(Missing, match=r"\(WANPREP_MODELS names .*/modles, which is not there\)"):
        require_weights(A14B, "vae")
    said = CliRunner().invoke(cli, ["models", A14B.name])
    assert said.stderr.count("which is not there") == 1
    assert "modles" in said.stderr
    assert said.exit_code == 0
