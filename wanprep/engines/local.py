"""Measure items on this machine, one at a time: what ends how, here or in worker processes (engines/workers.py)."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from wanprep.stage import DISK_FULL, Failed, Item, Missing, Reject, Row, Stage, refused

THREADS = "WANPREP_WORKER_THREADS"
PATIENCE_S = 1.0


def threads() -> int:
    """Threads that the code running here may use: this worker's share of the cores, all of them elsewhere."""
    return int(os.environ.get(THREADS) or os.cpu_count() or 1)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How measuring one item ended. rows: when done. reason, detail: when not."""

    item: Item
    kind: str  # done | rejected | failed | missing
    rows: tuple[Row, ...] = ()
    reason: str = ""
    detail: str = ""
    seconds: float = 0.0


def measure_one(stage: Stage, item: Item) -> Outcome:
    """Run `stage.measure`, turning whatever it raises into an outcome. KeyboardInterrupt passes."""
    start = time.perf_counter()

    def outcome(kind: str, **more: Any) -> Outcome:
        return Outcome(item=item, kind=kind, seconds=time.perf_counter() - start, **more)

    try:
        rows = tuple(stage.measure(item.args, item.parts))
    except Reject as reject:
        return outcome("rejected", reason=reject.reason, detail=reject.detail)
    except Missing as missing:
        return outcome("missing", reason=missing.what, detail=missing.remedy)
    except Failed as error:
        return outcome("failed", reason=error.reason, detail=str(error))
    except Exception as error:
        full = isinstance(error, OSError) and error.errno in DISK_FULL
        return outcome("failed", reason="disk_full" if full else type(error).__name__, detail=failure(error))
    lost = set(item.parts) - {row["key"] for row in rows}
    if lost:
        return outcome("failed", reason="lost_part", detail=f"{stage.name} gave no row for {len(lost)} of its parts")
    return outcome("done", rows=rows)


def failure(error: Exception) -> str:
    """What an error says, and where it was raised unless it names the file that is at fault: then that is all."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return refused(error)
    places = traceback.extract_tb(error.__traceback__)[-1:]
    return " ".join([str(error), *(f"[{place.filename}:{place.lineno} in {place.name}]" for place in places)]).strip()


def run(stage: Stage, items: Iterable[Item], workers: int) -> Iterator[Outcome]:
    """Outcomes as they come, in no order. `workers` = 0 or a stage that is not parallel: in this process.

    A stage that says `plain` (it reads nothing but files of ours, so no decoder can crash) is measured in this process
    for PATIENCE_S first: most often that is all there is to do, and workers would take longer to start.
    """
    queue = list(items)
    queue.reverse()  # popped from the end
    alone = workers < 1 or not stage.parallel
    patience = time.perf_counter() + (PATIENCE_S if getattr(stage, "plain", False) else 0)
    while queue and (alone or time.perf_counter() < patience):
        yield measure_one(stage, queue.pop())
    if queue:
        from wanprep.engines.workers import in_workers  # where nothing is left to be measured, none is needed

        yield from in_workers(stage, queue, min(workers, len(queue)))
