"""Identities follow the content of the weights, not their names or places."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from wanprep.ids import digest_file
from wanprep.models import identity
from wanprep.models.identity import model_id, remembered_digest
from wanprep.models.tiny import tiny_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_folder(tmp_path / "home"), tmp_path / "copy"))


def test_the_place_and_the_library_version_do_not_count(folder: Path, tmp_path: Path) -> None:
    before = {part: model_id(folder, part) for part in ("vae", "text", "transformer", "transformer_2")}
    assert len(set(before.values())) == 4
    moved = tmp_path / "elsewhere"
    folder.rename(moved)
    for path in moved.rglob("config.json"):
        config = json.loads(path.read_text()) | {"_diffusers_version": "9.9", "transformers_version": "9.9"}
        path.write_text(json.dumps(config))
    assert {part: model_id(moved, part) for part in before} == before


def test_weights_configuration_and_tokenizer_count(folder: Path) -> None:
    vae, text = model_id(folder, "vae"), model_id(folder, "text")
    weights = folder / "vae" / "diffusion_pytorch_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-100] ^= 1
    weights.write_bytes(data)
    changed = model_id(folder, "vae")
    assert changed != vae
    config = folder / "vae" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"latents_mean": [0.0] * 16}))
    assert model_id(folder, "vae") not in (vae, changed)
    assert model_id(folder, "text") == text
    tokenizer = folder / "tokenizer" / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text().replace("▁woman", "▁human"))
    assert model_id(folder, "text") != text


def test_large_files_are_read_once_and_again_when_they_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, memory, reads = tmp_path / "weights", tmp_path / "memory", []

    def counted(p: Path) -> str:
        reads.append(p)
        return digest_file(p)

    monkeypatch.setattr(identity, "digest_file", counted)
    monkeypatch.setattr(identity, "_SETTLED_NS", -1)
    path.write_bytes(b"a" * 100)
    first = remembered_digest(path, memory=memory, small=10)
    assert remembered_digest(path, memory=memory, small=10) == first == digest_file(path)
    assert len(reads) == 1
    stat = path.stat()
    path.write_bytes(b"b" * 100)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # the same size and time, as a restored backup has
    assert remembered_digest(path, memory=memory, small=10) == digest_file(path) != first
    assert len(reads) == 2


def test_small_and_fresh_files_are_not_remembered(tmp_path: Path) -> None:
    path, memory = tmp_path / "weights", tmp_path / "memory"
    path.write_bytes(b"a" * 100)
    remembered_digest(path, memory=memory)
    remembered_digest(path, memory=memory, small=10)  # just written: may change again unseen
    assert not memory.exists()


def test_a_file_that_changes_while_it_is_read_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"a" * 100)

    def growing(p: Path) -> str:
        digest = digest_file(p)
        p.write_bytes(b"a" * 200)
        return digest

    monkeypatch.setattr(identity, "digest_file", growing)
    with pytest.raises(RuntimeError, match="changed while it was read"):
        remembered_digest(path, memory=tmp_path / "memory", small=10)
