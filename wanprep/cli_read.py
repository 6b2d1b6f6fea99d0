"""Commands that read a dataset and write nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wanprep.cli_options import JSON, OUT, PIPELINE, SET, reading

if TYPE_CHECKING:
    from wanprep.dataset import Dataset


@click.command()
@reading
def status(dataset: Dataset, as_json: bool) -> None:
    """Per stage: done, rejected by reason, failed, pending."""
    from wanprep import report

    report.show_status(dataset, as_json)


@click.command()
@click.option("--by", type=click.Choice(["source", "bucket", "reason", "view"]), help="Only this table, whole.")
@click.option("--batch-size", type=click.IntRange(min=1), default=1, show_default=True, help="For steps an epoch.")
@reading
def stats(dataset: Dataset, as_json: bool, by: str | None, batch_size: int) -> None:
    """Sources, clips, samples, buckets, tokens, and exact steps an epoch."""
    from wanprep import report

    report.show_stats(dataset, as_json, by, batch_size)


@click.command()
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


def _filters(states: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The options that choose rows. states: those there are, for the help."""
    options = [
        click.option("--state", metavar="STATE", help=f"Only rows in this state: {states}."),
        click.option("--reason", metavar="REASON", help="Only rows with this reason (clips: or caption flag)."),
        click.option("--source", "source", metavar="TEXT", help="Only rows whose source path contains TEXT."),
    ]

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in options:
            command = option(command)
        return command

    return add


@click.command()
@_filters("keep, rejected, pending")
@click.option("--lost", is_flag=True, help="Instead: captions and verdicts by hand whose clip is no more.")
@reading
def clips(dataset: Dataset, lost: bool, **filters: Any) -> None:
    """Every clip: state, reason, scores, source frame and time range."""
    from wanprep import lost as by_hand
    from wanprep import show

    if not lost:
        show.show_clips(dataset, **filters)
    elif filters["state"] or filters["reason"]:
        raise click.UsageError("what --lost lists has neither state nor reason; it takes --source only")
    else:
        by_hand.show_lost(dataset, filters["as_json"], filters["source"])


@click.command()
@_filters("ok (cached, pending or failed), rejected, duplicate")
@reading
def samples(dataset: Dataset, **filters: Any) -> None:
    """Every sample: state, reason, view, bucket, window, source time range."""
    from wanprep import show

    show.show_samples(dataset, **filters)


@click.command()
@click.argument("clip", metavar="CLIP|SOURCE")
@reading
def explain(dataset: Dataset, clip: str, as_json: bool) -> None:
    """Everything known of one CLIP (its id or the start of it) or SOURCE (its path or a part of it) and why it was
    decided so.

    \b
    wanprep explain 270ea2
    wanprep explain holiday.mp4
    """
    from wanprep import show

    show.show_explain(dataset, clip, as_json)


@click.command()
@click.argument("labels", type=click.Path(path_type=Path), metavar="LABELS.csv")
@OUT
@PIPELINE
@SET
@JSON
def calibrate(labels: Path, out: Path, pipeline: Path | None, assignments: tuple[str, ...], as_json: bool) -> None:
    """Fit the filters' thresholds to your own labels; writes nothing.

    LABELS.csv has a header: label (keep or drop), and clip_id, or path and time
    (seconds); optionally reason, the name of the filter that should drop it.

    \b
    wanprep calibrate labels.csv
    wanprep calibrate labels.csv --json
    """
    from wanprep.dataset import Dataset
    from wanprep.show_calibrate import show_calibration

    show_calibration(Dataset.open(out, file=pipeline, assignments=assignments), labels, as_json)


COMMANDS = (status, stats, suggest, clips, samples, explain, calibrate)
