"""The one decode of a source: every frame is looked at small, two a second at middle and at full size.

What is measured where is a matter of cost: at 1080p a full-resolution conversion costs as much as decoding the frame,
a 256 px one a tenth of it. OpenCV gets one thread meanwhile: at 256 px handing the work out costs more than doing it
(a third of all CPU time at 480p), and the decoder's threads fill the cores. Nothing is decided here.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from array import array
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from wanprep.signals import barred, lanes, shots
from wanprep.signals.bars import Crop
from wanprep.signals.spool import aside
from wanprep.signals.store import Signals
from wanprep.signals.thumbs import Thumbs
from wanprep.signals.tracks import Look, Quality, Sampled, Shots, columns, qualities
from wanprep.stage import Reject

SMALL_WIDTH = 256  # every frame
MAX_SMALL_HEIGHT = 1024  # of pictures many times taller than wide
MID_HEIGHT = 360  # of the luma that sharpness and smear are measured on
MIN_SIDE = 9  # pixels between which smear finds steps over 8
SAMPLE_RATE = 2  # pictures of middle and full size a second
NOISE_RATE = 1  # of these, how many a second noise is measured on: the costliest number, which hardly changes
MANY = 400  # frames that are worth the start of processes
FREE = 3  # threads with which they pay: two cores are filled by the decoder and one thread that measures


class Picture(Protocol):
    """What is asked of a decoded frame; `media.pixels.Frame` is one."""

    pts: int
    duration: int

    def bgr(self, width: int, height: int) -> np.ndarray: ...

    def gray(self, width: int, height: int) -> np.ndarray: ...

    def coded(self, crop: Crop | None = None) -> tuple[float, bool, float]: ...  # media.quantiser.Coded


def small_size(width: int, height: int) -> tuple[int, int]:
    """(width, height) of the small picture of every frame: 256 wide, even and at least 16 high."""
    return SMALL_WIDTH, min(MAX_SMALL_HEIGHT, max(16, 2 * round(SMALL_WIDTH * height / width / 2)))


def mid_size(width: int, height: int) -> tuple[int, int]:
    """(width, height) of the middle-sized luma: MID_HEIGHT high, or the picture's own size if that is less; of narrow
    strips MIN_SIDE wide."""
    if height <= MID_HEIGHT:
        return width, height
    wide = round(width * MID_HEIGHT / height)
    return (wide, MID_HEIGHT) if wide >= MIN_SIDE else (MIN_SIDE, round(height * MIN_SIDE / width))


def analyse(
    frames: Iterable[Picture],
    *,
    time_base: Fraction,
    width: int,
    height: int,
    threads: int = 1,
    expected: int = 0,
    folder: Path | None = None,
) -> Signals:
    """Measure frames in presentation order; width, height: display size in pixels, time_base: seconds per pts unit.

    threads: from FREE on the meters work beside each other, in processes; the numbers are the same. expected: about
    how many frames there will be (0: unknown), which only decides whether processes are worth their start.
    folder: where what grows with the film is put aside (see `Spool`). Reject: no_frames, too_small (under MIN_SIDE).
    Memory: about 20 bytes a frame.
    """
    if min(width, height) < MIN_SIDE:
        raise Reject("too_small", f"{width}x{height}: a side of a picture needs {MIN_SIDE} pixels to be measured")
    small = small_size(width, height)
    tracks = Shots(folder), Quality(small, (0, 2), folder), Quality(small, (1, 2), folder), Sampled(folder)
    pts, last_duration = array("q"), 0
    with one_opencv_thread(), _beside(threads, expected, width, height) as lane:
        lane.begin([track.meter for track in tracks], [track.keep for track in tracks])
        for look in _looks(frames, time_base, width, height):
            pts.append(look.pts)
            last_duration = max(0, look.duration)
            lane.add(look)
        lane.end()
    if not pts:
        raise Reject("no_frames", "not one frame could be decoded")
    of_shots, *of_quality, sampled = tracks
    of_frames = columns(of_shots.numbers, shots.FIELDS).items()
    frame = aside(itertools.chain(qualities(of_quality, sampled), of_frames), folder)
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


def _looks(frames: Iterable[Picture], time_base: Fraction, width: int, height: int) -> Iterator[Look]:
    import cv2

    small, mid = small_size(width, height), mid_size(width, height)
    due, noise_due = Due(SAMPLE_RATE), Due(NOISE_RATE)
    watch = barred.BarWatch()
    first: int | None = None
    for index, frame in enumerate(frames):
        first = frame.pts if first is None else first
        seconds = (frame.pts - first) * time_base
        bgr = frame.bgr(*small)
        luma = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
        bars = watch.feed(luma)
        full = frame.gray(width, height) if due(seconds) else None
        yield Look(
            index=index,
            pts=frame.pts,
            duration=frame.duration,
            seconds=float(seconds),
            bgr=bgr,
            luma=luma,
            mid=None if full is None else _middle(frame, full, mid, luma.shape, bars),
            full=full,
            coded=None if full is None else _coded(frame, full, luma, bars),
            noise=full is not None and noise_due(seconds),
            bars=bars,
        )


def _middle(
    frame: Picture, full_HW: np.ndarray, mid: tuple[int, int], small: tuple[int, ...], bars: barred.Bars
) -> np.ndarray:
    """Luma of the picture between its bars, as high as `mid_size` says of a picture that has none."""
    height, width = full_HW.shape
    if bars != barred.NONE:
        rows, columns = bars.inside(small)
        inner = (rows.stop - rows.start) * height / small[0], (columns.stop - columns.start) * width / small[1]
        larger = min(1.0, MID_HEIGHT / inner[0])
        mid = round(width * larger), round(height * larger)
    found = full_HW if mid == (width, height) else frame.gray(*mid)
    return found if bars == barred.NONE else np.ascontiguousarray(found[bars.scaled(small, found.shape)])


def _coded(frame: Picture, full_HW: np.ndarray, small_hw: np.ndarray, bars: barred.Bars) -> tuple[float, bool, float]:
    """How coarsely the picture between its bars was quantised: these are coded finely whatever happens to it."""
    if bars == barred.NONE:
        return frame.coded()
    rows, columns = bars.scaled(small_hw.shape, full_HW.shape)
    return frame.coded((columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start))


def _beside(threads: int, expected: int, width: int, height: int) -> contextlib.AbstractContextManager[Any]:
    """Where meters work: here, or in processes where cores are free and pictures small enough to be handed over."""
    middle = min(width * height, math.prod(mid_size(width, height)) / barred.LEAST)  # between bars, at most
    pixels = width * height + middle + 4 * math.prod(small_size(width, height))
    fits = pixels + 4 * lanes.ALIGN <= lanes.SLOT_BYTES
    if threads < FREE or not fits:
        return contextlib.nullcontext(lanes.Here())
    return lanes.borrowed(start=expected >= MANY)


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
