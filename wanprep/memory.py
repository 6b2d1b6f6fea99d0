"""What was worked out once and depends on no threshold, remembered in a table of keys and values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from wanprep.signals import overlay, phash
from wanprep.stages import repeats

T = TypeVar("T")
Rows = Iterable[Mapping[str, Any]]


class Memory(dict[str, T]):
    """Values by key. rows: with key and value, a text; parse: makes the value of it, write: the text of a value.

    A text is parsed when it is asked for: what a rule of earlier left behind never is.
    """

    def __init__(self, rows: Rows, parse: Callable[[str], T], write: Callable[[T], str]) -> None:
        super().__init__()
        self._texts: dict[object, str] = {row["key"]: row["value"] for row in rows}
        self._parse, self._write = parse, write

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) or key in self._texts

    def __missing__(self, key: str) -> T:
        value = self[key] = self._parse(self._texts[key])
        return value

    def fresh(self) -> list[dict[str, Any]]:
        """Rows of what was added since."""
        added = ((key, value) for key, value in self.items() if key not in self._texts)
        return [{"key": key, "value": self._write(value)} for key, value in added]


def of_clips(pools: Rows, matches: Rows) -> tuple[Memory[overlay.Pooled], Memory[phash.Match | None]]:
    """What clips say of overlays together, and how alike two of them are, from the tables of these names."""
    made = Memory(pools, overlay.from_json, overlay.to_json)
    return made, Memory(matches, repeats.from_json, repeats.to_json)
