"""How many good clips are lost? Footage and made-up scenes of many kinds and codings, none of them faulty.

    python -m tests.benchmarks good [--seed 1] [--codings 2] [--jobs 2] [--keep FOLDER] [--json out.json] [FOLDER ...]

Every clip goes the way of `wanprep score` at default settings. Each shot is coded several times; the k-th codings of
all shots are judged together, as one folder of a user's. A near-duplicate of another clip does not count as rejected,
nor what a file is divided into when most of it is kept. FOLDER: good clips or films of one's own, each folder a kind
and each clip of a film a shot; what is no whole clip (transitions, black, too short) is left out there. Seed 0 (and
every even one) uses other footage and other scenes than seed 1: settings are chosen on one and reported on the other.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))  # its neighbours, also under `python -m`
from good_drawn import DRAWN
from good_files import CODINGS, films, footage, save
from good_scenes import ORDINARY, Stills

RATE, SECONDS, SLOW = 24, 2.5, {"faded": 3.5}
SHOTS = {
    "photo": 12,
    "texture, drawn": 8,
    "texture, filmed": 6,
    "pixel art": 6,
    "enlarged": 6,
    "faded": 6,
}  # others: FEW
FEW = 5
SIZES = ((640, 360), (640, 360), (854, 480), (640, 360), (1280, 720))  # in turn
LARGE, COSTLY = (1920, 1080), ("water", "render", "cartoon")  # one photo is large; what is costly to make stays small
VIDEOS = {".mp4", ".mkv", ".webm", ".mov", ".avi", ".m4v", ".gif"}


@dataclass(frozen=True, kw_only=True)
class Made:
    """A file of one shot. fold: which of the folders that are judged together it is in."""

    path: Path
    kind: str
    shot: str
    coding: str
    fold: int


def painted(seed: int) -> tuple[list[list[np.ndarray]], list[np.ndarray]]:
    """Painted landscapes with parallax and walkers, RGB, and stills of other ones."""
    from wanprep.demo import movie
    from wanprep.demo.places import PLACES

    rng, found, stills = np.random.default_rng([seed, 77]), [], []
    palettes = [getattr(movie, name) for name in ("DAY", "DUSK", "AUTUMN", "STONE", "WOOD", "NIGHT", "SAND", "SHORE")]
    for place in rng.permutation(list(PLACES))[:FEW]:
        about = {"place": str(place), "palette": palettes[int(rng.integers(len(palettes)))]}
        pan, zoom = float(rng.uniform(15, 60) * rng.choice([-1, 0, 1])), float(rng.choice([0, 0, 0.02]))
        shot = movie.Shot(label="", frames=round(SECONDS * RATE), pan=pan, zoom=zoom, **about)
        found.append(list(movie.shoot(shot, 0, int(rng.integers(1 << 30)))))
        picture = np.zeros(3)
        for layer in PLACES[about["place"]](rng, palettes[int(rng.integers(len(palettes)))]).layers:
            cover = layer.canvas[..., 3:] / 255
            picture = picture * (1 - cover) + layer.canvas[..., :3]
        stills.append(np.clip(picture, 0, 255).astype(np.uint8)[:, 400:-400])
    return found, stills


def coded(
    folder: Path, codings: int, kind: str, shot: str, number: int, frames: Sequence[np.ndarray], rate: Any
) -> list[Made]:
    """The frames in so many codings; `number` of the shot says which."""
    made, names = [], list(CODINGS)
    for fold in range(codings):
        name = names[(number * 5 + fold * 7) % len(names)]
        path = folder / str(fold) / f"{kind}-{shot}-{names.index(name)}.mkv".replace(", ", "-").replace(" ", "-")
        path.parent.mkdir(exist_ok=True)
        save(path, frames, rate, CODINGS[name])
        made.append(Made(path=path, kind=kind, shot=f"{kind} {shot}", coding=name, fold=fold))
    return made


def film_clips(folder: Path, codings: int, job: tuple[int, tuple[Path, dict]]) -> tuple[list[Made], list[np.ndarray]]:
    number, (path, cuts) = job
    rate, found, stills = footage(path, cuts, 480 if number % 3 == 2 else 360)
    made = []
    for k, frames in enumerate(found):
        made += coded(
            folder, codings, "footage", f"{path.name.split('_')[0]}{number}-{k}", 3 * number + k, frames, rate
        )
    return made, stills


def scene_clips(folder: Path, codings: int, seed: int, stills: Stills, job: tuple[int, str, int]) -> list[Made]:
    number, kind, k = job
    rng = np.random.default_rng([seed, list({**ORDINARY, **DRAWN}).index(kind), k])
    size = SIZES[number % len(SIZES)] if kind not in COSTLY else SIZES[0]
    size = LARGE if (kind, k) == ("photo", 0) else size
    sharp = [still for still in stills if len(still) >= 0.98 * size[1]] or sorted(stills, key=len)[-FEW:]
    scene = {**ORDINARY, **DRAWN}[kind](rng, sharp)
    frames = [scene(t / RATE, *size) for t in range(round(SLOW.get(kind, SECONDS) * RATE))]
    return coded(folder, codings, kind, f"{k}-{size[1]}", number, frames, RATE)


def make(folder: Path, media: Path, seed: int, codings: int, jobs: int) -> list[Made]:
    """All clips of a seed, as files."""
    landscapes, stills = painted(seed)
    with Pool(jobs) as pool:
        filmed = list(enumerate(films(media, "held" if seed % 2 else "tune")))
        found = pool.map(partial(film_clips, folder, codings), filmed, chunksize=1)
        stills += [still for _, these in found for still in these]
        wanted = [(kind, k) for kind in {**ORDINARY, **DRAWN} for k in range(SHOTS.get(kind, FEW))]
        numbered = [(number, *each) for number, each in enumerate(wanted)]
        scenes = pool.map(partial(scene_clips, folder, codings, seed, stills), numbered, chunksize=1)
    made = [clip for these, _ in found for clip in these] + [clip for these in scenes for clip in these]
    for k, frames in enumerate(landscapes):
        made += coded(folder, codings, "painted", str(k), k, frames, RATE)
    return made


def scored(folds: Iterable[Sequence[Path]], jobs: int) -> dict[Path, dict[str, Any]]:
    """What `wanprep score` says of the files, each fold judged by itself."""
    from wanprep import inspect
    from wanprep.pipeline import resolve

    pipeline, found = resolve(file=None, assignments=()), {}
    for files in folds:
        entries = inspect.look(files, pipeline.split, scores=True, workers=jobs, say=lambda line: None)
        inspect.judge(entries, pipeline.filter, pipeline.views)
        found |= dict(zip(files, entries))
    return found


def of_file(entry: dict[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """(why a file of one shot is lost, [] when most of it is kept; its scores). A near-duplicate is not lost."""
    if entry["state"] != "ok":
        return [entry["reason"]], {}
    clips = [clip | {"reasons": [r for r in clip["reasons"] if r != "duplicate"]} for clip in entry["clips"]]
    kept = sum(clip["end_frame"] - clip["start_frame"] for clip in clips if not clip["reasons"])
    reasons = [] if 2 * kept >= entry["frames"] else sorted({name for clip in clips for name in clip["reasons"]})
    longest = max(clips, key=lambda clip: clip["end_frame"] - clip["start_frame"])
    return reasons, {name: score["value"] for name, score in longest["scores"].items()}


def own_rows(folder: Path, jobs: int) -> list[dict[str, Any]]:
    """Clips of somebody's good files, every whole clip a shot."""
    from wanprep.stages.split import SPLIT_REASONS

    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEOS)
    rows = []
    for path, entry in scored([files], jobs).items():
        for clip in entry.get("clips", ()):
            reasons = [name for name in clip["reasons"] if name != "duplicate"]
            if len(entry["clips"]) == 1 or not set(reasons) & set(SPLIT_REASONS):
                values = {name: score["value"] for name, score in clip["scores"].items()}
                name = f"{path.relative_to(folder)} {clip['start_frame']}-{clip['end_frame']}"
                about = {"kind": folder.name, "ordinary": True, "shot": name, "clip": name, "coding": "as it is"}
                rows.append(about | {"reasons": reasons, "values": values})
    return rows


def wilson(k: float, n: int) -> tuple[float, float]:
    """95 % interval of a share k / n."""
    z = 1.96
    middle, half = (k + z * z / 2) / (n + z * z), z * math.sqrt(k * (n - k) / n + z * z / 4) / (n + z * z)
    return max(0.0, middle - half), min(1.0, middle + half)


def counted(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Clips and shots, how many are lost (a shot by the share of its clips), and by which filter."""
    shots: dict[str, list[bool]] = {}
    for row in rows:
        shots.setdefault(row["shot"], []).append(bool(row["reasons"]))
    lost, of_shots = sum(bool(row["reasons"]) for row in rows), sum(float(np.mean(of)) for of in shots.values())
    filters = dict(Counter(name for row in rows for name in row["reasons"]).most_common())
    return {
        "clips": len(rows), "rejected": lost, "interval": wilson(lost, len(rows)), "shots": len(shots),
        "rejected_shots": of_shots, "shots_interval": wilson(of_shots, len(shots)), "filters": filters,
    }  # fmt: skip


def show(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Print the table; what was printed."""
    report: dict[str, Any] = {}

    def line(name: str, these: Callable[[dict[str, Any]], bool]) -> None:
        report[name] = it = counted([row for row in rows if these(row)])
        clips, shots = (f"[{a:4.0%},{b:4.0%}]" for a, b in (it["interval"], it["shots_interval"]))
        why = ", ".join(f"{filter} {count}" for filter, count in it["filters"].items())
        of_clips, of_shots = f"{it['clips']:5} {it['rejected']:4}", f"{it['shots']:5} {it['rejected_shots']:5.1f}"
        print(f"{name:26} {of_clips} {clips} {of_shots} {shots}  {why}")

    print(f"{'kind':26} clips lost  95 %       shots  lost  95 %        by")
    for ordinary, title in ((True, "ordinary"), (False, "drawn")):
        for kind in dict.fromkeys(row["kind"] for row in rows if row["ordinary"] == ordinary):
            line(kind, lambda row, kind=kind: row["kind"] == kind)
        if any(row["ordinary"] == ordinary for row in rows):
            line(f"ALL {title}", lambda row, ordinary=ordinary: row["ordinary"] == ordinary)
    for coding in dict.fromkeys(row["coding"] for row in rows):
        line(coding, lambda row, coding=coding: row["coding"] == coding and row["ordinary"])
    print()
    for row in rows:
        if row["reasons"]:
            told = ", ".join(f"{name} {_short(row['values'].get(name))}" for name in row["reasons"])
            print(f"  {row['clip']}: {told}")
    return report


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", help="good clips or films of one's own")
    parser.add_argument("--media", type=Path, default=Path(__file__).parents[3] / "shared" / "media" / "dev")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--codings", type=int, default=2, help="of each shot; there are 12")
    parser.add_argument("--own", action="store_true", help="the folders alone")
    parser.add_argument("--keep", type=Path, help="a folder to leave the clips in; made anew when it is empty")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", type=Path, help="every clip, one by one")
    options = parser.parse_args()
    started, rows = time.perf_counter(), []
    if not options.own:
        with tempfile.TemporaryDirectory() as folder:
            rows += made_rows(options.keep or Path(folder), options)
    for folder in options.folders:
        rows += own_rows(folder, options.jobs)
    report = show(rows)
    if options.json:
        options.json.write_text(json.dumps({"kinds": report, "clips": rows}, indent=1))
    print(f"\n{time.perf_counter() - started:.0f} s")


def made_rows(folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    folder.mkdir(parents=True, exist_ok=True)
    made = make(folder, options.media, options.seed, options.codings, options.jobs)
    folds = [[clip.path for clip in made if clip.fold == fold] for fold in range(options.codings)]
    entries = scored(folds, options.jobs)
    rows = []
    for clip in made:
        reasons, values = of_file(entries[clip.path])
        about = {"kind": clip.kind, "ordinary": clip.kind not in DRAWN, "shot": clip.shot, "clip": clip.path.stem}
        rows.append(about | {"coding": clip.coding, "fold": clip.fold, "reasons": reasons, "values": values})
    return rows


if __name__ == "__main__":
    main()
