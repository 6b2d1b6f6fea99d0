"""What an encoder made cannot be what it ought to make: its weights are named instead of the clips and the training.

A file that a download laid out but never filled has the right header, size and shapes, and is all zeros. A damaged one
may hold numbers that are none. Neither is seen before something was computed with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from wanprep.stage import Missing

if TYPE_CHECKING:
    import torch

    from wanprep.stages.cache import Encoder

MADE_BY = {"latent": "vae", "condition": "vae", "text": "text", "image": "clip"}


def refuse_dead(encoder: Encoder, tensors: Mapping[str, torch.Tensor]) -> None:
    """RuntimeError where a tensor has values that are not finite, Missing where it says the same everywhere.

    tensors: latent and condition [z, T, h, w], text [tokens, dim], image [tokens, dim], by name.
    """
    for name, tensor in tensors.items():
        part = MADE_BY[name]
        # The folder of all parts or of this one; a single file is named as such.
        where = f"the {part} encoder of {getattr(encoder, 'image_folder' if part == 'clip' else f'{part}_folder')}"
        again = f"Put its files away and get them again: wanprep fetch {encoder.family.name} --part {part}"
        if not tensor.isfinite().all():
            raise RuntimeError(f"{where} gave values that are not finite: its weights are damaged. {again}")
        if _flat(name, tensor):
            raise Missing(
                f"{where} says the same of everything: its file has the right size and shapes, but no weights in it, "
                "as when a download did not end",
                again,
            )


def _flat(name: str, tensor: torch.Tensor) -> bool:
    """Whether all tokens of a text are one number, or all places of a latent alike.

    Not even a black clip gives that: convolutions see where the picture ends.
    """
    if name == "text":
        return bool((tensor == tensor[0, 0]).all())
    if name == "latent" and tensor[0].numel() > 1:
        return bool((tensor == tensor[:, :1, :1, :1]).all())
    return False
