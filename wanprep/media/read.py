"""Reading: every frame of a span, in presentation order, with its true timestamp.

The pitfalls this settles: a span is found by timestamps, never by counting; a seek may land late (open GOPs, sparse
indexes), so the first picture after it is checked and the file decoded from its start when it came too late; a
stream that breaks off, or changes the shape of its picture, keeps its good part and says so, and so does one with
damage in the middle, which goes on at the next keyframe; interlaced frames are
deinterlaced with bwdif. Nothing is dropped without being counted.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Generator, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from wanprep.media.chain import BREAK, Chain
from wanprep.media.clock import BROADCAST, Clock, rescaled
from wanprep.media.container import check_file, open_container
from wanprep.media.decoder import beheaded, decoder, lone, undecodable
from wanprep.media.flow import Flow
from wanprep.media.interlace import progressive
from wanprep.media.pixels import Converter, Frame, Shape, still_frame
from wanprep.media.probe import Probe
from wanprep.media.seek import TRUE_PTS, from_clean_start, may_seek, seek
from wanprep.media.shapes import OneShape
from wanprep.stage import Reject

# Whose decoders know surely which pictures no other one needs (in HEVC those of a higher layer may).
UNREFERENCED = ("h264", "mpeg4", "mpeg2video", "mpeg1video")
LEAD_S = Fraction(1, 2)  # before a span all pictures are decoded: deinterlacing looks at those beside one
_MAX_LAST_S = 60


def open_video(path: Path, probe: Probe, *, threads: int = 1) -> VideoReader:
    """A reader for `path` (context manager). `probe` must come from the same bytes. threads: decoder threads, >= 1."""
    if threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}: the decoder's own choice is not reproducible")
    return VideoReader(path, probe, threads)


class VideoReader:
    """Frames of one source. After `frames()` is exhausted:

    truncated: "" or why the stream ended early (its good part was delivered), or what of it has another shape;
    holes: pts of the first frame after each place where damaged pictures were left out;
    encrypted: some were encrypted, not damaged;
    dropped: frames left out because their timestamp was not later than the one before;
    repaired: frames whose missing timestamp was inferred;
    splices: jumps of the clock that were carried on over;
    skipped: packets before the first picture that could not be decoded (a recording cut anywhere).
    """

    def __init__(self, path: Path, probe: Probe, threads: int = 1) -> None:
        self.path, self.probe, self.threads = path, probe, threads
        self._converter = Converter(Shape.of(probe))
        self._containers: list[Any] = []
        self._reset()

    def _reset(self) -> None:
        self.truncated = self.reshaped = self._refused = ""
        self.holes: list[int] = []
        self.encrypted = False
        self._packets = self.dropped = self.repaired = self.splices = self.skipped = 0

    def counts(self) -> dict[str, int]:
        """What was repaired or left out, for the facts of a source."""
        counted = {"frames_dropped": self.dropped, "pts_repaired": self.repaired}
        return counted | {"clock_splices": self.splices, "packets_skipped": self.skipped}

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
        Reject("no_frames"): of the whole file not one picture can be decoded.
        """
        self._reset()
        if self.probe.kind == "image":
            yield from self._still(start_pts, end_pts)
            return
        if self.probe.container in ("png", "webp"):
            yield from self._animation(start_pts, end_pts)
            return
        held: tuple[Any, int] | None = None
        gap = longest = 0
        for picture, pts in self._pictures(start_pts):
            if held is not None:
                gap = pts - held[1]
                longest = max(longest, gap)
                if start_pts is None or held[1] >= start_pts:
                    yield Frame(held[0], self._converter, held[1], gap)
            held = (picture, pts)
            if end_pts is not None and pts >= end_pts:
                return
        self.truncated = "; ".join(filter(None, (self.truncated, self.reshaped)))
        if held is None:
            if start_pts is None and self.truncated:
                raise Reject("no_frames", self.truncated)
            return
        if start_pts is None and not gap:
            self.truncated = self.truncated or lone(self._packets)
        if start_pts is None or held[1] >= start_pts:
            yield Frame(held[0], self._converter, held[1], self._last_duration(held[0], gap, longest))

    def _last_duration(self, picture: Any, gap: int, longest: int) -> int:
        """What the file says, unless it is known not to or claims what no other frame comes near to."""
        said = rescaled(picture.duration or 0, picture, self.probe.time_base) or 0
        if self.probe.container == "avi" or (said * self.probe.time_base > _MAX_LAST_S and said > 4 * longest):
            said = 0
        return said or gap or _nominal(self.probe)

    def _still(self, start_pts: int | None, end_pts: int | None) -> Iterator[Frame]:
        from wanprep.media.stills import read_still

        if (start_pts is None or start_pts <= 0) and (end_pts is None or end_pts > 0):
            yield still_frame(read_still(self.path))

    def _animation(self, start_pts: int | None, end_pts: int | None) -> Iterator[Frame]:
        from wanprep.media.animation import pictures

        count = 0
        try:
            for rgb, pts, duration in pictures(self.path):
                count += 1
                if end_pts is not None and pts >= end_pts:
                    return
                if start_pts is None or pts >= start_pts:
                    yield still_frame(rgb, pts, duration)
        except Reject as broken:
            if not count:
                raise
            self.truncated = broken.detail

    def _pictures(self, start_pts: int | None) -> Iterator[tuple[Any, int]]:
        """Pictures from at or before start_pts on: after a seek where that is safe, else from the start.

        Where a stream breaks, how much comes out before depends on the number of decoder threads and on where
        decoding began, so a break is gone over again from the start with one (same bytes, same frames), and then the
        stream goes on behind it.
        """
        last: int | None = None
        for seek_pts, threads in self._ways(start_pts):
            pictures = self._decode(seek_pts, threads)
            with contextlib.closing(pictures):
                first = next(pictures, None)
                if seek_pts is not None and (first is None or first[1] > seek_pts):
                    continue
                for picture, pts in itertools.chain([first] if first else [], pictures):
                    if last is None or pts > last:
                        last = pts
                        yield picture, pts
            if last is None and self.skipped:  # several threads may refuse what one decodes
                self.truncated = self.truncated or undecodable(self.skipped, self._refused)
            if not self.truncated:
                return

    def _ways(self, start_pts: int | None) -> list[tuple[int | None, int]]:
        """(where to seek to or None for the start, decoder threads), to be tried in turn."""
        ways: list[tuple[int | None, int]] = [(None, threads) for threads in dict.fromkeys((self.threads, 1))]
        if start_pts is None or start_pts <= self.probe.start_pts or not may_seek(self.path, self.probe):
            return ways
        return [(start_pts, self.threads), *ways]

    def _decode(self, seek_pts: int | None, threads: int) -> Generator[tuple[Any, int]]:
        """Decode from the keyframe before seek_pts (None: the start). Ends at once when seeking cannot be trusted."""
        self._reset()
        container = open_container(self.path)
        self._containers.append(container)
        try:
            stream = container.streams[self.probe.stream_index]
            true_pts = self.probe.container in TRUE_PTS and not self.probe.decode_order
            context = decoder(stream, threads=threads, drains=seek_pts is None and true_pts)
            if seek_pts is not None and not seek(container, stream, seek_pts):
                return
            gif = self.probe.container == "gif"
            mends = seek_pts is None and threads == 1 and not gif
            needless = self._needless(seek_pts) if context.name in UNREFERENCED else None
            chain = Chain(self.path, self.probe.container) if seek_pts is None else None
            flow = Flow(self.path, container, stream, context, mends=mends, needless=needless, chain=chain)
            pictures = self._gif(flow) if gif else flow.pictures()
            if seek_pts is not None:
                pictures = from_clean_start(pictures)
            try:
                timed = self._shaped(self._timed(pictures, seek_pts, flow), context)
                for picture in progressive(timed, self.probe):
                    yield picture, rescaled(picture.pts, picture, self.probe.time_base) or 0
            finally:
                self.skipped, self._refused = flow.skipped, flow.refused
                self.encrypted, self._packets = flow.encrypted, flow.packets
            broken = beheaded(flow.skipped, flow.refused) if flow.beheaded and seek_pts is None else flow.late
            self.truncated = "; ".join(filter(None, (broken, self.truncated or flow.truncated)))
        finally:
            container.close()
            if container in self._containers:
                self._containers.remove(container)

    def _gif(self, flow: Flow) -> Iterator[Any]:
        from wanprep.media.animation import shown_as_in_browsers

        return shown_as_in_browsers(_without_broken_end(flow), self.probe.time_base)

    def _needless(self, seek_pts: int | None) -> int | None:
        """Pictures before this pts are only decoded for those that refer to them."""
        if seek_pts is None or self.probe.container not in TRUE_PTS:
            return None
        return seek_pts - round(LEAD_S / self.probe.time_base)

    def _timed(self, pictures: Iterator[Any], seek_pts: int | None, flow: Flow) -> Iterator[Any]:
        """Pictures that carry their true time."""
        name = self.probe.container
        clock = Clock(
            time_base=self.probe.time_base,
            step=_nominal(self.probe),
            by_packet=name == "avi" or self.probe.decode_order,
            repairs=name not in TRUE_PTS,
            broadcast=name in BROADCAST,
            infers=seek_pts is None,
        )
        breaks = _Breaks(pictures, flow)
        for picture, pts in clock.timed(breaks.watched()):
            self.dropped, self.repaired, self.splices = clock.dropped, clock.repaired, clock.splices
            picture.pts, picture.time_base = pts, self.probe.time_base
            if breaks.before(picture):
                self.holes.append(pts)
            yield picture
        self.dropped, self.repaired, self.splices = clock.dropped, clock.repaired, clock.splices
        self.truncated = clock.ended or self.truncated

    def _shaped(self, pictures: Iterator[Any], context: Any) -> Iterator[Any]:
        """Those of one shape."""
        known = (self.probe.coded_width, self.probe.coded_height, self.probe.sar)
        shape = OneShape(known if self.probe.container in BROADCAST else None)
        for picture in shape.pictures(pictures, context):
            if shape.resumed:
                self.holes.append(picture.pts)
                shape.resumed = False
            yield picture
        self.reshaped = shape.left_out()


class _Breaks:
    """Which pictures come after a hole, though the clock looks at the ones behind before it gives them on."""

    def __init__(self, pictures: Iterator[Any], flow: Flow) -> None:
        self._pictures, self._flow = pictures, flow
        self._numbers: dict[int, int] = {}  # of pictures that the clock has, by identity
        self._pending: list[int] = []  # numbers of pictures that come after a hole

    def watched(self) -> Iterator[Any]:
        for number, picture in enumerate(self._pictures):
            self._numbers[id(picture)] = number
            if self._flow.hole:
                self._flow.hole = False
                self._pending.append(number)
            yield picture

    def before(self, picture: Any) -> bool:
        """Is there a hole between this picture and the one given before? (Ones between them may have been left out.)"""
        number = self._numbers.pop(id(picture))
        passed = [pending for pending in self._pending if pending <= number]
        self._pending = self._pending[len(passed) :]
        return bool(passed)


def _without_broken_end(flow: Flow) -> Iterator[Any]:
    """The GIF decoder shows the last picture of a cut file half drawn, without a word."""
    held = None
    for picture in flow.pictures():
        if held is not None:
            yield held
        held = picture
    if held is not None and flow.truncated in ("", BREAK):
        yield held


def _nominal(probe: Probe) -> int:
    """One frame's length by the header's rate, at least 1 unit: only where nothing better is known."""
    return max(1, round(1 / (probe.header_rate * probe.time_base))) if probe.header_rate else 1
