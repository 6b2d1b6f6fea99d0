"""Reading: every frame of a span, in presentation order, with its true timestamp.

The pitfalls this settles: a span is found by timestamps, never by counting; a seek may land late (open GOPs, sparse
indexes), so the first picture after it is checked and the file decoded from its start when it came too late; a
stream that breaks midway keeps its good part and says so; interlaced frames are deinterlaced with bwdif. Nothing is
dropped without being counted.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Generator, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from wanprep.media.interlace import progressive
from wanprep.media.pixels import Converter, Frame, Shape, still_frame
from wanprep.media.probe import Probe, check_file, open_container
from wanprep.media.wholeness import missing_bytes
from wanprep.stage import Reject

# Containers that store a true pts for each picture, so that it does not matter where decoding begins or how many
# frames the decoder holds. In the others a pts may have to be repaired from what came before.
_TRUE_PTS = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")
# A step back of more than this is a splice (a recording that restarts its clock), not a repeated frame.
_SPLICE_S = Fraction(1)
_MAX_BAD_STARTS = 500  # packets without a picture that a recording cut anywhere may begin with


def open_video(path: Path, probe: Probe, *, threads: int = 1) -> VideoReader:
    """A reader for `path` (context manager). `probe` must come from the same bytes. threads: decoder threads, >= 1."""
    if threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}: the decoder's own choice is not reproducible")
    return VideoReader(path, probe, threads)


class VideoReader:
    """Frames of one source. After `frames()` is exhausted:

    truncated: "" or why the stream ended early (its good part was delivered);
    dropped: frames left out because their timestamp was not later than the one before;
    repaired: frames whose missing timestamp was inferred;
    skipped: packets before the first picture that could not be decoded (a recording cut anywhere).
    """

    def __init__(self, path: Path, probe: Probe, threads: int = 1) -> None:
        self.path, self.probe, self.threads = path, probe, threads
        self.truncated = ""
        self.dropped = 0
        self.repaired = 0
        self.skipped = 0
        self._converter = Converter(Shape.of(probe))
        self._containers: list[Any] = []

    def __enter__(self) -> VideoReader:
        check_file(self.path)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        while self._containers:
            self._containers.pop().close()

    def frames(self, start_pts: int | None = None, end_pts: int | None = None) -> Generator[Frame]:
        """Frames with start_pts <= pts < end_pts (time_base units; None: no limit), strictly increasing pts.

        duration is the distance to the next frame; for the last one what the file says, else the distance before.
        """
        self.truncated, self.dropped, self.repaired, self.skipped = "", 0, 0, 0
        if self.probe.kind == "image":
            yield from self._still(start_pts, end_pts)
            return
        held: tuple[Any, int] | None = None
        gap = 0
        for picture, pts in self._pictures(start_pts):
            if held is not None:
                gap = pts - held[1]
                if start_pts is None or held[1] >= start_pts:
                    yield Frame(held[0], self._converter, held[1], gap)
            held = (picture, pts)
            if end_pts is not None and pts >= end_pts:
                return
        if held is not None and (start_pts is None or held[1] >= start_pts):
            last = _duration(held[0], self.probe.time_base) or gap or _nominal(self.probe)
            yield Frame(held[0], self._converter, held[1], last)

    def _still(self, start_pts: int | None, end_pts: int | None) -> Iterator[Frame]:
        from wanprep.media.stills import read_still

        if (start_pts is None or start_pts <= 0) and (end_pts is None or end_pts > 0):
            yield still_frame(read_still(self.path))

    def _pictures(self, start_pts: int | None) -> Iterator[tuple[Any, int]]:
        """Pictures from at or before start_pts on. Where a stream breaks, how much comes out before depends on the
        number of decoder threads, so a break met with several is gone over again with one: same bytes, same frames.
        """
        last: int | None = None
        for threads in dict.fromkeys((self.threads, 1)):
            for picture, pts in self._sought(start_pts, threads):
                if last is None or pts > last:
                    last = pts
                    yield picture, pts
            if not self.truncated:
                return

    def _sought(self, start_pts: int | None, threads: int) -> Iterator[tuple[Any, int]]:
        """Pictures from at or before start_pts on; seeks when that is safe, else decodes from the start."""
        if start_pts is not None and start_pts > self.probe.start_pts:
            with contextlib.closing(self._decode(start_pts, threads)) as pictures:
                first = next(pictures, None)
                if first is not None and first[1] <= start_pts:
                    yield first
                    yield from pictures
                    return
        yield from self._decode(None, threads)

    def _decode(self, seek_pts: int | None, threads: int) -> Generator[tuple[Any, int]]:
        """Decode from the keyframe before seek_pts (None: the start). Ends at once when seeking cannot be trusted."""
        self.truncated, self.dropped, self.repaired, self.skipped = "", 0, 0, 0
        container = open_container(self.path)
        self._containers.append(container)
        try:
            stream = container.streams[self.probe.stream_index]
            true_pts = container.format.name in _TRUE_PTS
            stream.codec_context.thread_count = threads
            # Frame threads hold pictures back, which breaks early exits and inferred timestamps (PyAV #1849, #1861).
            drains = seek_pts is None and true_pts and threads > 1
            stream.codec_context.thread_type = "AUTO" if drains else "SLICE"
            if seek_pts is not None and not _seek(container, stream, seek_pts):
                return
            pictures = self._flow(container, stream)
            if seek_pts is not None:
                pictures = _from_clean_start(pictures)
            yield from self._timed(progressive(pictures, self.probe.time_base), seek_pts is None)
        finally:
            container.close()
            if container in self._containers:
                self._containers.remove(container)

    def _flow(self, container: Any, stream: Any) -> Iterator[Any]:
        """Raw pictures until the stream ends or breaks; on a break the decoder's finished pictures still come out."""
        import av

        delivered = bad = 0
        packet = None
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    self.truncated = self._cut_short()
                    return
                if packet.is_corrupt and container.format.name in _TRUE_PTS:  # cut short: a decoder may invent the rest
                    self.truncated = "a packet is cut short"
                    yield from self._finished(stream, packet)
                    return
                pictures = packet.decode()
            except av.FFmpegError as error:
                if isinstance(error, av.EOFError):
                    self.truncated = self._cut_short()
                    return
                if isinstance(error, OSError):
                    raise
                bad += 1
                if not delivered and bad <= _MAX_BAD_STARTS:
                    self.skipped = bad
                    continue  # a recording cut anywhere begins with pictures that refer to missing ones
                self.truncated = str(error.strerror or error)
                yield from self._finished(stream, packet)
                return
            delivered += len(pictures)
            yield from pictures

    def _finished(self, stream: Any, broken: Any) -> list[Any]:
        """Pictures still inside the decoder when a packet is broken; later ones would leave a hole before them."""
        import av

        if stream.codec_context.thread_count > 1 or broken is None or broken.pts is None:
            return []
        try:
            pictures = stream.codec_context.decode(None)
        except av.FFmpegError:
            return []
        return [picture for picture in pictures if picture.pts is not None and picture.pts < broken.pts]

    def _cut_short(self) -> str:
        missing = missing_bytes(self.path)
        return f"the file ends {missing} bytes before its container does" if missing else ""

    def _timed(self, pictures: Iterator[Any], may_infer: bool) -> Iterator[tuple[Any, int]]:
        """Give each picture its pts; drop and count what does not come later than the one before.

        A missing pts is taken from the packet's dts (which without frame threads is the presentation time), else
        from the picture before plus its duration. After a seek nothing is inferred for the first picture: ends.
        """
        time_base = self.probe.time_base
        last: int | None = None
        step = _nominal(self.probe)
        for picture in pictures:
            pts = _rescaled(picture.pts, picture, time_base)
            if pts is None:
                if last is None and not may_infer:
                    return
                self.repaired += 1
                pts = _rescaled(picture.dts, picture, time_base)
                if pts is None or (last is not None and pts <= last):
                    pts = 0 if last is None else last + (_duration(picture, time_base) or step)
            if last is not None and pts <= last:
                if (last - pts) * time_base > _SPLICE_S:
                    self.truncated = f"timestamps jump back from {last} to {pts}: the rest was not read"
                    return
                self.dropped += 1
                continue
            last = pts
            yield picture, pts


def first_frame(container: Any, stream: Any) -> tuple[Any, int]:
    """The first picture that decodes and its pts. Reject: no_frames."""
    import av

    stream.codec_context.thread_count = 1
    bad, why = 0, "the stream holds no pictures"
    packets = container.demux(stream)
    while bad <= _MAX_BAD_STARTS:
        try:
            packet = next(packets, None)
            pictures = packet.decode() if packet is not None else []
        except av.FFmpegError as error:
            if isinstance(error, OSError) and not isinstance(error, av.EOFError):
                raise
            bad, why = bad + 1, str(error.strerror or error)
            continue
        if packet is None:
            break
        if pictures:
            pts = pictures[0].pts if pictures[0].pts is not None else pictures[0].dts
            return pictures[0], pts or 0
    raise Reject("no_frames", why)


def _seek(container: Any, stream: Any, pts: int) -> bool:
    import av

    try:
        container.seek(pts, stream=stream, backward=True)
    except av.FFmpegError:
        return False
    return True


def _from_clean_start(pictures: Iterator[Any]) -> Iterator[Any]:
    """Skip what a decoder shows after a seek before its first complete picture."""
    return itertools.dropwhile(lambda picture: not picture.key_frame or picture.is_corrupt, pictures)


def _rescaled(value: int | None, picture: Any, time_base: Fraction) -> int | None:
    """A picture's time in the stream's units (bwdif counts in half units)."""
    if value is None or picture.time_base in (None, time_base):
        return value
    return round(value * picture.time_base / time_base)


def _duration(picture: Any, time_base: Fraction) -> int:
    return _rescaled(picture.duration or 0, picture, time_base) or 0


def _nominal(probe: Probe) -> int:
    """One frame's length by the header's rate, at least 1 unit: only where nothing better is known."""
    return max(1, round(1 / (probe.header_rate * probe.time_base))) if probe.header_rate else 1
