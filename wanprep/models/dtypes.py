"""Names of dtypes as settings say them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}


def torch_dtype(name: str) -> torch.dtype:
    """torch's dtype for "fp32", "bf16" or "fp16"; ValueError otherwise."""
    import torch

    if name not in DTYPES:
        raise ValueError(f"dtype {name!r} is unknown; use one of {', '.join(DTYPES)}")
    return getattr(torch, DTYPES[name])
