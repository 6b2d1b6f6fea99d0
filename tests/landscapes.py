"""Small landscapes that a camera glides over, and the numbers that shots are found by."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from wanprep.signals.meter import FIELDS, ShotMeter
from wanprep.signals.store import Signals

WIDTH, HEIGHT = 128, 72


def view(seed: int, n: int, speed: float = 0.0, noise: float = 2.0) -> np.ndarray:
    """uint8[n, 72, 128, 3]: a camera gliding at `speed` px a frame over a random landscape."""
    import cv2

    rng = np.random.default_rng(seed)
    canvas = np.full((HEIGHT * 3, WIDTH * 6, 3), rng.uniform(60, 180, 3), np.float32)
    for cells, gain in ((4, 55), (12, 35), (40, 15)):
        canvas += cv2.resize(rng.normal(0, gain, (cells, cells * 2, 3)).astype(np.float32), canvas.shape[1::-1])
    out = []
    for t in range(n):
        x = round(20 + speed * t)
        out.append(canvas[HEIGHT : 2 * HEIGHT, x : x + WIDTH] + rng.normal(0, noise, (HEIGHT, WIDTH, 1)))
    return np.clip(np.stack(out), 0, 255).astype(np.uint8)


def measure(frames: np.ndarray, fps: int = 25) -> Signals:
    meter, rows, pictures = ShotMeter(), [], []
    for frame in frames:
        numbers, small = meter.feed(frame)
        rows.append(numbers)
        pictures.append(small)
    none = np.zeros((0, 2), np.uint8)
    return Signals(
        time_base=Fraction(1, 600), width=2, height=2, pts=np.arange(len(frames), dtype=np.int64) * 600 // fps,
        last_duration=600 // fps, frame={f: np.array([r[f] for r in rows], np.float32) for f in FIELDS},
        sampled=np.zeros(0, np.int32), thumbs=np.zeros((0, 2, 2, 3), np.uint8), row_p97=none, col_p97=none,
        extra={"tiny": np.stack(pictures)},
    )  # fmt: skip
