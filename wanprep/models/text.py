"""Captions to UMT5 embeddings, computed as diffusers' WanPipeline computes them at inference.

The encoder sees 512 padded tokens with an attention mask; what is stored is the true tokens only, and zeros are put
back for the transformer, which takes no mask: exactly the tensor the pipeline makes.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wanprep.patterns import plainly_clean

if TYPE_CHECKING:
    import torch

BATCH = 16  # texts a call on a GPU, and
STEP = 64  # tokens their length is rounded up to: fastest of those measured on an H100 (docs/measured/caches.md)


def clean(text: str) -> str:
    """diffusers' `prompt_clean`: ftfy, HTML entities twice, strip, white space to single spaces.

    diffusers leaves ftfy out silently where it is not installed; here it is required, so that a text means one thing.
    """
    if (plain := plainly_clean(text)) is not None:
        return plain
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

    def batches(self, texts: Sequence[str]) -> list[list[str]]:
        """Texts that `encode_many` may be given together: of like length, BATCH at most; one each on the CPU."""
        if self.model.device.type == "cpu":
            return [[text] for text in texts]
        groups: dict[int, list[str]] = {}
        for text in texts:
            groups.setdefault(self._width(text), []).append(text)
        return [
            group[start : start + BATCH] for _, group in sorted(groups.items()) for start in range(0, len(group), BATCH)
        ]

    def encode_many(self, texts: Sequence[str]) -> list[torch.Tensor]:
        """As `encode` of each, but on a GPU in one go: [n, dim] each.

        The computation has a fixed shape for texts of like length (BATCH rows, filled up with the empty text, padded to
        a multiple of STEP tokens instead of 512): a text's embedding does not depend on who stands beside it.
        """
        import torch

        if self.model.device.type == "cpu":
            return [self.encode(text) for text in texts]
        if len(texts) > BATCH:
            raise ValueError(f"{len(texts)} texts at once; {BATCH} at most")
        width = max(self._width(text) for text in texts)
        filled = [clean(text) for text in texts] + [""] * (BATCH - len(texts))
        tokens = self.tokenizer(
            filled, padding="max_length", max_length=width, truncation=True, add_special_tokens=True,
            return_attention_mask=True, return_tensors="pt",
        )  # fmt: skip
        lengths = tokens.attention_mask.gt(0).sum(1).tolist()
        device = self.model.device
        with torch.no_grad():
            states = self.model(tokens.input_ids.to(device), tokens.attention_mask.to(device)).last_hidden_state
        return [states[row, : lengths[row]].clone() for row in range(len(texts))]

    def _width(self, text: str) -> int:
        return min(self.length, -(-self.count(text) // STEP) * STEP)

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
