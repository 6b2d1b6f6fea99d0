"""`wanprep filter --preview`: what each threshold drops or would drop, with the worst and the borderline clips.

Pure but for `show_preview`, which prints. Nothing is stored.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from heapq import nlargest, nsmallest
from typing import TYPE_CHECKING, Any

from wanprep.stages.filter import REGISTRY, Filter, FilterConfig

if TYPE_CHECKING:
    from wanprep.dataset import Dataset

Row = Mapping[str, Any]
WORST, BORDERLINE = 3, 2  # examples


def weigh(clips: Sequence[Row], stored: Mapping[str, str], config: FilterConfig) -> dict[str, Any]:
    """What the filters make of scored clips.

    clips: rows of the clips table as they would be decided, with `scores` as text. stored: clip_id -> state as it is
    stored now. Returns {"clips", "unscored", "kept", "newly_dropped", "newly_kept": [clip], "filters": [one a
    filter]}; a filter that is off is weighed as if it were on, with "enabled": False. The value of a newly dropped clip
    is its score of the first of its reasons; one that is newly kept has none.
    """
    found = [clip for clip in clips if clip["scores"] != "{}"]
    parsed = json.loads(f"[{','.join(clip['scores'] for clip in found)}]")  # a call for each takes longer
    scored = [{**clip, "scores": scores} for clip, scores in zip(found, parsed)]
    kept = [clip for clip in scored if clip["state"] == "keep"]
    dropped = [clip for clip in scored if clip["state"] == "rejected"]
    return {
        "clips": len(scored),
        "unscored": sum(clip["state"] == "pending" for clip in clips),
        "kept": len(kept),
        "newly_dropped": [_example(clip, _first(clip)) for clip in dropped if stored.get(clip["clip_id"]) == "keep"],
        "newly_kept": [_example(clip, None) for clip in kept if stored.get(clip["clip_id"]) == "rejected"],
        "filters": [_weigh(entry, scored, config) for entry in REGISTRY.values()],
    }


def _weigh(entry: Filter, clips: Sequence[Row], config: FilterConfig) -> dict[str, Any]:
    rule = getattr(config, entry.name)
    sign = 1.0 if entry.bad == "above" else -1.0
    known = []
    unknown = 0
    for clip in clips:
        value, _, said = clip["scores"].get(entry.name, (None, None, ""))
        unknown += said == "unknown"
        if value is not None:
            beyond = sign * (value - rule.threshold)
            bad = said == "reject" or (said == "off" and beyond > 0)
            known.append((beyond, clip, value, bad))
    out, kept = ([item for item in known if item[3] is bad] for bad in (True, False))
    worst = nsmallest(WORST, out, key=_worst_first)
    just = nlargest(min(BORDERLINE, len(out) - len(worst)), out, key=_worst_first)[::-1]
    alone = sum(clip["reasons"] == [entry.name] for _, clip, _, _ in out)
    return {
        "filter": entry.name, "enabled": rule.enabled, "score": entry.score, "unit": entry.unit, "bad": entry.bad,
        "threshold": rule.threshold, "drops": len(out), "share": len(out) / max(1, len(clips)), "alone": alone,
        "unknown": unknown, "worst": [_example(clip, value) for _, clip, value, _ in worst],
        "just_dropped": [_example(clip, value) for _, clip, value, _ in just],
        "just_kept": [_example(it[1], it[2]) for it in nsmallest(BORDERLINE, kept, key=_worst_first)],
    }  # fmt: skip


def _worst_first(item: tuple[float, Row, float, bool]) -> tuple[float, str]:
    return -item[0], item[1]["clip_id"]


def _first(clip: Row) -> float | None:
    """The score for which a rejected clip is, of several the first; None where no filter rejects it."""
    return next((clip["scores"][name][0] for name in clip["reasons"] if name in clip["scores"]), None)


def _example(clip: Row, value: float | None) -> dict[str, Any]:
    names = ("clip_id", "path", "start_s", "end_s", "reasons")
    like = clip["scores"].get("duplicate_of")
    return {name: clip[name] for name in names} | {"value": value} | ({"like": like[0]} if like else {})


def show_preview(dataset: Dataset, as_json: bool) -> None:
    """Weigh the dataset's clips with the settings it was opened with; on stdout."""
    from wanprep.decide import judged_clips
    from wanprep.tables import console, keep_ends, print_json, print_rows, table

    stored = dict(dataset.manifest.read("clips").select("clip_id", "state").iter_rows())
    found = weigh(judged_clips(dataset.measured(), dataset.pipeline), stored, dataset.pipeline.filter)
    if as_json:
        print_json(found)
        return
    out = console()
    drawn = table("filter", "rejected when", ">clips", ">share", ">alone", ">unknown")
    for it in found["filters"]:
        name = it["filter"] if it["enabled"] else f"({it['filter']})"
        rule = f"{it['score']} {it['bad']} {it['threshold']:g}"
        counts = (str(it[key] or "") for key in ("alone", "unknown"))
        drawn.add_row(name, rule, str(it["drops"] or ""), f"{it['share']:.0%}" if it["drops"] else "", *counts)
    out.print(drawn)
    out.print("alone: no other filter rejects it. (in brackets): off, and what it would do if it were on.")
    examples = []
    for it in found["filters"]:
        for kind in ("worst", "just_dropped", "just_kept"):
            for clip in it[kind] if it["enabled"] else ():
                examples.append((it["filter"], kind.replace("_", " "), _number(clip["value"]), *_where(clip)))
    print_rows(("filter", "example", ">value", "clip", "~source", ">seconds"), examples)
    out.print()
    changes = [("dropped", clip) for clip in found["newly_dropped"]] + [("kept", c) for c in found["newly_kept"]]
    for what, clip in changes[:20]:
        name, source, seconds = _where(clip)
        out.print(f"newly {what}: {name} {keep_ends(source, 24)} {seconds} s {', '.join(clip['reasons'])}")
    if lacking := _not_scored(dataset, found):
        out.print(lacking)
    out.print(
        f"{found['kept']} of {found['clips']} scored clips would be kept; against what is stored "
        f"{len(found['newly_dropped'])} newly dropped, {len(found['newly_kept'])} newly kept. Nothing was written."
    )


def _not_scored(dataset: Dataset, found: Mapping[str, Any]) -> str:
    """What is not in the table, and how it gets there; "" where all is."""
    from wanprep.standing import out_of
    from wanprep.tables import counted

    if found["clips"] and not found["unscored"]:
        return ""
    what = f"{counted(found['unscored'], 'clip')} not scored yet" if found["unscored"] else "no clip is known yet"
    commands = ("filter",) if found["unscored"] else ("split", "fps", "filter")
    return f"{what} with these settings: {' && '.join(shlex.join(['wanprep', c, *out_of(dataset)]) for c in commands)}"


def _where(clip: Row) -> tuple[str, str, str]:
    from wanprep.tables import plain

    return clip["clip_id"][:8], plain(clip["path"]), f"{clip['start_s']:.2f}-{clip['end_s']:.2f}"


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.3g}"
