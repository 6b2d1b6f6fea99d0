"""Which clips show different scenes: evidence of a mark is what different scenes share.

Shape legend: N clips, P pixels of a small picture, h x w = SCENE turned round, B blocks of it.
"""

from __future__ import annotations

import numpy as np

SCENE = (32, 18)  # columns, rows of the picture that tells scenes apart
BLOCKS = 2  # of its 12 blocks that may agree because of a mark


def distinct_scenes(scenes_NP: np.ndarray, dead_HW: np.ndarray) -> list[int]:
    """Indices of clips with different scenes (uint8[N, P] pictures), the first of each kept; a fixed camera is one.

    dead_HW: bool, bars and the like, which all scenes share.

    Same scene: picture and detail both correlate, even without the BLOCKS places that agree best, so that a mark
    alone does not make two scenes alike while the objects before a fixed camera do, a lorry in between or not.
    """
    import cv2

    live = cv2.resize(dead_HW.astype(np.float32), SCENE, interpolation=cv2.INTER_AREA) < 0.5
    if not live.any():
        return [0] if len(scenes_NP) else []
    pictures = scenes_NP.reshape(-1, SCENE[1], SCENE[0]).astype(np.float32)
    pictures -= pictures[:, live].mean(axis=1)[:, None, None]
    pictures *= live
    details = np.stack([np.clip(p - cv2.blur(p, (5, 5)), -12, 12) for p in pictures])
    alike = (_likeness(pictures) > 0.4) & (_likeness(details * live) > 0.13)
    kept: list[int] = []
    for i in range(len(pictures)):
        if not alike[i, kept].any():
            kept.append(i)
    return kept


def _likeness(pictures_Nhw: np.ndarray) -> np.ndarray:
    """float[N, N]: correlation over a grid of 4 x 3 blocks, the best BLOCKS of them left out."""
    n = len(pictures_Nhw)
    blocks_NBP = pictures_Nhw.reshape(n, 3, 6, 4, 8).transpose(0, 1, 3, 2, 4).reshape(n, 12, 48)
    dots_NNB = np.einsum("ibp,jbp->ijb", blocks_NBP, blocks_NBP, optimize=True)
    energy_NB = np.square(blocks_NBP).sum(axis=2)
    rest_NNB = np.argsort(dots_NNB, axis=2)[:, :, : 12 - BLOCKS]
    shape = dots_NNB.shape
    own, other = (
        np.take_along_axis(np.broadcast_to(e, shape), rest_NNB, axis=2).sum(axis=2)
        for e in (energy_NB[:, None], energy_NB[None])
    )
    # +400: black pictures resemble nothing
    return np.take_along_axis(dots_NNB, rest_NNB, axis=2).sum(axis=2) / (np.sqrt(own * other) + 400.0)
