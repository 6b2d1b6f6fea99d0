"""`wanprep sheet`: decisions as pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from wanprep.cli_options import reading

if TYPE_CHECKING:
    from wanprep.dataset import Dataset


@click.command()
@click.option("--clips", type=click.IntRange(min=1), default=30, show_default=True, help="On a sheet, at most.")
@click.option("--reason", metavar="TEXT", help='Only one sheet: "kept", or a reason.')
@reading
def sheet(dataset: Dataset, as_json: bool, clips: int, reason: str | None) -> None:
    """Contact sheets of kept and rejected clips, the doubtful ones first.

    Writes reports/kept.jpg and reports/rejected-REASON.jpg: three frames a
    clip, with its score, the threshold, its file and time; duplicates beside
    the clip they repeat.

    \b
    wanprep sheet
    wanprep sheet --reason blur --clips 60
    """
    from wanprep.sheets import write_sheets
    from wanprep.tables import print_json

    made = write_sheets(dataset, clips=clips, reason=reason, say=lambda line: click.echo(line, err=True))
    if as_json:
        print_json(made)
        return
    for it in made:
        click.echo(f"{it['path']}: {it['clips']} of {it['of']} clips")
    if not made:
        click.echo("no clips yet; run: wanprep run MOVIES")


COMMANDS = (sheet,)
