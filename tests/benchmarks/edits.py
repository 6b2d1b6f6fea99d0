"""Generated edits with exact truth: shots joined by every kind of cut and transition, with traps inside the shots."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from material import SIZE, noise_scene, plan, take
from traps import MORE, TRAPS, add_trap
from wipes import SLIDES, SOFT, SWEEPS, wipe

JOINS = {
    "hard": 0.2, "hard_similar": 0.08, "hard_motion": 0.08, "hard_dark": 0.06, "hard_short": 0.1, "blended": 0.04,
    "dissolve": 0.14, "dissolve_eased": 0.06, "dissolve_similar": 0.04, "fade_black": 0.1, "fade_white": 0.04,
    "out_cut": 0.03, "cut_in": 0.03,
}  # fmt: skip
WIPES = 0.04
# The second set: what the first lacks. Wipes of all kinds, slow transitions, harder traps.
SECOND = {
    "hard": 0.16, "hard_motion": 0.06, "dissolve": 0.08, "dissolve_slow": 0.1, "fade_slow": 0.1, "sweep": 0.36,
    "slide": 0.14,
}  # fmt: skip


@dataclass
class Truth:
    """cuts: (first frame, class). gradual: (class, first, last mixing frame). wipes: (class, first, last).
    ambiguous: frames near which a cut is neither right nor wrong. traps: (class, first, last)."""

    cuts: list[tuple[int, str]] = field(default_factory=list)
    gradual: list[tuple[str, int, int]] = field(default_factory=list)
    wipes: list[tuple[str, int, int]] = field(default_factory=list)
    ambiguous: list[int] = field(default_factory=list)
    traps: list[tuple[str, int, int]] = field(default_factory=list)


def ramp_of(length: int, eased: bool) -> np.ndarray:
    ramp = (np.arange(length) + 1) / (length + 1)
    return ((1 - np.cos(np.pi * ramp)) / 2 if eased else ramp)[:, None, None, None]


def mix(a: np.ndarray, b: np.ndarray | float, ramp: np.ndarray) -> np.ndarray:
    return (a * (1 - ramp) + b * ramp).round().astype(np.uint8)


def join(out: list[np.ndarray], shot: np.ndarray, kind: str, rng: np.random.Generator, truth: Truth) -> None:
    """Append `shot` to the frames so far, and write down how."""
    now = sum(len(part) for part in out)
    if kind.endswith("_slow"):
        length = min(int(rng.integers(31, 71)), len(out[-1]) // 2 - 6, len(shot) // 2 - 6)
    else:
        length = min(int(rng.integers(4, 31)), max(4, len(out[-1]) // 2 - 18), len(shot) // 2 - 18)
    eased = kind == "dissolve_eased" or rng.random() < 0.3
    ramp = ramp_of(length, eased)
    if kind == "blended":  # one frame of both, as after a change of frame rate
        share = rng.uniform(0.3, 0.7)
        out[-1][-1] = mix(out[-1][-1], shot[0], np.array(share))
        truth.cuts.append((now, kind))
        out.append(shot)
    elif kind.startswith("hard"):
        truth.cuts.append((now, kind))
        out.append(shot)
    elif kind.startswith("dissolve"):
        mixed = mix(out[-1][-length:], shot[:length], ramp)
        out[-1] = out[-1][:-length]
        truth.gradual.append((kind, now - length, now - 1))
        out += [mixed, shot[length:]]
    elif kind in ("sweep", "slide"):
        length, name = max(6, length), str(rng.choice(SWEEPS if kind == "sweep" else SLIDES))
        mixed = wipe(out[-1][-length:], shot[:length], name, rng)
        out[-1] = out[-1][:-length]
        truth.wipes.append((name, now - length, now - 1))
        out += [mixed, shot[length:]]
    elif kind == "soft":
        length = int(rng.integers(4, 26))
        mixed = wipe(out[-1][-length:], shot[:length], str(rng.choice(SWEEPS)), rng, SOFT)
        out[-1] = out[-1][:-length]
        truth.wipes.append((kind, now - length, now - 1))
        out += [mixed, shot[length:]]
    elif kind == "wipe":
        edge = SIZE[1] * np.clip(ramp[..., 0, 0].ravel(), 0, 1)
        mixed = shot[:length].copy()
        for k in range(length):
            mixed[k, :, int(edge[k]) :] = out[-1][k - length, :, int(edge[k]) :]
        out[-1] = out[-1][:-length]
        truth.wipes.append((kind, now - length, now - 1))
        out += [mixed, shot[length:]]
    else:
        tone = 255.0 if kind == "fade_white" else float(rng.choice([0, 0, 0, 4]))
        parts, first = [], now - length
        if kind == "cut_in":
            first = now
            truth.ambiguous.append(now)
        else:
            parts.append(mix(out[-1][-length:], tone, ramp))
            out[-1] = out[-1][:-length]
        hold = int(rng.integers(0, 13)) if kind.startswith("fade") else int(rng.integers(2, 13))
        parts.append(np.full((hold, *SIZE, 3), int(tone), np.uint8))
        if kind == "out_cut":
            rest = shot
            truth.ambiguous.append(first + sum(len(p) for p in parts))
        else:
            n = length if kind == "fade_slow" else min(int(rng.integers(4, 31)), len(shot) // 2 - 18)
            parts.append(mix(shot[:n], tone, ramp_of(n, eased)[::-1]))
            rest = shot[n:]
        truth.gradual.append((kind, first, first + sum(len(p) for p in parts) - 1))
        out += [*parts, rest]


def pick(rng: np.random.Generator, pool: list[Path], last: int) -> tuple[np.ndarray, int]:
    if not pool or rng.random() < 0.15:
        return noise_scene(rng, 110), -1
    index = int(rng.choice([i for i in range(len(pool)) if i != last or len(pool) == 1]))
    return np.load(pool[index], mmap_mode="r"), index


def edit(
    rng: np.random.Generator,
    pool: list[Path],
    shots: int = 6,
    second: bool = False,
    joins: Mapping[str, float] | None = None,
    light: Callable[[np.ndarray], np.ndarray] | None = None,
) -> tuple[np.ndarray, Truth, float]:
    """One edited sequence uint8[n, 144, 256, 3] BGR, its truth, and its frame rate. second: of the second set; joins:
    kinds of cuts and transitions with their odds, instead of the set's; light: what becomes of each shot's material."""
    truth, out = Truth(), []
    usual, wipes, traps = (SECOND, 0.0, (*TRAPS, *MORE, *MORE)) if second else (JOINS, WIPES, TRAPS)
    joins = joins or usual
    names, odds = list(joins), np.array(list(joins.values()))
    kinds = ["wipe" if rng.random() < wipes else str(rng.choice(names, p=odds / odds.sum())) for _ in range(shots)]
    kinds[0] = "hard"
    big, index = pick(rng, pool, -1)
    for k, kind in enumerate(kinds):
        if not kind.endswith("similar"):  # else: the same place, another framing
            big, index = pick(rng, pool, index)
        n = int(rng.integers(80, 116))
        trap = str(rng.choice(list(traps))) if rng.random() < 0.55 else ""
        in_motion = "hard_motion" in kinds[k : k + 2]
        seen = light(big) if light else big
        shot, span = add_trap(seen, plan(rng, len(big), n), n, rng, "glide" if in_motion else trap, pool)
        if "hard_dark" in kinds[k : k + 2]:
            shot = (shot * rng.uniform(0.12, 0.3)).astype(np.uint8)
        if kind == "hard_short":
            other, _ = pick(rng, pool, index)
            few = int(rng.integers(3, 11))
            join(out, take(other, plan(rng, len(other), few), few, rng), kind, rng, truth)
        if out:
            join(out, shot, kind, rng, truth)
        else:
            out.append(shot)
        if span:
            at = sum(len(part) for part in out) - len(shot)
            truth.traps.append(("glide" if in_motion else trap, at + span[0], at + span[1]))
    return finish(np.concatenate(out), rng), truth, float(rng.choice([24, 25, 30]))


def finish(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What happens to a whole film: black and white, on twos, grain, flicker, compression."""
    if rng.random() < 0.12:
        frames = np.repeat((frames @ np.array([0.11, 0.59, 0.3])).astype(np.uint8)[..., None], 3, -1)
    if rng.random() < 0.12:
        gains = 1 + rng.normal(0, 0.04, len(frames))
        frames = np.stack([np.clip(f * g, 0, 255).astype(np.uint8) for f, g in zip(frames, gains)])
    if rng.random() < 0.35:
        grain = rng.normal(0, rng.uniform(2, 9), (SIZE[0] + 40, SIZE[1] + 40)).astype(np.float32)
        noisy = np.empty_like(frames)
        for k, frame in enumerate(frames):
            y, x = rng.integers(0, 40, 2)
            noisy[k] = np.clip(frame + grain[y : y + SIZE[0], x : x + SIZE[1], None], 0, 255)
        frames = noisy
    crf = int(rng.choice([0, 18, 23, 28, 33, 36]))
    return compress(frames, crf, int(rng.choice([12, 48, 250]))) if crf else frames


def compress(frames: np.ndarray, crf: int, keyint: int) -> np.ndarray:
    """The frames after x264 (no scene-cut keyframes: those fall anywhere, as in a broadcast)."""
    import io

    import av

    buffer = io.BytesIO()
    options = {"crf": str(crf), "preset": "veryfast", "g": str(keyint), "sc_threshold": "0", "threads": "1"}
    with av.open(buffer, "w", format="matroska") as target:
        stream = target.add_stream("libx264", rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
        for frame in frames:
            target.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="bgr24")))
        target.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer) as source:
        got = np.stack([f.to_ndarray(format="bgr24") for f in source.decode(video=0)])
    assert got.shape == frames.shape
    return got
