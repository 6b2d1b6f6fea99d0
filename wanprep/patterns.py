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


def only_spaces(text: str) -> bool:
    """Can cleaning change nothing of this text but its spaces? So it is of most captions, and tables of them are
    cleaned: printable ASCII without an HTML entity is what ftfy and unescaping leave as it is."""
    return text.isascii() and text.isprintable() and "&" not in text
