"""`make demo`: the whole path on a movie made here, with random weights, checked against what is known of the movie.

Makes the movies, prepares them, compares every decision with the truth, trains both experts, samples one video with
the LoRAs at strength 0 and 1, and says where everything is. Exit code 1 when a decision is not as expected. In a folder
of an earlier demo, of whatever version, what still holds is not done again; a run that cannot go on is moved aside.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path

import click

from wanprep.demo import truth as truths

PIPELINE = "pipelines/demo.toml"
TRAINING = "pipelines/train-tiny.toml"
PROMPT = "wanprep demo, a landscape"
REFUSED = 2  # exit code of a command that needs another setting


@click.command()
@click.option(
    "--folder", type=click.Path(path_type=Path), default=Path("demo"), show_default=True, help="Where to work."
)
@click.option("--steps", default=60, show_default=True, help="Training steps of each expert.")
def main(folder: Path, steps: int) -> None:
    """Try the whole path without input and without weights."""
    if missing := [name for name in (PIPELINE, TRAINING) if not Path(name).is_file()]:
        raise click.ClickException(f"there is no {missing[0]} here; run the demo in the folder of the repository")
    start = time.perf_counter()
    movies, dataset, runs = folder / "movies", folder / "dataset", folder / "runs"
    truth = _make_movies(movies)
    _call("wanprep.cli", "run", str(movies), "--out", str(dataset), "--pipeline", PIPELINE)
    right = _compare(truth, dataset)
    _call("wanprep.cli", "stats", "--out", str(dataset))
    _train(dataset, runs, steps)
    videos = [_sample(runs / "demo", strength, folder / f"sample-strength-{strength}.mp4") for strength in (0, 1)]
    _say_where(folder, dataset, runs / "demo", videos, time.perf_counter() - start)
    sys.exit(0 if right else 1)


def _make_movies(movies: Path) -> truths.Truth:
    from wanprep.demo.movie import TRUTH, make_demo

    file = movies / TRUTH
    if file.exists():  # written last, so the movies are whole
        with contextlib.suppress(KeyError, TypeError, ValueError):  # else it is of another version
            return truths.Truth.from_json(file.read_text())
    click.echo(f"making the movies in {movies}", err=True)
    return make_demo(movies)


def _call(module: str, *arguments: str) -> None:
    """Run one of our own commands as a user would; stop with its exit code when it fails."""
    code = _code(module, *arguments)
    if code:
        sys.exit(code)


def _code(module: str, *arguments: str) -> int:
    name = module.partition(".")[0]
    click.echo(f"\n$ {name} {' '.join(arguments)}", err=True)
    return subprocess.run([sys.executable, "-m", module, *arguments], check=False).returncode


def _train(dataset: Path, runs: Path, steps: int) -> None:
    """Train both experts; anew where a run is there that cannot go on: of another version, or of other samples."""
    settings = [f"run.out={json.dumps(str(runs))}", "run.name=demo", f"high.steps={steps}", f"low.steps={steps}"]
    options = [part for setting in settings for part in ("--set", setting)]
    command = ("wantrain.cli", "run", TRAINING, "--dataset", str(dataset), *options)
    begun = (runs / "demo").exists()
    code = _code(*command)
    if code == REFUSED and begun:
        click.echo(f"\nThe run in {runs / 'demo'} cannot go on: it is moved aside, and another one begins.", err=True)
        code = _code(*command, "--fresh")
    if code:
        sys.exit(code)


def _compare(truth: truths.Truth, dataset: Path) -> bool:
    from wanprep.dataset import Dataset
    from wanprep.tables import console

    lines = truths.check(truth, Dataset.open(dataset).manifest.read("clips").to_dicts())
    console().print(truths.render(lines))
    return all(line.ok for line in lines)


def _sample(run: Path, strength: int, out: Path) -> Path:
    size = ("--size", "192x112", "--frames", "17", "--steps", "8", "--guidance", "1")
    chosen = ("--run", str(run), "--strength", str(strength), "--out", str(out), "--force")  # over an earlier demo's
    _call("wantrain.cli", "sample", *chosen, *size, PROMPT)
    return out


def _say_where(folder: Path, dataset: Path, run: Path, videos: list[Path], seconds: float) -> None:
    loras = sorted(run.glob("*.safetensors"))
    click.echo(f"\nDone in {seconds:.0f} s. Random weights: the videos show noise, on purpose.")
    for what, paths in (
        ("movies", [folder / "movies"]), ("dataset", [dataset]), ("flat manifest", [dataset / "manifest.parquet"]),
        ("LoRAs", loras), ("training log", [run / "metrics.jsonl"]), ("videos", videos),
    ):  # fmt: skip
        click.echo(f"{what:14} " + "  ".join(str(path) for path in paths))


if __name__ == "__main__":
    main()
