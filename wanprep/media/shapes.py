"""One shape a source: where a stream changes its shape, what is in another one is left out, not shown distorted.

Television does it: the last minutes of a 4:3 programme before a 16:9 film, advertisements between its parts. Which
shape is that of the film is looked for in a few places of a broadcast; elsewhere it is that of the first picture.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

from wanprep.media.container import open_container

Drawn = tuple[int, int, Fraction]  # width and height of the decoded picture, shape of its pixels
PLACES = (0.1, 0.3, 0.5, 0.7, 0.9)  # shares of a file's bytes
_TOLERANCE = 0.01
_MAX_PACKETS = 300  # at each place, until a picture comes


def drawn(picture: Any, sar: Fraction | None) -> Drawn:
    return picture.width, picture.height, sane_sar(sar)


def sane_sar(sar: Fraction | None) -> Fraction:
    """Pixel shape; 1 when unknown or absurd (beyond 8:1, which no real format uses)."""
    return Fraction(sar) if sar and Fraction(1, 8) <= sar <= 8 else Fraction(1)


def alike(one: Drawn, other: Drawn) -> bool:
    return one == other or abs(_aspect(one) / _aspect(other) - 1) <= _TOLERANCE


@lru_cache(maxsize=256)
def usual(path: Path, size: int, mtime_ns: int, stream_index: int, first: Drawn) -> Drawn:
    """The shape that a broadcast has in most places; `first` unless another one has more. Remembered, since every
    clip asks again."""
    seen: Counter[Drawn] = Counter()
    with open_container(path) as container:
        stream: Any = container.streams[stream_index]
        for place in PLACES:
            here = _at(container, stream, int(place * size))
            if here is not None:
                seen[next((known for known in (first, *seen) if alike(known, here)), here)] += 1
    best = max(seen, key=lambda shape: (seen[shape], shape == first), default=first)
    return best if seen[best] > seen[first] else first


def _at(container: Any, stream: Any, byte: int) -> Drawn | None:
    """Of the first picture after a byte: the clock of a broadcast may jump."""
    import av

    try:
        container.seek(byte, unsupported_byte_offset=True)
        stream.codec_context.flush_buffers()
        for _, packet in zip(range(_MAX_PACKETS), container.demux(stream), strict=False):
            pictures = packet.decode() if packet.size else []
            if pictures:
                return drawn(pictures[-1], stream.codec_context.sample_aspect_ratio)
    except av.FFmpegError:
        pass  # damage is found by reading, not here
    return None


class OneShape:
    """Passes the pictures of a stream that have its shape (None: that of the first) and counts the others.

    resumed: set where pictures before the one just given were left out; whoever sees it sets it back.
    """

    def __init__(self, shape: Drawn | None) -> None:
        self._shape = shape
        self._others: Counter[str] = Counter()
        self.resumed = False

    def pictures(self, timed: Iterator[Any], context: Any) -> Iterator[Any]:
        given = skipping = False
        for picture in timed:
            now = drawn(picture, context.sample_aspect_ratio)
            self._shape = self._shape or now
            if not alike(now, self._shape):
                self._others[_text(now)] += 1
                skipping = True
                continue
            self.resumed = skipping and given
            given, skipping = True, False
            yield picture

    def left_out(self) -> str:
        """What to tell of pictures in other shapes; "" when there were none."""
        others = ", ".join(f"{count} of {shape}" for shape, count in self._others.items())
        return (
            f"pictures of another shape than {_text(self._shape)} were left out: {others}"
            if self._shape and others
            else ""
        )


def _aspect(shape: Drawn) -> Fraction:
    return Fraction(shape[0], shape[1]) * shape[2]


def _text(shape: Drawn) -> str:
    return f"{shape[0]}x{shape[1]}" + (f" ({shape[2].numerator}:{shape[2].denominator})" if shape[2] != 1 else "")
