"""A fixed camera over every shot there is, to train the network of wanprep/signals/marks.py with (train_marks.py).

    python tests/benchmarks/mark_slow.py slow.npz [--media ../shared/media/dev]

Few real shots are fixed, and a network learns those by heart. So each shot is also shown slowed down (pictures one
frame to a tenth of a second apart: what is sharp in it stays, with its real noise and coding) and steadied (windows
that follow the scene by its measured motion: the background stays, what moves by itself moves).
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from good import clips_of, sources, spans
from mark_examples import WIDTH, Clip
from mark_material import MARKED_CLIPS

GROUPS, PICTURES = 15, 6  # slowed down, of each real file
WINDOWS, SEEN, SMALLEST = 12, 5, 0.5  # steadied, of each; pictures; share of the width that must be seen in all
TENTH = 0.095  # seconds
CARDS = {  # first and last frames of what is lettering
    "bbb_trailer_360p_25fps.webm": [
        (0, 107), (160, 226), (280, 329), (415, 480), (566, 622), (667, 748), (756, 812),
    ],
}  # fmt: skip


def shots(name: str, path: Path, cuts: dict[str, Any]) -> Iterator[tuple[list[np.ndarray], list[float]]]:
    """Luma of each whole shot, WIDTH wide, and seconds, without transitions and what comes after the first mark."""
    from wanprep.media.probe import probe
    from wanprep.media.read import open_video

    facts = probe(path)
    marked = [number for source, number in MARKED_CLIPS if source == name]
    end = spans(cuts)[min(marked)][0] if marked else cuts["n_frames"]
    holes = [gradual["range"] for gradual in cuts["gradual"]] + CARDS.get(name, [])
    edges = sorted({0, *cuts["hard_cuts"], *(edge for first, last in holes for edge in (first, last + 1))})
    high = min(360, facts.height)
    source_size = max(2, round(facts.width * high / facts.height)), high
    size = WIDTH, 4 * round(WIDTH * facts.height / facts.width / 4)
    shot, pictures, seconds = -1, [], []
    with open_video(path, facts) as video:
        for index, frame in enumerate(video.frames()):
            if index >= end:
                break
            if (current := int(np.searchsorted(edges, index, side="right"))) != shot:
                yield pictures, seconds
                shot, pictures, seconds = current, [], []
            if not any(first <= index <= last for first, last in holes):
                pictures.append(cv2.resize(frame.gray(*source_size), size, interpolation=cv2.INTER_AREA))
                seconds.append(frame.pts * float(facts.time_base))
    yield pictures, seconds


def slowed(frames: Sequence[np.ndarray], rate: float, rng: np.random.Generator) -> np.ndarray | None:
    """uint8[PICTURES, h, w]: from anywhere, a frame to a tenth of a second apart; None of shots that are too short."""
    pace = max(1, round(float(np.exp(rng.uniform(0, np.log(max(1.01, 0.1 * rate)))))))
    pace = min(pace, (len(frames) - 1) // (PICTURES - 1))
    if pace < 1:
        return None
    first = int(rng.integers(len(frames) - pace * (PICTURES - 1)))
    return np.stack(frames[first : first + pace * (PICTURES - 1) + 1 : pace])


def motion(one: np.ndarray, two: np.ndarray) -> np.ndarray | None:
    """3 x 3: where places of `one` are in `two`, by most of its corners; None where too few agree."""
    points = cv2.goodFeaturesToTrack(one, 400, 0.01, 7)
    if points is None or len(points) < 25:
        return None
    there, found, _ = cv2.calcOpticalFlowPyrLK(one, two, points, None)
    back, again, _ = cv2.calcOpticalFlowPyrLK(two, one, there, None)
    good = (found[:, 0] > 0) & (again[:, 0] > 0) & (np.abs(back - points).reshape(-1, 2).max(1) < 0.7)
    if good.sum() < 25:
        return None
    way = {"method": cv2.RANSAC, "ransacReprojThreshold": 1.0}
    moved, inside = cv2.estimateAffinePartial2D(points[good], there[good], **way)
    if moved is None or inside.sum() < max(15, 0.3 * good.sum()) or not 0.8 < np.hypot(*moved[:, 0]) < 1.25:
        return None
    return np.vstack([moved, [0, 0, 1]])


def steadied(frames: Sequence[np.ndarray], stride: int) -> np.ndarray | None:
    """uint8[M, h, w]: every `stride`th frame as the middle one is seen, where all are; None where that cannot be told,
    or nothing moves as a whole."""
    steps = [motion(one, two) for one, two in itertools.pairwise(frames)]
    at = [np.eye(3)]
    for step in steps:
        if step is None:
            return None
        at.append(step @ at[-1])
    back = np.linalg.inv(at[len(frames) // 2])
    height, width = frames[0].shape
    centre, held, moved = np.array([width / 2, height / 2]), [], 0.0
    seen = np.ones((height, width), np.uint8)
    for k in range(0, len(frames), stride):
        m = (at[k] @ back)[:2]
        moved = max(moved, float(np.abs(m @ [*centre, 1] - centre).max()), 200 * abs(float(np.hypot(*m[:, 0])) - 1))
        cubic, nearest = (flag | cv2.WARP_INVERSE_MAP for flag in (cv2.INTER_CUBIC, cv2.INTER_NEAREST))
        held.append(cv2.warpAffine(frames[k], m, (width, height), flags=cubic, borderMode=cv2.BORDER_REPLICATE))
        seen &= cv2.warpAffine(np.ones_like(seen), m, (width, height), flags=nearest)
    return inner(np.stack(held), seen) if moved >= 1.5 else None


def inner(held: np.ndarray, seen: np.ndarray) -> np.ndarray | None:
    """The largest part, near the middle, of which everything is seen, as large as the whole."""
    height, width = seen.shape
    sums = cv2.integral(seen)
    for share in np.arange(1.0, SMALLEST - 0.01, -0.05):
        h, w = int(height * share), int(width * share)
        count = sums[h:, w:] - sums[:-h, w:] - sums[h:, :-w] + sums[:-h, :-w]
        rows, columns = np.nonzero(count == w * h)
        if len(rows):
            best = int(np.argmin((rows + (h - height) / 2) ** 2 + (columns + (w - width) / 2) ** 2))
            part = held[:, rows[best] : rows[best] + h, columns[best] : columns[best] + w]
            return np.stack([cv2.resize(p, (width, height), interpolation=cv2.INTER_LINEAR) for p in part])
    return None


def of_file(name: str, path: Path, cuts: dict[str, Any], rng: np.random.Generator) -> Iterator[np.ndarray]:
    whole = [(f, s) for f, s in shots(name, path, cuts) if len(f) > PICTURES and np.mean(f) > 4]  # no black of fades
    total = sum(len(frames) for frames, _ in whole)
    for frames, seconds in whole:
        rate = (len(seconds) - 1) / max(1e-3, seconds[-1] - seconds[0])
        for _ in range(max(1, round(GROUPS * len(frames) / total))):
            if (found := slowed(frames, rate, rng)) is not None:
                yield found
    count, share = 0, np.array([len(frames) for frames, _ in whole]) / max(1, total)
    for _ in range(5 * WINDOWS if whole else 0):
        frames, seconds = whole[int(rng.choice(len(whole), p=share))]
        step = max(1, round(TENTH * (len(seconds) - 1) / max(1e-3, seconds[-1] - seconds[0])))
        slower, stride = frames[::step], int(rng.choice([1, 2, 2, 3, 4]))
        stride = min(stride, (len(slower) - 1) // (SEEN - 1))
        if stride and count < WINDOWS:
            first = int(rng.integers(len(slower) - stride * (SEEN - 1)))
            if (found := steadied(slower[first : first + stride * (SEEN - 1) + 1], stride)) is not None:
                count += 1
                yield found


def made_up(seed: int, what: tuple[Any, ...]) -> Iterator[np.ndarray]:
    pace = 1 + seed % 3
    for frames, _ in clips_of(*what):
        some = frames[7 : 7 + PICTURES * pace : pace]
        yield np.stack([cv2.resize(f, (WIDTH, 288), interpolation=cv2.INTER_AREA) for f in some])


def pack(target: Path, media: Path) -> None:
    files, clips, rng = [], [], np.random.default_rng(11)
    for number, (name, what) in enumerate(sources(media, painted=6, generated=8)):
        if not name.startswith("watermark"):
            found = of_file(name, *what[1:], rng) if what[0] == "file" else made_up(number, what)
            for pictures in found:
                clips.append({"source": name, "clip": len(clips), "pictures": len(pictures)})
                files += [cv2.imencode(".webp", p, [cv2.IMWRITE_WEBP_QUALITY, 80])[1].tobytes() for p in pictures]
    about = np.frombuffer(json.dumps(clips).encode(), np.uint8)
    np.savez(target, data=np.frombuffer(b"".join(files), np.uint8), sizes=[len(f) for f in files], about=about)


def load(path: Path) -> list[Clip]:
    """What `pack` wrote."""
    stored = np.load(path)
    files = np.split(stored["data"], np.cumsum(stored["sizes"])[:-1])
    pictures = (cv2.imdecode(f, cv2.IMREAD_GRAYSCALE) for f in files)
    about = json.loads(stored["about"].tobytes())
    return [(c["source"], c["clip"], np.stack([next(pictures) for _ in range(c["pictures"])])) for c in about]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", type=Path)
    parser.add_argument("--media", type=Path, default=Path(__file__).parents[3] / "shared" / "media" / "dev")
    options = parser.parse_args()
    pack(options.target, options.media)


if __name__ == "__main__":
    main()
