"""Where things lie in a file of boxes (MP4, MOV) or of elements (Matroska): what PyAV does not tell of is read there.

A handful of small reads. All raise struct.error where the file ends inside of what is looked for.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

from wanprep.media.wholeness import vint

Place = tuple[int, int]  # where a body starts and ends

VISUAL_ENTRY = 78  # bytes of a visual sample entry before the boxes in it (ISO 14496-12, 12.1.3)
_STSD = (b"mdia", b"minf", b"stbl", b"stsd")
_SEGMENT, _TRACKS, _TRACK, _TYPE, _CLUSTER = 0x18538067, 0x1654AE6B, 0xAE, 0x83, 0x1F43B675
_IS_VIDEO = 1


def sample_entries(file: BinaryIO, size: int, track: int) -> list[tuple[bytes, int, int]]:
    """(kind, where its body starts, where it ends) of the sample entries of the track with this number."""
    for kind, start, end in boxes(file, 0, size):
        if kind == b"moov":
            tracks = [(a, b) for box, a, b in boxes(file, start, end) if box == b"trak"]
            return next((_of_track(file, a, b) for a, b in tracks if _track_id(file, a, b) == track), [])
    return []


def _track_id(file: BinaryIO, start: int, end: int) -> int:
    at = place(file, start, end, b"tkhd")[0]
    if not at:
        return 0
    version = read(file, at, ">B")[0]
    return int(read(file, at + (20 if version else 12), ">I")[0])


def _of_track(file: BinaryIO, start: int, end: int) -> list[tuple[bytes, int, int]]:
    start, end = place(file, start, end, *_STSD)
    return list(boxes(file, start + 8, end))


def place(file: BinaryIO, start: int, end: int, *path: bytes) -> Place:
    """Where the body of the box at the end of a path of kinds lies, of each kind the first; (0, 0) without one."""
    for wanted in path:
        start, end = next(((a, b) for kind, a, b in boxes(file, start, end) if kind == wanted), (0, 0))
    return start, end


def boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(kind, where its body starts, where it ends) of the boxes between two places of a file."""
    while start + 8 <= end:
        length, kind = read(file, start, ">I4s")
        body = start + 8
        if length == 1:
            length, body = read(file, body, ">Q")[0], body + 8
        length = length or end - start
        if length < body - start:
            return
        yield kind, body, min(start + length, end)
        start += length


def read(file: BinaryIO, at: int, layout: str) -> tuple[Any, ...]:
    """The numbers at a place of the file, as `struct` unpacks them."""
    file.seek(at)
    return struct.unpack(layout, file.read(struct.calcsize(layout)))


def video_tracks(file: BinaryIO, size: int) -> list[dict[int, Place]]:
    """Of each video track of a Matroska file, in order: where the elements of its entry lie, by identifier."""
    for segment, start, end in elements(file, 0, size):
        for element, a, b in elements(file, start, end) if segment == _SEGMENT else ():
            if element == _CLUSTER:
                return []
            if element == _TRACKS:
                entries = [
                    {e: (x, y) for e, x, y in elements(file, *s)} for t, *s in elements(file, a, b) if t == _TRACK
                ]
                return [entry for entry in entries if _TYPE in entry and number(file, *entry[_TYPE]) == _IS_VIDEO]
    return []


def elements(file: BinaryIO, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(identifier, where its body starts, where it ends) of the EBML elements between two places of a file."""
    while start < end:
        file.seek(start)
        element, length = vint(file, keep_marker=True), vint(file, keep_marker=False)
        if element is None:
            return
        body = file.tell()
        stop = end if length is None else min(body + length, end)  # None: of unknown length, up to the end
        yield element, body, stop
        start = stop


def number(file: BinaryIO, start: int, end: int) -> int:
    """An unsigned integer of an EBML element."""
    file.seek(start)
    return int.from_bytes(file.read(min(end - start, 8)), "big")
