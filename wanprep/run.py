"""One run: list the sources, then measure and decide stage by stage.

Everything here is safe to stop at any moment: the next run sees what is final and goes on from there.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wanprep import arrivals, edits
from wanprep.captioners import files as caption_files
from wanprep.captioners import leads, publishing
from wanprep.config import to_table
from wanprep.dataset import Dataset
from wanprep.decide import Decided
from wanprep.ids import key_of
from wanprep.known import found_sources, take_sources
from wanprep.runner import Listener, Options, Report, run_stage
from wanprep.stage import Missing
from wanprep.steps import steps


@dataclass(kw_only=True)
class Summary:
    """What a run did. reports: by step; ignored: files in SRC that are no sources, by extension."""

    reports: dict[str, Report] = field(default_factory=dict)
    ignored: Counter[str] = field(default_factory=Counter)
    folder: str = ""  # SRC, or the folder that it is in
    news: int = 0  # `gone_in` of the sources that this run missed first; 0: none
    kept: frozenset[str] = frozenset()  # clips that were kept when it began
    edited: int = 0  # captions changed by hand since the last run
    published: int = 0  # caption files written
    notes: list[str] = field(default_factory=list)  # what people should look at
    decided: Decided | None = None
    waiting: str = ""  # what pending items wait for, and the command that helps
    seconds: float = 0.0

    @property
    def failed(self) -> list[tuple[str, str]]:
        return [failure for report in self.reports.values() for failure in report.failed]


def run(
    dataset: Dataset,
    stages: Sequence[str],
    options: Options,
    *,
    source: Path | None = None,
    listen: Listener = lambda *_: None,
    command: str = "",
) -> Summary:
    """Run the named stages. Raises UsageError, Missing (for a stage asked for by name), Held."""
    start = time.perf_counter()
    summary = Summary()
    if "cache" in stages:
        _check_named_weights(dataset)
    listing = None if source is None else found_sources(dataset, source)  # first: a wrong SRC leaves nothing behind
    with dataset.lease():
        if source is not None:
            taken = take_sources(dataset, source, listing)
            summary.ignored, summary.notes, summary.news = taken.ignored, taken.notes, taken.news
            summary.folder = str((source if source.is_dir() else source.parent).resolve())
        elif "caption" in stages:
            arrivals.look_again(dataset)
        _take_stock(dataset, summary, command)
        _go_through(dataset, stages, options, summary, listen)
    summary.seconds = time.perf_counter() - start
    return summary


def _take_stock(dataset: Dataset, summary: Summary, command: str) -> None:
    """Store the settings, and take over what was edited by hand."""
    stored = dataset.save()
    dataset.read_ahead(clips=("clip_id", "state", "caption_key"), runs=("key", "seq"))
    clips = dataset.manifest.read("clips", ("clip_id", "state"))
    summary.kept = frozenset(clips.filter(state="keep")["clip_id"])
    _note_run(dataset, command)
    summary.edited, notes = find_edits(dataset)
    summary.notes += [*notes, *([stored] if stored else [])]
    summary.notes += dataset.pipeline.caption.warnings()


def _go_through(dataset: Dataset, stages: Sequence[str], options: Options, summary: Summary, listen: Listener) -> None:
    decided = dataset.decide()
    for stage in stages:
        if stage == "cache" and not _can_cache(dataset, summary, by_name=len(stages) == 1):
            continue
        for step in steps(dataset, stage):
            report = run_stage(step, dataset, options, listen)
            summary.reports[step.name] = report
            wanted = wanted_captions(dataset) if stage == "caption" else None
            asks_anew = bool(wanted) and wanted != asked_captions(decided)
            if report.done or report.rejected or report.failed or asks_anew:
                decided = dataset.decide(wanted)
        if stage == "caption":
            summary.published = publish_captions(dataset, decided)
            summary.notes += leads.notes(decided.chosen, dataset.pipeline.caption)
    summary.decided = decided


def plan(dataset: Dataset, stages: Sequence[str], options: Options) -> dict[str, Report]:
    """What each step would measure, as far as the decisions of today tell. Writes nothing."""
    from wanprep.standing import unencoded

    found = {}
    for stage in stages:
        for step in steps(dataset, stage):
            found[step.name] = run_stage(step, dataset, options)
    if options.limit is None and options.only is None:  # what has no key yet is no item, but will be one
        for name, count in unencoded(dataset).items():
            if name in found:
                found[name].pending = max(found[name].pending, count)
                found[name].wanted = max(found[name].wanted, count)
    return found


def _note_run(dataset: Dataset, command: str) -> None:
    """Remember the settings of this run, once for every change of them (back to earlier ones too: which were in force
    when a caption file was written is told from this, see `captioners.leads`)."""
    from wanprep import __version__

    pipeline = to_table(dataset.pipeline)
    key = key_of(pipeline=pipeline, version=__version__)
    if key not in dataset.manifest.read("runs", ("key", "seq")).sort("seq")["key"].tail(1):
        import json

        text = json.dumps(pipeline, sort_keys=True)
        dataset.manifest.append("runs", [{"key": key, "command": command, "pipeline": text, "version": __version__}])


def _check_named_weights(dataset: Dataset) -> None:
    """Weights named by the user are checked first, not when hours of decoding are done. Missing says what is wrong."""
    from wanprep.models.find import require_weights
    from wanprep.stages.cache import encoders_of

    named = dataset.pipeline.cache.weights
    for part in () if named == "auto" else encoders_of(dataset.pipeline.model):
        require_weights(dataset.pipeline.model, part, override=Path(named))


def _can_cache(dataset: Dataset, summary: Summary, *, by_name: bool) -> bool:
    if dataset.encoder() is not None:
        return True
    from wanprep.models.find import download_hint, find_weights
    from wanprep.stages.cache import encoders_of
    from wanprep.standing import unencoded

    model = dataset.pipeline.model
    absent = [part for part in encoders_of(model) if find_weights(model, part) is None]
    what = f"the weights of {model.name} ({' and '.join(absent)}) are not on this machine"
    remedy = download_hint(model, *absent)
    if by_name:
        raise Missing(what, remedy)
    left = unencoded(dataset)
    for name, count in left.items():
        summary.reports[name] = Report(stage=name, wanted=count, pending=count, waiting_for=what)
    summary.waiting = f"{what}. {remedy}" if any(left.values()) else ""
    return False


def find_edits(dataset: Dataset) -> tuple[int, list[str]]:
    """Record captions that were edited by hand since the last run: how many, and notes on files that are odd."""
    found = edits.found(dataset)
    dataset.manifest.append("events", found.events)
    dataset.manifest.append("published", found.seen)
    notes = edits.notes_of(dataset, found)
    notes += [f"captions/{name} belongs to no clip of this dataset; it is left alone" for name in found.unknown]
    return edits.typed(found), notes


def wanted_captions(dataset: Dataset) -> dict[str, str]:
    """clip_id -> key of the caption that each kept clip asks for now."""
    captions = steps(dataset, "caption")[0]
    return {item.row["clip_id"]: next(iter(item.parts)) for item in captions.items(dataset)}


def asked_captions(decided: Decided) -> dict[str, str]:
    """As `wanted_captions`, of the captions that these decisions were made with."""
    return dict(decided.clips.select("clip_id", "caption_key").drop_nulls().iter_rows())


def publish_captions(dataset: Dataset, decided: Decided) -> int:
    """Write captions/<clip_id>.txt where they differ; a file edited by hand is left alone."""
    published = dataset.manifest.read("published").sort("seq", maintain_order=True)
    written = publishing.publish(
        dataset.root / caption_files.FOLDER,
        decided.clip_rows,
        decided.chosen,
        caption_files.known_files(published.to_dicts()),
        lambda rows: dataset.manifest.append("published", rows),
    )
    return len(written)
