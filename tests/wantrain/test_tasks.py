"""What the transformer is asked, against what diffusers' own pipelines ask it; and whole runs of each task."""

from dataclasses import replace

import pytest
import torch

from wanprep import families
from wanprep.cached import CachedDataset
from wanprep.families import Family
from wanprep.stage import UsageError
from wantrain import tasks

I2V = replace(families.FAMILIES["tiny"], name="tiny-i2v", task="i2v", boundary=0.9)
SEEING = replace(I2V, name="tiny-i2v-21", experts=("single",), boundary=None, clip_embeds=True)  # as wan2.1-i2v-14b
TI2V = replace(
    families.FAMILIES["tiny"], name="tiny-ti2v", task="ti2v", z=16, experts=("single",), boundary=None, fps=24
)


@pytest.fixture(autouse=True)
def small_families(monkeypatch):
    for one in (I2V, SEEING, TI2V):
        monkeypatch.setitem(families.FAMILIES, one.name, one)


def _transformer(family: Family, seed: int = 0):
    from diffusers import WanTransformer3DModel

    torch.manual_seed(seed)
    channels = 2 * family.z + 4 if family.task == "i2v" else family.z
    model = WanTransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=4, attention_head_dim=24, in_channels=channels, out_channels=family.z,
        text_dim=32, freq_dim=32, ffn_dim=192, num_layers=2, rope_max_seq_len=64,
        **({"image_dim": 48, "added_kv_proj_dim": 96} if family.clip_embeds else {}),
    )  # fmt: skip
    return model.eval()


def _vision():
    from transformers import CLIPVisionConfig, CLIPVisionModel

    torch.manual_seed(5)
    size = {"hidden_size": 48, "intermediate_size": 64, "num_attention_heads": 4, "num_hidden_layers": 3}
    return CLIPVisionModel(CLIPVisionConfig(**size, image_size=224, patch_size=56)).eval()


class Stop(Exception):
    pass


def _what_the_pipeline_asks(family: Family, monkeypatch, *, image: bool):
    """The keyword arguments of the first transformer call of diffusers' pipeline, and the latents it began with."""
    from diffusers import WanImageToVideoPipeline, WanPipeline
    from PIL import Image

    from wanprep.models.tiny import tiny_folder

    whole = WanPipeline.from_pretrained(tiny_folder())
    parts = {name: getattr(whole, name) for name in ("tokenizer", "text_encoder", "vae", "scheduler")}
    model, seen = _transformer(family), {}

    def forward(**arguments):
        seen.update(arguments)
        raise Stop

    monkeypatch.setattr(model, "forward", forward)
    cls = WanImageToVideoPipeline if image else WanPipeline
    more = {"image_encoder": None, "image_processor": None} if image else {}
    if family.clip_embeds:
        from transformers import CLIPImageProcessor

        more = {"image_encoder": _vision(), "image_processor": CLIPImageProcessor()}
    both = {"transformer_2": model} if family.boundary else {}
    pipe = cls(
        **parts, **more, **both, transformer=model, boundary_ratio=family.boundary,
        expand_timesteps=family.task == "ti2v",
    )  # fmt: skip
    latents = torch.randn(1, 16, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    picture = {"image": Image.effect_noise((32, 32), 90).convert("RGB")} if image else {}
    with pytest.raises(Stop), torch.no_grad():
        pipe(
            prompt="a cat", height=32, width=32, num_frames=9, num_inference_steps=3, guidance_scale=1.0,
            latents=latents, **picture,
        )  # fmt: skip
    return seen, latents[0]


def _asked(family: Family, x0, noise, sigma, **more):
    """What our code gives to the model."""
    model, seen = _transformer(family), {}

    def forward(**arguments):
        seen.update(arguments)
        return (torch.zeros(1, *x0.shape),)

    model.forward = forward
    tasks.predict(model, tasks.ask(family, x0, noise, sigma, **more), torch.zeros(512, 32))
    return seen


def test_i2v_channels_are_those_of_the_pipeline(monkeypatch):
    theirs, latents = _what_the_pipeline_asks(I2V, monkeypatch, image=True)
    hidden = theirs["hidden_states"][0]
    assert hidden.shape == (36, 3, 4, 4)
    condition = hidden[20:]  # what wanprep caches
    ours = _asked(I2V, torch.zeros_like(latents), latents, 1.0, condition=condition)
    assert torch.equal(ours["hidden_states"], theirs["hidden_states"])
    assert ours["timestep"].shape == theirs["timestep"].shape == (1,)
    assert torch.equal(ours["hidden_states"][0, 16:20, 0], torch.ones(4, 4, 4))
    assert not ours["hidden_states"][0, 16:20, 1:].any()


def test_wan_21_is_asked_with_the_image_embedding_of_the_pipeline(monkeypatch):
    """What is cached of the first frame, and given to the model, is what diffusers' pipeline gives it."""
    import numpy as np
    from PIL import Image
    from transformers import CLIPImageProcessor

    from wanprep.models.image import ImageEncoder

    picture = np.asarray(Image.effect_noise((32, 32), 90).convert("RGB"))
    monkeypatch.setattr(Image, "effect_noise", lambda *_: Image.fromarray(picture))
    theirs, latents = _what_the_pipeline_asks(SEEING, monkeypatch, image=True)
    encoder = ImageEncoder(model=_vision(), processor=CLIPImageProcessor())
    image = encoder.states(encoder.pixels(picture))
    condition = theirs["hidden_states"][0, 20:]
    ours = _asked(SEEING, torch.zeros_like(latents), latents, 1.0, condition=condition, image=image)
    assert ours["encoder_hidden_states_image"].shape == (1, 17, 48)
    assert torch.equal(ours["encoder_hidden_states_image"], theirs["encoder_hidden_states_image"])
    assert torch.equal(ours["hidden_states"], theirs["hidden_states"])
    other = encoder.states(encoder.pixels(255 - picture))
    assert not torch.allclose(other, image, atol=1e-3)


def test_every_latent_frame_of_i2v_is_noised_and_counts():
    x0, noise = torch.randn(16, 3, 4, 4), torch.randn(16, 3, 4, 4)
    question = tasks.ask(I2V, x0, noise, 0.6, condition=torch.randn(16, 3, 4, 4))
    assert torch.allclose(question.hidden[:16], 0.4 * x0 + 0.6 * noise, atol=1e-6)
    assert tasks.loss(torch.zeros(16, 3, 4, 4), noise, question) == noise.square().mean()


@pytest.mark.parametrize("image", [True, False])
def test_ti2v_tokens_have_the_timesteps_of_the_pipeline(monkeypatch, image):
    theirs, latents = _what_the_pipeline_asks(TI2V, monkeypatch, image=image)
    sigma = theirs["timestep"].max().item() / 1000
    x0 = torch.zeros_like(latents)
    if image:
        x0[:, 0] = theirs["hidden_states"][0, :, 0]
    ours = _asked(TI2V, x0, latents, sigma, first_frame=image)
    assert ours["timestep"].shape == theirs["timestep"].shape == (1, 3 * 2 * 2)
    assert torch.allclose(ours["timestep"], theirs["timestep"].float())
    assert (ours["timestep"][0, :4] == 0).all() == image
    # At the first step the pipeline's latents are pure noise whatever the (rounded) timestep says.
    rest = slice(1, None) if image else slice(None)
    assert torch.allclose(ours["hidden_states"][:, :, rest], sigma * theirs["hidden_states"][:, :, rest], atol=1e-5)
    if image:
        assert torch.equal(ours["hidden_states"][:, :, 0], theirs["hidden_states"][:, :, 0])


def test_a_given_first_frame_is_no_part_of_the_loss():
    x0, noise = torch.randn(16, 3, 4, 4), torch.randn(16, 3, 4, 4)
    given, asked = (tasks.ask(TI2V, x0, noise, 0.5, first_frame=shown) for shown in (True, False))
    wanted = noise - x0
    wrong_there = wanted.clone()
    wrong_there[:, 0] += 100
    assert tasks.loss(wrong_there, wanted, given) == 0
    assert tasks.loss(wrong_there, wanted, asked) > 1000
    assert torch.equal(given.hidden[:, :1], x0[:, :1])


def test_first_frames_are_spread_evenly_and_never_given_to_stills(toy, dataset):
    film = dataset.samples[0]
    for share in (0.0, 0.25, 0.5, 0.7, 1.0):
        given = [tasks.shows_first_frame(share, n, film) for n in range(1000)]
        assert sum(given) == round(1000 * share)
        assert abs(sum(given[:100]) - 100 * share) <= 1
        assert not any(tasks.shows_first_frame(share, n, replace(film, frames=1)) for n in range(10))


def _as_family(toy, root, family: Family) -> CachedDataset:
    """The toy samples with a condition beside each latent, as image-to-video families cache them."""
    from safetensors.torch import load_file

    plain = toy.toy_dataset(root)
    samples = []
    for sample in plain.samples:
        latent = load_file(root / sample.latent_path)["latent"]
        tensors = {"latent": latent, "condition": torch.roll(latent, 1, 0)}
        if family.clip_embeds:
            tensors["image"] = latent.flatten()[: 17 * 48].reshape(17, 48).clone()
        path, digest = toy.store_all(root, f"with-{sample.latent_path}", tensors)
        samples.append(replace(sample, latent_path=path, latent_digest=digest))
    return CachedDataset(root, family, samples, plain.empty_text)


@pytest.mark.parametrize(
    ("family", "more"),
    [(I2V, {}), (SEEING, {}), (TI2V, {"first_frame": 1.0}), (TI2V, {"first_frame": 0.5}), (TI2V, {})],
    ids=["i2v", "i2v-clip", "ti2v-image", "ti2v-both", "ti2v-text"],
)
def test_every_task_learns(toy, tmp_path, family, more):
    from wantrain.train import train

    data = _as_family(toy, tmp_path / "data", family)
    own = {"steps": 25, "rank": 8, "lr": 1e-2}
    table = {"family": family.name, "validation": {"every": 25}, "save": {"every": 25}, **more}
    table |= dict.fromkeys(family.experts, own)
    config = toy.toy_config(tmp_path / "runs", **table, drop=[n for n in ("high", "low") if n not in family.experts])
    result = train(config, data, lambda expert, device: _transformer(family), base=toy.BASE)
    for name in family.experts:
        before, after = toy.rows(result.folder, name, "held_out")
        assert after["loss"] < 0.9 * before["loss"]
    assert result.loras.keys() == set(family.experts)


def test_stills_cannot_teach_image_to_video(toy, tmp_path):
    from wantrain.train import train

    data = _as_family(toy, tmp_path / "data", I2V)
    stills = CachedDataset(data.root, I2V, [replace(s, frames=1, view="stills") for s in data.samples], data.empty_text)
    config = toy.toy_config(tmp_path / "runs", family=I2V.name)
    with pytest.raises(UsageError, match=r"20 samples have one frame \(views: stills\)"):
        train(config, stills, toy.load, base=toy.BASE)
    some = toy.toy_config(tmp_path / "runs", family=TI2V.name, first_frame=1.0, drop=["high", "low"])
    with pytest.raises(UsageError, match="or set first_frame below 1"):
        train(some, CachedDataset(data.root, TI2V, stills.samples, data.empty_text), toy.load, base=toy.BASE)


def test_stills_and_films_train_together(toy, dataset, tmp_path):
    """Text to video: an image is a one-frame sample of its own bucket."""
    samples = list(dataset.samples)
    for number in range(4):
        path, digest = toy.store_all(dataset.root, f"still-{number}.safetensors", {"latent": torch.randn(16, 1, 8, 8)})
        own = {"sample_id": f"x{number}", "clip_id": f"x{number}", "frames": 1, "latent_path": path}
        samples.append(replace(samples[number], latent_digest=digest, view="stills", **own))
    mixed = CachedDataset(dataset.root, dataset.family, samples, dataset.empty_text)
    steps = {"high": {"steps": 30}, "experts": {"stages": ["high"]}}
    result = toy.train_toy(tmp_path, mixed, changes=steps)
    drawn = {draw["sample"][0] for row in toy.rows(result.folder, "high", "step") for draw in row["draws"]}
    assert drawn == {"s", "x"}
