"""The cache stage: windows and texts to files with keys, digests and metadata; damaged inputs are noticed."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from tinyvae import WAN, make

from wanprep.families import FAMILIES
from wanprep.ids import digest_file, key_between
from wanprep.models import vae as codec
from wanprep.models.load import load_vae
from wanprep.models.text import clean
from wanprep.models.tiny import tiny_folder
from wanprep.stage import Damaged, Missing
from wanprep.stages import window
from wanprep.stages.cache import (
    CacheConfig,
    Encoder,
    distinct_texts,
    latent_ends,
    shared_encoder,
    text_key,
)
from wanprep.stages.encode import encode_latent, encode_text

torch.set_num_threads(2)  # tiny models gain nothing from more

TINY = FAMILIES["tiny"]
SIZE = {"width": 64, "height": 48}


def picture(index: int) -> np.ndarray:
    """A frame that says which one it is: its grey level is 10 + 8 times its index, with a red corner."""
    frame = np.full((48, 64, 3), 10 + 8 * index, np.uint8)
    frame[:16, :16] = (220, 30, 30)
    return frame


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset folder with a clip of 21 frames and a still."""
    import imageio_ffmpeg
    from PIL import Image

    root = tmp_path_factory.mktemp("media")
    (root / "clips").mkdir()
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "64x48",
        "-r", "16", "-i", "-", "-vf", "scale=in_range=full:out_range=tv:out_color_matrix=bt709", "-pix_fmt", "yuv444p",
        "-c:v", "libx264", "-crf", "4", "-threads", "1", "-colorspace", "bt709", "-color_range", "tv",
        str(root / "clips" / "c.mp4"),
    ]  # fmt: skip
    subprocess.run(command, input=b"".join(picture(i).tobytes() for i in range(21)), check=True)
    Image.fromarray(picture(3)).save(root / "clips" / "s.png")
    return root


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def encoder(weights: Path) -> Encoder:
    return Encoder(TINY, CacheConfig(weights=str(weights), device="cpu"))


@pytest.fixture
def root(media: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(media, tmp_path / "dataset"))


def row_of(encoder: Encoder, root: Path, name: str = "clips/c.mp4", start: int = 0, frames: int = 5, **other):
    asked = {"media_path": name, "media_digest": digest_file(root / name), "start": start, "frames": frames}
    return encode_latent(encoder, root, **(asked | SIZE | other))


def test_the_window_is_the_frames_it_says(media: Path) -> None:
    frames_FHWC = window.read_window(media / "clips/c.mp4", 7, 5, 64, 48)
    assert frames_FHWC.shape == (5, 48, 64, 3)
    for index, frame in enumerate(frames_FHWC):
        assert np.abs(frame.astype(int) - picture(7 + index)).max() <= 6
    still = window.read_window(media / "clips/s.png", 0, 1, 64, 48)
    assert np.array_equal(still, picture(3)[None])


@pytest.mark.parametrize(
    ("name", "start", "frames", "width", "height", "why"),
    [
        ("c.mp4", 17, 5, 64, 48, "holds 4 of the 5 frames from 17 on"),
        ("c.mp4", 30, 1, 64, 48, "holds 0 of the 1 frames"),
        ("c.mp4", 0, 5, 48, 64, "is 64x48, its sample needs 48x64"),
        ("s.png", 0, 5, 64, 48, "holds 1 of the 5 frames"),
        ("s.png", 0, 1, 32, 32, "is 64x48"),
    ],
)
def test_a_window_that_is_not_in_the_file(media: Path, name, start, frames, width, height, why) -> None:
    with pytest.raises(Damaged, match=why):
        window.read_window(media / "clips" / name, start, frames, width, height)
    with pytest.raises(ValueError, match="a window starts"):
        window.read_window(media / "clips" / name, -1, 5, width, height)


def test_latent_row_and_file(encoder: Encoder, root: Path) -> None:
    row = row_of(encoder, root, start=4, frames=9)
    path = root / row["path"]
    assert row["path"] == f"cache/latents/{row['key'][:2]}/{row['key']}.safetensors"
    assert row["key"] == encoder.latent_key(digest_file(root / "clips/c.mp4"), 4, 9)
    assert (row["kind"], row["digest"], row["bytes"]) == ("latent", digest_file(path), path.stat().st_size)
    assert row["shape"] == [16, 3, 6, 8]
    with safe_open(path, "pt") as file:
        assert list(file.keys()) == ["latent"]
        latent, metadata = file.get_tensor("latent"), file.metadata()
    assert latent.dtype == torch.bfloat16
    expected = codec.encode(load_vae(TINY, encoder.vae_folder), window.read_window(root / "clips/c.mp4", 4, 9, 64, 48))
    assert torch.equal(latent, expected.to(torch.bfloat16))
    assert metadata["format"] == "1"
    assert (metadata["family"], metadata["key"], metadata["vae"]) == ("tiny", row["key"], encoder.vae_id)
    assert (metadata["start"], metadata["frames"], metadata["width"]) == ("4", "9", "64")


def test_a_still_is_a_window_of_one_frame(encoder: Encoder, root: Path) -> None:
    assert row_of(encoder, root, "clips/s.png", 0, 1)["shape"] == [16, 1, 6, 8]


def test_two_runs_give_the_same_bytes(weights: Path, root: Path, tmp_path: Path) -> None:
    def run(where: Path) -> list[dict]:
        shutil.copytree(root, where)
        fresh = Encoder(TINY, CacheConfig(weights=str(weights), device="cpu"))
        return [row_of(fresh, where), row_of(fresh, where, start=4), encode_text(fresh, where, "a red car")]

    first, second = run(tmp_path / "a"), run(tmp_path / "b")
    assert first == second
    assert len({row["digest"] for row in first}) == 3


def test_image_to_video_families_also_store_the_condition(weights: Path, root: Path) -> None:
    encoder = Encoder(replace(TINY, task="i2v"), CacheConfig(weights=str(weights), device="cpu"))
    row = row_of(encoder, root)
    with safe_open(root / row["path"], "pt") as file:
        condition, latent = file.get_tensor("condition"), file.get_tensor("latent")
    assert condition.shape == latent.shape
    assert torch.allclose(condition[:, 0].float(), latent[:, 0].float(), atol=0.02)  # the first frame is the same
    assert not torch.allclose(condition[:, 1].float(), latent[:, 1].float(), atol=0.02)
    assert row["key"] != Encoder(TINY, encoder.config).latent_key(digest_file(root / "clips/c.mp4"), 0, 5)


def test_a_flipped_bit_in_the_clip_is_noticed_and_nothing_is_written(encoder: Encoder, root: Path) -> None:
    path = root / "clips/c.mp4"
    digest = digest_file(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(Damaged, match=r"c\.mp4 has changed since it was written.*wanprep bucket"):
        row_of(encoder, root, media_digest=digest)
    path.unlink()
    with pytest.raises(Damaged, match=r"c\.mp4 is not there"):
        window.verify(path, digest)
    assert not (root / "cache").exists()


def test_the_clip_is_hashed_once_a_process(encoder: Encoder, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []
    monkeypatch.setattr(window, "digest_file", lambda path: reads.append(path) or digest_file(path))
    window._digest.cache_clear()
    row_of(encoder, root, start=0)
    row_of(encoder, root, start=4)
    assert len(reads) == 1


def test_buckets_the_vae_would_cut_are_refused(encoder: Encoder, root: Path) -> None:
    with pytest.raises(ValueError, match="4 frames is not 4n"):
        row_of(encoder, root, frames=4)


def test_text_row_and_file(encoder: Encoder, root: Path) -> None:
    row = encode_text(encoder, root, "  A red &amp; blue car ")
    path = root / row["path"]
    assert row["path"] == f"cache/text/{row['key'][:2]}/{row['key']}.safetensors"
    assert row["digest"] == digest_file(path)
    assert (row["truncated"], row["tokens"], row["shape"]) == (False, row["shape"][0], [row["tokens"], 32])
    with safe_open(path, "pt") as file:
        assert file.metadata()["text"] == "A red & blue car"
        stored = file.get_tensor("text")
    assert torch.equal(stored, encoder.text_encoder.encode("A red & blue car"))  # bf16 is the default of both
    long = encode_text(encoder, root, "word " * 700)
    assert long["truncated"]
    assert long["shape"] == [512, 32]
    assert long["tokens"] > 512


def test_equal_texts_are_one_and_the_empty_prompt_is_always_there(encoder: Encoder) -> None:
    assert distinct_texts([]) == [""]
    assert distinct_texts(["b  c", "b c", " b c\n", "a", "&lt;"]) == ["", "<", "a", "b c"]
    assert encoder.text_key("b  c ") == encoder.text_key("b c") == encoder.text_key(clean("b\nc"))
    assert encoder.text_key("b c") != encoder.text_key("b d")


def test_every_part_of_a_key_matters() -> None:
    base = {"start": 0, "frames": 5, "vae_id": "v", "dtype": "bf16", "tiling": False}
    other = {"start": 1, "frames": 9, "vae_id": "w", "dtype": "fp32", "tiling": True}
    ends = [latent_ends(**base), latent_ends(**base, compute="bf16"), latent_ends(**base, condition=True)]
    ends += [latent_ends(**(base | {name: value})) for name, value in other.items()]
    keys = {key_between(end, digest) for end in ends for digest in "mn"}
    assert len(keys) == 2 * (3 + len(other))
    assert len({text_key("a", "e"), text_key("b", "e"), text_key("a", "f"), text_key("a", "e", compute="fp32")}) == 4


def test_the_configuration_is_checked_and_models_load_only_when_needed(weights: Path, root: Path) -> None:
    with pytest.raises(ValueError, match=r"cache\.dtype is 'fp8'"):
        CacheConfig(dtype="fp8")
    with pytest.raises(ValueError, match=r"cache\.vae_compute is 'int8'"):
        CacheConfig(vae_compute="int8")
    with pytest.raises(ValueError, match="must not be empty"):
        CacheConfig(weights="")
    config = CacheConfig(weights=str(weights), device="cpu")
    encoder = shared_encoder("tiny", config)
    assert encoder is shared_encoder("tiny", CacheConfig(weights=str(weights), device="cpu"))
    encoder.latent_key("m", 0, 5)
    assert "vae" not in encoder.__dict__  # a key needs the identity of the weights only
    encode_text(encoder, root, "")
    assert "vae" not in encoder.__dict__


def test_missing_weights_are_said_with_the_remedy(root: Path, tmp_path: Path) -> None:
    encoder = Encoder(TINY, CacheConfig(weights=str(tmp_path / "nowhere")))
    with pytest.raises(Missing, match="nowhere"):
        row_of(encoder, root)


def test_tiling_is_passed_on(weights: Path) -> None:
    assert Encoder(TINY, CacheConfig(weights=str(weights), tiling=True)).vae.tiling
    assert not Encoder(TINY, CacheConfig(weights=str(weights))).vae.tiling


def test_how_a_clip_was_cut_is_recorded_and_is_not_in_its_key(
    weights: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wanprep.models import vae_encoder, vae_fast

    monkeypatch.setattr(vae_fast, "kernels", lambda: "torch")
    rows, latents = [], []
    for free in (1 << 40, (1 << 29) + 2_000_000):
        encoder = Encoder(TINY, CacheConfig(weights=str(weights), device="cpu"))
        vae = vae_encoder.LatentEncoder(lambda _: make(WAN), "cuda", compute="fp16")
        encoder.__dict__["vae"] = vae
        monkeypatch.setattr(vae_encoder, "free_bytes", lambda device, free=free: free)
        rows.append(row_of(encoder, root, frames=9))
        with safe_open(root / rows[-1]["path"], "pt") as file:
            assert file.metadata()["cut"] == rows[-1]["cut"]
            latents.append(file.get_tensor("latent").float())
    assert rows[0]["cut"] == "strips 1, stretch 8, rest 8"
    assert rows[1]["cut"] != rows[0]["cut"]
    assert rows[0]["key"] == rows[1]["key"]
    assert torch.allclose(*latents, atol=0.02)
    plain = row_of(Encoder(TINY, CacheConfig(weights=str(weights), device="cpu")), root, frames=9)
    assert "cut" not in plain


def test_a_mirrored_sample_is_the_latent_of_the_mirrored_picture(encoder: Encoder, root: Path) -> None:
    from PIL import Image
    from safetensors.torch import load_file

    Image.fromarray(picture(3)[:, ::-1]).save(root / "clips" / "m.png")
    rows = [
        row_of(encoder, root, "clips/s.png", frames=1, flip=True),
        row_of(encoder, root, "clips/m.png", frames=1),
        row_of(encoder, root, "clips/s.png", frames=1),
    ]
    flipped, mirrored, plain = (load_file(root / row["path"])["latent"] for row in rows)
    assert torch.equal(flipped, mirrored)
    assert not torch.equal(flipped, plain)
    digest = digest_file(root / "clips/s.png")
    assert rows[0]["key"] == encoder.latent_key(digest, 0, 1, True) != encoder.latent_key(digest, 0, 1)
