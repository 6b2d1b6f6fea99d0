"""What the measurements of the cache share: lines and JSON, clocks, made-up footage, VAEs of full size."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

FOUND: dict[str, Any] = {}


def say(name: str, **values: Any) -> None:
    FOUND[name] = values
    shown = (f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in values.items())
    print(f"{name:42} {'  '.join(shown)}", flush=True)


def seconds(call: Callable[[], Any], repeats: int = 5, warm: int = 2) -> float:
    """Median on the GPU's own clock; on this machine's where there is none."""
    import torch

    for _ in range(warm):
        call()
    times = []
    for _ in range(repeats):
        if not torch.cuda.is_available():
            began = time.perf_counter()
            call()
            times.append(time.perf_counter() - began)
            continue
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end) / 1000)
    return statistics.median(times)


def footage(width: int, height: int, frames: int, seed: int = 0) -> np.ndarray:
    """Drifting coloured blocks with noise."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 16 + frames, width // 16, 3), dtype=np.uint8)
    blocks = np.stack([coarse[i : i + height // 16] for i in range(frames)]).repeat(16, 1).repeat(16, 2)
    return (blocks // 2 + rng.integers(0, 64, blocks.shape, dtype=np.uint8)).astype(np.uint8)


def random_vae(device: str, five: bool = False, **other: Any) -> Any:
    """AutoencoderKLWan of full size (2.1's, or 2.2's of the 5B model) in fp32. other: what differs from that."""
    import torch
    from diffusers import AutoencoderKLWan

    large = {
        "base_dim": 160, "decoder_base_dim": 256, "z_dim": 48, "is_residual": True, "in_channels": 12,
        "out_channels": 12, "patch_size": 2, "scale_factor_spatial": 16, "latents_mean": [0.0] * 48,
        "latents_std": [1.0] * 48,
    }  # fmt: skip
    torch.manual_seed(0)
    with torch.device(device):
        vae = AutoencoderKLWan(**((large if five else {}) | other)).eval().requires_grad_(False)
    for module in vae.modules():
        if hasattr(module, "gamma"):
            module.gamma.data.uniform_(0.5, 1.5)
    return vae
