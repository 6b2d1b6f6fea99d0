"""What coarse coding left in a picture that was then coded again, finely: by then its stream says that all is well.

A coder that smooths block edges leaves no steps there, but little else that is small near them: of places where
neighbours differ more than to both sides, few are left in the middle of 8 x 8 blocks and more around their edges, and
what differs by less than a level lies unevenly, too. Counting such places, rather than adding differences up
(`compression.blockiness`), does not depend on contrast, and the counts of a whole picture show a few per cent.

Blocks leave faint traces, alike on both sides of their edges. Bricks, checks and icons drawn to the grid leave strong
ones, what has other repeats leaves lopsided ones, and in pictures enlarged by two every other place has few peaks: the
more lopsided the less is believed, and of what is drawn, or repeats itself at the grid, nothing is said.

Where each of the 16 places of the grid counts for how much was fitted (tests/benchmarks/train_hidden.py) to pictures of
half A of bench_quality: coded once, finely or not, or coarsely and then finely, by x264, x265, VP9, AV1, and old and
enlarged ones. The grid begins at the corner of the picture, or, when it was cropped in between, at another even pixel:
there the traces are alike on both sides, which are lopsided seen from the corner. Scaled pictures have lost their grid.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np

from wanprep.signals import repeats

GRID = 16
ALTERNATE = np.resize([1.0, -1.0], GRID)
MIRRORED = (GRID - 2 - np.arange(GRID)) % GRID  # the place as far beyond the edge between place 15 and 0
BAND = 4  # lines that are added up: edges of blocks go on along them, noise does not
MOST_LINES = 540  # of a picture with more, every k-th band is looked at
AROUND = 33, 9  # pixels and bands around a place that say whether there is anything to see
STRUCTURE = 0.5  # levels by which neighbours there differ on average; less is a wall or a sky, flat however coded
STRONG = 12  # levels: larger differences count as this
OWN = 24  # levels: larger steps are the picture's own edges, or those of black bars, and are not counted
LEVEL = 1.0  # by so much a peak stands out of its neighbours, and within so much two places are equal
FEWEST = 30  # places with structure at each place of the grid; fewer say nothing
DOUBT = 150.0  # so many of them count by half
FAINT = 0.4  # how far a share may be from the mean: beyond it are blocks drawn, or such as every eye sees
ENLARGED = 0.6  # the most of the largest such peak that may come and go from place to place; coarse ones: 0.59 at most
# How lopsided the shares are around the edges of macroblocks: the root of the sum of squares of what is not mirrored,
# less CHANCE over the pixels counted. 0.03 to 0.06 for all codings (medians), 0.14 for what is drawn.
CHANCE, EVEN, LOPSIDED = 3.0, 0.05, 0.3
AGAINST = 10.0  # taken off for each unit beyond EVEN; beyond LOPSIDED it is drawn
# Where a cropped grid may begin, in pixels (half a macroblock further as well); how lopsided traces are before it is
# looked for, how much less they must be there, and what is taken off there, for more places were looked at.
CROPPED, MOVED, AS_EVEN, ELSEWHERE = (2, 4, 6), 0.1, 0.5, 1.0
# By distance from the edge of a macroblock, 0 to 8 pixels: what a share of peaks or of equal places there says, beyond
# the mean of the grid.
PEAKS = (111.7, 264.4, 222.1, 77.3, -30.6, -158.6, 16.3, -329.3, -204.1)
EQUAL = (19.3, -12.3, -18.9, 34.1, 160.0, -36.7, 11.3, -16.8, -115.5)
# To H.264's scale. Nothing is decided by it alone: it says which grid there is, and `signals.coarse` weighs it.
USUAL, LIMIT, AT, STEEP = 25.0, 26.9, 37.0, 2.0
REPEATS = 0.045  # of `repeats.share`: more is drawn to the grid
ALONE = 6.0  # as much as blocks in one direction count for at most
_UNKNOWN = np.full((2, 2, GRID // 2 + 1), np.nan)


class Look(NamedTuple):
    """quantiser: how coarsely it looks to have been quantised once, on H.264's scale (0..51, unlimited here); NaN if
    it is too small, too flat or too regular a picture. drawn: it is too regular, what repeats in it is no coding.
    corner: x and y of the pixel where its macroblocks begin. shares: float[2, 2, 9] of `Grid`, across and down.
    lopsided, known: of the worse direction, and the mean of both."""

    quantiser: float
    drawn: bool
    corner: tuple[int, int] = (0, 0)
    shares: np.ndarray = _UNKNOWN
    lopsided: float = math.nan
    known: float = math.nan


def look(luma_HW: np.ndarray) -> Look:
    """What uint8 luma shows of a coding. 0.4 ms at 480p."""
    import cv2

    if repeats.share(luma_HW) > REPEATS:
        return Look(math.nan, True)
    weights = np.array([PEAKS, EQUAL])
    grids = (profiles(lines) for lines in (luma_HW, cv2.transpose(luma_HW)))
    pairs = [pair for pair in itertools.product(*grids) if max(grid.lopsided for grid in pair) <= LOPSIDED]
    said = [
        together(*((weights * grid.shares).sum() - grid.elsewhere for grid in pair), *(grid.lopsided for grid in pair))
        for pair in pairs
    ]
    most = max((value for value in said if math.isfinite(value)), default=math.nan)
    if math.isnan(most):
        return Look(math.nan, not pairs)
    across, down = pairs[said.index(most)]
    return Look(
        AT + STEEP * (USUAL + most - LIMIT), False, (-across.place % GRID, -down.place % GRID),
        np.stack([across.shares, down.shares]), max(across.lopsided, down.lopsided), (across.known + down.known) / 2,
    )  # fmt: skip


def together(across: float, down: float, lopsided_across: float, lopsided_down: float) -> float:
    """Of what both directions say: the one that says less counts for three quarters, and the other one cannot say it
    alone: a fence or windows stand in one. NaN where one says nothing."""
    if math.isnan(across + down):
        return math.nan
    said = 0.25 * min(ALONE, max(across, down)) + 0.75 * min(across, down)
    return float(said) - AGAINST * max(0.0, max(lopsided_across, lopsided_down) - EVEN)


class Grid(NamedTuple):
    """What macroblocks that begin at one place leave across the lines. shares: float[2, 9], how much larger a share of
    peaks, and of equal places, lies 0 to 8 pixels from their edges than anywhere; nearer to 0 where little is to be
    seen, NaN where too little or far too much. lopsided: infinite where they come and go from pixel to pixel.
    place: by how many pixels it is moved to begin at the corner of the picture. known: what was counted, a place."""

    shares: np.ndarray
    lopsided: float
    place: int = 0
    known: float = math.nan

    @property
    def elsewhere(self) -> float:
        """What is taken off where more places were looked at."""
        return ELSEWHERE if self.place else 0.0


def profiles(lines_HW: np.ndarray) -> list[Grid]:
    """Of the corner, and of where traces are so much less lopsided that a grid was cropped there."""
    unknown = np.full((2, GRID // 2 + 1), np.nan)
    if len(lines_HW) < BAND or lines_HW.shape[1] < 2 * GRID:
        return [Grid(unknown, 0.0)]
    there, *counts = _counts(lines_HW)
    if there.min() < FEWEST:
        return [Grid(unknown, 0.0)]
    shares = np.array(counts) / there
    more = shares - shares.mean(axis=1, keepdims=True)
    largest, known = np.abs(more).max(axis=1), there.mean()
    lopsided = {place: _lopsided(np.roll(more, place, axis=1), known) for place in (0, *CROPPED)}
    if abs((ALTERNATE * more[0]).mean()) > ENLARGED * largest[0]:
        lopsided = dict.fromkeys(lopsided, math.inf)
    if largest.max() > FAINT:
        return [Grid(unknown, lopsided[0])]
    sure = known / (known + DOUBT)

    def begun(place: int) -> Grid:
        by_distance = np.roll(more, place, axis=1) @ _BY_PLACE * sure
        return Grid(by_distance, lopsided[place % (GRID // 2)], place, float(known))

    other = min(CROPPED, key=lopsided.__getitem__)
    moved = lopsided[0] > MOVED and lopsided[other] < AS_EVEN * lopsided[0]
    return [begun(place) for place in ((0, other, other + GRID // 2) if moved else (0,))]


def _lopsided(more: np.ndarray, known: float) -> float:
    """Of float[2, 16] about the edge between place 15 and 0, less what chance leaves."""
    return math.sqrt(max(0.0, (((more - more[:, MIRRORED]) / 2) ** 2).sum() - CHANCE / known))


def _counts(lines_HW: np.ndarray) -> np.ndarray:
    """float[3, 16]: how many steps from pixel to pixel have structure around, are peaks besides, or hardly steps, by
    the place of the left pixel in the grid."""
    import cv2

    bands = len(lines_HW) // BAND
    every = BAND * -(-bands * BAND // MOST_LINES)
    one, two, three, four = (lines_HW[k : bands * BAND : every] for k in range(BAND))
    sums = cv2.add(cv2.add(one, two, dtype=cv2.CV_16S), cv2.add(three, four, dtype=cv2.CV_16S))
    step = cv2.absdiff(sums[:, 1:], sums[:, :-1])
    limited = cv2.threshold(step, STRONG * BAND, 0, cv2.THRESH_TRUNC)[1]
    around = cv2.boxFilter(limited, cv2.CV_32S, AROUND, normalize=False)
    structured = np.greater_equal(around, int(STRUCTURE * BAND * math.prod(AROUND))).view(np.uint8)[:, 1:-1]
    middle = step[:, 1:-1]
    there = cv2.min(structured, np.less_equal(middle, OWN * BAND).view(np.uint8))
    beyond = cv2.subtract(middle, cv2.max(step[:, :-2], step[:, 2:]))
    peak = np.greater(beyond, int(LEVEL * BAND)).view(np.uint8)
    equal = np.less_equal(middle, int(LEVEL * BAND)).view(np.uint8)
    whole = middle.shape[1] // GRID * GRID
    by_place = [
        cv2.reduce(seen, 0, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel()[:whole].reshape(-1, GRID).sum(axis=0)
        for seen in (there, cv2.min(peak, there), cv2.min(equal, there))
    ]
    return np.roll(np.array(by_place, np.float64), 1, axis=1)  # the first step has no left neighbour and is left out


def _by_place() -> np.ndarray:
    """float[16, 9]: means of the places as far from the edge between place 15 and 0."""
    place = np.arange(GRID)
    distance = np.minimum((place + 1) % GRID, (GRID - 1 - place) % GRID)
    same = distance[:, None] == np.arange(GRID // 2 + 1)
    return same / same.sum(axis=0)


_BY_PLACE = _by_place()
