"""`wanprep judge`: a person keeps or drops single clips; the rules are in `wanprep.by_hand`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import polars as pl

from wanprep import by_hand
from wanprep.frames import rows_of
from wanprep.lost import latest
from wanprep.stage import UsageError
from wanprep.standing import go_on, out_of, pending
from wanprep.tables import counted, print_json, print_rows

if TYPE_CHECKING:
    from wanprep.dataset import Dataset
    from wanprep.decide import Decided

Row = Mapping[str, Any]
SHOWN = 5  # names in an error
WORDS: Mapping[str, str | None] = {"keep": by_hand.KEEP, "drop": by_hand.DROP, "auto": None}


def named(clips: Sequence[Row], ids: Iterable[str]) -> list[Row]:
    """The clips whose ids begin so, each once. UsageError for a name of none, or of several."""
    found: dict[str, Row] = {}
    for one in ids:
        fits = [clip for clip in clips if clip["clip_id"].startswith(one.lower())]
        if not fits:
            raise UsageError(f"no clip has an id that starts with {one!r}; `wanprep clips` lists them")
        if len(fits) > 1:
            more = ", ".join(clip["clip_id"][:8] for clip in fits[:SHOWN])
            raise UsageError(f"{len(fits)} clips have an id that starts with {one!r}: {more}; give more of it")
        found[fits[0]["clip_id"]] = fits[0]
    return list(found.values())


def labelled(clips: Sequence[Row], file: Path) -> dict[str, tuple[Row, str]]:
    """clip_id -> (clip, keep or drop) of a CSV as `wanprep calibrate` reads it. UsageError when a line says nothing,
    names no clip, or several, or two lines say different things of one: nothing is stored by halves."""
    from wanprep.labels import find_clips, load_labels, sift, why_lost

    labels, bad = load_labels(file)
    pairs, lost = find_clips(labels, clips)
    left = sorted(bad + [(label.line, why_lost(label, clips)) for label in lost])
    if left:
        why = [f"line {line}: {cause}" for line, cause in left[:SHOWN]]
        more = [f"and {len(left) - SHOWN} more"] if len(left) > SHOWN else []
        raise UsageError("\n  ".join([f"{file} (nothing was stored):", *why, *more]))
    sifted = sift(pairs)
    if sifted.torn:
        clip, torn = sifted.torn[0]
        lines = " and ".join(str(label.line) for label in torn)
        raise UsageError(
            f"{file}: clip {clip['clip_id'][:8]} is to be kept and dropped, lines {lines}; nothing was stored"
        )
    return {clip["clip_id"]: (clip, by_hand.KEEP if label.keep else by_hand.DROP) for label, clip in sifted.pairs}


def judge(dataset: Dataset, word: str, ids: Sequence[str], file: Path | None) -> tuple[list[Row], Decided]:
    """Store what is said of the clips and decide anew: (clips of which something else is said than before, as they
    were; the decisions). word: of WORDS, for `ids`."""
    from wanprep.run import find_edits

    with dataset.lease():
        find_edits(dataset)
        before = dataset.decide()
        said = labelled(before.clip_rows, file) if file else {}
        said |= {clip["clip_id"]: (clip, word) for clip in named(before.clip_rows, ids)}
        changed = [(clip, WORDS[value]) for clip, value in said.values() if clip["by_hand"] != WORDS[value]]
        count = dataset.manifest.read("events").height
        events = [by_hand.event_of(clip, value, count + k) for k, (clip, value) in enumerate(changed)]
        dataset.manifest.append("events", events)
        decided = dataset.decide() if events else before
    return [clip for clip, _ in changed], decided


def show_judged(dataset: Dataset, changed: Sequence[Row], decided: Decided, as_json: bool) -> None:
    """What became of the clips of which something new was said."""
    ids = [clip["clip_id"] for clip in changed]
    now = {clip["clip_id"]: clip for clip in rows_of(decided.clips.filter(pl.col("clip_id").is_in(ids)))}
    if as_json:
        names = ("clip_id", "path", "start_s", "end_s", "by_hand", "state", "reasons")
        print_json([{name: now[clip["clip_id"]][name] for name in names} for clip in changed])
        return
    if not changed:
        click.echo("nothing new: this was said of these clips before", err=True)
        return
    _draw([now[clip["clip_id"]] for clip in changed])
    turned = sum(now[clip["clip_id"]]["state"] != clip["state"] for clip in changed)
    click.echo(f"{counted(turned, 'clip')} of {len(changed)} decided otherwise than before", err=True)
    if left := pending(dataset, decided):
        click.echo(f"to do: {go_on(dataset, left)}", err=True)


def show_all(dataset: Dataset, as_json: bool) -> None:
    """Every clip of which a person said something."""
    every = dataset.manifest.read("clips").to_dicts()
    clips = [clip for clip in every if clip["by_hand"]]
    events = dataset.manifest.read("events").sort("seq", maintain_order=True).to_dicts()
    lost = latest(by_hand.verdicts(events, every)[1])
    if as_json:
        names = ("clip_id", "path", "start_s", "end_s", "by_hand", "state", "reasons")
        print_json({"clips": [{name: clip[name] for name in names} for clip in clips], "lost": lost})
        return
    if clips:
        _draw(clips)
    elif lost:
        click.echo("nobody kept or dropped one of today's clips by hand", err=True)
    else:
        click.echo(f"nobody kept or dropped a clip by hand; {_example(dataset)}", err=True)
    if lost:
        click.echo(f"{counted(len(lost), 'verdict')} on clips that are no more, and come back with them:", err=True)
    for event in lost:
        click.echo(f"  {event['value']} {event['clip_id'][:8]}", err=True)


def _example(dataset: Dataset) -> str:
    return " ".join(["wanprep judge keep CLIP", *out_of(dataset)])


def _draw(clips: Sequence[Row]) -> None:
    rows = []
    for clip in clips:
        against = [name for name, (_, _, said) in json.loads(clip["scores"]).items() if said == "reject"]
        seconds = f"{clip['start_s']:.2f}-{clip['end_s']:.2f}"
        word = clip["by_hand"] or "auto"
        rows.append((clip["clip_id"][:8], clip["path"], seconds, word, clip["state"], ", ".join(against)))
    print_rows(("clip", "~source", "?>seconds", "by hand", "state", "filters against it"), rows)
