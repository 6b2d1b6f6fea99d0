"""Left and right in captions: a mirrored copy of a clip may not share a caption that tells them apart. Pure."""

from __future__ import annotations

import re

_SIDE = re.compile(r"\b(?:left|right)(?:most|wards?|-hand)?\b", re.IGNORECASE)


def names_a_side(caption: str) -> str | None:
    """The word by which a caption tells left from right, and so contradicts a mirrored picture; None without one."""
    found = _SIDE.search(caption)
    return found.group() if found else None


def other_side(text: str) -> str:
    """Words in which left and right stand plain (`slow pan left`), of the mirrored picture."""
    return re.sub(r"\b(left|right)\b", lambda found: "right" if found[1] == "left" else "left", text)
