"""The caption stage: one caption a clip, made once and decided many times.

measure  one clip -> raw caption, by the captioner that the configuration (or the rule "auto") picks. Stored under a key
         of span, bars, captioner and what that captioner read; never the trigger, never the size of the mp4.
decide   raw captions + captions by hand -> the one caption of each clip, trigger first. Pure and recomputed every time.

Which caption wins: one written by hand; under "auto" then the text file beside the source (somebody chose it), then a
VLM's, then the template's. A captioner asked for by name competes with nothing but captions by hand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wanprep.captioners.base import PROVISIONAL, Captioner, CaptionRequest
from wanprep.captioners.files import Chosen
from wanprep.captioners.registry import AUTO, check_name, make, vlm_on_disk
from wanprep.captioners.sidecar import find_sidecar
from wanprep.captioners.template import DEFAULT_TEMPLATE, parse_template
from wanprep.captioners.text import PLACEHOLDER, clean, final_text
from wanprep.ids import key_of
from wanprep.stage import Item, UsageError

__all__ = ["CaptionConfig", "Chosen", "caption_key", "decide", "final_text", "item_of", "measure", "wanted_captioner"]

RANK = ("sidecar", "vlm", "template")  # under "auto", first wins


@dataclass(frozen=True, kw_only=True)
class CaptionConfig:
    """`[caption]` of a pipeline file.

    captioner: "auto" (text file beside the source, else a VLM whose weights are on disk, else the template) or a name.
    trigger: phrase put before every caption, exactly once; None for none. separator: what stands between it and the
        caption, part of the phrase if it has words: trigger "frung", separator ", young woman, ".
    class_word: the plain word the trigger stands for. template: see `captioners.template.FIELDS`.
    """

    captioner: str = AUTO
    trigger: str | None = None
    separator: str = " "
    class_word: str | None = None
    template: str = DEFAULT_TEMPLATE

    def __post_init__(self) -> None:
        check_name(self.captioner)
        parse_template(self.template)
        for name in ("trigger", "class_word"):
            value = getattr(self, name)
            if value is None:
                continue
            if not re.search(r"[^\W_]", value):
                raise UsageError(f'caption {name} "{value}" has no letter or digit; leave it out for none')
            if PLACEHOLDER in value.lower():
                raise UsageError(f'caption {name} "{value}" contains {PLACEHOLDER}, which stands for the trigger')
        if self.trigger is not None:
            self._check_separator(clean(self.trigger))

    def _check_separator(self, trigger: str) -> None:
        joined = self.separator
        glued = not joined or joined[-1].isalnum() or (trigger[-1].isalnum() and joined[0].isalnum())
        if glued:
            raise UsageError(
                f'caption separator "{joined}" would grow together with the trigger "{trigger}" or the caption; '
                'begin and end it with a space or punctuation, as in ", "'
            )

    def warnings(self) -> tuple[str, ...]:
        """What will work here but surprise later: ComfyUI reads `(words:1.2)` and `embedding:` as commands."""
        trigger = self.trigger or ""
        found = [f'"{part}"' for part in ("(", ")", "embedding:") if part in trigger]
        if not found:
            return ()
        return (f'trigger "{trigger}" contains {", ".join(found)}, which ComfyUI does not read as plain text',)

    def final(self, raw: str) -> str:
        """`final_text` with this configuration's trigger, separator and class word."""
        return final_text(raw, self.trigger, self.separator, class_word=self.class_word)


def wanted_captioner(config: CaptionConfig, source_path: Path) -> Captioner:
    """The captioner for one clip of this source: the named one, or the first that "auto" finds."""
    name = config.captioner
    if name == AUTO:
        name = "sidecar" if find_sidecar(source_path) else vlm_on_disk() or "template"
    return _make(name, config.template)


def caption_key(
    source_id: str,
    start_pts: int,
    end_pts: int,
    crop: Sequence[int] | None,
    identity: Mapping[str, Any],
    inputs: Mapping[str, Any] | None = None,
) -> str:
    """Key of one raw caption: span, bars [x, y, w, h], captioner, and what it read for this clip (`inputs`)."""
    box = list(crop) if crop else None
    span = {"source_id": source_id, "start_pts": start_pts, "end_pts": end_pts}
    return key_of(stage="caption", **span, crop=box, identity=dict(identity), inputs=dict(inputs or {}))


def item_of(
    clip: Mapping[str, Any],
    source_path: Path,
    config: CaptionConfig,
    *,
    fields: Mapping[str, Any] | None = None,
    mp4_path: Path | None = None,
) -> Item:
    """What to measure for one clip: one part, its value None.

    clip: a row of the table `clips` (clip_id, source_id, path, group, start_pts, end_pts, start_s, end_s, crop, width,
    height). fields: more values for the template, such as camera.
    """
    named = {"class": config.class_word, "width": clip.get("width"), "height": clip.get("height"), **(fields or {})}
    request = {
        "clip_id": clip["clip_id"],
        "source_path": str(source_path),
        "source_rel": clip["path"],
        "group": clip["group"],
        "start_s": clip["start_s"],
        "end_s": clip["end_s"],
        "mp4_path": str(mp4_path) if mp4_path else None,
        "fields": {name: value for name, value in named.items() if value is not None},
    }
    captioner = wanted_captioner(config, source_path)
    inputs = captioner.inputs(_request(request))
    span = {name: clip[name] for name in ("source_id", "start_pts", "end_pts")}
    key = caption_key(**span, crop=clip.get("crop"), identity=captioner.identity(), inputs=inputs)
    return Item(
        label=f"{clip['path']} {clip['start_s']:.2f}-{clip['end_s']:.2f} s",
        parts={key: None},
        args={"captioner": captioner.name, "template": config.template, "request": request},
        row={"clip_id": clip["clip_id"], **span, **_said_by(captioner)},
    )


def measure(args: Mapping[str, Any], load_frames: Callable[[], Any] | None = None) -> dict[str, Any]:
    """Caption one clip: what its row in the table `captions` gets besides `Item.row` and the key. Raises Reject."""
    captioner = _make(args["captioner"], args["template"])
    raw = captioner.caption(_request(args["request"], load_frames))
    return {"text": raw.text, "flags": list(raw.flags)}


def _make(name: str, template: str) -> Captioner:
    return make(name, template=template) if name == "template" else make(name)


def _said_by(captioner: Captioner) -> dict[str, Any]:
    identity = json.dumps(captioner.identity(), sort_keys=True)
    return {"captioner": captioner.name, "origin": captioner.origin, "identity": identity}


def _request(plain: Mapping[str, Any], load_frames: Callable[[], Any] | None = None) -> CaptionRequest:
    paths = {name: Path(plain[name]) if plain[name] else None for name in ("source_path", "mp4_path")}
    return CaptionRequest(**{**plain, **paths, "load_frames": load_frames})


def decide(
    clips: Iterable[Mapping[str, Any]],
    rows: Iterable[Mapping[str, Any]],
    human_events: Iterable[Mapping[str, Any]],
    config: CaptionConfig,
    wanted: Mapping[str, str] | None = None,
) -> dict[str, Chosen]:
    """The caption of each clip; a clip without an entry has none yet. Pure.

    clips: rows with clip_id, source_id, start_pts, end_pts. rows: the table `captions`, in order of recording (later
    wins); a row belongs to the clip with its span. human_events: events of kind "caption", already attached to the
    clips of today (clip_id), in order of recording: the last wins, a value of None takes the human caption back, and
    an event recorded twice (same key) counts where it stood first.
    wanted: clip_id -> the key that `item_of` gives today. With it, texts of a sidecar or template that is no longer
    there do not count, and a wanted caption that was rejected is not papered over; without it (sources not at hand)
    the newest row counts. A VLM's caption stays valid for its span even where the weights are missing today.
    """
    by_span: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        by_span.setdefault(_span(row), []).append(row)
    human = _last_human(human_events)
    chosen = {}
    for clip in sorted(clips, key=lambda clip: clip["clip_id"]):
        clip_id = clip["clip_id"]
        best = _best(by_span.get(_span(clip), []), config.captioner, (wanted or {}).get(clip_id))
        if human.get(clip_id) is not None:
            best = {"origin": "human", "text": human[clip_id]}
        if best is not None:
            chosen[clip_id] = _chosen(best, config)
    return chosen


def _span(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["source_id"], row["start_pts"], row["end_pts"]


def _last_human(events: Iterable[Mapping[str, Any]]) -> dict[str, str | None]:
    last: dict[str, str | None] = {}
    seen: set[str] = set()
    for event in events:
        if event["kind"] == "caption" and event["key"] not in seen:
            seen.add(event["key"])
            last[event["clip_id"]] = event["value"]
    return last


def _best(rows: Sequence[Mapping[str, Any]], captioner: str, wanted: str | None) -> Mapping[str, Any] | None:
    """The row that counts for one clip; `rows` are those of its span, oldest first."""
    if wanted is not None and any(row["key"] == wanted and row["outcome"] == "rejected" for row in rows):
        return None
    fit = [row for row in rows if row["outcome"] == "done" and captioner in (AUTO, row["captioner"])]
    if wanted is not None:
        fit = [row for row in fit if row["key"] == wanted or row["origin"] == "vlm"]
    # Stable sorting: among equals the last stays last.
    fit.sort(key=lambda row: (-RANK.index(row["origin"]), row["key"] == wanted))
    return fit[-1] if fit else None


def _chosen(row: Mapping[str, Any], config: CaptionConfig) -> Chosen:
    text = config.final(row["text"])
    flags = tuple(row.get("flags") or ())
    if not text:
        flags += ("empty",)
    return Chosen(text=text, raw=row["text"], origin=row["origin"], provisional=PROVISIONAL in flags, flags=flags)
