"""Regular expressions that are compiled when they are first used: the large ones, which most commands never use, take
longer to compile than their module takes to load."""

from __future__ import annotations

import functools
import re
from typing import Any, cast


class _Later:
    def __init__(self, text: str, flags: int) -> None:
        self._told = text, flags

    @functools.cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(*self._told)

    def __getattr__(self, name: str) -> Any:  # asked for what is not here: all that a compiled one has
        return getattr(self._compiled, name)


def later(text: str, flags: int = 0) -> re.Pattern[str]:
    """`re.compile` at the first use, which is when an error in `text` shows, too."""
    return cast("re.Pattern[str]", _Later(text, flags))


def plainly_clean(text: str) -> str | None:
    """A text of which cleaning changes nothing but its spaces, with single ones; None for any other. Most captions are
    such, and tables of them are cleaned: printable ASCII without HTML entities is what ftfy leaves as it is."""
    if not (text.isascii() and text.isprintable() and "&" not in text):
        return None
    single = "  " not in text and not text.startswith(" ") and not text.endswith(" ")
    return text if single else " ".join(text.split())
