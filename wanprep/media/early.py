"""Times before 0 in Matroska: FFmpeg gives such packets none, though the file has them.

A cluster's time is never negative, so what lies before 0 is in clusters at 0, and the times that their blocks have
relative to them (RFC 9559, section 10) are the true ones. Counted back from the first time that there is, pictures of
no steady rate are wrong, and so are all where the decoder leaves out the first few of an open group.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from wanprep.media.seek import MATROSKA

_LACED = 0x06  # bits of the flags: several frames in one block, of which only the first has a time


def with_early_time(packet: Any, path: Path, container: str) -> Any:
    """`packet`, with its time where the file has one before 0 and FFmpeg passes it over."""
    if container == MATROSKA and packet.pts is None and packet.size and packet.pos is not None:
        packet.pts = _time_of_block(path, packet.pos)
    return packet


def _time_of_block(path: Path, place: int) -> int | None:
    """The time of the block whose body begins here, in the stream's units; None unless it lies before 0."""
    with path.open("rb", buffering=0) as file:
        head = os.pread(file.fileno(), 12, place)
    width = 9 - head[0].bit_length() if head and head[0] else 9  # of the track's number
    time, flags = head[width : width + 2], head[width + 2 : width + 3]
    if not flags or flags[0] & _LACED:
        return None
    found = int.from_bytes(time, "big", signed=True)
    return found if found < 0 else None
