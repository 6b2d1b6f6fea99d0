"""How exactly black bars are found: share of clips whose four edges are right to 2 px, per kind of bar.

    python tests/benchmarks/bench_bars.py [--half tune|held] [--clips 40] [--cache FOLDER] [--media ...]
        [--json out.json] [--log]

Clips of 12 sampled frames at 640x360 of the material of bench_cuts, with bars painted in, compressed by x264 (the
frames then are what a decoder gives). Without bars (`none…`) any crop is wrong. Each clip is judged by itself; in a
film the bars of the whole source help besides. Thresholds are chosen on `tune`; `held` is only reported.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
from bench_cuts import SEEDS, prepare
from traps import letters

from wanprep.signals.bars import find_bars, line_p97

H, W, FRAMES = 360, 640, 12
KINDS = (
    *("none", "none_dark", "none_very_dark", "none_night_sky", "none_fade", "none_card", "none_vignette"),
    *("letterbox", "pillarbox", "both", "thin", "uneven"),
    *("subtitles", "subtitles_always", "noise", "grey_black", "dark", "very_dark", "fade", "soft_edge"),
)


def clip(rng: np.random.Generator, pool: list[Path], kind: str) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """uint8[12, 360, 640, 3] BGR and the true (x, y, width, height)."""
    import cv2

    big = np.load(pool[int(rng.integers(len(pool)))], mmap_mode="r")
    picked = np.linspace(0, len(big) - 1, FRAMES).astype(int)
    # Some of the footage has dark borders of its own, which are not the question here.
    inner = np.s_[8:-8, 14:-14]
    frames = np.stack([cv2.resize(np.asarray(big[i])[inner], (W, H), interpolation=cv2.INTER_CUBIC) for i in picked])
    frames = frames.astype(np.float32)
    if kind in ("dark", "none_dark"):
        frames *= rng.uniform(0.25, 0.45)
    if kind in ("very_dark", "none_very_dark"):
        frames *= rng.uniform(0.12, 0.2)
    if kind == "none_night_sky":
        frames[:, : int(rng.uniform(0.15, 0.4) * H)] = rng.uniform(2, 14)
    if kind in ("fade", "none_fade"):
        frames *= np.clip(np.linspace(-0.3, 1.2, FRAMES), 0, 1)[:, None, None, None]
    if kind == "none_card":
        text = cv2.resize(letters(rng, rng.uniform(0.7, 1.2), int(rng.integers(1, 4)), 0.45), (W, H))
        frames[:] = rng.uniform(0, 3) + 230 * text[..., None]
    if kind == "none_vignette":
        y, x = np.mgrid[-1 : 1 : H * 1j, -1 : 1 : W * 1j]
        frames *= (np.clip(1.3 - np.hypot(x, y), 0, 1) ** rng.uniform(1, 2.5))[..., None]
    top = left = 0
    if kind not in ("pillarbox",) and not kind.startswith("none"):
        top = int(rng.integers(2, 5)) if kind == "thin" else int(rng.integers(14, 60))
    if kind in ("pillarbox", "both"):
        left = int(rng.integers(12, 90))
    off = int(rng.integers(-3, 4)) if kind == "uneven" else 0
    bottom, right = max(0, top + off), left
    level = rng.uniform(6, 20) if kind == "grey_black" else rng.uniform(0, 3)
    mask = np.zeros((H, W), np.float32)
    mask[top : H - bottom, left : W - right] = 1
    if kind == "soft_edge":
        mask = cv2.GaussianBlur(mask, (0, 0), 0.8)
    frames = frames * mask[..., None] + level * (1 - mask[..., None])
    if kind == "noise":
        frames += rng.normal(0, 5, frames.shape)
    if kind.startswith("subtitles"):
        for k in range(FRAMES):
            if kind.endswith("always") or rng.random() < 0.6:
                cover = cv2.resize(letters(rng, 0.6, 1, 0.5), (W, H))
                rows = np.flatnonzero(cover.max(1) > 0.1)
                at = H - bottom + max(2, (bottom - len(rows)) // 2)
                text = cover[rows[0] : rows[-1] + 1][: max(0, H - at - 1), :, None]
                frames[k, at : at + len(text)] = frames[k, at : at + len(text)] * (1 - text) + 235 * text
    return np.clip(frames, 0, 255).astype(np.uint8), (left, top, W - left - right, H - top - bottom)


def compressed(frames: np.ndarray, crf: int) -> np.ndarray:
    """uint8[n, H, W] luma, 0..255, after x264."""
    import io

    import av

    buffer = io.BytesIO()
    options = {"crf": str(crf), "preset": "veryfast", "threads": "1"}
    with av.open(buffer, "w", format="matroska") as target:
        stream = target.add_stream("libx264", rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = H, W, "yuv420p"
        for frame in frames:
            target.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="bgr24")))
        target.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer) as source:
        limited = np.stack([f.reformat(format="gray").to_ndarray() for f in source.decode(video=0)])
    return np.clip((limited.astype(np.float32) - 16) * 255 / 219, 0, 255).round().astype(np.uint8)


def small(luma: np.ndarray) -> np.ndarray:
    """As thumbnails are: 256 px wide."""
    import cv2

    return np.stack([cv2.resize(f, (256, 144), interpolation=cv2.INTER_AREA) for f in luma])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = Path(__file__).resolve().parents[2]
    parser.add_argument("--half", choices=["tune", "held"], default="held")
    parser.add_argument("--media", type=Path, default=here.parent / "shared/media/dev")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "cutbench")
    parser.add_argument("--clips", type=int, default=40, help="of each kind")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--log", action="store_true", help="every wrong answer")
    options = parser.parse_args()
    pool = prepare(options.cache, options.media, options.half)
    right: dict[str, list[bool]] = defaultdict(list)
    cut: dict[str, int] = defaultdict(int)
    for n, kind in enumerate(KINDS):
        for k in range(options.clips):
            rng = np.random.default_rng([SEEDS[options.half], 77, n, k])
            frames, truth = clip(rng, pool, kind)
            luma = compressed(frames, int(rng.choice([16, 22, 28, 34])))
            lines = np.stack([line_p97(f) for f in luma]), np.stack([line_p97(f.T) for f in luma])
            found = find_bars(*lines, pictures=lambda chosen, luma=luma: small(luma[chosen]))
            edges = [(x, y, x + w, y + h) for x, y, w, h in (found, truth)]
            off = np.abs(np.subtract(*edges))
            right[kind].append(bool((off <= (0 if kind.startswith("none") else 2)).all()))
            inside = (edges[0][0] - edges[1][0], edges[0][1] - edges[1][1], edges[1][2] - edges[0][2])
            cut[kind] += max(*inside, edges[1][3] - edges[0][3]) > 2
            if options.log and not right[kind][-1]:
                print(f"  {kind} {k}: {found}, truth {truth}")
    out = {}
    for kind, good in right.items():
        draws = np.random.default_rng(0).choice(good, (1000, len(good))).mean(1)
        low, high = np.quantile(draws, [0.025, 0.975])
        out[kind] = {
            "clips": len(good),
            "right": float(np.mean(good)),
            "ci": [float(low), float(high)],
            "lost": cut[kind],
        }
        print(f"{kind:18} right {np.mean(good):.3f} [{low:.2f}, {high:.2f}] of {len(good)}; picture lost {cut[kind]}")
    if options.json:
        options.json.write_text(json.dumps({"half": options.half, "kinds": out}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
