"""Commands about weights: what is on this machine, and fetching what is not."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from wanprep.cli_options import JSON


@click.command()
@click.argument("names", nargs=-1, metavar="[FAMILY]...")
@JSON
def models(names: tuple[str, ...], as_json: bool) -> None:
    """List model families, and which of their weights are on this machine.

    Looks at names, headers and sizes; opens no connection.

    \b
    wanprep models
    wanprep models wan2.2-t2v-a14b --json
    """
    from wanprep.families import FAMILIES, family
    from wanprep.models.find import roots_that_are_not_there
    from wanprep.models.listing import lines, listing

    for lost in roots_that_are_not_there():
        click.echo(lost, err=True)
    entries = [listing(family(name)) for name in names or FAMILIES]
    click.echo(
        json.dumps(entries, indent=1) if as_json else "\n".join(line for entry in entries for line in lines(entry))
    )


@click.command()
@click.argument("name", metavar="FAMILY")
@click.option(
    "--part", "chosen", multiple=True, metavar="PART", help="vae, text, clip, transformer, high or low.  [default: all]"
)
@click.option(
    "--files", "form", default="diffusers", show_default=True,
    type=click.Choice(["diffusers", "bf16", "fp16", "fp8_scaled"]), help="The diffusers folder, or ComfyUI's files.",
)  # fmt: skip
@click.option(
    "--to", type=click.Path(path_type=Path, file_okay=False), help="A folder.  [default: the Hugging Face cache]"
)
@click.option("--verify", is_flag=True, help="Read what is there again and compare digests.")
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be fetched.")
@click.option("-q", "--quiet", is_flag=True, help="Errors only.")
@JSON
def fetch(
    name: str,
    chosen: tuple[str, ...],
    form: str,
    to: Path | None,
    verify: bool,
    dry_run: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Download the weights of FAMILY from the Hugging Face hub (HF_ENDPOINT).

    Sizes and digests are compared with what the hub lists; the same command
    goes on where it was stopped. No other command downloads anything.

    \b
    wanprep fetch wan2.2-t2v-a14b --dry-run
    wanprep fetch wan2.2-t2v-a14b --part vae --part text
    wanprep fetch wan2.2-t2v-a14b --files fp8_scaled --to ComfyUI/models
    """
    from wanprep import fetch as hub
    from wanprep.download import Broken
    from wanprep.families import family

    chosen_family = family(name)
    parts = hub.part_names(chosen_family, chosen)
    try:
        plan = hub.plan(chosen_family, parts, form=form, to=None if to is None else to.expanduser())
        if not (dry_run or quiet or as_json):
            click.echo(f"{len(plan.files)} files, {plan.size / 1e9:.2f} GB; {plan.left / 1e9:.2f} GB to come", err=True)
        if not dry_run:
            hub.run(plan, _watcher(quiet), verify=verify)
    except Broken as error:
        click.echo(f"wanprep: {error}\nwanprep: go on with the same command", err=True)
        raise SystemExit(1) from None
    _tell(chosen_family, plan, as_json, dry_run)


def _tell(family: Any, plan: Any, as_json: bool, dry_run: bool) -> None:
    if as_json:
        rows = [
            {
                "path": w.path,
                "bytes": w.remote.size,
                "digest": w.remote.digest,
                "file": str(w.link or w.final),
                "missing": w.left,
            }
            for w in plan.files
        ]
        click.echo(
            json.dumps({"family": family.name, "files": rows, "bytes": plan.size, "missing": plan.left}, indent=1)
        )
        return
    for wanted in plan.files:
        left = "there" if not wanted.left else f"{wanted.left / 1e6:.1f} MB to come" if dry_run else "?"
        click.echo(f"{wanted.remote.size / 1e6:12.1f} MB  {left:20} {wanted.link or wanted.final}")


def _watcher(quiet: bool) -> Any:
    from wanprep.fetch_progress import Bars, Lines, Silent

    return Silent() if quiet else Bars() if sys.stderr.isatty() else Lines()


COMMANDS = (models, fetch)
