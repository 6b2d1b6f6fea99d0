"""One rising clock for the pictures of a stream, whatever its container wrote beside them.

Recordings restart their clock, lose it over a gap, or wrap at 33 bits (MPEG-TS, 26.5 hours); AVI stores no
presentation times at all, and what is computed for its reordered pictures is wrong (measured: a third of the frames
of an H.264 AVI come out of order), while the time of the packet that released a picture is right up to a constant.
Nothing here reads a file: pictures in, times out, and every repair is counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

# A step back of more than this is a splice (a recording that restarts its clock), not a repeated frame.
SPLICE_S = Fraction(1)
# A leap of more than this, ahead or back, is only believed when the next picture is behind it, too: a single wrong time
# would end a source, or make it stand still for so long.
LEAP_S = Fraction(1)
# Broadcast clocks do not stand still for that long: what follows belongs to another clock (as the ffmpeg program has
# it). In other containers a long pause is a pause.
PAUSE_S = Fraction(10)
BROADCAST = ("mpegts", "mpeg")
MAX_SPAN_S = Fraction(100 * 3600)  # no source lasts longer; beyond it timestamps are nonsense


@dataclass(kw_only=True)
class Clock:
    """Times of one stream's pictures in `time_base` units, strictly increasing.

    step: one frame's length by the header's rate. by_packet: take the packet's time (AVI), not the picture's.
    repairs: a clock that jumps is carried on; False: the stream ends there. broadcast: a pause of over PAUSE_S is a
    jump too. infers: the very first picture may lack a
    time (it is 0 then; False after a seek, where nothing is known about it).

    dropped: pictures left out because their time fits in neither with the one before nor with the next.
    repaired: missing times filled in. splices: jumps carried on over. ended: "" or why the rest was not read.
    """

    time_base: Fraction
    step: int
    by_packet: bool = False
    repairs: bool = False
    broadcast: bool = False
    infers: bool = True
    dropped: int = 0
    repaired: int = 0
    splices: int = 0
    ended: str = ""
    _offset: int = 0
    _first: int | None = None
    _last: int | None = None
    _gap: int = 0
    _doubtful: Any = field(default=None, repr=False)
    _standing: int = 0  # pictures since the last one with its very time

    def timed(self, pictures: Iterator[Any]) -> Iterator[tuple[Any, int]]:
        """Each picture with its time; stops with `ended` set where the clock cannot be followed."""
        for picture in self._without_strays(pictures):
            pts = self._time_of(picture)
            if pts is None:
                return
            for good, time in self._place(picture, pts):
                if self._first is None:
                    self._first = time
                if (time - self._first) * self.time_base > MAX_SPAN_S:
                    self.ended = f"timestamps jump from {self._last} to {time}, over {MAX_SPAN_S // 3600} hours"
                    return
                self._gap = time - self._last if self._last is not None else 0
                self._last = time
                yield good, time
            if self.ended:
                return
        self.dropped += self._doubtful is not None
        if self._standing > 1:
            self.ended = f"timestamps stand still at {self._last}: {self._standing} pictures were left out"

    def _without_strays(self, pictures: Iterator[Any]) -> Iterator[Any]:
        """Leaves out single pictures whose time is far from those before and after them."""
        last: int | None = None
        leaping: tuple[Any, int] | None = None
        for picture in pictures:
            time = self._said(picture)
            if leaping is not None and last is not None:
                if time is not None and time > last and not last < leaping[1] <= time:
                    self.dropped += 1
                else:
                    yield leaping[0]
                    last = leaping[1]
                leaping = None
            if time is not None and last is not None and abs(time - last) * self.time_base > LEAP_S:
                leaping = picture, time
                continue
            yield picture
            last = last if time is None else time
        if leaping is not None:
            yield leaping[0]

    def _said(self, picture: Any) -> int | None:
        return rescaled(picture.dts if self.by_packet else picture.pts, picture, self.time_base)

    def _time_of(self, picture: Any) -> int | None:
        """The picture's time by the file, inferred where it is missing; None when it cannot be known."""
        pts = self._said(picture)
        if pts is None and self._last is None and not self.infers:
            return None
        if pts is None:
            packet_time = rescaled(picture.dts, picture, self.time_base)
            self.repaired += not (self.by_packet and self._last is not None)  # the last ones have no packet: normal
            pts = packet_time
            if pts is None or (self._last is not None and pts + self._offset <= self._last):
                length = self._gap if self.by_packet else rescaled(picture.duration or 0, picture, self.time_base)
                pts = 0 if self._last is None else self._last - self._offset + (length or self.step)
        return pts

    def _place(self, picture: Any, raw: int) -> list[tuple[Any, int]]:
        """The pictures that are certain now: a step back is only understood with the picture after it."""
        pts, last, doubtful = raw + self._offset, self._last, self._doubtful
        if pts == last and not self.repairs:  # several pictures of one moment: it is the first that is shown
            self.dropped, self._standing = self.dropped + 1, self._standing + 1
            return []
        self._doubtful, self._standing = None, 0
        if doubtful is not None:
            assert last is not None, "a doubtful picture came after another one"
            if pts > last:  # a single picture out of order
                self.dropped += 1
            elif not self._splice(last, doubtful[1] + self._offset):
                return []
            else:
                resumed = doubtful[1] + self._offset
                self._last = resumed
                return [(doubtful[0], resumed), *self._place(picture, raw)]
        if last is None or 0 < pts - last <= self._pause():
            return [(picture, pts)]
        if pts <= last and (last - pts) * self.time_base <= SPLICE_S:
            self._doubtful = picture, raw
            return []
        return [(picture, raw + self._offset)] if self._splice(last, pts) else []

    def _pause(self) -> Fraction | float:
        return PAUSE_S / self.time_base if self.broadcast else float("inf")

    def _splice(self, last: int, pts: int) -> bool:
        """Carry the clock on over a jump: what comes next follows one step after what was last."""
        if not self.repairs:
            self.ended = f"timestamps jump back from {last} to {pts}: the rest was not read"
            return False
        self.splices += 1
        self._offset += last + self.step - pts
        return True


def rescaled(value: int | None, picture: Any, time_base: Fraction) -> int | None:
    """A picture's time in the stream's units (bwdif counts in half units)."""
    if value is None or picture.time_base in (None, time_base):
        return value
    return round(value * picture.time_base / time_base)
