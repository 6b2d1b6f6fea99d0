"""Captions to embeddings: the same text and the same tensor as at inference."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wanprep.families import FAMILIES
from wanprep.models.load import load_text
from wanprep.models.text import TextEncoder, clean, pad
from wanprep.models.tiny import tiny_folder

TINY = FAMILIES["tiny"]
TEXTS = ["", "a red car", "A &amp;amp; B  \n walk\tslowly ", "frung, young woman: (1.2)", "的 é ✓", "word " * 700]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("text"))


@pytest.fixture(scope="module")
def encoder(folder: Path) -> TextEncoder:
    return load_text(TINY, folder, "fp32")


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
@example("&amp;lt;b&gt;  ")
@example("\x1c\x85\u2028 a\u3000b\u200b\ufeff")
@example("schÃ¶n “quoted” ﬁne")
def test_cleaning_is_diffusers_cleaning(text: str) -> None:
    from diffusers.pipelines.wan.pipeline_wan import prompt_clean

    assert clean(text) == prompt_clean(text)


def test_cleaning_does_something() -> None:
    assert clean("  A &amp;amp; B\n\n walk \t") == "A & B walk"
    assert clean("schÃ¶n") == "schön"  # ftfy


def test_embeddings_are_the_pipelines_bit_for_bit(folder: Path, encoder: TextEncoder) -> None:
    from diffusers import WanPipeline

    pipe = WanPipeline.from_pretrained(folder, transformer=None, transformer_2=None, local_files_only=True)
    for text in TEXTS:
        with torch.no_grad():
            expected, _ = pipe.encode_prompt(text, do_classifier_free_guidance=False, max_sequence_length=512)
        assert torch.equal(pad(encoder.encode(text), 512), expected[0])


def test_true_tokens_only(encoder: TextEncoder) -> None:
    assert encoder.encode("").shape == (1, 32)  # the end token
    assert encoder.encode("a woman walking").shape == (encoder.count("a woman walking"), 32)
    assert encoder.encode("word " * 700).shape == (512, 32)
    assert encoder.count("word " * 700) > 512  # the count is not cut
    assert not torch.equal(encoder.encode("red"), encoder.encode("blue"))


def test_padding_is_exact_and_bounded() -> None:
    text = torch.ones(3, 4)
    padded = pad(text, 5)
    assert padded.shape == (5, 4)
    assert torch.equal(padded[:3], text)
    assert not padded[3:].any()
    for n in (0, 6):
        with pytest.raises(ValueError, match="1 to 5 tokens"):
            pad(torch.ones(n, 4), 5)
