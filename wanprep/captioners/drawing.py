"""Words drawn so that each answer depends on its own seed alone, not on who else is in the batch.

transformers draws a whole batch from one global generator. Here every row has a generator of its own: with Gumbel
noise g, argmax(logits / T + g) is a draw from softmax(logits / T) (Gumbel 1954; Maddison et al. 2014), so greedy
decoding of the noisy scores samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from wanprep.captioners.base import Sampling
from wanprep.captioners.loading import quiet
from wanprep.ids import key_of

if TYPE_CHECKING:
    import torch


def seed_of(seed: int, name: str) -> int:
    """A seed of its own for each clip: 63 bits of a digest of both."""
    return int(key_of(seed=seed, name=name)[:16], 16) >> 1


class Draw:
    """A logits processor: [B, V] scores -> the same with noise, ready for greedy decoding. seeds: one a row."""

    def __init__(self, temperature: float, top_p: float, seeds: Sequence[int]) -> None:
        import torch

        if temperature <= 0:
            raise ValueError(f"temperature must be above 0 to draw words, got {temperature}")
        self.temperature, self.top_p = temperature, top_p
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        import torch

        scores = nucleus(scores.float() / self.temperature, self.top_p)
        width = scores.shape[-1]
        uniform = torch.stack([torch.rand(width, generator=generator) for generator in self.generators])
        tiny = torch.finfo(torch.float32).tiny
        noise = -torch.log(-torch.log(uniform.clamp(tiny, 1 - 2**-24)))  # on the CPU: the same on every device
        return scores + noise.to(scores.device)


def nucleus(scores: torch.Tensor, top_p: float) -> torch.Tensor:
    """[B, V] scores with -inf for all words outside the smallest set of probability `top_p` (Holtzman et al. 2019)."""
    import torch

    if top_p >= 1:
        return scores
    ordered, places = scores.sort(dim=-1, descending=True)
    share = ordered.softmax(-1)
    outside = share.cumsum(-1) - share >= top_p  # the word that crosses the border stays
    return scores.masked_fill(torch.zeros_like(outside).scatter(-1, places, outside), float("-inf"))


def generate(loaded: Any, inputs: Any, sampling: Sampling, seeds: Sequence[int]) -> list[tuple[str, bool, int]]:
    """Answers to a batch of inputs: (text, ended by itself, tokens).

    Every setting is ours: a model's generation_config.json may ask for sampling, a repetition penalty and the like,
    which differ between models and bend captions; only its special tokens are taken over.
    """
    import torch
    from transformers import GenerationConfig, LogitsProcessorList

    theirs = loaded.model.generation_config
    names = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id", "suppress_tokens")
    kept = {name: getattr(theirs, name, None) for name in names}
    ends = kept["eos_token_id"] if kept["eos_token_id"] is not None else loaded.tokenizer.eos_token_id
    ends = set(ends if isinstance(ends, list) else [ends])
    pad = kept["pad_token_id"]
    kept |= {"eos_token_id": sorted(ends), "pad_token_id": pad if pad is not None else min(ends)}
    settings = GenerationConfig(do_sample=False, max_new_tokens=sampling.max_new_tokens, **kept)
    noise = [Draw(sampling.temperature, sampling.top_p, seeds)] if sampling.temperature > 0 else []
    with torch.inference_mode(), quiet():
        out = loaded.model.generate(**inputs, generation_config=settings, logits_processor=LogitsProcessorList(noise))
    asked = 0 if loaded.model.config.is_encoder_decoder or "input_ids" not in inputs else inputs["input_ids"].shape[1]
    words = loaded.model.config.get_text_config()
    special = {*loaded.tokenizer.all_special_ids, getattr(words, "bos_token_id", None)}
    answers = []
    for row in out[:, asked:].tolist():
        # A model that was given no text may put its own start (and placeholders of the picture) before the answer.
        start = 0 if asked else next((i for i, token in enumerate(row) if token not in special), len(row))
        end = next((i for i in range(start, len(row)) if row[i] in ends), None)
        tokens = row[start:end]
        text = loaded.tokenizer.decode(tokens, skip_special_tokens=True)
        answers.append((text, end is not None, len(tokens)))
    return answers
