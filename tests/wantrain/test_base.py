"""The base model out of ComfyUI's files samples, previews and trains what a diffusers folder does, bit for bit."""

import io
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import singlefiles
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import load_file

from wanprep.models.identity import model_id
from wanprep.models.load import load_transformer
from wanprep.models.tiny import tiny_folder
from wanprep.stage import Missing, UsageError
from wantrain.base import base_ids, base_parts, whole_base
from wantrain.cli import main
from wantrain.room import weight_bytes
from wantrain.sample import Request, load_pipeline, sample_video

REQUEST = Request(prompt="a dog runs", negative="blur", width=32, height=32, frames=5, steps=3, seed=1)


@pytest.fixture(scope="module")
def comfy(tmp_path_factory) -> Path:
    return singlefiles.comfy_folder(tiny_folder(), tmp_path_factory.mktemp("ComfyUI"))


def test_samples_are_equal_to_the_folders(toy, comfy):
    base = whole_base(toy.TINY, comfy)
    assert {
        part: path.relative_to(comfy).as_posix() for part, path in base_parts(base).items()
    } == singlefiles.COMFY_NAMES
    whole = load_pipeline(toy.TINY, whole_base(toy.TINY, None), dtype="fp32")
    parts = load_pipeline(toy.TINY, base, dtype="fp32")
    assert parts.config.boundary_ratio == whole.config.boundary_ratio == 0.875
    one, other = (sample_video(pipe, toy.TINY, REQUEST) for pipe in (whole, parts))
    assert np.array_equal(one, other)
    swapped = Path(
        str(base)
        .replace("transformer=", "_=")
        .replace("transformer_2=", "transformer=")
        .replace("_=", "transformer_2=")
    )
    assert not np.array_equal(one, sample_video(load_pipeline_of(toy, swapped), toy.TINY, REQUEST))  # experts matter


def load_pipeline_of(toy, base):
    """With file names that do not object to the wrong expert."""
    links = {}
    for part, path in base_parts(base).items():
        links[part] = path.with_name(f"{part}-link.safetensors")
        links[part].symlink_to(path)
    return load_pipeline(toy.TINY, Path(os.pathsep.join(f"{p}={path}" for p, path in links.items())), dtype="fp32")


def test_a_whole_folder_stays_a_folder(toy):
    assert whole_base(toy.TINY, None) == tiny_folder()
    assert base_parts(tiny_folder()) == {}


def test_one_file_may_be_named_and_the_rest_is_found(toy, comfy):
    high = comfy / singlefiles.COMFY_NAMES["transformer"]
    parts = base_parts(whole_base(toy.TINY, high))
    assert parts["transformer"] == high
    assert {parts[name] for name in ("vae", "text", "transformer_2")} == {tiny_folder()}
    assert weight_bytes(high, 4) == weight_bytes(tiny_folder() / "transformer", 4)


def test_a_swapped_expert_is_refused_by_its_name(toy, comfy):
    low = comfy / singlefiles.COMFY_NAMES["transformer_2"]
    with pytest.raises(Missing, match="its name says low noise"):
        whole_base(toy.TINY, Path(f"high={low}"))


def test_a_run_trains_on_single_files(toy, dataset, comfy, tmp_path):
    """Losses and LoRAs equal those of the folder's weights; only the recorded identity of the base differs."""
    experts = {"high": "transformer", "low": "transformer_2"}
    paths = {name: comfy / singlefiles.COMFY_NAMES[part] for name, part in experts.items()}
    base = {name: model_id(path, experts[name]) for name, path in paths.items()}
    assert base["high"] != base["low"]

    def load(expert, where):
        return load_transformer(toy.TINY, expert, paths[expert], "fp32", where)

    from wantrain.train import train

    changes = {"high": {"steps": 3, "rank": 2}, "low": {"steps": 2, "rank": 2}}
    one = train(toy.toy_config(tmp_path / "one", **changes), dataset, load, base=base)
    other = train(toy.toy_config(tmp_path / "other", **changes), dataset, toy.load, base=base)
    for name in experts:
        assert one.loras[name].read_bytes() == other.loras[name].read_bytes()
        assert toy.rows(one.folder, name) == toy.rows(other.folder, name)


def test_the_command_lines(toy, dataset, comfy, tmp_path, monkeypatch):
    """plan, run and sample with ComfyUI's folder; a mix-up is told by plan, and ends the run before it begins."""
    monkeypatch.setitem(sys.modules, "wanprep.dataset", toy.dataset_module(dataset))

    def call(*words):
        return CliRunner().invoke(main, [str(word) for word in words])

    values = (
        "family=tiny",
        "run.name=x",
        "run.checkpointing=false",
        "high.steps=2",
        "low.steps=2",
        "validation.share=0",
    )
    sets = [part for value in values for part in ("--set", value)]
    named = ["--set", f"weights={comfy}"]
    planned = json.loads(call("plan", *sets, *named, "--json").stdout)
    assert planned["experts"]["low"]["weights"] == str(comfy / singlefiles.COMFY_NAMES["transformer_2"])
    done = call("run", "--out", tmp_path, *sets, *named, "-q")
    assert done.exit_code == 0, done.output
    assert len(done.stdout.splitlines()) == 2
    small = ["--size", "32x32", "--frames", "5", "--steps", "1", "--out", tmp_path / "x.mp4"]
    done = call("sample", "--run", tmp_path / "x", "--weights", comfy, *small, "a dog")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "x.mp4").stat().st_size > 0

    mixed = ["--set", f"weights=high={comfy / singlefiles.COMFY_NAMES['transformer_2']}"]
    planned = call("plan", *sets, *mixed, "--json")
    assert planned.exit_code == 3
    assert "its name says low noise" in json.loads(planned.stdout)["refused"][0]
    done = call("run", "--out", tmp_path / "mixed", *sets, *mixed)
    assert done.exit_code == 3
    assert "its name says low noise" in done.stderr
    assert not (tmp_path / "mixed").exists()


# --- 8-bit files with scales, and a VAE as .pth: sampled and previewed as what they are worth ---


@pytest.fixture(scope="module")
def scaled(comfy, tmp_path_factory):
    """(ComfyUI's folder with fp8_scaled transformers and text encoder, the same dequantised by hand in fp32)."""
    roots = [tmp_path_factory.mktemp(name) for name in ("scaled", "plain")]
    for part, name in singlefiles.COMFY_NAMES.items():
        tensors = load_file(comfy / name)
        if part == "vae":
            for root in roots:
                (root / "vae").mkdir(exist_ok=True)
                torch.save(tensors, root / "vae" / "Wan2.1_VAE.pth")
            continue
        small = singlefiles.scaled_fp8(tensors)
        worth = {n: t.float() if t.is_floating_point() else t for n, t in singlefiles.dequantised(small).items()}
        worth = {n: t for n, t in worth.items() if n in tensors}
        singlefiles.save(roots[0] / name, small)
        singlefiles.save(roots[1] / name, worth)
    return roots


def test_scaled_files_make_the_video_of_what_they_are_worth(toy, comfy, scaled):
    small, worth, exact = (
        sample_video(load_pipeline(toy.TINY, whole_base(toy.TINY, root), dtype="fp32"), toy.TINY, REQUEST)
        for root in (*scaled, comfy)
    )
    assert np.array_equal(small, worth)
    assert not np.array_equal(small, exact)  # 3 bits of mantissa


def test_previews_are_made_from_such_files_too(toy, dataset, comfy, scaled, tmp_path):
    from wantrain import preview_setup
    from wantrain.sample import add_loras, lora_use
    from wantrain.sheets import jpeg

    (tmp_path / "p.txt").write_text("a cat --w 32 --h 32 --f 5 --s 2 --d 3\n")
    changes = {"previews": {"prompts": str(tmp_path / "p.txt"), "at_start": False, "every": 2}, "save": {"every": 2}}
    changes |= {name: {"steps": 2, "rank": 2} for name in ("high", "low")} | {"weights": str(scaled[0])}
    observer = preview_setup.prepare(toy.toy_config(tmp_path / "runs", **changes), "cpu", "fp32")
    result = toy.train_toy(tmp_path / "runs", dataset, changes=changes, observers=[observer])
    (folder,) = [path.parent for path in (result.folder / "previews").glob("*/preview.json")]
    (prompt,) = observer.setup.job.prompts
    stills = [Image.open(folder / "01-a-cat.jpg")]
    for root in (scaled[1], comfy):
        pipe = load_pipeline(toy.TINY, whole_base(toy.TINY, root), dtype="fp32")
        add_loras(pipe, [lora_use(path, toy.TINY) for path in result.loras.values()])
        frames = sample_video(pipe, toy.TINY, prompt.request(toy.TINY))
        stills.append(Image.open(io.BytesIO(jpeg(frames[len(frames) // 2]))))
    there, here, exact = (np.asarray(still).astype(int) for still in stills)
    assert np.abs(there - here).max() <= 2  # of 255: another process may add up in another order
    assert np.abs(there - exact).max() > 2


# --- the other tasks, with the real families' own structure in a small size ---


@pytest.fixture
def small_sizes(monkeypatch):
    """The real families' classes and arguments with fewer and narrower layers."""
    from wanprep.costs import Transformer
    from wanprep.models import layout, single

    text = layout._tiny("text")
    vae = {"base_dim": 8, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 1}
    clip = {"num_hidden_layers": 2, "intermediate_size": 64, "patch_size": 56}
    monkeypatch.setattr(layout, "_UMT5", text)
    monkeypatch.setattr(layout, "_VAE", layout._VAE | vae)
    monkeypatch.setattr(layout, "_VAE_5B", layout._VAE_5B | vae | {"decoder_base_dim": 8})
    monkeypatch.setattr(layout, "_CLIP", layout._CLIP | clip)
    monkeypatch.setattr(layout, "transformer_of", lambda family: Transformer(layers=2, dim=128, ffn=192))
    yield
    layout.shapes.cache_clear()
    single._origins.cache_clear()


def _part(family, part, root, name):
    """A part of random numbers as a single file in Wan's names; what it holds."""
    from wanprep.models.layout import arguments, shapes
    from wanprep.models.names import STYLES

    kind = "transformer" if part == "transformer_2" else part
    draws = torch.Generator().manual_seed(len(part))
    held = {n: 0.05 * torch.randn(shape, generator=draws) for n, shape in shapes(family, kind).items()}
    held |= {n: 1 + t for n, t in held.items() if "norm" in n and n.endswith(("weight", "gamma"))}
    style = {"text": "hf", "clip": "hf"}.get(kind, "wan residual" if kind == "vae" and family.z == 48 else "wan")
    blocks = arguments(family, kind).get("num_res_blocks", 0)
    file = {STYLES[kind][style](n, blocks).name: tensor for n, tensor in held.items()}
    if part == "text":
        file["spiece_model"] = singlefiles.spiece_tensor(tiny_folder() / "tokenizer" / "tokenizer.json")
    singlefiles.save(root / name, file)
    return held


FILES = {
    "wan2.2-i2v-a14b": {
        "vae": "wan_2.1_vae.safetensors",
        "text": "umt5_xxl_fp16.safetensors",
        "transformer": "wan2.2_i2v_high_noise_14B_fp16.safetensors",
        "transformer_2": "wan2.2_i2v_low_noise_14B_fp16.safetensors",
    },
    "wan2.1-i2v-14b": {
        "vae": "wan_2.1_vae.safetensors",
        "text": "umt5_xxl_fp16.safetensors",
        "clip": "clip_vision_h.safetensors",
        "transformer": "wan2.1_i2v_480p_14B_fp16.safetensors",
    },
    "wan2.2-ti2v-5b": {
        "vae": "wan2.2_vae.safetensors",
        "text": "umt5_xxl_fp16.safetensors",
        "transformer": "wan2.2_ti2v_5B_fp16.safetensors",
    },
}


@pytest.mark.parametrize("name", FILES)
def test_every_task_is_sampled_from_single_files(name, small_sizes, tmp_path):
    """The pipeline is the one that diffusers' classes make of the same tensors, put together by hand."""
    from dataclasses import replace

    from diffusers import UniPCMultistepScheduler, WanImageToVideoPipeline
    from PIL import Image
    from transformers import CLIPImageProcessor

    from wanprep.families import FAMILIES
    from wanprep.models.single import build
    from wanprep.models.tokenizer import load_tokenizer

    family = replace(FAMILIES[name], text_dim=32)
    held = {part: _part(family, part, tmp_path, file) for part, file in FILES[name].items()}
    base = whole_base(family, tmp_path)
    assert {part: path.name for part, path in base_parts(base).items()} == FILES[name]

    parts = {}
    for part, tensors in held.items():
        model = build(family, part)
        model.load_state_dict({n: t.clone() for n, t in tensors.items()}, strict=False, assign=True)
        parts[part] = model.eval()
    parts["text"].tie_weights()
    picture, size = tmp_path / "red.png", 2 * family.grid
    Image.new("RGB", (size, size), (250, 30, 30)).save(picture)
    request = replace(REQUEST, width=size, height=size, first_frame=picture, steps=2)
    ours = sample_video(load_pipeline(family, base, dtype="fp32"), family, request)
    whole = WanImageToVideoPipeline(
        tokenizer=load_tokenizer(tiny_folder() / "tokenizer"), text_encoder=parts["text"], vae=parts["vae"],
        transformer=parts["transformer"], transformer_2=parts.get("transformer_2"), image_encoder=parts.get("clip"),
        image_processor=CLIPImageProcessor() if "clip" in parts else None, boundary_ratio=family.boundary,
        expand_timesteps=name == "wan2.2-ti2v-5b",
        scheduler=UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, num_train_timesteps=1000, flow_shift=5.0
        ),
    )  # fmt: skip
    whole.set_progress_bar_config(disable=True)
    assert ours.shape == (5, size, size, 3)
    assert len(np.unique(ours)) > 20
    assert np.array_equal(ours, sample_video(whole, family, request))


def test_two_experts_do_not_have_the_same_weights(tmp_path):
    whole = tiny_folder()
    ids = base_ids({"high": whole, "low": whole})
    assert ids["high"] != ids["low"]
    shutil.copytree(whole / "transformer", tmp_path / "transformer")
    shutil.copytree(whole / "transformer", tmp_path / "transformer_2")
    with pytest.raises(UsageError, match="high and low have the same weights, to the byte"):
        base_ids({"high": tmp_path, "low": tmp_path})
