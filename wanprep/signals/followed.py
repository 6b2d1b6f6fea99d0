"""Whether two pictures of a source, seconds apart, show the same things once the camera's way between them is undone.

The pictures in between are followed one after the other, each evened in light first, so that neither a pan nor a shot
that grows dark hides it. Where two shots mix, the details of the first are gone at the end, however slowly they went.
Pure: arrays in, a number out.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from wanprep.signals.motion import camera_step

CONTRAST = 40.0  # levels of standard deviation that every picture is brought to
PART = 16  # pixels a side of the parts that are compared
DETAIL = 16.0  # least variance of a part that can be compared, levels squared of evened pictures
FOUND = 0.5  # correlation from which on a part is found again
LEAST = 0.15  # share of the picture that must be comparable


def found_again(thumbs: Iterable[np.ndarray]) -> float:
    """Share 0..1 of the parts of the first picture that are there in the last one where the camera left them.

    thumbs: uint8[h, w, 3] BGR in order, at most about a second apart. 0 where a step of the camera is unknown or too
    little of the picture is seen in both; NaN for fewer than two pictures.
    """
    import cv2

    first = last = None
    way = np.eye(3)
    for thumb in thumbs:
        evened = _evened(cv2.cvtColor(thumb, cv2.COLOR_BGR2GRAY))
        if last is not None:
            step = camera_step(last, evened)
            if step.matrix is None:
                return 0.0
            way = np.vstack([step.matrix, [0, 0, 1]]) @ way
        first, last = evened if first is None else first, evened
    if first is None or last is None or first is last:
        return float("nan")
    size = first.shape[::-1]
    moved = cv2.warpAffine(first, way[:2], size)
    inside = cv2.warpAffine(np.full(first.shape, 255, np.uint8), way[:2], size)
    return _alike(moved.astype(np.float32), last.astype(np.float32), _mean(inside) > 254)


def _evened(gray: np.ndarray) -> np.ndarray:
    """uint8[h, w]: the picture at the same mean and contrast as every other."""
    gray = gray.astype(np.float32)
    return np.clip((gray - gray.mean()) * (CONTRAST / (gray.std() + 0.5)) + 128, 0, 255).astype(np.uint8)


def _alike(one: np.ndarray, other: np.ndarray, inside: np.ndarray) -> float:
    means = _mean(one), _mean(other)
    spread = _mean(one * one) - means[0] ** 2, _mean(other * other) - means[1] ** 2
    shared = _mean(one * other) - means[0] * means[1]
    comparable = inside & (np.minimum(*spread) > DETAIL)
    if comparable.mean() < LEAST:
        return 0.0
    correlation = shared[comparable] / np.sqrt(spread[0][comparable] * spread[1][comparable])
    return float(np.mean(correlation > FOUND))


def _mean(picture: np.ndarray) -> np.ndarray:
    import cv2

    return cv2.blur(picture, (PART, PART))
