"""Safetensors bytes: readable by the library, and the same each time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load

from wanprep.tensors import metadata_of, to_bytes

CODE = """
import hashlib, torch
from wanprep.tensors import to_bytes
names = ["zeta", "alpha", "latent", "text", "family", "key", "format"]
print(hashlib.md5(to_bytes({"b": torch.ones(3), "a": torch.zeros(2, dtype=torch.bfloat16)}, {n: n for n in names})).hexdigest())
"""  # noqa: E501


def test_the_library_reads_it_back(tmp_path: Path) -> None:
    tensors = {"latent": torch.randn(3, 5).to(torch.bfloat16), "condition": torch.randn(4, 2).T}
    metadata = {"text": 'a "quoted" ✓ caption\n', "key": "k"}
    data = to_bytes(tensors, metadata)
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in load(data).items())
    assert metadata_of(data) == metadata
    path = tmp_path / "x.safetensors"
    path.write_bytes(data)
    with safe_open(path, "pt") as file:
        assert file.metadata() == metadata
        assert torch.equal(file.get_tensor("condition"), tensors["condition"])
    assert load(to_bytes({"a": torch.zeros(1)}, {}))["a"].tolist() == [0]


def test_every_process_writes_the_same_bytes() -> None:
    said = {
        subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True).stdout
        for _ in range(3)
    }
    assert len(said) == 1


def test_metadata_must_be_text() -> None:
    with pytest.raises(TypeError, match="'frames' must be a string, not int"):
        to_bytes({"a": torch.zeros(1)}, {"frames": 5})  # type: ignore[dict-item]
