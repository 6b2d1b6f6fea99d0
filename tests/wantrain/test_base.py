"""The base model out of ComfyUI's files samples and trains what the diffusers folder does, bit for bit."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import singlefiles
from click.testing import CliRunner

from wanprep.models.identity import model_id
from wanprep.models.load import load_transformer
from wanprep.models.tiny import tiny_folder
from wanprep.stage import Missing
from wantrain.base import base_parts, whole_base
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
    notes = json.loads(call("plan", *sets, *mixed, "--json").stdout)["notes"]
    assert any(note.startswith("high: ") and "its name says low noise" in note for note in notes)
    done = call("run", "--out", tmp_path / "mixed", *sets, *mixed)
    assert done.exit_code == 3
    assert "its name says low noise" in done.stderr
    assert not (tmp_path / "mixed").exists()
