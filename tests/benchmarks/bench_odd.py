"""Odd frames at cuts and inside shots (odd_frames.py): what is found, what is left in clips, what is cut for nothing.

    python tests/benchmarks/bench_odd.py [--half tune|held] [--sequences 100] [--cache FOLDER] [--jobs 2] [--log]

A cut is found where a boundary or a transition lies within a frame of it, or of its odd frames; "maybe" where only a
doubtful span does. Clips over one are counted, and apart from them those that begin or end with its odd frames.
False is what lies within a frame of no true one.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from bench_cuts import remembered
from edits import Truth
from material import prepare
from odd_frames import odd_edit

from wanprep.signals.shots import find_shots
from wanprep.signals.store import Signals
from wanprep.stages.split import SplitConfig, split

MEASURED = 1  # of what the cache holds


def one(half: str, k: int, pool: list[Path], cache: Path) -> tuple[Signals, Truth]:
    return remembered(cache / f"odd{MEASURED}" / f"{half}_{k}.npz", lambda: odd_edit(half, k, pool), 0.0)


def score(signals: Signals, truth: Truth, config: SplitConfig, log: list[str]) -> dict[str, Counter]:
    """Class -> counts."""
    found, tally = find_shots(signals, config.shots), defaultdict(Counter)
    clips = [(c.start_frame, c.end_frame) for c in split(signals, config)[0] if c.state == "ok"]
    edges = [(c, c) for c in found.cuts] + [(t.first, t.last + 1) for t in found.transitions]
    maybe, near = [(t.first, t.last + 1) for t in found.doubtful], set()
    for kind, first, last in [(kind, cut, cut - 1) for cut, kind in truth.cuts] + truth.gradual:
        hits = {e for e in edges if e[0] <= last + 2 and e[1] >= first - 1}
        near |= hits
        unsure = any(a <= last + 2 and b >= first - 1 for a, b in maybe)
        state = "found" if hits else "maybe" if unsure else "missed"
        tally[kind][state] += 1
        held = [(a, b) for a, b in clips if a < first - (first > last) + 1 < b and b > last + 1 and a < first]
        odd = [(a, b) for a, b in clips if a <= last and b > first and (a, b) not in held]
        tally[kind]["clips over it"] += len(held)
        tally[kind]["clips with odd frames"] += len(odd)
        if state != "found" or held or odd:
            log.append(f"{kind} {first}-{last}: {state}, over it {held}, odd frames in {odd}")
    for edge in set(edges) - near:
        why = next((k for k, a, b in truth.traps if a - 3 <= edge[1] and edge[0] <= b + 3), "plain")
        tally[why]["false"] += 1
        log.append(f"false {edge} in {why}")
    for kind, first, last in truth.traps:
        tally[kind]["traps"] += 1
        tally[kind]["maybe"] += any(a <= last + 2 and b >= first - 1 for a, b in maybe)
    return tally


def report(tallies: list[dict[str, Counter]], title: str) -> None:
    total: dict[str, Counter] = defaultdict(Counter)
    for tally in tallies:
        for kind, counts in tally.items():
            total[kind].update(counts)
    print(title)
    for kind, counts in sorted(total.items(), key=lambda item: ("traps" in item[1], item[0])):
        print(f"  {kind:16}", ", ".join(f"{what} {n}" for what, n in counts.items() if n))
    every = sum(total.values(), Counter())
    print(f"  {'all':16}", ", ".join(f"{what} {n}" for what, n in every.items()), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = Path(__file__).resolve().parents[2]
    parser.add_argument("--half", choices=["tune", "held"], default="tune")
    parser.add_argument("--media", type=Path, default=here.parent / "shared/media/dev")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "cutbench")
    parser.add_argument("--sequences", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--log", action="store_true", help="every miss, false alarm and leak")
    options = parser.parse_args()
    pool = prepare(options.cache, options.media, options.half)
    jobs = [(options.half, k, pool, options.cache) for k in range(options.sequences)]
    tallies, config = [], SplitConfig()
    # Spawned: decoders keep threads that do not survive a fork.
    with ProcessPoolExecutor(options.jobs, multiprocessing.get_context("spawn")) as workers:
        for k, (signals, truth) in enumerate(workers.map(one, *zip(*jobs))):
            log: list[str] = []
            tallies.append(score(signals, truth, config, log))
            if options.log:
                print("\n".join(f"  {k}: {line}" for line in log))
    report(tallies, f"odd frames, {options.half}: {len(tallies)} edits")
    return 0


if __name__ == "__main__":
    sys.exit(main())
