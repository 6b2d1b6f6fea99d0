"""The tiny family: same bytes each time, the real classes, latents near unit std, prompts that matter."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from wanprep.ids import digest_file
from wanprep.models import tiny


def digests(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): digest_file(p) for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tiny")


@pytest.fixture(scope="module")
def folder(root: Path) -> Path:
    return tiny.tiny_folder(root)


@pytest.fixture(scope="module")
def pipeline(folder: Path):
    from diffusers import WanPipeline

    return WanPipeline.from_pretrained(folder, local_files_only=True)


def test_byte_identical_on_each_build_whatever_the_threads_and_the_random_state(folder: Path, tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        torch.manual_seed(12345)
        before = torch.random.get_rng_state()
        again = tiny.tiny_folder(tmp_path)
        assert torch.get_num_threads() == 2
        assert torch.equal(before, torch.random.get_rng_state())
    finally:
        torch.set_num_threads(threads)
    assert digests(again) == digests(folder)
    assert {"model_index.json", "vae/config.json", "tokenizer/tokenizer.json"} <= digests(folder).keys()


def test_two_processes_building_at_once_agree(folder: Path, tmp_path: Path) -> None:
    # Forked where everything is imported and nothing was computed yet, so both begin at the same moment.
    code = """if True:
        import os, sys
        from pathlib import Path
        import diffusers, torch, transformers
        from wanprep.models.tiny import tiny_folder
        torch.set_num_threads(1)
        other = os.fork()
        print(tiny_folder(Path(sys.argv[1])), flush=True)
        os._exit(os.waitstatus_to_exitcode(os.waitpid(other, 0)[1]) if other else 0)
    """
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    said = done.stdout.split()
    assert len(said) == 2
    assert len(set(said)) == 1
    assert digests(Path(said.pop())) == digests(folder)
    assert [p.name for p in tmp_path.iterdir()] == [folder.name]  # no temporary folder is left behind


def test_a_failed_build_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(folder: Path) -> None:
        folder.mkdir()
        raise OSError("disk full")

    monkeypatch.setattr(tiny, "build", broken)
    with pytest.raises(OSError, match="disk full"):
        tiny.tiny_folder(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_default_place_follows_wanprep_home(folder: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANPREP_HOME", str(root))
    assert tiny.tiny_folder() == folder


def test_it_is_a_two_expert_wan_pipeline(folder: Path, pipeline) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    assert index["boundary_ratio"] == 0.875
    assert index["transformer_2"] == ["diffusers", "WanTransformer3DModel"]
    assert not any(part.training for part in (pipeline.vae, pipeline.transformer, pipeline.text_encoder))
    first, second = pipeline.transformer.state_dict(), pipeline.transformer_2.state_dict()
    assert any(not torch.equal(first[name], second[name]) for name in first)
    assert sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) < 4_000_000


def test_latents_have_roughly_unit_std(pipeline) -> None:
    generator = torch.Generator().manual_seed(99)  # not the footage the statistics were measured on
    field = torch.randn(1, 3, 4, 5, 7, generator=generator)
    clip = torch.nn.functional.interpolate(field, size=(17, 96, 160), mode="trilinear").mul(0.6).clamp(-1, 1)
    mean = torch.tensor(pipeline.vae.config.latents_mean).view(1, -1, 1, 1, 1)
    std = torch.tensor(pipeline.vae.config.latents_std).view(1, -1, 1, 1, 1)
    with torch.no_grad():
        raw = pipeline.vae.encode(clip).latent_dist.mode()
    assert 0.5 < ((raw - mean) / std).std().item() < 1.6
    assert raw.std().item() < 0.4  # without the calibration it would not hold


def test_prompts_move_the_output(pipeline) -> None:
    generator = torch.Generator().manual_seed(5)
    noise = torch.randn(1, 16, 3, 8, 8, generator=generator)
    with torch.no_grad():
        a, _ = pipeline.encode_prompt("a red car", do_classifier_free_guidance=False, max_sequence_length=512)
        b, _ = pipeline.encode_prompt("the sea, waves", do_classifier_free_guidance=False, max_sequence_length=512)
        for expert in (pipeline.transformer, pipeline.transformer_2):
            out_a, out_b = (expert(noise, torch.tensor([900.0]), e, return_dict=False)[0] for e in (a, b))
            assert (out_a - out_b).std() > 0.05 * out_a.std()


def test_tokenizer_spells_unknown_words_and_keeps_known_ones() -> None:
    tokenizer = tiny.make_tokenizer()
    assert tokenizer.unk_token_id not in tokenizer("frung, young woman: (1.2)!").input_ids
    assert len(tokenizer("woman walking").input_ids) == 3  # two words and </s>
