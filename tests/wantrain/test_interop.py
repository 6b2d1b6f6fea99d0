"""LoRAs of other programs: what ComfyUI makes of our names, beginning with theirs, and what must not be passed over.

ComfyUI is GPL and therefore not copied: its rule is stated here in our words, and where COMFYUI_DIR names a checkout,
the program itself is asked.
"""

import json
import os
import re
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from wanprep.stage import UsageError
from wantrain import lora
from wantrain.convert import convert_file
from wantrain.lora_file import digest_of

NAMES = ("comfyui", "musubi", "diffusers", "peft")
DIM, FFN, LAYERS = 128, 256, 2


def comfyui(file: dict[str, torch.Tensor], weights: list[str]) -> tuple[dict[str, torch.Tensor], set[str]]:
    """ComfyUI's rule for Wan: a weight `W.weight` is looked for as `diffusion_model.W` and as `lora_unet_W` with
    underscores; up and down by three spellings; scale alpha/rank, 1 without an alpha. -> (deltas, keys never asked for)
    """
    spellings = (("lora_B", "lora_A"), ("lora_up", "lora_down"), ("lora_B.default", "lora_A.default"))
    deltas, asked = {}, set()
    for weight in weights:
        dotted = weight.removesuffix(".weight")
        for base in (f"diffusion_model.{dotted}", f"lora_unet_{dotted.replace('.', '_')}"):
            for up, down in spellings:
                pair = [f"{base}.{part}.weight" for part in (up, down)]
                if pair[0] not in file:
                    continue
                asked |= {*pair, f"{base}.alpha"}
                b, a = (file[key].float() for key in pair)
                alpha = file.get(f"{base}.alpha")
                deltas[weight] = (1.0 if alpha is None else float(alpha) / a.shape[0]) * b @ a
    return deltas, set(file) - asked


def native() -> list[str]:
    """The linear weights in the blocks of Wan's own model."""
    inner = [f"{a}.{p}" for a in ("self_attn", "cross_attn") for p in "qkvo"] + ["ffn.0", "ffn.2"]
    return [f"blocks.{n}.{name}.weight" for n in range(LAYERS) for name in inner]


@pytest.mark.parametrize("names", NAMES)
def test_comfyuis_rule_finds_every_layer_with_the_right_scale(toy, plain, tmp_path, names):
    convert_file(plain, tmp_path / "x", names)
    path = tmp_path / "x" / "adapter_model.safetensors" if names == "peft" else tmp_path / "x"
    deltas, left = comfyui(load_file(path), native())
    if names in ("diffusers", "peft"):
        assert not deltas  # the negative control: these names are passed over with a warning
        assert left
        return
    assert left == set()
    assert sorted(deltas) == sorted(native())
    content = lora.read_lora(plain)
    for module in content.scales:
        wanted = toy.delta(content, module)
        assert content.scales[module] == 2.5
        assert torch.allclose(deltas[f"{lora.wan_name(module)}.weight"], wanted, atol=1e-5)


def test_without_alpha_another_scale_is_read(plain):
    """Why every layer has one: ComfyUI and diffusers read 1 where there is none."""
    file = {name: tensor for name, tensor in load_file(plain).items() if not name.endswith(".alpha")}
    whole, bare = (comfyui(tensors, native())[0] for tensors in (load_file(plain), file))
    assert all(torch.allclose(whole[name], 2.5 * bare[name], rtol=1e-4) for name in native())


@pytest.mark.parametrize("names", NAMES)
def test_a_run_begins_with_a_lora_of_any_program(toy, dataset, plain, tmp_path, names):
    from wantrain import experts
    from wantrain.data import Cursor

    convert_file(plain, tmp_path / "x", names)
    own = {"init": str(tmp_path / "x"), "rank": 4, "ranks": {"ffn": 3}, "alpha": 4.0, "steps": 1}
    settings = toy.toy_config(tmp_path / "runs", high=own)
    cursor = Cursor(dataset=dataset, allowed=frozenset(range(4)))
    expert = experts.start("high", settings, toy.load("high"), cursor)
    content = lora.read_lora(plain)
    for module in content.scales:
        theirs = toy.delta(content, module)
        ours = expert.scale * expert.params[f"{module}.lora_B"] @ expert.params[f"{module}.lora_A"]
        assert torch.allclose(ours, theirs, atol=1e-5), module
    changes = {"experts": {"stages": ["high"]}, "high": own}
    assert toy.train_toy(tmp_path / "runs", dataset, changes=changes).steps["high"] == 1


def test_identities_follow_the_bytes(plain, tmp_path):
    convert_file(plain, tmp_path / "adapter", "peft")
    before = digest_of(tmp_path / "adapter")
    config = tmp_path / "adapter" / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"lora_alpha": 1.0}))
    assert digest_of(tmp_path / "adapter") != before
    config.unlink()
    with pytest.raises(UsageError, match=r"it has no adapter_config\.json"):
        digest_of(tmp_path / "adapter")


@pytest.mark.parametrize(
    ("a", "b"), [("lora_down", "lora_up"), ("lora_A.default", "lora_B.default"), ("lora_A", "lora_B")]
)
def test_spellings_that_comfyui_reads_are_read(plain, tmp_path, a, b):
    tensors = load_file(plain)
    other = {name.replace("lora_A", a).replace("lora_B", b): tensor for name, tensor in tensors.items()}
    save_file(other, str(tmp_path / "x.safetensors"))
    content, ours = lora.read_lora(tmp_path / "x.safetensors"), lora.read_lora(plain)
    assert content.alphas == ours.alphas
    assert all(torch.equal(content.tensors[name], tensor) for name, tensor in ours.tensors.items())
    convert_file(tmp_path / "x.safetensors", tmp_path / "y.safetensors", "comfyui")
    assert set(load_file(tmp_path / "y.safetensors")) == set(tensors)


def test_layers_for_the_image_are_renamed_too(tmp_path):
    """Wan 2.1 image to video: cross_attn.k_img and v_img, which diffusers calls add_k_proj and add_v_proj."""
    parts = {"lora_down.weight": torch.ones(2, 8), "lora_up.weight": torch.ones(8, 2), "alpha": torch.tensor(1.0)}
    names = [f"lora_unet_blocks_3_cross_attn_{p}" for p in ("k", "k_img", "v_img")]
    file = {f"{name}.{part}": tensor.clone() for name in names for part, tensor in parts.items()}
    save_file(file, str(tmp_path / "m.safetensors"))
    convert_file(tmp_path / "m.safetensors", tmp_path / "d.safetensors", "diffusers")
    found = {name.rpartition(".lora_")[0] for name in load_file(tmp_path / "d.safetensors")}
    assert found == {f"transformer.blocks.3.attn2.{p}" for p in ("to_k", "add_k_proj", "add_v_proj")}
    convert_file(tmp_path / "d.safetensors", tmp_path / "back.safetensors", "musubi")
    assert load_file(tmp_path / "back.safetensors").keys() == file.keys()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("diffusion_model.blocks.0.self_attn.norm_q.diff", r"1 names of no layer.*norms and biases \(\.diff\)"),
        ("diffusion_model.blocks.0.self_attn.q.diff_b", "are not read"),
        ("diffusion_model.blocks.0.self_attn.q.dora_scale", "DoRA"),
        ("diffusion_model.blocks.0.self_attn.q.lokr_w1", "LyCORIS"),
        ("diffusion_model.head.head.lora_A.weight", "names of no layer"),
        ("diffusion_model.blocks.0.self_attn.q.lora_down.weight", "there twice"),
    ],
)
def test_other_adapters_are_refused_by_name(plain, tmp_path, name, message):
    save_file(load_file(plain) | {name: torch.ones(4, 96)}, str(tmp_path / "x.safetensors"))
    with pytest.raises(UsageError, match=message):
        lora.read_lora(tmp_path / "x.safetensors")


# --- the program itself ---

ASK_COMFYUI = """
import json, logging, sys
sys.path.insert(0, sys.argv[1])
import comfy.cli_args
comfy.cli_args.args.cpu = True
import torch
import comfy.lora, comfy.sd, comfy.utils
said = []
class Keep(logging.Handler):
    def emit(self, record): said.append(record.getMessage())
logging.getLogger().addHandler(Keep(logging.WARNING))
weights = comfy.utils.load_torch_file(sys.argv[2])
before = {name: tensor.clone().float() for name, tensor in weights.items()}
model = comfy.sd.load_diffusion_model_state_dict(dict(weights))
patched, _ = comfy.sd.load_lora_for_models(model, None, comfy.utils.load_torch_file(sys.argv[3]), 1.0, 0.0)
deltas = {}
for key, patches in patched.patches.items():
    name = key.removeprefix("diffusion_model.")
    deltas[name] = comfy.lora.calculate_weight(patches, before[name].clone(), key) - before[name]
torch.save(deltas, sys.argv[4])
print(json.dumps([line for line in said if "lora key not loaded" in line]))
"""


@pytest.mark.skipif(
    not os.environ.get("COMFYUI_DIR"), reason="COMFYUI_DIR names no checkout of ComfyUI (GPL: not ours to ship)"
)
@pytest.mark.parametrize("names", ["comfyui", "musubi"])
def test_comfyui_itself(toy, tmp_path, names):
    """A small random Wan model of the widths ComfyUI's detection expects, one of our LoRAs on it."""
    from wanprep.models.layout import _transformer
    from wanprep.models.names import STYLES

    draws = torch.Generator().manual_seed(1)
    sizes = {
        "num_attention_heads": 1, "attention_head_dim": DIM, "patch_size": (1, 2, 2), "in_channels": 16,
        "out_channels": 16, "freq_dim": 256, "text_dim": 4096, "ffn_dim": FFN, "num_layers": LAYERS,
    }  # fmt: skip
    shapes = _transformer(sizes)
    model = {
        STYLES["transformer"]["wan"](name, 0).name: 0.02 * torch.randn(shape, generator=draws)
        for name, shape in shapes.items()
    }
    save_file(model, str(tmp_path / "wan.safetensors"))
    modules = {n.removesuffix(".weight"): s for n, s in shapes.items() if re.fullmatch(lora.TARGETS + r"\.weight", n)}
    params = {}
    for module, (rows, columns) in modules.items():
        params[f"{module}.lora_A"] = torch.randn(4, columns, generator=draws)
        params[f"{module}.lora_B"] = torch.randn(rows, 4, generator=draws)
    lora.save_lora(tmp_path / "ours.safetensors", params, scale=2.5, metadata={})
    convert_file(tmp_path / "ours.safetensors", tmp_path / "x.safetensors", names)
    paths = [str(tmp_path / name) for name in ("wan.safetensors", "x.safetensors", "deltas.pt")]
    words = [sys.executable, "-c", ASK_COMFYUI, os.environ["COMFYUI_DIR"], *paths]
    done = subprocess.run(words, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == []
    deltas = torch.load(tmp_path / "deltas.pt", weights_only=True)
    assert sorted(deltas) == sorted(native())
    content = lora.read_lora(tmp_path / "ours.safetensors")
    for module in content.scales:
        wanted = toy.delta(content, module)
        assert torch.allclose(deltas[f"{lora.wan_name(module)}.weight"], wanted, atol=1e-2, rtol=1e-3), module
