"""Help of every command: readable in a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from wanprep.cli import cli
from wantrain.cli import main

GROUPS = {"wanprep": cli, "wantrain": main}


def commands(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    yield path
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*path, name))


EVERY = [path for name, group in GROUPS.items() for path in commands(group, (name,))]


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_no_line_is_wider_than_eighty_columns(path: tuple[str, ...]) -> None:
    done = CliRunner().invoke(GROUPS[path[0]], [*path[1:], "--help"])
    assert done.exit_code == 0
    assert "Usage:" in done.output
    assert [line for line in done.output.splitlines() if len(line) > 80] == []


def test_all_commands_are_looked_at() -> None:
    assert {("wanprep", "run"), ("wanprep", "verify"), ("wantrain", "sample"), ("wantrain", "bench")} < set(EVERY)


@pytest.mark.parametrize(("command", "state"), [("clips", "keep"), ("samples", "cached")])
def test_the_states_of_a_listing_are_in_its_help(command: str, state: str) -> None:
    said = {name: CliRunner().invoke(cli, [name, "--help"]).output for name in ("clips", "samples")}
    assert [name for name, text in said.items() if f"{state}," in text] == [command]
