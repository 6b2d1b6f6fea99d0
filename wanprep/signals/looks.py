"""From embeddings of pictures to scores: what a clip looks like, beside texts, heads and the other clips. Pure.

Legend: N pictures or clips, D numbers of an embedding of length 1 (so a dot product is a cosine, -1..1).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
MIN_SET = 8  # clips; the spread of fewer says nothing
LEAST_SPREAD = 0.01  # cosine; so that a very uniform set does not make outliers of next to nothing
_MAD = 1.4826  # makes the median absolute deviation a standard deviation, for normal errors


def unit(vectors_ND: Array) -> Array:
    """The same directions with length 1."""
    lengths = np.linalg.norm(vectors_ND, axis=-1, keepdims=True)
    return (vectors_ND / np.maximum(lengths, 1e-12)).astype(np.float32)


def mean_of(frames_ND: Array) -> Array:
    """[D]: the mean direction of a clip's pictures."""
    return unit(frames_ND.mean(axis=0))


def contrast(frames_ND: Array, wanted_ND: Array, other_ND: Array, scale: float) -> NDArray[np.float64]:
    """[N]: probability, 0..1, that a picture fits the first group of texts rather than the second.

    Zero-shot classification with the mean embedding of each group's texts (Radford et al. 2021, 3.1.4), here of two
    classes. scale: the model's own.
    """
    margin = frames_ND.astype(np.float64) @ (mean_of(wanted_ND) - mean_of(other_ND)).astype(np.float64)
    return 1 / (1 + np.exp(-scale * margin))


def robust_centre(vectors_ND: Array, rounds: int = 50) -> Array:
    """[D]: geometric median of directions, by Weiszfeld's iteration, of length 1.

    Up to half of the clips may show something else without moving it far (breakdown point 1/2, Lopuhaä & Rousseeuw
    1991), which a mean does not bear.
    """
    points = vectors_ND.astype(np.float64)
    centre = np.median(points, axis=0)
    for _ in range(rounds):
        weights = 1 / np.maximum(np.linalg.norm(points - centre, axis=1), 1e-6)
        moved = (weights[:, None] * points).sum(axis=0) / weights.sum()
        if np.linalg.norm(moved - centre) < 1e-9:
            break
        centre = moved
    return unit(centre[None].astype(np.float32))[0]


def deviations(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far each value lies *below* the median, in robust standard deviations; 0 for what lies above, NaN stays.

    Of fewer than MIN_SET known values all are NaN. Iglewicz & Hoaglin (1993) call 3.5 an outlier.
    """
    known = np.isfinite(values)
    found = np.full(len(values), np.nan)
    if known.sum() < MIN_SET:
        return found
    median = np.median(values[known])
    spread = max(_MAD * float(np.median(np.abs(values[known] - median))), LEAST_SPREAD)
    found[known] = np.maximum(0.0, (median - values[known]) / spread)
    return found


def likeness(vectors: Sequence[Array | None]) -> NDArray[np.float64]:
    """[N]: cosine of each clip to the set's robust centre; NaN for None, and for all where too few are known."""
    found = np.full(len(vectors), np.nan)
    widths = [len(vector) for vector in vectors if vector is not None]
    if not widths:
        return found
    width = max(set(widths), key=widths.count)  # of another model: measured before the model was changed
    known = [i for i, vector in enumerate(vectors) if vector is not None and len(vector) == width]
    if len(known) >= MIN_SET:
        stacked = unit(np.stack([vectors[i] for i in known]).astype(np.float32))  # type: ignore[misc]
        found[known] = stacked @ robust_centre(stacked)
    return found


def window_means(cosines: Sequence[float], indices: Sequence[int], windows: Sequence[tuple[int, int]]) -> list[float]:
    """Mean cosine of the frames inside each window [start, start + frames); of one without any, the nearest frame's."""
    values, places = np.asarray(cosines, np.float64), np.asarray(indices)
    means = []
    for start, frames in windows:
        inside = (places >= start) & (places < start + frames)
        if not inside.any():
            inside = places == places[np.argmin(np.abs(places - (start + frames / 2)))]
        means.append(float(values[inside].mean()))
    return means


def drops(means: Sequence[float]) -> list[float]:
    """How far each window's cosine lies below the median of the clip's other windows; 0 with none to compare."""
    if len(means) < 2:
        return [0.0] * len(means)
    values = np.asarray(means, np.float64)
    return [float(max(0.0, np.median(np.delete(values, i)) - values[i])) for i in range(len(values))]
