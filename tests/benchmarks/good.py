"""Good footage for the quality benchmark: shots of real files, and scenes made up here."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from degrade import texture

SECONDS, PER_FILE = 2.5, 6


def spans(cuts: dict[str, Any]) -> list[tuple[int, int]]:
    """Frame ranges of whole shots, without transitions, cut into pieces of SECONDS, evenly chosen."""
    edges = {0, cuts["n_frames"], *cuts["hard_cuts"]}
    holes = [g["range"] for g in cuts["gradual"]]
    for first, last in holes:
        edges |= {first, min(last + 1, cuts["n_frames"])}
    ordered, rate = sorted(edges), float(Fraction(cuts["avg_frame_rate"]))
    pieces = []
    for a, b in itertools.pairwise(ordered):
        if not any(a >= first and b <= last + 1 for first, last in holes):
            k = np.linspace(a, b, max(1, round((b - a) / rate / SECONDS)) + 1).astype(int)
            pieces += [(int(s), int(e)) for s, e in itertools.pairwise(k) if (e - s) / rate >= 1.0]
    picked = np.unique(np.linspace(0, len(pieces) - 1, PER_FILE).astype(int)) if pieces else []
    return [pieces[i] for i in picked]


def real_clips(path: Path, cuts: dict[str, Any]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    from wanprep.media.probe import probe
    from wanprep.media.read import open_video

    facts = probe(path)
    height = min(360, facts.height)
    width = max(2, round(facts.width * height / facts.height))
    wanted = spans(cuts)
    found: list[list[tuple[float, np.ndarray]]] = [[] for _ in wanted]
    with open_video(path, facts) as video:
        for index, frame in enumerate(video.frames()):
            for clip, (a, b) in zip(found, wanted):
                if a <= index < b and (not clip or frame.pts * float(facts.time_base) - clip[0][0] < SECONDS):
                    clip.append((frame.pts * float(facts.time_base), frame.gray(width, height)))
    for clip in found:
        luma = np.stack([gray for _, gray in clip])
        if luma.mean() > 4:  # black between two fades is no clip
            yield luma, np.array([t for t, _ in clip]) - clip[0][0]


def generated_clips(seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Four scenes of one made-up source: pan, zoom, tilt and a fixed camera, each with a moving object."""
    import cv2

    rng = np.random.default_rng(seed)
    seconds = np.arange(int(SECONDS * 24)) / 24
    for dx, dy, zoom in ((0.06, 0, 0), (0, 0, 0.08), (0, -0.05, 0), (0, 0, 0)):
        canvas = texture(rng, 720, 1280)
        start, tone = rng.uniform(0, 1, 2) * (640, 360), int(rng.integers(0, 255))
        frames = []
        for t in seconds:
            scale = math.exp(-zoom * t)
            x, y = 320 + 640 * dx * t, 180 + 640 * dy * t
            matrix = np.array([[scale, 0, x + 320 * (1 - scale)], [0, scale, y + 180 * (1 - scale)]])
            view = cv2.warpAffine(canvas, matrix, (640, 360), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
            cv2.circle(view, (int(start[0] + 60 * t), int(start[1])), 40, tone, -1)
            frames.append(np.clip(view + rng.normal(0, 2, view.shape), 0, 255).astype(np.uint8))
        yield np.stack(frames), seconds
