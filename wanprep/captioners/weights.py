"""Finding, checking and naming the weights of caption models that are already on this machine. Nothing is downloaded.

A model is named by a folder, a hub id (looked for in $WANPREP_MODELS and the Hugging Face cache) or "auto": the newest
kind, and of its sizes the largest whose weights fit into `memory_gb`. A machine without a GPU takes only what a CPU
can run in reasonable time.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wanprep.ids import key_of
from wanprep.models.check import weight_files, weight_problems
from wanprep.models.find import hub_cache, model_roots, snapshots
from wanprep.stage import Missing

GPU_NODES = ("/dev/nvidia0", "/dev/nvidiactl", "/dev/kfd", "/dev/dxg")  # CUDA, ROCm, WSL2
CPU_GB = 1.0  # weights that a machine without a GPU can be expected to run
_TOKENIZERS = ("tokenizer.json", "vocab.json", "tokenizer.model", "spiece.model")
_PROCESSORS = ("preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json")
_TEMPLATES = ("chat_template.jinja", "chat_template.json")
_VOLATILE = ("_name_or_path", "transformers_version", "torch_dtype", "dtype")


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What may serve a captioner. model_types: of config.json, () for any; example: a hub id for messages;
    looks: needs a processor of pictures (a text model has none)."""

    name: str
    model_types: tuple[str, ...]
    example: str
    looks: bool = True


KINDS = {
    kind.name: kind
    for kind in (  # best first: the order of "auto"
        Kind(name="qwen3-vl", model_types=("qwen3_vl", "qwen3_vl_moe"), example="Qwen/Qwen3-VL-8B-Instruct"),
        Kind(name="qwen2.5-vl", model_types=("qwen2_5_vl",), example="Qwen/Qwen2.5-VL-7B-Instruct"),
        Kind(name="qwen2-vl", model_types=("qwen2_vl",), example="Qwen/Qwen2-VL-7B-Instruct"),
        Kind(name="blip-2", model_types=("blip-2", "blip"), example="Salesforce/blip2-opt-2.7b"),
        Kind(name="image", model_types=(), example="fancyfeast/llama-joycaption-beta-one-hf-llava"),
        Kind(name="rewrite", model_types=(), example="Qwen/Qwen2.5-7B-Instruct", looks=False),
    )
}
VIDEO = ("qwen3-vl", "qwen2.5-vl", "qwen2-vl")


def problems(kind: Kind, folder: Path) -> list[str]:
    """Why `folder` cannot serve as `kind`, in sentences; empty when it can. Reads JSON and file headers only."""
    config, wrong = _config(folder)
    if config is None:
        return wrong
    found = config.get("model_type")
    if kind.model_types and found not in kind.model_types:
        other = next((k.name for k in KINDS.values() if found in k.model_types), None)
        hint = f"; that is captioner {other}" if other else ""
        wrong.append(f"its config.json says model_type {found!r}, {kind.name} needs {kind.model_types[0]!r}{hint}")
    wrong += weight_problems(folder)
    for names in (_TOKENIZERS, _PROCESSORS) if kind.looks else (_TOKENIZERS,):
        if not any((folder / name).is_file() for name in names):
            wrong.append(f"it has none of {', '.join(names)}")
    if kind.name in VIDEO and not _has_chat_template(folder):
        wrong.append(f"it has no chat template ({' or '.join(_TEMPLATES)}), without which nothing can be asked")
    return wrong


def _has_chat_template(folder: Path) -> bool:
    """Where the processors of transformers look for it; that of the tokenizer is not theirs."""
    if any((folder / name).is_file() for name in _TEMPLATES):
        return True
    try:
        return bool(json.loads((folder / "processor_config.json").read_text(encoding="utf-8"))["chat_template"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def find(kind: Kind, model: str, memory_gb: float) -> Path | None:
    """The folder of a model. `model` "auto": the largest that fits, or None when there is none.

    Missing, with what is wrong and the command that helps, for a model asked for by name and not usable.
    """
    if model == "auto":
        limit = (memory_gb if has_gpu() else min(memory_gb, CPU_GB)) * 1e9
        fit = [(size, folder) for size, folder in _good(kind) if size <= limit]
        return max(fit, key=lambda entry: (entry[0], str(entry[1])))[1] if fit else None
    folder = resolve(model)
    if folder is None:
        raise Missing(f"no model {model!r} on this machine for captioner {kind.name}", remedy(kind, model))
    wrong = problems(kind, folder)
    if wrong:
        raise Missing(f"{folder} cannot serve captioner {kind.name}: {'; '.join(wrong)}", remedy(kind, model))
    return folder


def require(kind: Kind, model: str, memory_gb: float) -> Path:
    """As `find`, but Missing where "auto" finds nothing."""
    folder = find(kind, model, memory_gb)
    if folder is not None:
        return folder
    seen = [f"{path}: {wrong[0]}" for path in _candidates(kind) if (wrong := problems(kind, path))]
    large = [f"{path}: {size / 1e9:.1f} GB" for size, path in _good(kind)]
    limit = f"weights up to {memory_gb:g} GB" if has_gpu() else f"no GPU, so weights up to {CPU_GB:g} GB"
    looked = f" (looked at {'; '.join((seen + large)[:3])}; {limit})" if seen or large else ""
    raise Missing(f"no weights for captioner {kind.name} on this machine{looked}", remedy(kind, "auto"))


def remedy(kind: Kind, model: str) -> str:
    """What the user can type; we download nothing."""
    hub_id = model if model.count("/") == 1 and not model.startswith((".", "/", "~")) else kind.example
    where = "caption.rewrite.model" if kind.name == "rewrite" else "caption.vlm.model"
    return f"Download with: hf download {hub_id}; or name a folder: --set {where}=FOLDER, or put it into WANPREP_MODELS"


def resolve(model: str) -> Path | None:
    """A folder as written, below $WANPREP_MODELS (whole id or its last part), or in the Hugging Face cache."""
    named = Path(model).expanduser()
    below = [root / name for root in model_roots() for name in (model, model.rpartition("/")[2])]
    there = (folder for folder in (named, *below, *snapshots(model)) if (folder / "config.json").is_file())
    found = next(there, None)
    return found if found is not None else named if named.is_dir() else None


def serves(model: str) -> str | None:
    """Which video captioner a named model can serve; None for none."""
    folder = resolve(model)
    return next((name for name in VIDEO if folder and not problems(KINDS[name], folder)), None)


def has_gpu() -> bool:
    """Whether this machine shows a GPU; a glance at device files, because importing torch takes seconds."""
    return any(Path(node).exists() for node in GPU_NODES)


@functools.lru_cache(maxsize=16)
def identity(folder: Path) -> str:
    """Identity of a model's weights, configuration, tokenizer and processor; digests of large files are remembered."""
    from wanprep.models.identity import remembered_digest

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    small = [folder / name for name in (*_TOKENIZERS, *_PROCESSORS, *_TEMPLATES)]
    files = [*weight_files(folder), *(path for path in small if path.is_file())]
    kept = {name: value for name, value in config.items() if name not in _VOLATILE}
    return key_of(config=kept, files={path.name: remembered_digest(path) for path in files})


def label(folder: Path) -> str:
    """A name for people: the hub id of a downloaded model, else the folder's name."""
    repository = folder.parent.parent.name
    if folder.parent.name == "snapshots" and repository.startswith("models--"):
        return repository.removeprefix("models--").replace("--", "/", 1)
    return folder.name


def _config(folder: Path) -> tuple[dict[str, Any] | None, list[str]]:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return None, [f"{folder / 'config.json'} cannot be read: {error}"]
    return (config, []) if isinstance(config, dict) else (None, [f"{folder / 'config.json'} is no table"])


def _good(kind: Kind) -> Iterator[tuple[int, Path]]:
    """(bytes of weights, folder) of everything on this machine that can serve."""
    for folder in _candidates(kind):
        if not problems(kind, folder):
            yield sum(path.stat().st_size for path in weight_files(folder)), folder


def _candidates(kind: Kind) -> Iterator[Path]:
    """Folders whose config.json says one of the kind's model types."""
    for root in model_roots():
        for folder in sorted((root, *root.glob("*"), *root.glob("*/*"))):
            if _is(kind, folder):
                yield folder
    for repository in sorted(hub_cache().glob("models--*--*")):
        hub_id = repository.name.removeprefix("models--").replace("--", "/", 1)
        yield from (folder for folder in snapshots(hub_id) if _is(kind, folder))


def _is(kind: Kind, folder: Path) -> bool:
    config, _ = _config(folder)
    return config is not None and config.get("model_type") in kind.model_types
