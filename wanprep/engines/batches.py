"""Measure several items in one call, in this process: a model serves a batch in little more than the time of one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from wanprep.engines.local import Outcome, measure_one
from wanprep.stage import Item, Missing, Row, Stage

Results = Sequence[Iterable[Row] | Exception]


@dataclass(frozen=True)
class Made:
    """A stage whose one result is there already."""

    name: str
    result: Iterable[Row] | Exception
    table: str = ""
    parallel: bool = False

    def items(self, dataset: Any) -> list[Item]:
        return []

    def measure(self, args: Mapping[str, Any], parts: Mapping[str, Any]) -> Iterable[Row]:
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


def run(
    stage: Stage, items: Sequence[Item], size: int, measure: Callable[[Sequence[Item]], Results]
) -> Iterator[Outcome]:
    """Outcomes in order. measure: a result for each item, an exception in place of one that went wrong.

    A batch that fails as a whole (memory, mostly) is measured again one by one.
    """
    for start in range(0, len(items), size):
        group = items[start : start + size]
        began = time.perf_counter()
        results = _measured(group, measure)
        share = (time.perf_counter() - began) / len(group)
        for item, result in zip(group, results, strict=True):
            yield replace(measure_one(Made(stage.name, result), item), seconds=share)


def _measured(group: Sequence[Item], measure: Callable[[Sequence[Item]], Results]) -> Results:
    try:
        return measure(group)
    except Missing as error:  # for this item as for all
        return [error] * len(group)
    except Exception as error:
        if len(group) == 1:
            return [error]
    return [result for item in group for result in _measured([item], measure)]
