"""Does a folder hold the weights a family needs? Answered from JSON and file headers alone, without torch.

A wrong folder must be refused before gigabytes are read, and by name: the VAE of the 5B model encodes happily for the
14B one and the result is noise; a download that stopped midway loads as random weights with a warning.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wanprep.families import Family
from wanprep.models.tensorfile import read_header

# part -> subfolder of a diffusers pipeline folder
PARTS = {
    "vae": "vae",
    "text": "text_encoder",
    "clip": "image_encoder",
    "transformer": "transformer",
    "transformer_2": "transformer_2",
}

# (heads, head_dim, layers) as in the config.json files of the Wan-AI/*-Diffusers repositories.
_SIZES = {"wan2.1-t2v-1.3b": (12, 128, 30), "wan2.2-ti2v-5b": (24, 128, 30), "tiny": (4, 24, 2)}
_SIZE_14B = (40, 128, 40)


def part_of(expert: str) -> str:
    """The part that is an expert's transformer: diffusers calls the low-noise one `transformer_2`."""
    return "transformer_2" if expert == "low" else "transformer"


def parts_of(family: Family) -> tuple[str, ...]:
    """Every part a family consists of: vae, text, clip where it sees images by it, and one transformer an expert."""
    clip = ("clip",) if family.clip_embeds else ()
    return ("vae", "text", *clip, *(part_of(expert) for expert in family.experts))


def part_folder(folder: Path, part: str) -> Path:
    """The subfolder of a pipeline folder that holds `part`; `folder` itself where it is that subfolder."""
    inner = folder / PARTS[part]
    return folder if not inner.is_dir() and (folder / "config.json").is_file() else inner


def problems(family: Family, part: str, folder: Path) -> list[str]:
    """Why `folder` cannot serve as `part` of `family`, in sentences; empty when it can. A single file will do, too.

    Reads config.json, model_index.json where there is one, the shard index and the safetensors headers.
    """
    if folder.is_file():
        from wanprep.models.single import problems as problems_of_file

        return problems_of_file(family, part, folder)
    inner = part_folder(folder, part)
    if not inner.is_dir():
        return [f"{inner} is not there"]
    try:
        config = json.loads((inner / "config.json").read_text())
    except (OSError, ValueError) as error:
        return [f"{inner / 'config.json'} cannot be read: {error}"]
    return [
        *config_problems(family, part, config),
        *_index_problems(family, part, inner.parent / "model_index.json"),
        *weight_problems(inner),
        *(_tokenizer_problems(inner) if part == "text" else []),
    ]


def config_problems(family: Family, part: str, config: Mapping[str, Any]) -> list[str]:
    """Where a part's config.json contradicts the family table. Absent values count as the classes' defaults."""
    wrong = []
    for name, (wanted, default) in _expected(family, part).items():
        found = config.get(name, default)
        if found != wanted and not (isinstance(wanted, bool) and bool(found) == wanted):
            wrong.append(f"{name} is {found!r}, {family.name} has {wanted!r}")
    return wrong


def _expected(family: Family, part: str) -> dict[str, tuple[Any, Any]]:
    """name in config.json -> (what the family needs, the class's default)."""
    if part == "vae":
        return {
            "_class_name": ("AutoencoderKLWan", None),
            "z_dim": (family.z, 16),
            "scale_factor_spatial": (family.spatial_stride, 8),
            "scale_factor_temporal": (family.temporal_stride, 4),
        }
    if part == "text":
        return {"model_type": ("umt5", None), "d_model": (family.text_dim, 512)}
    if part == "clip":
        return {"model_type": ("clip_vision_model", None), "hidden_size": (1280, 768), "num_hidden_layers": (32, 12)}
    heads, head_dim, layers = _SIZES.get(family.name, _SIZE_14B)
    patch = family.grid // family.spatial_stride
    channels = 2 * family.z + 4 if family.task == "i2v" else family.z  # noisy latent, 4 mask, first-frame latent
    return {
        "_class_name": ("WanTransformer3DModel", None),
        "in_channels": (channels, 16),
        "out_channels": (family.z, 16),
        "patch_size": ([1, patch, patch], [1, 2, 2]),
        "num_attention_heads": (heads, 40),
        "attention_head_dim": (head_dim, 128),
        "num_layers": (layers, 40),
        "text_dim": (family.text_dim, 4096),
        "image_dim": (family.clip_embeds, None),  # a number or None: only whether there is one matters
    }


def _index_problems(family: Family, part: str, index: Path) -> list[str]:
    """Wan 2.1 14B and the experts of Wan 2.2 A14B have equal configurations: the pipeline's index tells them apart."""
    if not part.startswith("transformer") or not index.is_file():
        return []
    try:
        stated = json.loads(index.read_text()).get("boundary_ratio")
    except ValueError as error:
        return [f"{index} cannot be read: {error}"]
    return [] if stated == family.boundary else [f"boundary_ratio is {stated}, {family.name} has {family.boundary}"]


def weight_files(inner: Path) -> list[Path]:
    """The safetensors files the libraries would load from one part's folder, sorted, whether they exist or not.

    Empty when there are none. diffusers prefers an index to a single file, transformers the reverse; variants such as
    `model.fp16.safetensors` are never loaded unasked.
    """
    index, single = _index_file(inner), _single_file(inner)
    if single.is_file() and (single.name == "model.safetensors" or not index.is_file()):
        return [single]
    if not index.is_file():
        return []
    return [inner / name for name in sorted(set(json.loads(index.read_text())["weight_map"].values()))]


def _single_file(inner: Path) -> Path:
    ours = inner / "diffusion_pytorch_model.safetensors"
    return ours if ours.is_file() else inner / "model.safetensors"


def _index_file(inner: Path) -> Path:
    ours = inner / "diffusion_pytorch_model.safetensors.index.json"
    return ours if ours.is_file() else inner / "model.safetensors.index.json"


def weight_problems(inner: Path) -> list[str]:
    """Why the safetensors files of a model folder are not all there in full, in sentences; empty when they are."""
    try:
        files = weight_files(inner)
    except (ValueError, KeyError, AttributeError) as error:
        return [f"{_index_file(inner)} cannot be read: {error!r}"]
    if not files:
        return [f"{inner} has no diffusion_pytorch_model.safetensors or model.safetensors, nor an index of shards"]
    held: set[str] = set()
    wrong = []
    for path in files:
        try:
            held |= tensor_names(path)
        except FileNotFoundError:
            wrong.append(f"{path} is not there")
        except (OSError, ValueError) as error:
            wrong.append(f"{path} {error}")
    if wrong or files == [_single_file(inner)]:
        return wrong
    lacking = sorted(json.loads(_index_file(inner).read_text())["weight_map"].keys() - held)
    return [f"{_index_file(inner)} lists {len(lacking)} tensors no shard holds: {lacking[0]}, …"] if lacking else []


def tensor_names(path: Path) -> set[str]:
    """Names in a safetensors header; ValueError when the file is not exactly as long as its header says."""
    return set(read_header(path).entries)


def tokenizer_folder(inner: Path) -> Path:
    """The tokenizer of a text encoder folder: beside it in a pipeline, or in the same folder."""
    beside = inner.parent / "tokenizer"
    return beside if beside.is_dir() else inner


def _tokenizer_problems(inner: Path) -> list[str]:
    folder = tokenizer_folder(inner)
    for name in ("tokenizer.json", "spiece.model"):
        path = folder / name
        if path.is_file() and path.stat().st_size:
            return []
    return [f"{folder} has neither tokenizer.json nor spiece.model"]
