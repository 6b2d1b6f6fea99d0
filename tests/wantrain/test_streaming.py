"""Reading the cache takes no memory that grows with the set: 2,000 samples, loose and in shards."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

# Its own process, because a peak is never taken back. 2,000 latents of 128 KiB are 250 MiB.
PROGRAM = """
import json, sys
from pathlib import Path
import torch
from wanprep.cached import CachedDataset, CachedSample
from wanprep.families import FAMILIES
from wanprep.ids import digest_bytes, write_atomic
from wanprep.shards import ShardWriter
from wanprep.tensors import to_bytes
from wantrain.data import Cursor

torch.set_num_threads(1)
root, packed, hold = Path(sys.argv[1]), sys.argv[2] == "shards", sys.argv[3] == "hold"
family, count = FAMILIES["tiny"], 2000
writer = ShardWriter(root, "latents", limit_bytes=16 << 20)
where, digests = {}, {}
base = torch.randn(16, 1, 64, 64).to(torch.bfloat16)
for number in range(count):
    base[0, 0, 0, 0] = number
    key = f"{number:032x}"
    data = to_bytes({"latent": base}, {"key": key})
    digests[key] = digest_bytes(data)
    if packed:
        writer.add(key, data, digests[key])
        if writer.due or number == count - 1:
            where |= {member.key: member.path for member in writer.seal()}
    else:
        where[key] = f"l/{key[-2:]}/{key}.safetensors"
        (root / where[key]).parent.mkdir(parents=True, exist_ok=True)
        (root / where[key]).write_bytes(data)
text = "t.safetensors"
text_digest = write_atomic(root / text, to_bytes({"text": torch.ones(3, 32)}, {}))
samples = [
    CachedSample(sample_id=key, clip_id=key, source_id="s", group="g", view="v", width=512, height=512, frames=1,
        repeats=1, weight=1.0, latent_path=where[key], latent_digest=digests[key], text_path=text,
        text_digest=text_digest, caption="c")
    for key in where
]
dataset = CachedDataset(root, family, samples, (text, text_digest))
cursor = Cursor(dataset=dataset, allowed=frozenset(range(count)), seed=1)
def peak():  # ru_maxrss would be that of the process which started this one
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
held, seen, begin = [], set(), 0.0
for step in range(count):
    sample = cursor.next_samples()[0]
    latent = dataset.latent(sample)
    assert dataset.text(sample).shape == (512, 32)
    seen.add(int(sample.sample_id, 16))
    if hold:
        held.append(latent)
    if step == 50:
        begin = peak()
assert len(seen) == count
print(json.dumps({"grown": peak() - begin}))
"""


@pytest.mark.parametrize("kind", ["loose", "shards"])
def test_an_epoch_of_2000_samples_grows_no_memory(tmp_path, kind):
    def grown(mode: str) -> float:
        folder = tmp_path / mode
        folder.mkdir()
        command = [sys.executable, "-c", PROGRAM, str(folder), kind, mode]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)["grown"]

    assert grown("stream") < 20  # MiB
    if kind == "shards":  # once is enough: who keeps what was read is seen to grow
        assert grown("hold") > 150
