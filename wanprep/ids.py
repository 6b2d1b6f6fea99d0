"""Content identities and the one way a file gets its final name.

Every artefact is written under a temporary name in its own folder, flushed, renamed and the folder flushed, so a
final name always means complete bytes; and every digest here is blake2b with 128 bits (RFC 7693), which is faster
than SHA-256 on every machine we run on and long enough for content addressing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

DIGEST_BYTES = 16
Ends = tuple[str, str]  # of a key's text
_BEGUN = hashlib.blake2b(digest_size=DIGEST_BYTES)


def digest_bytes(data: bytes) -> str:
    """blake2b-128 of `data` as 32 hex characters."""
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).hexdigest()


def digest_file(path: Path) -> str:
    """blake2b-128 of a file's bytes, read in blocks; OSError as `open` raises it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=DIGEST_BYTES)).hexdigest()


def key_of(**parts: Any) -> str:
    """Digest of named plain values (str, int, float, bool, None, list, dict): the key of a measurement.

    Canonical JSON: sorted names, no white space, no NaN. Anything else raises TypeError, so that an object with
    an unstable repr can never become part of a key.
    """
    return digest_text(canonical(parts))


def digest_text(text: str) -> str:
    """`digest_bytes` of a text, names of files that are no UTF-8 included."""
    digest = _BEGUN.copy()  # a new one takes longer than hashing a key's text
    digest.update(text.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def digests(texts: Iterable[bytes]) -> list[str]:
    """`digest_bytes` of each of many."""
    made = []
    for text in texts:
        digest = _BEGUN.copy()
        digest.update(text)
        made.append(digest.hexdigest())
    return made


def _canonical_json() -> Callable[[Any], str]:
    """Writer of canonical JSON, set up once: `json.dumps` does that in each call, which takes half of its time."""
    encoder = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    parts: Any = json.encoder
    if parts.c_make_encoder is None:  # not CPython
        return encoder.encode
    made = parts.c_make_encoder(None, encoder.default, parts.encode_basestring, None, ":", ",", True, False, False)
    return lambda parts: "".join(made(parts, 0))


canonical = _canonical_json()
canonical_text = json.encoder.encode_basestring  # of a text; TypeError for anything else


def key_ends(name: str, **fixed: Any) -> Ends:
    """The text that `key_of` digests, before and after the value of one part, a text that differs from key to key:
    `key_between(key_ends("a", b=1), x) == key_of(a=x, b=1)`, in half of its time and less where much is fixed."""
    place = "\0here\0"
    before, after = canonical({**fixed, name: place}).split(canonical_text(place))
    return before, after


def key_between(ends: Ends, text: str) -> str:
    before, after = ends
    return digest_text(f"{before}{canonical_text(text)}{after}")


def temporary_name(path: Path) -> Path:
    """A fresh hidden sibling of `path`, with its suffix kept because encoders choose formats by suffix."""
    return path.with_name(f".tmp-{uuid.uuid4().hex}{path.suffix}")


def fsync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def numbered_errors(path: Path) -> Iterator[None]:
    """Libraries in Rust tell what the system refused in words, "... (os error 28)": raised as Python raises it, an
    OSError with that number and `path`, so that a full disk is one wherever it is met."""
    try:
        yield
    except Exception as error:
        number = re.search(r"\(os error (\d+)\)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error


def write_atomic(path: Path, data: bytes | Callable[[Path], Any]) -> str:
    """Write bytes (or let `data` write them to a given temporary path) and publish them as `path`.

    Returns the digest of the published bytes. On any error the temporary file is removed and `path` is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(path)
    try:
        if callable(data):
            data(temporary)
        else:
            temporary.write_bytes(data)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        digest = digest_file(temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_folder(path.parent)
    return digest
