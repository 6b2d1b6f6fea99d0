import json
import os
import stat

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from wanprep.ids import digest_file
from wanprep.stage import UsageError
from wanprep.tensors import write_tensors
from wantrain import lora


@pytest.fixture(scope="module")
def adapted(toy):
    model = toy.load("high")
    params = lora.add_lora(model, rank=4, alpha=8.0, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for name, parameter in params.items():
            if name.endswith("lora_B"):
                parameter.normal_(generator=torch.Generator().manual_seed(len(name)))
    return model, params


def _native_wan_weights(layers: int, dim: int, ffn: int) -> dict[str, tuple[int, int]]:
    """The linear weights inside the blocks of Wan's own model, as its checkpoints name them: what ComfyUI maps onto."""
    shapes = {}
    for n in range(layers):
        for attention in ("self_attn", "cross_attn"):
            shapes |= {f"blocks.{n}.{attention}.{p}.weight": (dim, dim) for p in "qkvo"}
        shapes |= {f"blocks.{n}.ffn.0.weight": (ffn, dim), f"blocks.{n}.ffn.2.weight": (dim, ffn)}
    return shapes


def test_names_are_those_comfyui_looks_for(adapted, tmp_path):
    """ComfyUI offers `diffusion_model.<weight name without .weight>` + lora_A/lora_B/alpha for every weight."""
    lora.save_lora(tmp_path / "x.safetensors", adapted[1], scale=2.0, metadata={})
    native = _native_wan_weights(layers=2, dim=96, ffn=192)
    wanted = {}
    for name, (rows, columns) in native.items():
        base = f"diffusion_model.{name.removesuffix('.weight')}"
        wanted |= {f"{base}.lora_A.weight": (4, columns), f"{base}.lora_B.weight": (rows, 4), f"{base}.alpha": ()}
    with safe_open(str(tmp_path / "x.safetensors"), framework="pt") as file:
        found = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
        assert found == wanted
        assert "lora_adapter_metadata" not in file.metadata()  # diffusers would let it override the scale
        for key in found:
            assert file.get_tensor(key).dtype == (torch.float32 if key.endswith("alpha") else torch.bfloat16)


def test_reading_back_gives_the_bf16_values(adapted, tmp_path):
    path = tmp_path / "x.safetensors"
    lora.save_lora(path, adapted[1], scale=2.0, metadata={"expert": "high", "step": 3})
    content = lora.read_lora(path)
    assert (set(content.ranks.values()), set(content.alphas.values())) == ({4}, {8.0})
    assert content.metadata == {"expert": "high", "step": 3}
    assert list(content.tensors) == list(adapted[1])
    for name, tensor in content.tensors.items():
        assert torch.equal(tensor, adapted[1][name].detach().bfloat16())


def test_the_same_adapter_gives_the_same_bytes(adapted, tmp_path):
    many = {f"key{i}": i for i in range(20)}
    digests = {lora.save_lora(tmp_path / f"{i}.st", adapted[1], scale=2.0, metadata=many) for i in range(4)}
    assert len(digests) == 1
    assert digests == {digest_file(tmp_path / "0.st")}


def test_only_the_adapter_learns_and_starts_as_the_base(toy):
    model = toy.load("low")
    arguments = {
        "hidden_states": torch.randn(1, 16, 2, 8, 8), "timestep": torch.tensor([300.0]),
        "encoder_hidden_states": torch.randn(1, 512, 32), "return_dict": False,
    }  # fmt: skip
    with torch.no_grad():
        before = model(**arguments)[0]
    params = lora.add_lora(model, rank=2, alpha=2.0, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        assert torch.equal(model(**arguments)[0], before)
    learning = {id(p) for p in model.parameters() if p.requires_grad}
    assert learning == {id(p) for p in params.values()}
    assert len(params) == 2 * 2 * 10
    again = lora.add_lora(toy.load("low"), rank=2, alpha=2.0, generator=torch.Generator().manual_seed(3))
    assert all(torch.equal(params[name], again[name]) for name in params)
    other = lora.add_lora(toy.load("low"), rank=2, alpha=2.0, generator=torch.Generator().manual_seed(4))
    assert not torch.equal(params["blocks.0.attn1.to_q.lora_A"], other["blocks.0.attn1.to_q.lora_A"])


GOOD = [f"diffusion_model.blocks.0.self_attn.q.{part}" for part in ("lora_A.weight", "lora_B.weight", "alpha")]


def test_files_that_are_no_lora_are_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"not safetensors")
    with pytest.raises(UsageError, match="cannot be read as a LoRA"):
        lora.read_lora(path)
    save_file({"blocks.0.attn1.to_q.lora_A.weight": torch.zeros(2, 2)}, str(path))
    with pytest.raises(UsageError, match="names of no kind known here"):
        lora.read_lora(path)
    for shapes in (((2, 8), (8, 4)), ((2, 8, 1, 1), (8, 2, 1, 1))):
        tensors = dict(zip(GOOD, [torch.zeros(shape) for shape in shapes] + [torch.tensor(2.0)], strict=True))
        save_file(tensors, str(path))
        with pytest.raises(UsageError, match="do not fit"):
            lora.read_lora(path)
    save_file({name: torch.zeros(2, 2) for name in GOOD[1:2]}, str(path))
    with pytest.raises(UsageError, match="has no lora_A"):
        lora.read_lora(path)


def test_file_names():
    assert lora.file_name("a", "high") == "a_high_noise.safetensors"
    assert lora.file_name("a", "low", 250) == "a_000250_low_noise.safetensors"
    assert lora.file_name("a", "single") == "a.safetensors"


def test_metadata_is_plain_json(finished):
    with safe_open(str(finished.loras["high"]), framework="pt") as file:
        header = file.metadata()
    assert list(header) == ["wantrain"]
    content = json.loads(header["wantrain"])
    assert (content["expert"], content["step"], content["family"]) == ("high", 12, "tiny")
    assert "/" not in header["wantrain"]  # no path of the machine it was made on


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_files_are_as_open_as_the_umask_lets_them_be(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_tensors(tmp_path / "x.safetensors", {"a": torch.zeros(2)}, {})
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x.safetensors").stat().st_mode) == 0o666 & ~mask
