"""The numbers of each frame that shots are found by, against the frame before; every threshold comes afterwards.

PySceneDetect's numbers are fed from our own decode loop (one decode serves all signals) and kept instead of its
verdicts; beside them, how far details are found again from frame to frame.
"""

from __future__ import annotations

from typing import Any

import numpy as np

FIELDS = ("content_val", "hist_diff", "luma_mean", "luma_p95", "edge_energy", "match", "best_match")
TINY_WIDTH, TINY_HEIGHT = 16, 12  # 192 bytes a frame, 33 MB for two hours at 24 fps
HISTOGRAM_BINS = 128
EDGE_SIZE = 64, 36  # of the picture whose edges are measured: motion blur and noise hardly show at this size
PLAIN = 0.04  # mean square of details of a plain wall or sky
REACH = 3  # pixels of 64 that a detail may move from frame to frame and still be found


class ShotMeter:
    """Numbers of each frame against the one before. One object a source; frames in presentation order.

    content_val is that of PySceneDetect's ContentDetector, to the bit, with a third of the work; hist_diff is that of
    its HistogramDetector within 0.001: luma is taken as it is here, where the detector converts colour once more and
    comes to another level in three of a thousand pixels.
    """

    def __init__(self) -> None:
        self._hsv: Any = None
        self._last: Any = None
        self._details: Any = None

    def feed(self, bgr: np.ndarray, luma: np.ndarray | None = None) -> tuple[dict[str, float], np.ndarray]:
        """bgr uint8[h, w, 3], about 256 px wide -> (numbers named FIELDS, tiny picture uint8[12, 16]). luma: its
        COLOR_BGR2GRAY, uint8[h, w], where the caller has it anyway.

        content_val 0..255, hist_diff, match and best_match (correlations, −1..1) are NaN on the first frame, which has
        no predecessor.
        """
        import cv2

        luma = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY) if luma is None else luma
        hsv = cv2.cvtColor(bgr, cv2.COLOR_BGR2HSV)
        levels = cv2.calcHist([luma], [0], None, [256], [0, 256]).ravel()
        histogram = levels.reshape(HISTOGRAM_BINS, -1).sum(axis=1)
        edges = cv2.resize(luma, EDGE_SIZE, interpolation=cv2.INTER_AREA)
        detail = details(edges)
        numbers = dict.fromkeys(FIELDS, np.nan)
        if self._hsv is not None:
            change = cv2.sumElems(cv2.absdiff(hsv, self._hsv))[:3]
            numbers["content_val"] = sum(part / luma.size for part in change) / 3.0
            numbers["hist_diff"] = cv2.compareHist(self._last, histogram, cv2.HISTCMP_CORREL)
            numbers["match"], numbers["best_match"] = matches(self._details, detail)
        share = np.cumsum(levels)
        numbers["luma_mean"] = cv2.sumElems(luma)[0] / luma.size
        numbers["luma_p95"] = float(np.searchsorted(share, 0.95 * luma.size))
        numbers["edge_energy"] = edge_energy(edges)
        self._hsv, self._last, self._details = hsv, histogram, detail
        return numbers, cv2.resize(luma, (TINY_WIDTH, TINY_HEIGHT), interpolation=cv2.INTER_AREA)


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
