"""A sample's frames: a window of a clip's mp4, or a still's png, exactly as the row describes them.

What is trained on must be what was planned and can be looked at, so nothing is resized, repeated or filled up here.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wanprep.ids import digest_file
from wanprep.stage import Damaged

REDO = "Run `wanprep bucket`, which makes it again"


def read_window(path: Path, start: int, frames: int, width: int, height: int) -> npt.NDArray[np.uint8]:
    """Frames [start, start + frames) as uint8 [F, H, W, 3].

    Damaged when the file does not hold them at that size; ValueError for an impossible window.
    """
    if start < 0 or frames < 1:
        raise ValueError(f"a window starts at 0 or later and has 1 frame or more, not [{start}, {start + frames})")
    pictures, size, broken = _decode(path, start, frames, width, height)
    if size != (width, height):
        raise Damaged(f"{path} is {size[0]}x{size[1]}, its sample needs {width}x{height}", REDO)
    if broken:
        raise Damaged(f"{path} does not decode cleanly ({broken})", REDO)
    if len(pictures) != frames:
        raise Damaged(f"{path} holds {len(pictures)} of the {frames} frames from {start} on", REDO)
    return np.stack(pictures)


def _decode(path: Path, start: int, frames: int, width: int, height: int) -> tuple[list[Any], tuple[int, int], str]:
    """Pictures of the window, the file's size in pixels, and what was wrong while reading."""
    from wanprep.media.probe import probe
    from wanprep.media.read import open_video

    facts = probe(path)
    size = (facts.width, facts.height)
    pictures: list[Any] = []
    if size != (width, height):
        return pictures, size, ""
    with open_video(path, facts) as reader:
        for index, frame in enumerate(reader.frames()):
            if index >= start + frames:
                break
            if index >= start:
                pictures.append(frame.rgb(width, height))
        broken = reader.truncated or (f"{reader.dropped} frames out of order" if reader.dropped else "")
    return pictures, size, broken


def verify(path: Path, digest: str) -> None:
    """Damaged unless the file has this digest. Compared once per process and state of the file."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        raise Damaged(f"{path} is not there", REDO) from None
    if _digest(str(path), stat.st_size, stat.st_mtime_ns) != digest:
        raise Damaged(f"{path} has changed since it was written (digest differs)", REDO)


@functools.lru_cache(maxsize=4096)
def _digest(path: str, size: int, mtime_ns: int) -> str:
    """The size and the time are part of the memory, not of the digest."""
    return digest_file(Path(path))
