"""The command with which a person decides about single clips."""

from __future__ import annotations

from pathlib import Path

import click

from wanprep.bulk import no_collection
from wanprep.cli_options import JSON, OUT


@click.command()
@click.argument("word", type=click.Choice(["keep", "drop", "auto"]), required=False)
@click.argument("clips", nargs=-1, metavar="[CLIP]...")
@click.option("--labels", type=click.Path(path_type=Path, dir_okay=False), help="CSV of labels, as for calibrate.")
@OUT
@JSON
@no_collection()
def judge(word: str | None, clips: tuple[str, ...], labels: Path | None, out: Path, as_json: bool) -> None:
    """Keep or drop single clips by hand; it wins over every filter, in later runs too. `auto` takes it back.

    CLIP is an id, or the start of one, as `wanprep clips` shows it. Without
    any, list what was said so far.

    \b
    wanprep judge keep 270ea2 9f3c1b
    wanprep judge drop 51c0
    wanprep judge auto 270ea2
    wanprep judge --labels review.csv
    """
    from wanprep import judging
    from wanprep.dataset import Dataset
    from wanprep.preview import as_it_is

    if bool(word) != bool(clips):
        raise click.UsageError("give keep, drop or auto and the clips: wanprep judge keep 270ea2")
    if word is None and labels is None:
        judging.show_all(as_it_is(Dataset.open(out))[0], as_json)
        return
    dataset = Dataset.open(out)
    judging.show_judged(dataset, *judging.judge(dataset, word or "", clips, labels), as_json)


COMMANDS = (judge,)
