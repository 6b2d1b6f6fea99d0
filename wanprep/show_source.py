"""Explaining a source: whether it is used, what of it is missing, and what became of its clips."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from wanprep import edits, found_shots, keys
from wanprep.captioners.files import DAMAGED
from wanprep.captioners.several import number_of, parsed, stem_of
from wanprep.read_as import read_as
from wanprep.stage import UsageError
from wanprep.stages.split import meanings
from wanprep.standing import moved, reasons_of
from wanprep.tables import console, counted, plain, print_json, print_rows

if TYPE_CHECKING:
    from wanprep.dataset import Dataset

Row = Mapping[str, Any]
SHOWN = 8  # sources that one name means, listed


def named(dataset: Dataset, name: str) -> list[dict[str, Any]]:
    """Sources that a name means: the path in whole, else the file's name, else a part of the path (of any case), else
    the file that it is a link to."""
    rows = dataset.manifest.read("sources").to_dicts()
    name = name.removeprefix("./")

    def parts(row: Row) -> tuple[bool, ...]:
        path = row["path"]
        full = dataset.source_name(row) if row["root"] in dataset.roots else path
        is_end = f"/{full}".endswith(f"/{name}")
        return (name in (path, full), is_end, name.lower() in path.lower())

    found = [(parts(row), row) for row in rows]
    for rank in range(3):
        hits = [row for fits, row in found if fits[rank]]
        if hits:
            return hits
    if not os.path.exists(name):  # noqa: PTH110
        return []
    real = os.path.realpath(name)
    there = [row for row in rows if row["root"] in dataset.roots and row["state"] != "gone"]
    return [row for row in there if os.path.realpath(dataset.source_name(row)) == real]


def facts(dataset: Dataset, source: Row) -> dict[str, Any]:
    """The source's row, what of it is missing (`damage`), where it lies, and its clips with the samples of each."""
    clips = dataset.manifest.read("clips").to_dicts()
    stands = source["state"] == "ok" and not source["duplicate_of"]  # files with the same bytes share an id
    mine = [clip for clip in clips if stands and clip["source_id"] == source["source_id"]]
    samples = dataset.manifest.read("samples").select("clip_id", "state", "reason", "cache_state").to_dicts()
    of: dict[str, list[Row]] = {}
    for sample in samples:
        of.setdefault(sample["clip_id"], []).append(sample)
    return {
        **source,
        "file": dataset.source_name(source) if source["root"] in dataset.roots else None,
        "damage": source["detail"] if source["state"] == "ok" else "",
        "now": moved(dataset, dataset.manifest.read("sources").to_dicts()).get(source["source_id"])
        if source["state"] == "gone"
        else None,
        "clips": [_clip(clip, of.get(clip["clip_id"], [])) for clip in mine],
        "read_as": _read_as(dataset, source["source_id"]) if stands else [],
        "transitions": found_shots.transitions(dataset, source["source_id"]) if stands else [],
    }


def _read_as(dataset: Dataset, source_id: str) -> list[str]:
    rows = dataset.manifest.latest("signals").filter(pl.col("key") == keys.signals(source_id)).to_dicts()
    return read_as(rows[0]) if rows else []


def _clip(clip: Row, samples: list[Row]) -> dict[str, Any]:
    states = Counter(row["cache_state"] if row["state"] == "ok" else row["state"] for row in samples)
    names = ("clip_id", "start_s", "end_s", "start_frame", "end_frame", "state", "reasons", "caption")
    why = reasons_of(samples)
    return {name: clip[name] for name in names} | {"samples": dict(sorted(states.items())), "left_out": dict(why)}


def show_source(dataset: Dataset, source: Row, as_json: bool) -> None:
    """One source, on stdout."""
    found = facts(dataset, source)
    if as_json:
        print_json(found)
        return
    out = console()
    reason = f" ({found['reason']})" if found["reason"] else ""
    out.print(f"source {plain(found['path'])}: {found['state']}{reason}")
    if found["detail"] and not found["damage"]:
        out.print(f"  {plain(found['detail'])}")
    if found["damage"]:
        out.print(f"  damaged: {plain(found['damage'])}; its good part is used{_until(found['clips'])}")
    size = "size unknown" if found["bytes"] < 0 else f"{found['bytes'] / 1e6:.1f} MB"
    out.print(f"  {plain(found['file'] or 'its folder is not known any more')}, {size}, group {plain(found['group'])}")
    for line in found["read_as"]:
        out.print(f"  {plain(line)}")
    if not found["clips"]:
        stands = found["state"] == "ok"
        out.print("  it has no clips" + (" yet: it is still to be split" if stands else ""))
        return
    for line in _left_out(found):
        out.print(f"  {line}")
    states = sorted(Counter(clip["state"] for clip in found["clips"]).items())
    out.print(f"  {counted(len(found['clips']), 'clip')}: {', '.join(f'{n} {state}' for state, n in states)}")
    rows = []
    for clip in found["clips"]:
        samples = ", ".join(f"{count} {state}" for state, count in clip["samples"].items()) or "none"
        why = ", ".join([*clip["reasons"], *(reason for reason in clip["left_out"] if reason not in clip["reasons"])])
        rows.append((clip["clip_id"][:8], f"{clip['start_s']:.2f}-{clip['end_s']:.2f}", clip["state"], samples, why))
    print_rows(("clip", ">seconds", "state", "samples", "why"), rows)


def _left_out(found: Row) -> list[str]:
    """Transitions between the clips, and what the reasons of `split` say where no clip is kept."""
    spans = [f"{it['kind']} {it['first']}-{it['last']}" for it in found["transitions"]]
    more = f" and {len(spans) - SHOWN} more" if len(spans) > SHOWN else ""
    lines = [f"frames of transitions, in no clip: {', '.join(spans[:SHOWN])}{more}"] if spans else []
    if all(clip["state"] == "rejected" for clip in found["clips"]):
        reasons = dict.fromkeys(reason for clip in found["clips"] for reason in clip["reasons"])
        why = "; ".join([f"{name}: {said}" for name in reasons for said in meanings([name])])
        lines.append(f"none of its clips is kept ({', '.join(reasons)})" + (f". {why}" if why else ""))
    return lines


def _until(clips: list[dict[str, Any]]) -> str:
    return f", up to {max(clip['end_s'] for clip in clips):.2f} s" if clips else ""


def show_named(dataset: Dataset, name: str, as_json: bool) -> None:
    """The one source that a name means. UsageError, with what there is, when it is none or several."""
    found = named(dataset, name)
    if not found:
        raise UsageError(
            f"no clip with an id that starts with {name!r}, and no source with it in its path; "
            "`wanprep clips` and `wanprep stats --by source` list them"
        )
    if len(found) > 1:
        first = [f"  {plain(row['path'])}: {row['state']} {row['reason']}".rstrip() for row in found[:SHOWN]]
        rest = [f"  and {len(found) - SHOWN} more; wanprep stats --by source lists them"] if len(found) > SHOWN else []
        raise UsageError("\n".join([f"{len(found)} sources have {name!r} in their path:", *first, *rest]))
    show_source(dataset, found[0], as_json)


def flags_of(clip: Row) -> list[str]:
    """What the checks say of a clip's caption, and whether it is provisional."""
    return list(dict.fromkeys([*(clip["caption_flags"] or ()), *(["provisional"] if clip["provisional"] else [])]))


def caption_lines(dataset: Dataset, clip: Row) -> list[str]:
    """What is to be said of a clip's captions: each as trained on with its weight, or why there is none, and whether
    somebody typed since; nothing of a clip that is not kept."""
    if clip["state"] != "keep" and clip["caption"] is None:
        return []
    more = parsed(clip["more_captions"])
    found = [_without_caption(dataset, clip)] if clip["caption"] is None else []
    if clip["caption"] is not None:
        weight = ", weight 1" if more else ""
        flags = f"; {', '.join(flags_of(clip))}" if flags_of(clip) else ""
        found.append(f"caption ({clip['caption_origin']}{weight}{flags}): {plain(clip['caption'])}")
    found += [f"caption {it['number']} ({it['origin']}, weight {it['weight']:g}): {plain(it['text'])}" for it in more]
    for number, events in sorted(edits.history(dataset, clip).items()):
        words = [event["value"] for event in events if event["value"] is not None and event["origin"] == "human"]
        if events[-1]["value"] is None and words:
            name = "caption" if number == 1 else f"caption {number}"
            found.append(f"{name} that was typed and taken back: {plain(words[-1])}")
    typed = edits.of_clip(dataset, clip["clip_id"])
    return [*found, f"typed since, not taken up yet: {', '.join(typed)}"] if typed else found


def _without_caption(dataset: Dataset, clip: Row) -> str:
    damaged = [event for (*_, event) in edits.history(dataset, clip).values() if event["origin"] == DAMAGED]
    if damaged:
        name = f"captions/{stem_of(clip['clip_id'], number_of(damaged[0]['kind']) or 1)}.txt"
        return f"caption: none, {name} cannot be read ({plain(damaged[0]['value'])}); not trained on until it can be"
    rows = dataset.manifest.latest("captions").filter(pl.col("key") == clip["caption_key"]).to_dicts()
    if not rows or rows[0]["outcome"] == "done":
        return "caption: none yet"
    said = ": ".join(filter(None, (rows[0]["reason"], rows[0]["detail"])))
    return f"caption: none, {rows[0]['outcome']} ({plain(said)}); it is not trained on until it has one"
