"""Shots in which only the camera moves, fast and unevenly, or a panel comes over the picture: no cut, no transition.

Pans, tilts, turns and zooms over still pictures, through two layers of depth and over footage, with eased starts and
stops, a shutter that is open for half of each frame, and hands that hold the camera. Stills of the held-back half come
from files of that half.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from edits import Truth, finish
from material import FILES, SEEDS, SIZE, noise_scene, plan, take

MOVES = ("pan", "tilt", "diagonal", "whip", "zoom_in", "zoom_out", "turn", "parallax", "footage", "exposed", "threes")
PANELS = ("panel_appears", "panel_slides", "panel_fades")
H, W = SIZE
OPEN = 7  # moments of the half frame that the shutter is open
STILLS = 3  # of each file
WIDE = 1280


def stills(cache: Path, media: Path, half: str) -> list[Path]:
    """Single frames of the footage of one half, uint8[h, w, 3] BGR, made where they are missing."""
    from wanprep.media.probe import probe
    from wanprep.media.read import open_video

    folder = cache / "stills" / half
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "done").exists() and (media / "cuts.json").is_file():
        for name, entry in json.loads((media / "cuts.json").read_text()).items():
            if name.startswith(("_", "derived")) or not name.startswith(FILES[half]):
                continue
            facts = probe(media / name)
            height = round(WIDE * facts.height / facts.width / 2) * 2
            with open_video(media / name, facts, threads=2) as reader:
                frames = [frame.bgr(WIDE, height) if k % 30 == 15 else None for k, frame in enumerate(reader.frames())]
            mixing = {k for g in entry["gradual"] for k in range(g["range"][0], g["range"][1] + 1)}
            seen = [k for k, f in enumerate(frames) if f is not None and k not in mixing and f.std() > 20]
            for k in [seen[i] for i in np.linspace(0, len(seen) - 1, min(STILLS, len(seen))).astype(int)]:
                np.save(folder / f"{Path(name).stem}_{k}.npy", frames[k])
        (folder / "done").touch()
    return sorted(folder.glob("*.npy"))


def moves(half: str, k: int, pictures: Sequence[Path], pool: Sequence[Path]) -> tuple[np.ndarray, Truth, float]:
    """The k-th shot of a half: uint8[n, 144, 256, 3] BGR, what happens in it, its frame rate."""
    rng = np.random.default_rng([SEEDS[half], k, 8])
    names = (*MOVES, *PANELS)
    kind, n, fps = names[k % len(names)], int(rng.integers(90, 151)), float(rng.choice([24, 25, 30]))
    if kind in PANELS:
        shot = panel(kind, n, rng, pool)
    else:
        shot = moved(kind, n, rng, pictures, pool)
    return finish(shot, rng), Truth(traps=[(kind, 0, n - 1)]), fps


def pace(n: int, rng: np.random.Generator, sudden: bool) -> tuple[np.ndarray, int]:
    """float[n + 1] of travelled way, which begins and ends eased and is 1 a frame in between, and its first frame."""
    start, most = int(rng.integers(8, n // 3)), 5 if sudden else 26
    rise, fall = (int(rng.integers(1, most)) for _ in range(2))
    hold = int(rng.integers(0, 7 if sudden else 70))
    speed = np.zeros(n + 1)
    parts = [np.linspace(0, 1, rise + 1)[1:], np.ones(hold), np.linspace(1, 0, fall + 1)[:-1]]
    if rng.random() < 0.5:
        parts[0], parts[2] = ((1 - np.cos(np.pi * part)) / 2 for part in (parts[0], parts[2]))
    there = np.concatenate(parts)
    if rng.random() < 0.3:  # and back
        there = np.concatenate([there, np.zeros(int(rng.integers(0, 20))), -there])
    there = there[: n + 1 - start]
    speed[start : start + len(there)] = there
    return np.cumsum(speed), start


def moved(kind: str, n: int, rng: np.random.Generator, pictures: Sequence[Path], pool: Sequence[Path]) -> np.ndarray:
    """A camera that moves over a still, two of them one behind the other, or footage."""
    way, start = pace(n, rng, kind == "whip")
    fast = rng.uniform(0.1, 0.45) if kind == "whip" else np.exp(rng.uniform(np.log(0.006), np.log(0.2)))
    share, angle = rng.uniform(0.22, 0.5), rng.uniform(0, 2 * np.pi)
    path = np.zeros((n + 1, 4))  # across, down (of the view's width), ln of the scale, turn
    if kind in ("zoom_in", "zoom_out"):
        reach = way / max(1e-9, np.abs(way).max()) * rng.uniform(0.25, 1.3)
        path[:, 2] = (reach if kind == "zoom_in" else -reach) - (0 if kind == "zoom_in" else -reach.max())
        path[:, :2] = reach[:, None] * rng.uniform(-0.2, 0.2, 2)
    elif kind == "turn":
        path[:, 3] = way / np.abs(way).max() * rng.uniform(0.3, 2.5) * rng.choice([-1, 1])
    else:
        angle = {"pan": 0.0, "whip": 0.0, "exposed": 0.0, "tilt": np.pi / 2}.get(kind, angle)
        path[:, :2] = way[:, None] * fast * rng.choice([-1, 1]) * np.array([np.cos(angle), 0.6 * np.sin(angle)])
    if rng.random() < 0.5:  # hands
        path[:, :2] += np.cumsum(rng.normal(0, rng.uniform(0.001, 0.006), (n + 1, 2)), axis=0)
    layers = [_scene(rng, n, kind, pictures, pool)]
    cover = None
    if kind == "parallax":
        layers.append(_scene(rng, n, kind, pictures, pool))
        cover = _things(rng, layers[1][0].shape[:2])
    deep = rng.uniform(1.2, 2.0)
    out = np.stack([_view(layers, cover, path, k, share, deep) for k in range(n)])
    if kind == "exposed":
        gains = 1 + (rng.choice([0.5, 1.8]) - 1) * np.clip((np.arange(n) - start) / rng.integers(8, 40), 0, 1)
        out = np.stack([np.clip(f * g, 0, 255).astype(np.uint8) for f, g in zip(out, gains)])
    if kind == "threes":
        out = out[np.arange(n) // 3 * 3]
    return out


def _scene(
    rng: np.random.Generator, n: int, kind: str, pictures: Sequence[Path], pool: Sequence[Path]
) -> list[np.ndarray]:
    """What the camera looks at: one picture, or one for every frame."""
    if kind == "footage" and pool:
        piece = np.load(pool[int(rng.integers(len(pool)))], mmap_mode="r")
        return [piece[min(k % (2 * len(piece)), 2 * len(piece) - 1 - k % (2 * len(piece)))] for k in range(n)]
    if not pictures or rng.random() < 0.1:
        return list(noise_scene(rng, n if kind == "footage" else 1))
    return [np.load(pictures[int(rng.integers(len(pictures)))])]


def _things(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    import cv2

    mask = np.zeros(shape, np.float32)
    for _ in range(int(rng.integers(4, 12))):
        x, y = rng.uniform(0, shape[1]), rng.uniform(0.4, 1.0) * shape[0]
        axes = int(rng.uniform(0.02, 0.07) * shape[1]), int(rng.uniform(0.05, 0.2) * shape[1])
        cv2.ellipse(mask, (int(x), int(y)), axes, 0, 0, 360, 1.0, -1)
    return mask


def _view(
    layers: list[list[np.ndarray]], cover: np.ndarray | None, path: np.ndarray, k: int, share: float, deep: float
) -> np.ndarray:
    """uint8[144, 256, 3]: what the camera shows in frame k, while its shutter is open."""
    import cv2

    found = np.zeros((H, W, 3), np.float32)
    moments = OPEN if np.abs(path[k + 1] - path[k]).max() > 0.002 else 1
    for part in np.arange(moments) / (2 * OPEN):
        x, y, zoom, turn = path[k] * (1 - part) + path[k + 1] * part
        view = None
        for depth, layer in zip((1.0, deep), layers):
            picture = layer[min(k, len(layer) - 1)]
            h, w = picture.shape[:2]
            size = min(share * w, share * h * W / H) / W * np.exp(-zoom)  # of a pixel
            c, s = size * np.cos(turn), size * np.sin(turn)
            cx, cy = w * (0.5 + 0.1 * share) + depth * x * share * w, h / 2 + depth * y * share * w
            matrix = np.array([[c, -s, cx - c * W / 2 + s * H / 2], [s, c, cy - s * W / 2 - c * H / 2]])
            flags = (cv2.INTER_LINEAR if size < 2 else cv2.INTER_AREA) | cv2.WARP_INVERSE_MAP
            shown = cv2.warpAffine(picture, matrix, (W, H), flags=flags, borderMode=cv2.BORDER_REFLECT)
            if view is None:
                view = shown.astype(np.float32)
            else:
                mask = cv2.warpAffine(cover, matrix, (W, H), flags=flags, borderMode=cv2.BORDER_REFLECT)[..., None]
                view = view * (1 - mask) + shown * mask
        found += view
    return (found / moments).round().astype(np.uint8)


def panel(kind: str, n: int, rng: np.random.Generator, pool: Sequence[Path]) -> np.ndarray:
    """A lower third, or a panel at a side, over footage: at once, sliding in or fading in; it may go again."""
    import cv2

    big = np.load(pool[int(rng.integers(len(pool)))], mmap_mode="r") if pool else noise_scene(rng, n)
    shot = take(big, plan(rng, len(big), n), n, rng).astype(np.float32)
    side = rng.random() < 0.3
    h, w = (H, int(rng.uniform(0.2, 0.4) * W)) if side else (int(rng.uniform(0.15, 0.38) * H), W)
    inset = 0 if rng.random() < 0.4 else int(rng.integers(4, 16))
    box = np.full((h, w, 3), rng.integers(5, 250, 3), np.uint8)
    spot = 10, int(0.7 * min(h, 60))
    cv2.putText(box, "LIVE FROM LONDON", spot, cv2.FONT_HERSHEY_DUPLEX, min(h, 90) / 60, (255, 255, 255), 2)
    top, left = (0, W - w) if side else (H - h - inset, 0)
    box = box[:, inset : w - inset] if inset and not side else box
    left += inset if not side else 0
    at, few = int(rng.integers(20, n // 2)), int(rng.integers(4, 20))
    gone, solid = n if rng.random() < 0.4 else at + int(rng.integers(25, 60)), rng.uniform(0.7, 1.0)
    for t in range(at, min(n, gone + few)):
        share = 1.0 if kind == "panel_appears" else min(1, (t - at + 1) / few, (gone + few - t) / few)
        if kind == "panel_appears" and t >= gone:
            break
        alpha = solid * (share if kind == "panel_fades" else 1.0)
        away = 0 if kind != "panel_slides" else round((1 - share) * (w if side else h + inset))
        y, x = (top, left + away) if side else (top + away, left)
        part = box[: max(0, H - y), : max(0, W - x)]
        if part.size:
            area = shot[t, y : y + part.shape[0], x : x + part.shape[1]]
            area += alpha * (part.astype(np.float32) - area)
    return np.clip(shot, 0, 255).astype(np.uint8)
