"""What was worked out once and depends on no threshold, remembered in a table of keys and values."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


class Memory(dict[str, T]):
    """Values by key. rows: with key and value, a text; parse: makes the value of it, write: the text of a value."""

    def __init__(self, rows: Iterable[Mapping[str, Any]], parse: Callable[[str], T], write: Callable[[T], str]) -> None:
        super().__init__((row["key"], parse(row["value"])) for row in rows)
        self._write = write
        self._known = len(self)

    def fresh(self) -> list[dict[str, Any]]:
        """Rows of what was added since."""
        added = itertools.islice(self.items(), self._known, None)  # a dict keeps the order in which keys came
        return [{"key": key, "value": self._write(value)} for key, value in added]
