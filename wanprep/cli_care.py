"""Commands that look after a dataset's files."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click

from wanprep.cli_options import reading

if TYPE_CHECKING:
    from wanprep.dataset import Dataset

SHOWN = 20  # faults named one by one


@click.command()
@click.option("--repair", is_flag=True, help="Mark what is damaged as pending, so that the next run makes it again.")
@reading
def verify(dataset: Dataset, as_json: bool, repair: bool) -> None:
    """Compare every file we made with the digest in the manifest. Exit code 1 when one differs; with --repair, only
    when some of that could not be marked.

    \b
    wanprep verify
    wanprep verify --repair && wanprep run movies/
    """
    from wanprep import care, tables

    checked = care.verify(dataset, repair=repair)
    if as_json:
        faults = [{"reason": f.reason, "path": f.path, "detail": f.detail} for f in checked.faults]
        tables.print_json(
            {"files": checked.files, "bytes": checked.bytes, "faults": faults, "repaired": checked.repaired}
        )
    else:
        click.echo(
            f"{tables.counted(checked.files, 'file')}, {_size(checked.bytes)}: {len(checked.faults)} not as recorded"
        )
        for fault in checked.faults[:SHOWN]:
            click.echo(f"  {fault.reason}  {fault.path}" + (f"  ({fault.detail})" if fault.detail else ""))
        if len(checked.faults) > SHOWN:
            click.echo(f"  and {len(checked.faults) - SHOWN} more (all of them: --json)")
        if checked.repaired:
            are = "is" if checked.repaired == 1 else "are"
            click.echo(f"{checked.repaired} {are} pending again; `wanprep run SOURCE` makes them anew")
        elif any(fault.artefact for fault in checked.faults):
            click.echo("`wanprep verify --repair` marks them as pending; nothing is deleted")
    if len(checked.faults) > checked.repaired:
        raise SystemExit(1)


@click.command()
@click.option("--delete", is_flag=True, help="Really remove them; without it, only say what would go.")
@click.option(
    "--unused", is_flag=True, help="Also what today's settings do not want; going back to old ones costs it again."
)
@reading
def gc(dataset: Dataset, as_json: bool, delete: bool, unused: bool) -> None:
    """Name, and with --delete remove, files of ours that no row of the manifest speaks of.

    Sources, captions and files that do not bear a name of ours are never
    touched. Not while a stage runs; do not use --unused while a training
    reads the dataset.

    \b
    wanprep gc
    wanprep gc --unused --delete
    """
    from wanprep import care, tables

    found = care.collect(dataset, unused=unused, delete=delete)
    going = (*found.orphans, *found.unused)
    if as_json:
        kinds = {"orphans": found.orphans, "unused": found.unused}
        listed = {name: [{"path": path, "bytes": size} for path, size in files] for name, files in kinds.items()}
        tables.print_json({**listed, "foreign": found.foreign, "unknown": found.unknown, "deleted": delete})
        return
    for name, files in (("without a row", found.orphans), ("not wanted by today's settings", found.unused)):
        for folder, (count, size) in sorted(_by_folder(files).items()):
            click.echo(f"{folder}: {tables.counted(count, 'file')}, {_size(size)} {name}")
    total = f"{tables.counted(len(going), 'file')}, {_size(sum(size for _, size in going))}"
    if found.foreign:
        other = "other file lies there that is not ours; it stays"
        others = "other files lie there that are not ours; they stay"
        click.echo(f"{found.foreign} {other if found.foreign == 1 else others}")
    if found.unknown:
        click.echo(f"{found.unknown} latents and embeddings stay: without the weights it is not known which are wanted")
    if not going:
        click.echo("nothing to remove" + ("" if unused else " (--unused: also what today's settings do not want)"))
    elif delete:
        click.echo(f"removed {total}")
    else:
        click.echo(f"{total} would go; nothing was removed. Again with --delete removes them")


def _by_folder(files: tuple[tuple[str, int], ...]) -> dict[str, tuple[int, int]]:
    count: Counter[str] = Counter()
    size: Counter[str] = Counter()
    for path, bytes_ in files:
        folder = "/".join(path.split("/")[:-1][:2])
        count[folder] += 1
        size[folder] += bytes_
    return {folder: (count[folder], size[folder]) for folder in count}


def _size(number: int) -> str:
    value, unit = float(number), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


COMMANDS = (verify, gc)
