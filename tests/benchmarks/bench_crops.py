"""Do crops keep the subject? Figures at known places, and subjects of real shots whose boxes were drawn by eye.

    python tests/benchmarks/bench_crops.py [--media ../shared/media/dev] [--json out.json]

Kept is the share of the subject's area (boxes; mean of several) inside the crop, in crops to 9:16, 4:5, 1:1 and 2.35:1
that the program places; beside it that of the centred crop, and of the place that keeps most (the oracle). Real shots
count by file, so that a film with many does not outweigh the others. Settings are chosen on half A and reported on B.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from wanprep.signals.analysis import SAMPLE_RATE, small_size
from wanprep.signals.content import clip_content
from wanprep.signals.store import Signals
from wanprep.stages.crop import crop_box, follow

sys.path.insert(0, str(Path(__file__).parent))  # its neighbours, also under `python -m`
from crops_made import Box, made_clips

SHAPES = {"9:16": (9, 16), "4:5": (4, 5), "1:1": (1, 1), "2.35:1": (47, 20)}
LABELS = Path(__file__).with_name("subjects.json")
# Real shots without a subject, before which figures are put: frames of each.
EMPTY = {
    "A": {"bbb_480p_24fps.mp4": [(57, 230), (290, 378), (555, 597)]},
    "B": {"gopro_hero7_walk_480p_2997.mp4": [(60, 160), (220, 352)], "cars_topdown_432p_12p5fps.mp4": [(110, 157)],
          "watermark_fades_720p_2997.mp4": [(564, 660)]},
}  # fmt: skip


def pictures_of(path: Path, height: int | None = None) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """(frame numbers, uint8[m, h, w, 3] BGR, display size) of the pictures that an analysis keeps as thumbnails."""
    from wanprep.media.probe import probe
    from wanprep.media.read import open_video

    facts = probe(path)
    size = (round(facts.width * height / facts.height), height) if height else small_size(facts.width, facts.height)
    found, last = [], -1
    with open_video(path, facts, threads=1) as video:
        for index, frame in enumerate(video.frames()):
            slot = int(frame.pts * facts.time_base * SAMPLE_RATE)
            if slot > last:
                found.append((index, frame.bgr(*size)))
                last = slot
    numbers, pictures = zip(*found)
    return np.array(numbers), np.stack(pictures), (facts.width, facts.height)


def signals_of(numbers: np.ndarray, pictures: np.ndarray, size: tuple[int, int]) -> Signals:
    """As much of an analysis as crops are placed by."""
    frames, shown = int(numbers[-1]) + 1, len(numbers)
    return Signals(
        time_base=Fraction(1, 24), width=size[0], height=size[1], pts=np.arange(frames, dtype=np.int64),
        last_duration=1, frame={}, sampled=numbers.astype(np.int32), thumbs=pictures,
        row_p97=np.zeros((shown, size[1]), np.uint8), col_p97=np.zeros((shown, size[0]), np.uint8),
    )  # fmt: skip


def kept(box: Box, crop: tuple[float, float, float, float]) -> float:
    """Share of a box, 0..1, inside a crop; both (left, top, right, bottom)."""
    wide = min(box[2], crop[2]) - max(box[0], crop[0])
    high = min(box[3], crop[3]) - max(box[1], crop[1])
    return max(0.0, wide) * max(0.0, high) / ((box[2] - box[0]) * (box[3] - box[1]))


def judged(profile: bytes, size: tuple[int, int], boxes: Sequence[Box], shape: tuple[int, int]) -> dict[str, float]:
    """Share kept by the crop of a profile, the centred one, and the best one. {} where nothing is cut off."""
    wide, high = size
    centred = crop_box(wide, high, shape)
    if centred[2:] == size:
        return {}
    across = centred[2] < wide
    free = wide - centred[2] if across else high - centred[3]
    best = [(to, centred[1], *centred[2:]) if across else (centred[0], to, *centred[2:]) for to in range(free + 1)]
    best = best[:: max(1, free // 100)]

    def mean(crop: tuple[int, int, int, int]) -> float:
        x, y, w, h = crop
        seen = (x / wide, y / high, (x + w) / wide, (y + h) / high)
        return float(np.mean([kept(box, seen) for box in boxes]))

    placed = follow(wide, high, (0, 0, wide, high), centred, [profile])[0]
    return {"kept": mean(placed), "centre": mean(centred), "best": max(map(mean, best))}


def real_rows(media: Path) -> list[dict[str, Any]]:
    rows = []
    for name, entry in json.loads(LABELS.read_text()).items():
        if name.startswith("_") or not (media / name).is_file():
            continue
        numbers, pictures, size = pictures_of(media / name)
        signals = signals_of(numbers, pictures, size)
        for start, end, percent in entry["shots"]:
            profile, _ = clip_content(signals, start, end)
            boxes = [tuple(side / 100 for side in box) for box in percent]
            about = {"half": entry["half"], "group": name, "clip": f"{name}/{start}"}
            rows += _rows(about, profile, size, boxes)
    return rows


def made_rows(media: Path) -> list[dict[str, Any]]:
    rows = []
    for half, files in EMPTY.items():
        empty = []
        for name, spans in files.items():
            if (media / name).is_file():
                numbers, pictures, _ = pictures_of(media / name, 144)
                empty += [pictures[(numbers >= start) & (numbers < end)] for start, end in spans]
        for kind, how_large, pictures, boxes in made_clips(half, empty):
            size = (5 * pictures.shape[2], 5 * pictures.shape[1])
            profile, _ = clip_content(signals_of(np.arange(len(pictures)), pictures, size), 0, len(pictures))
            about = {"half": half, "group": kind, "clip": f"{kind}, {how_large}", "size": how_large}
            rows += _rows(about, profile, size, [box for who in boxes for box in who])
    return rows


def _rows(about: dict[str, Any], profile: bytes, size: tuple[int, int], boxes: Sequence[Box]) -> list[dict[str, Any]]:
    found = {name: judged(profile, size, boxes, shape) for name, shape in SHAPES.items()}
    return [{**about, "shape": name, **shares} for name, shares in found.items() if shares]


def means(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Over groups, each once."""
    groups: dict[str, list[list[float]]] = {}
    for row in rows:
        groups.setdefault(row["group"], []).append([row[key] for key in ("centre", "kept", "best")])
    over = np.mean([np.mean(values, axis=0) for values in groups.values()], axis=0)
    return {"clips": len({row["clip"] for row in rows}), **dict(zip(("centre", "kept", "best"), over.tolist()))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--media", type=Path, default=Path(__file__).parents[3] / "shared" / "media" / "dev")
    parser.add_argument("--json", type=Path, help="every crop, one by one")
    options = parser.parse_args()
    found = {"real": real_rows(options.media), "made up": made_rows(options.media)}
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))
    show(found)


def show(found: dict[str, list[dict[str, Any]]]) -> None:
    def line(name: str, rows: list[dict[str, Any]]) -> None:
        halves = [means([row for row in rows if row["half"] == half]) for half in "AB" if rows]
        told = [f"{it['centre']:.3f} {it['kept']:.3f} {it['best']:.3f}" for it in halves]
        print(f"  {name:36} " + "   ".join(told))

    for source, rows in found.items():
        print(f"{source}: share of the subject kept by the centred crop, the program's and the best; half A   half B")
        for shape in SHAPES:
            mine = [row for row in rows if row["shape"] == shape]
            if {row["half"] for row in mine} == {"A", "B"}:
                line(shape, mine)
        upright = [row for row in rows if row["shape"] == "9:16"]
        for key in ("group", "size"):
            for value in dict.fromkeys(row.get(key) for row in upright if key in row):
                mine = [row for row in upright if row[key] == value]
                if {row["half"] for row in mine} == {"A", "B"}:
                    line(f"9:16, {value}", mine)
                else:
                    it = means(mine)
                    print(f"  9:16, {value:36} {it['centre']:.3f} {it['kept']:.3f} {it['best']:.3f}")


if __name__ == "__main__":
    main()
