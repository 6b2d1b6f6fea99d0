"""The numbers of each frame that shots are found by, against the frame before; every threshold comes afterwards.

PySceneDetect's numbers are fed from our own decode loop (one decode serves all signals) and kept instead of its
verdicts; beside them, how far details are found again from frame to frame.
"""

from __future__ import annotations

from typing import Any

import numpy as np

FIELDS = ("content_val", "hist_diff", "luma_mean", "luma_p95", "edge_energy", "match", "best_match", "red", "blue")
TINY_WIDTH, TINY_HEIGHT = 16, 12  # 192 bytes a frame, 33 MB for two hours at 24 fps
HISTOGRAM_BINS = 128
EDGE_SIZE = 64, 36  # of the picture whose edges are measured: motion blur and noise hardly show at this size
PLAIN = 0.04  # mean square of details of a plain wall or sky
REACH = 3  # pixels of 64 that a detail may move from frame to frame and still be found
EVEN, STILL, ALIKE = 6, 3, 4  # levels: range of a line of a bar, its change from frame to frame, unlikeness of a pair
WIDEST = 0.25  # of the picture, a bar on one side

Bars = tuple[int, int, int, int]  # lines of them at the top, the bottom, the left, the right


class ShotMeter:
    """Numbers of each frame against the one before. One object a source; frames in presentation order.

    content_val is that of PySceneDetect's ContentDetector, to the bit, with a third of the work; hist_diff is that of
    its HistogramDetector within 0.001: luma is taken as it is here, where the detector converts colour once more and
    comes to another level in three of a thousand pixels.
    """

    def __init__(self) -> None:
        self._hsv: Any = None
        self._levels: Any = None
        self._edges: Any = None
        self._details: Any = None

    def feed(self, bgr: np.ndarray, luma: np.ndarray | None = None) -> tuple[dict[str, float], np.ndarray]:
        """bgr uint8[h, w, 3], about 256 px wide -> (numbers named FIELDS, tiny picture uint8[12, 16]). luma: its
        COLOR_BGR2GRAY, uint8[h, w], where the caller has it anyway.

        content_val 0..255, hist_diff, match and best_match (correlations, −1..1) are NaN on the first frame, which has
        no predecessor. red, blue: means, 0..255.
        """
        import cv2

        luma = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY) if luma is None else luma
        hsv = cv2.cvtColor(bgr, cv2.COLOR_BGR2HSV)
        levels = cv2.calcHist([luma], [0], None, [256], [0, 256]).ravel()
        edges = cv2.resize(luma, EDGE_SIZE, interpolation=cv2.INTER_AREA)
        detail = details(edges)
        numbers = dict.fromkeys(FIELDS, np.nan)
        if self._hsv is not None:
            change = cv2.sumElems(cv2.absdiff(hsv, self._hsv))[:3]
            numbers["content_val"] = sum(part / luma.size for part in change) / 3.0
            bars = common_bars(self._edges, edges)
            pair = (self._details, detail) if bars is None else inside_details(self._edges, edges, bars)
            numbers["match"], numbers["best_match"] = matches(*pair)
            numbers["hist_diff"] = _likeness(self._levels, levels, edges, bars)
        share = np.cumsum(levels)
        numbers["luma_mean"] = cv2.sumElems(luma)[0] / luma.size
        numbers["blue"], _, numbers["red"], _ = cv2.mean(bgr)
        numbers["luma_p95"] = float(np.searchsorted(share, 0.95 * luma.size))
        numbers["edge_energy"] = edge_energy(edges)
        self._hsv, self._levels, self._edges, self._details = hsv, levels, edges, detail
        return numbers, cv2.resize(luma, (TINY_WIDTH, TINY_HEIGHT), interpolation=cv2.INTER_AREA)


def common_bars(before: np.ndarray, after: np.ndarray) -> Bars | None:
    """Pairs of bars, or a frame of one tone, that both pictures (uint8[h, w]) have: None without any.

    A bar is the same in both shots, so its edge is a detail that every cut leaves where it was, and its black a third
    of the histogram. Text may lie in one of a pair: then the other says how thick they are.
    """
    top, bottom = _pair(before, after)
    left, right = _pair(before.T, after.T)
    return (top, bottom, left, right) if top or left else None


def _pair(before: np.ndarray, after: np.ndarray) -> tuple[int, int]:
    """How many lines at the beginning and at the end; (0, 0) where they are no pair."""
    for line in (after[0], after[-1], before[0], before[-1]):  # of most pictures one is looked at
        if int(line.max()) - int(line.min()) > EVEN:
            return 0, 0
    lines = np.stack([before, after]).astype(np.int16)
    tone = lines.mean(2)
    if np.ptp(tone[:, [0, -1]]) > ALIKE:
        return 0, 0
    even = (np.ptp(lines, axis=2).max(0) <= EVEN) & (np.abs(tone[0] - tone[1]) <= STILL)
    even &= np.abs(tone - tone[:, :1]).max(0) <= ALIKE
    first, last = (len(even) if flags.all() else int(np.argmin(flags)) for flags in (even, even[::-1]))
    thick = max(first, last)
    return (thick, thick) if min(first, last) and thick <= WIDEST * len(even) else (0, 0)


def inside_details(before: np.ndarray, after: np.ndarray, bars: Bars) -> tuple[np.ndarray, np.ndarray]:
    """`details` of what is between the bars, and a line away from them: those may be half a line thicker."""
    top, bottom, left, right = (lines + (lines > 0) for lines in bars)
    h, w = after.shape
    inside = np.s_[top : h - bottom, left : w - right]
    return details(np.ascontiguousarray(before[inside])), details(np.ascontiguousarray(after[inside]))


def _likeness(before: np.ndarray, after: np.ndarray, edges: np.ndarray, bars: Bars | None) -> float:
    """Correlation of two histograms of 256 levels, in HISTOGRAM_BINS, without those of the bars."""
    import cv2

    if bars is not None:
        top, bottom, left, right = bars
        h, w = edges.shape
        share = 1 - (h - top - bottom) * (w - left - right) / (h * w)
        tone = float(edges[0].mean() if top else edges[:, 0].mean())
        before, after = (_without(levels, share, tone) for levels in (before, after))
    return float(cv2.compareHist(_binned(before), _binned(after), cv2.HISTCMP_CORREL))


def _without(levels: np.ndarray, share: float, tone: float) -> np.ndarray:
    """A histogram less a share of its pixels, those nearest to `tone`."""
    order = np.argsort(np.abs(np.arange(len(levels)) - tone), kind="stable")
    found = levels.astype(np.float64)
    gone = np.minimum(np.cumsum(found[order]), share * found.sum())
    found[order] -= np.diff(gone, prepend=0.0)
    return found


def _binned(levels: np.ndarray) -> np.ndarray:
    return levels.reshape(HISTOGRAM_BINS, -1).sum(axis=1).astype(np.float32)


def edge_energy(luma: np.ndarray) -> float:
    """Mean squared step to the pixel below and to the right, levels² (uint8[h, w] -> float)."""
    import cv2

    corner = luma[:-1, :-1]
    return (
        cv2.norm(luma[1:, :-1], corner, cv2.NORM_L2SQR) + cv2.norm(luma[:-1, 1:], corner, cv2.NORM_L2SQR)
    ) / corner.size


def details(luma: np.ndarray) -> np.ndarray:
    """What stands out from its surroundings, as a multiple of how much does so there: unmoved by light, and the same in
    a dark picture as in a bright one (uint8[h, w] -> float32[h, w])."""
    import cv2

    x = luma.astype(np.float32)
    x -= cv2.blur(x, (5, 5))
    return x / (cv2.sqrt(cv2.blur(x * x, (9, 9))) + 1.5)


def matches(before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    """How well the quarters of one picture's details are found in the other's: mean and best correlation, −1..1.

    Each quarter may have moved by REACH pixels. Fast motion lowers all, as a cut does; an overlay, a light or
    something passing leaves one. Quarters without detail in either picture say nothing; (1, 1) when none has any.
    """
    import cv2

    h, w = after.shape[0] // 2, after.shape[1] // 2
    found = []
    for y in (0, h):
        for x in (0, w):
            window, part = before[y : y + h, x : x + w], after[y + REACH : y + h - REACH, x + REACH : x + w - REACH]
            if max(cv2.norm(window, cv2.NORM_L2SQR) / window.size, cv2.norm(part, cv2.NORM_L2SQR) / part.size) >= PLAIN:
                found.append(float(cv2.matchTemplate(window, part, cv2.TM_CCORR_NORMED).max()))
    return (sum(found) / len(found), max(found)) if found else (1.0, 1.0)
