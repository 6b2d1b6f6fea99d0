"""Good footage for the quality benchmark: shots of real files, and scenes made up and painted here."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from degrade import texture

SECONDS, PER_FILE = 2.5, 6
SKIP = ("derived_", "truncated", "zero", "corrupted")
Source = tuple[str, tuple[Any, ...]]  # name, what `clips_of` makes its clips of
Clip = tuple[np.ndarray, np.ndarray]  # uint8[N, h, w] luma, float[N] seconds


def sources(
    media: Path, *, generated: int = 4, painted: int = 4, traffic: int = 1
) -> list[tuple[str, tuple[Any, ...]]]:
    """(name, what `clips_of` makes it of) of every source; without the real files where there is no `media`."""
    out: list[Source] = []
    for kind, count in (("generated", generated), ("painted", painted), ("traffic", traffic)):
        out += [(f"{kind}_{seed}", (kind, seed)) for seed in range(count)]
    if (media / "cuts.json").is_file():
        cuts = json.loads((media / "cuts.json").read_text())
        names = sorted(n for n, v in cuts.items() if isinstance(v, dict) and not n.startswith(SKIP))
        out += [(name, ("file", media / name, cuts[name])) for name in names]
    return out


def clips_of(kind: str, *about: Any) -> Iterator[Clip]:
    return {"generated": generated_clips, "painted": painted_clips, "traffic": traffic_clips, "file": real_clips}[kind](
        *about
    )


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


def real_clips(path: Path, cuts: dict[str, Any]) -> Iterator[Clip]:
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


def generated_clips(seed: int) -> Iterator[Clip]:
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


def painted_clips(seed: int) -> Iterator[Clip]:
    """Seven painted landscapes with parallax and walkers, most of them under a pan."""
    import cv2

    from wanprep.demo import movie
    from wanprep.demo.places import PLACES

    rng = np.random.default_rng(5000 + seed)
    palettes = [getattr(movie, name) for name in ("DAY", "DUSK", "AUTUMN", "STONE", "WOOD", "NIGHT", "SAND", "SHORE")]
    for place in rng.permutation(list(PLACES)):
        still = rng.random() < 0.25
        shot = movie.Shot(
            label="painted", place=str(place), palette=palettes[int(rng.integers(len(palettes)))], frames=60,
            pan=0.0 if still else float(rng.uniform(15, 60) * rng.choice([-1, 1])),
            zoom=0.0 if still else float(rng.choice([0, 0, 0.02])),
        )  # fmt: skip
        frames = movie.shoot(shot, 0, int(rng.integers(1 << 30)))
        yield np.stack([cv2.cvtColor(f, cv2.COLOR_RGB2GRAY) for f in frames]), np.arange(60) / 24


def traffic_clips(seed: int) -> Iterator[Clip]:
    """Six pieces of one fixed camera over a street: the scene stays, the cars that pass hide much of it."""
    import cv2

    rng = np.random.default_rng(9000 + seed)
    street = cv2.resize(texture(rng, 360, 640), (640, 360)) // 2 + 60
    for x in range(0, 640, 80):  # lane marks, and a building's windows
        cv2.line(street, (x, 250), (x + 40, 250), 220, 3)
        cv2.rectangle(street, (x + 10, 40), (x + 40, 90), 40, -1)
    for _ in range(6):
        cars = [(rng.uniform(-200, 700), rng.uniform(170, 300), rng.uniform(120, 300), rng.integers(0, 255))
                for _ in range(int(rng.integers(1, 5)))]  # fmt: skip
        frames = []
        for t in np.arange(60) / 24:
            view = street.copy()
            for x, y, speed, tone in cars:
                at = (int(x + speed * t), int(y))
                cv2.rectangle(view, at, (at[0] + 190, at[1] + 80), int(tone), -1)
                cv2.rectangle(view, (at[0] + 40, at[1] - 30), (at[0] + 150, at[1]), int(tone) // 2 + 60, -1)
            frames.append(np.clip(view + rng.normal(0, 2, view.shape), 0, 255).astype(np.uint8))
        yield np.stack(frames), np.arange(60) / 24
