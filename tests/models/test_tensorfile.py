"""What is said of files that are no weights."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from wanprep.models.tensorfile import read_header


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<!DOCTYPE html><html>" + b"x" * 500, "is a web page, not weights"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "is a Git LFS pointer"),
        (b"GGUF" + b"\0" * 100, "is a GGUF file"),
        (b"PK\3\4" + b"\0" * 100, "is a zip archive"),
        (b"", "is empty"),
        (b"\xff" * 400, "is no safetensors file (it begins with b'\\xff"),
        ((10**4).to_bytes(8, "little") + b'{"a": {"dtype"', "is cut off inside its header (22 bytes)"),
        (b"\x05\0", "is cut off inside its header (2 bytes)"),
    ],
)
def test_what_a_file_is_instead(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "vae.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"^is ") as caught:
        read_header(path)
    assert str(caught.value).startswith(said)


class Harm:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("false",)


def test_a_file_that_would_run_code_is_not_recommended(tmp_path: Path) -> None:
    torch.save({"a": Harm()}, tmp_path / "vae.pth")
    with pytest.raises(ValueError, match=r"^is refused, because opening it would run code \(posix.system\)$"):
        read_header(tmp_path / "vae.pth")
