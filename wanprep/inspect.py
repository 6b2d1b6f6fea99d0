"""`wanprep cuts` and `wanprep score`: what the pipeline would decide about files, without a dataset.

One analysis decode a file in worker processes; signals stay in memory and nothing is written. Both commands use the
very functions that a run uses, so what they print is what a run would decide about the same files and settings.
The JSON of both is a list with one entry a file, in the order given (docs/cuts-and-scores.md):

    {"path", "state": "ok" | "rejected" | "failed", "reason", "detail", ...}

cuts, when ok:   "source_id", "kind", "width", "height", "frames" (decoded), "fps" (median), "truncated",
    "hard": [first frame of each new shot], "gradual": [{"kind", "first", "last"}], "black": [{"first", "last"}],
    "clips": [{"start_frame", "end_frame" (exclusive), "start_s", "end_s", "crop", "state", "reason"}]
score, when ok:  "source_id", "kind", "width", "height", "frames", "fps", "truncated",
    "clips": [{... as above, but "state": "keep" | "rejected", "reasons", "unknown",
               "clip_id", "scores": {name: {"value", "threshold", "verdict"}}}]

Frames are 0-based in presentation order. An entry that is not ok has only path, state, reason and detail.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from wanprep import keys
from wanprep.stage import Item, Row
from wanprep.stages.split import ClipSpan, SplitConfig

if TYPE_CHECKING:
    from wanprep.dataset import Dataset
    from wanprep.engines.local import Outcome
    from wanprep.signals.shotlist import ShotList
    from wanprep.signals.store import Signals
    from wanprep.stages.filter import FilterConfig
    from wanprep.stages.windows import View

BLENDED = 2  # mixing frames that a hard cut may have: telecine and frame rate conversion leave one or two
SAY_EVERY = 2.0  # seconds between lines of progress

Entry = dict[str, Any]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Look:
    """Decode one file and find its shots; with `scores`, also measure each clip. One row a file, with its entry."""

    config: SplitConfig
    scores: bool
    name: str = "inspect"
    table: str = ""
    parallel: bool = True

    def items(self, dataset: Dataset) -> list[Item]:
        """None: the files come from the command line."""
        return []

    def measure(self, args: Mapping[str, Any], parts: Mapping[str, Any]) -> Iterable[Row]:
        from wanprep.engines.local import threads
        from wanprep.ids import digest_file
        from wanprep.scan import check_link
        from wanprep.stages.split import measure_source, shots_of, split

        path = Path(args["path"])
        check_link(path)
        signals, facts, _ = measure_source(path, threads=threads())
        source_id = digest_file(path)
        found = shots_of(signals, self.config)
        clips = [_span(signals, clip) for clip in split(signals, self.config, found)[0]]
        entry: Entry = {"source_id": source_id, "kind": facts.kind, **_facts(signals)}
        if self.scores:
            for clip in clips:
                clip["clip_id"] = keys.clip(source_id, clip.pop("start_pts"), clip.pop("end_pts"))
                clip["measured"] = _measured(signals, clip) if clip["state"] == "ok" else None
        else:
            entry |= listing(found)
            for clip in clips:
                del clip["start_pts"], clip["end_pts"]
        return [{"key": key, "entry": entry | {"clips": clips}} for key in parts]


def _facts(signals: Signals) -> Entry:
    steps = np.diff(signals.pts)
    fps = float(1 / (np.median(steps) * float(signals.time_base))) if len(steps) else None
    return {
        "width": signals.width,
        "height": signals.height,
        "frames": len(signals.pts),
        "fps": round(fps, 4) if fps else None,
        "truncated": signals.truncated,
    }


def _span(signals: Signals, clip: ClipSpan) -> Entry:
    seconds = {
        name: round(float((pts - int(signals.pts[0])) * signals.time_base), 6)
        for name, pts in (("start_s", clip.start_pts), ("end_s", clip.end_pts))
    }
    return {**asdict(clip), "crop": list(clip.crop), **seconds}


def _measured(signals: Signals, clip: Mapping[str, Any]) -> Entry:
    from wanprep.stages.scoring import measure_clip

    return measure_clip(signals, clip["start_frame"], clip["end_frame"], clip["crop"])


def listing(found: ShotList) -> Entry:
    """The three lists of `cuts`. A mix of at most BLENDED frames is a hard cut to a viewer, and listed as one (its
    first frame after the mix), as are odd frames at a cut; split trims their frames all the same."""
    spans = [(t.kind, t.first, t.last) for t in found.transitions]
    blended = [s for s in spans if s[0] == "dissolve" and s[2] - s[1] < BLENDED]
    return {
        "hard": sorted({*found.cuts, *(last + 1 for _, _, last in blended)}),
        "gradual": [
            {"kind": kind, "first": first, "last": last}
            for kind, first, last in (s for s in spans if s not in blended)
            if kind not in ("black", "odd")
        ],
        "black": [{"first": first, "last": last} for kind, first, last in spans if kind == "black"],
    }


def look(files: Sequence[str | Path], config: SplitConfig, *, scores: bool, workers: int, say: Say) -> list[Entry]:
    """One entry a file, in the order given. say: takes lines of progress."""
    from wanprep.engines.local import run

    entries: dict[int, Entry] = {}
    items = []
    for index, path in enumerate(files):
        lacking = _no_file(path)
        if lacking is None:
            items.append(Item(label=str(path), parts={str(index): None}, args={"path": str(path)}))
        else:
            reason, detail = lacking
            entries[index] = {"path": _text(path), "state": "failed", "reason": reason, "detail": detail}
            say(f"failed    {_text(path)}: {reason} ({detail})")
    said = time.monotonic()
    for outcome in run(Look(config, scores), items, workers):
        index = int(next(iter(outcome.item.parts)))
        entries[index] = {"path": _text(files[index]), **_entry(outcome)}
        if entries[index]["state"] != "ok":
            say(f"{outcome.kind:8}  {_text(files[index])}: {outcome.reason} ({outcome.detail})")
        elif entries[index]["truncated"]:
            say(f"truncated {_text(files[index])}: {entries[index]['truncated']}")
        if time.monotonic() - said > SAY_EVERY:
            said = time.monotonic()
            say(f"{len(entries)} of {len(files)} files")
    return [entries[index] for index in range(len(files))]


def _no_file(name: str | Path) -> tuple[str, str] | None:
    """(reason, detail) where nothing can be opened. What this user may not look at fails when it is measured."""
    path = Path(name)
    try:
        path.lstat()
        if not os.fspath(name):  # `Path` takes it for the current folder
            raise FileNotFoundError
        return ("folder", f"name its files: {_text(path)}/*") if path.is_dir() else None
    except FileNotFoundError:
        return "not_found", "no such file"
    except OSError:
        return None


def _text(path: str | Path) -> str:
    """A path that can be printed whatever its bytes are."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _entry(outcome: Outcome) -> Entry:
    if outcome.kind == "done":
        return {"state": "ok", "reason": "", "detail": "", **outcome.rows[0]["entry"]}
    state = "rejected" if outcome.kind == "rejected" else "failed"
    return {"state": state, "reason": outcome.reason, "detail": outcome.detail}


def judge(entries: Sequence[Entry], config: FilterConfig, views: Sequence[View] = ()) -> list[str]:
    """Decide about the clips of all entries together (in place); returns warnings. Files with the same bytes are
    judged once and get the same verdicts; which of several copies stays is decided without the views. views: at
    their size compression counts."""
    from wanprep.stages.filter import OPTIONAL, share_warnings
    from wanprep.stages.judge import judge as judge_rows
    from wanprep.stages.precedence import Claim
    from wanprep.stages.scored import scored
    from wanprep.stages.trained import sizes as trained

    good = [entry for entry in entries if entry["state"] == "ok"]
    rows = {}
    sizes: dict[str, Claim] = {}
    for entry in good:
        about = {
            "source_id": entry["source_id"],
            "kind": entry["kind"],
            "group": str(Path(entry["path"]).parent),
            "path": entry["path"],
        }
        for clip in entry["clips"]:
            if clip["measured"]:
                names = ("clip_id", "start_s", "end_s", "start_frame", "end_frame")
                span = {name: clip.get(name) for name in names}
                rows[clip["clip_id"]] = {**about, **span, **clip["measured"]}
                sizes[clip["clip_id"]] = Claim(width=clip["crop"][2], height=clip["crop"][3])
    judged = judge_rows(scored(list(rows.values())), config, claims=lambda _: sizes, trained=trained(views))
    verdicts = {verdict.clip_id: verdict for verdict in judged.verdicts()}
    for clip in (clip for entry in good for clip in entry["clips"]):
        verdict = verdicts.get(clip["clip_id"]) if clip.pop("measured") else None
        reason = clip.pop("reason")
        scores = dict(verdict.scores) if verdict else {}
        clip["state"] = "keep" if verdict and verdict.state == "keep" else "rejected"
        clip["reasons"] = list(verdict.reasons) if verdict else [reason]
        clip["unknown"] = sorted(name for name, (_, _, said) in scores.items() if said == "unknown")
        clip["scores"] = {
            name: {"value": value, "threshold": threshold, "verdict": said}
            for name, (value, threshold, said) in sorted(scores.items())
        }
    reasons = [verdict.reasons for verdict in verdicts.values()]
    unseen = [name for name in OPTIONAL if getattr(config, name).enabled]
    notes = [f"{', '.join(unseen)}: unknown here; an image-text model looks at the clips of a dataset only"]
    return notes[: bool(unseen)] + (share_warnings(reasons, config) if len(reasons) >= 5 else [])


def show_cuts(entries: Sequence[Entry], as_json: bool) -> None:
    """One line a transition and clip for people, the entries for programs; on stdout."""
    from wanprep.stats_render import keep_end
    from wanprep.tables import console, print_json, table

    if as_json:
        print_json(entries)
        return
    drawn = table("file", ">first", ">last", "what")
    for entry in entries:
        name = keep_end(entry["path"], 44)
        if entry["state"] != "ok":
            drawn.add_row(name, "", "", f"{entry['state']}: {entry['reason']}")
            continue
        drawn.add_row(name, "0", str(entry["frames"] - 1), "decoded")
        events = [(cut, cut, "hard cut") for cut in entry["hard"]]
        events += [(t["first"], t["last"], t["kind"]) for t in entry["gradual"]]
        events += [(t["first"], t["last"], "black") for t in entry["black"]]
        events += [(clip["start_frame"], clip["end_frame"] - 1, _clip_said(clip)) for clip in entry["clips"]]
        for first, last, what in sorted(events):
            drawn.add_row("", str(first), str(last), what)
    console().print(drawn)


def _clip_said(clip: Mapping[str, Any]) -> str:
    return "clip" if clip["state"] == "ok" else f"no clip: {clip['reason']}"


def show_scores(entries: Sequence[Entry], as_json: bool) -> None:
    """One line a score for people, the entries for programs; on stdout."""
    from wanprep.stages.filter import measured_elsewhere
    from wanprep.stages.split import meanings
    from wanprep.tables import plain, print_json, print_rows

    if as_json:
        print_json(entries)
        return
    for entry in entries:
        click.echo(plain(f"{entry['path']}: {entry['state']} {entry['reason']}".rstrip()))
        for clip in entry.get("clips", ()):
            scores = dict(clip["scores"])
            like = scores.pop("duplicate_of", {"value": None})["value"]  # a path is in it, too long for a cell
            stays = scores.pop("duplicate_why", {"value": None})["value"]
            same = f"shows the same as {like}; that one stays, because {stays}"
            why = same if like else "; ".join(meanings(clip["reasons"]))
            said = ", ".join([clip["state"], *clip["reasons"]]) + (f": {why}" if why else "")
            click.echo(plain(f"frames {clip['start_frame']}-{clip['end_frame'] - 1}: {said}"))
            rows = [
                (name, _number(score["value"]), _number(score["threshold"]), score["verdict"])
                for name, score in scores.items()
            ]
            if rows:
                print_rows(("score", ">value", ">threshold", "verdict"), rows)
            if "measured_part" in scores:
                click.echo(measured_elsewhere(scores["measured_part"]["value"]))
        click.echo()


def _number(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " ".join(_number(part) for part in value)
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
