"""How fast: analysis against a bare decode, all CPU stages against the usual script, decisions on 10,000 clips.

    python -m tests.benchmarks.bench_speed [--media ../shared/media/dev] [--threads 4] [--repeats 5] [--json out.json]

Runs are interleaved and medians reported, as CPU seconds (user and system, children included) and as wall time: on a
shared machine only the ratio of neighbouring runs means anything. docs/performance.md says what to expect.
"""

from __future__ import annotations

import argparse
import compileall
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # started as a module or as a file
import made_up
import script

from wanprep.media.write import ffmpeg_binary

HERE = Path(__file__).resolve().parents[2]
ANALYSED = {"1080p": "bbb_1080p_60fps.mp4", "480p": "bbb_480p_24fps.mp4", "720p": "coffee_720p_2997.mp4"}
FILM = ("bbb_480p_24fps.mp4", "bbb_trailer_360p_25fps.webm", "coffee_720p_2997.mp4", "cups_720p_2997.mp4")
SIZE = (832, 480)
ONE_VIEW = 'views=[{name="one",resolution=[832,480],frames=[17]}]'  # one size, as the script has it


def cpu_s() -> float:
    """User and system time of this process and of all its descendants, those that still live included, in seconds."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    ended = sum(entry.ru_utime + entry.ru_stime for entry in used)
    return ended + sum(map(_cpu_of, _living(os.getpid())))


def _living(pid: int) -> list[int]:
    """Descendants, as Linux knows them; none elsewhere."""
    found = [int(child) for file in Path(f"/proc/{pid}/task").glob("*/children") for child in file.read_text().split()]
    return found + [below for child in found for below in _living(child)]


def _cpu_of(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:  # ended meanwhile
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")  # utime, stime and those of its ended children


def clocked(work: Callable[[], Any]) -> dict[str, float]:
    cpu, wall = cpu_s(), time.perf_counter()
    work()
    return {"cpu": cpu_s() - cpu, "wall": time.perf_counter() - wall}


def compare(ours: Callable[[], Any], theirs: Callable[[], Any], repeats: int) -> dict[str, float]:
    """Medians of alternating runs, and of the ratios ours / theirs of neighbouring ones; one unmeasured run each (in
    which processes start that are kept)."""
    ours(), theirs()
    runs = [(clocked(ours), clocked(theirs)) for _ in range(repeats)]
    found: dict[str, float] = {}
    for clock in ("cpu", "wall"):
        found[f"ours_{clock}"] = statistics.median(a[clock] for a, _ in runs)
        found[f"theirs_{clock}"] = statistics.median(b[clock] for _, b in runs)
        found[f"ratio_{clock}"] = statistics.median(a[clock] / b[clock] for a, b in runs)
    return found


def bench_analysis(files: dict[str, Path], threads: int, repeats: int) -> dict[str, Any]:
    """Analysis pass / `ffmpeg -i X -f null -`, per file, with `threads` each (`media.decoder` has AHEAD more)."""
    from wanprep.stages.split import analyse_source

    report = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, path in files.items():
            null = [ffmpeg_binary(), "-v", "error", "-threads", str(threads), "-i", str(path), "-map", "0:v:0"]
            rows: list[dict[str, Any]] = []
            found = compare(
                lambda: rows.append(analyse_source(path, Path(folder) / "signals", threads=threads)),  # noqa: B023
                lambda: subprocess.run([*null, "-f", "null", "-"], check=True),  # noqa: B023
                repeats,
            )
            frames = rows[0]["n_frames"]
            report[name] = found | {"frames": frames, "ours_ms_a_frame": 1000 * found["ours_cpu"] / frames}
    return report


def bench_script(movie: Path, repeats: int) -> dict[str, Any]:
    """The usual script / our stages split to bucket, from nothing, on one movie; both with all cores."""
    compileall.compile_dir(HERE / "wanprep", quiet=1)  # as an installation does, and as the script's libraries are
    found: list[dict[str, Any]] = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            ours = _steps(lambda told: _our_stages(movie, Path(folder) / "ours", told))
            single = _steps(lambda told: _our_stages(movie, Path(folder) / "single", told, "--set", ONE_VIEW))
            theirs = _steps(lambda told: script.run(movie, Path(folder) / "theirs", SIZE, told))
            files = sorted((Path(folder) / "ours" / "clips").rglob("*.mp4"))
            if not files:
                raise RuntimeError("our stages wrote no file: there is nothing to compare")
            found.append({"ours": ours, "single": single, "theirs": theirs, "files": len(files)})
    faster = {}
    for clock, who in itertools.product(("cpu", "wall"), ("ours", "single")):
        totals = [[sum(step[clock] for step in run[name].values()) for name in ("theirs", who)] for run in found]
        name = f"faster_{clock}" + ("_one_size" if who == "single" else "")
        faster[name] = statistics.median(theirs / ours for theirs, ours in totals)
    return found[-1] | faster


def _steps(run: Callable[[Callable[[str], None]], Any]) -> dict[str, dict[str, float]]:
    """Time of each step of `run`, which names a step when it is over."""
    steps: dict[str, dict[str, float]] = {}
    last = [cpu_s(), time.perf_counter()]

    def told(name: str) -> None:
        now = [cpu_s(), time.perf_counter()]
        steps[name] = {"cpu": now[0] - last[0], "wall": now[1] - last[1]}
        last[:] = now

    run(told)
    return steps


def _our_stages(movie: Path, out: Path, told: Callable[[str], None], *settings: str) -> None:
    """As a user runs them, start of the program included. Every view is written, by default those of the pipeline."""
    command = [sys.executable, "-m", "wanprep.cli"]
    environment = os.environ | {"PYTHONPATH": str(HERE)}
    begin = [*command, "run", str(movie), "--out", str(out), "--quiet", "--limit", "0", *settings]
    subprocess.run(begin, check=True, env=environment, stdout=subprocess.DEVNULL)
    for stage in ("split", "fps", "filter", "bucket"):
        subprocess.run([*command, stage, "--out", str(out), "--quiet"], check=True, env=environment)
        told(stage)


def bench_decide(clips: int, repeats: int) -> dict[str, Any]:
    """CPU seconds to decide anew about `clips` measured clips after a threshold was changed, by clips a source: reading
    the tables of a dataset, deciding, and writing what changed; and the whole command, start of the program included.
    The last one is finished: every clip has a caption, every sample its files.
    """
    found = {f"{each} a source": _redecided(clips, each, repeats) for each in (3, 10, 100)}
    return found | {"10 a source, captioned and cached": _redecided(clips, 10, repeats, finished=True)}


def _redecided(clips: int, each: int, repeats: int, *, finished: bool = False) -> dict[str, Any]:
    from wanprep.bulk import no_collection
    from wanprep.dataset import Dataset
    from wanprep.decide import decide

    with tempfile.TemporaryDirectory() as folder:
        # Of the tiny family, whose weights are on every machine: without any nothing is cached.
        first = Dataset.create(Path(folder), assignments=made_up.TINY if finished else ())
        made_up.store(first, made_up.measured(first.pipeline, clips, a_source=each))
        first.decide()
        if finished:
            made_up.finish(first)
        times, kept, samples = [], [], 0
        for step in range(repeats):
            again = Dataset.open(Path(folder), assignments=[f"filter.blur.threshold={0.10 + 0.02 * step:g}"])
            clock = [time.process_time()]
            with no_collection():
                measured = again.measured()
                clock.append(time.process_time())
                decided = decide(measured, again.pipeline, again.encoder())
                clock.append(time.process_time())
                for name in ("sources", "clips", "samples"):
                    again.manifest.replace(name, getattr(decided, name))
            clock.append(time.process_time())
            times.append([b - a for a, b in itertools.pairwise(clock)])
            kept.append(int((decided.clips["state"] == "keep").sum()))
            samples = len(decided.samples)
        whole = [_filtered(Path(folder), 0.11 + 0.02 * step) for step in range(repeats)]
    read, made, written = (statistics.median(column) for column in zip(*times))
    steps = {"read_s": read, "decide_s": made, "write_s": written}
    steps |= {f"command_{name}_s": statistics.median(run[name] for run in whole) for name in ("cpu", "wall")}
    return {"clips": clips, "samples": samples, **steps, "kept": kept}


def _filtered(out: Path, threshold: float) -> dict[str, float]:
    """CPU and wall seconds of `wanprep filter` with another threshold."""
    command = [sys.executable, "-m", "wanprep.cli", "filter", "--quiet", "--out", str(out)]
    command += ["--set", f"filter.blur.threshold={threshold:g}"]
    installed = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment = installed | {"PYTHONPATH": str(HERE)}
    return clocked(lambda: subprocess.run(command, check=True, env=environment))


def film(media: Path, folder: Path) -> Path:
    """A movie to work on: dev footage one after the other at 1280x720, 24 fps; the demo's where there is none."""
    target = folder / "film.mp4"
    sources = [media / name for name in FILM if (media / name).is_file()]
    if not sources:
        from wanprep.demo.movie import make_demo

        make_demo(folder)
        return max(folder.rglob("*.mp4"), key=lambda path: path.stat().st_size)
    same = "scale=1280:720:force_original_aspect_ratio=increase,crop=1280:720,fps=24,setsar=1,format=yuv420p"
    graph = ";".join(f"[{k}:v:0]{same}[v{k}]" for k in range(len(sources)))
    graph += ";" + "".join(f"[v{k}]" for k in range(len(sources))) + f"concat=n={len(sources)}[out]"
    inputs = itertools.chain.from_iterable(("-i", str(path)) for path in sources)
    coder = ["-map", "[out]", "-c:v", "libx264", "-preset", "fast", "-crf", "18"]
    subprocess.run([ffmpeg_binary(), "-v", "error", *inputs, "-filter_complex", graph, *coder, str(target)], check=True)
    return target


def table(report: dict[str, Any]) -> Iterator[str]:
    for name, row in report.get("analysis", {}).items():
        yield (
            f"analysis / bare decode {name:6s} CPU {row['ratio_cpu']:.2f}  wall {row['ratio_wall']:.2f}"
            f"   ({row['ours_cpu']:.2f} / {row['theirs_cpu']:.2f} CPU s, {row['ours_ms_a_frame']:.2f} ms a frame)"
        )
    if "script" in report:
        row = report["script"]
        for step in row["ours"]:
            ours, theirs = (row[who][step] for who in ("ours", "theirs"))
            yield f"  {step:7s} ours CPU {ours['cpu']:6.1f} s, wall {ours['wall']:6.1f} s" + (
                f"   script CPU {theirs['cpu']:6.1f} s, wall {theirs['wall']:6.1f} s"
            )
        faster = f"CPU {row['faster_cpu']:.2f}  wall {row['faster_wall']:.2f}"
        yield f"usual script / ours  {faster}   (ours wrote {row['files']} files)"
        yield f"the same with one size  CPU {row['faster_cpu_one_size']:.2f}  wall {row['faster_wall_one_size']:.2f}"
    if "decide" in report:
        for each, row in report["decide"].items():
            times = ", ".join(f"{step} {row[step + '_s']:.2f}" for step in ("read", "decide", "write"))
            times += f", command {row['command_cpu_s']:.2f} and wall {row['command_wall_s']:.2f}"
            yield f"deciding {row['clips']} clips again, {each}: CPU s {times} ({row['samples']} samples)"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--media", type=Path, default=HERE.parent / "shared/media/dev")
    parser.add_argument("--movie", type=Path, help="for the comparison with the script")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--clips", type=int, default=10_000)
    parser.add_argument("--only", choices=["analysis", "script", "decide"], action="append")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(argv)
    wanted, report = options.only or ["analysis", "script", "decide"], {}
    with tempfile.TemporaryDirectory() as folder:
        movie = options.movie
        files = {name: options.media / file for name, file in ANALYSED.items() if (options.media / file).is_file()}
        if "script" in wanted or not files:
            movie = movie or film(options.media, Path(folder))
        if "analysis" in wanted:
            report["analysis"] = bench_analysis(files or {"made": movie}, options.threads, options.repeats)
        if "script" in wanted:
            report["script"] = bench_script(movie, max(1, options.repeats // 2))
        if "decide" in wanted:
            report["decide"] = bench_decide(options.clips, options.repeats)
    print(*table(report), sep="\n")
    if options.json:
        options.json.write_text(json.dumps(report, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
