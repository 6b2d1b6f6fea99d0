"""Captions that came with the material: a text file beside the source.

Looked for in this order, the first that exists wins:
1. `movie.mp4.txt`  the full name of the source: tells `movie.mp4` from `movie.mov`
2. `movie.txt`      the same stem, as every trainer's folder convention has it
3. `_default.txt`   one caption for all sources of this folder (not of its subfolders). The underscore keeps it from
                    being taken for the caption of a source called `default` or `caption`
A sidecar describes the whole source, so every clip cut from it gets the same text.
Other captions of the same source stand beside the one that was found, numbered without a gap: `movie.2.txt`, … (see
`several`).
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from wanprep.captioners.base import Captioner, CaptionRequest, Origin, RawCaption
from wanprep.captioners.several import split_weight
from wanprep.ids import digest_file
from wanprep.stage import Reject

FOLDER_DEFAULT = "_default.txt"
MAX_BYTES = 64 * 1024  # a caption is at most a few hundred words; a transcript or a log is not one


def find_sidecar(source_path: Path) -> Path | None:
    """The text file that captions this source, or None."""
    folder, own = os.path.split(source_path)  # as text: it is asked for every clip
    for name in (own + ".txt", source_path.stem + ".txt", FOLDER_DEFAULT):  # a name too long for a file is not there
        if name != own and os.path.isfile(f"{folder or '.'}/{name}"):  # noqa: PTH113
            return source_path.with_name(name)
    return None


def find_others(sidecar: Path, source_path: Path) -> list[Path]:
    """Files of other captions beside a source's text file: .2.txt, .3.txt, … up to the first gap. One that captions a
    source of its own (`movie.2.mp4`) is none."""
    found: list[Path] = []
    while True:
        stem = f"{sidecar.stem}.{len(found) + 2}"
        candidate = sidecar.with_name(f"{stem}.txt")
        with contextlib.suppress(OSError):
            if candidate.is_file() and not sidecar.with_name(stem + source_path.suffix).exists():
                found.append(candidate)
                continue
        return found


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
        others = [digest_file(other) for other in find_others(path, request.source_path)] if path else []
        return {"digest": digest_file(path) if path else None, **({"others": others} if others else {})}

    def caption(self, request: CaptionRequest, attempt: int = 0) -> RawCaption:
        """Reject: no_sidecar, caption_too_long, caption_not_utf8, caption_empty, caption_weight."""
        path = find_sidecar(request.source_path)
        if path is None:
            raise Reject("no_sidecar", f"no {request.source_path.stem}.txt beside {request.source_rel}")
        others = [_read(other) for other in find_others(path, request.source_path)]
        for text in others:
            split_weight(text)
        return RawCaption(text=_read(path), more=tuple(others))


def _read(path: Path) -> str:
    data = path.read_bytes()
    if len(data) > MAX_BYTES:
        raise Reject("caption_too_long", f"{path.name} is {len(data)} bytes, more than {MAX_BYTES}")
    text = decode_caption(data, path.name).strip()
    if not text:
        raise Reject("caption_empty", f"{path.name} is empty; write a caption into it or delete it")
    return text
