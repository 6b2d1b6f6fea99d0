"""Looks: what an image-text model sees in a clip, measured once; scores and likeness are made of that. Optional.

measure  a few pictures of a clip -> their embeddings, one file a clip, under a key of span, bars, model and number of
         pictures; the file -> scores, under a key of the heads, prompts and reference pictures besides.
decide   lives in `stages.filter` (aesthetic, nsfw, identity) and in `captioners.agreement` (captions against pictures).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wanprep.ids import digest_bytes, digest_file, key_of, write_atomic
from wanprep.stage import Missing, Reject

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from wanprep.models.heads import Head
    from wanprep.models.looks import Clip, ClipFiles

VERSION = 1  # raise it when the same settings give other embeddings or scores
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
AESTHETIC = ("sac+logos+ava1-l14-linearMSE.*", "*aesthetic*.*")  # file names of heads, for "auto"
NSFW = ("h14_nsfw*.*", "*nsfw*.*")


@dataclass(frozen=True, kw_only=True)
class LooksConfig:
    """`[filter.looks]`: the model behind the filters aesthetic, nsfw and identity and behind `caption --check`.

    model, weights: see `models.looks.find_clip`. frames: pictures of each clip. batch_size: clips a call.
    aesthetic_head, nsfw_head: files of heads, "auto" for one in WANPREP_MODELS. nsfw_prompts, safe_prompts: what tells
    the two kinds apart where there is no nsfw head. references: a folder of pictures of the subject; identity is then
    the likeness to them, otherwise to the set's own middle.
    """

    model: str = "auto"
    weights: str = ""
    frames: int = 8
    batch_size: int = 8
    precision: str = "fp32"
    device: str = "auto"
    aesthetic_head: str = "auto"
    nsfw_head: str = "auto"
    nsfw_prompts: tuple[str, ...] = ("a nude person", "an explicit sexual act", "pornography", "exposed genitals")
    safe_prompts: tuple[str, ...] = ("a person wearing clothes", "a landscape", "an everyday scene", "an object")
    references: str = ""

    def __post_init__(self) -> None:
        from wanprep.models.looks import PRECISIONS

        for name in ("frames", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"looks.{name} must be at least 1, got {getattr(self, name)}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"looks.precision is {self.precision!r}; use one of {', '.join(PRECISIONS)}")
        if not self.nsfw_prompts or not self.safe_prompts:
            raise ValueError("looks.nsfw_prompts and looks.safe_prompts need a text each at least")

    @property
    def settings(self) -> dict[str, Any]:
        """What results depend on, as far as the pipeline tells."""
        held = ("model", "weights", "frames", "precision", "aesthetic_head", "nsfw_head", "references")
        prompts = {"nsfw": list(self.nsfw_prompts), "safe": list(self.safe_prompts)}
        return {name: getattr(self, name) for name in held} | prompts


def about(clip: Mapping[str, Any], config: LooksConfig) -> str:
    """By this a clip finds its scores again without any weights at hand: of several the newest row counts."""
    span = {name: clip[name] for name in ("source_id", "start_pts", "end_pts")}
    return key_of(stage="looks", version=VERSION, crop=list(clip["crop"]), settings=config.settings, **span)


def embedding_key(clip: Mapping[str, Any], files: ClipFiles, config: LooksConfig) -> str:
    """Key of a clip's embeddings. clip: source_id, start_pts, end_pts, crop."""
    span = {name: clip[name] for name in ("source_id", "start_pts", "end_pts")}
    model = {"model": files.identity, "precision": config.precision, "frames": config.frames}
    return key_of(stage="embedding", version=VERSION, crop=list(clip["crop"]), **span, **model)


def pictures_of(
    path: Path, kind: str, start_pts: int, end_pts: int, crop: Sequence[int], count: int
) -> list[NDArray[np.uint8]]:
    """`count` pictures [H, W, 3] of a clip without its bars, in the middles of equal parts of it; a still: one.

    RuntimeError where the file no longer holds them: it was whole when it was analysed, so the clip is not to blame.
    """
    try:
        found = list(_pictures(path, kind, start_pts, end_pts, crop, count))
    except Reject as error:
        raise RuntimeError(f"{path} has changed since it was analysed: {error}") from error
    if not found:
        raise RuntimeError(f"{path} no longer decodes to the frames that were analysed; run `wanprep split`")
    return found


def _pictures(
    path: Path, kind: str, start_pts: int, end_pts: int, crop: Sequence[int], count: int
) -> Iterator[NDArray[np.uint8]]:
    from wanprep.media.probe import probe
    from wanprep.media.read import open_video

    x, y, w, h = crop
    wanted = [start_pts + Fraction((2 * k + 1) * (end_pts - start_pts), 2 * count) for k in range(count)]
    with open_video(path, probe(path)) as reader:
        if kind == "image":
            yield next(reader.frames()).rgb(w, h, crop=(x, y, w, h))
            return
        for frame in reader.frames(start_pts, end_pts):
            while wanted and frame.pts + max(1, frame.duration) > wanted[0]:
                yield frame.rgb(w, h, crop=(x, y, w, h))
                del wanted[0]
            if not wanted:
                return


def write_embeddings(root: Path, key: str, vectors_ND: NDArray[np.float32], model: str) -> dict[str, Any]:
    """Publish looks/<key>.safetensors (tensor `frames`); its columns of an artefact's row."""
    import json

    import torch

    from wanprep.tensors import to_bytes

    path = f"looks/{key[:2]}/{key}.safetensors"
    metadata = {"kind": "looks", "key": key, "model": model, "digest": digest_bytes(vectors_ND.tobytes())}
    data = to_bytes({"frames": torch.from_numpy(vectors_ND)}, metadata)
    digest = write_atomic(root / path, data)
    meta = json.dumps({"model": model, "shape": list(vectors_ND.shape)}, sort_keys=True)
    return {"key": key, "kind": "looks", "path": path, "digest": digest, "bytes": len(data), "meta": meta}


def read_embeddings(root: Path, path: str, digest: str) -> NDArray[np.float32]:
    """[N, D] of one file; Damaged when it is not the one that was written."""
    from safetensors.numpy import load_file

    from wanprep.stages.window import verify

    verify(root / path, digest)
    return load_file(root / path)["frames"]


def known_embeddings(path: Path) -> NDArray[np.float32] | None:
    """[N, D] of a file that no row tells of, by its own digest; None without it, or when it is damaged."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    from wanprep.tensors import metadata_of

    try:
        data = path.read_bytes()
        vectors = load(data)["frames"]
    except (FileNotFoundError, SafetensorError, KeyError):
        return None
    return vectors if metadata_of(data).get("digest") == digest_bytes(vectors.tobytes()) else None


def with_identity(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with `likeness` (cosine to the references, or to the set's middle) and `deviations`, where embedded."""
    import numpy as np
    import polars as pl

    from wanprep.signals.looks import deviations, likeness

    if not rows["embedding"].is_not_null().any():
        return rows
    blobs = rows["embedding"].to_list()
    own = likeness([np.frombuffer(blob, np.float16).astype(np.float32) if blob else None for blob in blobs])
    cosines = rows["likeness"].to_numpy()
    cosines = np.where(np.isnan(cosines), own, cosines)
    apart = deviations(cosines)
    known = {"likeness": np.where(np.isfinite(apart), cosines, np.nan), "deviations": apart}
    return rows.with_columns(pl.Series(name, np.round(values, 6)).fill_nan(None) for name, values in known.items())


class Appraiser:
    """Scores of embeddings: what the heads, the prompts and the reference pictures say. Missing as it finds them.

    wanted: filters that are on; a head that another filter would need may be absent.
    """

    def __init__(self, files: ClipFiles, config: LooksConfig, wanted: Sequence[str]) -> None:
        self.files, self.config = files, config
        self.aesthetic = self._head(config.aesthetic_head, AESTHETIC, "aesthetic" in wanted)
        if "aesthetic" in wanted and self.aesthetic is None:
            raise Missing("the filter aesthetic is on and there is no head for it on this machine", HEAD_HINT)
        self.nsfw = self._head(config.nsfw_head, NSFW, False)
        self.references = _references(config.references)
        self._texts: list[NDArray[np.float32]] = []
        self._middle: NDArray[np.float32] | None = None

    def _head(self, name: str, patterns: tuple[str, ...], needed: bool) -> Head | None:
        """A head that fits the model. One named, or needed, that does not is Missing."""
        from wanprep.models.heads import find_head, load_head

        path = find_head(name, patterns)
        if path is None:
            return None
        head, width = load_head(path), self.files.config["embed_dim"]
        if head.width == width:
            return head
        if needed or name != "auto":
            what = f"the head {path} takes {head.width} numbers, the model {self.files.name} gives {width}"
            raise Missing(what, "LAION's heads want OpenAI's ViT-L/14 (aesthetic) and LAION's ViT-H/14 (nsfw)")
        return None

    @property
    def identity(self) -> dict[str, Any]:
        """What scores depend on besides the embeddings: digests of heads and reference pictures."""
        heads = {name: digest_file(head.path) for name, head in (("a", self.aesthetic), ("n", self.nsfw)) if head}
        return {"heads": heads, "references": [digest_file(path) for path in self.references]}

    def scores(self, vectors_ND: NDArray[np.float32]) -> dict[str, float]:
        """aesthetic: mean of the pictures; nsfw: the worst picture, 0..1; likeness: cosine to the references."""
        from wanprep.signals import looks

        found: dict[str, float] = {}
        if self.aesthetic:
            found["aesthetic"] = float(self.aesthetic(vectors_ND).mean())
        if self.nsfw:
            found["nsfw"] = float(self.nsfw(vectors_ND).clip(0, 1).max())
        else:
            unsafe, safe = self._prompts()
            found["nsfw"] = float(looks.contrast(vectors_ND, unsafe, safe, self._clip().scale).max())
        if self.references:
            found["likeness"] = float(looks.mean_of(vectors_ND) @ self._reference())
        return {name: round(value, 6) for name, value in found.items()}

    def _clip(self) -> Clip:
        from wanprep.models.looks import load_clip

        return load_clip(self.files, self.config.precision, self.config.device)

    def _prompts(self) -> list[NDArray[np.float32]]:
        if not self._texts:
            self._texts = [self._clip().texts(texts) for texts in (self.config.nsfw_prompts, self.config.safe_prompts)]
        return self._texts

    def _reference(self) -> NDArray[np.float32]:
        import numpy as np
        from PIL import Image

        from wanprep.signals import looks

        if self._middle is None:
            clip = self._clip()
            pictures = [np.asarray(Image.open(path).convert("RGB")) for path in self.references]
            self._middle = looks.robust_centre(clip.images(clip.prepared(pictures)))
        return self._middle


HEAD_HINT = (
    "Download https://github.com/christophschuhmann/improved-aesthetic-predictor/raw/main/sac+logos+ava1-l14-"
    "linearMSE.pth into WANPREP_MODELS, or name it: --set filter.looks.aesthetic_head=FILE"
)


def _references(folder: str) -> list[Path]:
    if not folder:
        return []
    named = Path(folder).expanduser()
    found = sorted(p for p in named.glob("*") if p.suffix.lower() in PICTURES) if named.is_dir() else []
    if not found:
        raise Missing(f"{named} holds no pictures to compare clips with", "Name a folder of PNG or JPEG files")
    return found
