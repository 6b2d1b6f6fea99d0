"""What a container cuts off the decoded picture: the clean aperture of MP4 and MOV, PixelCrop of Matroska.

Encoders pad a picture to their blocks (1080 lines to 1082 or 1088, black or green below), and tools cut bars off
without coding anew; players and the ffmpeg program leave out what the container says. PyAV does not tell of it.
"""

from __future__ import annotations

import os
import struct
from fractions import Fraction
from math import floor
from pathlib import Path
from typing import Any, BinaryIO

from wanprep.media.boxes import VISUAL_ENTRY, boxes, elements, number, read, sample_entries, video_tracks

Margins = tuple[int, int, int, int]  # left, top, right, bottom, in decoded pixels
NONE: Margins = (0, 0, 0, 0)

_VIDEO = 0xE0
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
    for _, entry, end in sample_entries(file, size, track):
        for kind, at, _ in boxes(file, entry + VISUAL_ENTRY, end):
            if kind == b"clap":
                width, height = read(file, entry + 24, ">2H")
                wide, wide_by, high, high_by, x, x_by, y, y_by = read(file, at, ">4IiIiI")
                left, right = _kept(width, Fraction(wide, wide_by), Fraction(x, x_by))
                top, bottom = _kept(height, Fraction(high, high_by), Fraction(y, y_by))
                return left, top, right, bottom
    return NONE


def _kept(length: int, aperture: Fraction, offset: Fraction) -> tuple[int, int]:
    """Pixels cut off before and after an aperture whose middle lies `offset` from the picture's (12.1.4)."""
    return floor((length - aperture) / 2 + offset), length - floor((length + aperture) / 2 + offset)


def _pixel_crop(file: BinaryIO, size: int, which: int) -> Margins:
    """Of the video track `which`, counted from 0."""
    videos = video_tracks(file, size)
    if which >= len(videos) or _VIDEO not in videos[which]:
        return NONE
    said = {element: number(file, a, b) for element, a, b in elements(file, *videos[which][_VIDEO])}
    left, top, right, bottom = (said.get(crop, 0) for crop in _CROPS)
    return left, top, right, bottom
