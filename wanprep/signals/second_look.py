"""A second look for a mark that stays, where the first (marks.py, titles.py) sees something or nearly.

A network twelve times as large as the first, which is shown colours too. It learned from made-up drawn shots, of which
the first takes much for marks, and from footage (tests/benchmarks/train_second_look.py); they err on different things,
so what counts is the sum of both (stages/overlays.py). It costs a tenth of a second of a core.

Shape legend: M thumbnails, h x w their size, C channels, H x W a layer's size.
"""

from __future__ import annotations

import functools
import math
from pathlib import Path

import numpy as np

from wanprep.signals import cards, marks

WEIGHTS = Path(__file__).with_name("second_look.safetensors")
REACH = 2, 4, 8, 1, 2  # dilations of the layers after the third
MOST = 12  # places whose mean is the score
FEWEST = 3  # thumbnails: fewer were not in its training
LARGER = 0.8  # log-odds that a look for large words (titles.py) counts less than one for marks: its limit is higher
PLAIN = -1.0  # what both these looks must be below to need no second one


def asked(first: float, title: float, card: float) -> bool:
    """Whether a clip wants a second look: it is no title card, and a first look (log-odds of `marks.mark` or
    `titles.title`, NaN: none) sees something, or nearly."""
    return not card > cards.CARD and (first > PLAIN or title - LARGER > PLAIN)


def mark(thumbs_MhwC: np.ndarray, weights_: marks.Weights | None = None) -> tuple[float, marks.Box | None]:
    """(log-odds of an overlay, its box), of thumbnails as for `marks.mark`; NaN of fewer than FEWEST.

    As it is and in a mirror. weights_: others than the shipped ones, see `marks.load`.
    """
    if len(thumbs_MhwC) < FEWEST or min(thumbs_MhwC.shape[1:3]) < 32:
        return math.nan, None
    w = weights_ or _shipped()
    x = maps(thumbs_MhwC[marks.chosen(len(thumbs_MhwC))])
    mirrored = np.ascontiguousarray(x[:, :, ::-1])
    mirrored[0] *= -1  # the gradient across
    places_HW = (_network(x, w) + _network(mirrored, w)[:, ::-1]) / 2
    odds = marks.mean_of_best(places_HW, MOST)
    return odds, marks.box_of(places_HW) if odds > 0 else None


def maps(thumbs_MhwC: np.ndarray) -> np.ndarray:
    """float32[13, h, w]: `marks.maps`, then the lasting blue, green and red, how far luma changes, and luma of the
    thumbnail in the middle."""
    lumas, primaries = marks.lumas(thumbs_MhwC), marks.primaries(thumbs_MhwC)
    lasting = [marks.middle([picture.astype(np.float32) for picture in plane]) / 64 - 2 for plane in primaries]
    shown = [luma.astype(np.float32) for luma in lumas]
    change = functools.reduce(np.maximum, shown) - functools.reduce(np.minimum, shown)
    more = [*lasting, np.log(change + 1) - 1.5, shown[len(shown) // 2] / 64 - 2]
    return np.concatenate([marks.maps(lumas, primaries), np.stack(more)]).astype(np.float32)


def _network(x: np.ndarray, w: marks.Weights) -> np.ndarray:
    """Log-odds by which each place speaks for a mark, of `maps`."""
    y = marks.conv(x, w, "a", stride=2)
    y = marks.conv(y, w, "b")
    y = marks.conv(y, w, "c", stride=2)
    for k, reach in enumerate(REACH):
        z = marks.conv(y, w, f"r.{k}", dilation=reach, relu=False) + y
        if k == 1:
            whole = w["g.weight"] @ np.concatenate([y.mean(axis=(1, 2)), y.max(axis=(1, 2))]) + w["g.bias"]
            z += whole[:, None, None]
        y = np.maximum(z, 0.0)
    return np.tensordot(w["o.weight"][0, :, 0, 0], y, axes=1) + w["o.bias"][0] + w["bias"][0]


@functools.cache
def _shipped() -> marks.Weights:
    return marks.load(WEIGHTS)
