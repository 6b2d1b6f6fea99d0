"""Weights that are laid out but empty, or hold numbers that are none: the weights are named, nothing is stored."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from wanprep.families import FAMILIES
from wanprep.models.tiny import tiny_folder
from wanprep.stage import Missing
from wanprep.stages.alive import refuse_dead
from wanprep.stages.cache import CacheConfig, Encoder
from wanprep.stages.encode import encode_text


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("weights"))


def changed(whole: Path, to: Path, part: str, change: Callable[[str, torch.Tensor], torch.Tensor]) -> Encoder:
    shutil.copytree(whole, to)
    for path in (to / part).glob("*.safetensors"):
        path.chmod(0o644)
        save_file({name: change(name, tensor) for name, tensor in load_file(path).items()}, path, {"format": "pt"})
    return Encoder(FAMILIES["tiny"], CacheConfig(weights=str(to), device="cpu"))


def latent_of(encoder: Encoder, level: int) -> torch.Tensor:
    """Of 5 frames of one grey."""
    return encoder.vae.start(torch.full((5, 48, 64, 3), level, dtype=torch.uint8)).done()[0]


def test_a_text_encoder_of_zeros_is_missing_weights(whole: Path, tmp_path: Path) -> None:
    encoder = changed(whole, tmp_path / "w", "text_encoder", lambda name, tensor: torch.zeros_like(tensor))
    with pytest.raises(Missing, match=r"text encoder of .*/w says the same of .*wanprep fetch tiny --part text"):
        encode_text(encoder, tmp_path, "a cat")
    assert not list(tmp_path.rglob("cache/**/*.safetensors"))


def test_numbers_that_are_none_are_the_weights_fault(whole: Path, tmp_path: Path) -> None:
    encoder = changed(
        whole, tmp_path / "w", "text_encoder",
        lambda name, tensor: torch.full_like(tensor, float("nan")) if "SelfAttention.q" in name else tensor,
    )  # fmt: skip
    with pytest.raises(RuntimeError, match=r"text encoder of .*/w gave values that are not finite: its weights"):
        encode_text(encoder, tmp_path, "a cat")


def test_a_vae_of_zeros_is_missing_weights(whole: Path, tmp_path: Path) -> None:
    encoder = changed(whole, tmp_path / "w", "vae", lambda name, tensor: torch.zeros_like(tensor))
    with pytest.raises(Missing, match=r"vae encoder of .*/w says the same of everything"):
        refuse_dead(encoder, {"latent": latent_of(encoder, 90)})


@pytest.mark.parametrize("level", [0, 127, 255])
def test_a_picture_without_anything_in_it_is_no_fault(whole: Path, level: int) -> None:
    encoder = Encoder(FAMILIES["tiny"], CacheConfig(weights=str(whole), device="cpu"))
    refuse_dead(encoder, {"latent": latent_of(encoder, level)})


def test_the_empty_text_and_a_latent_of_one_cell_are_no_fault(whole: Path, tmp_path: Path) -> None:
    encoder = Encoder(FAMILIES["tiny"], CacheConfig(weights=str(whole), device="cpu"))
    assert encode_text(encoder, tmp_path, "")["tokens"] == 1
    refuse_dead(encoder, {"latent": torch.ones(16, 1, 1, 1)})
