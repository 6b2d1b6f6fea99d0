"""Image-text models: found and loaded strictly, embeddings as open_clip's own use gives them; heads as LAION's."""

import json
import shutil

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tinyclip import CONFIG, WIDTH, build_clip, build_head, noise

from wanprep.models import looks
from wanprep.models.heads import find_head, load_head
from wanprep.models.looks import find_clip, load_clip, require_clip
from wanprep.stage import Missing


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.set_num_threads(2)
    return build_clip(tmp_path_factory.mktemp("clip") / "tiny")


@pytest.fixture(autouse=True)
def nothing_else(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "no hub"))
    monkeypatch.delenv("WANPREP_MODELS", raising=False)


@pytest.mark.parametrize("mode", ["shortest", "squash"])
@pytest.mark.parametrize("size", [(160, 90), (90, 160), (64, 64), (37, 41), (640, 356)])
def test_pictures_are_prepared_and_embedded_as_open_clip_does(tmp_path, mode, size):
    """Against open_clip's published way: create_model_and_transforms, PIL picture from a file, encode, normalise."""
    folder = build_clip(tmp_path / "m", resize_mode=mode)
    frame = noise(1, *size)
    Image.fromarray(frame).save(tmp_path / "frame.png")
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    expected = transform(Image.open(tmp_path / "frame.png")).unsqueeze(0)
    clip = load_clip(find_clip(str(folder)), device="cpu")
    prepared = clip.prepared([frame])
    assert torch.equal(prepared, expected)
    with torch.no_grad():
        image = model.eval().encode_image(expected, normalize=True).numpy()
        text = model.encode_text(open_clip.get_tokenizer(f"local-dir:{folder}")(["a cat"]), normalize=True).numpy()
    np.testing.assert_allclose(clip.images(prepared), image, atol=1e-6)
    np.testing.assert_allclose(clip.texts(["a cat"]), text, atol=1e-6)
    assert clip.scale == pytest.approx(float(model.logit_scale.detach().exp()))


def test_a_batch_embeds_as_one_by_one_and_pictures_differ(folder):
    clip = load_clip(find_clip(str(folder)), device="cpu")
    frames = [noise(k) for k in range(4)]
    together = clip.images(clip.prepared(frames))
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    for k, frame in enumerate(frames):
        np.testing.assert_allclose(clip.images(clip.prepared([frame]))[0], together[k], atol=1e-5)
    assert len({tuple(row.round(4)) for row in together}) == 4  # negative control


def test_identity_is_of_the_bytes_not_of_the_place(folder, tmp_path):
    moved = shutil.copytree(folder, tmp_path / "elsewhere")
    other = build_clip(tmp_path / "other", seed=1)
    squashed = build_clip(tmp_path / "squashed", resize_mode="squash")
    assert find_clip(str(squashed)).identity != find_clip(str(folder)).identity
    assert find_clip(str(moved)).identity == find_clip(str(folder)).identity
    assert find_clip(str(other)).identity != find_clip(str(folder)).identity


def test_an_architecture_by_name_with_its_file(folder, tmp_path):
    """open_clip's own names, with weights in the same strict way; the wrong file is refused by name."""
    files = find_clip("ViT-B-32", str(folder / "open_clip_model.safetensors"))
    assert files.folder is None
    assert files.config["embed_dim"] == 512
    with pytest.raises(Missing, match="cannot be loaded as ViT-B-32"):
        load_clip(files, device="cpu")
    with pytest.raises(Missing, match="is not there"):
        find_clip("ViT-B-32", str(tmp_path / "none.pt"))
    with pytest.raises(Missing, match="no architecture"):
        find_clip("ViT-Z", str(folder / "open_clip_model.safetensors"))


def test_a_pickled_file_is_read_weights_only(folder, tmp_path):
    as_bin = shutil.copytree(folder, tmp_path / "bin")
    tensors = load_file(as_bin / "open_clip_model.safetensors")
    (as_bin / "open_clip_model.safetensors").unlink()
    torch.save(tensors, as_bin / "open_clip_pytorch_model.bin")
    clip = load_clip(find_clip(str(as_bin)), device="cpu")
    frame = clip.prepared([noise(0)])
    np.testing.assert_allclose(clip.images(frame), load_clip(find_clip(str(folder)), device="cpu").images(frame))

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    torch.save({"visual.x": Evil()}, as_bin / "open_clip_pytorch_model.bin")
    with pytest.raises(Missing, match="cannot be loaded"):
        load_clip(find_clip(str(as_bin)), device="cpu")
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("fault", ["lacks", "has more", "shape", "cut", "config", "hub text", "no weights"])
def test_what_does_not_fit_is_refused_by_name(folder, tmp_path, fault):
    broken = shutil.copytree(folder, tmp_path / fault.replace(" ", "-"))
    file = broken / "open_clip_model.safetensors"
    tensors, config = load_file(file), json.loads((broken / looks.CONFIG).read_text())
    if fault == "lacks":
        del tensors["visual.proj"]
    if fault == "has more":
        tensors["extra"] = torch.zeros(1)
    if fault == "shape":
        tensors["visual.proj"] = torch.zeros(3, 3)
    save_file(tensors, file)
    if fault == "cut":
        file.write_bytes(file.read_bytes()[:1000])
    if fault == "config":
        del config["model_cfg"]["vision_cfg"]
    if fault == "hub text":
        config["model_cfg"]["text_cfg"]["hf_model_name"] = "roberta-base"
    if fault == "no weights":
        file.unlink()
    (broken / looks.CONFIG).write_text(json.dumps(config))
    with pytest.raises(Missing, match=r"hf download timm/vit_large_patch14_clip_224\.openai"):
        load_clip(find_clip(str(broken)), device="cpu")


def test_auto_finds_what_is_there_and_says_what_is_not(folder, tmp_path, monkeypatch):
    assert find_clip() is None
    with pytest.raises(Missing, match=r"no image-text model .* on this machine\. Download with: hf download"):
        require_clip()
    with pytest.raises(Missing, match="hf download me/mine"):
        find_clip("me/mine")
    root = tmp_path / "models"
    shutil.copytree(folder, root / "b-small")
    (root / "a-broken").mkdir()
    (root / "a-broken" / looks.CONFIG).write_text("{}")
    monkeypatch.setenv("WANPREP_MODELS", str(root))
    assert find_clip().folder == root / "b-small"
    shutil.rmtree(root / "b-small")
    with pytest.raises(Missing, match="a-broken"):
        require_clip()
    wide = {"model_cfg": {**CONFIG, "embed_dim": 768}, "preprocess_cfg": {}}
    for name, config in (("c", {"model_cfg": CONFIG}), ("d-wide", wide)):
        (root / name).mkdir()
        (root / name / looks.CONFIG).write_text(json.dumps(config))
        (root / name / "open_clip_model.safetensors").write_bytes(b"x" * (10 if name == "d-wide" else 100))
    assert find_clip().name == "d-wide"  # LAION's heads fit it


def test_a_download_in_the_hub_cache_is_found_by_its_id(folder, tmp_path, monkeypatch):
    hub = tmp_path / "hub"
    snapshot = hub / "models--timm--tiny" / "snapshots" / "abc"
    snapshot.parent.mkdir(parents=True)
    shutil.copytree(folder, snapshot)
    monkeypatch.setenv("HF_HUB_CACHE", str(hub))
    assert find_clip("timm/tiny").folder == snapshot
    assert find_clip().name == "timm/tiny"


# Heads


class Aesthetic(torch.nn.Module):
    """The published layout: linear layers with dropout between them and nothing else."""

    def __init__(self, width):
        super().__init__()
        n = torch.nn
        self.layers = n.Sequential(
            n.Linear(width, 24), n.Dropout(0.2), n.Linear(24, 12), n.Dropout(0.2), n.Linear(12, 8), n.Dropout(0.1),
            n.Linear(8, 4), n.Linear(4, 1),
        )  # fmt: skip


class Nsfw(torch.nn.Module):
    """The published layout: ReLU and dropout between, none before the last."""

    def __init__(self, width):
        super().__init__()
        n = torch.nn
        self.layers = n.Sequential(
            n.Linear(width, 24), n.ReLU(), n.Dropout(0.2), n.Linear(24, 12), n.ReLU(), n.Dropout(0.2),
            n.Linear(12, 4), n.Linear(4, 1),
        )  # fmt: skip


@pytest.mark.parametrize("kind", [Aesthetic, Nsfw, "linear"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_heads_say_what_the_class_they_were_saved_from_says(tmp_path, kind, suffix):
    torch.manual_seed(3)
    module = torch.nn.Linear(WIDTH, 1) if kind == "linear" else kind(WIDTH)
    forward = module if kind == "linear" else module.layers
    path = tmp_path / f"head{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(module.state_dict(), path)
    vectors = torch.randn(5, WIDTH)
    with torch.no_grad():
        expected = forward.eval()(vectors)[:, 0].numpy()
    np.testing.assert_allclose(load_head(path)(vectors.numpy()), expected, atol=1e-5)
    if kind is Nsfw:  # negative control: without its ReLU the answer is another one
        flat = torch.nn.Sequential(*(layer for layer in forward if isinstance(layer, torch.nn.Linear)))
        assert not np.allclose(flat(vectors)[:, 0].detach().numpy(), expected, atol=1e-3)


def test_files_that_are_no_heads_are_refused(tmp_path):
    save_file({"a.weight": torch.zeros(4, 3)}, tmp_path / "four.safetensors")
    save_file({"bias": torch.zeros(4)}, tmp_path / "none.safetensors")
    (tmp_path / "junk.pth").write_bytes(b"junk")

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    torch.save({"weight": Evil()}, tmp_path / "evil.pth")
    for name in ("four.safetensors", "none.safetensors", "junk.pth", "evil.pth"):
        with pytest.raises(Missing, match=name):
            load_head(tmp_path / name)
    assert not (tmp_path / "owned").exists()
    with pytest.raises(ValueError, match="takes 32 numbers, not 8"):
        load_head(build_head(tmp_path / "h.pth"))(np.zeros((1, 8), np.float32))


def test_heads_are_found_by_name(tmp_path, monkeypatch):
    from wanprep.stages.looks import AESTHETIC

    assert find_head("auto", AESTHETIC) is None
    monkeypatch.setenv("WANPREP_MODELS", str(tmp_path))
    (tmp_path / "sac+logos+ava1-l14-linearMSE.md").touch()
    assert find_head("auto", AESTHETIC) is None
    path = build_head(tmp_path / "sac+logos+ava1-l14-linearMSE.pth")
    assert find_head("auto", AESTHETIC) == path
    with pytest.raises(Missing, match="is not there"):
        find_head(str(tmp_path / "x.pth"), AESTHETIC)
