"""Interlaced pictures to whole ones, with FFmpeg's bwdif: a comb is no detail anyone wants to train on.

The filter looks at the frames before and after, so the first picture after a seek is a little less sharp than in a
decode from the start. Output times are in the filter's own time base, carried by each picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any


def progressive(pictures: Iterator[Any], time_base: Fraction) -> Iterator[Any]:
    """Deinterlace (one picture per frame) from the first frame flagged interlaced on; what is whole passes unchanged.

    A stream that changes its size or format midway gets a new filter: the old one would refuse or distort.
    """
    graph, kind = None, None
    for picture in pictures:
        if graph is not None and kind != _kind(picture):
            yield from _drained(graph)
            graph = None
        if graph is None and picture.interlaced_frame:
            graph, kind = _bwdif(picture, time_base), _kind(picture)
        if graph is None:
            yield picture
            continue
        graph.vpush(picture)
        yield from _pulled(graph)
    if graph is not None:
        yield from _drained(graph)


def _kind(picture: Any) -> tuple[int, int, str]:
    return picture.width, picture.height, picture.format.name


def _drained(graph: Any) -> Iterator[Any]:
    graph.vpush(None)
    yield from _pulled(graph)


def _bwdif(picture: Any, time_base: Fraction) -> Any:
    import av

    graph = av.filter.Graph()
    graph.threads = 1
    source = graph.add_buffer(width=picture.width, height=picture.height, format=picture.format, time_base=time_base)
    graph.link_nodes(source, graph.add("bwdif", "mode=send_frame:deint=interlaced"), graph.add("buffersink"))
    graph.configure()
    return graph


def _pulled(graph: Any) -> Iterator[Any]:
    import av

    while True:
        try:
            yield graph.vpull()
        except (av.BlockingIOError, av.EOFError):
            return
