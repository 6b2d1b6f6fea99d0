"""The end of a run in words: what there is now, what is left out and why, what is still to be done, by which command.

Every line is true of the whole dataset, not only of this run: what an earlier run rejected is told again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from wanprep import found_shots, lost, originals, replaced, standing
from wanprep.captioners import beside, faults, leads
from wanprep.captioners.agreement import captions_of
from wanprep.captioners.checks import MAX_TOKENS, SERIOUS, estimated_tokens
from wanprep.captioners.choose import REWRITE
from wanprep.captioners.rewrite import FAILED
from wanprep.claims import typed_in
from wanprep.families import family
from wanprep.frames import rows_of
from wanprep.stages.caption import token_counter
from wanprep.tables import counted, plain

if TYPE_CHECKING:
    from wanprep.dataset import Dataset
    from wanprep.decide import Decided
    from wanprep.run import Summary

Row = Mapping[str, Any]
SHOWN_NAMES = 5  # sources named in one line
SHOWN_REASONS = 6


def lines(dataset: Dataset, summary: Summary) -> list[str]:
    """What the end panel says below its table; the last line is the state of things."""
    decided = summary.decided
    assert decided
    samples = decided.samples.select("clip_id", "state", "reason").to_dicts()
    tables = {"sources": decided.sources, "clips": decided.clip_rows, "samples": samples}
    found = [state_line(name, rows) for name, rows in tables.items()]
    found += source_lines(dataset, decided.sources, summary.news) + clipless_lines(
        dataset, decided.sources, decided.clip_rows
    )
    found += clip_lines(dataset, decided.clip_rows, samples)
    found += _text_lines(dataset, summary, decided)
    if summary.edited:
        found.append(f"{counted(summary.edited, 'caption')} edited by hand {were(summary.edited)} taken over")
    found += map(plain, lost.lines(dataset, decided.orphaned, decided.sources))
    found += _copy_lines(dataset, decided, summary)
    found += _caption_lines(dataset, decided) + _long_lines(dataset, decided.clip_rows)
    if dataset.pipeline.model.caution:
        found.append(dataset.pipeline.model.caution)
    found += decided.warnings + summary.notes
    if summary.published:
        found.append(f"{counted(summary.published, 'caption file')} written")
    if summary.waiting:
        found.append(f"pending: {summary.waiting}")
    fault = faults.line(decided.clip_rows, dataset.pipeline.caption.sampling)
    return [*found, *([fault] if fault else []), _last_line(dataset, summary)]


def state_line(name: str, rows: Sequence[Row]) -> str:
    """`clips    7 keep, 2 rejected (1 too_short, 1 blur)`."""
    parts = []
    for state, count in sorted(standing.states_of(rows).items()):
        why = standing.reasons_of(rows, state) if state in ("rejected", "duplicate") else Counter()
        parts.append(f"{count} {state}" + (f" ({_most(why)}{several_reasons(rows, state)})" if why else ""))
    return f"{name:8} {', '.join(parts) or 'none'}"


def source_lines(dataset: Dataset, sources: Sequence[Row], news: int | None = None) -> list[str]:
    """Sources that are not whole, by name: rejected, lost (the newest first), moved just now, or cut off.

    news: `gone_in` of those that this run missed first; None where it is no run, which tells all in one.
    """
    out, found = _out(dataset), []
    named = list(zip(sources, standing.names_of(dataset, sources)))
    groups = {"rejected": [name for row, name in named if row["state"] == "rejected"]}
    groups |= _gone(named, standing.moved(dataset, sources), news)
    groups["damaged, its good part is used"] = [name for row, name in named if standing.is_damaged(row)]
    for what, names in groups.items():
        more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
        if names:
            found.append(f"{what}: {', '.join(map(plain, names[:SHOWN_NAMES]))}{more}")
    if found:
        found.append(f"why: wanprep explain NAME{out}; all of them: wanprep stats --by source{out}")
    return found


def _gone(named: Sequence[tuple[Row, str]], now: Mapping[str, str], news: int | None) -> dict[str, list[str]]:
    """Names of what is gone by what is said of it. What moved is told once: nothing is lost by it."""
    gone = [(row, name) for row, name in named if row["state"] == "gone"]
    gone.sort(key=lambda pair: -(pair[0]["gone_in"] or 0))
    lost = [(row, name) for row, name in gone if row["reason"] != originals.MOVED]
    if news is None:
        return {"gone": [name for _, name in lost]}

    def is_new(row: Row) -> bool:
        return bool(news) and row["gone_in"] == news

    left = [(row, name) for row, name in gone if row["reason"] == originals.MOVED and is_new(row)]
    return {
        "gone": [name for row, name in lost if is_new(row)],
        "gone in earlier runs": [name for row, name in lost if not is_new(row)],
        "moved": [name + (f" (now {now[row['source_id']]})" if row["source_id"] in now else "") for row, name in left],
    }


def clipless_lines(dataset: Dataset, sources: Sequence[Row], clips: Sequence[Row]) -> list[str]:
    """Good sources that give no clip, and whether they look as if they had been cut before."""
    names, why = found_shots.clipless(sources, clips)
    hint = found_shots.cut_before(dataset, sources)
    if not names:
        return [plain(hint)] if hint else []
    more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    several = "; a source may have several" if sum(why.values()) > len(names) else ""
    said = f"{counted(len(names), 'source')} without a kept clip ({_most(why)}{several})"
    return [f"{said}: {', '.join(map(plain, names[:SHOWN_NAMES]))}{more}", *([plain(hint)] if hint else [])]


def clip_lines(dataset: Dataset, clips: Sequence[Row], samples: Sequence[Row]) -> list[str]:
    """Kept clips that are not trained on: without a caption, or without a sample."""
    out, found = _out(dataset), []
    refused = standing.uncaptioned(clips)
    if refused:
        count, reason = sum(refused.values()), _first(refused)
        found.append(
            f"{counted(count, 'kept clip')} {are(count)} not trained on, because the caption was rejected "
            f"({listed(refused)}): wanprep clips --reason {reason}{out}"
        )
    idle, why = standing.without_samples(clips, samples)
    if idle:
        reason = _first(why)
        found.append(
            f"{idle} of {sum(clip['state'] == 'keep' for clip in clips)} kept clips give no sample "
            f"({listed(why)}): wanprep samples --reason {reason}{out}"
        )
    return found


def _copy_lines(dataset: Dataset, decided: Decided, summary: Summary) -> list[str]:
    events = dataset.manifest.read("events").sort("seq", maintain_order=True).to_dicts()
    typed = typed_in(events, decided.clip_rows)
    gone = decided.clips.filter(pl.col("reasons").list.contains("duplicate"))  # few, and only their scores are read
    return [plain(line) for line in replaced.lines(rows_of(gone), typed, summary.kept)]


def _caption_lines(dataset: Dataset, decided: Decided) -> list[str]:
    """What is to be said of captions: placeholders, what the checks found, what the models used."""
    clips = [clip for clip in decided.clip_rows if clip["caption"] is not None]
    found = []
    template = sum(clip["caption_origin"] == "template" for clip in clips)
    if template:
        found.append(
            f"{counted(template, 'caption')} {are(template)} provisional (from the template): edit captions/*.txt, "
            "or caption --vlm"
        )
    flagged = [clip for clip in clips if clip["provisional"] and clip["caption_origin"] != "template"]
    if flagged:
        counts = Counter(flag for clip in flagged for flag in clip["caption_flags"] if flag in SERIOUS)
        found.append(
            f"{len(flagged)} captions need a look ({listed(counts)}): "
            f"wanprep clips --reason {_first(counts)}{_out(dataset)}, edit captions/*.txt"
        )
    found += _second_pass(dataset, clips)
    alike = sum("near_identical" in clip["caption_flags"] for clip in clips)
    if alike:
        found.append(f"{alike} captions say nearly the same as that of another clip")
    rows = dataset.manifest.latest("captions")
    if len(rows) and rows["tokens_in"].sum():
        cost = rows["cost"].sum()
        spent = f", cost {cost:.2f}" if cost >= 0.1 else f", cost {cost:.2g}" if cost else ""
        found.append(f"captions so far: {rows['tokens_in'].sum()} tokens in, {rows['tokens_out'].sum()} out{spent}")
    return found


def _second_pass(dataset: Dataset, clips: Sequence[Row]) -> list[str]:
    """How many captions were left as they were, because what became of them could not be used, and why."""
    left = sum(FAILED in clip["caption_flags"] for clip in clips)
    config = dataset.pipeline.caption
    if not left or not config.rewrite.enabled:
        return []
    same = pl.col("identity") == json.dumps(config.rewrite.identity(config.sampling))
    answers = dataset.manifest.latest("captions").filter((pl.col("captioner") == REWRITE) & same)
    why = Counter(flag for flags in answers["flags"].to_list() for flag in flags or () if flag in SERIOUS)
    asked = left + sum("rewritten" in clip["caption_flags"] for clip in clips)
    return [
        f"{left} of {counted(asked, 'caption')} {were(left)} not rewritten, because the second pass's answer "
        f"cannot be used ({listed(why)}): wanprep clips --reason {FAILED}{_out(dataset)}"
    ]


def _long_lines(dataset: Dataset, clips: Sequence[Row]) -> list[str]:
    """Captions, whoever wrote them, of which the text encoder will not read the end; the trigger counts."""
    config, texts = dataset.pipeline.caption, (text for clip in clips for text in captions_of(clip))
    long = [text for text in texts if len(text) > MAX_TOKENS]  # few tokens are shorter than a character
    if not long:  # without asking for the tokenizer
        return []
    count = token_counter(family(dataset.pipeline.family)) or estimated_tokens
    over = sum(count(text) > MAX_TOKENS for text in long)
    lead = f" (the trigger takes {count(config.trigger)})" if config.trigger else ""
    told = (
        f"{counted(over, 'caption')} {are(over)} longer than the {MAX_TOKENS} tokens that the text encoder reads{lead}"
    )
    return [f"{told}, the rest is cut: wanprep caption --check{_out(dataset)}"] if over else []


def _text_lines(dataset: Dataset, summary: Summary, decided: Decided) -> list[str]:
    """Captions beside the sources, and files that are neither."""
    if not summary.ignored and "caption" not in summary.reports:
        return []
    texts, config = beside.texts_of(decided.sources, dataset.roots), dataset.pipeline.caption
    found = beside.lines(texts, decided.clip_rows, dataset.roots, config.captioner)
    earlier = leads.every(dataset.manifest.read("runs").to_dicts())
    found += beside.trigger_lines(decided.chosen, decided.clip_rows, texts, config, earlier, dataset.roots)
    rest = beside.left_alone(summary.ignored, texts, summary.folder)
    return [plain(line) for line in found] + ([f"left alone (no movie or picture): {listed(rest)}"] if rest else [])


def _last_line(dataset: Dataset, summary: Summary) -> str:
    decided = summary.decided
    assert decided
    left = {name: report.pending for name, report in summary.reports.items() if report.pending}
    left |= standing.pending(dataset, decided)
    waiting = {}
    if summary.waiting:
        waiting = {step: left.pop(step) for step in [*left] if standing.STAGE_OF[step] == "cache"}
    parts = []
    if summary.failed:
        parts.append(f"{counted(len(summary.failed), 'item')} failed, to be tried again by the next run")
    if left:
        parts.append(f"{_steps(left)} {are(sum(left.values()))} pending: {standing.go_on(dataset, left)}")
    elif not summary.failed:
        parts.append(_nothing_left(dataset, summary))
    if waiting:
        parts.append(f"{_steps(waiting)} {'wait' if sum(waiting.values()) > 1 else 'waits'} for the weights")
    return f"{'; '.join(parts)}. {summary.seconds:.1f} s"


def _steps(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{step} {count}" for step, count in counts.items())


def _nothing_left(dataset: Dataset, summary: Summary) -> str:
    assert summary.decided
    refused = sum(standing.uncaptioned(summary.decided.clip_rows).values())
    but = f", but {counted(refused, 'kept clip')} {are(refused)} without a caption" if refused else ""
    fault, count, number = faults.common(summary.decided.clip_rows)
    but += f", but {count} of {number} captions have the fault {fault}" if fault else ""
    if not summary.published and not any(report.done or report.rejected for report in summary.reports.values()):
        what = "nothing else is pending" if summary.waiting else "nothing is pending"
        return f"{what}: {dataset.root} is up to date{but}"
    what = "all that this machine can do is done" if summary.waiting else f"{dataset.root} is complete"
    return f"{what}{but}"


def listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "none"


def _first(counts: Mapping[str, int]) -> str:
    """The most frequent."""
    return min(counts, key=lambda name: (-counts[name], name))


def _most(counts: Counter[str]) -> str:
    """As `listed`, the most frequent first and not endless; a single one is not left out, it takes no more room."""
    top = SHOWN_REASONS + (len(counts) == SHOWN_REASONS + 1)
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    shown = [f"{count} {name}" for name, count in ordered[:top]]
    return ", ".join([*shown, *([f"{len(counts) - top} more reasons"] if len(counts) > top else [])])


def several_reasons(rows: Sequence[Row], state: str = "rejected") -> str:
    """`; 3 have several reasons, ...`: why counts by reason may add up to more than there are rows."""
    count = sum(len(set(row.get("reasons") or ())) > 1 for row in rows if row["state"] == state)
    return f"; {count} {'has' if count == 1 else 'have'} several reasons, counted for each" if count else ""


def are(count: int) -> str:
    return "is" if count == 1 else "are"


def were(count: int) -> str:
    return "was" if count == 1 else "were"


def _out(dataset: Dataset) -> str:
    import shlex

    return "".join(f" {word}" for word in map(shlex.quote, standing.out_of(dataset)))
