"""How well shots are found: per kind of cut, transition and trap, with bootstrap confidence intervals.

    python tests/benchmarks/bench_cuts.py [--half tune|held] [--sequences 80] [--media ../shared/media/dev]
        [--cache FOLDER] [--jobs 2] [--json out.json] [--log] [--bars 0.125]

Two halves that share no material and no seed: thresholds are chosen on `tune`, `held` is only reported. A hard cut is
found when a boundary lies within one frame of it; a transition when a predicted one overlaps it anywhere. Each
prediction counts once. Wipes are reported apart. Leaks are transition frames and cuts inside what `split` makes into
clips; what that costs is counted too: clean frames in no clip, and shots that are not one clip.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import sys
import tempfile
import time
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path

import numpy as np
from edits import Truth, edit
from material import FILES, SEEDS, prepare

from wanprep.inspect import listing
from wanprep.signals.shots import FIELDS, ShotMeter, find_shots
from wanprep.signals.store import Signals
from wanprep.stages.split import ClipSpan, SplitConfig, split

LEFT_OUT = ("black", "maybe_mixed", "only_transition")  # reasons of clips that are no shots
SAMPLED = 12  # frames from one that bars are looked for in to the next
MEASURED = 4  # of what the cache holds: raise it when ShotMeter or the edits change


def measure(frames, fps: float = 25.0) -> Signals:
    """Signals holding only what shot detection reads."""
    meter, rows, tiny, lines = ShotMeter(), [], [], []
    for number, frame in enumerate(frames):
        numbers, small = meter.feed(frame)
        rows.append(numbers)
        tiny.append(small)
        if number % SAMPLED == 0:
            luma = frame.max(2)
            lines.append([np.percentile(luma, 97, axis=axis).astype(np.uint8) for axis in (1, 0)])
    numbers = {name: np.array([r[name] for r in rows], np.float32) for name in FIELDS}
    return bare(numbers, np.stack(tiny), fps, *map(np.stack, zip(*lines)))


def bare(numbers: dict[str, np.ndarray], tiny: np.ndarray, fps: float, rows: np.ndarray, cols: np.ndarray) -> Signals:
    """rows, cols: 97th percentiles of luma of sampled frames, by which bars are found."""
    return Signals(
        time_base=Fraction(1, 90000), width=cols.shape[1], height=rows.shape[1], last_duration=0, frame=numbers,
        pts=np.round(np.arange(len(tiny)) * 90000 / fps).astype(np.int64),
        sampled=np.arange(len(rows), dtype=np.int32) * SAMPLED,
        thumbs=np.zeros((len(rows), 2, 2, 3), np.uint8), row_p97=rows, col_p97=cols, extra={"tiny": tiny},
    )  # fmt: skip


def stored_signals(stored) -> Signals:
    """Of a cache's file."""
    numbers = {name: stored[name] for name in FIELDS}
    return bare(numbers, stored["tiny"], float(stored["fps"]), stored["rows"], stored["cols"])


def store(path: Path, signals: Signals, fps: float, **more: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = {"rows": signals.row_p97, "cols": signals.col_p97}
    np.savez(path, fps=fps, tiny=signals.extra["tiny"], **lines, **signals.frame, **more)


def barred(frames: np.ndarray, share: float) -> np.ndarray:
    """Black over a share of the height at the top and as much at the bottom, not quite black as encoders leave it."""
    thick = round(share * frames.shape[1])
    frames[:, :thick] = frames[:, frames.shape[1] - thick :] = 2
    return frames


# --- scoring ------------------------------------------------------------------------------------------------------


def merged(spans: list[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    """Touching spans count as one: a fade out, black and a fade in are one way from shot to shot."""
    out: list[tuple[str, int, int]] = []
    for kind, first, last in sorted(spans, key=lambda s: s[1]):
        if out and first <= out[-1][2] + 1:
            out[-1] = (out[-1][0], out[-1][1], max(last, out[-1][2]))
        else:
            out.append((kind, first, last))
    return out


def within(frame: int, spans: list[tuple[str, int, int]], room: int = 0) -> str:
    return next((kind for kind, first, last in spans if first - room <= frame <= last + room), "")


def score(signals: Signals, config: SplitConfig, truth: Truth, log: list[str]) -> Counter:
    """Counts of one sequence."""
    found = listing(find_shots(signals, config.shots))
    hard = [c for c in found["hard"] if not any(abs(c - a) <= 2 for a in truth.ambiguous)]
    spans, tally = merged(truth.gradual), Counter()
    left = set(hard)
    for cut, kind in truth.cuts:
        near = sorted((c for c in left if abs(c - cut) <= 1), key=lambda c: abs(c - cut))
        tally["cut_hit" if near else "cut_miss"] += 1
        tally[f"{kind}:{'hit' if near else 'miss'}"] += 1
        left -= set(near[:1])
        if not near:
            log.append(f"missed {kind} {cut}")
    mixes = [(g["kind"], g["first"], g["last"]) for g in found["gradual"]]
    used = set()
    for kind, first, last in spans:
        some = [m for m in mixes if m[1] <= last and m[2] >= first]
        used |= set(some)
        tally["mix_hit" if some else "mix_miss"] += 1
        tally[f"{kind}:{'hit' if some else 'miss'}"] += 1
        if not some:
            log.append(f"missed {kind} {first}-{last}")
    for kind, first, last in truth.wipes:
        some = [m for m in mixes if m[1] <= last and m[2] >= first]
        tally[f"{kind}:{'hit' if some else 'miss'}"] += 1
        tally["wipe_hit" if some else "wipe_miss"] += 1
    for frame in sorted(left):
        if not within(frame, truth.wipes, 1):
            why = within(frame, spans, 1) or within(frame, truth.traps, 3) or "plain"
            tally["cut_false"] += 1
            tally[f"{why}:false_cut"] += 1
            log.append(f"false cut {frame} in {why}")
    for m in mixes:
        if m not in used and not any(m[1] <= last and m[2] >= first for _, first, last in truth.wipes):
            near = any(m[1] - 2 <= cut <= m[2] + 2 for cut, _ in truth.cuts)
            traps = [k for k, first, last in truth.traps if m[1] <= last + 3 and m[2] >= first - 3]
            why = traps[0] if traps else "hard" if near else "plain"
            tally["wipe_false" if m[0] == "wipe" else "mix_false"] += 1
            tally[f"{why}:false_{'wipe' if m[0] == 'wipe' else 'mix'}"] += 1
            log.append(f"false {m} in {why}")
    for kind, *_ in truth.traps:
        tally[f"{kind}:traps"] += 1
    leaks(signals, config, truth, spans, tally, log)
    return tally


def leaks(
    signals: Signals, config: SplitConfig, truth: Truth, spans: list[tuple[str, int, int]], tally: Counter,
    log: list[str],
) -> None:  # fmt: skip
    mixing, wiping = np.zeros((2, len(signals.pts)), bool)
    for _, first, last in spans:
        mixing[first : last + 1] = True
    for _, first, last in truth.wipes:
        wiping[first : last + 1] = True
    tally["frames"] += len(mixing)
    tally["mixing"] += int(mixing.sum())
    clips = split(signals, config)[0]
    cost(clips, truth, mixing | wiping, tally)
    for clip in clips:
        a, b = clip.start_frame, clip.end_frame
        if clip.state == "ok":
            tally["clip_frames"] += b - a
            tally["clips"] += 1
            tally["leaked_frames"] += int(mixing[a:b].sum())
            tally["clips_with_wipe"] += bool(wiping[a:b].any())
            cut_in = any(a < cut < b for cut, _ in truth.cuts)
            tally["clips_with_leak"] += bool(mixing[a:b].any() or cut_in)
            if mixing[a:b].any() or cut_in:
                log.append(f"clip {a}-{b} holds {int(mixing[a:b].sum())} mixing frames, cut {cut_in}")


def cost(clips: list[ClipSpan], truth: Truth, mixing: np.ndarray, tally: Counter) -> None:
    """What is given up: clean frames in no clip, and shots of 30 frames or more that are not one clip."""
    inside, owner = np.zeros(len(mixing), bool), np.full(len(mixing), -1)
    for k, clip in enumerate(clips):
        inside[clip.start_frame : clip.end_frame] = clip.reason not in LEFT_OUT
        owner[clip.start_frame : clip.end_frame] = -1 if clip.reason in LEFT_OUT[1:] else k
    tally["clean"] += int((~mixing).sum())
    tally["lost"] += int((~mixing & ~inside).sum())
    edges = {0, len(mixing), *(cut for cut, _ in truth.cuts)} | set(np.flatnonzero(np.diff(mixing.astype(int))) + 1)
    for a, b in itertools.pairwise(sorted(int(e) for e in edges)):
        if b - a >= 30 and not mixing[a]:
            tally["whole"] += 1
            tally["divided"] += len(set(owner[a:b]) - {-1}) != 1


def f1(tally: Counter, what: str) -> float:
    hit, miss, false = (tally[f"{what}_{w}"] for w in ("hit", "miss", "false"))
    return 2 * hit / max(1, 2 * hit + miss + false)


def interval(tallies: list[Counter], figure, rounds: int = 1000) -> tuple[float, float]:
    """95 % bootstrap interval over sequences."""
    rng, values = np.random.default_rng(0), []
    for _ in range(rounds):
        total: Counter = Counter()
        for index in rng.integers(0, len(tallies), len(tallies)):
            total.update(tallies[index])
        values.append(figure(total))
    return float(np.quantile(values, 0.025)), float(np.quantile(values, 0.975))


def report(tallies: list[Counter], title: str) -> dict:
    total: Counter = sum(tallies, Counter())
    out: dict = {"sequences": len(tallies), "frames": total["frames"]}
    print(f"{title}: {len(tallies)} sequences, {total['frames']} frames")
    for what in ("cut", "mix", "wipe"):
        hit, miss, false = (total[f"{what}_{w}"] for w in ("hit", "miss", "false"))
        low, high = interval(tallies, lambda t, what=what: f1(t, what))
        out[what] = {"hit": hit, "miss": miss, "false": false, "f1": f1(total, what), "ci": [low, high]}
        precision, recall = hit / max(1, hit + false), hit / max(1, hit + miss)
        print(
            f"  {what}: F1 {f1(total, what):.3f} [{low:.3f}, {high:.3f}]  precision {precision:.3f} "
            f"recall {recall:.3f}  hit {hit} miss {miss} false {false}"
        )
    share = total["clips_with_leak"] / max(1, total["clips"])
    low, high = interval(tallies, lambda t: t["clips_with_leak"] / max(1, t["clips"]))
    out["cost"] = {name: total[name] for name in ("lost", "clean", "divided", "whole", "clips_with_wipe")}
    out["leaks"] = {"clips": total["clips"], "with_leak": total["clips_with_leak"], "frames": total["leaked_frames"],
                    "share_of_clip_frames": total["leaked_frames"] / max(1, total["clip_frames"])}  # fmt: skip
    print(
        f"  clips with a transition frame or cut: {total['clips_with_leak']} of {total['clips']} = {share:.3f} "
        f"[{low:.3f}, {high:.3f}]; frames {total['leaked_frames']} of {total['clip_frames']}; "
        f"with a frame of a wipe: {total['clips_with_wipe']}; clean frames lost: {total['lost']} of {total['clean']}, "
        f"shots divided or lost: {total['divided']} of {total['whole']}"
    )
    classes: dict[str, dict[str, int]] = defaultdict(dict)
    for key, value in total.items():
        if ":" in key:
            name, what = key.split(":")
            classes[name][what] = value
    out["classes"] = dict(sorted(classes.items()))
    for name, counts in sorted(classes.items(), key=lambda item: ("traps" in item[1], item[0])):
        line = " ".join(f"{what} {n}" for what, n in sorted(counts.items()))
        recall = ""
        if "hit" in counts or "miss" in counts:
            hit, miss = counts.get("hit", 0), counts.get("miss", 0)
            low, high = interval(tallies, lambda t, n=name: t[f"{n}:hit"] / max(1, t[f"{n}:hit"] + t[f"{n}:miss"]), 300)
            recall = f"recall {hit / (hit + miss):.3f} [{low:.2f}, {high:.2f}] "
        print(f"    {name:18} {recall}{line}")
    return out


# --- runs ---------------------------------------------------------------------------------------------------------


def generated(half: str, k: int, pool: list[Path], second: bool = False) -> tuple[np.ndarray, Truth, float]:
    return edit(np.random.default_rng([SEEDS[half], k, *[2][:second]]), pool, second=second)


def sequence(
    half: str, k: int, pool: list[Path], cache: Path, second: bool = False, bars: float = 0.0
) -> tuple[Signals, Truth]:
    """Signals and truth of one generated edit, remembered in the cache."""
    named = f"_bars{bars:g}" if bars else ""
    path = cache / f"sequences{MEASURED}{named}" / f"{half}{'_second' * second}_{k}.npz"
    if not path.exists():
        import cv2

        cv2.setNumThreads(1)
        frames, truth, fps = generated(half, k, pool, second)
        store(path, measure(barred(frames, bars), fps), fps, truth=json.dumps(asdict(truth)))
    stored = np.load(path)
    truth = Truth(**json.loads(str(stored["truth"])))
    truth.gradual = [(str(kind), first, last) for kind, first, last in truth.gradual]
    truth.wipes = [(str(kind), first, last) for kind, first, last in truth.wipes]
    return stored_signals(stored), truth


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


def real(folder: Path, half: str, cache: Path, bars: float = 0.0) -> dict[str, tuple[Signals, Truth]]:
    """The footage of one half, with its written truth."""
    out = {}
    for name, entry in json.loads((folder / "cuts.json").read_text()).items():
        if name.startswith("_") or (half and not name.removeprefix("derived_").startswith((*FILES[half], *ALSO[half]))):
            continue
        path = cache / (f"real{MEASURED}" + (f"_bars{bars:g}" if bars else "")) / f"{name}.npz"
        if not path.exists():
            frames, fps = read_small(folder / name)
            store(path, measure(barred(frames, bars), fps), fps)
        signals = stored_signals(np.load(path))
        gradual = [(g["type"], *g["range"]) for g in entry["gradual"]]
        out[name] = signals, Truth([(c, "real") for c in entry["hard_cuts"]], gradual, [], entry["ambiguous"])
    return out


def judge(sequences: list[tuple[Signals, Truth]], config: SplitConfig, title: str, verbose: bool) -> dict:
    tallies, seconds = [], 0.0
    for k, (signals, truth) in enumerate(sequences):
        log: list[str] = []
        began = time.process_time()
        find_shots(signals, config.shots)
        seconds += time.process_time() - began
        tallies.append(score(signals, config, truth, log))
        if verbose:
            print("\n".join(f"  {title} {k}: {line}" for line in log))
    found = report(tallies, title)
    print(f"find_shots: {found['frames'] / max(seconds, 1e-9):.0f} frames a second of CPU")
    return found


ALSO = {"tune": ("vfr_drop3_cups",), "held": ("montage",)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = Path(__file__).resolve().parents[2]
    parser.add_argument("--half", choices=["tune", "held"], default="tune")
    parser.add_argument("--media", type=Path, default=here.parent / "shared/media/dev")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "cutbench")
    parser.add_argument("--sequences", type=int, default=80, help="of the first set")
    parser.add_argument("--second", type=int, default=40, help="of the second set: wipes, slow transitions, more traps")
    parser.add_argument("--letterboxed", type=int, default=20, help="of the first set, once more between black bars")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--bars", type=float, default=0.0, help="letterbox everything: share of the height, each bar")
    parser.add_argument("--log", action="store_true", help="every miss, false alarm and leak")
    options = parser.parse_args()
    config, out = SplitConfig(), {}
    pool = prepare(options.cache, options.media, options.half)
    if (options.media / "cuts.json").is_file():
        tallies = []
        for name, (signals, truth) in real(options.media, options.half, options.cache, options.bars).items():
            log: list[str] = []
            tallies.append(score(signals, config, truth, log))
            print("\n".join(f"  {name}: {line}" for line in log))
        out["real"] = report(tallies, f"footage, {options.half}")
    else:
        print(f"no footage in {options.media}: generated edits only")
    # Spawned: decoders keep threads that do not survive a fork.
    with ProcessPoolExecutor(options.jobs, multiprocessing.get_context("spawn")) as workers:
        sets = (
            ("generated", options.sequences, False, options.bars),
            ("second", options.second, True, options.bars),
            ("letterbox", options.letterboxed, False, 0.125),
        )
        for name, count, second, bars in sets:
            if not count:
                continue
            jobs = [(options.half, k, pool, options.cache, second, bars) for k in range(count)]
            out[name] = judge(list(workers.map(sequence, *zip(*jobs))), config, f"{name}, {options.half}", options.log)
    if options.json:
        options.json.write_text(json.dumps(out, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
