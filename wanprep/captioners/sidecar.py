"""Captions that came with the material: a text file beside the source.

Looked for in this order, the first that exists wins:
1. `movie.mp4.txt`  the full name of the source: tells `movie.mp4` from `movie.mov`
2. `movie.txt`      the same stem, as every trainer's folder convention has it
3. `_default.txt`   one caption for all sources of this folder (not of its subfolders). The underscore keeps it from
                    being taken for the caption of a source called `default` or `caption`
A sidecar describes the whole source, so every clip cut from it gets the same text.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from wanprep.captioners.base import Captioner, CaptionRequest, Origin, RawCaption
from wanprep.ids import digest_file
from wanprep.stage import Reject

FOLDER_DEFAULT = "_default.txt"
MAX_BYTES = 64 * 1024  # a caption is at most a few hundred words; a transcript or a log is not one


def find_sidecar(source_path: Path) -> Path | None:
    """The text file that captions this source, or None."""
    names = (source_path.name + ".txt", source_path.stem + ".txt", FOLDER_DEFAULT)
    for name in names:
        candidate = source_path.with_name(name)
        with contextlib.suppress(OSError):  # a name of 255 bytes has no room for another suffix
            if candidate != source_path and candidate.is_file():
                return candidate
    return None


def decode_caption(data: bytes, name: str) -> str:
    """Bytes of a caption file as text: UTF-8, a byte order mark is dropped. Reject caption_not_utf8 otherwise.

    NUL characters count as undecodable: UTF-16 saved without a mark is valid UTF-8 full of them.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Reject("caption_not_utf8", f"{name}: byte {error.start} is not UTF-8; save the file as UTF-8") from None
    if "\0" in text:
        raise Reject("caption_not_utf8", f"{name} holds NUL characters, as UTF-16 does; save the file as UTF-8")
    return text


class Sidecar(Captioner):
    """The text beside the source, taken as it is."""

    name = "sidecar"
    origin: Origin = "sidecar"
    requires_frames = False

    def identity(self) -> dict[str, Any]:
        return {"captioner": self.name}

    def inputs(self, request: CaptionRequest) -> dict[str, Any]:
        """The digest of the file's bytes, None without a file: editing or adding the file measures again."""
        path = find_sidecar(request.source_path)
        return {"digest": digest_file(path) if path else None}

    def caption(self, request: CaptionRequest, attempt: int = 0) -> RawCaption:
        """Reject: no_sidecar, caption_too_long, caption_not_utf8, caption_empty."""
        path = find_sidecar(request.source_path)
        if path is None:
            raise Reject("no_sidecar", f"no {request.source_path.stem}.txt beside {request.source_rel}")
        data = path.read_bytes()
        if len(data) > MAX_BYTES:
            raise Reject("caption_too_long", f"{path.name} is {len(data)} bytes, more than {MAX_BYTES}")
        text = decode_caption(data, path.name).strip()
        if not text:
            raise Reject("caption_empty", f"{path.name} is empty; write a caption into it or delete it")
        return RawCaption(text=text)
