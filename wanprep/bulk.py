"""Work on whole tables in plain Python: without the collector looking over every new row, and column by column."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Inside, rows come into being by the hundred thousand and none is garbage: looking for it took a fifth of the
    time of deciding, and a tenth once more afterwards, as long as they live. Reference counting goes on."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextlib.contextmanager
def collection() -> Iterator[None]:
    """Inside `no_collection`: work that takes long and makes garbage."""
    enabled = gc.isenabled()
    gc.enable()
    try:
        yield
    finally:
        if not enabled:
            gc.disable()


def columns(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[Sequence[Any]]:
    """Of each name the values of all rows, None where a row has none.

    Each row is looked into once, since rows by the ten thousand do not fit into a processor's cache; what the first row
    lacks and another has is looked for one by one.
    """
    there = [name for name in names if rows and name in rows[0]]
    lacking = set(names) - set(there)
    found: dict[str, Sequence[Any]] = {}
    if lacking and all(map(lacking.isdisjoint, rows)):
        found = dict.fromkeys(lacking, [None] * len(rows))
    with contextlib.suppress(KeyError):  # a later row lacks one
        if there:
            found |= zip(there, zip(*map(itemgetter(*there, there[0]), rows)))
    return [found[name] if name in found else [row.get(name) for row in rows] for name in names]
