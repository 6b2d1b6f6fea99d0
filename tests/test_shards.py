"""Shards: the same bytes, digests and reader as loose files; a killed writer loses only the shard that was open."""

from __future__ import annotations

import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from wanprep import shards
from wanprep.ids import digest_bytes
from wanprep.shards import Member, ShardWriter

DATA = {f"{i:032x}": bytes([i]) * (100 + 700 * i) for i in range(1, 8)}


def fill(root: Path, **limits: int) -> list[Member]:
    writer = ShardWriter(root, "latents", **limits)
    members = []
    for key, data in DATA.items():
        writer.add(key, data, digest_bytes(data))
        members += writer.seal() if writer.due else []
    return members + writer.seal()


def test_members_are_read_back_whatever_the_size_of_a_shard(tmp_path: Path) -> None:
    for limit in (1, 4000, 1 << 20):
        members = fill(tmp_path, limit_bytes=limit)
        assert [member.key for member in members] == list(DATA)
        for member in members:
            assert shards.read(tmp_path, member.path) == DATA[member.key]
            assert digest_bytes(shards.read(tmp_path, member.path)) == member.digest
            assert shards.stored_bytes(tmp_path, member.path, shards.file_bytes) == member.bytes
    names = {member.path.split("#")[0] for member in members}
    assert len(names) == 1
    assert fill(tmp_path, limit_bytes=1 << 20) == members  # equal content, equal names


def test_a_shard_is_a_tar_file(tmp_path: Path) -> None:
    path = tmp_path / fill(tmp_path)[0].path.split("#")[0]
    with tarfile.open(path) as tar:
        found = {info.name: tar.extractfile(info).read() for info in tar}  # type: ignore[union-attr]
    assert found == {f"{key}.safetensors": data for key, data in DATA.items()}


def test_loose_paths_are_read_as_before(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"whole")
    assert shards.read(tmp_path, "a.tar") == b"whole"
    assert shards.place("a.tar").length is None
    assert shards.stored_bytes(tmp_path, "a.tar", shards.file_bytes) == 5
    assert shards.stored_bytes(tmp_path, "gone.tar#0+4", shards.file_bytes) == -1
    assert shards.stored_bytes(tmp_path, "a.tar#3+4", shards.file_bytes) == 2
    assert shards.stored_bytes(tmp_path, "a.tar#30+4", shards.file_bytes) == 0


def test_a_shard_is_due_by_size_and_by_age(tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path, "text", limit_bytes=2000, limit_seconds=1e9)
    assert not writer.due
    writer.add("a", b"1", "")
    assert not writer.due
    writer.add("b", b"1" * 2000, "")
    assert writer.due
    writer.seal()
    assert not writer.due
    old = ShardWriter(tmp_path, "text", limit_seconds=0)
    assert not old.due
    old.add("a", b"1", "")
    assert old.due
    old.drop()
    assert not old.due
    assert not list((tmp_path / shards.FOLDER).glob(".tmp-*"))


WRITER = """
import sys, time
from pathlib import Path
from wanprep.shards import ShardWriter
writer = ShardWriter(Path(sys.argv[1]), "latents", limit_bytes=20_000)
for i in range(10_000):
    writer.add(f"{i:032x}", bytes(3000), "d")
    if writer.due:
        for member in writer.seal():
            print(member.path, flush=True)
"""


@pytest.mark.parametrize("after", [0.02, 0.1])
def test_a_killed_writer_leaves_whole_shards_under_final_names(tmp_path: Path, after: float) -> None:
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    first = process.stdout.readline()
    time.sleep(after)
    process.send_signal(signal.SIGKILL)
    said = [first, *process.stdout.readlines()]
    process.wait()
    paths = [line.strip() for line in said if line.endswith("\n")]
    assert all(shards.read(tmp_path, path) == bytes(3000) for path in paths)
    for path in (tmp_path / shards.FOLDER).iterdir():
        if not path.name.startswith("."):
            with tarfile.open(path) as tar:
                assert all(info.size == 3000 for info in tar)
