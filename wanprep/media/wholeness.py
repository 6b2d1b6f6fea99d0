"""Is a file cut off? Decoders often reach the end of a cut file without a word.

Where the container says how long it is, that is compared with the file: MP4 boxes (ISO 14496-12, 4.2), the Matroska
segment (RFC 8794 and 9559), RIFF chunks, the ASF header object, the MXF footer. Where it has an end mark, that is
looked for: the GIF trailer, the last page of an Ogg stream, the last tag of an FLV. An MPEG transport stream is whole
packets. MPEG program streams and bare streams may end anywhere: there only a broken last picture shows it.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO

_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067
_MAX_BOXES = 100_000  # fragmented files have two boxes a fragment
_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_MXF_PARTITION = bytes.fromhex("060e2b34020501010d010201")
_TAIL = 1 << 17
_EMPTY = 1 << 12


def cut_short(path: Path) -> str:
    """Why the file looks cut off, for people; "" when it does not or when nobody can know."""
    missing = missing_bytes(path)
    if missing:
        return f"the file ends {missing} bytes before its container does"
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(1024)
        file.seek(max(0, size - _TAIL))
        return _end_mark(head, file.read(), size)


def ends_in_zeros(path: Path) -> bool:
    """Is the end of the file empty, as that of an unfinished download whose room was taken beforehand?"""
    with path.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _EMPTY))
        return not any(file.read())


def missing_bytes(path: Path) -> int:
    """How many bytes of media the container promises beyond the file's end; 0 when none or when it does not say."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(4096)
        file.seek(0)
        if head[4:8] in (b"ftyp", b"mdat", b"moov", b"wide", b"free", b"skip"):
            return _mp4(file, size)
        if head.startswith(b"\x1aE\xdf\xa3"):
            return _matroska(file, size)
        if head.startswith(b"RIFF"):
            return _riff(file, size)
        if head.startswith(_ASF_HEADER):
            return _asf(head, size)
        if head.startswith(_MXF_PARTITION):
            return _mxf(head, size)
    return 0


def _end_mark(head: bytes, tail: bytes, size: int) -> str:
    if head.startswith(b"GIF8") and tail.rstrip(b"\0")[-1:] != b";":
        return "the file ends without the mark that ends a GIF"
    if head.startswith(b"OggS") and not _ogg_has_last_page(tail):
        return "the file ends without the last page of an Ogg stream"
    if head.startswith(b"FLV") and not _flv_ends_in_tag(tail):
        return "the file ends inside an FLV tag"
    for packet, first in ((188, 0), (192, 4), (204, 0)):
        if all(head[at : at + 1] == b"G" for at in range(first, min(len(head), 5 * packet), packet)):
            return "the file ends inside a transport packet" if size % packet else ""
    return ""


def _ogg_has_last_page(tail: bytes) -> bool:
    """A whole page with the end-of-stream flag (RFC 3533, 6)."""
    at = tail.find(b"OggS")
    while at >= 0 and at + 27 <= len(tail):
        lacing = tail[at + 27 : at + 27 + tail[at + 26]]
        if tail[at + 5] & 4 and len(lacing) == tail[at + 26] and at + 27 + len(lacing) + sum(lacing) <= len(tail):
            return True
        at = tail.find(b"OggS", at + 1)
    return False


def _flv_ends_in_tag(tail: bytes) -> bool:
    """The last four bytes are the size of the tag before them, 11 bytes of header included."""
    length = int.from_bytes(tail[-4:], "big")
    start = len(tail) - 4 - length
    if start < 0:
        return length < 1 << 24  # a large last tag that begins before the tail
    return length >= 11 and int.from_bytes(tail[start + 1 : start + 4], "big") == length - 11


def _riff(file: BinaryIO, size: int) -> int:
    """AVI files beyond 1 GB are several RIFF chunks, one after the other."""
    position = 0
    while True:
        file.seek(position)
        head = file.read(8)
        if len(head) < 8 or head[:4] != b"RIFF":
            return 0
        position += 8 + int.from_bytes(head[4:], "little")
        if position > size:
            return position - size
        position += position % 2


def _asf(head: bytes, size: int) -> int:
    at = head.find(_ASF_FILE)
    if at < 0 or (head[at + 88 : at + 89] and head[at + 88] & 1):  # broadcast flag: size not known
        return 0
    said = int.from_bytes(head[at + 40 : at + 48], "little")
    return max(0, said - size)


def _mxf(head: bytes, size: int) -> int:
    """The first partition pack says where the footer begins; 0 when that was not known yet."""
    length = 1 + (head[16] & 0x7F if head[16] & 0x80 else 0)
    footer = int.from_bytes(head[16 + length + 24 : 16 + length + 32], "big")
    return max(0, footer - size)


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
        element, length = vint(file, keep_marker=True), vint(file, keep_marker=False)
        if element is None or length is None:  # `None`: unknown length, as live streams write it
            return 0
        if element == _SEGMENT:
            return max(0, file.tell() + length - size)
        file.seek(length, os.SEEK_CUR)
    return 0


def vint(file: BinaryIO, *, keep_marker: bool) -> int | None:
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
