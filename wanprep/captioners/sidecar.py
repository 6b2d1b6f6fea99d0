"""Captions that came with the material: a text file beside the source.

Looked for in this order, the first that exists wins:
1. `movie.mp4.txt`  the full name of the source: tells `movie.mp4` from `movie.mov`
2. `movie.txt`      the same stem, as every trainer's folder convention has it
3. `_default.txt`   one caption for all sources of this folder (not of its subfolders). The underscore keeps it from
                    being taken for the caption of a source called `default` or `caption`
The extension may be in capitals. A sidecar describes the whole source, so every clip cut from it gets the same text.
Other captions of the same source stand beside the one that was found, numbered: `movie.2.txt`, … (see `several`).
"""

from __future__ import annotations

import codecs
import os
import stat
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wanprep.captioners.base import Captioner, CaptionRequest, Origin, RawCaption
from wanprep.captioners.several import clip_of, split_weight, stem_of
from wanprep.ids import digest_file
from wanprep.stage import Reject

FOLDER_DEFAULT = "_default.txt"
MOST_CAPTIONS = 99  # a larger number is part of the name: `holiday.2019.txt`
READING = 2  # raised when other bytes are read, or read otherwise: texts that were rejected are read again
NO_TEXT = ("caption_not_utf8", "caption_too_long")  # reasons: a file is there, and nobody can tell what it says
MAX_BYTES = 64 * 1024  # a caption is at most a few hundred words; a transcript or a log is not one


@dataclass(frozen=True, kw_only=True)
class Folder:
    """What lies in a folder of sources. texts: name with `.txt` in small letters -> the name; numbers: stem -> numbers
    of its other captions, ascending; others: stems of the files that are no texts."""

    texts: Mapping[str, str]
    numbers: Mapping[str, list[int]]
    others: Collection[str]

    @classmethod
    def of(cls, path: str) -> Folder:
        """Empty where the folder cannot be listed."""
        try:
            names = sorted(os.listdir(path or "."))  # noqa: PTH208  as text; of a.TXT and a.txt the latter comes last
        except OSError:
            names = []
        pairs = [(*os.path.splitext(name), name) for name in names]  # noqa: PTH122
        texts = {stem + ".txt": name for stem, suffix, name in pairs if suffix.lower() == ".txt"}
        numbers: dict[str, list[int]] = {}
        for name in texts:
            stem, number = clip_of(name.removesuffix(".txt"))
            if 1 < number <= MOST_CAPTIONS:
                numbers.setdefault(stem, []).append(number)
        others = {stem for stem, suffix, _ in pairs if suffix.lower() != ".txt"}
        return cls(texts=texts, numbers={stem: sorted(found) for stem, found in numbers.items()}, others=others)


Folders = Callable[[str], Folder]


def find_sidecar(source_path: Path, folders: Folders = Folder.of) -> Path | None:
    """The text file that captions this source, or None."""
    path, own = os.path.split(source_path)  # as text: it is asked for every clip
    texts = folders(path).texts
    for name in (own + ".txt", source_path.stem + ".txt", FOLDER_DEFAULT):
        real = texts.get(name)
        if real and real != own and os.path.isfile(f"{path or '.'}/{real}"):  # noqa: PTH113
            return source_path.with_name(real)
    return None


def find_others(sidecar: Path, folders: Folders = Folder.of) -> dict[int, Path]:
    """Files of other captions beside a source's text file, by number: .2.txt, .3.txt, ... One that captions a source of
    its own (`movie.2.mp4`) is none."""
    folder = folders(os.path.split(sidecar)[0])
    found = {}
    for number in folder.numbers.get(sidecar.stem, ()):
        stem = stem_of(sidecar.stem, number)
        path = sidecar.with_name(folder.texts[stem + ".txt"])
        if stem not in folder.others and path.is_file():
            found[number] = path
    return found


def decode_caption(data: bytes, name: str) -> str:
    """Bytes of a caption file as text: UTF-8, or UTF-16 with its byte order mark, which is dropped. Reject
    caption_not_utf8 otherwise.

    NUL characters count as undecodable: UTF-16 saved without a mark is valid UTF-8 full of them.
    """
    coding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        text = data.decode(coding)
    except UnicodeDecodeError as error:
        said = f"byte {error.start} is not {coding.removesuffix('-sig').upper()}"
        raise Reject("caption_not_utf8", f"{name}: {said}; save the file as UTF-8") from None
    if "\0" in text:
        raise Reject("caption_not_utf8", f"{name} holds NUL characters, as UTF-16 does; save the file as UTF-8")
    return text


def read_caption(path: Path) -> str:
    """The text of a caption file. Reject: caption_too_long, caption_not_utf8; OSError as `open` raises it."""
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise Reject("caption_too_long", f"{path.name} is {size} bytes, more than {MAX_BYTES}")
    return decode_caption(path.read_bytes(), path.name)


def is_there(path: Path) -> bool:
    """Whatever it is: a link to a disk that is not there was not deleted."""
    return os.path.lexists(path)


def read_if_there(path: Path) -> str | None:
    """As `read_caption`, None where there is nothing. Reject: not_a_file, not_readable, too; a pipe is
    not opened, which could take for ever."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise Reject("not_a_file", "a folder" if stat.S_ISDIR(mode) else "a pipe, socket or device")
        return read_caption(path)
    except FileNotFoundError:
        if is_there(path):
            raise Reject("not_a_file", "a link to what is not there") from None
        return None
    except OSError as error:
        raise Reject("not_readable", str(error.strerror)) from error


class Sidecar(Captioner):
    """The text beside the source, taken as it is."""

    name = "sidecar"
    origin: Origin = "sidecar"
    requires_frames = False

    def identity(self) -> dict[str, Any]:
        return {"captioner": self.name, "reading": READING}

    def __init__(self, folders: Folders = Folder.of) -> None:
        self.folders = folders

    def inputs(self, request: CaptionRequest) -> dict[str, Any]:
        """The digest of the file's bytes, None without a file: editing or adding the file measures again."""
        path = find_sidecar(request.source_path, self.folders)
        others = _in_order(find_others(path, self.folders)) if path else []
        digests = [digest_file(other) if other else None for other in others]
        return {"digest": digest_file(path) if path else None, **({"others": digests} if digests else {})}

    def caption(self, request: CaptionRequest, attempt: int = 0) -> RawCaption:
        """Reject: no_sidecar, caption_too_long, caption_not_utf8, caption_empty, caption_weight."""
        path = find_sidecar(request.source_path, self.folders)
        if path is None:
            raise Reject("no_sidecar", f"no {request.source_path.stem}.txt beside {request.source_rel}")
        others = [_read(other) if other else "" for other in _in_order(find_others(path, self.folders))]
        for text in others:
            split_weight(text)
        return RawCaption(text=_read(path), more=tuple(others))


def _in_order(others: Mapping[int, Path]) -> list[Path | None]:
    """From number 2 on, None where a number has no file."""
    return [others.get(number) for number in range(2, max(others, default=1) + 1)]


def _read(path: Path) -> str:
    text = read_caption(path).strip()
    if not text:
        raise Reject("caption_empty", f"{path.name} is empty; write a caption into it or delete it")
    return text
