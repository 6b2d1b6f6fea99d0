"""What the trainer reads: verified once, shaped as the bucket says, in an order that depends on the seed alone."""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from wanprep import cached
from wanprep.cached import CachedDataset, CachedSample
from wanprep.families import FAMILIES
from wanprep.ids import digest_bytes, write_atomic
from wanprep.stage import Damaged
from wanprep.tensors import to_bytes

TINY = FAMILIES["tiny"]


def stored(root: Path, name: str, tensors: dict[str, torch.Tensor]) -> tuple[str, str]:
    return name, write_atomic(root / name, to_bytes(tensors, {"key": name}))


def sample(root: Path, number: int, *, frames: int = 5, repeats: int = 1, weight: float = 1.0) -> CachedSample:
    generator = torch.Generator().manual_seed(number)
    latent = torch.randn(16, (frames - 1) // 4 + 1, 4, 6, generator=generator).to(torch.bfloat16)
    text = torch.randn(3 + number, 32, generator=generator).to(torch.bfloat16)
    latent_path, latent_digest = stored(root, f"cache/latents/{number}.safetensors", {"latent": latent})
    text_path, text_digest = stored(root, f"cache/text/{number}.safetensors", {"text": text})
    return CachedSample(
        sample_id=f"s{number}", clip_id=f"c{number}", source_id="src", group="g", view="v", width=48, height=32,
        frames=frames, repeats=repeats, weight=weight, latent_path=latent_path, latent_digest=latent_digest,
        text_path=text_path, text_digest=text_digest, caption="a caption",
    )  # fmt: skip


@pytest.fixture
def samples(tmp_path: Path) -> list[CachedSample]:
    return [sample(tmp_path, 2, repeats=3), sample(tmp_path, 0), sample(tmp_path, 1, frames=1, weight=0.5)]


@pytest.fixture
def dataset(tmp_path: Path, samples: list[CachedSample]) -> CachedDataset:
    empty = stored(tmp_path, "cache/text/empty.safetensors", {"text": torch.ones(1, 32, dtype=torch.bfloat16)})
    return CachedDataset(tmp_path, TINY, samples, empty)


def test_tensors_come_back_as_stored_and_padded(dataset: CachedDataset) -> None:
    assert [s.sample_id for s in dataset.samples] == ["s0", "s1", "s2"]
    assert len(dataset) == 3
    first, still, _ = dataset.samples
    generator = torch.Generator().manual_seed(0)
    expected = torch.randn(16, 2, 4, 6, generator=generator).to(torch.bfloat16)
    assert torch.equal(dataset.latent(first), expected)
    assert dataset.latent(still).shape == (16, 1, 4, 6)
    text = dataset.text(first)
    assert (text.shape, text.dtype) == ((512, 32), torch.bfloat16)
    assert torch.equal(text[:3], torch.randn(3, 32, generator=generator).to(torch.bfloat16))
    assert not text[3:].any()
    assert dataset.empty()[0].eq(1).all()
    assert not dataset.empty()[1:].any()


@pytest.mark.parametrize("kind", ["latents", "text"])
def test_one_flipped_bit_is_detected(dataset: CachedDataset, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "cache" / kind / "0.safetensors"
    data = bytearray(path.read_bytes())
    data[-10] ^= 4  # inside the tensor: safetensors reads it without complaint
    path.write_bytes(data)
    read = dataset.latent if kind == "latents" else dataset.text
    with pytest.raises(Damaged, match=rf"{kind}/0\.safetensors has changed.*wanprep verify --repair`.*wanprep cache"):
        read(dataset.samples[0])
    read(dataset.samples[1])  # the others are as they were


def test_a_missing_file_and_a_wrong_digest(dataset: CachedDataset, tmp_path: Path) -> None:
    (tmp_path / "cache/latents/0.safetensors").unlink()
    with pytest.raises(Damaged, match=r"0\.safetensors is not there.*wanprep cache"):
        dataset.latent(dataset.samples[0])
    with pytest.raises(Damaged, match="digest differs"):
        dataset.latent(replace(dataset.samples[1], latent_digest="0" * 32))


def test_each_file_is_hashed_once(dataset: CachedDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = []
    monkeypatch.setattr(cached, "digest_bytes", lambda data: hashed.append(1) or digest_bytes(data))
    for _ in range(3):
        for one in dataset.samples:
            dataset.latent(one)
            dataset.text(one)
        dataset.empty()
    assert len(hashed) == 7


def test_a_latent_of_another_bucket_is_refused(dataset: CachedDataset) -> None:
    with pytest.raises(Damaged, match=r"has shape \[16, 2, 4, 6\], its sample needs \[16, 3, 4, 6\]"):
        dataset.latent(replace(dataset.samples[0], frames=9))
    with pytest.raises(Damaged, match="holds latent but no 'condition'"):
        dataset.condition(dataset.samples[0])
    one = dataset.samples[0]
    swapped = replace(one, text_path=one.latent_path, text_digest=one.latent_digest)
    with pytest.raises(Damaged, match=r"holds latent but no 'text'"):
        dataset.text(swapped)


def test_texts_of_another_encoder_are_refused(tmp_path: Path) -> None:
    path, digest = stored(tmp_path, "cache/text/wide.safetensors", {"text": torch.zeros(3, 4096)})
    with pytest.raises(Damaged, match=r"has shape \[3, 4096\], not \[1–512, 32\]"):
        CachedDataset(tmp_path, TINY, [], (path, digest)).empty()


def test_an_epoch_shows_each_sample_as_often_as_it_says(dataset: CachedDataset) -> None:
    order = dataset.epoch_order(7, 0)
    assert Counter(order) == {0: 1, 1: 1, 2: 3}
    assert order == dataset.epoch_order(7, 0)
    orders = {tuple(dataset.epoch_order(seed, epoch)) for seed in range(5) for epoch in range(5)}
    assert len(orders) > 5
    assert {tuple(sorted(o)) for o in orders} == {tuple(sorted(order))}


def test_the_order_and_the_fingerprint_do_not_depend_on_the_listing(
    dataset: CachedDataset, samples: list[CachedSample], tmp_path: Path
) -> None:
    turned = CachedDataset(tmp_path, TINY, samples[::-1], dataset.empty_text)
    assert turned.fingerprint == dataset.fingerprint
    assert turned.epoch_order(1, 2) == dataset.epoch_order(1, 2)


def test_the_order_is_the_same_in_every_release(tmp_path: Path) -> None:
    """A resumed run must see the rest of its epoch: this order is a promise."""
    many = [replace(sample(tmp_path, 0), sample_id=f"s{i}") for i in range(10)]
    dataset = CachedDataset(tmp_path, TINY, many, ("x", "y"))
    assert dataset.epoch_order(0, 0) == ORDER


ORDER = [0, 7, 9, 1, 8, 5, 3, 4, 6, 2]


@pytest.mark.parametrize(
    "change", [{"repeats": 2}, {"weight": 0.9}, {"latent_digest": "0"}, {"text_digest": "0"}, {"sample_id": "s9"}]
)
def test_the_fingerprint_notices(dataset: CachedDataset, change: dict, tmp_path: Path) -> None:
    changed = [replace(dataset.samples[0], **change), *dataset.samples[1:]]
    assert CachedDataset(tmp_path, TINY, changed, dataset.empty_text).fingerprint != dataset.fingerprint
    assert CachedDataset(tmp_path, TINY, changed[1:], dataset.empty_text).fingerprint != dataset.fingerprint
    other_empty = CachedDataset(tmp_path, TINY, dataset.samples, (dataset.empty_text[0], "0"))
    assert other_empty.fingerprint != dataset.fingerprint
    # what is only for people does not count
    renamed = [replace(s, caption="other") for s in dataset.samples]
    assert CachedDataset(tmp_path, TINY, renamed, dataset.empty_text).fingerprint == dataset.fingerprint


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"repeats": 0}, "repeats 0"),
        ({"weight": 0.0}, "weight 0"),
        ({"weight": float("nan")}, "weight nan"),
        ({"latent_path": "/abs/x"}, "must be relative"),
        ({"text_path": ""}, "must be relative"),
    ],
)
def test_samples_are_checked(samples: list[CachedSample], change: dict, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        replace(samples[0], **change)


def test_a_sample_listed_twice_is_refused(samples: list[CachedSample], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="s2 is listed twice"):
        CachedDataset(tmp_path, TINY, [*samples, samples[0]], ("x", "y"))


def test_damage_crosses_process_borders() -> None:
    error = pickle.loads(pickle.dumps(Damaged("x is broken", "Run y")))  # noqa: S301
    assert (error.what, error.remedy, str(error)) == ("x is broken", "Run y", "x is broken. Run y")


def test_torch_is_not_imported_for_the_listing() -> None:
    import subprocess
    import sys

    code = "import sys, wanprep.cached, wanprep.stages.cache, wanprep.models.find; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("frung walks, frung's hat; FRUNG", "woman walks, woman's hat; woman"),
        ("frungy things", None),  # not the trigger, only a longer word
        ("nobody", None),
        ("frung, young woman, walks", "woman, young woman, walks"),
    ],
)
def test_class_text_puts_the_class_word_in_place_of_the_trigger(caption: str, expected: str | None) -> None:
    from wanprep.stages.cache import class_text

    assert class_text(caption, "frung", "woman") == expected
    assert class_text(caption, None, "woman") is None
    assert class_text(caption, "frung", None) is None


def test_a_sample_without_class_text_says_so(dataset: CachedDataset) -> None:
    with pytest.raises(ValueError, match="no class text"):
        dataset.class_text(dataset.samples[0])
    one, two = dataset.samples[:2]
    other = replace(one, class_path=two.text_path, class_digest=two.text_digest)
    assert torch.equal(dataset.class_text(other), dataset.text(two))


def test_verifying_reads_every_file_and_names_the_first_that_is_wrong(
    tmp_path: Path, samples: list[CachedSample]
) -> None:
    empty = stored(tmp_path, "cache/text/empty.safetensors", {"text": torch.ones(1, 32)})
    files = 2 * len(samples) + 1
    assert CachedDataset(tmp_path, TINY, samples, empty).verify() == (files, files)
    assert CachedDataset(tmp_path, TINY, samples, empty).verify(seconds=0) == (0, files)

    path = tmp_path / samples[1].text_path
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(Damaged, match=f"{path.name} has changed"):
        CachedDataset(tmp_path, TINY, samples, empty).verify()
    path.unlink()
    with pytest.raises(Damaged, match=f"{path.name} is not there"):  # even when no time is left to compare
        CachedDataset(tmp_path, TINY, samples, empty).verify(seconds=0)
