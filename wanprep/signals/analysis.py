"""The one decode of a source: every frame is looked at small, two a second at middle and at full size.

What is measured where is a matter of cost: at 1080p a full-resolution conversion costs as much as decoding the frame,
a 256 px one a tenth of it. OpenCV gets one thread meanwhile: at 256 px handing the work out costs more than doing it
(a third of all CPU time at 480p), and the decoder's threads fill the cores. Nothing is decided here.
"""

from __future__ import annotations

import contextlib
import math
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np

from wanprep.signals import compression, quality, shots
from wanprep.signals.lanes import Lanes
from wanprep.signals.spool import Spool
from wanprep.signals.store import Signals
from wanprep.signals.thumbs import Thumbs, encode
from wanprep.stage import Reject

SMALL_WIDTH = 256  # every frame
MAX_SMALL_HEIGHT = 1024  # of pictures many times taller than wide
MID_HEIGHT = 360  # of the luma that sharpness and smear are measured on
SAMPLE_RATE = 2  # pictures of middle and full size a second
LINE_SAMPLES = 480  # pixels of a line that a percentile is taken of, at least (all of them in shorter lines)


class Picture(Protocol):
    """What is asked of a decoded frame; `media.pixels.Frame` is one."""

    pts: int
    duration: int

    def bgr(self, width: int, height: int) -> np.ndarray: ...

    def gray(self, width: int, height: int) -> np.ndarray: ...

    def coded(self) -> tuple[float, bool]: ...  # media.quantiser.Coded


def small_size(width: int, height: int) -> tuple[int, int]:
    """(width, height) of the small picture of every frame: 256 wide, even and at least 16 high."""
    return SMALL_WIDTH, min(MAX_SMALL_HEIGHT, max(16, 2 * round(SMALL_WIDTH * height / width / 2)))


def analyse(
    frames: Iterable[Picture],
    *,
    time_base: Fraction,
    width: int,
    height: int,
    threads: int = 1,
    folder: Path | None = None,
) -> Signals:
    """Measure frames in presentation order; width, height: display size in pixels, time_base: seconds per pts unit.

    threads: more than 1 lets the meters work beside each other; the numbers are the same.
    folder: where what grows with the film is put aside (see `Spool`). Reject("no_frames") when there are none.
    Memory: about 100 bytes a frame.
    """
    with one_opencv_thread():
        tracks = _Shots(folder), _Quality(width, height), _Sampled(folder)
        pts, last_duration = array("q"), 0
        with Lanes([track.add for track in tracks], threads=threads > 1) as lanes:
            for look in _looks(frames, time_base, width, height):
                pts.append(look.pts)
                last_duration = max(0, look.duration)
                lanes.add(look)
    if not pts:
        raise Reject("no_frames", "not one frame could be decoded")
    of_shots, of_quality, sampled = tracks
    numbers = of_shots.numbers | of_quality.numbers
    frame = {name: np.frombuffer(values, np.float32) for name, values in numbers.items()}
    for name, values in sampled.traces.items():
        frame[name][sampled.at] = values
    small = small_size(width, height)
    return Signals(
        time_base=time_base,
        width=width,
        height=height,
        pts=np.frombuffer(pts, np.int64),
        last_duration=last_duration,
        frame=frame,
        sampled=np.array(sampled.at, np.int32),
        thumbs=Thumbs(sampled.thumbs, small[1], small[0]),
        row_p97=sampled.rows.whole().reshape(-1, height),
        col_p97=sampled.cols.whole().reshape(-1, width),
        extra={"tiny": of_shots.tiny.whole().reshape(-1, shots.TINY_HEIGHT, shots.TINY_WIDTH)},
    )


@dataclass(frozen=True, kw_only=True)
class _Look:
    """What is seen of one frame: small in colour and in luma; of a sampled one also luma of middle and of full size."""

    index: int
    pts: int
    duration: int
    seconds: float
    bgr: np.ndarray
    luma: np.ndarray
    mid: np.ndarray | None
    full: np.ndarray | None
    coded: tuple[float, bool] | None


def _looks(frames: Iterable[Picture], time_base: Fraction, width: int, height: int) -> Iterator[_Look]:
    import cv2

    small = small_size(width, height)
    mid = max(1, round(width * MID_HEIGHT / height)), MID_HEIGHT
    if height <= MID_HEIGHT:
        mid = width, height
    due = Due(SAMPLE_RATE)
    first: int | None = None
    for index, frame in enumerate(frames):
        first = frame.pts if first is None else first
        seconds = (frame.pts - first) * time_base
        bgr = frame.bgr(*small)
        full = frame.gray(width, height) if due(seconds) else None
        yield _Look(
            index=index,
            pts=frame.pts,
            duration=frame.duration,
            seconds=float(seconds),
            bgr=bgr,
            luma=cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY),
            mid=full if full is None or mid == (width, height) else frame.gray(*mid),
            full=full,
            coded=None if full is None else frame.coded(),
        )


class _Shots:
    """Every frame, against the one before."""

    def __init__(self, folder: Path | None) -> None:
        self._meter = shots.ShotMeter()
        self.numbers = {name: array("f") for name in shots.FIELDS}
        self.tiny = Spool(folder)

    def add(self, look: _Look) -> None:
        numbers, picture = self._meter.feed(look.bgr, look.luma)
        for name, values in self.numbers.items():
            values.append(numbers[name])
        self.tiny.add(picture.tobytes())


class _Quality:
    """Every frame, most of it on a few frames a second."""

    def __init__(self, width: int, height: int) -> None:
        self._meter = quality.QualityMeter(*small_size(width, height))
        self.numbers = {name: array("f") for name in quality.FIELDS}

    def add(self, look: _Look) -> None:
        numbers = self._meter.feed(look.seconds, look.luma, look.mid)
        for name, values in self.numbers.items():
            values.append(numbers[name])


class _Sampled:
    """Frames that are looked at in full size."""

    def __init__(self, folder: Path | None) -> None:
        self.at = array("i")
        self.thumbs, self.rows, self.cols = Spool(folder), Spool(folder), Spool(folder)
        self.traces: dict[str, array] = {}

    def add(self, look: _Look) -> None:
        if look.full is None:
            return
        self.at.append(look.index)
        self.thumbs.add(encode(look.bgr))
        self.rows.add(line_p97(look.full).tobytes())
        self.cols.add(line_p97(look.full, axis=0).tobytes())
        quantiser, smoothed = look.coded or (math.nan, True)
        for name, value in (compression.traces(look.full, smoothed) | {"quantiser": quantiser}).items():
            self.traces.setdefault(name, array("d")).append(value)


@contextlib.contextmanager
def one_opencv_thread() -> Iterator[None]:
    """OpenCV works in the calling thread inside the `with`; as before after it."""
    import cv2

    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


class Due:
    """True for the first frame and then for the first one in each further 1/rate of a second."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._slot = -1

    def __call__(self, seconds: Fraction) -> bool:
        slot = seconds.numerator * self._rate // seconds.denominator
        if slot <= self._slot:
            return False
        self._slot = slot
        return True


def line_p97(luma: np.ndarray, axis: int = 1) -> np.ndarray:
    """uint8[H, W] -> uint8[H], of axis 0 uint8[W]: 97th percentile (nearest rank) of each row (column).

    Of long lines every k-th pixel counts: a quarter of the work, and as exact across the lines as before. Found bit
    by bit for all lines at once, counting pixels: half the time of a partial sort of each.
    """
    import cv2

    step = line_step(luma.shape[axis])
    part_NL = cv2.transpose(np.ascontiguousarray(luma[:, ::step])) if axis else luma[::step]
    count = len(part_NL)
    above = count - max(0, int(np.ceil(0.97 * count)) - 1)  # pixels that are at least the percentile
    found, reach = np.zeros(part_NL.shape[1], np.uint8), np.empty(part_NL.shape, bool)
    for bit in (128, 64, 32, 16, 8, 4, 2, 1):
        tried = found | np.uint8(bit)
        np.greater_equal(part_NL, tried, out=reach)
        counts = cv2.reduce(reach.view(np.uint8), 0, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel()
        found = np.where(counts >= above, tried, found)
    return found


def line_step(length: int) -> int:
    """Every how manieth pixel of a line that long is looked at."""
    return max(1, length // LINE_SAMPLES)
