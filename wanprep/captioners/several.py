"""Several captions a clip: the other ones, numbered from 2, each with a weight.

The first caption stays the clip's plain `<clip>.txt`, which every trainer reads as it is and which always weighs 1. The
others stand in `<clip>.2.txt`, `<clip>.3.txt`, …: tools that pair a text with a video of the same stem pass them over,
so the folder means the same everywhere. A first line `weight: 0.5` says how often one is drawn beside the first; 1
without it, and 0 takes it out of use. Beside a source the same files (`film.2.txt`) serve all of its clips. Pure.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from wanprep.stage import Reject

if TYPE_CHECKING:
    from wanprep.stages.cache import Encoder

_STEM = re.compile(r"(.+)\.([2-9]|[1-9]\d+)")
_WEIGHT = re.compile(r"\s*weight[ \t]*[:=][ \t]*(\S*)[ \t]*(?:\n|\Z)", re.IGNORECASE)


def clip_of(stem: str) -> tuple[str, int]:
    """("a1b2", 2) for the stem "a1b2.2" of a caption file, ("a1b2", 1) for "a1b2"."""
    found = _STEM.fullmatch(stem)
    return (found[1], int(found[2])) if found else (stem, 1)


def stem_of(clip_id: str, number: int) -> str:
    return clip_id if number == 1 else f"{clip_id}.{number}"


def event_kind(number: int) -> str:
    """Kind of the event that records a caption by hand: "caption", "caption_2", …"""
    return "caption" if number == 1 else f"caption_{number}"


def number_of(kind: str) -> int | None:
    """The caption's number that an event of this kind is about; None for other events."""
    found = re.fullmatch(r"caption(?:_(\d+))?", kind)
    return None if found is None else int(found[1] or 1)


def split_weight(text: str) -> tuple[float, str]:
    """(weight, caption) of a numbered file's text. Reject: caption_weight, when the line holds no number from 0 on."""
    text = text.replace("\r\n", "\n")
    found = _WEIGHT.match(text)
    if found is None:
        return 1.0, text.strip()
    try:
        weight = float(found[1])
    except ValueError:
        weight = math.nan
    if not (0 <= weight < math.inf):
        raise Reject("caption_weight", f"its first line says weight {found[1]!r}; a number from 0 on is needed")
    return weight, text[found.end() :].strip()


def without_weight(text: str) -> str:
    """The text of a first caption, which always weighs 1, without the line that says how much a numbered one does."""
    try:
        return split_weight(text)[1] if _WEIGHT.match(text.replace("\r\n", "\n")) else text
    except Reject:  # no number: somebody's words
        return text


def with_weight(weight: float, text: str) -> str:
    """What a numbered file of ours holds."""
    return text if weight == 1 else f"weight: {weight:g}\n{text}"


def listed(more: Iterable[Any]) -> str | None:
    """Column `more_captions` of a clip: JSON of the other captions; None without any."""
    rows = [{"number": c.number, "weight": c.weight, "origin": c.origin, "text": c.text} for c in more]
    return json.dumps(rows, ensure_ascii=False) if rows else None


def parsed(column: str | None) -> list[dict[str, Any]]:
    """Rows of such a column (or of `more_texts` of a sample)."""
    return json.loads(column) if column else []


def texts_of(samples: Iterable[Mapping[str, Any]]) -> list[str]:
    """Every distinct caption that the samples may show, the first of each and the others."""
    found: set[str] = set()
    for sample in samples:
        if sample["text_key"] is not None:
            found.add(sample["caption"])
            found.update(row["caption"] for row in parsed(sample["more_texts"]))
    return sorted(found)


def joined(
    more: Iterable[Mapping[str, Any]], artefacts: Mapping[str, Mapping[str, Any]], encoder: Encoder
) -> list[dict[str, Any]]:
    """Rows of `more_texts` of a sample: each other caption, its weight, and its embedding where that is made."""
    found = []
    for row in more:
        key = encoder.text_key(row["text"])
        made = artefacts.get(key, {"outcome": ""})
        file = {name: made[name] if made["outcome"] == "done" else None for name in ("path", "digest")}
        said = {"caption": row["text"], "weight": row["weight"], "key": key}
        found.append(said | file | {"failed": made["outcome"] == "failed"})
    return found
