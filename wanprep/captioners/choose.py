"""From all raw captions to the one caption of each clip. Pure, whole-table, recomputed every time.

Which caption wins: one written by hand; under "auto" then the text file beside the source (somebody chose it), then a
VLM's, then the template's. A captioner asked for by name competes with nothing but captions by hand.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from wanprep.captioners import checks, several
from wanprep.captioners.base import PROVISIONAL, Origin
from wanprep.captioners.files import DAMAGED, Chosen
from wanprep.captioners.leads import typed_body
from wanprep.captioners.registry import AUTO
from wanprep.captioners.rewrite import FAILED, rewrite_key
from wanprep.captioners.settings import CaptionConfig
from wanprep.stage import Reject

RANK = ("sidecar", "vlm", "template")  # under "auto", first wins
REWRITE = "rewrite"  # captioner of a row that holds a rewriting; it belongs to a text, to no clip
ALIKE = "near_identical"
Row = Mapping[str, Any]


def decide(
    clips: Iterable[Row],
    rows: Iterable[Row],
    human_events: Iterable[Row],
    config: CaptionConfig,
    wanted: Mapping[str, str] | None = None,
) -> dict[str, Chosen]:
    """The caption of each clip; a clip without an entry has none yet. Pure.

    clips: rows with clip_id, source_id, start_pts, end_pts. rows: the table `captions`, in order of recording (later
    wins); a row belongs to the clip with its span. human_events: events of kind "caption" (other captions: "caption_2",
    ...), already attached to the clips of today (clip_id), in order of recording: the last wins, a value of None takes
    the human caption back (another caption: away), and an event recorded twice (same key) counts where it stood first;
    `leads`: the triggers that its file may begin with, see there. A clip has none while a text of it is damaged.
    wanted: clip_id -> the key that `item_of` gives today. With it, texts of a sidecar or template that is no longer
    there do not count, and a wanted caption that was rejected is not papered over; without it (sources not at hand)
    the newest row counts. A VLM's caption stays valid for its span even where the weights are missing today.
    """
    rows, human = list(rows), last_human(human_events)
    if not rows and not human:  # nothing was captioned yet
        return {}
    best = best_rows(clips, rows, config, wanted)
    rewritten = {row["key"]: row for row in rows if row["captioner"] == REWRITE and row["outcome"] == "done"}
    chosen: dict[str, Chosen] = {}
    for clip_id in sorted(best):
        typed = human.get(clip_id, {})
        event, row = typed.get(1), best[clip_id]
        if any(one and _is_damaged(one) for one in typed.values()):
            continue
        if event is not None:
            choice = _by_hand(event, config)
        elif row is not None:
            choice = _chosen(row, config, rewritten)
        else:
            continue
        more = _others(typed, row, choice.text, config)
        chosen[clip_id] = replace(choice, more=more) if more else choice
    return _alike_flagged(chosen)


def damaged(human_events: Iterable[Row]) -> dict[str, str]:
    """clip_id -> why a text of its own cannot be read, of clips that are not trained on therefore. See `decide`."""
    last = last_human(human_events)
    return {c: event["value"] for c, typed in last.items() for event in typed.values() if event and _is_damaged(event)}


def _is_damaged(event: Row) -> bool:
    return event.get("origin") == DAMAGED


def best_rows(
    clips: Iterable[Row], rows: Iterable[Row], config: CaptionConfig, wanted: Mapping[str, str] | None = None
) -> dict[str, Row | None]:
    """clip_id -> the row of its captioner that counts, None without one; captions by hand apart."""
    by_span: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        if row["captioner"] != REWRITE:
            by_span.setdefault(_span(row), []).append(row)
    return {
        clip["clip_id"]: _best(by_span.get(_span(clip), []), config.captioner, (wanted or {}).get(clip["clip_id"]))
        for clip in clips
    }


def judged(row: Row, config: CaptionConfig) -> checks.Checked:
    """The text of a row that may be used, and what is wrong with it. Judged anew where the checks have changed."""
    flags = tuple(row.get("flags") or ())
    stamp = row.get("checked")
    if row["origin"] != "vlm" or stamp == checks.stamp(config.language):
        text = several.without_weight(row["text"]) if row["origin"] == "sidecar" else row["text"]
        return checks.Checked(text=text, flags=flags)
    own = tuple(flag for flag in flags if flag not in (*checks.SERIOUS, *checks.MENDED))
    again = _again(_raw(row), config.language, row.get("finished"), row.get("text_tokens"))
    return checks.Checked(text=again.text, flags=(*again.flags, *own))


@functools.lru_cache(maxsize=1 << 15)
def _again(raw: str, language: str, finished: bool | None, counted: int | None) -> checks.Checked:
    tokens = None if counted is None else lambda _: counted
    return checks.check(raw, language=language, finished=finished, tokens=tokens)


def _span(row: Row) -> tuple[Any, ...]:
    return row["source_id"], row["start_pts"], row["end_pts"]


def last_human(events: Iterable[Row]) -> dict[str, dict[int, Row | None]]:
    """clip_id -> number of the caption -> the event of what was typed last, None for taken back."""
    last: dict[str, dict[int, Row | None]] = {}
    seen: set[str] = set()
    for event in events:
        number = several.number_of(event["kind"])
        if number is not None and event["key"] not in seen:
            seen.add(event["key"])
            last.setdefault(event["clip_id"], {})[number] = None if event["value"] is None else event
    return last


def _others(typed: Mapping[int, Row | None], row: Row | None, first: str, config: CaptionConfig) -> tuple[Chosen, ...]:
    """The other captions of a clip, by number: typed ones over those that came with its row. What says nothing, or
    the same as an earlier one, is none."""
    came = dict(enumerate(json.loads(row["more"]), start=2)) if row and row.get("more") else {}
    if not (came or typed):  # of most clips
        return ()
    found: list[Chosen] = []
    for number in sorted(came.keys() | (typed.keys() - {1})):
        event = typed.get(number)
        raw = (event["value"] if event else None) if number in typed else came[number]
        try:
            weight, body = several.split_weight(raw or "")
        except Reject:  # told of by the scan of the folder
            continue
        kept, lead = typed_body(body, event.get("leads"), config) if event else (body, "")
        text = config.final(kept) if body else ""
        if weight > 0 and text and text not in (first, *(c.text for c in found)):
            origin: Origin = "human" if number in typed else row["origin"] if row else "sidecar"
            found.append(Chosen(text=text, raw=raw or "", origin=origin, number=number, weight=weight, lead=lead))
    return tuple(found)


def _best(rows: Sequence[Row], captioner: str, wanted: str | None) -> Row | None:
    """The row that counts for one clip; `rows` are those of its span, oldest first."""
    if wanted is not None and any(row["key"] == wanted and row["outcome"] == "rejected" for row in rows):
        return None
    fit = [row for row in rows if row["outcome"] == "done" and captioner in (AUTO, row["captioner"])]
    if wanted is not None:
        fit = [row for row in fit if row["key"] == wanted or row["origin"] == "vlm"]
    # Stable sorting: among equals the last stays last.
    fit.sort(key=lambda row: (-RANK.index(row["origin"]), row["key"] == wanted))
    return fit[-1] if fit else None


def _by_hand(event: Row, config: CaptionConfig) -> Chosen:
    body, lead = typed_body(several.without_weight(event["value"]), event.get("leads"), config)
    final = config.final(body)
    return Chosen(text=final, raw=event["value"], origin="human", flags=() if final else ("empty",), lead=lead)


def _chosen(row: Row, config: CaptionConfig, rewritten: Mapping[str, Row]) -> Chosen:
    found = judged(row, config)
    body, flags = found.text, found.flags
    settings = config.rewrite
    if settings.enabled and row["origin"] in settings.origins and body:
        better = rewritten.get(rewrite_key(body, settings.identity(config.sampling)))
        if better is not None:
            bad = set(better["flags"] or ()) & set(checks.SERIOUS)
            flags = (*flags, FAILED) if bad else (*(f for f in flags if f not in checks.SERIOUS), "rewritten")
            row, body = (row, body) if bad else ({**row, "text_tokens": better.get("text_tokens")}, better["text"])
    text = config.final(body)
    if (row["origin"] == "vlm" or "rewritten" in flags) and _outgrown(row, body, config) and "too_long" not in flags:
        flags = (*flags, "too_long")
    if not text and "empty" not in flags:
        flags = (*flags, "empty")
    provisional = PROVISIONAL in flags or any(flag in checks.SERIOUS for flag in flags)
    return Chosen(text=text, raw=_raw(row), origin=row["origin"], provisional=provisional, flags=flags)


def _outgrown(row: Row, body: str, config: CaptionConfig) -> bool:
    """Is the caption more than the text encoder reads, now that the trigger stands before it?"""
    counted = row.get("text_tokens") or checks.estimated_tokens(body)
    return counted + _lead_tokens(config.trigger or "", config.separator) > checks.MAX_TOKENS


@functools.lru_cache(maxsize=64)  # a whole table has the same
def _lead_tokens(trigger: str, separator: str) -> int:
    return checks.estimated_tokens(trigger + separator) if trigger else 0


def _raw(row: Row) -> str:
    return row["raw"] if row.get("raw") is not None else row["text"]


def _alike_flagged(chosen: dict[str, Chosen]) -> dict[str, Chosen]:
    """Flag captions of models that say the same of different clips; one file beside a movie does so on purpose."""
    from wanprep.captioners.alike import near_identical  # brings polars, which settings of captions do without

    same = near_identical({clip_id: choice.text for clip_id, choice in chosen.items() if choice.origin == "vlm"})
    for clip_id in same:
        chosen[clip_id] = replace(chosen[clip_id], flags=(*chosen[clip_id].flags, ALIKE))
    return chosen
