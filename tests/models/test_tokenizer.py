"""A tokenizer out of a SentencePiece model's bytes says what the folder's says."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import singlefiles as files
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer

from wanprep.models.tiny import tiny_folder
from wanprep.models.tokenizer import from_sentencepiece, load_tokenizer, parse, tokenizer_digest

TEXTS = ("", "A woman walks through a forest.", "two  spaces, 123 & ümläut 漢字", "<extra_id_0> </s> x")


@pytest.fixture(scope="module")
def vocabulary() -> list[tuple[str, float]]:
    path = tiny_folder() / "tokenizer" / "tokenizer.json"
    return [(text, score) for text, score in json.loads(path.read_text())["model"]["vocab"]]


def test_the_same_tokens_as_the_folders_tokenizer(vocabulary: list[tuple[str, float]], tmp_path: Path) -> None:
    folder = AutoTokenizer.from_pretrained(tiny_folder() / "tokenizer")
    (tmp_path / "spiece.model").write_bytes(files.spiece(vocabulary))
    for own in (
        from_sentencepiece(files.spiece(vocabulary)),
        load_tokenizer(tmp_path),
        load_tokenizer(tiny_folder() / "tokenizer"),
    ):
        assert len(own) == len(folder)
        for text in TEXTS:
            assert own(text).input_ids == folder(text).input_ids, text
            padded = own([text], padding="max_length", max_length=16, truncation=True)
            assert padded.input_ids == folder([text], padding="max_length", max_length=16, truncation=True).input_ids


def test_pieces_scores_and_the_character_map_are_read(vocabulary: list[tuple[str, float]]) -> None:
    pieces, charsmap = parse(files.spiece(vocabulary, b"\x00\x01map"))
    assert charsmap == b"\x00\x01map"
    assert [text for text, _ in pieces] == [text for text, _ in vocabulary]
    assert all(abs(one[1] - other[1]) < 1e-6 for one, other in zip(pieces, vocabulary, strict=True))


@pytest.mark.parametrize("junk", [b"", b"\x0a\xff\xff", b"not a model at all", b"\x0b" * 9])
def test_other_bytes_are_refused(junk: bytes) -> None:
    with pytest.raises(ValueError, match="SentencePiece model"):
        parse(junk)


def test_a_model_of_another_kind_is_refused(vocabulary: list[tuple[str, float]]) -> None:
    with pytest.raises(ValueError, match="no unigram model"):
        parse(files.spiece(vocabulary, kind=2))


def test_the_one_inside_comes_first(vocabulary: list[tuple[str, float]], tmp_path: Path) -> None:
    tensors = files.tensors_of(tiny_folder(), "text")
    path = files.save(tmp_path / "umt5.safetensors", tensors)
    with pytest.raises(FileNotFoundError, match="no tokenizer"):
        load_tokenizer(path)
    (tmp_path / "spiece.model").write_bytes(files.spiece(vocabulary[:80]))
    assert len(load_tokenizer(path)) == 80
    beside = tokenizer_digest(path)
    inside = torch.tensor(list(files.spiece(vocabulary)), dtype=torch.uint8)
    both = files.save(tmp_path / "umt5_both.safetensors", load_file(path) | {"spiece_model": inside})
    assert len(load_tokenizer(both)) == len(vocabulary)
    assert tokenizer_digest(both) != beside


def test_a_model_that_sentencepiece_itself_made() -> None:
    """With its character map; where that library is installed (wanprep does without)."""
    spm = pytest.importorskip("sentencepiece")
    out = io.BytesIO()
    words = ["a woman walks along the street", "the filter's quality is fine", "two cats, three dogs: 3.5 metres"] * 20
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(words), model_writer=out, vocab_size=40,
        hard_vocab_limit=False, model_type="unigram", pad_id=0, eos_id=1, unk_id=2, bos_id=-1,
        normalization_rule_name="nmt_nfkc", minloglevel=2,
    )  # fmt: skip
    theirs, ours = spm.SentencePieceProcessor(model_proto=out.getvalue()), from_sentencepiece(out.getvalue())
    assert len(parse(out.getvalue())[1]) > 1000
    for text in ("a woman walks", "ｆｉｎｅ　ﬁlter ①", "3.5  dogs", ""):
        assert ours(text).input_ids == theirs.encode(text, add_eos=True), text
