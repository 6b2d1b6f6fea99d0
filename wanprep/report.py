"""What commands show: data on stdout (tables for people, JSON for programs), the end of a run on stderr."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wanprep.captioners.checks import SERIOUS
from wanprep.runner import Report
from wanprep.stage import Missing
from wanprep.tables import console, print_json, table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from wanprep.dataset import Dataset
    from wanprep.decide import Decided
    from wanprep.run import Summary
    from wanprep.stage import Stage
    from wanprep.stats_model import Stats

Row = Mapping[str, Any]


def _steps(reports: Mapping[str, Report]) -> RenderableType:
    drawn = table("step", ">done", ">before", ">rejected", ">failed", ">pending", ">seconds")
    for name, report in reports.items():
        counts = (report.done, report.final, sum(report.rejected.values()), len(report.failed), report.pending)
        drawn.add_row(name, *(str(count or "") for count in counts), f"{report.seconds:.1f}")
    return drawn


def _report_json(report: Report) -> dict[str, Any]:
    values = vars(report) | {"rejected": dict(report.rejected)}
    return values | {"failed": [{"item": item, "why": why} for item, why in report.failed]}


def show_plan(
    dataset: Dataset, reports: Mapping[str, Report], source: Path | None, as_json: bool, whole: bool = False
) -> None:
    """What a dry run found. Later stages are counted as far as the earlier ones have decided.

    dataset: a preview. whole: show what its clips become, too: samples, buckets, what is left out and why.
    """
    listing = None
    if source is not None:
        from wanprep.scan import list_sources

        found = list_sources(source)
        size = sum(max(0, row["bytes"]) for row in found.rows)
        listing = {"sources": len(found.rows), "bytes": size, "ignored": dict(found.ignored)}
    stats = _stats(dataset, 1) if whole and not dataset.manifest.read("clips").is_empty() else None
    if as_json:
        steps = {name: _report_json(report) for name, report in reports.items()}
        print_json({"source": listing, "steps": steps, "stats": json.loads(stats.to_json()) if stats else None})
        return
    out = console()
    if listing:
        ignored = ", ".join(f"{count} {suffix}" for suffix, count in sorted(listing["ignored"].items()))
        out.print(
            f"{source}: {listing['sources']} sources, {listing['bytes'] / 1e6:.1f} MB; left alone: {ignored or 'none'}"
        )
    if stats:
        from wanprep.stats import render

        for by in (None, "view"):
            out.print(render(stats, by))
            out.print()
    out.print(_steps(reports))
    out.print("Dry run: nothing was written. Counts of later steps grow as earlier ones decide.")


def show_summary(dataset: Dataset, summary: Summary, as_json: bool, quiet: bool) -> None:
    """The end panel: what was done, what is pending or provisional, what to do next."""
    decided = summary.decided
    assert decided
    lines = _outcome_lines(dataset, summary)
    if as_json:
        steps = {name: _report_json(report) for name, report in summary.reports.items()}
        states = {
            name: dict(Counter(row["state"] for row in getattr(decided, name)))
            for name in ("sources", "clips", "samples")
        }
        print_json({"steps": steps, **states, "seconds": summary.seconds, "notes": lines})
        return
    if quiet:
        return
    out = console(err=True)
    out.print(_steps(summary.reports))
    for line in lines:
        out.print(line)


def _outcome_lines(dataset: Dataset, summary: Summary) -> list[str]:
    decided = summary.decided
    assert decided
    lines = []
    for name in ("sources", "clips", "samples"):
        lines.append(f"{name:8} {_listed(_states(decided, name))}")
    if summary.ignored:
        lines.append(f"left alone (no movie or picture): {_listed(summary.ignored)}")
    if summary.edited:
        lines.append(f"{summary.edited} captions edited by hand were taken over")
    if decided.orphaned:
        lines.append(f"{len(decided.orphaned)} captions by hand have lost their clip (kept; see the events table)")
    lines += _caption_lines(dataset, decided)
    if dataset.pipeline.model.caution:
        lines.append(dataset.pipeline.model.caution)
    lines += decided.warnings + summary.notes
    if summary.published:
        lines.append(f"{summary.published} caption files written")
    if summary.waiting:
        lines.append(f"pending: {summary.waiting}")
    lines.append(_last_line(dataset, summary))
    return lines


def _caption_lines(dataset: Dataset, decided: Decided) -> list[str]:
    """What is to be said of captions: placeholders, what the checks found, what the models used."""
    clips = [clip for clip in decided.clips if clip["caption"] is not None]
    lines = []
    template = sum(clip["caption_origin"] == "template" for clip in clips)
    if template:
        lines.append(f"{template} captions are provisional (from the template): edit captions/*.txt, or caption --vlm")
    flagged = [clip for clip in clips if clip["provisional"] and clip["caption_origin"] != "template"]
    if flagged:
        counts = Counter(flag for clip in flagged for flag in clip["caption_flags"] if flag in SERIOUS)
        lines.append(f"{len(flagged)} captions need a look ({_listed(counts)}): wanprep clips, edit captions/*.txt")
    alike = sum("near_identical" in clip["caption_flags"] for clip in clips)
    if alike:
        lines.append(f"{alike} captions say nearly the same as that of another clip")
    rows = dataset.manifest.latest("captions")
    if len(rows) and rows["tokens_in"].sum():
        cost = rows["cost"].sum()
        spent = f", cost {cost:.2f}" if cost else ""
        lines.append(f"captions so far: {rows['tokens_in'].sum()} tokens in, {rows['tokens_out'].sum()} out{spent}")
    return lines


def _states(decided: Any, name: str) -> Counter[str]:
    return Counter(row["state"] for row in getattr(decided, name))


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "none"


def _last_line(dataset: Dataset, summary: Summary) -> str:
    if summary.failed:
        return f"{len(summary.failed)} items failed; they are tried again by the next run. {summary.seconds:.1f} s"
    left = sum(report.pending for report in summary.reports.values() if not report.waiting_for)
    if left:
        return f"{left} items are pending (--limit, --only). {summary.seconds:.1f} s"
    if not summary.published and not any(report.done or report.rejected for report in summary.reports.values()):
        what = "nothing else is pending" if summary.waiting else "nothing is pending"
        return f"{what}: {dataset.root} is up to date. {summary.seconds:.1f} s"
    what = "all that this machine can do is done" if summary.waiting else f"{dataset.root} is complete"
    return f"{what}. {summary.seconds:.1f} s"


def show_status(dataset: Dataset, as_json: bool) -> None:
    """Done, rejected by reason, failed, pending: for every step, counted in what is wanted today."""
    from wanprep.run import STAGES
    from wanprep.steps import steps

    rows = [_step_status(dataset, step) for stage in STAGES for step in steps(dataset)[stage]]
    if as_json:
        print_json(rows)
        return
    drawn = table("step", ">done", ">failed", ">pending", "rejected")
    for row in rows:
        states = [str(row[name] or "") for name in ("done", "failed", "pending")]
        drawn.add_row(row["step"], *states, _listed(row["rejected"]) if row["rejected"] else "")
    out = console()
    out.print(drawn)
    for row in rows:
        if row["waiting_for"]:
            out.print(f"{row['step']}: {row['waiting_for']}")


def _step_status(dataset: Dataset, step: Stage) -> dict[str, Any]:
    ended = dataset.manifest.outcomes(step.table)
    outcomes = dict(zip(ended["key"], zip(ended["outcome"], ended["reason"])))
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    try:
        items, waiting = step.items(dataset), ""
    except Missing as missing:
        items, waiting = [], missing.what
        counts["pending"] = int((dataset.manifest.read("clips")["state"] == "keep").sum())
    for key in (key for item in items for key in item.parts):
        outcome, reason = outcomes.get(key, ("pending", ""))
        counts[outcome] += 1
        if outcome == "rejected":
            reasons[reason] += 1
    if step.name == "latents" and dataset.encoder() is None:  # without weights a latent has no key yet
        counts["pending"] = int((dataset.manifest.read("samples")["state"] == "ok").sum())
    numbers = {name: counts[name] for name in ("done", "failed", "pending")}
    return {"step": step.name, **numbers, "rejected": dict(reasons), "waiting_for": waiting}


def show_stats(dataset: Dataset, as_json: bool, by: Any, batch_size: int) -> None:
    from wanprep.stats import render

    stats = _stats(dataset, batch_size)
    if as_json:
        click.echo(stats.to_json())
    else:
        console().print(render(stats, by))


def _stats(dataset: Dataset, batch_size: int) -> Stats:
    from wanprep.stats import report

    facts = {row["source_id"]: row for row in dataset.manifest.latest("signals").to_dicts()}
    sources = [
        {**row, "duration_s": _duration(facts.get(row["source_id"]))}
        for row in dataset.manifest.read("sources").to_dicts()
    ]
    clips = dataset.manifest.read("clips").to_dicts()
    origins = {clip["clip_id"]: clip["caption_origin"] for clip in clips}
    samples = [
        {**row, "caption_origin": origins.get(row["clip_id"]), "mp4_state": "done" if row["media_path"] else "pending"}
        for row in dataset.manifest.read("samples").to_dicts()
    ]
    captions = [
        {"clip_id": clip["clip_id"], "origin": clip["caption_origin"]} for clip in clips if clip["caption_origin"]
    ]
    artefacts = [row for row in dataset.manifest.latest("artefacts").to_dicts() if row["outcome"] == "done"]
    return report(clips, samples, sources, captions, artefacts, dataset.pipeline.model, batch_size=batch_size)


def _duration(signal: Row | None) -> float:
    if not signal or signal["outcome"] != "done":
        return 0.0
    span = signal["last_pts"] + signal["last_duration"] - signal["first_pts"]
    return float(span * Fraction(signal["time_base"]))
