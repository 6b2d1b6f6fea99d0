"""Image-text models (CLIP and its kin) through open_clip: found on this machine, identified, loaded strictly.

Nothing is ever downloaded: open_clip fetches weights for a name by itself, so it is only ever given folders and files.
Pictures go through open_clip's own transform; what comes out is normalised, so a dot product is a cosine.

Legend: N pictures or texts, H height, W width (RGB last), D numbers of an embedding.
"""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wanprep.ids import key_of
from wanprep.models.find import hub_cache, model_roots, snapshots
from wanprep.stage import Missing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CONFIG = "open_clip_config.json"
WEIGHTS = (  # the first that is there; the safetensors file of each name before the pickled one (read weights_only)
    *("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "open_clip_pytorch_model.bin"),
    *("model.safetensors", "pytorch_model.bin"),
)
EXAMPLE = "timm/vit_large_patch14_clip_224.openai"  # OpenAI's ViT-L/14: what LAION's heads were made on
PRECISIONS = ("fp32", "bf16", "fp16")


@dataclass(frozen=True, kw_only=True)
class ClipFiles:
    """A model on disk. name: for people, and of a built-in architecture when folder is None. weights: its file."""

    name: str
    folder: Path | None
    weights: Path

    @functools.cached_property
    def _told(self) -> dict[str, Any]:
        if self.folder is not None:
            return json.loads((self.folder / CONFIG).read_text(encoding="utf-8"))
        import open_clip

        return {"model_cfg": open_clip.get_model_config(self.name)}

    @property
    def config(self) -> dict[str, Any]:
        """The architecture: embed_dim, vision_cfg, text_cfg, ..."""
        return self._told["model_cfg"]

    @functools.cached_property
    def identity(self) -> str:
        """Of the architecture, how pictures are prepared, and the bytes of the weights; not of where they lie."""
        from wanprep.models.identity import remembered_digest

        prepared = self._told.get("preprocess_cfg")
        return key_of(config=self.config, prepared=prepared, weights=remembered_digest(self.weights))


def find_clip(model: str = "auto", weights: str = "") -> ClipFiles | None:
    """The files of a model; None when "auto" finds none.

    model: "auto" (WANPREP_MODELS, then the Hugging Face cache; with 768 numbers, as LAION's heads want, before others),
    a folder in open_clip's layout, a hub id that has been downloaded, or open_clip's name of an architecture with
    `weights`, its file. Missing, saying what is wrong, for one asked for by name.
    """
    if weights:
        return _built_in(model, Path(weights).expanduser())
    if model == "auto":
        good = [folder for folder in _candidates() if not problems(folder)]
        found = [ClipFiles(name=_label(folder), folder=folder, weights=_weights(folder)) for folder in good]
        found.sort(key=lambda files: (files.config["embed_dim"] != 768, -files.weights.stat().st_size))
        return found[0] if found else None
    folder = _resolve(model)
    if folder is None:
        raise Missing(f"no image-text model {model!r} on this machine", remedy(model))
    wrong = problems(folder)
    if wrong:
        raise Missing(f"{folder} cannot serve as image-text model: {'; '.join(wrong)}", remedy(model))
    return ClipFiles(name=_label(folder), folder=folder, weights=_weights(folder))


def require_clip(model: str = "auto", weights: str = "") -> ClipFiles:
    """As `find_clip`, but Missing where "auto" finds nothing."""
    found = find_clip(model, weights)
    if found is None:
        seen = [f"{folder}: {wrong[0]}" for folder in _candidates() if (wrong := problems(folder))]
        looked = f" (looked at {'; '.join(seen[:3])})" if seen else ""
        raise Missing(f"no image-text model (open_clip) on this machine{looked}", remedy("auto"))
    return found


def remedy(model: str) -> str:
    """What the user can type; we download nothing."""
    hub_id = model if model.count("/") == 1 and not model.startswith((".", "/", "~")) else EXAMPLE
    return f"Download with: hf download {hub_id}; or name a folder: --set filter.looks.model=FOLDER"


def problems(folder: Path) -> list[str]:
    """Why a folder cannot serve, in sentences; empty when it can. Reads its configuration only."""
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))["model_cfg"]
        text, _, _ = config["text_cfg"], config["vision_cfg"], config["embed_dim"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [f"its {CONFIG} is not open_clip's ({type(error).__name__}: {error})"]
    wrong = []
    if text.get("hf_model_name"):
        wrong.append(f"its text model {text['hf_model_name']} would be fetched from the hub; take one without")
    if text.get("hf_tokenizer_name") and not any((folder / n).is_file() for n in ("tokenizer.json", "vocab.json")):
        wrong.append("its tokenizer.json is not there")
    if not any((folder / name).is_file() for name in WEIGHTS):
        wrong.append(f"it has none of {', '.join(WEIGHTS)}")
    return wrong


class Clip:
    """A loaded model. Missing, naming the file, when its tensors are not those of its configuration."""

    def __init__(self, files: ClipFiles, precision: str = "fp32", device: str = "cpu") -> None:
        import open_clip
        from open_clip.transform import PreprocessCfg, image_transform_v2

        self.files, self.device = files, device
        name = files.name if files.folder is None else f"local-dir:{files.folder}"
        try:
            with _quiet():
                self.model: Any = open_clip.create_model(
                    name, precision=precision, device=device, load_weights=False, pretrained_text=False
                )
                open_clip.load_checkpoint(self.model, str(files.weights), strict=True, weights_only=True)
                self.tokenizer: Any = open_clip.get_tokenizer(name)
        except Exception as error:  # open_clip, torch and safetensors each have their own for a file that does not fit
            if "out of memory" in str(error).lower() or isinstance(error, MemoryError):
                raise
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise Missing(f"{files.weights} cannot be loaded as {files.name}: {first}", remedy("auto")) from error
        self.model.eval().requires_grad_(False)
        settings = PreprocessCfg(**open_clip.get_model_preprocess_cfg(self.model))
        self.transform: Any = image_transform_v2(settings, is_train=False)

    @property
    def scale(self) -> float:
        """What the model multiplies a cosine with before it compares texts."""
        return float(self.model.logit_scale.exp())

    def prepared(self, frames: Sequence[NDArray[np.uint8]]) -> Any:
        """Pictures [H, W, 3] of any sizes as the model wants them: float32 [N, 3, h, w], by open_clip's transform."""
        import torch
        from PIL import Image

        return torch.stack([self.transform(Image.fromarray(frame)) for frame in frames])

    def images(self, prepared: Any) -> NDArray[np.float32]:
        """Embeddings [N, D] of what `prepared` gave, of length 1."""
        import torch

        with torch.inference_mode():
            inputs = prepared.to(self.device, dtype=next(self.model.visual.parameters()).dtype)
            return _unit(self.model.encode_image(inputs))

    def texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeddings [N, D] of texts, of length 1. What is longer than the model reads (77 tokens, mostly) is cut."""
        import torch

        with torch.inference_mode():
            return _unit(self.model.encode_text(self.tokenizer(list(texts)).to(self.device)))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without open_clip's warnings that a model has random weights: it gets the right ones a moment later, or none."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _unit(made: Any) -> NDArray[np.float32]:
    vectors = made.float()
    return (vectors / vectors.norm(dim=-1, keepdim=True).clamp_min(1e-12)).cpu().numpy()


_held: dict[tuple[str, str, str], Clip] = {}


def load_clip(files: ClipFiles, precision: str = "fp32", device: str = "auto") -> Clip:
    """The model; kept until another is asked for or `release`."""
    from wanprep.models.load import pick_device

    key = (files.identity, precision, pick_device(device))
    if key not in _held:
        release()
        _held[key] = Clip(files, precision, key[2])
    return _held[key]


def release() -> None:
    """Let go of the model: other models want the memory next."""
    from wanprep.models.load import let_go

    let_go(_held)


def _built_in(model: str, weights: Path) -> ClipFiles:
    import open_clip

    if model not in open_clip.list_models():
        raise Missing(
            f"open_clip has no architecture {model!r} for {weights}", 'Names: "ViT-L-14-quickgelu", "ViT-B-32"'
        )
    if "siglip" in model.lower() or open_clip.get_model_config(model)["text_cfg"].get("hf_model_name"):
        raise Missing(f"{model} needs more files than its weights", f"Name a folder with {CONFIG} instead")
    if not weights.is_file():
        raise Missing(f"{weights} is not there", remedy("auto"))
    return ClipFiles(name=model, folder=None, weights=weights)


def _weights(folder: Path) -> Path:
    return next(folder / name for name in WEIGHTS if (folder / name).is_file())


def _resolve(model: str) -> Path | None:
    named = Path(model).expanduser()
    below = [root / name for root in model_roots() for name in (model, model.rpartition("/")[2])]
    return next((folder for folder in (named, *below, *snapshots(model)) if (folder / CONFIG).is_file()), None)


def _candidates() -> Iterator[Path]:
    for root in model_roots():
        yield from (folder for folder in sorted((root, *root.glob("*"), *root.glob("*/*"))) if _is(folder))
    for repository in sorted(hub_cache().glob("models--*--*")):
        hub_id = repository.name.removeprefix("models--").replace("--", "/", 1)
        yield from (folder for folder in snapshots(hub_id) if _is(folder))


def _is(folder: Path) -> bool:
    return (folder / CONFIG).is_file()


def _label(folder: Path) -> str:
    repository = folder.parent.parent.name
    if folder.parent.name == "snapshots" and repository.startswith("models--"):
        return repository.removeprefix("models--").replace("--", "/", 1)
    return folder.name
