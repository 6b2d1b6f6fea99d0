"""Reading, computing and writing side by side: in order, few at a time, and a failure costs its own item only."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from wanprep.engines import overlap
from wanprep.stage import Item, Missing, Reject


class Stage:
    name, table, parallel = "s", "artefacts", False

    def items(self, dataset: Any) -> list[Item]:
        return []

    def measure(self, args: Any, parts: Any) -> Any:
        raise AssertionError


def items(count: int) -> list[list[Item]]:
    return [[Item(label=str(i), parts={f"k{i}": i})] for i in range(count)]


class Work:
    """Counts how many items are in memory (read and not yet finished), and how many steps go on at once."""

    def __init__(self, faults: dict[int, tuple[str, Exception]] | None = None, slow: float = 0.0) -> None:
        self.faults, self.slow = faults or {}, slow
        self.held = self.most = self.busy = self.together = 0
        self.lock = threading.Lock()
        self.threads: dict[str, set[int]] = {"read": set(), "launch": set(), "finish": set()}

    def _step(self, name: str, group: Any, change: int) -> int:
        self.threads[name].add(threading.get_ident())
        number = group[0].parts[f"k{group[0].label}"]
        with self.lock:
            self.held += change
            self.most = max(self.most, self.held)
            self.busy += 1
            self.together = max(self.together, self.busy)
        time.sleep(self.slow)
        with self.lock:
            self.busy -= 1
        if number in self.faults and self.faults[number][0] == name:
            raise self.faults[number][1]
        return number

    def read(self, group: Any) -> int:
        return self._step("read", group, 1)

    def launch(self, group: Any, data: int) -> int:
        assert self._step("launch", group, 0) == data
        return 10 * data

    def finish(self, group: Any, handle: int) -> list[list[dict[str, Any]]]:
        number = self._step("finish", group, -1)
        return [[{"key": f"k{number}", "value": handle}]]


def flat(stage: Any, groups: Any, work: Any, **more: int) -> list[Any]:
    return [outcome for batch in overlap.run(stage, groups, work, **more) for outcome in batch]


def test_outcomes_come_in_order_and_the_steps_in_their_threads() -> None:
    work = Work(slow=0.002)
    outcomes = flat(Stage(), items(30), work, readers=3, writers=2)
    assert [outcome.rows[0]["value"] for outcome in outcomes] == [10 * i for i in range(30)]
    assert all(outcome.kind == "done" and outcome.seconds > 0 for outcome in outcomes)
    assert work.threads["launch"] == {threading.get_ident()}
    assert threading.get_ident() not in work.threads["read"] | work.threads["finish"]
    assert 1 < len(work.threads["read"]) <= 3


def test_few_items_are_in_memory() -> None:
    work = Work(slow=0.001)
    flat(Stage(), items(200), work, readers=4, writers=2)
    assert work.most <= 4 + 1 + overlap.IN_FLIGHT + 1
    assert work.held == 0


def test_steps_overlap() -> None:
    work = Work(slow=0.03)
    flat(Stage(), items(20), work, readers=2, writers=2)
    assert work.together >= 3  # one after the other it is 1


@pytest.mark.parametrize("step", ["read", "launch", "finish"])
def test_a_failure_costs_its_own_item(step: str) -> None:
    faults = {
        3: (step, ValueError("no")),
        5: (step, Reject("unreadable", "so")),
        7: (step, Missing("weights", "get them")),
    }
    outcomes = flat(Stage(), items(10), Work(faults), readers=2)
    kinds = [outcome.kind for outcome in outcomes]
    assert kinds == ["done"] * 3 + ["failed", "done", "rejected", "done", "missing", "done", "done"]
    assert (outcomes[3].reason, outcomes[5].reason, outcomes[7].detail) == ("ValueError", "unreadable", "get them")


def test_leaving_early_begins_nothing_more() -> None:
    work = Work(slow=0.005)
    run = overlap.run(Stage(), items(100), work, readers=2)
    next(run)
    run.close()
    seen = len(work.threads["read"])
    held = work.held
    time.sleep(0.1)
    assert (len(work.threads["read"]), work.held) == (seen, held)


def test_groups_share_their_result() -> None:
    class Grouped(Work):
        def read(self, group: Any) -> int:
            return len(group)

        def launch(self, group: Any, data: int) -> int:
            return data

        def finish(self, group: Any, handle: int) -> Any:
            odd = [int(item.label) % 2 for item in group]
            return [ValueError("odd") if o else [{"key": k}] for o, item in zip(odd, group) for k in item.parts]

    one, two, three = (group[0] for group in items(3))
    outcomes = flat(Stage(), [[one, two], [three]], Grouped())
    assert [outcome.kind for outcome in outcomes] == ["done", "failed", "done"]
