"""Shots joined by fast moves that hide the join, as editors make them, and such moves within one shot.

The old picture runs away faster and faster, smeared along its way, and where it is fastest the new one takes over and
comes to rest: shifted (a whip pan), magnified (a zoom) or turned (a spin). Beyond its edges a picture goes on mirrored.
Or two shots take turns every few frames before the new one stays. Traps: a camera that whips away and back, or to
another part of the same place, and one that crashes in and stays in its shot.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from edits import Truth, finish, pick
from material import SEEDS, SIZE, plan, take

KINDS = ("whip", "zoom", "whip", "back", "spin", "whip", "elsewhere", "zoom", "flicker", "crash")
JOINING = ("whip", "zoom", "spin", "flicker")
H, W = SIZE
FAST = 0.04  # of the picture's width that its edge moves in a frame: what is faster belongs to the transition
MOMENTS = 12  # of the time that the shutter is open

Move = Callable[[float], np.ndarray]  # place on the way, -1..1 -> float[2, 3], from what is shown to the picture


def whipped(half: str, k: int, pool: Sequence[Path]) -> tuple[np.ndarray, Truth, float]:
    """The k-th film of a half, of three shots or of one: uint8[n, 144, 256, 3] BGR, its truth, its frame rate."""
    rng, kind = np.random.default_rng([SEEDS[half], k, 12]), KINDS[k % len(KINDS)]
    truth, index = Truth(), -1
    big, index = pick(rng, list(pool), index)
    n = int(rng.integers(60, 100))
    frames = take(big, plan(rng, len(big), n), n, rng)
    for _ in range(2):
        m = int(rng.integers(60, 100))
        if kind in JOINING:
            big, index = pick(rng, list(pool), index)
            how = plan(rng, len(big), m)
        else:  # the same shot goes on, there or somewhere near
            big, how = _going_on(rng, pool, len(frames) + m) if len(frames) == n else (big, how)
            frames = take(big, how, n, rng) if len(frames) == n else frames
            step = 0.0 if kind in ("back", "crash") else 0.3
            how = replace(how, start=how.start + len(frames), x=how.x + rng.uniform(-step, step))
        shot = take(big, how, m, rng)
        at = len(frames)
        frames, first, last = (_flickered if kind == "flicker" else _moved)(frames, shot, kind, rng)
        if kind in JOINING:
            truth.wipes.append((kind, first, last))
            truth.ambiguous += range(first, last + 2)
        else:
            truth.traps.append((kind, min(first, at - 1), max(last, at)))
    return finish(frames, rng), truth, float(rng.choice([24, 25, 30]))


def _going_on(rng: np.random.Generator, pool: Sequence[Path], n: int):
    big, _ = pick(rng, list(pool), -1)
    return big, replace(plan(rng, len(big), n), start=0, speed=1.0, zoom=0.0)


def _flickered(old: np.ndarray, new: np.ndarray, kind: str, rng: np.random.Generator) -> tuple[np.ndarray, int, int]:
    """Both shots in turn, each for two or three frames; the new one begins meanwhile."""
    each, turns = int(rng.integers(2, 4)), int(rng.integers(2, 7))
    length = 2 * each * turns
    mixed = np.where(((np.arange(length) // each) % 2 == 0)[:, None, None, None], new[:length], old[-length:])
    first = len(old) - length
    return np.concatenate([old[:-length], mixed, new[length:]]), first, len(old) - each - 1


def _moved(old: np.ndarray, new: np.ndarray, kind: str, rng: np.random.Generator) -> tuple[np.ndarray, int, int]:
    """The old shot, running away, and the new one, coming to rest; the first and last frame that is fast."""
    length, power = 2 * int(rng.integers(4, 15)), rng.uniform(2.0, 4.0)
    open_for = rng.uniform(0.3, 1.0)
    times = np.arange(-length // 2, length // 2 + 1) + 0.5
    move, size = _move(kind, rng)

    def way(t: float) -> float:  # -1..1: where the picture is at time t of -length / 2..length / 2
        u = min(1.0, abs(t) / (length / 2))
        return float(np.sign(t) * (1 - (1 - u) ** power) - np.sign(t)) if t else 0.0

    back = kind == "back"
    out_old, out_new = old.copy(), new.copy()
    fast = []
    for i, t in enumerate(times[:-1]):
        frame, first = (old[len(old) - length // 2 + i], True) if t < 0 else (new[int(t)], False)
        moments = t + (np.arange(MOMENTS) / MOMENTS - 0.5) * open_for
        moments = np.minimum(moments, -1e-3) if first else np.maximum(moments, 1e-3)
        places = [way(m) for m in moments]
        places = [abs(p) for p in places] if back else places
        view = np.mean([_shown(frame, move(p)) for p in places], axis=0).round().astype(np.uint8)
        if first:
            out_old[len(old) - length // 2 + i] = view
        else:
            out_new[int(t)] = view
        edge = t - 0.5 if first else t + 0.5
        fast.append(abs(way(edge) - way(edge + (1 if first else -1))) * size >= FAST)
    at = len(old) - length // 2 + np.flatnonzero(fast)
    shares = _blend(out_old, out_new, rng) if kind in JOINING and rng.random() < 0.4 else None
    first, last = (int(at[0]), int(at[-1])) if len(at) else (len(old) - 1, len(old))
    if shares is not None:
        out_old, out_new = shares
    return np.concatenate([out_old, out_new]), first, last


def _blend(old: np.ndarray, new: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Both shots with a short dissolve of what is fastest."""
    few = int(rng.integers(1, 3))
    a, b = old.copy(), new.copy()
    for i in range(few):
        share = 0.5 * (few - i) / (few + 1)
        one, other = old[-1 - i].astype(np.float32), new[i].astype(np.float32)
        a[-1 - i] = (one + share * (other - one)).round().astype(np.uint8)
        b[i] = (other + share * (one - other)).round().astype(np.uint8)
    return a, b


def _move(kind: str, rng: np.random.Generator) -> tuple[Move, float]:
    """How a picture moves on its way, and by how many widths its edge does in all."""
    side = rng.choice([-1, 1])
    if kind in ("whip", "back", "elsewhere"):
        far, down = rng.uniform(0.7, 2.5) * side, rng.choice([0.0, 0.0, 0.2, 1.5])
        return lambda p: np.array([[1, 0, far * W * p], [0, 1, down * far * H * p]]), abs(far) * max(1.0, down)
    if kind == "spin":
        most = rng.uniform(1.0, 3.5) * side
        return lambda p: _around(1.0, most * p), abs(most) / 2
    most = np.log(rng.uniform(1.8, 5.0))
    through = rng.random() < 0.6 and kind == "zoom"  # on the other side the new picture begins small
    return lambda p: _around(float(np.exp(most * (p if through else -abs(p)))), 0.0), float(np.exp(most) - 1) / 2


def _around(scale: float, turn: float) -> np.ndarray:
    c, s = scale * np.cos(turn), scale * np.sin(turn)
    return np.array([[c, -s, (W - c * W + s * H) / 2], [s, c, (H - s * W - c * H) / 2]])


def _shown(frame: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    import cv2

    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(frame, matrix, (W, H), flags=flags, borderMode=cv2.BORDER_REFLECT).astype(np.float32)
