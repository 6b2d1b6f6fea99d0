"""A tiny CLIP with random weights in open_clip's own layout, and toy heads, for tests."""

import json
from pathlib import Path

import numpy as np

WIDTH = 32
CONFIG = {
    "embed_dim": WIDTH,
    "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "patch_size": 16, "head_width": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": WIDTH, "heads": 2, "layers": 2},
}
PREPROCESS = {
    "mean": [0.48145466, 0.4578275, 0.40821073],
    "std": [0.26862954, 0.26130258, 0.27577711],
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}


def build_clip(folder: Path, seed: int = 0, resize_mode: str = "shortest") -> Path:
    """open_clip_config.json and open_clip_model.safetensors, as `open_clip.push_to_hub` writes them."""
    import logging

    import open_clip
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    config = {"model_cfg": CONFIG, "preprocess_cfg": {**PREPROCESS, "resize_mode": resize_mode}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    torch.manual_seed(seed)
    logging.disable(logging.WARNING)
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    logging.disable(logging.NOTSET)
    tensors = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(tensors, folder / "open_clip_model.safetensors")
    return folder


def build_head(path: Path, width: int = WIDTH, seed: int = 0, shift: float = 5.0, relu: bool = False) -> Path:
    """Layers named as LAION's: layers.0, .2, .4 (aesthetic, dropout between) or .0, .3, .6 (relu and dropout)."""
    import torch
    from safetensors.torch import save_file

    made = torch.Generator().manual_seed(seed)
    step = 3 if relu else 2
    sizes = (width, 16, 8, 1)
    state = {}
    for k in range(3):
        state[f"layers.{k * step}.weight"] = torch.randn(sizes[k + 1], sizes[k], generator=made)
        state[f"layers.{k * step}.bias"] = torch.randn(sizes[k + 1], generator=made)
    state[f"layers.{2 * step}.bias"] += shift
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return path


def noise(number: int, width: int = 160, height: int = 90) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)
