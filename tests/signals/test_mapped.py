"""The files of signals are ordinary safetensors, written without a copy and read in place."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save

from wanprep.signals import mapped

RNG = np.random.default_rng(2)
TENSORS = {
    "b": RNG.integers(0, 256, (3, 5), np.uint8),
    "a": RNG.integers(0, 256, 7, np.uint8),
    "numbers": RNG.normal(size=(4, 2)).astype(np.float32),
    "at": np.arange(3, dtype=np.int32),
    "pts": np.arange(6, dtype=np.int64),
    "none": np.zeros((0, 4), np.uint8),
}


def written(tensors, **metadata: str) -> bytes:
    return b"".join(mapped.chunks(tensors, metadata))


def test_the_bytes_are_the_librarys():
    assert written(TENSORS, one="ä\n") == save(TENSORS, metadata={"one": "ä\n"})


def test_pieces_are_one_tensor(tmp_path):
    pieces = [b"abc", b"", np.frombuffer(b"defg", np.uint8)]
    whole = {"jpeg": np.frombuffer(b"abcdefg", np.uint8), "pts": TENSORS["pts"]}
    assert written({"jpeg": mapped.Pieces(pieces, 7), "pts": TENSORS["pts"]}) == written(whole)


def test_reading_gives_views_of_the_file(tmp_path):
    path = tmp_path / "signals"
    path.write_bytes(written(TENSORS, one="two"))
    metadata, found = mapped.read(path)
    assert metadata == {"one": "two"}
    assert found.keys() == load_file(path).keys()
    for name, tensor in TENSORS.items():
        assert found[name].dtype == tensor.dtype
        assert np.array_equal(found[name], tensor)
        assert not found[name].flags.writeable


def test_strided_arrays_are_written_as_they_read(tmp_path):
    assert written({"x": TENSORS["b"][:, ::-1]}) == written({"x": TENSORS["b"][:, ::-1].copy()})


def test_other_kinds_are_refused():
    with pytest.raises(ValueError, match="float64"):
        written({"x": np.zeros(2)})


@pytest.mark.parametrize("change", ["empty", "text", "header", "short", "kind"])
def test_other_files_are_refused(tmp_path, change):
    good = written(TENSORS)
    length = int.from_bytes(good[:8], "little")
    kinds = good.replace(b'"dtype":"F32"', b'"dtype":"F99"')
    bad = {
        "empty": b"",
        "text": b"no tensors here",
        "header": good[: 8 + length // 2],
        "short": good[:-1],
        "kind": kinds,
    }
    path = tmp_path / "signals"
    path.write_bytes(bad[change])
    assert bad[change] != good
    with pytest.raises(ValueError, match="analyse the source again"):
        mapped.read(path)
    assert json.loads(good[8 : 8 + length])  # the header was one
