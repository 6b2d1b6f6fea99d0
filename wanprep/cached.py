"""The cached samples as a trainer reads them: latents, text embeddings, and the order of an epoch.

Neither safetensors nor Parquet notices a flipped bit, so each file's digest is compared once per process, on the very
bytes that are handed out the first time.
"""

from __future__ import annotations

import functools
import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wanprep import shards
from wanprep.families import Family
from wanprep.ids import digest_bytes, key_of
from wanprep.stage import Damaged

if TYPE_CHECKING:
    import torch


REMAKE = "Run `wanprep cache`, which makes it again"  # for what is gone or short: `cache` sees that by itself
REPAIR = "Run `wanprep verify --repair`, which marks it, then `wanprep cache`, which makes it again"


@dataclass(frozen=True, kw_only=True)
class OtherText:
    """Another caption of a sample, shown in place of its first one `weight` times as often. Paths as there."""

    caption: str
    weight: float
    text_path: str
    text_digest: str
    class_path: str = ""
    class_digest: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.weight < float("inf"):
            raise ValueError(f"caption {self.caption[:40]!r} has weight {self.weight}; a positive number is needed")


@dataclass(frozen=True, kw_only=True)
class Example:
    """What is known of an example for training before it is cached.

    width, height, frames: the bucket in pixels and frames. repeats: times an epoch shows it. start_s, end_s: where its
    clip lies in its source, in seconds (an end that is not after the start is not known). class_path: embedding of the
    caption with the class word in place of the trigger, "" where there is none.
    """

    sample_id: str
    clip_id: str
    source_id: str
    group: str
    view: str
    width: int
    height: int
    frames: int
    repeats: int
    start_s: float = 0.0
    end_s: float = 0.0
    class_path: str = ""


@dataclass(frozen=True, kw_only=True)
class CachedSample(Example):
    """One example ready for training.

    weight: factor on its loss. others: its other captions; the first weighs 1. Paths are relative to the dataset;
    digests are those of the whole files.
    """

    weight: float
    latent_path: str
    latent_digest: str
    text_path: str
    text_digest: str
    caption: str
    class_digest: str = ""
    others: tuple[OtherText, ...] = ()

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise ValueError(f"sample {self.sample_id} has repeats {self.repeats}; at least 1 is needed")
        if not 0 < self.weight < float("inf"):
            raise ValueError(f"sample {self.sample_id} has weight {self.weight}; a positive number is needed")
        for name in ("latent_path", "text_path"):
            path = getattr(self, name)
            if not path or Path(path).is_absolute():
                raise ValueError(f"sample {self.sample_id}: {name} {path!r} must be relative to the dataset")
        for name in ("start_s", "end_s"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"sample {self.sample_id} has {name} {getattr(self, name)}; seconds are needed")


class CachedDataset:
    """Samples in order of their ids, so that nothing depends on the order in which a table listed them.

    empty_text: (path, digest) of the empty prompt's embedding, for caption dropout and guidance. pending: good samples
    of the dataset that are not cached (yet, or because it failed) and are therefore not among these. notes: what else
    a trainer should say of the dataset.
    """

    def __init__(
        self,
        root: Path,
        family: Family,
        samples: Sequence[CachedSample],
        empty_text: tuple[str, str],
        pending: int = 0,
        notes: Sequence[str] = (),
    ) -> None:
        self.root = root
        self.family = family
        self.samples = tuple(sorted(samples, key=lambda sample: sample.sample_id))
        self.empty_text = empty_text
        self.pending = pending
        self.notes = tuple(notes)
        self._verified: set[tuple[str, str]] = set()
        for sample, following in zip(self.samples, self.samples[1:], strict=False):
            if sample.sample_id == following.sample_id:
                raise ValueError(f"sample {sample.sample_id} is listed twice")

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def fingerprint(self) -> str:
        """Digest of what an epoch consists of: ids, file digests, repeats, weights and the empty prompt."""
        listed = [
            [s.sample_id, s.latent_digest, s.text_digest, s.repeats, s.weight]
            + [[other.text_digest, other.weight] for other in s.others]
            for s in self.samples
        ]
        return key_of(family=self.family.name, samples=listed, empty=self.empty_text[1])

    def epoch_order(self, seed: int, epoch: int) -> list[int]:
        """Indices into `samples`, each `repeats` times, shuffled by (seed, epoch) and nothing else."""
        order = [index for index, sample in enumerate(self.samples) for _ in range(sample.repeats)]
        random.Random(f"wanprep epoch {seed} {epoch}").shuffle(order)
        return order

    def latent(self, sample: CachedSample) -> torch.Tensor:
        """[z, (F−1)/4+1, H/s, W/s] as stored (bf16 by default), normalised."""
        return self._latent(sample, "latent")

    def condition(self, sample: CachedSample) -> torch.Tensor:
        """Image-to-video families: the VAE's view of the first frame followed by grey, shaped as the latent."""
        return self._latent(sample, "condition")

    def image(self, sample: CachedSample) -> torch.Tensor:
        """wan2.1-i2v: CLIP's embedding of the first frame, [257, 1280]."""
        tensor = self._tensor(sample.latent_path, sample.latent_digest, "image")
        if tensor.ndim != 2:
            raise Damaged(f"{self.root / sample.latent_path} has an image embedding {list(tensor.shape)}", REMAKE)
        return tensor

    def text(self, sample: CachedSample) -> torch.Tensor:
        """[512, text_dim] as stored, zero rows after the true tokens."""
        return self._text(sample.text_path, sample.text_digest)

    def class_text(self, sample: CachedSample) -> torch.Tensor:
        """[512, text_dim] of the caption with the class word for the trigger; ValueError where there is none."""
        if not sample.class_path:
            raise ValueError(f"sample {sample.sample_id} has no class text: the dataset has no trigger or class_word")
        return self._text(sample.class_path, sample.class_digest)

    def empty(self) -> torch.Tensor:
        """[512, text_dim] of the empty prompt."""
        return self._text(*self.empty_text)

    def verify(self, seconds: float = math.inf) -> tuple[int, int]:
        """Look for every file, and compare digests for about `seconds`, spread over the set: (compared, all).

        Raises Damaged for the first that is gone, short or changed. What is compared here is not compared again.
        """
        files = {(s.latent_path, s.latent_digest) for s in self.samples} | {self.empty_text}
        for s in self.samples:
            texts = [(s.text_path, s.text_digest), (s.class_path, s.class_digest)]
            files |= {(path, digest) for path, digest in texts if path}
            files |= {(other.text_path, other.text_digest) for other in s.others}
        file_bytes = functools.cache(shards.file_bytes)  # a shard holds many
        for path, _ in sorted(files):
            if shards.stored_bytes(self.root, path, file_bytes) < 1:
                raise Damaged(f"{self.root / path} is not there", REMAKE)
        order = sorted(files)
        random.Random("wanprep verify").shuffle(order)
        until = time.monotonic() + seconds
        for number, (path, digest) in enumerate(order):
            if time.monotonic() >= until:
                return number, len(order)
            self._read(path, digest)
        return len(order), len(order)

    def _latent(self, sample: CachedSample, name: str) -> torch.Tensor:
        tensor = self._tensor(sample.latent_path, sample.latent_digest, name)
        stride = self.family.spatial_stride
        cells = (self.family.latent_frames(sample.frames), sample.height // stride, sample.width // stride)
        if tuple(tensor.shape) != (self.family.z, *cells):
            found, wanted = list(tensor.shape), [self.family.z, *cells]
            raise Damaged(f"{self.root / sample.latent_path} has shape {found}, its sample needs {wanted}", REMAKE)
        return tensor

    def _text(self, path: str, digest: str) -> torch.Tensor:
        import torch

        tensor = self._tensor(path, digest, "text")
        tokens, dim = tensor.shape if tensor.ndim == 2 else (0, 0)
        if dim != self.family.text_dim or not 1 <= tokens <= self.family.text_len:
            wanted = f"[1–{self.family.text_len}, {self.family.text_dim}]"
            raise Damaged(f"{self.root / path} has shape {list(tensor.shape)}, not {wanted}", REMAKE)
        return torch.cat([tensor, tensor.new_zeros(self.family.text_len - tokens, dim)])

    def _tensor(self, path: str, digest: str, name: str) -> torch.Tensor:
        from safetensors.torch import load

        tensors = load(self._read(path, digest))
        if name not in tensors:
            raise Damaged(f"{self.root / path} holds {', '.join(sorted(tensors))} but no {name!r}", REMAKE)
        return tensors[name]

    def _read(self, path: str, digest: str) -> bytes:
        try:
            data = shards.read(self.root, path)
        except FileNotFoundError:
            raise Damaged(f"{self.root / path} is not there", REMAKE) from None
        if (path, digest) not in self._verified:
            if digest_bytes(data) != digest:
                raise Damaged(f"{self.root / path} has changed since it was written (digest differs)", REPAIR)
            self._verified.add((path, digest))
        return data
