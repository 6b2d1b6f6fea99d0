"""Title and text cards: lettering on a flat background, with nothing to learn from but the words.

Lettering is told from things on a plain background (a product, a bird in fog, a line drawing) by its lines: bands of
rows that hold all there is, crossed by many short strokes which are neither evenly spaced nor the same at the top of
the band as at its bottom, as those of a fence or a row of windows are. Nothing has to stand still, so a card that
zooms, slides or scrolls is one too.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

CARD = 0.5  # share of the picture from which on lettering is what a clip shows: it wants no look for marks
FLAT = 12  # levels from the background that are still background
CONTRAST = 24  # levels that the strongest strokes differ by, at least
LETTERED = 0.75  # share of all strokes that must be in lines of lettering
MAX_HEIGHT = 0.45  # of the picture's height: a line of lettering is lower
ALIGNED = 0.7  # share of a line whose strokes end on the base line
TALL, ALIGNED_TALL = 0.25, 0.85  # stricter for lines that high: few titles are, trees on a ridge are
LOW, LOW_TALL = 0.7, 0.62  # of a line's height: letters have their weight above, what grows from the ground below it
MIN_STROKE = 0.05  # of a line's height: letters have thicker strokes, detail of a picture in a plain frame is finer
MIN_RUNS = 5.0  # strokes that a row through a line meets, on average
ONE_SIDE, STRONG = 0.85, 0.2  # shares of strokes on one side of the ground's level, and as strong as the strongest
SHARP = 0.12  # of the strongest difference, a pixel: the rims of letters are steeper (0.14 and more), waves are not
MIN_WIDTH = 1.5  # times a line's height that it is wide: so many letters are, what is round or square is a thing


def card(thumbs_MhwC: np.ndarray) -> float:
    """Share of flat background of the typical picture that holds lettering and nothing else; 0 when most hold more.

    thumbs_MhwC: uint8 BGR, about 256 wide, of one clip. Range 0..1; NaN without thumbnails. Pictures with nothing on
    the background at all (before the words fade in) do not count, unless all are such: then 0.
    """
    if not len(thumbs_MhwC):
        return float("nan")
    shares = [share for share in (card_share(thumb) for thumb in thumbs_MhwC) if share is not None]
    return float(np.median(shares)) if shares else 0.0


def card_share(thumb_hwC: np.ndarray) -> float | None:
    """Share of background of one picture of lettering, 0 for another picture, None for an empty one."""
    import cv2

    gray = cv2.cvtColor(thumb_hwC, cv2.COLOR_BGR2GRAY)
    gray = _inside(gray)
    ground = _background(gray)
    apart = cv2.absdiff(gray, ground)
    strongest = float(np.quantile(apart, 0.998))
    if strongest < CONTRAST:
        return None if np.mean(apart > FLAT) < 0.01 else 0.0
    ink = apart > max(FLAT, 0.4 * strongest)
    if _of_many_tones(gray > ground, apart > 0.75 * strongest, ink):
        return 0.0
    lettered = sum(line.ink for line in lines(ink) if line.lettering)
    if lettered < LETTERED * ink.sum() or _steepness(gray, ink) < SHARP * strongest:
        return 0.0
    return float(np.mean(apart <= FLAT))


def _of_many_tones(lighter: np.ndarray, strong: np.ndarray, ink: np.ndarray) -> bool:
    """Whether strokes (bool[h, w]) are both lighter and darker than the ground, and few of them as strong as the
    strongest: water, tiles. Lettering is of one tone (0.35 and more of it strong); with an outline, of two."""
    light = float(np.mean(lighter[ink]))
    return max(light, 1 - light) < ONE_SIDE and float(np.mean(strong[ink])) < STRONG


def _steepness(gray: np.ndarray, ink: np.ndarray) -> float:
    """Levels a pixel across the typical rim of the ink (bool[h, w], not empty)."""
    import cv2

    across, down = (cv2.Sobel(gray, cv2.CV_32F, *along) / 8 for along in ((1, 0), (0, 1)))
    rim = cv2.morphologyEx(ink.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    return float(np.median(np.hypot(across, down)[rim]))


def _inside(gray: np.ndarray) -> np.ndarray:
    """Without the two pixels at each edge, where scanners and codecs leave lines."""
    return np.ascontiguousarray(gray[2:-2, 2:-2])


def _background(gray: np.ndarray) -> np.ndarray:
    """uint8[h, w]: the commonest level where it fills most of the picture, else what is left without small things."""
    import cv2

    counts = np.bincount(gray.ravel(), minlength=256)
    around = np.convolve(counts, np.ones(2 * FLAT + 1), "same")
    if around.max() >= 0.5 * gray.size:
        return np.full_like(gray, int(np.argmax(around)))
    return cv2.medianBlur(gray, 63)


@dataclass(frozen=True, kw_only=True)
class Line:
    """A band of rows with something on it. ink: pixels of it. lettering: whether it looks like a line of words."""

    top: int
    bottom: int
    ink: int
    lettering: bool


def lines(ink_hw: np.ndarray) -> Iterator[Line]:
    """Bands of consecutive rows with strokes, of bool[h, w]."""
    filled = np.concatenate([[False], ink_hw.any(axis=1), [False]])
    for top, bottom in np.flatnonzero(np.diff(filled.astype(np.int8))).reshape(-1, 2).tolist():
        band = ink_hw[top:bottom]
        columns = np.flatnonzero(band.any(axis=0))
        # A sea or a meadow below a plain sky leaves the picture on three sides.
        ground = bottom == len(ink_hw) and columns[0] == 0 and columns[-1] == ink_hw.shape[1] - 1
        lettering = not ground and np.ptp(columns) >= MIN_WIDTH * (bottom - top) and _lettering(band, len(ink_hw))
        yield Line(top=top, bottom=bottom, ink=int(band.sum()), lettering=bool(lettering))


def _lettering(band_hw: np.ndarray, picture_height: int) -> bool:
    height = len(band_hw)
    if not 4 <= height <= MAX_HEIGHT * picture_height:
        return False
    middle = band_hw[height // 5 : height - height // 5]
    columns = np.flatnonzero(band_hw.any(axis=0))
    middle = middle[:, columns[0] : columns[-1] + 1]
    padded = np.pad(middle, ((0, 0), (1, 1))).astype(np.int8)
    starts = [np.flatnonzero(row == 1) for row in np.diff(padded, axis=1)]
    ends = [np.flatnonzero(row == -1) for row in np.diff(padded, axis=1)]
    runs = float(np.mean([len(row) for row in starts]))
    strokes = np.concatenate([e - s for s, e in zip(starts, ends)])
    if runs < MIN_RUNS or not MIN_STROKE * height <= np.median(strokes) <= 0.6 * height + 1:
        return False
    gaps = np.concatenate([s[1:] - e[:-1] for s, e in zip(starts, ends)])
    uneven = float(gaps.std() / gaps.mean()) if len(gaps) else 0.0
    aligned, low = (ALIGNED, LOW) if height < TALL * picture_height else (ALIGNED_TALL, LOW_TALL)
    return uneven > 0.3 and _weight(band_hw) < low and _upright(middle) < 0.85 and _on_a_line(band_hw) > aligned


def _weight(band_hw: np.ndarray) -> float:
    """Where the middle of the ink is, 0 (top) to 1: letters 0.4 to 0.66 (cut off below), rows of trees 0.62 to 0.73."""
    rows = band_hw.sum(axis=1)
    return float(rows @ (np.arange(len(rows)) + 0.5) / rows.sum() / len(rows))


def _on_a_line(band_hw: np.ndarray) -> float:
    """Share of the pieces of the band, each as wide as it is high, whose strokes end on the common base line."""
    height = len(band_hw)
    columns = np.flatnonzero(band_hw.any(axis=0))
    pieces = np.array_split(band_hw[:, columns[0] : columns[-1] + 1], max(1, round(np.ptp(columns) / height)), axis=1)
    bases = np.array([np.flatnonzero(piece.any(axis=1))[-1] for piece in pieces if piece.any()])
    return float(np.mean(np.abs(bases - np.median(bases)) <= max(1.0, 0.12 * height)))


def _upright(middle_hw: np.ndarray) -> float:
    """Mean correlation of rows a third of the band apart: 1 for upright bars."""
    reach = max(1, len(middle_hw) // 3)
    rows = middle_hw.astype(np.float32) - middle_hw.mean(axis=1, keepdims=True)
    scale = np.sqrt(np.square(rows).sum(axis=1)) + 1e-6
    pairs = itertools.product((0,), range(len(rows) - reach))
    found = [float(rows[k] @ rows[k + reach] / (scale[k] * scale[k + reach])) for _, k in pairs]
    return float(np.mean(found)) if found else 1.0
