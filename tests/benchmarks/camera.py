"""Camera moves of known kind over still pictures, with parallax, a walker and noise: does `camera_motion` agree, and
does `subject_motion` tell who walks?"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from rank import auc

FPS, SECONDS, SIZE = 16, 2.0, (144, 256)
# What moves: across, down (widths a second), log zoom, roll (radians a second); chosen at random within the range.
MOVES: dict[str, tuple[tuple[float, float], ...]] = {
    "static": ((0, 0), (0, 0), (0, 0), (0, 0)),
    "pan left": ((-0.18, -0.03), (0, 0), (0, 0), (0, 0)),
    "pan right": ((0.03, 0.18), (0, 0), (0, 0), (0, 0)),
    "tilt up": ((0, 0), (-0.12, -0.03), (0, 0), (0, 0)),
    "tilt down": ((0, 0), (0.03, 0.12), (0, 0), (0, 0)),
    "zoom in": ((0, 0), (0, 0), (0.06, 0.25), (0, 0)),
    "zoom out": ((0, 0), (0, 0), (-0.25, -0.06), (0, 0)),
    "moving": ((-0.1, 0.1), (-0.08, 0.08), (0, 0), (0.12, 0.4)),
}


LEAST_PACE = 20.0  # pixels a second, or half a walker would stand about
# Walkers: width and height in pixels of SIZE.
WALKERS: dict[str, tuple[int, int]] = {"small": (14, 40), "middle": (26, 70), "large": (48, 110)}


def case(
    still: np.ndarray,
    kind: str,
    rng: np.random.Generator,
    walks: tuple[int, int] | None = WALKERS["small"],
    least: float = 0.0,
) -> np.ndarray:
    """uint8[N, 144, 256] of a camera that does `kind` over uint8 luma `still`: a little unsteady, in two depths, with a
    walker of this size, at `least` pixels a second fast, or nobody."""
    import cv2

    height, width = SIZE
    canvas = cv2.resize(still, (3 * width, 3 * height), interpolation=cv2.INTER_AREA)
    near = cv2.resize(np.ascontiguousarray(still[::-1, ::-1]), (3 * width, 3 * height), interpolation=cv2.INTER_AREA)
    mask = np.zeros_like(canvas)
    for _ in range(4):  # things closer to the camera, which slide past faster
        x, y = int(rng.uniform(0.2, 0.8) * 3 * width), int(rng.uniform(0.5, 0.75) * 3 * height)
        cv2.ellipse(mask, (x, y), (int(rng.uniform(12, 40)), int(rng.uniform(20, 60))), 0, 0, 360, 255, -1)
    across, down, zoom, roll = (float(rng.uniform(*limits)) for limits in MOVES[kind])
    walker, pace = rng.uniform(0, width), rng.uniform(-40, 40)
    pace = np.copysign(max(abs(pace), least), pace)
    out = []
    for t in np.arange(0, SECONDS, 1 / FPS) - SECONDS / 2:
        hand = rng.normal(0, 0.15, 2)
        view = None
        for layer, depth in ((canvas, 1.0), (near, 1.35)):
            scale, angle = np.exp(-zoom * t * depth), roll * t
            c, s = scale * np.cos(angle), scale * np.sin(angle)
            x = 1.5 * width + across * width * t * depth + hand[0] - c * width / 2 + s * height / 2
            y = 1.5 * height + down * width * t * depth + hand[1] - s * width / 2 - c * height / 2
            matrix = np.array([[c, -s, x], [s, c, y]])
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            shown = cv2.warpAffine(layer, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT)
            cover = cv2.warpAffine(mask, matrix, (width, height), flags=flags)[..., None][..., 0] > 127
            view = shown.astype(np.float32) if view is None else np.where(cover, shown, view)
        if walks:
            worn = near[height : height + walks[1], width : width + walks[0]]
            x, y = int(walker + pace * t), 120 - walks[1]
            shown_columns = slice(max(0, x), max(0, x + walks[0]))
            view[y : y + walks[1], shown_columns] = worn[:, max(0, -x) :][:, : max(0, width - max(0, x))]
        out.append(np.clip(view + rng.normal(0, 1.5, view.shape), 0, 255).astype(np.uint8))
    return np.stack(out)


def said(frames: np.ndarray) -> str:
    """The class that the program gives: static, pan left … zoom out, moving, or unknown."""
    from wanprep.signals.motion import camera_motion, camera_step, velocities

    steps = [camera_step(a, b) for a, b in itertools.pairwise(frames)]
    moves = np.array([(s.dx, s.dy, s.rot, s.scale) for s in steps])
    times = np.arange(1, len(frames)) / FPS
    name, _ = camera_motion(*velocities(times, np.full(len(times), 1 / FPS), moves))
    words = (name or "unknown").removeprefix("slow ").removeprefix("fast ")
    return words.removesuffix(" camera")


def judge_camera(stills: list[np.ndarray]) -> dict[str, Any]:
    """Agreement with the truth, by class, over every still and move."""
    found: dict[str, list[str]] = {kind: [] for kind in MOVES}
    for number, still in enumerate(stills):
        for k, kind in enumerate(MOVES):
            found[kind].append(said(case(still, kind, np.random.default_rng([number, k]))))
    right = [name == kind for kind, names in found.items() for name in names]
    return {
        "cases": len(right), "agreement": float(np.mean(right)),
        "kinds": {kind: float(np.mean([n == kind for n in names])) for kind, names in found.items()},
        "instead": {kind: sorted({n for n in names if n != kind}) for kind, names in found.items()},
    }  # fmt: skip


def moves(frames: np.ndarray) -> float:
    """`subject_motion` of the program, which sees two pictures a second."""
    from wanprep.signals.content import against_camera, inside_bars, subject_motion

    pictures = [np.repeat(frame[..., None], 3, axis=2) for frame in frames[:: FPS // 2]]
    moved = [against_camera(a, b) for a, b in itertools.pairwise(pictures)]
    return subject_motion([energy for energy in moved if energy is not None], inside_bars(pictures[1:]))


def judge_subject(stills: list[np.ndarray]) -> dict[str, Any]:
    """How well `subject_motion` tells clips with a walker from the same without, by size, under a static camera and one
    that pans, tilts, zooms or rolls past things in two depths. nobody: median and 95 % quantile of the score."""
    found: dict[str, dict[str, list[float]]] = {camera: {} for camera in ("static", "moving")}
    for number, still in enumerate(stills):
        for k, kind in enumerate(MOVES):
            for size, walks in {"nobody": None, **WALKERS}.items():
                value = moves(case(still, kind, np.random.default_rng([number, k]), walks, LEAST_PACE))
                found["static" if kind == "static" else "moving"].setdefault(size, []).append(value)
    out: dict[str, Any] = {}
    for camera, sizes in found.items():
        scores = {size: np.array(values) for size, values in sizes.items()}
        empty = scores.pop("nobody")
        known = {"unknown": float(np.mean(np.isnan(np.concatenate([empty, *scores.values()]))))}
        out[camera] = known | {"nobody": [float(np.nanquantile(empty, q)) for q in (0.5, 0.95)]}
        for size, values in scores.items():
            out[camera][size] = {"auc": auc(empty, values), "median": float(np.nanmedian(values))}
    return out
