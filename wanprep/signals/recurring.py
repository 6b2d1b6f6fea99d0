"""The same drawing at different places in several scenes of a source: a mark that moves.

What moves over one clip may be a logo or a car; the very same edges, to the pixel, move over three different scenes
only where they were drawn over all of them, or over two where they look it as well. Drawings (signals/moving.py) are
compared by their whitened correlation under any shift of up to half a window, because what is found of a long name is
now its head and now its tail.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from wanprep.signals.moving import HEIGHT, WIDTH, Drawing

MOST = 3  # drawings of a clip that are kept
SCENES = 6  # that are compared with each other; more change nothing but the time
LIMIT = 0.11  # likeness that drawings of three unmarked scenes do not reach (0.10 at most, measured)
PAIR, DRAWN = 0.06, 9.0  # how much more alike two scenes must be without a third, and the log-odds of both
PLAIN = 0.02  # by how much less than LIMIT things count at most that do not look drawn
LOOK, LOOKS = 0.02, (-4.0, 4.0)  # what log-odds of the drawings count, and how far: less than likeness by chance does
SHIFT = (12, 32)  # rows and columns
ROOM = (48, 96)  # of the transform: a window and half of the shift
STEPS = 7.0  # a component of an edge is kept as -7..7
ODDS_STEPS = 8.0  # log-odds are kept in eighths, -16 to 15.875 in a byte
BYTES = 1 + HEIGHT * WIDTH  # of one drawing

Waves = list[np.ndarray]


class Drawn:
    """Drawings of one clip as they are kept: unpacked when they are looked at, for of tens of thousands of clips only
    a few are. odds: float[K]. edges: float32[K, 2, HEIGHT, WIDTH] in -7..7."""

    def __init__(self, rows_KB: np.ndarray) -> None:
        self._rows_KB = rows_KB

    @property
    def odds(self) -> np.ndarray:
        return self._rows_KB[:, 0].view(np.int8) / ODDS_STEPS

    @property
    def edges(self) -> np.ndarray:
        pixels_KHW = self._rows_KB[:, 1:].reshape(-1, HEIGHT, WIDTH)
        return np.stack([pixels_KHW >> 4, pixels_KHW & 15], axis=1).astype(np.float32) - 8


def packed(drawings: Sequence[Drawing]) -> bytes:
    """The MOST likeliest by their look, the likeliest first; one byte a pixel."""
    out = []
    for drawing in sorted(drawings, key=lambda drawing: -drawing.look)[:MOST]:
        across, down = np.rint(np.clip(drawing.edges, -1, 1) * STEPS).astype(np.int8) + 8
        odds = np.clip(np.rint(drawing.look * ODDS_STEPS), -128, 127).astype(np.int8)
        out.append(odds.tobytes() + ((across << 4) | down).astype(np.uint8).tobytes())
    return b"".join(out)


def unpacked(data: np.ndarray) -> Drawn:
    """Of uint8[K * BYTES] from `packed`."""
    return Drawn(data.reshape(-1, BYTES))


def common(clips: Sequence[Drawn], scenes: Sequence[int]) -> tuple[float, ...]:
    """Of each clip, by how much the drawing that scenes share exceeds what is alike by chance; NaN for all where fewer
    than three scenes have drawings.

    scenes: indices of clips of different scenes. Where half of those that were compared show it every clip counts,
    for what moves is missed in some; otherwise the others count for what they show of it.
    """
    scenes = [k for k in scenes if len(clips[k].odds)]
    if len(scenes) < 3:
        return (math.nan,) * len(clips)
    compared: list[int] = [scenes[i] for i in np.unique(np.linspace(0, len(scenes) - 1, SCENES).astype(int))]
    waves = {k: [_wave(edges) for edges in clips[k].edges] for k in compared}
    alike = {pair: _likeness(waves[pair[0]], waves[pair[1]]) for pair in itertools.combinations(compared, 2)}
    alike |= {(b, a): matrix.T for (a, b), matrix in alike.items()}
    best, shown, which = -math.inf, 0, waves[compared[0]][0]
    for one in compared:
        for k, look in enumerate(clips[one].odds):
            rest = [(alike[one, other][k], clips[other].odds) for other in compared if other != one]
            found = sorted(((row.max(), looks[row.argmax()]) for row, looks in rest), reverse=True)
            (alike_most, first), (alike_too, second) = found[:2]
            looks = float(look + first + second) / 3
            score = float(alike_too) + LOOK * min(max(looks, LOOKS[0]), LOOKS[1])
            if min(look, first, second) < 0:  # a ball; or two scenes with the same lorry, and anything in the third
                score = min(score, LIMIT - PLAIN)
            if (look + first) / 2 > DRAWN:
                score = max(score, float(alike_most) - PAIR)
            if score > best:
                best, which = score, waves[one][k]
                shown = 1 + sum(likeness > LIMIT for likeness, _ in found)
    if best <= LIMIT or 2 * shown >= len(compared):
        return (best - LIMIT,) * len(clips)
    own = (_likeness([which], [_wave(edges) for edges in clip.edges]).max(initial=0.0) for clip in clips)
    return tuple(min(best, float(likeness)) - LIMIT for likeness in own)


def _wave(edges_CHW: np.ndarray) -> np.ndarray:
    """Transform in which every frequency counts about alike; a drawing has likeness 1 to itself."""
    import cv2

    room = np.zeros((*ROOM, 2), np.float32)
    room[:HEIGHT, :WIDTH] = edges_CHW.transpose(1, 2, 0)
    wave = cv2.dft(room, flags=cv2.DFT_COMPLEX_OUTPUT)
    length = np.sqrt(wave[..., 0] * wave[..., 0] + wave[..., 1] * wave[..., 1])
    even = 1 / (length + 0.5 * length.mean() + 1e-6)
    return wave * (even / (math.sqrt(float(np.square(length * even).mean())) + 1e-6))[..., None]


def _likeness(ones: Waves, others: Waves) -> np.ndarray:
    """float[len(ones), len(others)]: highest correlation under a shift, about -1..1."""
    import cv2

    out = np.zeros((len(ones), len(others)))
    (down, right), (height, width) = SHIFT, ROOM
    for (i, one), (j, other) in itertools.product(enumerate(ones), enumerate(others)):
        product = cv2.mulSpectrums(other, one, 0, conjB=True)
        match = cv2.idft(product, flags=cv2.DFT_SCALE)[..., 0]
        parts = (
            match[rows, columns]
            for rows in (slice(down + 1), slice(height - down, height))
            for columns in (slice(right + 1), slice(width - right, width))
        )
        out[i, j] = max(float(part.max()) for part in parts)
    return out
