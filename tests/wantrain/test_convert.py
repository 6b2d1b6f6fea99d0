"""The same bits under four sets of names, there and back; and what must not be passed over."""

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from wanprep.stage import UsageError
from wantrain import lora
from wantrain.cli import main
from wantrain.convert import convert_file
from wantrain.lora_file import mixed_up, read_layers

OTHERS = ("musubi", "diffusers", "peft")


def _equal(a, b) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) and a[k].dtype == b[k].dtype for k in a)


@pytest.mark.parametrize("names", OTHERS)
def test_there_and_back_is_bit_equal(plain, tmp_path, names):
    assert convert_file(plain, tmp_path / "there", names) == "comfyui"
    assert convert_file(tmp_path / "there", tmp_path / "back", "comfyui") == names
    assert _equal(load_file(tmp_path / "back"), load_file(plain))
    assert lora.read_lora(tmp_path / "back").metadata == {"expert": "high"}
    for other in OTHERS:  # and between any two
        convert_file(tmp_path / "there", tmp_path / f"to-{other}", other)
        convert_file(tmp_path / f"to-{other}", tmp_path / f"from-{other}", "comfyui")
        assert (tmp_path / f"from-{other}").read_bytes() == (tmp_path / "back").read_bytes()


def test_musubi_names_are_musubis(plain, tmp_path):
    convert_file(plain, tmp_path / "m.safetensors", "musubi")
    found = load_file(tmp_path / "m.safetensors")
    layers = [f"{a}_{p}" for a in ("self_attn", "cross_attn") for p in "qkvo"] + ["ffn_0", "ffn_2"]
    parts = ("lora_down.weight", "lora_up.weight", "alpha")
    assert found.keys() == {
        f"lora_unet_blocks_{n}_{layer}.{part}" for n in (0, 1) for layer in layers for part in parts
    }
    assert found["lora_unet_blocks_0_ffn_2.alpha"] == 7.5
    assert found["lora_unet_blocks_0_ffn_2.lora_down.weight"].shape == (3, 192)


@pytest.mark.parametrize("names", ["comfyui", "musubi", "diffusers"])
def test_diffusers_loads_each_with_the_same_effect(toy, plain, tmp_path, names):
    """alpha/rank · B·A of every layer, as diffusers has it after loading, against the file's own numbers."""
    from wanprep.models.tiny import tiny_folder
    from wantrain.sample import load_pipeline

    convert_file(plain, tmp_path / "x.safetensors", names)
    pipe = load_pipeline(toy.TINY, tiny_folder(), dtype="fp32")
    pipe.load_lora_weights(str(tmp_path / "x.safetensors"), adapter_name="a")
    content = lora.read_lora(plain)
    modules = dict(pipe.transformer.named_modules())
    for module in content.scales:
        wanted = toy.delta(content, module)
        got = modules[module].get_delta_weight("a").float()
        assert torch.allclose(got, wanted, rtol=0.02, atol=2e-3), module


def test_peft_loads_its_folder(toy, plain, tmp_path):
    from peft import PeftModel

    convert_file(plain, tmp_path / "adapter", "peft")
    model = PeftModel.from_pretrained(toy.load("high"), tmp_path / "adapter")
    content = lora.read_lora(plain)
    modules = dict(model.base_model.model.named_modules())
    for module in content.scales:
        wanted = toy.delta(content, module)
        assert torch.allclose(modules[module].get_delta_weight("default").float(), wanted, atol=1e-5)


def _changed(plain, tmp_path, change):
    tensors = load_file(plain)
    change(tensors)
    save_file(tensors, str(tmp_path / "bad.safetensors"))
    return tmp_path / "bad.safetensors"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: t.update({"diffusion_model.blocks.0.extra.lora_A.weight": torch.zeros(1, 1)}),
            "1 names of no layer",
        ),
        (lambda t: t.update({"head.lora_A.weight": torch.zeros(1, 1)}), "names of no kind known here"),
        (lambda t: t.pop("diffusion_model.blocks.0.ffn.0.lora_B.weight"), "has no lora_B"),
        (lambda t: t.update({"diffusion_model.blocks.0.ffn.0.lora_A.weight": torch.zeros(9, 96)}), "do not fit"),
        (lambda t: t.clear(), "names of no kind"),
    ],
)
def test_nothing_is_passed_over(plain, tmp_path, change, message):
    with pytest.raises(UsageError, match=message):
        convert_file(_changed(plain, tmp_path, change), tmp_path / "out", "musubi")
    assert not (tmp_path / "out").exists()


def test_scales_that_a_format_states_elsewhere_are_needed(plain, tmp_path):
    convert_file(plain, tmp_path / "adapter", "peft")
    (tmp_path / "adapter" / "adapter_config.json").unlink()
    with pytest.raises(UsageError, match="scale is unknown"):
        read_layers(tmp_path / "adapter")
    # Without its metadata a diffusers file means alpha = rank: another LoRA than ours, so the metadata matters.
    convert_file(plain, tmp_path / "d.safetensors", "diffusers")
    save_file(load_file(tmp_path / "d.safetensors"), str(tmp_path / "bare.safetensors"))
    found = read_layers(tmp_path / "bare.safetensors")
    assert found.names == "diffusers"
    assert {layer["alpha"] / layer["lora_A"].shape[0] for layer in found.layers.values()} == {1.0}


def test_pefts_other_scale_is_read_as_peft_reads_it(toy, plain, tmp_path):
    """use_rslora: alpha/sqrt(rank) instead of alpha/rank."""
    import json

    from peft import PeftModel

    convert_file(plain, tmp_path / "adapter", "peft")
    config = tmp_path / "adapter" / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"use_rslora": True}))
    model = PeftModel.from_pretrained(toy.load("high"), tmp_path / "adapter")
    content = lora.read_lora(tmp_path / "adapter")
    modules = dict(model.base_model.model.named_modules())
    assert content.scales != lora.read_lora(plain).scales
    for module, scale in content.scales.items():
        assert modules[module].scaling["default"] == pytest.approx(scale), module


def test_the_command(plain, tmp_path):
    out = tmp_path / "m.safetensors"
    done = CliRunner().invoke(main, ["convert", str(plain), "--to", "musubi", "--out", str(out)])
    assert (done.exit_code, done.stdout) == (0, f"{out}\n")
    assert "(comfyui) ->" in done.stderr
    (tmp_path / "no.safetensors").write_text("x")
    done = CliRunner().invoke(main, ["convert", str(tmp_path / "no.safetensors"), "--to", "peft", "--out", "y"])
    assert done.exit_code == 2


@pytest.mark.parametrize(("names", "held"), [("musubi", ""), ("peft", "adapter_model.safetensors")])
def test_nothing_is_replaced_unasked(plain, tmp_path, names, held):
    out = tmp_path / "out"
    there = out / held if held else out
    there.parent.mkdir(exist_ok=True)
    there.write_bytes(b"somebody's work")
    command = ["convert", str(plain), "--to", names, "--out", str(out)]
    refused = CliRunner().invoke(main, command)
    assert refused.exit_code == 2
    assert f"{there} is there already; name another --out, or replace it with --force" in refused.output
    assert there.read_bytes() == b"somebody's work"
    assert CliRunner().invoke(main, [*command, "--force"]).exit_code == 0
    assert read_layers(out).names == names


def test_a_folder_is_never_replaced_by_a_file(plain, tmp_path):
    result = CliRunner().invoke(main, ["convert", str(plain), "--to", "musubi", "--out", str(tmp_path), "--force"])
    assert result.exit_code == 2
    assert "is a folder" in result.output


def test_what_is_no_lora_is_said_so(tmp_path):
    wrong = tmp_path / "train.toml"
    wrong.write_text("[run]\nname = 'x'\n" * 20)
    with pytest.raises(UsageError, match=r"train\.toml cannot be read as a LoRA: it is no safetensors file"):
        read_layers(wrong)
    with pytest.raises(UsageError, match="is not there"):
        read_layers(tmp_path / "nowhere.safetensors")


def test_a_lora_of_the_other_expert_is_told(plain, tmp_path):
    assert mixed_up(plain, "high") is None
    assert "was made for the expert 'high'" in str(mixed_up(plain, "low"))
    assert mixed_up(plain, "single") is None
    save_file(load_file(plain), str(tmp_path / "bare.safetensors"))  # nothing says what it is
    assert mixed_up(tmp_path / "bare.safetensors", "low") is None
    convert_file(plain, tmp_path / "peft", "peft")
    assert mixed_up(tmp_path / "peft", "low") is not None
