"""Cache: windows of the clips' mp4 -> latents, distinct texts -> embeddings, each under a key made of what decides it.

Here: the settings, the keys and the models of the stage. `stages.encode` makes the tensors, `wanprep.caching` runs it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wanprep.families import Family, family
from wanprep.ids import Ends, digest_bytes, key_between, key_ends, key_of
from wanprep.models.dtypes import DTYPES

if TYPE_CHECKING:
    from wanprep.models.image import ImageEncoder
    from wanprep.models.text import TextEncoder
    from wanprep.models.vae_encoder import LatentEncoder

FORMAT = "1"  # of the files; part of every key, so that raising it makes all of them again
STORED = ("bf16", "fp32")
PATHS = ("fast", "plain")  # `vae_path`


@dataclass(frozen=True, kw_only=True)
class CacheConfig:
    """How the cache is made.

    weights: "auto" finds them on this machine; otherwise folders or files as docs/weights.md says. dtype: of the stored
    tensors.
    vae_compute, text_compute: dtype the models run in; "auto" (the VAE) is fp16 on a GPU, with bf16 for a clip that
    overflows there, and fp32 elsewhere. vae_path: "fast" is our encoder on a GPU in half precision (diffusers' class
    otherwise), "plain" always diffusers' class. tiling: always diffusers' class, in blended tiles of 256 pixels, which
    are slightly different latents; our encoder cuts its work to the memory there is without. shards: "auto" packs
    latents and embeddings of more than 10,000 samples into tar files, "always" does, "never" does not. device: "auto",
    "cpu", "cuda", "cuda:1", …
    """

    weights: str = "auto"
    dtype: str = "bf16"
    vae_compute: str = "auto"
    vae_path: str = "fast"
    text_compute: str = "bf16"
    tiling: bool = False
    shards: str = "auto"
    device: str = "auto"

    def __post_init__(self) -> None:
        choices = {
            "dtype": STORED,
            "vae_compute": ("auto", *DTYPES),
            "vae_path": PATHS,
            "text_compute": tuple(DTYPES),
            "shards": ("auto", "always", "never"),
        }
        for name, allowed in choices.items():
            value = getattr(self, name)
            if value not in allowed:
                raise ValueError(f"cache.{name} is {value!r}; use one of {', '.join(allowed)}")
        if not self.weights or not self.device:
            raise ValueError('cache.weights and cache.device must not be empty; "auto" chooses')


def latent_ends(
    start: int,
    frames: int,
    vae_id: str,
    dtype: str = "bf16",
    tiling: bool = False,
    *,
    compute: str = "fp32",
    path: str = "plain",
    condition: bool = False,
    image: str = "",
    flip: bool = False,
) -> Ends:
    """Ends of a latent's key, between which its mp4's digest stands (its size is in its bytes): frames [start, start +
    frames) of it, the VAE, and how it ran.

    compute "auto" stands as such: what it means depends on the machine, and all of them agree within 1e-2, so a dataset
    may be looked at elsewhere and stays cached. condition: whether the file also holds image-to-video's condition.
    image: identity of the image encoder whose embedding is in the file. flip: of the mirrored picture. How the work
    was cut to fit into memory is no part: it changes nothing beyond rounding (docs/decisions/0004).
    """
    more: dict[str, Any] = {"flip": True} if flip else {}
    if path != "plain" and compute != "fp32" and not tiling:  # elsewhere there is only one way
        more["path"] = path
    if image:
        more["image"] = image
    return key_ends(
        "mp4",
        kind="latent",
        format=FORMAT,
        start=start,
        frames=frames,
        vae=vae_id,
        dtype=dtype,
        tiling=tiling,
        compute=compute,
        condition=condition,
        **more,
    )


def text_key(text: str, encoder_id: str, *, dtype: str = "bf16", compute: str = "bf16") -> str:
    """Key of an embedding. The text is cleaned first: two texts the encoder cannot tell apart have one key."""
    from wanprep.models.text import clean

    return key_between(text_ends(encoder_id, dtype, compute), clean(text))


@functools.lru_cache(maxsize=8)
def text_ends(encoder_id: str, dtype: str, compute: str) -> Ends:
    """Ends of `text_key`, between which the cleaned text stands."""
    return key_ends("text", kind="text", format=FORMAT, encoder=encoder_id, dtype=dtype, compute=compute)


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


def encoders_of(family: Family) -> tuple[str, ...]:
    """The parts of a family that the cache is made with."""
    return ("vae", "text", "clip") if family.clip_embeds else ("vae", "text")


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
    def image_id(self) -> str:
        """Of the image encoder and its processor; empty for a family without one."""
        from wanprep.models.identity import model_id
        from wanprep.models.image import processor_file

        if not self.family.clip_embeds:
            return ""
        file = processor_file(self.image_folder)
        processor = digest_bytes(file.read_bytes()) if file else "default"
        return key_of(model=model_id(self.image_folder, "clip"), processor=processor)

    @functools.cached_property
    def image_folder(self) -> Path:
        return self._find("clip")

    @functools.cached_property
    def device(self) -> str:
        from wanprep.models.load import pick_device

        return pick_device(self.config.device)

    @functools.cached_property
    def vae(self) -> LatentEncoder:
        """Whatever encodes latents here; its weights are loaded with the first clip."""
        from wanprep.models.load import load_vae
        from wanprep.models.vae_encoder import LatentEncoder

        if self.family.clip_embeds:
            _ = self.image_encoder  # which stays beside it: what is planned with is what is left
        c = self.config
        folder = self.vae_folder
        return LatentEncoder(
            lambda dtype: load_vae(self.family, folder, dtype, self.device),
            self.device, compute=c.vae_compute, path=c.vae_path, tiling=c.tiling,
        )  # fmt: skip

    @functools.cached_property
    def image_encoder(self) -> ImageEncoder:
        from wanprep.models.image import load_image_encoder

        return load_image_encoder(self.family, self.image_folder, self.device)

    @functools.cached_property
    def text_encoder(self) -> TextEncoder:
        from wanprep.models.load import load_text

        return load_text(self.family, self.text_folder, self.config.text_compute, self.device)

    def forget_text(self) -> None:
        """Make room for the VAE: the text encoder is four times the size of everything else."""
        if self.__dict__.pop("text_encoder", None) is not None and self.device.startswith("cuda"):
            import torch

            torch.cuda.empty_cache()

    def latent_key(self, mp4_digest: str, start: int, frames: int, flip: bool = False) -> str:
        return key_between(self.latent_ends(start, frames, flip), mp4_digest)

    def latent_ends(self, start: int, frames: int, flip: bool = False) -> Ends:
        """Of the keys of all latents of these frames (`keyed.between_ends`)."""
        c = self.config
        how: dict[str, Any] = {"compute": c.vae_compute, "path": c.vae_path, "condition": self.condition, "flip": flip}
        how["image"] = self.image_id
        return latent_ends(start, frames, self.vae_id, c.dtype, c.tiling, **how)

    def text_key(self, text: str) -> str:
        return text_key(text, self.encoder_id, dtype=self.config.dtype, compute=self.config.text_compute)

    def text_ends(self) -> Ends:
        """Of the keys of all cleaned texts (`keyed.between`)."""
        return text_ends(self.encoder_id, self.config.dtype, self.config.text_compute)

    def _find(self, part: str) -> Path:
        from wanprep.models.find import require_weights

        named = None if self.config.weights == "auto" else Path(self.config.weights)
        return require_weights(self.family, part, override=named)


@functools.lru_cache(maxsize=1)
def shared_encoder(family_name: str, config: CacheConfig) -> Encoder:
    """This process's encoder: loaded once however many items are measured."""
    return Encoder(family(family_name), config)
