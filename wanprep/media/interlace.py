"""Interlaced pictures to whole ones, with FFmpeg's bwdif: a comb is no detail anyone wants to train on.

Frames flagged interlaced are deinterlaced. Captures often come without flags, so for pictures of a height and rate
that interlaced video has, the fields themselves are compared (`field_order`).

The filter looks at the frames before and after, so the first picture after a seek is a little less sharp than in a
decode from the start. Output times are in the filter's own time base, carried by each picture.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from wanprep.media.probe import Probe

# Lines of interlaced formats: 525 and 625 lines, HD; 1088 is 1080 as coded.
HEIGHTS = (480, 486, 512, 576, 608, 1080, 1088)
RATES = (Fraction(249, 10), Fraction(301, 10))  # frames a second, 25 to 30
PLACES, RUN = (0.1, 0.3, 0.5, 0.7, 0.9), 6  # where a file is looked into (shares of its length), frames each
# Measured on 22 real files: 0.94 to 1.03 as they are, medians from 1.08 woven from fields (where anything moves).
_LEANING = 1.06
_MOVING = 0.5
_MIN_VOTES, _MIN_SHARE = 5, 0.8


def progressive(pictures: Iterator[Any], probe: Probe) -> Iterator[Any]:
    """Deinterlace (one picture per frame) from the first frame flagged interlaced on, or all of them when the probe
    saw fields without flags; what is whole passes unchanged.

    A stream that changes its size or format midway gets a new filter: the old one would refuse or distort.
    """
    graph, kind = None, None
    for picture in pictures:
        if graph is not None and kind != _kind(picture):
            yield from _drained(graph)
            graph = None
        if graph is None and (picture.interlaced_frame or probe.fields):
            graph, kind = _bwdif(picture, probe.time_base, probe.fields), _kind(picture)
        if graph is None:
            yield picture
            continue
        graph.vpush(picture)
        yield from _pulled(graph)
    if graph is not None:
        yield from _drained(graph)


def field_order(luma_FHW: Sequence[NDArray[np.uint8]]) -> list[float]:
    """How much each three neighbouring pictures (uint8 [H, W]) lean to the top field (> 1) or the bottom field (< 1)
    being the earlier one; near 1 for whole pictures. NaN where hardly anything moves.

    Each line is compared with its neighbours of the other field: those of the frame in time order are near to the
    line of one neighbouring frame and far from that of the other (the idea of FFmpeg's idet).
    """
    votes = []
    for before, now, after in zip(luma_FHW, luma_FHW[1:], luma_FHW[2:], strict=False):
        pair = now[:-2].astype(np.int16) + now[2:]
        past, future = (np.abs(pair - 2 * other[1:-1].astype(np.int16)).mean(axis=1) for other in (before, after))
        woven = np.abs(pair - 2 * now[1:-1].astype(np.int16)).mean(axis=1)
        odd, even = slice(0, None, 2), slice(1, None, 2)  # of the lines 1, 2, 3, ...
        top = past[even].sum() + future[odd].sum()
        bottom = past[odd].sum() + future[even].sum()
        moving = (max(top, bottom) - woven.sum()) / len(woven)
        votes.append(float((top + 1) / (bottom + 1)) if moving > _MOVING else float("nan"))
    return votes


def verdict(votes: Sequence[float]) -> str:
    """ "tff", "bff" or "" (whole pictures, or too little movement to tell) from leanings of `field_order`."""
    known = [vote for vote in votes if vote == vote]
    if len(known) < _MIN_VOTES:
        return ""
    for name, count in (("tff", sum(v > _LEANING for v in known)), ("bff", sum(v < 1 / _LEANING for v in known))):
        if count >= _MIN_SHARE * len(known):
            return name
    return ""


def could_be_interlaced(frame: Any, rate: Fraction | None) -> bool:
    """Is it worth looking: a size and rate of interlaced video, and no flags?"""
    return rate is not None and not frame.interlaced_frame and frame.height in HEIGHTS and RATES[0] <= rate <= RATES[1]


def unflagged_fields(container: Any, stream: Any) -> str:
    """Field order seen in a few places of an open file without interlace flags: "tff", "bff" or ""."""
    import av

    votes: list[float] = []
    start, length = container.start_time or 0, container.duration or 0
    for place in PLACES if length else PLACES[:1]:
        try:
            container.seek(int(start + place * length))
            stream.codec_context.flush_buffers()
            votes += field_order([_luma(picture) for picture in itertools.islice(_decoded(container, stream), RUN)])
        except av.FFmpegError:
            continue  # damage is found by reading, not here
    return verdict(votes)


def _decoded(container: Any, stream: Any) -> Iterator[Any]:
    for packet in container.demux(stream):
        if packet.size:
            yield from packet.decode()


def _luma(picture: Any) -> NDArray[np.uint8]:
    """Every line of the middle half, every second column: uint8 [H, W/4]."""
    gray = picture.reformat(format="gray", threads=1).to_ndarray()
    return gray[:, gray.shape[1] // 4 : gray.shape[1] * 3 // 4 : 2]


def _kind(picture: Any) -> tuple[int, int, str]:
    return picture.width, picture.height, picture.format.name


def _drained(graph: Any) -> Iterator[Any]:
    graph.vpush(None)
    yield from _pulled(graph)


def _bwdif(picture: Any, time_base: Fraction, fields: str) -> Any:
    import av

    graph = av.filter.Graph()
    graph.threads = 1
    source = graph.add_buffer(width=picture.width, height=picture.height, format=picture.format, time_base=time_base)
    which = f"parity={fields}:deint=all" if fields else "deint=interlaced"
    graph.link_nodes(source, graph.add("bwdif", f"mode=send_frame:{which}"), graph.add("buffersink"))
    graph.configure()
    return graph


def _pulled(graph: Any) -> Iterator[Any]:
    import av

    while True:
        try:
            yield graph.vpull()
        except (av.BlockingIOError, av.EOFError):
            return
