"""Encode windows and texts: read, compute on the device, write, as three steps that may run side by side.

One clip a VAE call: a batched encode is not bit-stable, and a cache whose digests depend on who stood beside whom could
not be compared between two runs. Texts may go together on a GPU, where their shapes are fixed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wanprep.ids import digest_bytes, write_atomic
from wanprep.models import vae as codec
from wanprep.shards import ShardWriter
from wanprep.stages.alive import refuse_dead
from wanprep.stages.cache import FORMAT, Encoder, artefact_path
from wanprep.stages.window import read_window, verify

if TYPE_CHECKING:
    import torch

    from wanprep.models.vae_encoder import Job
    from wanprep.models.vae_plan import Plan


@dataclass(kw_only=True)
class Window:
    """A sample's frames, read. pixels: uint8 [F, H, W, 3]; in pinned memory where a GPU fetches them. image: what the
    image encoder sees of the first, where the family has one."""

    pixels: torch.Tensor
    image: torch.Tensor | None = None


@dataclass(kw_only=True)
class Encoding:
    """The jobs of a sample on the device, by the name of the tensor they make; image: its embedding."""

    jobs: dict[str, Job]
    image: torch.Tensor | None = None


def read_sample(
    encoder: Encoder, root: Path, *, media_path: str, media_digest: str, start: int, frames: int, width: int,
    height: int, flip: bool = False,
) -> Window:  # fmt: skip
    """The frames of one sample. media_path: relative to `root`, an mp4 or, for a still, a png of width x height pixels.

    flip: mirrored left to right (a latent cannot be mirrored afterwards: the VAE is not symmetric). Damaged when its
    bytes are not those of `media_digest` or the window is not in it; ValueError for a bucket the VAE would cut.
    """
    import torch

    media = root / media_path
    verify(media, media_digest)
    frames_FHWC = read_window(media, start, frames, width, height)
    if flip:
        frames_FHWC = np.ascontiguousarray(frames_FHWC[:, :, ::-1])
    codec.check_frames(frames_FHWC, stride=encoder.family.grid, temporal_stride=encoder.family.temporal_stride)
    image = encoder.image_encoder.pixels(frames_FHWC[0]) if encoder.family.clip_embeds else None
    pixels = torch.from_numpy(frames_FHWC)
    return Window(pixels=pixels.pin_memory() if encoder.device.startswith("cuda") else pixels, image=image)


def start(encoder: Encoder, window: Window) -> Encoding:
    """Begin on the device."""
    jobs = {"latent": encoder.vae.start(window.pixels)}
    if encoder.condition:
        jobs["condition"] = encoder.vae.start(window.pixels, condition=True)
    image = None if window.image is None else encoder.image_encoder.states(window.image)
    return Encoding(jobs=jobs, image=image)


def finish_latent(encoder: Encoder, store: Store, args: Mapping[str, Any], encoding: Encoding) -> dict[str, Any]:
    """Wait for the tensors and store them: the row {kind, key, path, digest, bytes, shape, compute, way, cut}."""
    made = {name: job.done() for name, job in encoding.jobs.items()}
    tensors = {name: latent for name, (latent, _) in made.items()}
    if encoding.image is not None:
        tensors["image"] = encoding.image.cpu()
    compute = ",".join(sorted({compute for _, compute in made.values()}))
    start, frames, flip = args["start"], args["frames"], bool(args.get("flip"))
    metadata = {
        "kind": "latent",
        "media_digest": args["media_digest"],
        "start": str(start),
        "frames": str(frames),
        "width": str(args["width"]),
        "height": str(args["height"]),
        "vae": encoder.vae_id,
        "compute": compute,
        "path": encoder.vae.path,
        "tiling": "yes" if encoder.config.tiling else "no",
    }
    cut = cut_of(encoding.jobs["latent"].plan)
    metadata |= {"cut": cut} if cut else {}
    metadata |= {"flip": "yes"} if flip else {}
    metadata |= {"image_encoder": encoder.image_id} if encoding.image is not None else {}
    key = encoder.latent_key(args["media_digest"], start, frames, flip)
    row = store.put(encoder, "latent", key, tensors, metadata)
    return row | {"compute": compute, "way": encoder.vae.path} | ({"cut": cut} if cut else {})


def cut_of(plan: Plan | None) -> str:
    """How the work on a clip was cut (`vae_plan.Plan`), for people; it changes no value (docs/decisions/0004)."""
    if plan is None:
        return ""
    return f"strips {plan.strips}, stretch {plan.stretch}, rest {plan.rest}"


def encode_latent(encoder: Encoder, root: Path, **args: Any) -> dict[str, Any]:
    """Encode one window and write its file. args: as `read_sample` takes them."""
    return finish_latent(encoder, Store(root), args, start(encoder, read_sample(encoder, root, **args)))


def encode_text(encoder: Encoder, root: Path, text: str) -> dict[str, Any]:
    """Encode one text and write its file: the row of `finish_text`."""
    tokens = encoder.text_encoder.count(text)
    return finish_text(encoder, Store(root), text, encoder.text_encoder.encode(text), tokens)


def finish_text(encoder: Encoder, store: Store, text: str, states: torch.Tensor, tokens: int) -> dict[str, Any]:
    """Store one text's embedding: the row {kind, key, path, digest, bytes, shape, tokens, truncated}.

    tokens: of the whole text; truncated: it has more than the encoder sees.
    """
    from wanprep.models.text import clean

    cleaned = clean(text)
    metadata = {
        "kind": "text",
        "text": cleaned,
        "tokens": str(tokens),
        "encoder": encoder.encoder_id,
        "compute": encoder.config.text_compute,
    }
    row = store.put(encoder, "text", encoder.text_key(cleaned), {"text": states.cpu()}, metadata)
    return row | {"tokens": tokens, "truncated": tokens > encoder.text_encoder.length}


class Store:
    """Where tensors go: a file of their own, or the open shard, when there is one (then the path comes with `seal`)."""

    def __init__(self, root: Path, shards: ShardWriter | None = None) -> None:
        self.root, self.shards = root, shards

    def put(
        self, encoder: Encoder, kind: str, key: str, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]
    ) -> dict[str, Any]:
        """The row {kind, key, path, digest, bytes, shape}. kind names the tensor that `shape` is of. Raises as
        `refuse_dead` does."""
        from wanprep.models.dtypes import torch_dtype
        from wanprep.tensors import to_bytes

        refuse_dead(encoder, tensors)
        stored = {name: tensor.to(torch_dtype(encoder.config.dtype)) for name, tensor in tensors.items()}
        data = to_bytes(stored, {"format": FORMAT, "family": encoder.family.name, "key": key} | dict(metadata))
        path = artefact_path(kind, key)
        if self.shards is None:
            digest = write_atomic(self.root / path, data)
        else:
            digest = digest_bytes(data)
            self.shards.add(key, data, digest)
        shape = list(tensors[kind].shape)
        return {"kind": kind, "key": key, "path": path, "digest": digest, "bytes": len(data), "shape": shape}
