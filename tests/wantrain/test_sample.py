"""What the two files do in diffusers' own WanPipeline."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from wanprep.families import family
from wanprep.stage import Missing, UsageError
from wantrain import lora
from wantrain.sample import LoraUse, Request, add_loras, load_pipeline, lora_use, sample_video

REQUEST = Request(prompt="a red cat", width=32, height=32, frames=5, steps=4, guidance=2.0, seed=3)
FORWARD = {
    "hidden_states": torch.randn(1, 16, 2, 8, 8, generator=torch.Generator().manual_seed(0)),
    "timestep": torch.tensor([400.0]),
    "encoder_hidden_states": torch.randn(1, 512, 32, generator=torch.Generator().manual_seed(1)),
    "return_dict": False,
}


@pytest.fixture
def pipe(toy):
    from wanprep.models.find import require_weights

    return load_pipeline(toy.TINY, require_weights(toy.TINY, "transformer"), dtype="fp32")


@pytest.fixture(scope="module")
def trained(toy, tmp_path_factory):
    """Models with strong adapters, as after training, and their two files."""
    folder, models, files = tmp_path_factory.mktemp("loras"), {}, {}
    for seed, expert in enumerate(("high", "low")):
        draws = torch.Generator().manual_seed(seed)
        models[expert] = toy.load(expert)
        params = lora.add_lora(models[expert], rank=4, alpha=12.0, generator=draws)
        for parameter in params.values():
            parameter.data.copy_((0.1 * torch.randn(parameter.shape, generator=draws)).bfloat16())
        files[expert] = folder / lora.file_name("x", expert)
        lora.save_lora(files[expert], params, scale=3.0, metadata={"expert": expert})
    return models, files


def _uses(files, **strengths) -> list[LoraUse]:
    return [LoraUse(path=files[expert], expert=expert, strength=s) for expert, s in strengths.items()]


def _output(model) -> torch.Tensor:
    with torch.no_grad():
        return model(**FORWARD)[0]


def test_both_files_arrive_whole_and_work_as_in_training(pipe, trained):
    models, files = trained
    base = {"high": _output(pipe.transformer), "low": _output(pipe.transformer_2)}
    add_loras(pipe, _uses(files, high=1.0, low=1.0))
    assert pipe.get_list_adapters() == {"transformer": ["lora_0"], "transformer_2": ["lora_1"]}
    for expert, model, adapter in (("high", pipe.transformer, "lora_0"), ("low", pipe.transformer_2, "lora_1")):
        loaded = lora.lora_parameters(model, adapter)
        trained_here = lora.lora_parameters(models[expert])
        assert loaded.keys() == trained_here.keys()
        assert all(torch.equal(loaded[name].float(), tensor) for name, tensor in trained_here.items())
        scales = {m.scaling[adapter] for m in model.modules() if adapter in getattr(m, "scaling", ())}
        assert scales == {12.0 / 4}
        assert torch.allclose(_output(model), _output(models[expert]), atol=1e-5)
        assert (_output(model) - base[expert]).abs().mean() > 0.1


def test_diffusers_itself_reports_nothing_missing_or_unexpected(pipe, trained, tmp_path, caplog):
    import logging

    logger = logging.getLogger("diffusers")
    logger.addHandler(caplog.handler)
    try:
        for component in ("high", "low"):
            pipe.load_lora_weights(
                str(trained[1][component]), adapter_name="a", load_into_transformer_2=component == "low"
            )
        assert caplog.messages == []
        # It would say so: here are tensors for a block that the model does not have.
        tensors = {key.replace("blocks.1.", "blocks.7."): value for key, value in load_file(trained[1]["high"]).items()}
        save_file(tensors, str(tmp_path / "bad.safetensors"))
        pipe.load_lora_weights(str(tmp_path / "bad.safetensors"), adapter_name="b")
        assert any("unexpected keys" in message for message in caplog.messages)
    finally:
        logger.removeHandler(caplog.handler)


@pytest.mark.parametrize("names", ["musubi", "diffusers", "peft"])
def test_a_lora_under_other_names_makes_the_same_video(toy, plain, tmp_path, names):
    from wanprep.models.tiny import tiny_folder
    from wantrain.convert import convert_file

    convert_file(plain, tmp_path / "x_high_noise", names)
    videos = []
    for path in (plain, tmp_path / "x_high_noise"):
        pipe = load_pipeline(toy.TINY, tiny_folder(), dtype="fp32")
        add_loras(pipe, [lora_use(path, toy.TINY, 0.7)])
        videos.append(sample_video(pipe, toy.TINY, REQUEST))
    assert np.array_equal(*videos)
    base = load_pipeline(toy.TINY, tiny_folder(), dtype="fp32")
    assert not np.array_equal(videos[0], sample_video(base, toy.TINY, REQUEST))


def _changed(source, path, change, names="comfyui"):
    from wantrain.convert import convert_file

    save_file(dict(change(name, tensor) for name, tensor in load_file(source).items()), str(path))
    if names != "comfyui":
        convert_file(path, path, names)
    return LoraUse(path=path, expert="high")


def test_what_does_not_fit_the_model_is_an_error_in_the_files_own_names(pipe, plain, tmp_path):
    def mixed(name, tensor):  # no program's
        return name.replace("blocks.0.self_attn", "blocks.0.attn1"), tensor

    with pytest.raises(UsageError, match=r"12 names of no layer.*diffusion_model\.blocks\.0\.attn1\.k\.alpha"):
        add_loras(pipe, [_changed(plain, tmp_path / "a.safetensors", mixed)])

    def further(name, tensor):  # of a model with more layers
        return name.replace("blocks.1.", "blocks.7."), tensor

    with pytest.raises(UsageError, match=r"20 of its 40 tensors .*not have \(lora_unet_blocks_7_.* and 17 more"):
        add_loras(pipe, [_changed(plain, tmp_path / "b.safetensors", further, "musubi")])

    def wider(name, tensor):  # of a larger model
        return name, torch.cat([tensor, tensor], 1) if "ffn.2.lora_A" in name else tensor

    with pytest.raises(UsageError, match=r"2 of .*blocks\.0\.ffn\.2\.lora_A.* is \[3, 384\], the layer \[96, 192\]"):
        add_loras(pipe, [_changed(plain, tmp_path / "c.safetensors", wider)])
    assert not pipe.get_list_adapters()  # nothing was put in by half


def test_strength_zero_is_bit_equal_to_the_base_and_one_is_not(pipe, toy, trained):
    base = sample_video(pipe, toy.TINY, REQUEST)
    assert base.shape == (5, 32, 32, 3)
    assert base.dtype == np.uint8
    assert np.array_equal(sample_video(pipe, toy.TINY, REQUEST), base)
    add_loras(pipe, _uses(trained[1], high=0.0, low=0.0))
    assert np.array_equal(sample_video(pipe, toy.TINY, REQUEST), base)
    pipe.transformer.set_adapters(["lora_0"], [1.0])
    assert not np.array_equal(sample_video(pipe, toy.TINY, REQUEST), base)


@pytest.mark.parametrize(("expert", "other"), [("high", "low"), ("low", "high")])
def test_one_experts_lora_changes_nothing_on_the_others_side(pipe, toy, trained, expert, other):
    def latents(boundary: float) -> torch.Tensor:
        """boundary 0: every step is the high expert's; 1.1: every step is the low one's."""
        pipe.register_to_config(boundary_ratio=boundary)
        with torch.no_grad():
            return pipe(
                prompt="a red cat", width=32, height=32, num_frames=5, num_inference_steps=3, guidance_scale=1.0,
                generator=torch.Generator().manual_seed(0), output_type="latent",
            ).frames  # fmt: skip

    side = {"high": 0.0, "low": 1.1}
    before = {name: latents(side[name]) for name in side}
    add_loras(pipe, _uses(trained[1], **{expert: 1.0}))
    assert torch.equal(latents(side[other]), before[other])
    assert not torch.equal(latents(side[expert]), before[expert])


def test_several_loras_on_one_expert_add_up_without_a_warning(pipe, trained, recwarn):
    base = _output(pipe.transformer)
    add_loras(pipe, _uses(trained[1], high=0.25) + _uses(trained[1], high=0.75))
    twice = _output(pipe.transformer)
    assert not [str(w.message) for w in recwarn if "peft_config" in str(w.message)]
    pipe.transformer.set_adapters(["lora_0"], [1.0])
    assert torch.allclose(twice, _output(pipe.transformer), atol=1e-5)
    assert not torch.allclose(twice, base, atol=1e-2)


def test_strengths_scale_each_expert(pipe, trained):
    base = _output(pipe.transformer)
    add_loras(pipe, _uses(trained[1], high=0.5, low=1.0))
    half = _output(pipe.transformer)
    pipe.transformer.set_adapters(["lora_0"], [1.0])
    assert 0 < (half - base).norm() < (_output(pipe.transformer) - base).norm()


def test_which_expert_a_file_is_for(toy, trained, tmp_path):
    _, files = trained
    assert lora_use(files["low"], toy.TINY, 0.5) == LoraUse(path=files["low"], expert="low", strength=0.5)
    unnamed = tmp_path / "by_name_high_noise.safetensors"
    save_file(load_file(files["low"]), str(unnamed))
    assert lora_use(unnamed, toy.TINY).expert == "high"
    theirs = tmp_path / "Wan2.2-T2V-LOW-other.safetensors"
    save_file(load_file(files["low"]), str(theirs))
    assert lora_use(theirs, toy.TINY).expert == "low"
    vague = tmp_path / "vague.safetensors"
    save_file(load_file(files["low"]), str(vague))
    with pytest.raises(UsageError, match=r"neither its metadata nor its name says which: write high=.*vague"):
        lora_use(vague, toy.TINY)
    assert lora_use(vague, toy.TINY, expert="low").expert == "low"
    single = family("wan2.1-t2v-14b")
    assert lora_use(theirs, single).expert == "single"  # "high quality" is no expert where there is but one
    for path in (files["low"], unnamed):
        with pytest.raises(UsageError, match=r"for expert '(low|high)', but wan2\.1-t2v-14b has 'single'"):
            lora_use(path, single)


def test_what_lora_takes_on_the_command_line(tmp_path):
    from wantrain.cli_sample import _parse_lora

    def parsed(text):
        return tuple(_parse_lora(text, 0.9).values())

    assert parsed("x.safetensors") == (Path("x.safetensors"), 0.9, None)
    assert parsed("low=a=b.safetensors:0.5") == (Path("a=b.safetensors"), 0.5, "low")
    assert parsed("a=b.safetensors") == (Path("a=b.safetensors"), 0.9, None)
    odd = tmp_path / "x:2"
    assert parsed(str(odd)) == (tmp_path / "x", 2.0, None)
    odd.touch()
    assert parsed(str(odd)) == (odd, 0.9, None)


@pytest.mark.parametrize("change", [{"width": 40}, {"height": 20}, {"frames": 6}])
def test_sizes_diffusers_would_round_in_silence_are_errors(pipe, toy, change):
    values = {"prompt": "x", "width": 32, "height": 32, "frames": 5, "steps": 1} | change
    with pytest.raises(UsageError):
        sample_video(pipe, toy.TINY, Request(**values))


def test_a_folder_that_is_no_pipeline_is_missing(toy, tmp_path):
    with pytest.raises(Missing, match=r"model_index\.json"):
        load_pipeline(toy.TINY, tmp_path)


def _task_pipe(toy, task: str):
    """The tiny pipeline as one of another task: its parts, with transformers that take the condition's channels."""
    from dataclasses import replace

    from diffusers import WanImageToVideoPipeline, WanPipeline, WanTransformer3DModel

    from wanprep.models.find import require_weights

    family = replace(toy.TINY, name=f"tiny-{task}", task=task)
    whole = load_pipeline(toy.TINY, require_weights(toy.TINY, "transformer"), dtype="fp32")
    parts = {name: getattr(whole, name) for name in ("tokenizer", "text_encoder", "vae", "scheduler")}
    if task == "ti2v":
        both = {"transformer": whole.transformer, "transformer_2": whole.transformer_2}
        pipe = WanPipeline(**parts, **both, boundary_ratio=0.875, expand_timesteps=True)
    else:
        both = {}
        for seed, name in enumerate(("transformer", "transformer_2")):
            torch.manual_seed(seed)
            both[name] = WanTransformer3DModel(
                patch_size=(1, 2, 2), num_attention_heads=4, attention_head_dim=24, in_channels=36, out_channels=16,
                text_dim=32, freq_dim=32, ffn_dim=192, num_layers=2, rope_max_seq_len=64,
            ).eval()  # fmt: skip
        pipe = WanImageToVideoPipeline(**parts, **both, boundary_ratio=0.9)
    pipe.set_progress_bar_config(disable=True)
    return family, pipe


@pytest.fixture
def pictures(tmp_path):
    from PIL import Image

    made = []
    for number, colour in enumerate([(250, 20, 20), (20, 20, 250)]):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (80, 40), colour).save(path)
        made.append(path)
    return made


@pytest.mark.parametrize("task", ["i2v", "ti2v"])
def test_a_first_frame_is_what_the_video_goes_on_from(toy, pictures, trained, task):
    from dataclasses import replace

    from wanprep.models import vae
    from wantrain.sample import read_first_frame

    family, pipe = _task_pipe(toy, task)
    red, blue = (sample_video(pipe, family, replace(REQUEST, first_frame=path)) for path in pictures)
    assert red.shape == (5, 32, 32, 3)
    assert np.array_equal(sample_video(pipe, family, replace(REQUEST, first_frame=pictures[0])), red)
    assert (red.astype(int) - blue).any()
    if task == "ti2v":  # its first latent frame is the picture's own
        for video, path in ((red, pictures[0]), (blue, pictures[1])):
            alone = vae.decode(pipe.vae, vae.encode(pipe.vae, read_first_frame(path, 32, 32)[None]))
            assert np.abs(video[0].astype(int) - alone[0]).max() <= 1
        plain = sample_video(pipe, family, REQUEST)  # the text-to-video pipeline of the same parts still works
        assert not np.array_equal(plain, red)
        add_loras(pipe, _uses(trained[1], high=1.0, low=1.0))
        assert not np.array_equal(sample_video(pipe, family, replace(REQUEST, first_frame=pictures[0])), red)


def test_diffusers_image_to_video_pipeline_gives_the_same(toy, pictures):
    """The request arrives as it is: size, frames, guidance of both experts, seed, the picture."""
    from dataclasses import replace

    from diffusers import UniPCMultistepScheduler
    from PIL import Image

    family, pipe = _task_pipe(toy, "i2v")
    request = replace(REQUEST, first_frame=pictures[0], guidance_low=3.0, shift=3.0)
    ours = sample_video(pipe, family, request)
    pipe.scheduler = UniPCMultistepScheduler.from_config(pipe.scheduler.config, flow_shift=3.0)
    picture = Image.open(pictures[0]).resize((64, 32)).crop((16, 0, 48, 32))
    with torch.no_grad():
        theirs = pipe(
            image=picture, prompt="a red cat", negative_prompt="",
            height=32, width=32, num_frames=5, num_inference_steps=4, guidance_scale=2.0, guidance_scale_2=3.0,
            generator=torch.Generator().manual_seed(3), output_type="np",
        ).frames[0]  # fmt: skip
    assert np.array_equal(ours, (np.clip(theirs, 0, 1) * 255).round().astype(np.uint8))


def test_a_task_gets_the_pictures_it_wants(pipe, toy, pictures):
    from dataclasses import replace

    with pytest.raises(UsageError, match="from text alone"):
        sample_video(pipe, toy.TINY, replace(REQUEST, first_frame=pictures[0]))
    family, other = _task_pipe(toy, "i2v")
    with pytest.raises(UsageError, match=r"first_frame: .* give one"):
        sample_video(other, family, REQUEST)
