"""Is there one fault that nearly all captions of a set share? Then a setting is wrong, and no single caption. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from wanprep.captioners.base import Sampling
from wanprep.captioners.checks import SERIOUS
from wanprep.captioners.rewrite import FAILED

NEARLY_ALL = 0.9
LEAST = 3  # captions; fewer say nothing about a setting
_LOOK = "no caption to train on; look at some (wanprep explain CLIP), then try another model, prompt or setting"
COLUMNS = ("caption", "caption_origin", "caption_flags")  # of a clip, that this is read off
Row = Mapping[str, Any]


def common(clips: Iterable[Row]) -> tuple[str, int, int]:
    """(flag, captions that have it, all captions of models) of the fault that nearly all share; ("", 0, 0) without one.

    clips: rows with COLUMNS; for the second pass each caption that it was asked about
    counts, whoever wrote it.
    """
    said = [set(clip["caption_flags"] or ()) for clip in clips if clip["caption"] is not None and _by_model(clip)]
    counts = Counter(flag for flags in said for flag in flags if flag in (*SERIOUS, FAILED))
    # Most faults leave no words: that there are none is told last.
    flag = min(counts, key=lambda flag: (-counts[flag], flag == "empty", flag), default="")
    if len(said) < LEAST or counts[flag] < NEARLY_ALL * len(said):
        return "", 0, 0
    return flag, counts[flag], len(said)


def _by_model(clip: Row) -> bool:
    return clip["caption_origin"] == "vlm" or not {FAILED, "rewritten"}.isdisjoint(clip["caption_flags"] or ())


def line(clips: Iterable[Row], sampling: Sampling) -> str:
    """What to say of it, with what helps; "" without one."""
    flag, count, number = common(clips)
    if not flag:
        return ""
    helps = {
        "unfinished_thought": "the model's thoughts use up caption.sampling.max_new_tokens "
        f"({sampling.max_new_tokens}): raise it, or have it not think aloud (caption.endpoint.extra, docs/captions.md)",
        FAILED: "answers of caption.rewrite.model are not usable, the first captions stand; try another one or prompt",
    }
    return f"ATTENTION: {count} of {number} captions have the same fault, {flag}: {helps.get(flag, _LOOK)}"
