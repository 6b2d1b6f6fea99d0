"""What sets a step from frame to frame apart from those of a rhythm, what it changes where anything is to be seen, and
whether what was there comes back.

Drawings are held for two or three frames: each step of a fast pan over them is as large as a cut, with nothing beside
it, but others as large follow at the same distance. Of a picture that is mostly dark, or seen through a hole, what
stays is most of it at a cut too. And what light or something that passes changes is there again soon.
Legend: T float32[N, P] (`Pictures`), one row of P luma values (0..255) a frame; before, after int[n]: the frames that
steps lie between. Pure: arrays in, numbers out, float[n] each.
"""

from __future__ import annotations

import numpy as np

from wanprep.signals.jumps import FAR, around
from wanprep.signals.mixing import DARK, EPS
from wanprep.signals.pictures import Pictures

BEATS = (2, 3, 4)  # frames that drawings are held for
WIDE = 12  # steps on each side
BESIDE = 2, 4  # frames away from a step, of pictures that show what is lit
FAINT = 16.0  # luma that is added to both sides of a ratio
EVEN = 0.05  # deviation of such ratios' logarithms that is rounding
SOON = 6  # frames on each side of which one may be like one of the others
STAYS = 0.2  # of the RMS change of what is lit: places that change less stay
BEAT_NAMES = (*(f"beat{beat}{most}" for beat in BEATS for most in ("", "_most")), "held", "wide", "wide_quiet")
LIT_NAMES = ("lit", "like_lit", "kept_lit", "size_lit", "tone", "tone_loud", "tone_quiet")
AGAIN_NAMES = ("again", "own")


def rhythm(step: np.ndarray, before: np.ndarray, after: np.ndarray, size: np.ndarray) -> dict[str, np.ndarray]:
    """BEAT_NAMES: ln of the size of steps over that of others. step: luma step of all frames; size: of these."""
    left, right = np.split(around(step, before + 1, after, WIDE), 2, axis=1)
    sides = np.stack([left[:, ::-1], right], axis=2)  # float[n, WIDE, 2]: from those next to a step on

    def over(others: np.ndarray) -> np.ndarray:
        return np.log((size + 1) / (others + 1))

    found = {}
    for beat in BEATS:
        found[f"beat{beat}"] = over(sides[:, [beat - 1, 2 * beat - 1]].mean((1, 2)))
        found[f"beat{beat}_most"] = over(sides[:, beat - 1].max(1))
    far = sides[:, FAR:].max(1)
    return found | {
        "held": over(np.median(sides[:, :FAR].reshape(len(size), -1), axis=1)),
        "wide": over(far.max(1)),
        "wide_quiet": over(far.min(1)),
    }


def seen(T: Pictures, before: np.ndarray, after: np.ndarray) -> dict[str, np.ndarray]:
    """LIT_NAMES: the share of places that are lit in any picture around; how alike the pictures are there, how much
    stays, by how much they change; by how much more than one light for all of it would (the deviation of the
    logarithm of their ratio: what shades both alike cancels out), and than within the shots beside."""
    last = len(T) - 1
    left = [T[np.maximum(before - away, 0)] for away in (0, *BESIDE)]
    right = [T[np.minimum(after + away, last)] for away in (0, *BESIDE)]
    lit = np.maximum.reduce([*left, *right]) > DARK
    count = np.maximum(1, lit.sum(1))

    def mean(x: np.ndarray) -> np.ndarray:
        return (x * lit).sum(1) / count

    def centred(x: np.ndarray) -> np.ndarray:
        return (x - mean(x)[:, None]) * lit

    def tone(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.sqrt(mean(centred(np.log((b + FAINT) / (a + FAINT))) ** 2)) + EVEN

    A, B = left[0], right[0]
    D, a, b = np.abs(B - A), centred(A), centred(B)
    size = np.sqrt(mean(D**2))
    own, beside = tone(A, B), np.sort([tone(left[-1], A), tone(B, right[-1])], axis=0)
    return {
        "lit": lit.mean(1),
        "like_lit": (a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1) + EPS),
        "kept_lit": mean(STAYS * size[:, None] > D),
        "size_lit": np.log(size + 1),
        "tone": np.log(own),
        "tone_loud": np.log(own / beside[1]),
        "tone_quiet": np.log(own / beside[0]),
    }


def again(T: Pictures, before: np.ndarray, after: np.ndarray) -> dict[str, np.ndarray]:
    """AGAIN_NAMES: the best correlation of any of SOON frames before with any of as many after; the worst of either
    with those on their own side."""
    away, last = np.arange(SOON), len(T) - 1

    def centred(at: np.ndarray) -> np.ndarray:
        X = np.stack([T[column] for column in at.T], axis=1)
        X -= X.mean(-1, keepdims=True)
        return X / (np.sqrt(np.einsum("nip,nip->ni", X, X))[..., None] + 1e-3)

    left, right = centred(np.maximum(before[:, None] - away, 0)), centred(np.minimum(after[:, None] + away, last))
    both = np.einsum("nip,njp->nij", left, right)
    own = [np.einsum("nip,np->ni", side, side[:, 0]).min(1) for side in (left, right)]
    return {"again": both.max((1, 2)), "own": np.minimum(*own)}
