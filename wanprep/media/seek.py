"""Going to a moment of a file without decoding what lies before it, where that leads to the same frames and times."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from wanprep.media.clock import BROADCAST, PAUSE_S
from wanprep.media.container import open_container
from wanprep.media.probe import Probe

# Containers that store a true pts for each picture, so that it does not matter where decoding begins or how many
# frames the decoder holds. In the others a pts may have to be repaired from what came before.
MATROSKA = "matroska,webm"
TRUE_PTS = ("mov,mp4,m4a,3gp,3g2,mj2", MATROSKA)
# Where a seek leads to the right timestamps as long as the clock never jumps. Elsewhere (bare streams, GIF, RealMedia)
# they are counted from where decoding began.
_SEEKABLE = (*TRUE_PTS, "avi", "mpegts", "mpeg", "flv", "asf", "ogg", "mxf", "dv", "ivf", "nut")


def may_seek(path: Path, probe: Probe) -> bool:
    """Does a seek in this file lead to the frames and times of a decode from its start?"""
    if probe.container in TRUE_PTS:
        return not probe.decode_order
    return probe.container in _SEEKABLE and _steady(path, probe, path.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _steady(path: Path, probe: Probe, mtime_ns: int) -> bool:
    """Does the clock of this file run without a jump? Read off its packets, undecoded: a seek is only exact then."""
    import av

    last: int | None = None
    longest = PAUSE_S / probe.time_base if probe.container in BROADCAST else float("inf")
    with open_container(path) as container:
        try:
            for packet in container.demux(probe.stream_index):
                now = packet.dts if packet.dts is not None else packet.pts
                if now is None:
                    continue
                if last is not None and not 0 <= now - last <= longest:
                    return False
                last = now
        except av.FFmpegError:
            return False
    return True


def seek(container: Any, stream: Any, pts: int) -> bool:
    """To the keyframe before `pts`; False when the container cannot."""
    import av

    try:
        container.seek(pts, stream=stream, backward=True)
    except av.FFmpegError:
        return False
    return True


def from_clean_start(pictures: Iterator[Any]) -> Iterator[Any]:
    """Skip what a decoder shows after a seek before its first complete picture."""
    return itertools.dropwhile(lambda picture: not picture.key_frame or picture.is_corrupt, pictures)
