"""How well shots are found: precision, recall and F1 by kind of transition, on real footage and on generated edits.

    python tests/benchmarks/bench_cuts.py [--media ../shared/media/dev] [--sequences 60] [--seed 1] [--json out.json]

Generated edits join procedural scenes (pans, zooms, moving objects, grain) and, where the footage is there, its
single-shot files, by hard cuts, dissolves, fades and dips of 4–30 frames; flashes and whip pans are traps inside
shots. A hard cut is found when a predicted boundary lies within one frame; a transition when a predicted one covers
it with an intersection over union of at least 0.5. Frame F1 counts mixing frames.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
from edits import Truth, edit

from wanprep.signals.shots import FIELDS, ShotList, ShotMeter, ShotRules, find_shots
from wanprep.signals.store import Signals


def measure(frames, fps: float = 25.0) -> Signals:
    """Signals holding only what shot detection reads."""
    meter, rows, tiny = ShotMeter(), [], []
    for frame in frames:
        numbers, small = meter.feed(frame)
        rows.append(numbers)
        tiny.append(small)
    n = len(rows)
    one = np.zeros((0, 2), np.uint8)
    return Signals(
        time_base=Fraction(1, 90000), width=2, height=2, pts=np.round(np.arange(n) * 90000 / fps).astype(np.int64),
        last_duration=0, frame={name: np.array([r[name] for r in rows], np.float32) for name in FIELDS},
        sampled=np.zeros(0, np.int32), thumbs=np.zeros((0, 2, 2, 3), np.uint8), row_p97=one, col_p97=one,
        extra={"tiny": np.stack(tiny)},
    )  # fmt: skip


# --- scoring ------------------------------------------------------------------------------------------------------


def predictions(found: ShotList) -> tuple[list[int], list[tuple[str, int, int]]]:
    """Boundaries that are cuts for a viewer (one blended frame included) and transitions (black screens are shots)."""
    mixes = [t for t in found.transitions if t.kind != "black"]
    short = [t for t in mixes if t.last - t.first < 2 and t.kind == "dissolve"]
    return sorted([*found.cuts, *(t.last + 1 for t in short)]), [
        (t.kind, t.first, t.last) for t in mixes if t not in short
    ]


def merged(spans: list[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    """Touching spans count as one: a fade out, black and a fade in are one way from shot to shot."""
    out: list[tuple[str, int, int]] = []
    for kind, first, last in sorted(spans, key=lambda s: s[1]):
        if out and first <= out[-1][2] + 1:
            out[-1] = (out[-1][0], out[-1][1], max(last, out[-1][2]))
        else:
            out.append((kind, first, last))
    return out


def score(found: ShotList, truth: Truth, tally: Counter, name: str, log: list[str]) -> None:
    cuts, mixes = predictions(found)
    spans = merged(truth.gradual)
    cuts = [c for c in cuts if not any(abs(c - a) <= 2 for a in truth.ambiguous)]
    left = set(cuts)
    for cut in truth.cuts:
        near = [c for c in left if abs(c - cut) <= 1]
        tally["cut_hit" if near else "cut_miss"] += 1
        left -= set(near[:1])
        if not near:
            log.append(f"{name}: missed cut {cut}")
    unused = list(mixes)
    for kind, first, last in spans:

        def iou(m, first=first, last=last):
            shared = min(last, m[2]) - max(first, m[1]) + 1
            return shared / (max(last, m[2]) - min(first, m[1]) + 1)

        good = [m for m in unused if iou(m) >= 0.5]
        some = [m for m in unused if iou(m) > 0]
        tally[f"{kind}_hit" if good else f"{kind}_miss"] += 1
        tally["mix_hit" if good else "mix_miss"] += 1
        tally["touch_hit" if some else "touch_miss"] += 1
        for m in good[:1] or some[:1]:
            unused.remove(m)
            if not good:
                tally["mix_false"] += 1
        if not good:
            log.append(f"{name}: missed {kind} {first}-{last}, nearest {some}")
    for c in sorted(left):
        # a boundary inside a true transition splits where it should be split, but is no hard cut
        inside = any(first - 1 <= c <= last + 1 for _, first, last in spans)
        tally["cut_in_mix" if inside else "cut_false"] += 1
        log.append(f"{name}: {'cut inside a transition' if inside else 'false cut'} {c}")
    tally["mix_false"] += len(unused)
    tally["touch_false"] += len(unused)
    log += [f"{name}: false {kind} {first}-{last}" for kind, first, last in unused]
    n = found.n_frames
    true, said = np.zeros(n, bool), np.zeros(n, bool)
    for mask, items in ((true, spans), (said, mixes)):
        for _, first, last in items:
            mask[first : last + 1] = True
    tally["frame_hit"] += int((true & said).sum())
    tally["frame_miss"] += int((true & ~said).sum())
    tally["frame_false"] += int((said & ~true).sum())
    tally["frames"] += n


def summary(tally: Counter) -> dict[str, dict[str, float]]:
    out = {}
    for kind in ("cut", "mix", "touch", "frame"):
        hit, miss, false = (tally[f"{kind}_{w}"] for w in ("hit", "miss", "false"))
        if kind == "cut":
            false += tally["cut_in_mix"]
        p, r = hit / max(1, hit + false), hit / max(1, hit + miss)
        out[kind] = {"hit": hit, "miss": miss, "false": false, "precision": round(p, 4), "recall": round(r, 4),
                     "f1": round(2 * p * r / max(1e-9, p + r), 4)}  # fmt: skip
    for kind in ("dissolve", "fade", "fade_white"):
        hit, miss = tally[f"{kind}_hit"], tally[f"{kind}_miss"]
        if hit + miss:
            out[kind] = {"hit": hit, "miss": miss, "recall": round(hit / (hit + miss), 4)}
    return out


# --- runs ---------------------------------------------------------------------------------------------------------


def read_small(path: Path) -> tuple[np.ndarray, float]:
    from wanprep.media.probe import probe
    from wanprep.media.read import open_video

    facts = probe(path)
    frames, pts = [], []
    with open_video(path, facts, threads=2) as reader:
        height = max(2, round(256 * facts.height / facts.width / 2) * 2)
        for frame in reader.frames():
            frames.append(frame.bgr(256, height))
            pts.append(frame.pts)
        base = float(facts.time_base)
    return np.stack(frames), 1 / (float(np.median(np.diff(pts))) * base)


def real(folder: Path) -> dict[str, tuple[np.ndarray, float, Truth]]:
    cuts = json.loads((folder / "cuts.json").read_text())
    out = {}
    for name, entry in cuts.items():
        if not name.startswith("_"):
            frames, fps = read_small(folder / name)
            gradual = [(g["type"], *g["range"]) for g in entry["gradual"]]
            out[name] = frames, fps, Truth(entry["hard_cuts"], gradual, entry["ambiguous"])
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = Path(__file__).resolve().parents[2]
    parser.add_argument("--media", type=Path, default=here.parent / "shared/media/dev")
    parser.add_argument("--sequences", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rules, report = ShotRules(), {}
    pool: list[np.ndarray] = []
    if (options.media / "cuts.json").is_file():
        tally, log = Counter(), []
        for name, (frames, fps, truth) in real(options.media).items():
            score(find_shots(measure(frames, fps), rules), truth, tally, name, log)
            if not truth.cuts and not truth.gradual and len(frames) >= 120:
                h = round(256 * 144 / 256)
                pool.append(frames[:, (frames.shape[1] - h) // 2 :][:, :h] if frames.shape[1] >= h else frames[:0])
        pool = [p for p in pool if len(p)]
        report["real"] = summary(tally)
        print("\n".join(log))
        print("real", json.dumps(report["real"], indent=1))
    else:
        print(f"no footage in {options.media}: generated edits only")
    tally, log = Counter(), []
    rng = np.random.default_rng(options.seed)
    seconds = 0.0
    for k in range(options.sequences):
        frames, truth = edit(rng, pool)
        signals = measure(frames)
        began = time.perf_counter()
        found = find_shots(signals, rules)
        seconds += time.perf_counter() - began
        score(found, truth, tally, f"edit {k}", log)
    report["generated"] = summary(tally) | {"find_shots_frames_per_second": round(tally["frames"] / max(seconds, 1e-9))}
    print("\n".join(log))
    print("generated", json.dumps(report["generated"], indent=1))
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
