"""The whole base model for sampling, from wherever its parts are: a diffusers folder, or single files of ComfyUI's.

A path stands for either: the folder, or each part by its label, `vae=…:text=…:transformer=…`, as `weights` takes it.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wanprep.families import Family
from wanprep.stage import UsageError


def whole_base(family: Family, override: Path | None) -> Path:
    """A path that holds every part of the base model. Missing, naming the part, where one is nowhere.

    override: as `find_weights` takes it.
    """
    from wanprep.models.check import parts_of, problems
    from wanprep.models.find import require_weights

    found = {part: require_weights(family, part, override=override) for part in parts_of(family)}
    folder = found["transformer"]
    if (folder / "model_index.json").is_file() and not any(problems(family, part, folder) for part in found):
        return folder
    for path in found.values():
        if os.pathsep in str(path):
            raise UsageError(f"{path} has a {os.pathsep!r} in its name, which stands between places; move or link it")
    return Path(os.pathsep.join(f"{part}={path}" for part, path in found.items()))


def base_ids(folders: Mapping[str, Path]) -> dict[str, str]:
    """Expert -> identity of its weights. folders: expert -> its diffusers folder or file.

    UsageError for two experts with the same weights: nothing later would tell, and one of the two LoRAs would be of the
    wrong one. Reads whole files, the first time.
    """
    from wanprep.models.identity import model_id
    from wantrain.experts import COMPONENTS

    ids = {name: model_id(folder, COMPONENTS[name]) for name, folder in folders.items()}
    for one, other in itertools.combinations(ids, 2):
        if ids[one] == ids[other]:
            raise UsageError(
                f"{one} and {other} have the same weights, to the byte ({folders[one]} and {folders[other]}); name the "
                f"file of each expert: weights = {one}=FILE{os.pathsep}{other}=FILE"
            )
    return ids


def base_parts(base: Path) -> dict[str, Path]:
    """Part -> its folder or file, of the parts that `whole_base` named one by one; empty for a folder with all."""
    if base.exists():
        return {}
    pairs = (text.partition("=") for text in str(base).split(os.pathsep))
    return {part: Path(path) for part, equals, path in pairs if equals}


def assemble(family: Family, base: Path, dtype: str) -> Any:
    """diffusers' pipeline of the family's task from single parts, VAE in fp32; scheduler and settings are ours."""
    from diffusers import UniPCMultistepScheduler, WanImageToVideoPipeline, WanPipeline

    from wanprep.models.load import load_clip, load_text, load_transformer, load_vae

    paths = base_parts(base)
    text = load_text(family, paths["text"], dtype)
    experts = {("transformer_2" if name == "low" else "transformer"): name for name in family.experts}
    parts: dict[str, Any] = {
        "tokenizer": text.tokenizer,
        "text_encoder": text.model,
        "vae": load_vae(family, paths["vae"], "fp32"),
        "scheduler": UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, num_train_timesteps=1000,
            flow_shift=family.flow_shift,
        ),
        "transformer_2": None,
        **{part: load_transformer(family, name, paths[part], dtype) for part, name in experts.items()},
    }  # fmt: skip
    kind: Any = WanPipeline
    if family.task == "i2v":
        kind = WanImageToVideoPipeline
        parts |= {"image_encoder": None, "image_processor": None}
    if family.clip_embeds:
        from transformers import CLIPImageProcessor

        parts |= {
            "image_encoder": load_clip(family, paths["clip"], "fp32"),
            "image_processor": CLIPImageProcessor(),
        }
    return kind(**parts, boundary_ratio=family.boundary, expand_timesteps=family.task == "ti2v")
