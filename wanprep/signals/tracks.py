"""What is measured of the frames of a source, in parts that may work beside each other: of each a meter, which is given
one look after the other (in a process of its own, where that pays), and what is kept of its numbers.

`analysis.py` makes the looks, and signals of what is kept.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wanprep.signals import barred, compression, quality, shots
from wanprep.signals.bars import line_p97
from wanprep.signals.blur import focus
from wanprep.signals.spool import Spool
from wanprep.signals.thumbs import encode


@dataclass(frozen=True, kw_only=True)
class Look:
    """What is seen of one frame: small in colour and in luma; of a sampled one also luma of middle and of full size."""

    index: int
    pts: int
    duration: int
    seconds: float
    bgr: np.ndarray
    luma: np.ndarray
    mid: np.ndarray | None
    full: np.ndarray | None
    coded: tuple[float, bool, float] | None
    noise: bool  # whether it is to be measured
    bars: barred.Bars  # of the small picture; `mid` is without them


class Shots:
    """Every frame, against the one before."""

    def __init__(self, folder: Path | None) -> None:
        self.meter = _ShotMeter()
        self.numbers, self.tiny = Spool(folder), Spool(folder)

    def keep(self, found: tuple[bytes, bytes]) -> None:
        self.numbers.add(found[0])
        self.tiny.add(found[1])


class _ShotMeter:
    def __init__(self) -> None:
        self._meter = shots.ShotMeter()

    def __call__(self, look: Look) -> tuple[bytes, bytes]:
        numbers, picture = self._meter.feed(look.bgr, look.luma)
        return _row(numbers, shots.FIELDS), picture.tobytes()


class Quality:
    """Every frame, most of it on a few frames a second."""

    def __init__(self, size: tuple[int, int], share: tuple[int, int], folder: Path | None) -> None:
        self.meter = _QualityMeter(size, share)
        self.numbers = Spool(folder)

    def keep(self, found: bytes) -> None:
        self.numbers.add(found)


class _QualityMeter:
    def __init__(self, size: tuple[int, int], share: tuple[int, int]) -> None:
        self._meter = quality.QualityMeter(*size, share)

    def __call__(self, look: Look) -> bytes:
        return _row(self._meter.feed(look.seconds, look.luma, look.bars), quality.FIELDS)


class Sampled:
    """Frames that are looked at in middle and full size."""

    def __init__(self, folder: Path | None) -> None:
        self.meter = _sampled
        self.at = array("i")
        self.thumbs, self.rows, self.cols = Spool(folder), Spool(folder), Spool(folder)
        self.traces: dict[str, array] = {}

    def keep(self, found: tuple[int, bytes, bytes, bytes, dict[str, float]] | None) -> None:
        if found is None:
            return
        at, thumb, rows, cols, traces = found
        self.at.append(at)
        self.thumbs.add(thumb)
        self.rows.add(rows)
        self.cols.add(cols)
        for name, value in traces.items():
            self.traces.setdefault(name, array("d")).append(value)


def _sampled(look: Look) -> tuple[int, bytes, bytes, bytes, dict[str, float]] | None:
    if look.full is None or look.mid is None:
        return None
    quantiser, smoothed, leaves = look.coded or (math.nan, True, math.nan)
    picture = look.full[look.bars.scaled(look.luma.shape, look.full.shape, compression.GRID)]
    traces = compression.traces(picture, smoothed, said=quantiser, leaves=leaves, noise=look.noise)
    traces |= focus(look.mid) | {"quantiser": quantiser}
    rows, cols = line_p97(look.full).tobytes(), line_p97(look.full, axis=0).tobytes()
    return look.index, encode(look.bgr), rows, cols, traces


def _row(numbers: Mapping[str, float], names: tuple[str, ...]) -> bytes:
    return array("f", [numbers[name] for name in names]).tobytes()


def columns(rows: Spool, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """float32[N] by name from rows of `_row`, in place: read-only, and a row apart."""
    return dict(zip(names, rows.whole().view(np.float32).reshape(-1, len(names)).T))


def qualities(shared: Iterable[Quality], sampled: Sampled) -> Iterator[tuple[str, np.ndarray]]:
    """float32[N] by name, one made after the other: of a long film all of them are as much as the rest."""
    for name, values in quality.merged(*(columns(track.numbers, quality.FIELDS) for track in shared)):
        if name in sampled.traces:
            values[sampled.at] = sampled.traces[name]
        yield name, values
