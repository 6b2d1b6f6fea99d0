"""How likely something was drawn over a part of a clip: a title, counter or caption that comes, stays a second, goes;
or a title that comes and stays, or is there at first.

Each two thumbnails that follow each other are judged as a clip of their own (signals/marks.py). By itself that takes
whatever stands still for half a second for a mark, parts of a scene under a slow pan most of all; but those are still
there a moment later, moved on. So what looks drawn must be gone from about half of the other thumbnails: neither at its
place, nor, by the likeness of its edges, anywhere near. What fills more of the clip is not, so its beginning and its
end are judged besides. It can only speak for a mark: most marks stay.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np

from wanprep.signals import marks

FEWEST = 4  # thumbnails: two that show it, and two that do not
MOST = 24  # places whose mean is the score of a part
PAIRS, STRONG, FEW = 2, 10.0, 30  # pairs that are judged; levels a pixel of an edge, and pixels of them at least
LINE = 48, 12  # pixels across and down that they are close together in, as letters are
DIM = 0.9  # log-odds, of a part as it is, below which it is not looked at in a mirror either
STAYS = 0.3  # share of its edges that a thumbnail may show at the place where a mark is gone
LIKE = 0.65  # likeness that anything near may have to it
GONE = 0.45  # share of the other thumbnails that what a pair shows must be gone from
NEAR = 40, 72  # pixels down and across that a part of a scene may have moved on
ROOM = 2  # pixels around the places
TURN, LEFT = 3, 0.75  # thumbnails of a beginning or an end, and share of the rest that it must be gone from
Span = tuple[int, int, float]  # first thumbnail and the one after the last; share of the others it must be gone from
Edges = tuple[np.ndarray, np.ndarray]  # gradient across and down


def brief(thumbs_MhwC: np.ndarray, weights: marks.Weights | None = None) -> tuple[float, marks.Box | None]:
    """(log-odds of a mark in a part of the clip, its box) of uint8[M, h, w, 3] BGR thumbnails, about 256 px wide.

    NaN and None where nothing that looks drawn comes or goes, or there are fewer than FEWEST.
    """
    found = passing(thumbs_MhwC, weights)
    return max(((odds, box) for odds, box, _ in found), key=lambda found: found[0], default=(math.nan, None))


def passing(
    thumbs_MhwC: np.ndarray, weights: marks.Weights | None = None, width: int = marks.WIDTH, most: int = MOST
) -> Iterator[tuple[float, marks.Box, np.ndarray]]:
    """(log-odds, box, maps) of each of the likely parts that shows a mark which is gone in the others.

    weights: of a network for thumbnails `width` wide, by the mean of whose best places (most) a part is judged.
    """
    if len(thumbs_MhwC) < FEWEST or min(thumbs_MhwC.shape[1:3]) < 32:
        return
    pictures = marks.lumas(thumbs_MhwC[marks.chosen(len(thumbs_MhwC))], width)  # not each primary: it costs as much
    edges = list(zip(*marks.gradients([picture.astype(np.float32) for picture in pictures])))
    share = width / marks.WIDTH
    few = int(FEW * share * share)
    for first, stop, least in itertools.chain(_likely(edges, few), _turns(edges, few)):
        x = marks.maps(pictures[first:stop])
        places = marks.looked(x, weights, DIM, most)
        if places is None:
            continue
        odds = marks.mean_of_best(places, most)
        others = [*edges[:first], *edges[stop:]]
        if odds > 0 and _gone(places, edges[first:stop], others, share) >= least:
            yield odds, marks.box_of(places), x


def _likely(edges: Sequence[Edges], few: int) -> list[Span]:
    """The PAIRS pairs in which most edges, close together, stay that are not there throughout, few at least."""
    usual = [marks.middle(along) for along in zip(*edges)]
    counts = []
    for one, two in itertools.pairwise(edges):
        stirs, apart = np.zeros_like(usual[0]), np.zeros_like(usual[0])
        for a, b, middle in zip(one, two, usual):
            stirs += (a - b) ** 2
            apart += ((a + b) / 2 - middle) ** 2
        comes = (apart > STRONG * STRONG) & (stirs < apart)
        counts.append(_close(comes))
    return [(int(k), int(k) + 2, GONE) for k in np.argsort(counts)[::-1][:PAIRS] if counts[k] >= few]


def _turns(edges: Sequence[Edges], few: int) -> list[Span]:
    """The beginning or the end, of TURN thumbnails and more, in which most edges stay that the rest has not; if any."""
    planes: np.ndarray = np.array(edges)  # [n, 2, h, w]
    energies = (planes * planes).sum(axis=1)
    best, found = 0.0, []
    for turn in range(2, len(edges) - 1):
        parts = slice(0, turn), slice(turn, len(edges))
        means = [planes[part].mean(axis=0) for part in parts]
        apart = ((means[0] - means[1]) ** 2).sum(axis=0)
        for part, mean, other in zip(parts, means, reversed(means)):
            if part.stop - part.start < TURN:
                continue
            energy = (mean * mean).sum(axis=0)
            stirs = energies[part].mean(axis=0) - energy
            comes = (apart > STRONG * STRONG) & (2 * stirs < apart) & (energy > 2 * (other * other).sum(axis=0))
            if _close(comes) < few:
                continue
            if (strength := float((apart * comes).sum())) > best:
                best, found = strength, [(part.start, part.stop, LEFT)]
    return found


def _close(edges_hw: np.ndarray) -> int:
    """How many edges, bool, are in one LINE at most."""
    import cv2

    near = cv2.boxFilter(edges_hw.astype(np.float32), -1, LINE, normalize=False, borderType=cv2.BORDER_CONSTANT)
    return round(float(near.max()))


def _gone(places_IJ: np.ndarray, shown: Sequence[Edges], others: Sequence[Edges], share: float) -> float:
    """Share of the other thumbnails in which what looks drawn in these is neither there nor near. share: their width,
    to that which ROOM and NEAR are of."""
    import cv2

    height, width = shown[0][0].shape
    left, top, right, bottom = marks.box_of(places_IJ)
    room, near = int(ROOM * share), [int(reach * share) for reach in NEAR]
    y0, y1 = max(0, int(top * height) - room), min(height, int(bottom * height) + room)
    x0, x1 = max(0, int(left * width) - room), min(width, int(right * width) + room)
    chosen = (places_IJ >= 0.5 * places_IJ.max()).astype(np.float32)
    cover = cv2.resize(chosen, (width, height), interpolation=cv2.INTER_NEAREST)[y0:y1, x0:x1]
    drawn = [marks.middle([of[y0:y1, x0:x1] for of in along]) * cover for along in zip(*shown)]
    energy = sum(float((part * part).sum()) for part in drawn) + 1.0
    down, across = slice(max(0, y0 - near[0]), y1 + near[0]), slice(max(0, x0 - near[1]), x1 + near[1])
    gone = 0
    for other in others:
        stays = sum(float((of[y0:y1, x0:x1] * part).sum()) for of, part in zip(other, drawn)) / energy
        gone += stays < STAYS and _likeness([of[down, across] for of in other], drawn, cover, energy) < LIKE
    return gone / len(others)


def _likeness(around: Sequence[np.ndarray], drawn: Sequence[np.ndarray], cover_hw: np.ndarray, energy: float) -> float:
    """The highest correlation of edges that are drawn with those around, wherever they are."""
    import cv2

    agree = sum(cv2.matchTemplate(of, part, cv2.TM_CCORR) for of, part in zip(around, drawn))
    there = cv2.matchTemplate(sum(of * of for of in around), cover_hw, cv2.TM_CCORR)
    return float((agree / np.sqrt(np.maximum(there, 1.0) * energy)).max())
