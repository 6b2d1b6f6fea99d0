"""Captions to UMT5 embeddings, computed as diffusers' WanPipeline computes them at inference.

The encoder sees 512 padded tokens with an attention mask; what is stored is the true tokens only, and zeros are put
back for the transformer, which takes no mask: exactly the tensor the pipeline makes.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def clean(text: str) -> str:
    """diffusers' `prompt_clean`: ftfy, HTML entities twice, strip, white space to single spaces.

    diffusers leaves ftfy out silently where it is not installed; here it is required, so that a text means one thing.
    """
    import ftfy
    import regex

    fixed = html.unescape(html.unescape(ftfy.fix_text(text))).strip()
    return regex.sub(r"\s+", " ", fixed).strip()


def pad(text_ND: torch.Tensor, length: int = 512) -> torch.Tensor:
    """[n, dim] -> [length, dim] with zero rows after the true ones; ValueError when n is 0 or too large."""
    import torch

    n, dim = text_ND.shape
    if not 1 <= n <= length:
        raise ValueError(f"a text embedding has 1 to {length} tokens, not {n}")
    return torch.cat([text_ND, text_ND.new_zeros(length - n, dim)])


@dataclass(frozen=True, kw_only=True)
class TextEncoder:
    """UMT5 with its tokenizer. length: tokens the transformer sees; longer texts are cut there."""

    tokenizer: Any
    model: Any
    length: int = 512

    def count(self, text: str) -> int:
        """Tokens of the cleaned text with the end token, uncut: above `length` the encoder sees only its start."""
        return len(self.tokenizer(clean(text), add_special_tokens=True, truncation=False, verbose=False).input_ids)

    def encode(self, text: str) -> torch.Tensor:
        """One text -> [n, dim], true tokens only (n >= 1: the empty text is its end token), in the model's dtype.

        Padded to `length` inside, because that is the computation inference makes; on the model's device.
        """
        import torch

        tokens = self.tokenizer(
            [clean(text)], padding="max_length", max_length=self.length, truncation=True, add_special_tokens=True,
            return_attention_mask=True, return_tensors="pt",
        )  # fmt: skip
        mask = tokens.attention_mask.to(self.model.device)
        with torch.no_grad():
            states = self.model(tokens.input_ids.to(self.model.device), mask).last_hidden_state
        return states[0, : int(mask[0].gt(0).sum())].clone()
