"""What people said of clips that are no more: captions and verdicts that fit no clip of today. They are kept, and come
back with their clip; until then somebody's words are not trained on, so they are told by name."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import click
import polars as pl

from wanprep import by_hand
from wanprep.captioners.several import number_of
from wanprep.events import attach
from wanprep.standing import out_of
from wanprep.tables import counted, plain, print_json, print_rows

if TYPE_CHECKING:
    from wanprep.dataset import Dataset

Row = Mapping[str, Any]
SHOWN = 3  # named in a line
WORDS = 40  # letters of a caption in it


def latest(orphaned: Iterable[Row]) -> list[Row]:
    """Of each span the last that a person said of a kind, unless that took it back. orphaned: in order of recording."""
    last = {(it["source_id"], it["start_pts"], it["end_pts"], it["kind"]): it for it in orphaned}
    return [event for event in last.values() if event["value"] is not None and event["origin"] == "human"]


def lines(dataset: Dataset, orphaned: Iterable[Row], sources: Sequence[Row]) -> list[str]:
    """A line on captions and one on verdicts, with the clips that they were of."""
    events, paths = latest(orphaned), {row["source_id"]: row["path"] for row in sources}
    command = shlex.join(["wanprep", "clips", "--lost", *out_of(dataset)])
    found = []
    for what, mine in (
        ("caption", [event for event in events if event["kind"] != by_hand.KIND]),
        ("verdict", [event for event in events if event["kind"] == by_hand.KIND]),
    ):
        if mine:
            named = [f"{it['clip_id'][:8]}{_of(paths.get(it['source_id']))} ({_short(it)})" for it in mine[:SHOWN]]
            more = f" and {len(mine) - SHOWN} more" if len(mine) > SHOWN else ""
            have = "has lost its clip" if len(mine) == 1 else "have lost their clips"
            found.append(
                f"{counted(len(mine), what)} by hand {have}: {', '.join(named)}{more}; kept until it is there again, "
                f"in whole: {command}"
            )
    return found


def _of(path: str | None) -> str:
    """A file that was replaced by another one of its name is in no table any more."""
    return f" of {path}" if path else ""


def _short(event: Row) -> str:
    text = event["value"]
    return f'"{text}"' if len(text) <= WORDS else f'"{text[:WORDS].rstrip()}…"'


def show_lost(dataset: Dataset, as_json: bool, source: str | None = None) -> None:
    """All of them, on stdout. source: only those whose source path contains it."""
    events = dataset.manifest.read("events").sort("seq", maintain_order=True).to_dicts()
    mine = (event for event in events if event["kind"] == by_hand.KIND or number_of(event["kind"]) is not None)
    columns = ("source_id", "start_pts", "end_pts")
    orphaned = attach(mine, dataset.manifest.read("clips").select("clip_id", *columns).to_dicts())[1]
    paths = dict(dataset.manifest.read("sources").select("source_id", "path").iter_rows())
    times = {
        row["source_id"]: row
        for row in dataset.manifest.latest("signals").filter(pl.col("outcome") == "done").to_dicts()
    }
    rows = []
    for event in latest(orphaned):
        path, at = paths.get(event["source_id"]) or "", times.get(event["source_id"])
        if source is None or source in path:
            start, end = (_seconds(event[name], at) for name in columns[1:])
            rows.append({"clip_id": event["clip_id"], "path": path, "start_s": start, "end_s": end,
                         "kind": event["kind"], "value": event["value"]})  # fmt: skip
    if as_json:
        print_json(rows)
        return
    if not rows:
        click.echo("no caption and no verdict by hand has lost its clip", err=True)
        return
    drawn = []
    for row in rows:
        span = "" if row["start_s"] is None else f"{row['start_s']:.2f}-{row['end_s']:.2f}"
        drawn.append((row["clip_id"], plain(row["path"]), span, row["kind"], plain(row["value"])))
    print_rows(("#clip", "~source", ">?seconds", "kind", "what was said"), drawn)


def _seconds(pts: int, signals: Row | None) -> float | None:
    return None if signals is None else float((pts - signals["first_pts"]) * Fraction(signals["time_base"]))
