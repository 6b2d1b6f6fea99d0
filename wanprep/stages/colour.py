"""Colours of a set made alike: each source's brightness, contrast, tint and saturation moved towards the set's middle.

For sets whose sources were graded, scanned or white-balanced differently, which a model would learn. A whole source
moves (a folder, for stills), so that a dark scene stays darker than a bright one of the same film. The move is an
affine map in Y'CbCr, as Reinhard et al. 2001 ("Color Transfer between Images") move means and deviations in a
decorrelated space; it is limited, and rounded so coarsely that another clip rarely changes what was rendered. Pure.

Legend: Y'CbCr is full-range BT.709 with levels 0..255, chroma around 0. A transform is twelve numbers, the rows of a
3 x 4 matrix that takes (R, G, B, 1) in levels to R, G, B.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

YCC = np.array([[0.2126, 0.7152, 0.0722], [-0.114572, -0.385428, 0.5], [0.5, -0.454153, -0.045847]])  # BT.709
RGB = np.linalg.inv(YCC)
GAIN = 1.25  # contrast and saturation change by this factor at most
SHIFT = np.array([24.0, 12.0, 12.0])  # levels: brightness and tint change by this at most
DARK = 24  # levels: rows and columns that are never brighter are black bars
FLAT = 2.0  # levels: with less deviation a gain would only be noise
CHROMA = [1, 2, 4]  # of the five numbers: tint, and the deviation of chroma
FINE = (256, 4)  # gains are rounded to 1/256, shifts to 1/4 level


@dataclass(frozen=True, kw_only=True)
class ColourConfig:
    """match: how far each source's colours move towards the set's, 0 (not at all) to 1."""

    match: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.match <= 1:
            raise ValueError(f"match = {self.match} must be between 0 (off) and 1")


def measure(thumbs: NDArray[np.uint8]) -> list[float] | None:
    """Means of Y', Cb, Cr, then deviation of Y' and of chroma, in levels, over thumbnails uint8 [n, h, w, 3] BGR.

    Black bars are left out; None for nothing but black.
    """
    if not len(thumbs):
        return None
    bright = np.maximum(np.maximum(thumbs[..., 0], thumbs[..., 1]), thumbs[..., 2])
    rows, columns = bright.max(axis=(0, 2)) > DARK, bright.max(axis=(0, 1)) > DARK
    if not rows.any() or not columns.any():
        return None
    bgr = thumbs[:, rows][:, :, columns].reshape(-1, 3).astype(np.float64)
    # By their moments: a fifth of the time of converting every pixel.
    mean = np.ones(len(bgr)) @ bgr / len(bgr)
    spread = bgr.T @ bgr / len(bgr) - np.outer(mean, mean)
    ycc = YCC[:, ::-1]
    means, deviations = ycc @ mean, np.sqrt(np.maximum(np.diag(ycc @ spread @ ycc.T), 0.0))
    return [round(float(value), 2) for value in (*means, deviations[0], np.hypot(*deviations[1:]))]


def transforms(rows: Sequence[Mapping[str, Any]], config: ColourConfig) -> dict[str, list[float]]:
    """clip_id -> its transform, for the clips whose colours change.

    rows: of the kept clips: clip_id, source_id, group, kind, n_frames and colour (of `measure`, None: unknown, left as
    it is). The set's middle is the median over its sources, each once, however long.
    """
    units: dict[tuple[str, str], list[tuple[list[float], int]]] = {}
    for row in rows:
        if row["colour"] is not None:
            units.setdefault(_unit(row), []).append((row["colour"], row["n_frames"] or 1))
    if config.match == 0 or len(units) < 2:
        return {}
    own = {
        unit: np.average([colour for colour, _ in found], axis=0, weights=[weight for _, weight in found])
        for unit, found in units.items()
    }
    middle = _middle(list(own.values()))
    matrices = {unit: transform(colour, middle, config.match) for unit, colour in own.items()}
    found = {}
    for row in rows:
        matrix = matrices.get(_unit(row)) if row["colour"] is not None else None
        if matrix is not None:
            found[row["clip_id"]] = matrix
    return found


def _middle(colours: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """The median of each number; of those of colour, over the sources that have any."""
    coloured = [colour for colour in colours if not _gray(colour)] or colours
    middle: NDArray[Any] = np.median(colours, axis=0)
    middle[CHROMA] = np.median(coloured, axis=0)[CHROMA]
    return middle


def _gray(colour: NDArray[Any]) -> bool:
    """Black and white. (One that is tinted throughout, as old prints are, may lose its tint.)"""
    return bool(np.abs(colour[CHROMA]).max() <= FLAT)


def _unit(row: Mapping[str, Any]) -> tuple[str, str]:
    return ("group", row["group"]) if row["kind"] == "image" else ("source", row["source_id"])


def transform(own: NDArray[Any], middle: NDArray[Any], match: float) -> list[float] | None:
    """The limited, rounded move from one five-number summary (as `measure`) towards another; None when it is none."""
    wanted = [middle[i] / own[i] if min(own[i], middle[i]) > FLAT else 1.0 for i in (3, 4)]
    luma, chroma = (1 + match * (np.clip(gain, 1 / GAIN, GAIN) - 1) for gain in wanted)
    gains = np.diag([luma, chroma, chroma])
    shift = match * np.clip(middle[:3] - own[:3], -SHIFT, SHIFT)
    if _gray(own):
        shift[1:] = 0  # nobody means a black and white film to be tinted
    matrix = np.round(RGB @ gains @ YCC * FINE[0]) / FINE[0]
    offset = np.round(RGB @ ((np.eye(3) - gains) @ own[:3] + shift) * FINE[1]) / FINE[1]
    if np.array_equal(matrix, np.eye(3)) and not offset.any():
        return None
    return [float(value) for value in np.hstack([matrix, offset[:, None]]).ravel()]


def apply(rgb: NDArray[np.uint8], matrix: Sequence[float] | None) -> NDArray[np.uint8]:
    """A picture uint8 [h, w, 3] RGB with its colours moved; rounded and cut to 0..255."""
    if matrix is None:
        return rgb
    import cv2

    moved = cv2.transform(rgb.astype(np.float32), np.array(matrix, np.float32).reshape(3, 4))
    return np.clip(np.rint(moved), 0, 255).astype(np.uint8)


def summaries(clips: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows for `transforms` of kept clips, with their scores as JSON, None for none."""
    names = ("clip_id", "source_id", "group", "kind", "n_frames")
    colours = ((clip, json.loads(clip["scores"] or "{}").get("colour")) for clip in clips)
    return [{**{name: clip[name] for name in names}, "colour": colour} for clip, colour in colours]
