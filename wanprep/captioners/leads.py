"""The trigger that an edited caption file still begins with, because we had written it there before somebody typed.

A caption file holds the trigger of its day, and a person who edits the file in place leaves it there. With another
trigger the caption would then be trained on both. Which trigger we wrote into a file follows from the tables: the last
row of `published` before the edit says when, and the last row of `runs` before that says with which settings. Only
exactly that beginning is exchanged for the trigger of today; a caption that merely resembles one, or begins with a
trigger that we did not write there, keeps every word, and is told of.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wanprep.captioners.several import number_of, split_weight, stem_of
from wanprep.captioners.text import begins_with, clean, without_exactly

if TYPE_CHECKING:
    from wanprep.captioners.files import Chosen
    from wanprep.captioners.settings import CaptionConfig

EXCHANGED, UNSURE = "exchanged", "unsure"
SHOWN = 5  # files that a note names
Lead = tuple[str, str]  # trigger, separator
Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Leads:
    """held: what we had written at the beginning of the file that was edited; earlier: all that this set ever had."""

    held: tuple[Lead, ...] = ()
    earlier: tuple[Lead, ...] = ()


def with_leads(events: Iterable[Row], published: Iterable[Row], runs: Iterable[Row]) -> list[dict[str, Any]]:
    """The events, those of captions with a value `leads` (Leads). Pure.

    published, runs: rows of these tables with their times (`at`); events: with theirs.
    """
    given = [dict(event) for event in events]
    typed = [event for event in given if number_of(event["kind"]) is not None]
    if not typed:
        return given
    known = [(row["at"], _lead(row["pipeline"])) for row in sorted(runs, key=lambda row: row["at"])]
    earlier = tuple(dict.fromkeys(lead for _, lead in known if lead))
    stems = {_stem(event) for event in typed}
    rows: dict[str, list[Row]] = {}
    for row in sorted(published, key=lambda row: row["at"]):
        if row["clip_id"] in stems:
            rows.setdefault(row["clip_id"], []).append(row)
    for event in typed if earlier else ():
        before = [row for row in rows.get(_stem(event), ()) if row["at"] < event["at"]]
        times = [row["at"] for row in _ours(before)]
        held = (next((lead for at, lead in reversed(known) if at <= time), None) for time in times)
        event["leads"] = Leads(held=tuple(dict.fromkeys(lead for lead in held if lead)), earlier=earlier)
    return given


def _stem(event: Row) -> str:
    return stem_of(event["clip_id"], number_of(event["kind"]) or 1)


def _ours(rows: Sequence[Row]) -> list[Row]:
    """The rows of what we wrote last: the newest text that was of our own making, and any begun after it (one killed
    midway leaves either). A text that was typed, and that we only put back, is none of ours."""
    typed = {row["digest"] for row in rows if row["kind"] == "seen"}
    ours = [row for row in rows if row["kind"] != "seen" and row["digest"] not in typed]
    done = [index for index, row in enumerate(ours) if row["kind"] == "written"]
    return ours[done[-1] :] if done else ours


def _lead(pipeline: str) -> Lead | None:
    """Trigger and separator of a stored run's settings."""
    caption = json.loads(pipeline).get("caption", {})
    trigger = caption.get("trigger")
    return (trigger, caption.get("separator", " ")) if trigger else None


def every(runs: Iterable[Row]) -> list[Lead]:
    """All triggers that a set ever had."""
    return list(dict.fromkeys(lead for row in runs if (lead := _lead(row["pipeline"]))))


def typed_body(text: str, leads: Leads | None, config: CaptionConfig) -> tuple[str, str]:
    """What somebody typed without the trigger that was ours, and EXCHANGED, UNSURE or "" (nothing to do). Pure.

    The trigger of today at the beginning is left to `final_text`, unless the one we wrote is longer.
    """
    if leads is None:
        return text, ""
    cleaned, today = clean(text), clean(config.trigger or "")
    own = begins_with(cleaned, today, config.separator) if today else 0
    for trigger, separator in sorted(leads.held, key=lambda lead: -len(lead[0])):
        body = without_exactly(cleaned, trigger, separator)
        if body is not None and clean(trigger) != today and len(clean(trigger)) > own:
            return body, EXCHANGED
    others = (lead for lead in leads.earlier if clean(lead[0]) != today)
    resembles = not own and any(begins_with(cleaned, clean(trigger), separator) for trigger, separator in others)
    return text, UNSURE if resembles else ""


def notes(chosen: Mapping[str, Chosen], config: CaptionConfig) -> list[str]:
    """What a run says of edited captions: triggers exchanged or perhaps left, and files unlike what is trained."""
    every = [(stem_of(clip_id, c.number), c) for clip_id, first in sorted(chosen.items()) for c in (first, *first.more)]
    typed = [(stem, c) for stem, c in every if c.origin == "human"]
    exchanged = sum(c.lead == EXCHANGED for _, c in typed)
    unsure = [f"captions/{stem}.txt" for stem, c in typed if c.lead == UNSURE]
    unlike = sum(c.lead == EXCHANGED or _lacks_trigger(c, config) for _, c in typed)
    found = []
    if exchanged:
        what = f'exchanged for "{config.trigger}"' if config.trigger else "left out"
        found.append(
            f"edited captions that begin with an earlier trigger of ours: {exchanged}; for training it is {what}"
        )
    if unsure:
        more = f" and {len(unsure) - SHOWN} more" if len(unsure) > SHOWN else ""
        found.append(
            f"an earlier trigger may still begin {', '.join(unsure[:SHOWN])}{more}: every word is kept; "
            "edit the file where it is wrong"
        )
    if unlike:
        found.append(
            f"edited files in captions/ without the trigger of today, which training puts in front: {unlike}; "
            "for other trainers: wanprep caption --export DIR"
            if config.trigger
            else f"edited files in captions/ with a trigger that is trained no more: {unlike}; "
            "for other trainers: wanprep caption --export DIR"
        )
    return found


def _lacks_trigger(choice: Chosen, config: CaptionConfig) -> bool:
    body = split_weight(choice.raw)[1] if choice.number > 1 else choice.raw
    return config.trigger is not None and not begins_with(clean(body), clean(config.trigger), config.separator)
