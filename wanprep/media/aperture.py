"""What a container cuts off the decoded picture: the clean aperture of MP4 and MOV, PixelCrop of Matroska.

Encoders pad a picture to their blocks (1080 lines to 1082 or 1088, black or green below), and tools cut bars off
without coding anew; players and the ffmpeg program leave out what the container says. PyAV does not tell of it, so it
is read off the file here: a handful of small reads.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from fractions import Fraction
from math import floor
from pathlib import Path
from typing import Any, BinaryIO

from wanprep.media.wholeness import vint

Margins = tuple[int, int, int, int]  # left, top, right, bottom, in decoded pixels
NONE: Margins = (0, 0, 0, 0)

_STSD = (b"mdia", b"minf", b"stbl", b"stsd")
_VISUAL_ENTRY = 78  # bytes of a visual sample entry before the boxes in it (ISO 14496-12, 12.1.3)
_SEGMENT, _TRACKS, _TRACK, _TYPE, _VIDEO, _CLUSTER = 0x18538067, 0x1654AE6B, 0xAE, 0x83, 0xE0, 0x1F43B675
_CROPS = (0x54CC, 0x54BB, 0x54DD, 0x54AA)  # RFC 9559: PixelCropLeft, -Top, -Right, -Bottom


def margins(path: Path, container: Any, stream: Any) -> Margins:
    """What is cut off each side of `stream`'s pictures; NONE where nothing is, or what is said makes no sense."""
    name = container.format.name
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if name.startswith("mov"):
                found = _clean_aperture(file, size, stream.id)
            elif name.startswith("matroska"):
                found = _pixel_crop(file, size, [s.index for s in container.streams.video].index(stream.index))
            else:
                return NONE
    except (struct.error, ZeroDivisionError):
        return NONE
    left, top, right, bottom = found
    width, height = stream.codec_context.width, stream.codec_context.height
    return found if min(found) >= 0 and left + right < width and top + bottom < height else NONE


def _clean_aperture(file: BinaryIO, size: int, track: int) -> Margins:
    for kind, start, end in _boxes(file, 0, size):
        if kind == b"moov":
            tracks = [(a, b) for box, a, b in _boxes(file, start, end) if box == b"trak"]
            return next((_of_track(file, a, b) for a, b in tracks if _track_id(file, a, b) == track), NONE)
    return NONE


def _track_id(file: BinaryIO, start: int, end: int) -> int:
    at = next((a for kind, a, _ in _boxes(file, start, end) if kind == b"tkhd"), None)
    if at is None:
        return 0
    version = _read(file, at, ">B")[0]
    return int(_read(file, at + (20 if version else 12), ">I")[0])


def _of_track(file: BinaryIO, start: int, end: int) -> Margins:
    for wanted in _STSD:
        start, end = next(((a, b) for kind, a, b in _boxes(file, start, end) if kind == wanted), (0, 0))
    for _, entry, entry_end in _boxes(file, start + 8, end):
        for kind, at, _ in _boxes(file, entry + _VISUAL_ENTRY, entry_end):
            if kind == b"clap":
                width, height = _read(file, entry + 24, ">2H")
                wide, wide_by, high, high_by, x, x_by, y, y_by = _read(file, at, ">4IiIiI")
                left, right = _kept(width, Fraction(wide, wide_by), Fraction(x, x_by))
                top, bottom = _kept(height, Fraction(high, high_by), Fraction(y, y_by))
                return left, top, right, bottom
    return NONE


def _kept(length: int, aperture: Fraction, offset: Fraction) -> tuple[int, int]:
    """Pixels cut off before and after an aperture whose middle lies `offset` from the picture's (12.1.4)."""
    return floor((length - aperture) / 2 + offset), length - floor((length + aperture) / 2 + offset)


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(kind, where its body starts, where it ends) of the boxes between two places of a file."""
    while start + 8 <= end:
        length, kind = _read(file, start, ">I4s")
        body = start + 8
        if length == 1:
            length, body = _read(file, body, ">Q")[0], body + 8
        length = length or end - start
        if length < body - start:
            return
        yield kind, body, min(start + length, end)
        start += length


def _read(file: BinaryIO, at: int, layout: str) -> tuple[Any, ...]:
    file.seek(at)
    return struct.unpack(layout, file.read(struct.calcsize(layout)))


def _pixel_crop(file: BinaryIO, size: int, number: int) -> Margins:
    """Of the video track `number`, counted from 0."""
    for segment, start, end in _elements(file, 0, size):
        for element, a, b in _elements(file, start, end) if segment == _SEGMENT else ():
            if element == _CLUSTER:
                return NONE
            if element == _TRACKS:
                entries = [
                    {e: (x, y) for e, x, y in _elements(file, *s)} for t, *s in _elements(file, a, b) if t == _TRACK
                ]
                videos = [entry for entry in entries if _TYPE in entry and _number(file, *entry[_TYPE]) == 1]
                if number >= len(videos) or _VIDEO not in videos[number]:
                    return NONE
                said = {e: _number(file, x, y) for e, x, y in _elements(file, *videos[number][_VIDEO])}
                left, top, right, bottom = (said.get(crop, 0) for crop in _CROPS)
                return left, top, right, bottom
    return NONE


def _elements(file: BinaryIO, start: int, end: int) -> Iterator[tuple[int, int, int]]:
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


def _number(file: BinaryIO, start: int, end: int) -> int:
    file.seek(start)
    return int.from_bytes(file.read(min(end - start, 8)), "big")
