"""Per-frame quality numbers taken during the analysis decode, and the scores of a clip made of them afterwards.

The meter runs once per source and knows nothing of clips; `clip_scores` is pure and cheap, so new cuts and new
thresholds cost no decode. Numbers about a pair of frames carry the time back to the earlier one, so that no pair
across a cut is ever counted for a clip.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np

from wanprep.signals.barred import NONE, Bars, as_wide, common
from wanprep.signals.bars import Crop
from wanprep.signals.compression import quantiser
from wanprep.signals.framing import Part
from wanprep.signals.frozen import frozen_share
from wanprep.signals.light import light_jump
from wanprep.signals.lighting import lighting
from wanprep.signals.motion import (
    RATE,
    camera_motion,
    camera_step,
    still_rim,
    turned_back,
    velocities,
    without_led,
)
from wanprep.signals.store import Signals

FIELDS: tuple[str, ...] = (
    "frame_diff",  # every frame: largest |difference| of 3x3 means with the frame before, levels 0..255
    "step_s",  # seconds back to the other frame of cam_* and light_jump
    "cam_dx",  # camera motion in widths over step_s, see motion.CameraStep
    "cam_dy",
    "cam_rot",
    "cam_scale",
    "cam_fit",
    "cam_stays",  # cells of the rim, see motion.still_rim
    "cam_goes",
    "light_jump",  # |log| of the exposure ratio over step_s, NaN where the two cannot be compared
    "change_s",  # seconds back to the other frame of `change`
    "change",  # share of pixels whose 3x3 mean changed by more than CHANGE_LEVELS, 0..1
    "luma",  # mean luma, 0..255
    # Of sampled frames, which are looked at in middle and full size and not by this meter:
    "sharpness",  # blur.focus, low = out of focus
    "smear",  # high = motion blur
    "blockiness",  # compression.traces
    "hidden",
    "noise",
    "quantiser",  # what the stream says
)
CHANGE_LEVELS = 8.0
CHANGE_SECONDS = 0.5
CHANGE_RATE = 4  # how often a second `change` and `luma` are measured
# Every second frame of 24, 25 and 30 fps, every third of 50 and 60: all frames of 24 rank shaken clips no better.
MIN_STEP = 0.75 / RATE
DUPLICATE_LEVELS = 2.0
# What coding makes of a repeated picture: at most so many levels, and so much less than new ones on both sides differ.
CODED_LEVELS, CODED_SHARE, MOST_REPEATS = 8.0, 1 / 3, 5
DARK = 32  # luma: rows and columns whose 97th percentile stays below are black
# The threshold of `signals.coarse` holds for so many looks; of fewer as few innocent clips of half A of bench_quality
# are lost if so much is taken off, times how much more one in so many counts.
USUAL_LOOKS, BY_CHANCE = 5, 4.5
MANY_LOOKS = 4  # sampled frames from which on a quarter of them may speak for a clip
UNEVEN = 1.1  # times its lower quartile that a clip may be sharp


class QualityMeter:
    """Feed every frame in presentation order; state is the few earlier frames still to be compared with.

    share: (k, n) makes this the k-th of n meters that see the same frames and divide the camera's steps among them;
    all else is measured by the first. `merged` puts their numbers together.
    """

    def __init__(self, width_small: int, height_small: int, share: tuple[int, int] = (0, 1)) -> None:
        if width_small < 16 or height_small < 16:
            raise ValueError(f"frames of {width_small}x{height_small} are too small to measure; feed about 256 px wide")
        self._shape = (height_small, width_small)
        self._last: np.ndarray | None = None  # 3x3 means of the frame before
        self._share, self._turn = share, -1
        self._step: tuple[float, np.ndarray, Bars] | None = None  # last frame measured for motion
        self._slot = -1  # of a quarter second, in which `change` was measured last
        self._past: list[tuple[float, np.ndarray]] = []  # 3x3 means at the sampled times of the last half second

    def feed(self, seconds: float, gray_small: np.ndarray, bars: Bars = NONE) -> dict[str, float]:
        """Numbers of this frame (keys = FIELDS, NaN where not measured on it).

        seconds: presentation time, increasing. gray_small: uint8[h, w] luma, of which only what is between its bars
        counts. ValueError when the size changes.
        """
        import cv2

        if gray_small.shape != self._shape:
            raise ValueError(f"expected luma of shape {self._shape}, got {gray_small.shape}")
        row = dict.fromkeys(FIELDS, math.nan)
        self._feed_motion(row, seconds, gray_small, bars)
        if self._share[0] > 0:
            return row
        smooth = cv2.blur(gray_small, (3, 3))
        if self._last is not None:
            row["frame_diff"] = float(cv2.norm(smooth, self._last, cv2.NORM_INF))
        self._last = smooth
        slot = math.floor(seconds * CHANGE_RATE + 1e-6)
        if slot > self._slot:
            self._slot = slot
            row["luma"] = float(cv2.mean(_inside_bars(gray_small, bars))[0])
            self._feed_change(row, seconds, smooth, bars)
        return row

    def _feed_motion(self, row: dict[str, float], seconds: float, gray: np.ndarray, bars: Bars) -> None:
        if self._step is None:
            self._step = (seconds, gray.copy(), bars)  # the caller may use its memory again
            return
        elapsed = seconds - self._step[0]
        if elapsed < MIN_STEP:
            return
        self._turn = (self._turn + 1) % self._share[1]
        if self._turn == self._share[0]:
            both = common(self._step[2], bars)
            before, after = (as_wide(picture, both) for picture in (self._step[1], gray))
            step = camera_step(before, after)
            stays, goes = still_rim(before, after, step)
            row |= {
                "step_s": elapsed, "cam_dx": step.dx, "cam_dy": step.dy, "cam_rot": step.rot, "cam_scale": step.scale,
                "cam_fit": step.fit, "cam_stays": stays, "cam_goes": goes,
                "light_jump": light_jump(before, after, step.matrix),
            }  # fmt: skip
        self._step = (seconds, gray.copy(), bars)

    def _feed_change(self, row: dict[str, float], seconds: float, smooth: np.ndarray, bars: Bars) -> None:
        import cv2

        # The frame closest to half a second ago, not older than a second.
        self._past = [p for p in self._past if seconds - p[0] <= 2 * CHANGE_SECONDS]
        if self._past:
            then, before = min(self._past, key=lambda p: abs(seconds - p[0] - CHANGE_SECONDS))
            if seconds - then >= CHANGE_SECONDS / 2:
                row["change_s"] = seconds - then
                row["change"] = float(
                    np.mean(cv2.absdiff(*(_inside_bars(x, bars) for x in (smooth, before))) > CHANGE_LEVELS)
                )
        self._past.append((seconds, smooth))


def _inside_bars(picture: np.ndarray, bars: Bars) -> np.ndarray:
    return picture if bars == NONE else picture[bars.inside(picture.shape)]


def merged(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    """Numbers of the frames of two meters that shared them, name by name."""
    return ((name, np.where(np.isnan(values), other[name], values)) for name, values in one.items())


def clip_scores(
    signals: Signals, i0: int, i1: int, crop: Crop | None = None, part: Part | None = None
) -> dict[str, float]:
    """Scores of the clip made of frames i0..i1-1; NaN where it cannot be known (too few frames, nothing to see).

    sharpness: `in_focus`. smear, luma, noise: the median. quantiser: compression.quantiser of what shows throughout, at
    the size it has. coded: what the stream alone says of it. lit: pixels of the picture without black bars.
    shake: widths that the camera turns back in ten seconds. light_jump: the largest of light, casts and bands.
    motion: share of the picture that changes within half a second, in the livelier quarter of the clip. frozen: share
    of its time that it stands still to the frame. duplicate_rate: share of frames equal to the one before.
    crop: what the clip shows, in display pixels; None: all. part: rows and columns of thumbnails whose light counts;
    None: all.
    """
    frame, seconds = _clip(signals, i0, i1)
    change = frame["change"][_inside(seconds, frame["change_s"])]
    equal = np.concatenate([[False], repeats(frame["frame_diff"][1:])])
    looks = np.flatnonzero((signals.sampled >= i0) & (signals.sampled < i1))
    blocks = throughout(frame["blockiness"][signals.sampled[looks] - i0])
    hidden = despite_chance(frame["hidden"][signals.sampled[looks] - i0])
    coded = _quantile(frame["quantiser"], 0.5)
    return {
        "sharpness": in_focus(frame["sharpness"]),
        "smear": _quantile(frame["smear"], 0.5),
        "shake": turned_back(*_path(frame, seconds)),
        "light_jump": lighting(signals, i0, i1, frame["light_jump"], _inside(seconds, frame["step_s"]), part),
        "motion": _quantile(change, 0.75),
        "frozen": frozen_share(seconds, equal, frame["change"], frame["change_s"]),
        "duplicate_rate": float(np.mean(equal[1:])) if len(equal) > 1 else math.nan,
        "luma": _quantile(frame["luma"], 0.5),
        "quantiser": quantiser(blocks, hidden, coded),
        "coded": coded,
        "lit": _lit(signals, looks, crop or (0, 0, signals.width, signals.height)),
        "noise": _quantile(frame["noise"], 0.5),
    }


def _lit(signals: Signals, looks: np.ndarray, crop: Crop) -> float:
    """Pixels of a part of the picture without rows and columns that stay black in these looks, as those of bars do."""
    if not len(looks):
        return math.nan
    x, y, width, height = crop
    some = looks[:: max(1, len(looks) // 8)]
    lines = signals.row_p97[some, y : y + height], signals.col_p97[some, x : x + width]
    rows, columns = (np.median(part, axis=0) > DARK for part in lines)
    return float(np.count_nonzero(rows) * np.count_nonzero(columns))


def throughout(looks_N: np.ndarray) -> float:
    """What most looks at a clip agree on: their lower quartile, for a coding leaves traces in all of them, and what
    looks so by chance comes and goes; NaN where fewer than half say anything."""
    known = looks_N[np.isfinite(looks_N)]
    if not len(known) or 2 * len(known) < len(looks_N):
        return math.nan
    return float(np.quantile(known, 0.25))


def despite_chance(looks_N: np.ndarray) -> float:
    """What looks at a clip say on H.264's scale, their mean, less what few of them may say by chance; NaN where fewer
    than half say anything."""
    known = looks_N[np.isfinite(looks_N)]
    if not len(known) or 2 * len(known) < len(looks_N):
        return math.nan
    return float(known.mean() - BY_CHANCE * max(0.0, 1 / len(known) - 1 / USUAL_LOOKS))


def in_focus(sharp_N: np.ndarray) -> float:
    """How sharp a clip is, 1/px, by float[N] of its frames, NaN where not looked at or flat: the median, which a little
    softer pictures now and then, of old film or a coarse coding, do not pull down; of many looks UNEVEN times their
    lower quartile at most, so that half a clip out of focus is enough. NaN if none is known."""
    median = _quantile(sharp_N, 0.5)
    if np.isfinite(sharp_N).sum() < MANY_LOOKS:
        return median
    return min(median, UNEVEN * _quantile(sharp_N, 0.25))


def repeats(diff_N: np.ndarray) -> np.ndarray:
    """bool[N]: whether a frame repeats the one before. diff_N: largest difference of 3x3 means between them, levels.

    Up to MOST_REPEATS frames between two that are much newer than they are repeats as well: grain and soft pictures are
    coded anew. A still scene with noise has longer runs, and noise alone nothing newer around.
    """
    equal = diff_N <= DUPLICATE_LEVELS
    for before, after in itertools.pairwise(np.flatnonzero(diff_N > CODED_LEVELS).tolist()):
        run = diff_N[before + 1 : after]
        if 0 < len(run) <= MOST_REPEATS and run.max() <= CODED_SHARE * min(diff_N[before], diff_N[after]):
            equal[before + 1 : after] = True
    return equal


def clip_camera(signals: Signals, i0: int, i1: int) -> tuple[str | None, float]:
    """motion.camera_motion of the clip made of frames i0..i1-1."""
    return camera_motion(*_path(*_clip(signals, i0, i1)))


def _clip(signals: Signals, i0: int, i1: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    if not 0 <= i0 < i1 <= len(signals.pts):
        raise ValueError(f"clip [{i0}, {i1}) is not inside the {len(signals.pts)} frames of its source")
    return {name: signals.frame[name][i0:i1].astype(np.float64) for name in FIELDS}, signals.seconds(i0, i1)


def _path(frame: dict[str, np.ndarray], seconds: np.ndarray) -> tuple[np.ndarray, float]:
    """Camera steps [T, 4] inside the clip, and how many a second."""
    inside = _inside(seconds, frame["step_s"])
    steps = np.stack([frame[name][inside] for name in ("cam_dx", "cam_dy", "cam_rot", "cam_scale")], axis=1)
    steps = without_led(seconds[inside], steps, frame["cam_stays"][inside], frame["cam_goes"][inside])
    return velocities(seconds[inside], frame["step_s"][inside], steps)


def _inside(seconds: np.ndarray, back_s: np.ndarray) -> np.ndarray:
    """bool[N]: measured pairs whose earlier frame is in the clip too."""
    with np.errstate(invalid="ignore"):
        return seconds - back_s >= seconds[0] - 1e-4  # float32 seconds


def _quantile(values: np.ndarray, q: float) -> float:
    known = values[np.isfinite(values)]
    return float(np.quantile(known, q)) if len(known) else math.nan
