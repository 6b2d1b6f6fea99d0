"""Camera motion between two frames, and what a clip's camera path says: shake, or a pan, tilt or zoom.

Shake is how far the camera's path turns back on itself. An intentional pan never does, however fast it is, which is why
the obvious alternatives (energy of the high-passed path) rank clips much worse; what steady hands add to one turns back
a little, a hand that shakes far or often.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wanprep.signals.pictures import runs

RATE = 16.0  # motion is expressed per 1/16 s
STATIC, SLOW, FAST = 0.01, 0.1, 0.5  # camera speed in widths a second
STAYS = 0.012  # widths every two seconds: a camera whose path stays within this stands still, steady or not
# What a turn of the path is: swings of so many widths either way, each within so many seconds; slower is a movement. A
# longer swing counts as the most, so that one there and back is little. Hands drift by 0.3 % and more in half a second.
LEAST_SWING, MOST_SWING, WITHIN_S = 0.001, 0.008, 0.6
AS_SHIFT = (1.0, 1.0, 0.4, 0.4)  # of across and down, radians and log zoom: what moves the picture's edge by 0.5 a unit
PER_S = 10.0
MIN_POINTS = 12
MIN_FIT = 0.4  # share of tracked points that must follow one similarity transform; below it a passing object leads
# A thing that fills the picture may lead all points that are tracked. Whether the rim goes with it:
CELL, RIM = 8, 2  # pixels of half size a cell, and cells from the edge
LEAST, LESS = 0.3, 0.8  # levels and share by which one of the two must explain a cell better than the other
MOST_STAY = 0.4  # share of the whole picture at rest from which on it speaks for the rim
MIN_CELLS = 6  # fewer that say either say nothing
MIN_MOVE = 1.0  # pixels: less cannot be told from standing still
RIM_STAYS, AROUND_S = 0.35, 0.5  # a camera with more of its rim at rest stands, judged over so many seconds either way


@dataclass(frozen=True, kw_only=True)
class CameraStep:
    """Camera motion between two frames, about the picture's centre.

    dx, dy: shift in widths of the picture, right and down positive. rot: radians. scale: natural log of the zoom.
    fit: share of tracked points that agree, 0..1. All but fit are NaN when the motion could not be found.
    """

    dx: float
    dy: float
    rot: float
    scale: float
    fit: float
    matrix: np.ndarray | None  # float64[2, 3], maps points of the earlier frame to the later one, in pixels


def camera_step(before_HW: np.ndarray, after_HW: np.ndarray) -> CameraStep:
    """Similarity transform between two uint8 luma frames: corners, pyramidal Lucas-Kanade, RANSAC."""
    import cv2

    # 80 points and windows of 11 rank shaken clips as well as 120 and 15, in half the time.
    points = cv2.goodFeaturesToTrack(before_HW, 80, 0.01, 10)
    if points is None or len(points) < MIN_POINTS:
        return _unknown(0.0)
    moved, found, _ = cv2.calcOpticalFlowPyrLK(  # type: ignore[call-overload]
        before_HW, after_HW, points, None, winSize=(11, 11), maxLevel=3, criteria=(3, 10, 0.03)
    )
    found = found.ravel() == 1
    matrix, inliers = None, None
    if found.sum() >= MIN_POINTS:
        matrix, inliers = cv2.estimateAffinePartial2D(
            points[found], moved[found], ransacReprojThreshold=1.0, maxIters=500
        )
    fit = 0.0 if inliers is None else float(inliers.sum()) / len(points)
    if matrix is None or fit < MIN_FIT:
        return _unknown(fit)
    height, width = before_HW.shape
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    shift = matrix[:, :2] @ centre + matrix[:, 2] - centre
    return CameraStep(
        dx=float(shift[0] / width),
        dy=float(shift[1] / width),
        rot=math.atan2(matrix[1, 0], matrix[0, 0]),
        scale=math.log(max(math.hypot(matrix[0, 0], matrix[1, 0]), 1e-6)),
        fit=fit,
        matrix=matrix,
    )


def still_rim(before_HW: np.ndarray, after_HW: np.ndarray, step: CameraStep) -> tuple[int, int]:
    """(cells along the rim that stay where they are, cells that go with the camera's motion) between two uint8 luma
    frames, or of the whole picture where more than MOST_STAY of it stays; (0, 0) where the motion is unknown, less than
    MIN_MOVE pixels, or fewer than MIN_CELLS say either.

    A background out of focus has no corners to track, but a fixed camera leaves it where it is. Of real moves over 100
    shots at most a quarter of the rim seems to stay, of people before a fixed camera a third to all of it. On blank
    paper there is no rim to see: boxes and arrows that go ways of their own leave half of what is drawn in its place.
    """
    import cv2

    height, width = before_HW.shape
    far = width * np.abs([step.dx, step.dy, step.rot / 2, step.scale / 2]).max()  # NaN where it is unknown
    if step.matrix is None or far < MIN_MOVE:
        return 0, 0
    size = (width // 2, height // 2)
    before, after = (cv2.resize(f, size, interpolation=cv2.INTER_AREA) for f in (before_HW, after_HW))
    matrix = step.matrix * (1, 1, 0.5)
    carried = cv2.warpAffine(before, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    rows, columns = size[1] // CELL, size[0] // CELL
    y, x = np.mgrid[:rows, :columns]
    (a, b, c), (d, e, f) = cv2.invertAffineTransform(matrix)
    came_x, came_y = ((CELL * (p * (x + 0.5) + q * (y + 0.5)) + r) for p, q, r in ((a, b, c), (d, e, f)))
    half = CELL / 2
    seen = (came_x > half) & (came_x < size[0] - half) & (came_y > half) & (came_y < size[1] - half)
    at_rest, moved = (_cells(cv2.absdiff(picture, after)) for picture in (before, carried))
    stays, goes = (at_rest < LESS * moved - LEAST) & seen, (moved < LESS * at_rest - LEAST) & seen
    found = int(stays.sum()), int(goes.sum())
    if found[0] <= MOST_STAY * sum(found):
        rim = _rim(rows, columns)
        found = int(stays[rim].sum()), int(goes[rim].sum())
    return found if sum(found) >= MIN_CELLS else (0, 0)


def stands(stays: float, goes: float) -> bool:
    """Whether a camera that seems to move stands, and a thing before it led the points. stays, goes: of `still_rim`."""
    return stays > RIM_STAYS * (stays + goes)


@functools.cache
def _rim(rows: int, columns: int) -> np.ndarray:
    rim = np.ones((rows, columns), bool)
    rim[RIM:-RIM, RIM:-RIM] = False
    return rim


def _cells(difference: np.ndarray) -> np.ndarray:
    import cv2

    rows, columns = difference.shape[0] // CELL, difference.shape[1] // CELL
    whole = difference[: rows * CELL, : columns * CELL].astype(np.float32)
    return cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA)


def without_led(seconds_K: np.ndarray, steps_KC: np.ndarray, stays_K: np.ndarray, goes_K: np.ndarray) -> np.ndarray:
    """Camera steps in which a thing before a camera that stands led the points are zero.

    seconds_K: end time of each step. stays_K, goes_K: `still_rim` of it, which is pooled over AROUND_S either way.
    """
    led = np.zeros(len(seconds_K), bool)
    for k in np.flatnonzero(stays_K + goes_K):
        around = np.abs(seconds_K - seconds_K[k]) <= AROUND_S
        led[k] = stands(stays_K[around].sum(), goes_K[around].sum())
    return np.where(led[:, None] & np.isfinite(steps_KC), 0.0, steps_KC)


def _unknown(fit: float) -> CameraStep:
    return CameraStep(dx=math.nan, dy=math.nan, rot=math.nan, scale=math.nan, fit=fit, matrix=None)


def velocities(seconds_K: np.ndarray, step_s_K: np.ndarray, steps_KC: np.ndarray) -> tuple[np.ndarray, float]:
    """(float64[T, C], rate): camera steps resampled to 16 a second, so that 24 and 60 fps sources are judged alike.

    seconds_K: end time of each step; step_s_K: its duration; steps_KC: displacement during it, NaN = not found, which
    makes the rows it touches NaN. Sources slower than 16 fps keep their own steps and rate: nothing is known between.
    """
    if len(seconds_K) == 0:
        return np.zeros((0, steps_KC.shape[1])), RATE
    usual = float(np.median(step_s_K))
    if usual > 0.9 / RATE:
        return steps_KC.astype(np.float64), 1 / usual
    known_K = np.isfinite(steps_KC).all(axis=1)
    start = seconds_K[0] - step_s_K[0]
    times_K = np.concatenate([[start], seconds_K])
    grid_T = np.arange(start, seconds_K[-1] + 1e-6, 1 / RATE)

    def resampled(values_K: np.ndarray) -> np.ndarray:
        return np.diff(np.interp(grid_T, times_K, np.concatenate([[0.0], np.cumsum(values_K)])))

    filled_KC = np.where(known_K[:, None], steps_KC, 0.0)
    steps_TC = np.stack([resampled(filled_KC[:, c]) for c in range(steps_KC.shape[1])], axis=1)
    steps_TC[resampled(~known_K) > 1e-9] = np.nan
    return steps_TC, RATE


def turned_back(steps_TC: np.ndarray, rate: float = RATE) -> float:
    """How far the camera's path turns back, in widths of the picture in ten seconds: at each turn the lesser of the
    swings before and after it, at most MOST_SWING, across, down, about the axis or in and out, whichever has most.

    steps_TC: (dx, dy, rot, scale) of each step, `rate` of them a second. NaN with fewer than 7 known steps (half a
    second). A pan or a still camera has 0. The mere number of turns counts the little that steady hands add to a move
    as much as a hand that shakes.
    """
    known_T = np.isfinite(steps_TC).all(axis=1)
    if known_T.sum() < 7:
        return math.nan
    far = np.zeros(len(AS_SHIFT))
    for first, end in runs(known_T):  # nothing is known across a gap
        paths_TC = np.cumsum(steps_TC[first:end] * AS_SHIFT, axis=0)
        far += [_turned_back([0.0, *path], WITHIN_S * rate) for path in paths_TC.T.tolist()]
    return float(far.max()) * PER_S * rate / int(known_T.sum())


def _turned_back(path_T: Sequence[float], within: float) -> float:
    """Widths that one axis of the path turns back, at turns with swings of at most `within` steps either way."""
    far, ends = 0.0, _ends(path_T)
    for (_, left, start), (came, leaves, turn), (there, _, end) in zip(ends, ends[1:], ends[2:]):
        back = min(abs(turn - start), abs(end - turn))
        if back >= LEAST_SWING and max(came - left, there - leaves) <= within:
            far += min(back, MOST_SWING)
    return far


def _ends(path_T: Sequence[float]) -> list[tuple[int, int, float]]:
    """(step of coming, step of leaving, place) where a path begins, where it turns between swings of LEAST_SWING, and
    where its last one ends. It rests there while it stays within half of that, so that jolts after a rest are quick."""
    found: list[tuple[int, int, float]] = []
    came, leaves, last, way = 0, 0, path_T[0], 0.0
    for t, place in enumerate(path_T):
        swing = place - last
        if way * swing > 0:  # further the same way
            came, leaves, last = t, t, place
        elif abs(swing) >= LEAST_SWING:
            found.append((came, leaves, last))
            came, leaves, last, way = t, t, place, math.copysign(1.0, swing)
        elif abs(swing) <= LEAST_SWING / 2:
            leaves = t
    return [*found, (came, leaves, last)]


def camera_motion(steps_TC: np.ndarray, rate: float = RATE) -> tuple[str | None, float]:
    """What the camera does over a clip, in words fit for a caption, and its speed in widths a second.

    steps_TC: float[T, 4] of (dx, dy, rot, scale), `rate` of them a second. "static camera", "[slow|fast] pan left",
    "tilt up", "zoom in" (which a dolly looks like too) or "moving camera" for mixed, rolling and reversing motion;
    (None, NaN) when fewer than four steps are known.
    """
    steps_TC = steps_TC[np.isfinite(steps_TC).all(axis=1)]
    if len(steps_TC) < 4:
        return None, math.nan
    # Motion of the picture's edge: a zoom moves it by half a width per unit of log scale, a roll per radian.
    parts_TC = steps_TC * (1.0, 1.0, 0.5, 0.5) * rate
    speed = float(np.median(np.abs(parts_TC).sum(axis=1)))
    span = float(np.ptp(np.cumsum(parts_TC / rate, axis=0), axis=0).max())
    if speed < STATIC or span < STAYS * max(1.0, len(steps_TC) / rate / 2):
        return "static camera", speed
    drift_C = parts_TC.mean(axis=0)
    main = int(np.argmax(np.abs(drift_C)))
    if main == 2 or abs(drift_C[main]) < 0.55 * np.abs(parts_TC).sum(axis=1).mean():
        return "moving camera", speed
    # The picture moves against the camera.
    name = (("pan left", "pan right"), ("tilt up", "tilt down"), ("", ""), ("zoom in", "zoom out"))[main]
    pace = "slow " if speed < SLOW else "fast " if speed > FAST else ""
    return pace + name[0 if drift_C[main] > 0 else 1], speed
