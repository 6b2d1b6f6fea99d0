"""What `wanprep caption --check` prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from wanprep.tables import console, counted, print_json, table

if TYPE_CHECKING:
    from wanprep.dataset import Dataset
    from wanprep.runner import Listener, Options

SHOWN = 40  # rows of each table; --json has all


def show_check(dataset: Dataset, options: Options, listen: Listener, as_json: bool) -> None:
    """Check and print. Raises Missing after the report when pictures could not be compared, SystemExit on failures."""
    from wanprep.checking import check

    findings, decided, report, missing = check(dataset, options, listen)
    clips = {clip["clip_id"]: clip for clip in decided.clip_rows}
    if as_json:
        print_json(findings)
    else:
        _draw(findings, clips, dataset.pipeline.model.fps)
    if missing:
        raise missing
    if report and report.failed:
        raise SystemExit(1)


def _draw(findings: Mapping[str, Any], clips: Mapping[str, Mapping[str, Any]], rate: int) -> None:
    out = console()
    texts, windows, little = findings["texts"], findings["windows"], findings["clips"]
    if texts:
        drawn = table("clip", "by", "flags", "caption", title="captions to look at")
        for row in texts[:SHOWN]:
            number = f".{row['number']}" if row["number"] > 1 else ""
            drawn.add_row(row["clip_id"] + number, row["origin"], " ".join(row["flags"]), _short(row["text"]))
        out.print(drawn)
    if windows:
        drawn = table("clip", ">from s", ">to s", ">cosine", ">below", "caption", title="windows that depart")
        for w in windows[:SHOWN]:
            span = (f"{w['start'] / rate:.2f}", f"{(w['start'] + w['frames']) / rate:.2f}")
            caption = _short(clips[w["clip_id"]]["caption"])
            drawn.add_row(w["clip_id"], *span, f"{w['cosine']:.3f}", f"{w['drop']:.3f}", caption)
        out.print(drawn)
    if little:
        drawn = table("clip", ">cosine", ">deviations", "caption", title="clips that fit their caption least")
        for row in little[:SHOWN]:
            numbers = (f"{row['cosine']:.3f}", f"{row['deviations']:.1f}")
            drawn.add_row(row["clip_id"], *numbers, _short(clips[row["clip_id"]]["caption"]))
        out.print(drawn)
    for note in findings["notes"]:
        out.print(note)
    out.print(
        f"{counted(findings['captions'], 'caption')}: {len(texts)} to look at; "
        f"{counted(findings['clips_compared'], 'clip')} compared with pictures: {counted(len(windows), 'window')} "
        f"not like the caption, {counted(len(little), 'clip')} little like it"
    )


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
