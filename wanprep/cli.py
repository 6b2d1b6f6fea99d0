"""The command line. Parsing only: every command imports what it needs when it runs, so that help answers at once."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wanprep import __version__
from wanprep.stage import Missing, UsageError

if TYPE_CHECKING:
    from wanprep.dataset import Dataset

OUT = click.option(
    "-o", "--out", "out", type=click.Path(path_type=Path), default=Path("dataset"), show_default=True,
    envvar="WANPREP_OUT", help="Dataset folder.",
)  # fmt: skip
JSON = click.option("--json", "as_json", is_flag=True, help="Machine-readable output on stdout.")


def settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of every command that decides."""
    options = [
        OUT,
        click.option(
            "--pipeline", type=click.Path(path_type=Path), help="Pipeline file, instead of the dataset's own."
        ),
        click.option(
            "--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Override a setting; repeatable."
        ),
        click.option("-v", "--verbose", count=True, help="Tell of every item."),
        click.option("-q", "--quiet", is_flag=True, help="Errors only."),
        click.option("--log-file", type=click.Path(dir_okay=False), help="Also write all messages to this file."),
        JSON,
    ]
    for option in reversed(options):
        command = option(command)
    return command


def measuring(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of every command that measures."""
    options = [
        click.option("--workers", type=click.IntRange(min=1), help="Worker processes.  [default: one a core]"),
        click.option("--limit", type=click.IntRange(min=0), help="Measure at most so many items in each step."),
        click.option("--only", metavar="TEXT", help="Measure only items with TEXT in path or clip id."),
        click.option("-n", "--dry-run", is_flag=True, help="Say what would be done; write nothing."),
    ]
    for option in reversed(options):
        command = option(command)
    return settings(command)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
@click.version_option(__version__, prog_name="wanprep")
def cli() -> None:
    """Turn a folder of movies into a training set for Wan video models.

    \b
    wanprep run movies/ --out dataset     all six stages; run again to go on
    wanprep status                        what is done, rejected, failed, pending
    wanprep stats                         clips, buckets, samples, steps an epoch
    wanprep explain CLIP                  why a clip was kept or rejected

    Settings come from --set, then WANPREP_* variables (WANPREP_FAMILY=tiny,
    WANPREP_FILTER__BLUR=...), then the pipeline file, then the defaults.

    Exit codes: 0 all is done (rejected content is done), 1 some items failed,
    2 usage, 3 something is missing on this machine, 4 another run is at it,
    130 interrupted.
    """


@cli.command()
@click.argument("source", type=click.Path(path_type=Path))
@measuring
def run(source: Path, **options: Any) -> None:
    """Run all six stages on SOURCE, a folder of movies and pictures (or one file).

    \b
    wanprep run movies/
    wanprep run movies/ --out ghibli --pipeline pipelines/style-24gb-three-views.toml
    wanprep run movies/ --set family=wan2.1-t2v-14b --dry-run
    """
    _run(("split", "fps", "filter", "bucket", "caption", "cache"), source=source, **options)


def _stage_command(name: str, text: str) -> None:
    @cli.command(name, help=text)
    @measuring
    def command(**options: Any) -> None:
        _run((name,), **options)


_stage_command("split", "Find the shots of every source, in one analysis decode.")
_stage_command("fps", "Plan every clip's frames at the model's rate, from true timestamps.")


@cli.command("filter")
@click.option("--preview", is_flag=True, help="Show what each threshold would drop; measure and write nothing.")
@measuring
def filter_(preview: bool, **options: Any) -> None:
    """Score the clips' quality and decide. A new threshold decodes nothing.

    \b
    wanprep filter --preview --set filter.blur.threshold=0.14
    wanprep filter --set filter.shake.enabled=false
    """
    if not preview:
        _run(("filter",), **options)
        return
    from wanprep.dataset import Dataset
    from wanprep.weigh import show_preview

    dataset = Dataset.open(options["out"], file=options["pipeline"], assignments=options["assignments"])
    show_preview(dataset, options["as_json"])


_stage_command("bucket", "Make samples of the kept clips, and write the mp4 files they need.")
_stage_command("cache", "Encode samples to latents and captions to embeddings.")


@cli.command()
@click.argument("labels", type=click.Path(path_type=Path), metavar="LABELS.csv")
@OUT
@click.option("--pipeline", type=click.Path(path_type=Path), help="Pipeline file, instead of the dataset's own.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Override a setting; repeatable.")
@JSON
def calibrate(labels: Path, out: Path, pipeline: Path | None, assignments: tuple[str, ...], as_json: bool) -> None:
    """Fit the filters' thresholds to your own labels; writes nothing.

    LABELS.csv has a header: label (keep or drop), and clip_id, or path and time
    (seconds); optionally reason, the name of the filter that should drop it.

    \b
    wanprep calibrate labels.csv
    wanprep calibrate labels.csv --json
    """
    from wanprep.calibrate import show_calibration
    from wanprep.dataset import Dataset

    show_calibration(Dataset.open(out, file=pipeline, assignments=assignments), labels, as_json)


@cli.command()
@click.option("--vlm", metavar="NAME", help="Captioner: auto, sidecar, template, qwen2-vl, ...")
@click.option("--model", metavar="MODEL", help="Folder or downloaded hub id; with openai the name on the server.")
@click.option("--goal", help="What is asked: general, character, style-look, style-content, motion, domain.")
@click.option("--trigger", help="Phrase put before every caption, exactly once.")
@measuring
def caption(
    vlm: str | None,
    model: str | None,
    goal: str | None,
    trigger: str | None,
    assignments: tuple[str, ...],
    **options: Any,
) -> None:
    """Caption the kept clips; one editable captions/<clip>.txt each.

    A file that you edit wins over every later run and is never overwritten.

    \b
    wanprep caption
    wanprep caption --vlm qwen2-vl --trigger "frung, young woman"
    wanprep caption --vlm qwen2.5-vl --model models/my-vlm --goal motion
    wanprep caption --vlm openai --model NAME \\
        --set caption.endpoint.base_url=http://127.0.0.1:8000/v1
    """
    from wanprep.config import dump_toml

    def quoted(value: str) -> str:
        return dump_toml({"v": value}).removeprefix("v = ").strip()

    if model and not vlm:
        raise click.UsageError("--model needs --vlm NAME: which captioner runs it")
    place = "endpoint" if vlm == "openai" else "vlm"
    given = {"captioner": vlm, f"{place}.model": model, "goal": goal, "trigger": trigger}
    assignments += tuple(f"caption.{name}={quoted(value)}" for name, value in given.items() if value)
    _run(("caption",), assignments=assignments, **options)


def _run(
    stages: tuple[str, ...], *, out: Path, as_json: bool, dry_run: bool, source: Path | None = None, **rest: Any
) -> None:
    from wanprep import progress, report
    from wanprep import run as runs
    from wanprep.dataset import Dataset
    from wanprep.runner import Options

    progress.set_up_logging(rest["verbose"], rest["quiet"], rest["log_file"])
    workers = rest["workers"] or os.cpu_count() or 1
    options = Options(workers=workers, limit=rest["limit"], only=rest["only"], dry_run=dry_run)
    make = Dataset.create if source is not None else Dataset.open
    dataset = make(out, file=rest["pipeline"], assignments=rest["assignments"])
    if "caption" in stages:
        from wanprep.captioning import check_ready

        check_ready(dataset)
    if dry_run:
        from wanprep.preview import preview

        seen = preview(dataset)
        report.show_plan(seen, runs.plan(seen, stages, options), source, as_json, whole="bucket" in stages)
        return
    with progress.listener(rest["quiet"]) as listen:
        summary = runs.run(dataset, stages, options, source=source, listen=listen, command=" ".join(sys.argv[1:]))
    report.show_summary(dataset, summary, as_json, rest["quiet"])
    if summary.failed:
        raise SystemExit(1)


def reading(command: Callable[..., Any]) -> Callable[..., Any]:
    """A command that reads a dataset: gets it opened, and takes --out and --json."""

    @OUT
    @JSON
    @functools.wraps(command)
    def wrapped(out: Path, **rest: Any) -> Any:
        from wanprep.dataset import Dataset

        return command(Dataset.open(out), **rest)

    return wrapped


@cli.command()
@reading
def status(dataset: Dataset, as_json: bool) -> None:
    """Per stage: done, rejected by reason, failed, pending."""
    from wanprep import report

    report.show_status(dataset, as_json)


@cli.command()
@click.option("--by", type=click.Choice(["source", "bucket", "reason", "view"]), help="Only this table, whole.")
@click.option("--batch-size", type=click.IntRange(min=1), default=1, show_default=True, help="For steps an epoch.")
@reading
def stats(dataset: Dataset, as_json: bool, by: str | None, batch_size: int) -> None:
    """Sources, clips, samples, buckets, tokens, and exact steps an epoch."""
    from wanprep import report

    report.show_stats(dataset, as_json, by, batch_size)


@cli.command()
@click.option("--vram", type=click.FloatRange(min=1), required=True, metavar="GB", help="Memory of the card.")
@click.option("--weights", type=click.Choice(["bf16", "fp8", "nf4"]), help="Of the model.  [default: what fits]")
@click.option("--rank", type=click.IntRange(min=1), default=16, show_default=True, help="Of the LoRA.")
@click.option("--batch-size", type=click.IntRange(min=1), default=1, show_default=True, help="Samples a step.")
@click.option("--family", metavar="NAME", help="Instead of the dataset's own.")
@reading
def suggest(dataset: Dataset, as_json: bool, **asked: Any) -> None:
    """Propose views: as large and long as this footage and this card allow.

    \b
    wanprep suggest --vram 24
    wanprep suggest --vram 24 --weights nf4 --rank 32 --json
    """
    from wanprep.show_suggest import show_suggestion

    show_suggestion(dataset, as_json, **asked)


def _filters(command: Callable[..., Any]) -> Callable[..., Any]:
    command = click.option("--state", help="Only rows in this state (keep, rejected, ...).")(command)
    command = click.option("--reason", help="Only rows with this reason.")(command)
    return click.option("--source", "source", metavar="TEXT", help="Only rows whose source path contains TEXT.")(
        command
    )


@cli.command()
@_filters
@reading
def clips(dataset: Dataset, **filters: Any) -> None:
    """Every clip: state, reason, scores, source frame and time range."""
    from wanprep import show

    show.show_clips(dataset, **filters)


@cli.command()
@_filters
@reading
def samples(dataset: Dataset, **filters: Any) -> None:
    """Every sample: state, reason, view, bucket, window, source time range."""
    from wanprep import show

    show.show_samples(dataset, **filters)


@cli.command()
@click.argument("clip")
@reading
def explain(dataset: Dataset, clip: str, as_json: bool) -> None:
    """Everything known of one CLIP (its id or the start of it) and why it was decided so."""
    from wanprep import show

    show.show_explain(dataset, clip, as_json)


def inspecting(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of the commands that look at files without a dataset."""
    options = [
        click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE..."),
        click.option("--pipeline", type=click.Path(path_type=Path), help="Pipeline file, instead of the defaults."),
        click.option(
            "--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Override a setting; repeatable."
        ),
        click.option("--workers", type=click.IntRange(min=1), help="Worker processes.  [default: one a core]"),
        JSON,
    ]
    for option in reversed(options):
        command = option(command)
    return command


def _inspect(files: tuple[Path, ...], scores: bool, workers: int | None, as_json: bool, **rest: Any) -> None:
    from wanprep import inspect
    from wanprep.pipeline import resolve

    def say(line: str) -> None:
        click.echo(line, err=True)

    pipeline = resolve(file=rest["pipeline"], assignments=rest["assignments"])
    workers = workers or os.cpu_count() or 1
    entries = inspect.look(files, pipeline.split, scores=scores, workers=workers, say=say)
    if scores:
        for warning in inspect.judge(entries, pipeline.filter):
            say(warning)
    (inspect.show_scores if scores else inspect.show_cuts)(entries, as_json)
    if any(entry["state"] == "failed" for entry in entries):
        raise SystemExit(1)


@cli.command()
@inspecting
def cuts(files: tuple[Path, ...], **options: Any) -> None:
    """Cuts, transitions and clips of each FILE; no dataset, nothing is written.

    \b
    wanprep cuts film.mp4
    wanprep cuts *.mp4 --set split.margin=0 --json
    """
    _inspect(files, scores=False, **options)


@cli.command()
@inspecting
def score(files: tuple[Path, ...], **options: Any) -> None:
    """Every score of every clip of each FILE, and the verdict on it; nothing is written.

    \b
    wanprep score film.mp4
    wanprep score *.mp4 --set filter.blur.threshold=0.1 --json
    """
    _inspect(files, scores=True, **options)


def main() -> None:
    """Entry point: turns what is raised into the exit codes of `wanprep --help`."""
    from wanprep.cached import Damaged
    from wanprep.lease import Held

    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as stop:
        raise SystemExit(stop.exit_code) from None
    except click.ClickException as error:
        error.show()
        raise SystemExit(error.exit_code) from None
    except (UsageError, Missing, Held) as error:
        click.echo(f"wanprep: {error}", err=True)
        raise SystemExit({UsageError: 2, Missing: 3, Held: 4}[type(error)]) from None
    except Damaged as error:
        click.echo(f"wanprep: {error}", err=True)
        raise SystemExit(1) from None
    except (KeyboardInterrupt, click.Abort):
        again = " ".join(["wanprep", *(json.dumps(a) if " " in a else a for a in sys.argv[1:])])
        click.echo(f"\nwanprep: interrupted; what was done is kept. Go on with: {again}", err=True)
        raise SystemExit(130) from None
    except BrokenPipeError:  # `wanprep clips | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None


if __name__ == "__main__":
    main()
