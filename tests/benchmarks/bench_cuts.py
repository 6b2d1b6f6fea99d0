"""How well shots are found: per kind of cut, transition and trap, with bootstrap confidence intervals.

    python tests/benchmarks/bench_cuts.py [--half tune|held] [--sequences 80] [--media ../shared/media/dev]
        [--cache FOLDER] [--jobs 2] [--json out.json] [--log] [--bars 0.125]

Two halves that share no material and no seed: thresholds are chosen on `tune`, `held` is only reported. A hard cut is
found when a boundary lies within one frame of it; a transition when a predicted one overlaps it anywhere. Each
prediction counts once. Wipes are reported apart. Leaks are transition frames and cuts inside what `split` makes into
clips; what that costs is counted too: clean frames in no clip, and shots that are not one clip. Beside the edits:
shots in which only the camera moves (moves.py), such with a jump in them (leaps.py), pushes, covers and reveals, and
cuts inside of a frame that stays (slides.py), fast moves from shot to shot and within one (whips.py), dark films and
shots that leave something flat (darks.py).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
from cut_scores import report, score
from cut_signals import barred, measure, store, stored_signals
from darks import dark
from edits import Truth, edit
from leaps import leap
from material import FILES, SEEDS, prepare
from moves import moves, stills
from slides import framed, slid
from whips import whipped

from wanprep.signals.shots import find_shots
from wanprep.signals.store import Signals
from wanprep.stages.split import SplitConfig

MEASURED = 4  # of what the cache holds: raise it when ShotMeter or the edits change


def generated(half: str, k: int, pool: list[Path], second: bool = False) -> tuple[np.ndarray, Truth, float]:
    return edit(np.random.default_rng([SEEDS[half], k, *[2][:second]]), pool, second=second)


def remembered(path: Path, made: Callable[[], tuple[np.ndarray, Truth, float]], bars: float) -> tuple[Signals, Truth]:
    """Signals and truth of what `made` makes, from a cache's file where it is there."""
    if not path.exists():
        import cv2

        cv2.setNumThreads(1)
        frames, truth, fps = made()
        store(path, measure(barred(frames, bars), fps), fps, truth=json.dumps(asdict(truth)))
    stored = np.load(path)
    truth = Truth(**json.loads(str(stored["truth"])))
    truth.gradual = [(str(kind), first, last) for kind, first, last in truth.gradual]
    truth.wipes = [(str(kind), first, last) for kind, first, last in truth.wipes]
    return stored_signals(stored), truth


def sequence(
    half: str, k: int, pool: list[Path], cache: Path, second: bool = False, bars: float = 0.0
) -> tuple[Signals, Truth]:
    """Signals and truth of one generated edit, remembered in the cache."""
    folder = cache / (f"sequences{MEASURED}" + (f"_bars{bars:g}" if bars else ""))
    path = folder / f"{half}{'_second' * second}_{k}.npz"
    return remembered(path, lambda: generated(half, k, pool, second), bars)


def single(kind: str, half: str, k: int, pictures: list[Path], pool: list[Path], cache: Path) -> tuple[Signals, Truth]:
    """Of one kind of film: `moves` of the camera, `leaps` of what is in a shot, `slides`, `frames`."""
    made: dict[str, Callable[[], tuple[np.ndarray, Truth, float]]] = {
        "moves": lambda: moves(half, k, pictures, pool),
        "leaps": lambda: leap(half, k, pool),
        "slides": lambda: slid(half, k, pool),
        "frames": lambda: framed(half, k, pool, pictures),
        "whips": lambda: whipped(half, k, pool),
        "soft": lambda: edit(np.random.default_rng([SEEDS[half], k, 7]), pool, joins={"soft": 0.8, "hard": 0.2}),
        "darks": lambda: dark(half, k, pool, pictures),
    }
    return remembered(cache / f"{kind}{MEASURED}" / f"{half}_{k}.npz", made[kind], 0.0)


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


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = Path(__file__).resolve().parents[2]
    parser.add_argument("--half", choices=["tune", "held"], default="tune")
    parser.add_argument("--media", type=Path, default=here.parent / "shared/media/dev")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "cutbench")
    parser.add_argument("--sequences", type=int, default=80, help="of the first set")
    parser.add_argument("--second", type=int, default=40, help="of the second set: wipes, slow transitions, more traps")
    parser.add_argument("--letterboxed", type=int, default=20, help="of the first set, once more between black bars")
    parser.add_argument("--moves", type=int, default=280, help="shots in which only the camera moves, 14 kinds")
    parser.add_argument("--leaps", type=int, default=120, help="shots with a jump cut")
    parser.add_argument("--slides", type=int, default=120, help="films with two pushes, covers or reveals each")
    parser.add_argument("--frames", type=int, default=80, help="films inside of a frame that stays, four kinds")
    parser.add_argument("--whips", type=int, default=120, help="films of whip pans, zooms, spins and flicker")
    parser.add_argument("--soft", type=int, default=60, help="edits by wipes with wide soft edges")
    parser.add_argument("--darks", type=int, default=90, help="films of which little is lit, shots that leave a sky")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--bars", type=float, default=0.0, help="letterbox everything: share of the height, each bar")
    parser.add_argument("--log", action="store_true", help="every miss, false alarm and leak")
    return parser.parse_args()


def main() -> int:
    options, config, out = arguments(), SplitConfig(), {}
    pool, pictures = (make(options.cache, options.media, options.half) for make in (prepare, stills))
    if (options.media / "cuts.json").is_file():
        tallies = []
        for name, (signals, truth) in real(options.media, options.half, options.cache, options.bars).items():
            log: list[str] = []
            tallies.append(score(signals, config, truth, log))
            print("\n".join(f"  {name}: {line}" for line in log))
        out["real"] = report(tallies, f"footage, {options.half}")
    else:
        print(f"no footage in {options.media}: generated shots only")
    half, cache = options.half, options.cache
    edits = (
        ("generated", options.sequences, False, options.bars),
        ("second", options.second, True, options.bars),
        ("letterbox", options.letterboxed, False, 0.125),
    )
    # Spawned: decoders keep threads that do not survive a fork.
    with ProcessPoolExecutor(options.jobs, multiprocessing.get_context("spawn")) as workers:
        for name, count, second, bars in edits:
            jobs = [(half, k, pool, cache, second, bars) for k in range(count)]
            if jobs:
                out[name] = judge(list(workers.map(sequence, *zip(*jobs))), config, f"{name}, {half}", options.log)
        for name in ("moves", "leaps", "slides", "frames", "whips", "soft", "darks"):
            count = getattr(options, name)
            shots = [(name, half, k, pictures, pool, cache) for k in range(count if pool else 0)]
            if shots:
                out[name] = judge(list(workers.map(single, *zip(*shots))), config, f"{name}, {half}", options.log)
    if options.json:
        options.json.write_text(json.dumps(out, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
