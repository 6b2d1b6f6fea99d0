"""What shot detection reads of frames, measured or from a cache's file."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from wanprep.signals.shots import FIELDS, ShotMeter
from wanprep.signals.store import Signals

SAMPLED = 12  # frames from one that bars are looked for in to the next


def measure(frames, fps: float = 25.0) -> Signals:
    """Signals holding only what shot detection reads."""
    meter, rows, tiny, lines = ShotMeter(), [], [], []
    for number, frame in enumerate(frames):
        numbers, small = meter.feed(frame)
        rows.append(numbers)
        tiny.append(small)
        if number % SAMPLED == 0:
            luma = frame.max(2)
            lines.append([np.percentile(luma, 97, axis=axis).astype(np.uint8) for axis in (1, 0)])
    numbers = {name: np.array([r[name] for r in rows], np.float32) for name in FIELDS}
    return bare(numbers, np.stack(tiny), fps, *map(np.stack, zip(*lines)))


def bare(numbers: dict[str, np.ndarray], tiny: np.ndarray, fps: float, rows: np.ndarray, cols: np.ndarray) -> Signals:
    """rows, cols: 97th percentiles of luma of sampled frames, by which bars are found."""
    return Signals(
        time_base=Fraction(1, 90000), width=cols.shape[1], height=rows.shape[1], last_duration=0, frame=numbers,
        pts=np.round(np.arange(len(tiny)) * 90000 / fps).astype(np.int64),
        sampled=np.arange(len(rows), dtype=np.int32) * SAMPLED,
        thumbs=np.zeros((len(rows), 2, 2, 3), np.uint8), row_p97=rows, col_p97=cols, extra={"tiny": tiny},
    )  # fmt: skip


def stored_signals(stored) -> Signals:
    """Of a cache's file."""
    numbers = {name: stored[name] for name in FIELDS}
    return bare(numbers, stored["tiny"], float(stored["fps"]), stored["rows"], stored["cols"])


def store(path: Path, signals: Signals, fps: float, **more: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = {"rows": signals.row_p97, "cols": signals.col_p97}
    np.savez(path, fps=fps, tiny=signals.extra["tiny"], **lines, **signals.frame, **more)


def barred(frames: np.ndarray, share: float) -> np.ndarray:
    """Black over a share of the height at the top and as much at the bottom, not quite black as encoders leave it."""
    thick = round(share * frames.shape[1])
    frames[:, :thick] = frames[:, frames.shape[1] - thick :] = 2
    return frames
