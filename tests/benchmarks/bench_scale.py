"""What grows, and with what: memory with the length of a movie, cost with the number of files, tables with sources.

    python -m tests.benchmarks.bench_scale [--only memory|shorts|tables] [--minutes 10 120] [--clips 1000] [--json F]

`memory`: peak of all processes of each stage, on a movie of 320x180 and on one as long again and again. `shorts`:
three-second files of 50 minutes together, against the same shots in one film and in one for every core. `tables`: what
commands that read a dataset of 30,000 sources take. Movies are joined from pieces without coding, so that making them
costs nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # started as a module or as a file
import made_up

from wanprep.media.write import ffmpeg_binary

HERE = Path(__file__).resolve().parents[2]
MEDIA = HERE.parent / "shared/media/dev"
PIECES = ("bbb_480p_24fps.mp4", "bbb_trailer_360p_25fps.webm", "coffee_720p_2997.mp4", "gopro_hero7_walk_480p_2997.mp4")
SHORT_S = 3
# Of all processes together. peak: their memory, pages that several of them use counted once; anon: what of it is no
# page of a file, which the system could give to others at any time; rss: every page as often as it is used.
KERNEL = {"Pss:": "peak", "Pss_Anon:": "anon", "Rss:": "rss"}
MEMORY = tuple(KERNEL.values())
SMALL_VIEW = 'views=[{name="small",resolution=[256,144],frames=[17]}]'  # nothing is enlarged


def run(*arguments: str, out: Path) -> dict[str, float]:
    """One command as a user gives it: CPU and wall seconds, and the highest memory of all its processes together."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    command = [sys.executable, "-m", "wanprep.cli", *arguments, "--out", str(out)]
    installed = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    quiet = {"stdout": subprocess.DEVNULL, "env": installed | {"PYTHONPATH": str(HERE)}}
    process = subprocess.Popen(command, **quiet)  # type: ignore[call-overload]
    peak = dict.fromkeys(MEMORY, 0.0)

    def watch() -> None:
        while process.poll() is None:
            now = [_megabytes(pid) for pid in _family(process.pid)]
            for name in MEMORY:
                peak[name] = max(peak[name], sum(one[name] for one in now))
            time.sleep(0.1)

    watcher = threading.Thread(target=watch)
    watcher.start()
    process.wait()
    watcher.join()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu": cpu, "wall": time.perf_counter() - began} | {f"{name}_mb": peak[name] for name in MEMORY}


def _family(pid: int) -> list[int]:
    """A process and all below it."""
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        found.append(one)
        for tasks in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                todo += [int(child) for child in tasks.read_text().split()]
            except OSError:  # it has ended
                continue
    return found


def _megabytes(pid: int) -> dict[str, float]:
    """What a process uses, by the names of MEMORY; zero of one that has ended."""
    found = dict.fromkeys(MEMORY, 0.0)
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            name, *values = line.split()
            if name in KERNEL:
                found[KERNEL[name]] = int(values[0]) / 1024
    return found


def movie(folder: Path, seconds: float, name: str) -> Path:
    """Dev footage (a test pattern where there is none) at 320x180, joined until it is that long."""
    target = folder / name
    pieces = [MEDIA / piece for piece in PIECES if (MEDIA / piece).is_file()]
    inputs = [["-i", str(piece)] for piece in pieces] or [["-f", "lavfi", "-i", "testsrc2=s=320x180:r=24:d=30"]]
    small = "scale=320:180,fps=24,setsar=1,format=yuv420p"
    coder = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "28", "-g", "24", "-an"]
    listed = folder / "pieces.txt"
    if not listed.exists():
        for number, source in enumerate(inputs):
            _ffmpeg(*source, "-map", "0:v:0", "-vf", small, *coder, str(folder / f"piece{number}.mp4"))
        names = [f"file piece{number}.mp4\n" for number in range(len(inputs))]
        listed.write_text("".join(names * 300))
    _ffmpeg("-f", "concat", "-safe", "0", "-i", str(listed), "-t", str(seconds), "-c", "copy", str(target))
    return target


def _ffmpeg(*arguments: str) -> None:
    subprocess.run([ffmpeg_binary(), "-v", "error", "-nostdin", "-y", *arguments], check=True)


def staged(source: Path, out: Path, stages: Sequence[str], options: Sequence[str] = ()) -> dict[str, Any]:
    run("run", str(source), "--quiet", "--limit", "0", "--set", SMALL_VIEW, out=out)
    return {stage: run(stage, "--quiet", *(options if stage == "bucket" else ()), out=out) for stage in stages}


def bench_memory(folder: Path, minutes: Sequence[float], render: int) -> dict[str, Any]:
    """Per stage, of movies of these lengths; `render`: how many clips of each are written."""
    report = {}
    for length in minutes:
        source = movie(folder, 60 * length, f"{length:g}.mp4")
        stages = ("split", "fps", "filter", "bucket")
        report[f"{length:g} minutes"] = staged(source, folder / f"of {length:g}", stages, ["--limit", str(render)])
    return report


def bench_shorts(folder: Path, clips: int) -> dict[str, Any]:
    """Files of SHORT_S seconds each, and the same joined, in another order, so that what was one file is one shot: in
    one film, and in one for every core, which then are as busy as with the files."""
    cut = folder / "cut"
    cut.mkdir()
    segments = ["-f", "segment", "-segment_time", str(SHORT_S), "-reset_timestamps", "1", "-c", "copy"]
    _ffmpeg("-i", str(movie(folder, clips * SHORT_S, "whole.mp4")), *segments, str(cut / "%05d.mp4"))
    files = sorted(cut.iterdir())
    for number, path in enumerate(files):  # the pieces repeat: every file its own bytes nevertheless
        with path.open("ab") as file:
            file.write(struct.pack(">I4sQ", 16, b"free", number))
    random.Random(0).shuffle(files)
    stages = ("split", "fps", "filter")
    report: dict[str, Any] = {"files": len(files)}
    cores = min(os.cpu_count() or 1, len(files))
    for name, parts in (("one film", 1), ("a film a core", cores), ("short files", 0)):
        source = _joined(folder / f"{name}, source", files, parts) if parts else cut
        report[name] = staged(source, folder / name, stages)
        report[name]["clips"] = _clips(folder / name)
    cpu = {name: sum(report[name][stage]["cpu"] for stage in stages) for name in report if name != "files"}
    short = cpu.pop("short files")
    return report | {f"ratio_cpu to {name}": short / spent for name, spent in cpu.items()}


def _joined(folder: Path, files: Sequence[Path], parts: int) -> Path:
    """A folder of films made of the files, in their order, without coding."""
    folder.mkdir()
    for number in range(parts):
        listed = folder / f"{number}.txt"
        listed.write_text("".join(f"file '{path}'\n" for path in files[number::parts]))
        _ffmpeg("-f", "concat", "-safe", "0", "-i", str(listed), "-c", "copy", str(folder / f"{number}.mp4"))
    return folder


def _clips(out: Path) -> int:
    from wanprep.dataset import Dataset

    return len(Dataset.open(out).manifest.read("clips"))


def bench_tables(folder: Path, sources: int) -> dict[str, Any]:
    """Commands that read a dataset of so many sources of one clip each: in folders of ten, and all in one."""
    return {f"{each} a folder": _commands(folder / str(each), sources, each) for each in (10, sources)}


def _commands(folder: Path, sources: int, a_group: int) -> dict[str, Any]:
    from wanprep.dataset import Dataset

    folder.mkdir()
    dataset = Dataset.create(folder / "dataset")
    dataset.roots = {"r": str(folder)}
    made_up.store(dataset, made_up.measured(dataset.pipeline, sources, a_source=1, a_group=a_group))
    commands = {
        "filter, first": ("filter", "--quiet"),
        "filter again": ("filter", "--quiet", "--set", "filter.blur.threshold=0.14"),
        "filter --preview": ("filter", "--preview", "--set", "filter.blur.threshold=0.13"),
        "status": ("status",),
        "stats": ("stats",),
        "clips --state keep": ("clips", "--state", "keep"),
    }
    return {name: run(*arguments, out=dataset.root) for name, arguments in commands.items()}


def lines(report: dict[str, Any], indent: str = "") -> Iterator[str]:
    for name, row in report.items():
        if not isinstance(row, dict):
            yield f"{indent}{name}: {row:.2f}" if isinstance(row, float) else f"{indent}{name}: {row}"
        elif "peak_mb" in row:
            times = f"CPU {row['cpu']:7.1f} s  wall {row['wall']:7.1f} s"
            memory = f"peak {row['peak_mb']:6.0f} MB (anonymous {row['anon_mb']:.0f}, RSS {row['rss_mb']:.0f})"
            yield f"{indent}{name:20s} {times}  {memory}"
        else:
            yield f"{indent}{name}"
            yield from lines(row, indent + "  ")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["memory", "shorts", "tables"], action="append")
    parser.add_argument("--minutes", type=float, nargs="+", default=[10, 120])
    parser.add_argument("--render", type=int, default=40, help="clips that `memory` writes of each movie")
    parser.add_argument("--clips", type=int, default=1000, help="files of `shorts`")
    parser.add_argument("--sources", type=int, default=30_000, help="of `tables`")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(argv)
    wanted = options.only or ["memory", "shorts", "tables"]
    report = {}
    for name in wanted:
        folder = Path(tempfile.mkdtemp(prefix="wanprep-scale-"))
        try:
            if name == "memory":
                report[name] = bench_memory(folder, options.minutes, options.render)
            elif name == "shorts":
                report[name] = bench_shorts(folder, options.clips)
            else:
                report[name] = bench_tables(folder, options.sources)
        finally:
            shutil.rmtree(folder)
        print(*lines({name: report[name]}), sep="\n", flush=True)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
