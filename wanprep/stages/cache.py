"""Cache: windows of the clips' mp4 -> latents, distinct texts -> embeddings, each under a key made of what decides it.

One sample a VAE call and one text an encoder call: a batched encode is not bit-stable, and a cache whose digests depend
on who stood beside whom could not be compared between two runs.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wanprep.families import Family, family
from wanprep.ids import key_of, write_atomic
from wanprep.models.load import DTYPES
from wanprep.stages.window import read_window, verify

if TYPE_CHECKING:
    import torch

    from wanprep.models.text import TextEncoder

FORMAT = "1"  # of the files; part of every key, so that raising it makes all of them again
STORED = ("bf16", "fp32")


@dataclass(frozen=True, kw_only=True)
class CacheConfig:
    """How the cache is made.

    weights: "auto" finds them on this machine; otherwise a diffusers folder. dtype: of the stored tensors.
    vae_compute, text_compute: dtype the models run in. tiling: the VAE works in tiles when a frame is larger than 256
    pixels; less memory, slightly different latents. device: "auto", "cpu", "cuda", "cuda:1", …
    """

    weights: str = "auto"
    dtype: str = "bf16"
    vae_compute: str = "fp32"
    text_compute: str = "bf16"
    tiling: bool = False
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.dtype not in STORED:
            raise ValueError(f"cache.dtype is {self.dtype!r}; use one of {', '.join(STORED)}")
        for name in ("vae_compute", "text_compute"):
            value = getattr(self, name)
            if value not in DTYPES:
                raise ValueError(f"cache.{name} is {value!r}; use one of {', '.join(DTYPES)}")
        if not self.weights or not self.device:
            raise ValueError('cache.weights and cache.device must not be empty; "auto" chooses')


def latent_key(
    mp4_digest: str,
    start: int,
    frames: int,
    vae_id: str,
    dtype: str = "bf16",
    tiling: bool = False,
    *,
    compute: str = "fp32",
    condition: bool = False,
    flip: bool = False,
) -> str:
    """Key of a latent: frames [start, start + frames) of one mp4 (its size is in its bytes), the VAE, and how it ran.

    condition: whether the file also holds image-to-video's condition. flip: of the mirrored picture.
    """
    mirrored = {"flip": True} if flip else {}
    return key_of(
        kind="latent",
        format=FORMAT,
        mp4=mp4_digest,
        start=start,
        frames=frames,
        vae=vae_id,
        dtype=dtype,
        tiling=tiling,
        compute=compute,
        condition=condition,
        **mirrored,
    )


def text_key(text: str, encoder_id: str, *, dtype: str = "bf16", compute: str = "bf16") -> str:
    """Key of an embedding. The text is cleaned first: two texts the encoder cannot tell apart have one key."""
    from wanprep.models.text import clean

    return key_of(kind="text", format=FORMAT, text=clean(text), encoder=encoder_id, dtype=dtype, compute=compute)


def class_text(caption: str, trigger: str | None, class_word: str | None) -> str | None:
    """The caption of the class that the trigger stands for: every mention of the trigger becomes the class word.

    None without a trigger, without a class word, or where the caption does not mention the trigger.
    """
    from wanprep.models.text import clean

    if not trigger or not class_word:
        return None
    mention = re.compile(rf"(?<!\w){re.escape(clean(trigger))}(?!\w)", re.IGNORECASE)
    replaced = mention.sub(lambda _: clean(class_word), clean(caption))
    return None if replaced == clean(caption) else replaced


def distinct_texts(captions: Iterable[str]) -> list[str]:
    """The cleaned texts to encode, each once, sorted; the empty prompt always among them."""
    from wanprep.models.text import clean

    return sorted({"", *(clean(caption) for caption in captions)})


def artefact_path(kind: str, key: str) -> str:
    """Where an artefact lives, relative to the dataset. kind: "latent" or "text"."""
    folder = {"latent": "latents", "text": "text"}[kind]
    return f"cache/{folder}/{key[:2]}/{key}.safetensors"


class Encoder:
    """The VAE and the text encoder of one family, each found, identified and loaded when first asked for."""

    def __init__(self, family: Family, config: CacheConfig) -> None:
        self.family = family
        self.config = config
        self.condition = family.task == "i2v"

    @functools.cached_property
    def vae_folder(self) -> Path:
        """Missing, with the download command, where there is none."""
        return self._find("vae")

    @functools.cached_property
    def text_folder(self) -> Path:
        return self._find("text")

    @functools.cached_property
    def vae_id(self) -> str:
        from wanprep.models.identity import model_id

        return model_id(self.vae_folder, "vae")

    @functools.cached_property
    def encoder_id(self) -> str:
        from wanprep.models.identity import model_id

        return model_id(self.text_folder, "text")

    @functools.cached_property
    def vae(self) -> Any:
        from wanprep.models.load import load_vae, pick_device

        vae = load_vae(self.family, self.vae_folder, self.config.vae_compute, pick_device(self.config.device))
        if self.config.tiling:
            vae.enable_tiling()
        return vae

    @functools.cached_property
    def text_encoder(self) -> TextEncoder:
        from wanprep.models.load import load_text, pick_device

        return load_text(self.family, self.text_folder, self.config.text_compute, pick_device(self.config.device))

    def latent_key(self, mp4_digest: str, start: int, frames: int, flip: bool = False) -> str:
        c = self.config
        how: dict[str, Any] = {"compute": c.vae_compute, "condition": self.condition, "flip": flip}
        return latent_key(mp4_digest, start, frames, self.vae_id, c.dtype, c.tiling, **how)

    def text_key(self, text: str) -> str:
        return text_key(text, self.encoder_id, dtype=self.config.dtype, compute=self.config.text_compute)

    def _find(self, part: str) -> Path:
        from wanprep.models.find import require_weights

        named = None if self.config.weights == "auto" else Path(self.config.weights)
        return require_weights(self.family, part, override=named)


@functools.lru_cache(maxsize=1)
def shared_encoder(family_name: str, config: CacheConfig) -> Encoder:
    """This process's encoder: loaded once however many items are measured."""
    return Encoder(family(family_name), config)


def encode_latent(
    encoder: Encoder,
    root: Path,
    *,
    media_path: str,
    media_digest: str,
    start: int,
    frames: int,
    width: int,
    height: int,
    flip: bool = False,
) -> dict[str, Any]:
    """Encode one window and write its file; the row {kind, key, path, digest, bytes, shape}.

    media_path: relative to `root`, an mp4 or, for a still, a png of width x height pixels. flip: mirror the frames left
    to right first (a latent cannot be mirrored afterwards: the VAE is not symmetric). Damaged when its bytes are
    not those of `media_digest` or the window is not in it; ValueError for a bucket the VAE would cut.
    """
    from wanprep.models import vae as codec

    media = root / media_path
    verify(media, media_digest)
    frames_FHWC = read_window(media, start, frames, width, height)
    if flip:
        frames_FHWC = frames_FHWC[:, :, ::-1].copy()
    grid = encoder.family.grid
    tensors = {"latent": codec.encode(encoder.vae, frames_FHWC, grid=grid)}
    if encoder.condition:
        tensors["condition"] = codec.condition(encoder.vae, frames_FHWC, grid=grid)
    key = encoder.latent_key(media_digest, start, frames, flip)
    config = encoder.config
    metadata = {
        "kind": "latent",
        "media_digest": media_digest,
        "start": str(start),
        "frames": str(frames),
        "width": str(width),
        "height": str(height),
        "vae": encoder.vae_id,
        "compute": config.vae_compute,
        "tiling": "yes" if config.tiling else "no",
    }
    if flip:
        metadata["flip"] = "yes"
    return _write(encoder, root, "latent", key, tensors, metadata)


def encode_text(encoder: Encoder, root: Path, text: str) -> dict[str, Any]:
    """Encode one text and write its file; the row {kind, key, path, digest, bytes, shape, tokens, truncated}.

    tokens: of the whole text; truncated: it has more than the encoder sees.
    """
    from wanprep.models.text import clean

    cleaned = clean(text)
    tokens = encoder.text_encoder.count(cleaned)
    metadata = {
        "kind": "text",
        "text": cleaned,
        "tokens": str(tokens),
        "encoder": encoder.encoder_id,
        "compute": encoder.config.text_compute,
    }
    tensors = {"text": encoder.text_encoder.encode(cleaned).cpu()}
    row = _write(encoder, root, "text", encoder.text_key(cleaned), tensors, metadata)
    return row | {"tokens": tokens, "truncated": tokens > encoder.text_encoder.length}


def _write(
    encoder: Encoder, root: Path, kind: str, key: str, tensors: dict[str, torch.Tensor], metadata: dict[str, str]
) -> dict[str, Any]:
    from wanprep.models.load import torch_dtype
    from wanprep.tensors import to_bytes

    stored = {name: tensor.to(torch_dtype(encoder.config.dtype)) for name, tensor in tensors.items()}
    metadata = {"format": FORMAT, "family": encoder.family.name, "key": key} | metadata
    data = to_bytes(stored, metadata)
    path = artefact_path(kind, key)
    digest = write_atomic(root / path, data)
    shape = list(tensors[kind].shape)
    return {"kind": kind, "key": key, "path": path, "digest": digest, "bytes": len(data), "shape": shape}
