"""What commands show: data on stdout (tables for people, JSON for programs), the end of a run on stderr."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wanprep import edits, outcome, standing
from wanprep.runner import Report
from wanprep.schema import STORED
from wanprep.tables import console, counted, plain, print_json, table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from wanprep.captioners.files import Scan
    from wanprep.dataset import Dataset
    from wanprep.run import Summary
    from wanprep.stats_model import Stats

Row = Mapping[str, Any]
SHOWN_FAILED = 5  # items of a step named one by one


def _steps(reports: Mapping[str, Report], dry: bool = False) -> RenderableType:
    """dry: of a step that nothing is known of yet, because earlier ones have not decided, the count is `?`."""
    drawn = table("step", "of", ">done", ">before", ">rejected", ">failed", ">pending", ">seconds")
    for name, report in reports.items():
        counts = (report.done, report.final, sum(report.rejected.values()), len(report.failed), report.pending)
        cells = [str(count or "") for count in counts]
        if dry and not report.wanted:
            cells[-1] = "?"
        drawn.add_row(name, standing.UNITS.get(name, "items"), *cells, "" if dry else f"{report.seconds:.1f}")
    return drawn


def _report_json(report: Report) -> dict[str, Any]:
    values = vars(report) | {"rejected": dict(report.rejected)}
    return values | {"failed": [{"item": item, "why": why} for item, why in report.failed]}


def show_plan(
    dataset: Dataset, reports: Mapping[str, Report], source: Path | None, as_json: bool, scan: Scan, whole: bool = False
) -> None:
    """What a dry run found. Later stages are counted as far as the earlier ones have decided.

    dataset: a preview, which knows of the edits in `scan`. whole: show what its clips become, too: samples, buckets,
    what is left out and why.
    """
    listing = None
    if source is not None:
        from wanprep.captioners import beside
        from wanprep.scan import list_sources

        found = list_sources(source)
        texts = beside.texts_of(dataset.manifest.read("sources").to_dicts(), dataset.roots)
        folder = (source if source.is_dir() else source.parent).resolve()
        ignored = beside.left_alone(found.ignored, texts, str(folder))
        size = sum(max(0, row["bytes"]) for row in found.rows)
        listing = {"sources": len(found.rows), "bytes": size, "captions": len(texts.used), "ignored": dict(ignored)}
    stats = _stats(dataset, 1) if whole and not dataset.manifest.read("clips").is_empty() else None
    if as_json:
        steps = {name: _report_json(report) for name, report in reports.items()}
        told = json.loads(stats.to_json()) if stats else None
        print_json({"source": listing, "steps": steps, "stats": told, "edited": len(scan.events)})
        return
    out = console()
    if listing:
        alone = outcome.listed(listing["ignored"])
        out.print(
            f"{source}: {listing['sources']} sources, {listing['bytes'] / 1e6:.1f} MB; "
            f"captions beside them: {listing['captions']}; left alone: {alone}"
        )
    if stats:
        from wanprep.stats import render

        for by in (None, "view"):
            out.print(render(stats, by))
            out.print()
    out.print(_steps(reports, dry=any(report.pending for report in reports.values())))
    for line in edits.notes_of(dataset, scan):
        out.print(plain(line))
    count = edits.typed(scan)
    if count:
        out.print(f"{counted(count, 'caption')} edited by hand {outcome.were(count)} found and would be taken over")
    out.print("Dry run: nothing was written. Counts of later steps (?: not known yet) grow as earlier ones decide.")
    if whole and stats is None:
        out.print("How large and long the films are, and what becomes of them, is known once they are decoded.")


def show_summary(dataset: Dataset, summary: Summary, as_json: bool, quiet: bool) -> None:
    """The end panel: what was done, what is pending or provisional, what to do next."""
    if quiet and not as_json:
        return
    decided = summary.decided
    assert decided
    lines = outcome.lines(dataset, summary)
    if as_json:
        steps = {name: _report_json(report) for name, report in summary.reports.items()}
        states = {"sources": dict(Counter(row["state"] for row in decided.sources))}
        states |= {name: dict(Counter(getattr(decided, name)["state"])) for name in ("clips", "samples")}
        print_json({"steps": steps, **states, "seconds": summary.seconds, "notes": lines})
        return
    out = console(err=True)
    out.print(_steps(summary.reports))
    for line in lines:
        out.print(line)


def show_status(dataset: Dataset, as_json: bool) -> None:
    """Done, rejected by reason, failed, pending: for every step, counted in what is wanted today."""
    from wanprep.steps import STAGES, steps

    rows = [standing.standing(dataset, step) for stage in STAGES for step in steps(dataset, stage)]
    edited, notes = edits.waiting(dataset)
    if as_json:
        print_json([row | ({"edited": edited} if row["step"] == "caption" else {}) for row in rows])
        return
    drawn = table("step", "of", ">done", ">failed", ">pending", "rejected")
    for row in rows:
        states = [str(row[name] or "") for name in ("done", "failed", "pending")]
        drawn.add_row(row["step"], row["of"], *states, _rejected(row))
    out = console()
    out.print(drawn)
    told = {
        "sources": ("source_id", "root", "path", "kind", "state", "reason", "detail", "gone_in"),
        "clips": ("clip_id", "source_id", "state", "reasons"),
        "samples": ("clip_id", "state", "reason"),
    }
    tables = {name: dataset.manifest.read(name).select(columns).to_dicts() for name, columns in told.items()}
    for name, kept in tables.items():
        counts = outcome.listed(standing.states_of(kept))
        out.print(f"{name:8} {counts}{outcome.several_reasons(kept)}")
    for line in (
        *outcome.source_lines(dataset, tables["sources"]),
        *outcome.clipless_lines(dataset, tables["sources"], tables["clips"]),
        *outcome.clip_lines(dataset, tables["clips"], tables["samples"]),
        *map(plain, notes),
        *(f"{row['step']}: {row['waiting_for']}" for row in rows if row["waiting_for"]),
        *(f"failed in {row['step']}: {plain(item)}" for row in rows for item in row["failed_items"][:SHOWN_FAILED]),
        _looked_at(dataset),
        *_next(dataset, rows),
    ):
        out.print(line)


def _files(dataset: Dataset) -> tuple[int, int]:
    """How many stored files tables speak of, and how many of them are not there in full: pending again."""
    tables = [(dataset.manifest.made(name).height, len(dataset.manifest.absent(name))) for name in STORED]
    return sum(made for made, _ in tables), sum(absent for _, absent in tables)


def _looked_at(dataset: Dataset) -> str:
    made, absent = _files(dataset)
    found = f"{absent} missing or of another size" if absent else "all there"
    return f"stored files: {made} looked at (existence and size; `wanprep verify` reads them), {found}"


def _rejected(row: Row) -> str:
    """What the step's measurements rejected, and what its decision leaves out (of clips, of samples)."""
    parts = [outcome.listed(row["rejected"])] if row["rejected"] else []
    if row["left_out"]:
        parts.append(f"{standing.DECIDES[row['step']]}: {outcome.listed(row['left_out'])}")
    return "; ".join(parts)


def _next(dataset: Dataset, rows: Sequence[Row]) -> list[str]:
    left = {row["step"]: row["pending"] + row["failed"] for row in rows if row["pending"] + row["failed"]}
    return [f"go on with: {standing.go_on(dataset, left)}"] if left else []


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
    listed = dataset.manifest.read("sources").to_dicts()
    sources = [
        {**row, "path": path, "duration_s": _duration(facts.get(row["source_id"]))}
        for row, path in zip(listed, standing.names_of(dataset, listed))
    ]
    clips = dataset.manifest.read("clips").to_dicts()
    origins = {clip["clip_id"]: clip["caption_origin"] for clip in clips}
    lost = dataset.manifest.absent("artefacts")
    samples = []
    for row in dataset.manifest.read("samples").to_dicts():
        mp4 = "done" if row["media_path"] and row["media_key"] not in lost else "pending"
        samples.append({**row, "caption_origin": origins.get(row["clip_id"]), "mp4_state": mp4})
    captions = [
        {"clip_id": clip["clip_id"], "origin": clip["caption_origin"]} for clip in clips if clip["caption_origin"]
    ]
    artefacts = [
        row
        for row in dataset.manifest.latest("artefacts").to_dicts()
        if row["outcome"] == "done" and row["key"] not in lost
    ]
    made = report(clips, samples, sources, captions, artefacts, dataset.pipeline.model, batch_size=batch_size)
    looked_at, absent = _files(dataset)
    return replace(made, cache=replace(made.cache, looked_at=looked_at, absent=absent))


def _duration(signal: Row | None) -> float:
    if not signal or signal["outcome"] != "done":
        return 0.0
    span = signal["last_pts"] + signal["last_duration"] - signal["first_pts"]
    return float(span * Fraction(signal["time_base"]))
