"""How likely large words were drawn over one clip: a title, or a word across the picture.

To the network of signals/marks.py letters higher than a sixth of the picture are shapes of the scene. This is one like
it, for thumbnails half as wide, trained on large words alone (tests/benchmarks/train_marks.py --large). It takes rows
of windows, tiles and pales for words now and then; but those repeat themselves, words do not.

A title belongs to its clip: nothing is pooled.
"""

from __future__ import annotations

import functools
import math
from pathlib import Path

import numpy as np

from wanprep.signals import brief, marks

WEIGHTS = Path(__file__).with_name("titles.safetensors")
WIDTH = 128  # of the thumbnails it was trained on
LIKELY = 0.0  # log-odds above which it is asked what it is, and those of what is too small or repeats itself
REPEATS = 0.75  # likeness of lasting edges to themselves a little further, above which they are a pattern
TILED = 0.64  # the same of the whole picture, where words that come and go are looked for
SMALLEST = 0.014  # share of the picture that their box has: of words a tenth as high as it 99 % have more
NEAREST, FURTHEST = 3, 0.6  # pixels, and share of their box, that this is looked for


def title(thumbs_MhwC: np.ndarray, weights: marks.Weights | None = None) -> tuple[float, marks.Box | None]:
    """(log-odds of large words, their box) of uint8[M, h, w, 3] BGR thumbnails of one clip, as `marks.mark`; also of
    words that come and go. None above LIKELY where what looks like words is small or repeats itself; NaN where nothing
    does, as where too little is seen."""
    if len(thumbs_MhwC) < 2 or min(thumbs_MhwC.shape[1:3]) < 64:
        return math.nan, None
    weights = weights or _shipped()
    some = thumbs_MhwC[marks.chosen(len(thumbs_MhwC))]
    x = marks.maps(marks.lumas(some, WIDTH), marks.primaries(some, WIDTH))
    odds, box = marks.judged(marks.looked(x, weights, LIKELY))
    if box is not None and not _wordlike(x, box):
        odds, box = LIKELY, None
    for passing, where, its in brief.passing(thumbs_MhwC, weights, WIDTH, marks.MOST):
        if not passing <= odds and _wordlike(its, where) and repeated(its) <= TILED:
            odds, box = passing, where
    return odds, box


def _wordlike(x: np.ndarray, box: marks.Box) -> bool:
    left, top, right, bottom = box
    return (right - left) * (bottom - top) >= SMALLEST and repeated(x, box) <= REPEATS


def repeated(x: np.ndarray, box: marks.Box = (0.0, 0.0, 1.0, 1.0)) -> float:
    """0..1: how like the lasting edges in a box of `marks.maps` are to themselves, moved across or down."""
    height, width = x.shape[1:]
    rows = slice(int(box[1] * height), math.ceil(box[3] * height))
    columns = slice(int(box[0] * width), math.ceil(box[2] * width))
    lasting_HW = np.clip((x[2, rows, columns] + 2) / 4, 0, 1)  # 0: none of it stays
    edges = x[:2, rows, columns] * lasting_HW
    return max(_likeness(edges), _likeness(edges.swapaxes(1, 2)))


def _likeness(edges_CHW: np.ndarray) -> float:
    best = 0.0
    for step in range(NEAREST, int(edges_CHW.shape[2] * FURTHEST) + 1):
        here, there = edges_CHW[:, :, step:], edges_CHW[:, :, :-step]
        most = math.sqrt(float((here * here).sum() * (there * there).sum()))
        best = max(best, float((here * there).sum()) / most if most else 0.0)
    return best


@functools.cache
def _shipped() -> marks.Weights:
    return marks.load(WEIGHTS)
