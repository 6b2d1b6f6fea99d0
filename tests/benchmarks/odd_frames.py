"""Edits with odd frames: dark, bright, grey, coloured, inverted or noisy ones, at cuts and inside shots.

Where a film camera is stopped and started again a frame or two on both sides of the cut are too bright or too dark;
editors put white frames, slugs and static between shots, or let one flash up inside of a shot; strobe lights go on
over cuts. A set of its own, so that those of `edits.py` stay the same to the byte.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from edits import Truth, finish, pick
from material import SEEDS, SIZE, plan
from traps import add_trap

CUTS = {"plain": 0.12, "both_dark": 0.2, "both_bright": 0.12, "both_toned": 0.14, "gap": 0.26, "strobe": 0.16}
INSIDE = {"": 0.25, "odd": 0.45, "other": 0.3}  # beside it traps of the other sets
OTHERS = ("flash", "flashes", "explosion", "light_step", "flicker", "whip", "glide", "hand_held", "passing", "lamps")
LOOKS = ("dark", "black", "white", "grey", "red", "inverted", "two_tone", "noise")
GAPS = ("white", "black", "grey", "colour", "noise")


def odd_edit(half: str, k: int, pool: list[Path], shots: int = 6) -> tuple[np.ndarray, Truth, float]:
    """The k-th edit of a half: uint8[n, 144, 256, 3] BGR, its truth, its frame rate. Of a cut's odd frames `truth`
    has (class, first, last) in `gradual`, and none where there are none; of those inside a shot in `traps`."""
    rng = np.random.default_rng([SEEDS[half], k, 3])
    truth, out, index = Truth(), [], -1
    for _ in range(shots):
        big, index = pick(rng, pool, index)
        n, now = int(rng.integers(50, 90)), sum(len(part) for part in out)
        what = str(rng.choice(list(INSIDE), p=list(INSIDE.values())))
        trap = str(rng.choice(OTHERS)) if what == "other" and n >= 80 else ""
        shot, span = add_trap(big, plan(rng, len(big), n), n, rng, trap, pool)
        if what == "odd":
            trap, at, few = str(rng.choice(LOOKS)), int(rng.integers(18, n - 22)), int(rng.integers(1, 4))
            shot[at : at + few] = looks(shot[at : at + few], trap, rng)
            trap, span = f"in_{trap}", (at, at + few - 1)
        if span:
            truth.traps.append((trap, now + span[0], now + span[1]))
        if out:
            kind = str(rng.choice(list(CUTS), p=list(CUTS.values())))
            out.append(_between(out[-1], shot, kind, now, rng, truth))
        out.append(shot)
        if truth.gradual:  # frames of a gap move what comes after
            moved = sum(len(part) for part in out) - len(shot) - now
            truth.traps = [(t, a + moved, b + moved) if a >= now else (t, a, b) for t, a, b in truth.traps]
    return finish(np.concatenate(out), rng), truth, float(rng.choice([24, 25, 30]))


def _between(before, shot, kind: str, now: int, rng: np.random.Generator, truth: Truth) -> np.ndarray:
    """Change the ends of both shots (in place) as `kind` says; the frames between them. now: first frame of those."""
    few, left, right = (int(v) for v in rng.integers(1, 4, 3))
    if kind == "gap":
        look = str(rng.choice(GAPS))
        truth.gradual.append((f"gap_{look}", now, now + few - 1))
        return looks(np.repeat(shot[:1], few, 0), look, rng)
    if kind == "strobe":
        period, level, reach = int(rng.integers(1, 4)), rng.uniform(0.08, 0.2), int(rng.integers(8, 20))
        phase = int(rng.integers(0, 2 * period))
        for t in range(-reach, reach):
            frame = before[t] if t < 0 else shot[t]
            if (t + phase) // period % 2:
                frame[...] = frame * level
        truth.cuts.append((now, f"strobe_{period}"))
        truth.traps.append(("strobe_at_cut", now - reach, now + reach - 1))
    elif kind.startswith("both"):
        look = {"both_dark": "dark", "both_bright": "bright"}.get(kind) or str(rng.choice(["to_grey", "to_red"]))
        strength = rng.uniform(0, 1)
        before[-left:] = looks(before[-left:], look, rng, strength)
        shot[:right] = looks(shot[:right], look, rng, strength)
        truth.gradual.append((f"both_{look}", now - left, now + right - 1))
    else:
        truth.cuts.append((now, kind))
    return shot[:0]


def looks(frames: np.ndarray, look: str, rng: np.random.Generator, strength: float | None = None) -> np.ndarray:
    """uint8[n, h, w, 3] as odd frames of a kind; strength 0..1 of it."""
    s = rng.uniform(0, 1) if strength is None else strength
    x, flat = frames.astype(np.float32), np.ones_like(frames, np.float32)
    colour = np.array(rng.uniform(0, 255, 3), np.float32)
    grain = np.repeat(rng.normal(128, 70, (len(frames), *SIZE, 1)), 3, -1)
    tones = {"black": 0.0, "white": 255.0, "grey": float(rng.choice([10, 25, 60, 128])), "colour": colour}
    if look in tones:
        x = flat * tones[look]
    elif look == "noise":
        x = grain
    elif look == "dark":
        x = x * (0.03 + 0.17 * s)
    elif look == "inverted":
        x = 255 - x
    elif look == "two_tone":
        x = (x.mean(-1, keepdims=True) > 110) * 255.0 * flat
    else:
        goal = {"bright": 255.0, "to_grey": 128.0, "to_red": np.array([30.0, 0, 200]), "red": np.array([0.0, 0, 200])}
        share = 0.7 + 0.25 * s
        x = x * (1 - share) + goal[look] * share
    return np.clip(x, 0, 255).round().astype(np.uint8)
