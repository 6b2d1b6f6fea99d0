"""The command line. Parsing only: every command imports what it needs when it runs, so that help answers at once."""

from __future__ import annotations

import gc
import json
import os
import select
import sys
from pathlib import Path
from typing import Any

import click

from wanprep import __version__, cli_care, cli_inspect, cli_judge, cli_models, cli_read, cli_sheet
from wanprep.bulk import no_collection
from wanprep.cli_options import measuring
from wanprep.stage import DISK_FULL, Damaged, Missing, UsageError, refused


class _Group(click.Group):
    def invoke(self, context: click.Context) -> Any:
        """As ever, but a reader who has seen enough is no failure: click would end with 1."""
        try:
            return super().invoke(context)
        except BrokenPipeError:
            if not _reader_left():
                raise
            raise click.exceptions.Exit(0) from None


def _reader_left() -> bool:
    """Has whoever read our output gone (`wanprep clips | head`)? Then nothing more is written to it, at exit either."""
    poll = select.poll()
    poll.register(1, 0)
    if not any(state & select.POLLERR for _, state in poll.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return True


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
@click.version_option(__version__, prog_name="wanprep")
def cli() -> None:
    """Turn a folder of movies into a training set for Wan video models.

    \b
    wanprep run movies/ --out dataset     all six stages; run again to go on
    wanprep status                        what is done, rejected, failed, pending
    wanprep stats                         clips, buckets, samples, steps an epoch
    wanprep explain CLIP                  why a clip was kept or rejected

    Settings come from --set, then WANPREP_* variables (WANPREP_FAMILY=tiny,
    WANPREP_FILTER__BLUR__THRESHOLD=0.2), then the pipeline file, then the defaults.

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
    wanprep run movies/ --out ghibli --pipeline pipelines/style-24gb.toml
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
    with no_collection():
        from wanprep.dataset import Dataset
        from wanprep.weigh import show_preview

        dataset = Dataset.open(options["out"], file=options["pipeline"], assignments=options["assignments"])
        show_preview(dataset, options["as_json"])


_stage_command("bucket", "Make samples of the kept clips, and write the mp4 files they need.")
_stage_command("cache", "Encode samples to latents and captions to embeddings.")


@cli.command()
@click.option("--vlm", metavar="NAME", help="Captioner: auto, sidecar, template, qwen2-vl, ...")
@click.option("--model", metavar="MODEL", help="Folder or downloaded hub id; with openai the name on the server.")
@click.option("--goal", help="What is asked: general, character, style-look, style-content, motion, domain.")
@click.option("--trigger", help='Phrase put before every caption, exactly once; "" for none.')
@click.option("--check", is_flag=True, help="Judge all captions, edited ones too; compare them with their pictures.")
@click.option(
    "--export", type=click.Path(path_type=Path), metavar="DIR", help="Copy all captions, as trained on, to DIR."
)
@measuring
def caption(
    vlm: str | None,
    model: str | None,
    goal: str | None,
    trigger: str | None,
    check: bool,
    export: Path | None,
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
    wanprep caption --check
    wanprep caption --export for-another-trainer
    """
    from wanprep.layers import Assignment
    from wanprep.toml_text import dump_toml

    def quoted(value: str) -> str:
        return dump_toml({"v": value}).removeprefix("v = ").strip()

    if model and not vlm:
        raise click.UsageError("--model needs --vlm NAME: which captioner runs it")
    place = "endpoint" if vlm == "openai" else "vlm"
    given = (
        ("captioner", "--vlm", vlm), (f"{place}.model", "--model", model), ("goal", "--goal", goal),
        ("trigger", "--trigger", trigger),
    )  # fmt: skip
    assignments += tuple(
        Assignment(f"caption.{name}={quoted(value)}", f"{option} {value}")
        for name, option, value in given
        if value or (name == "trigger" and value is not None)
    )
    if export:
        _export(export, plain=not (assignments or check or options["pipeline"]), **options)
        return
    if check:
        _check(assignments=assignments, **options)
        return
    _run(("caption",), assignments=assignments, **options)


def _export(folder: Path, *, plain: bool, out: Path, as_json: bool, dry_run: bool, quiet: bool, **_: Any) -> None:
    from wanprep.captioners.export import export
    from wanprep.dataset import Dataset
    from wanprep.tables import print_json

    if dry_run or not plain:
        raise click.UsageError("--export goes without other settings: run wanprep caption with them first")
    count, notes = export(Dataset.open(out), folder)
    if as_json:
        print_json({"folder": str(folder), "captions": count, "notes": notes})
    elif not quiet:
        click.echo("\n".join([*notes, f"{count} caption files, as trained on, written to {folder}"]), err=True)


def _check(*, out: Path, as_json: bool, dry_run: bool, assignments: tuple[str, ...], **rest: Any) -> None:
    from wanprep import progress
    from wanprep.dataset import Dataset
    from wanprep.runner import Options
    from wanprep.show_check import show_check

    if dry_run:
        raise click.UsageError("--check has no dry run; --set caption.check.windows=false looks at no picture")
    progress.set_up_logging(rest["verbose"], rest["quiet"], rest["log_file"])
    dataset = Dataset.open(out, file=rest["pipeline"], assignments=assignments)
    with progress.listener(rest["quiet"]) as listen:
        show_check(dataset, Options(limit=rest["limit"], only=rest["only"]), listen, as_json)


@no_collection()  # of tables and of what is loaded; measuring turns it on
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
    if "filter" in stages:
        from wanprep import looking

        looking.check_ready(dataset)
    if "caption" in stages:
        from wanprep.captioning import check_ready

        check_ready(dataset)
    if dry_run:
        from wanprep import edits
        from wanprep.preview import preview

        scan = edits.found(dataset)
        seen = preview(dataset, source, scan.events)
        report.show_plan(seen, runs.plan(seen, stages, options), source, as_json, scan, whole="bucket" in stages)
        return
    with progress.listener(rest["quiet"]) as listen:
        summary = runs.run(dataset, stages, options, source=source, listen=listen, command=" ".join(sys.argv[1:]))
    report.show_summary(dataset, summary, as_json, rest["quiet"])
    _spare_what_lives()
    if summary.failed:
        raise SystemExit(1)


for module in (cli_read, cli_judge, cli_inspect, cli_models, cli_care, cli_sheet):
    for item in module.COMMANDS:
        cli.add_command(item)


def _again() -> str:
    """This command line, to be typed once more."""
    return " ".join(["wanprep", *(json.dumps(a) if " " in a else a for a in sys.argv[1:])])


def _spare_what_lives() -> None:
    """What lives at the end of a command ends with the process: the collector, which looks over all that is new as soon
    as it is turned on again, and once more at the end, need not."""
    if "torch" not in sys.modules:  # of which triton complains about what is left uncollected
        gc.freeze()


def main() -> None:
    """Entry point: turns what is raised into the exit codes of `wanprep --help`."""
    # Read when numpy is loaded: its products are small here, and dividing them among the cores takes longer.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from wanprep.engines.children import still_deaf
    from wanprep.lease import Held

    still_deaf()
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
    except (KeyboardInterrupt, click.Abort) as stop:
        if isinstance(stop.__cause__, EOFError):  # click takes the end of any pipe for somebody's Ctrl-D
            raise stop.__cause__ from None
        said = "interrupted; what was under way begins anew, what was done is kept. Go on with"
        click.echo(f"\nwanprep: {said}: {_again()}", err=True)
        raise SystemExit(130) from None
    except OSError as error:
        if error.errno in DISK_FULL:
            click.echo(f"wanprep: the disk is full; what was done is kept. Make room, then: {_again()}", err=True)
            raise SystemExit(1) from None
        if not error.filename and not isinstance(error, ChildProcessError):
            raise
        click.echo(f"wanprep: {refused(error) if error.filename else error}", err=True)
        raise SystemExit(1) from None
    finally:
        _spare_what_lives()


if __name__ == "__main__":
    main()
