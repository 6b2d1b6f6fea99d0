"""Does a file hold as many bytes as its container says? Decoders often reach the end of a cut file without a word.

Only the outermost sizes are read: MP4 boxes (ISO 14496-12, 4.2), the Matroska segment (RFC 8794 and 9559), RIFF chunks.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO

_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067
_MAX_BOXES = 100_000  # fragmented files have two boxes a fragment


def missing_bytes(path: Path) -> int:
    """How many bytes of media the container promises beyond the file's end; 0 when none or when it does not say."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(12)
        file.seek(0)
        if head[4:8] in (b"ftyp", b"mdat", b"moov", b"wide", b"free", b"skip"):
            return _mp4(file, size)
        if head.startswith(b"\x1aE\xdf\xa3"):
            return _matroska(file, size)
        if head.startswith(b"RIFF"):
            return max(0, int.from_bytes(head[4:8], "little") + 8 - size)
    return 0


def _mp4(file: BinaryIO, size: int) -> int:
    position = 0
    for _ in range(_MAX_BOXES):
        file.seek(position)
        head = file.read(16)
        if len(head) < 8:
            return 0
        length, kind = struct.unpack(">I4s", head[:8])
        if length == 1 and len(head) == 16:
            length = struct.unpack(">Q", head[8:])[0]
        if length < 8:  # 0: up to the end of the file
            return 0
        position += length
        if position > size:  # a cut `free` or `uuid` box loses no picture
            return position - size if kind in (b"mdat", b"moof", b"moov") else 0
    return 0


def _matroska(file: BinaryIO, size: int) -> int:
    for _ in range(8):
        element, length = _vint(file, keep_marker=True), _vint(file, keep_marker=False)
        if element is None or length is None:  # `None`: unknown length, as live streams write it
            return 0
        if element == _SEGMENT:
            return max(0, file.tell() + length - size)
        file.seek(length, os.SEEK_CUR)
    return 0


def _vint(file: BinaryIO, *, keep_marker: bool) -> int | None:
    """An EBML number: its width is the position of the first set bit; all ones means unknown."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    width = 9 - first[0].bit_length()
    value = int.from_bytes(first + file.read(width - 1), "big")
    bits = value & ((1 << 7 * width) - 1)
    if keep_marker:
        return value
    return None if bits == (1 << 7 * width) - 1 else bits
