"""The tokenizer of a text encoder: of a diffusers folder, beside a single file, or inside it.

ComfyUI keeps the SentencePiece model as a tensor of bytes in its UMT5 files. transformers reads such a model only with
two more libraries, though all it takes from it is pieces, scores and the character map; these are read here, and the
tokenizer is then built by the same class that a folder's tokenizer.json is loaded with.

Format: https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wanprep.ids import digest_bytes
from wanprep.models.tensorfile import read_header

TENSOR = "spiece_model"
FILES = ("tokenizer.json", "spiece.model")
# Folders beside a UMT5 file where people keep its tokenizer.
_BESIDE = ("tokenizer", "umt5_xxl_tokenizer", "umt5-xxl", "google/umt5-xxl", ".")


def tokenizer_files(path: Path) -> list[Path]:
    """The one file that decides a tokenizer: of a folder, or beside a single weight file. Empty where there is none."""
    folders = [path] if path.is_dir() else [path.parent / name for name in _BESIDE]
    found = (folder / name for folder in folders for name in FILES if (folder / name).is_file())
    return [first for first in found if first.stat().st_size][:1]


def tokenizer_problems(path: Path) -> list[str]:
    """Why a single text encoder file has no tokenizer, in a sentence; empty when it has one."""
    if TENSOR in read_header(path).entries or tokenizer_files(path):
        return []
    return [
        f"{path} has no {TENSOR} inside (ComfyUI's files have), and there is no tokenizer.json or spiece.model beside "
        f"it or in {path.parent / _BESIDE[0]}"
    ]


def load_tokenizer(path: Path) -> Any:
    """The tokenizer of a folder that has one, or of a single text encoder file.

    ValueError where a spiece.model is no SentencePiece unigram model, FileNotFoundError where there is no tokenizer.
    """
    if path.is_file() and TENSOR in read_header(path).entries:
        return from_sentencepiece(_inside(path))
    files = tokenizer_files(path)
    if not files:
        raise FileNotFoundError(f"no tokenizer.json or spiece.model in or beside {path}")
    if files[0].name == "spiece.model":
        return from_sentencepiece(files[0].read_bytes())
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(files[0].parent, local_files_only=True)


@functools.lru_cache(maxsize=8)
def tokenizer_digest(path: Path) -> str:
    """Digest of what decides the tokenizer of a single file."""
    inside = TENSOR in read_header(path).entries
    return digest_bytes(_inside(path) if inside else tokenizer_files(path)[0].read_bytes())


def _inside(path: Path) -> bytes:
    with read_header(path).reader() as reader:
        return bytes(reader.tensor(TENSOR).view(-1).numpy())


def from_sentencepiece(model: bytes) -> Any:
    """A T5Tokenizer from the bytes of a SentencePiece unigram model, without <extra_id_n>: captions have none."""
    from transformers import T5Tokenizer

    pieces, charsmap = parse(model)
    return T5Tokenizer(vocab=pieces, _spm_precompiled_charsmap=charsmap or None, extra_ids=0, model_max_length=512)


def parse(model: bytes) -> tuple[list[tuple[str, float]], bytes]:
    """Pieces with their scores, and the normaliser's character map. ValueError when the bytes are not such a model."""
    pieces: list[tuple[str, float]] = []
    charsmap, kind = b"", 1
    try:
        for number, value in _fields(model):
            if number == 1 and isinstance(value, bytes):
                pieces.append(_piece(value))
            elif number == 2 and isinstance(value, bytes):  # trainer_spec
                kind = next((int(v) for n, v in _fields(value) if n == 3 and not isinstance(v, bytes)), 1)
            elif number == 3 and isinstance(value, bytes):  # normalizer_spec
                charsmap = next((v for n, v in _fields(value) if n == 2 and isinstance(v, bytes)), b"")
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise ValueError(f"these bytes are no SentencePiece model ({error})") from None
    if kind != 1 or len(pieces) < 4:
        raise ValueError(f"this SentencePiece model is no unigram model (type {kind}, {len(pieces)} pieces)")
    return pieces, charsmap


def _piece(message: bytes) -> tuple[str, float]:
    text, score = "", 0.0
    for number, value in _fields(message):
        if number == 1 and isinstance(value, bytes):
            text = value.decode("utf-8")
        elif number == 2 and isinstance(value, bytes):
            score = struct.unpack("<f", value)[0]
    return text, score


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(field number, value) of a protocol buffer: integers as int, everything else as its bytes."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(message, at)
            yield number, value
            continue
        if wire == 2:
            length, at = _varint(message, at)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise IndexError(f"wire type {wire}")
        if at + length > len(message):
            raise IndexError("a field is longer than the message")
        yield number, message[at : at + length]
        at += length


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
