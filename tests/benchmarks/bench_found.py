"""Real videos out of public packages, labelled by eye: cuts, good pieces lost and bad ones kept, per set.

    python -m tests.benchmarks found FOLDER [FOLDER ...] [--set B] [--jobs 1] [--json out.json]

FOLDER holds the files, under any names: they are known by their digests (found.json). What is not there is listed with
the package that it comes from; nothing is fetched. Every file goes the way of `wanprep cuts` and `wanprep score` at
default settings, each by itself. A cut is found when a boundary lies within one frame of it, a transition when a
predicted one overlaps it. A good piece is lost when less than half of it is kept, a bad one kept when half of it is.
Set B was labelled before anybody looked at what wanprep says of it; docs/measured/found.md tells what was mended since
with it in view.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # its neighbours, also under `python -m`
from bench_good import counted, wilson
from found import ENOUGH, File, judge_cuts, judge_pieces, matched, misread, rates, table


def looked(paths: Sequence[Path], jobs: int) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """What `wanprep cuts` and `wanprep score` say of each file."""
    from wanprep import inspect
    from wanprep.pipeline import resolve

    pipeline = resolve(file=None, assignments=())
    ways = [
        inspect.look(paths, pipeline.split, scores=scores, workers=jobs, say=lambda line: None)
        for scores in (False, True)
    ]
    for entry in ways[1]:
        inspect.judge([entry], pipeline.filter, pipeline.views)
    return list(zip(*ways, strict=True))


def judged(files: Sequence[File], entries: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> dict[str, Any]:
    """Everything that is counted, and every row: see `show`."""
    report: dict[str, Any] = {"cuts": Counter(), "pieces": [], "misread": {}, "errors": {}}
    for file, (cuts, scores) in zip(files, entries):
        why = misread(file, cuts)
        if why:
            report["misread"][file.name] = why
            lost = {"clips": [{"start_frame": 0, "end_frame": 10**9, "reasons": ["misread"]}]}
            report["pieces"] += [row for row in judge_pieces(file, lost) if row["verdict"] == "keep"]
            continue
        tally, log = judge_cuts(file, cuts)
        report["cuts"] += tally
        report["pieces"] += judge_pieces(file, scores)
        report["errors"] |= {file.name: log} if log else {}
    report["rates"] = rates(report["cuts"])
    report["good"] = counted([row for row in report["pieces"] if row["verdict"] == "keep"])
    report["bad"] = faults(row for row in report["pieces"] if row["verdict"] == "drop")
    return report


def faults(rows: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Bad pieces and how many are kept, per fault."""
    pieces, kept = Counter[str](), Counter[str]()
    for row in rows:
        pieces[row["fault"]] += 1
        kept[row["fault"]] += row["kept"] >= ENOUGH
    return {
        fault: {"pieces": count, "kept": kept[fault], "interval": wilson(kept[fault], count)}
        for fault, count in pieces.most_common()
    }


def _interval(of: tuple[float, float]) -> str:
    return f"[{of[0]:.0%}, {of[1]:.0%}]"


def show(name: str, report: dict[str, Any]) -> None:
    tally, rate, good = report["cuts"], report["rates"], report["good"]
    print(f"\nset {name}: {tally['files']} files compared, {len(report['misread'])} misread")
    for file, why in report["misread"].items():
        print(f"  misread {file}: {why}")
    print(
        f"cuts       {tally['found']} found, {tally['missed']} missed ({tally['doubtful']} of them doubtful), "
        f"{tally['false']} false: precision {rate['precision']:.3f}, recall {rate['recall']:.3f}, F1 {rate['f1']:.3f}"
    )
    print(f"leaks      {tally['leaks']} of {tally['clips']} clips hold a cut or a frame of a transition")
    print(
        f"good lost  {good['rejected']} of {good['clips']} pieces {_interval(good['interval'])}, "
        f"{good['rejected_shots']:.1f} of {good['shots']} files {_interval(good['shots_interval'])}: "
        + (", ".join(f"{filter} {count}" for filter, count in good["filters"].items()) or "none")
    )
    of_fault = {fault: bad for fault, bad in report["bad"].items() if fault != "small"}
    kept, pieces = (sum(bad[key] for bad in of_fault.values()) for key in ("kept", "pieces"))
    print(f"bad kept   {kept} of {pieces} pieces {_interval(wilson(kept, pieces))}, small pictures apart")
    for fault, bad in report["bad"].items():
        print(f"  {fault:12} {bad['kept']:3} of {bad['pieces']:3} {_interval(bad['interval'])}")
    for row in report["pieces"]:
        where = f"{row['shot']} {row['start']}-{row['end']}"
        if row["verdict"] == "keep" and row["reasons"]:
            print(f"  lost {where}: {', '.join(row['reasons'])}")
        elif row["verdict"] == "drop" and row["kept"] >= ENOUGH and row["fault"] != "small":
            print(f"  kept {where}: {row['fault']}")
    for file, log in report["errors"].items():
        print(f"  {file}: {'; '.join(log)}")


def missing(files: Iterable[File]) -> None:
    """Where what is not there can be had, a line a package."""
    packages: dict[tuple[str, str, str], list[str]] = {}
    for file in files:
        packages.setdefault((file.registry, file.package, file.version), []).append(file.path)
    for about, paths in sorted(packages.items()):
        print(f"  not here: {' '.join(about)}: {', '.join(paths)}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER")
    parser.add_argument("--set", choices=("A", "B"), help="one set alone")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    from wanprep.scan import VIDEO

    started = time.perf_counter()
    files = [file for file in table() if options.set in (None, file.set)]
    here: dict[str, Path] = {}
    for folder in options.folders:
        here |= matched(files, folder, VIDEO)
    reports = {}
    for name in sorted({file.set for file in files}):
        these = [file for file in files if file.set == name and file.sha256 in here]
        if these:
            reports[name] = judged(these, looked([here[file.sha256] for file in these], options.jobs))
            show(name, reports[name])
    missing(file for file in files if file.sha256 not in here)
    if options.json:
        options.json.write_text(json.dumps(reports, indent=1))
    print(f"\n{time.perf_counter() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
