"""Where a clip's content is: a weight map of its picture, kept as two short profiles that place a crop.

A crop of another shape than the picture always spans one side of it whole, so all that placing it needs is how much
lies in each column (or row). Weight is what moves against the camera, what differs from its surroundings, and what is
sharp. There is no model of faces or things in it: it finds the subject that a camera operator already singled out.

Legend: thumbs are uint8 BGR about 256 px wide. Profiles are uint8[BINS] over the whole source frame, left to right
and top to bottom, scaled so that the fullest bin is 255.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from wanprep.signals.motion import camera_step
from wanprep.signals.store import Signals

BINS = 48
PAIRS = 8  # pairs of neighbouring thumbnails that are looked at, spread over the clip
WIDTH = 128  # of the map; a 3 % step of a crop needs no more
NOISE = 6.0  # levels that neighbouring thumbnails differ by for no reason (grain, coding)
STRONG = 40.0  # a larger difference counts no more than this: it says contrast, not importance
LIVELY = 1.5  # mean motion energy at which motion gets its full weight
MOTION, CONTRAST, DETAIL = 1.0, 0.6, 0.4  # shares of the three parts
BLACK = 32  # border lines that never have 3 % of their pixels above this are bars, as in signals.bars

STEPS = 64  # places tried for a crop are this fine a share of its freedom
CORE = 0.7  # the middle part of a crop, whose content counts twice: a subject should not sit on the crop's edge
PRIOR = 0.35  # weight lost at the very edge of the picture against its centre
MIN_GAIN = 0.04  # share of all weight that leaving the centre must gain


def clip_profiles(signals: Signals, start: int, end: int) -> bytes:
    """Column and row profile (2·BINS bytes) of the clip made of frames start..end-1; b"" when nothing is known."""
    inside = np.flatnonzero((signals.sampled >= start) & (signals.sampled < end))
    if len(inside) == 0:
        return b""
    if len(inside) == 1:
        return profiles(content_map([(None, signals.thumbs[int(inside[0])])]))
    firsts = np.unique(np.linspace(0, len(inside) - 2, min(PAIRS, len(inside) - 1)).round().astype(int))
    pictures = {int(i): signals.thumbs[int(inside[i])] for i in {*firsts.tolist(), *(firsts + 1).tolist()}}
    return profiles(content_map([(pictures[i], pictures[i + 1]) for i in firsts.tolist()]))


def content_map(pairs: Sequence[tuple[np.ndarray | None, np.ndarray]]) -> np.ndarray:
    """float64[h, WIDTH], sum 1 (or all 0 when there is nothing to see): weight of each place of the picture.

    pairs: (before or None, after), uint8[H, W, 3] BGR of one shape, some tenths of a second to seconds apart.
    """
    import cv2

    height = max(8, round(WIDTH * pairs[0][1].shape[0] / pairs[0][1].shape[1]))
    size = (WIDTH, height)
    picture_HW = np.zeros((height, WIDTH), bool)
    sums = np.zeros((3, height, WIDTH))
    for before, after in pairs:
        small = cv2.resize(after, size, interpolation=cv2.INTER_AREA)
        picture_HW |= _inside_bars(small)
        sums[1] += _contrast(small)
        sums[2] += _detail(after, size)
        if before is not None:
            sums[0] += _motion(before, after, size)
    sums *= picture_HW
    energy = sums[0].sum() / max(1, int(picture_HW.sum())) / len(pairs)
    shares = (MOTION * min(1.0, energy / LIVELY), CONTRAST, DETAIL)
    total = sum(share * part / part.sum() for share, part in zip(shares, sums) if part.sum() > 0)
    return np.zeros((height, WIDTH)) + (total / np.sum(total) if np.any(total) else 0.0)


def _inside_bars(small_HWC: np.ndarray) -> np.ndarray:
    """bool[H, W]: False in dark lines along the borders."""
    luma = small_HWC.max(axis=2)
    inside = np.ones(luma.shape, bool)
    for axis, lit in ((0, np.percentile(luma, 97, axis=1) >= BLACK), (1, np.percentile(luma, 97, axis=0) >= BLACK)):
        found = np.flatnonzero(lit)
        line = np.zeros(len(lit), bool)
        if len(found):
            # Two lines more: where a bar ends the picture is mixed with it, and its edge is no content.
            first, last = int(found[0]), int(found[-1])
            line[first + 2 * (first > 0) : last + 1 - 2 * (last < len(lit) - 1)] = True
        inside &= line[:, None] if axis == 0 else line[None, :]
    return inside


def _motion(before: np.ndarray, after: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """What moved against the camera: difference after the camera's motion is taken out, less where edges are strong
    (there a small error of registration already differs a lot)."""
    import cv2

    gray = [cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) for picture in (before, after)]
    step = camera_step(*gray)
    shape = (gray[0].shape[1], gray[0].shape[0])
    smooth: list[Any] = [cv2.GaussianBlur(picture, (0, 0), 1.2).astype(np.float32) for picture in gray]
    seen: Any = np.ones(gray[0].shape, np.float32)
    if step.matrix is not None:
        smooth[0] = cv2.warpAffine(smooth[0], step.matrix, shape)
        seen = cv2.warpAffine(seen, step.matrix, shape)
    difference = np.abs(smooth[1] - smooth[0])
    if step.matrix is None and np.median(_rim(difference)) > NOISE / 2:
        return np.zeros(size[::-1])  # the camera moved, and nobody knows how
    slope = np.hypot(cv2.Sobel(smooth[1], cv2.CV_32F, 1, 0), cv2.Sobel(smooth[1], cv2.CV_32F, 0, 1)) / 8
    energy = np.clip(difference - NOISE, 0, STRONG) / (1 + slope / 8) * (seen > 0.99)
    return cv2.resize(energy, size, interpolation=cv2.INTER_AREA).astype(np.float64)


def _rim(picture_HW: np.ndarray) -> np.ndarray:
    edge = max(1, picture_HW.shape[0] // 10)
    return np.concatenate([picture_HW[:edge].ravel(), picture_HW[:, :edge].ravel(), picture_HW[:, -edge:].ravel()])


def _contrast(small: np.ndarray) -> np.ndarray:
    """Difference of colour from the surroundings (an eighth of the picture) and from the whole picture.

    Centre-surround as in Itti, Koch and Niebur 1998, and frequency-tuned saliency as in Achanta et al. 2009.
    """
    import cv2

    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_BGR2LAB)
    centre = cv2.GaussianBlur(lab, (0, 0), WIDTH / 64)
    surround = cv2.GaussianBlur(lab, (0, 0), WIDTH / 8, borderType=cv2.BORDER_REFLECT)
    local = np.sqrt(((centre - surround) ** 2).sum(axis=2))
    tuned = np.sqrt(((centre - lab.mean(axis=(0, 1))) ** 2).sum(axis=2))
    both = local + 0.5 * tuned
    return np.maximum(0.0, both - np.median(both)).astype(np.float64)


def _detail(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Fine luma detail, smoothed: behind a subject in focus there is less of it."""
    import cv2

    luma = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(np.float32)
    fine = np.minimum(np.abs(luma - cv2.GaussianBlur(luma, (0, 0), 1.5)), 16.0)
    fine = cv2.GaussianBlur(cv2.resize(fine, size, interpolation=cv2.INTER_AREA), (0, 0), WIDTH / 32)
    return np.maximum(0.0, fine - np.median(fine)).astype(np.float64)


def profiles(map_HW: np.ndarray) -> bytes:
    """Column profile, then row profile, of a weight map; b"" when it is empty."""
    if not map_HW.any():
        return b""
    return b"".join(_profile(map_HW.sum(axis=axis)) for axis in (0, 1))


def _profile(line: np.ndarray) -> bytes:
    edges = np.concatenate([[0.0], np.cumsum(line)])
    bins = np.diff(np.interp(np.linspace(0, len(line), BINS + 1), np.arange(len(line) + 1), edges))
    return np.round(255 * bins / bins.max()).astype(np.uint8).tobytes()


def place(profiles_NB: np.ndarray, low: float, high: float, length: float) -> np.ndarray:
    """float64[N]: where crops of `length` begin so that they keep most of the content. Pure, all clips at once.

    profiles_NB: uint8[N, BINS] over [0, 1] of the source frame, all-zero rows for what is not known. low, high: the
    part of it that is picture. 0 <= low < high <= 1, length <= high - low; ValueError otherwise. The result lies in
    [low, high - length]; it is the centre unless leaving it gains MIN_GAIN of the content.
    """
    if not (0 <= low < high <= 1 and 0 < length <= high - low + 1e-9):
        raise ValueError(f"cannot place {length} in [{low}, {high}]")
    free = max(0.0, high - low - length)
    starts_S = low + free * np.linspace(0, 1, STEPS + 1)
    middle_B = (np.arange(BINS) + 0.5) / BINS
    prior_B = 1 - PRIOR * np.clip(2 * (middle_B - low) / (high - low) - 1, -1, 1) ** 2
    mass_NB = profiles_NB * prior_B
    total_N = mass_NB @ _cover(np.array([low]), high - low)[0]
    covered_SB = _cover(starts_S, length) + _cover(starts_S + length * (1 - CORE) / 2, length * CORE)
    gain_NS = mass_NB @ covered_SB.T / (2 * np.maximum(total_N, 1e-9)[:, None])
    # Of equally good places the one nearest the centre: a slope too small to outweigh anything real.
    gain_NS -= 1e-3 * np.abs(np.linspace(-1, 1, STEPS + 1))
    best_N = gain_NS.argmax(axis=1)
    stay_N = gain_NS.max(axis=1) - gain_NS[:, STEPS // 2] < MIN_GAIN
    return starts_S[np.where(stay_N, STEPS // 2, best_N)]


def _cover(starts_S: np.ndarray, length: float) -> np.ndarray:
    """float64[S, BINS]: share of each bin inside [start, start + length)."""
    bins = np.arange(BINS)
    first, last = starts_S[:, None] * BINS, (starts_S[:, None] + length) * BINS
    return np.clip(np.minimum(bins + 1, last) - np.maximum(bins, first), 0, 1)
