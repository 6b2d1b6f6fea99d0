"""What a run says of copies: words by hand that are not used, clips that gave way to a copy, and copies with the better
picture that are left out for the sake of a person's words. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from wanprep.captioners.files import FOLDER
from wanprep.stages.precedence import OUTDID
from wanprep.tables import counted

SHOWN = 3  # clips that a line names
Row = Mapping[str, Any]


def lines(clips: Sequence[Row], typed: Collection[str], kept: Collection[str]) -> list[str]:
    """clips: rows of the table; typed, kept: clip_ids, those with a caption by hand, and those kept before this run."""
    gone = [(clip, _told(clip)) for clip in clips if "duplicate" in (clip["reasons"] or ())]
    words = [f"{FOLDER}/{clip['clip_id']}.txt ({told})" for clip, told in gone if clip["clip_id"] in typed]
    gave_way = [told for clip, told in gone if clip["clip_id"] in kept and clip["clip_id"] not in typed]
    outdone = [told for _, told in gone if OUTDID in told]
    found = []
    if words:
        found.append(
            f"{counted(len(words), 'caption')} by hand not used, because the clip shows the same as another: "
            f"{_named(words)}"
        )
    if gave_way:
        was = "was" if len(gave_way) == 1 else "were"
        found.append(f"{counted(len(gave_way), 'clip')} that {was} kept before gave way to a copy: {_named(gave_way)}")
    if outdone:
        found.append(
            f"{counted(len(outdone), 'clip')} left out though the picture is better than that of the copy with a "
            f"person's words: {_named(outdone)}; give it the same words (captions/CLIP.txt, or a text beside its film)"
        )
    return found


def _told(clip: Row) -> str:
    """`a/shot.mp4 0.00-2.00 s, for 3a4f9236: its picture is larger: ...`"""
    scores = json.loads(clip["scores"])
    like, why = (scores.get(name, [""])[0] for name in ("duplicate_of", "duplicate_why"))
    return f"{clip['path']} {clip['start_s']:.2f}-{clip['end_s']:.2f} s, for {like[:8]}: {why}"


def _named(told: Sequence[str]) -> str:
    more = f" and {len(told) - SHOWN} more" if len(told) > SHOWN else ""
    return "; ".join(told[:SHOWN]) + more
