"""The two engines of the caption stage: threads for what waits, batches for what is quicker together."""

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from wanprep.engines import batches, threads
from wanprep.stage import Item, Missing, Reject


def items(count: int) -> list[Item]:
    return [Item(label=f"item {n}", parts={f"k{n}": None}, args={"n": n}) for n in range(count)]


@dataclass
class Waiting:
    """Waits, and goes wrong for some items."""

    delay: float = 0.05
    name: str = "waiting"
    table: str = "none"
    parallel: bool = False
    begun: list[int] = field(default_factory=list)
    gate: threading.Event | threading.Barrier | None = None
    held: int = 0

    def items(self, dataset: Any) -> list[Item]:
        return []

    def measure(self, args: Mapping[str, Any], parts: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
        self.begun.append(args["n"])
        if self.gate:
            with threads.waiting():
                self.held += 1
                self.gate.wait(30)
                self.held -= 1
        time.sleep(self.delay)
        match args["n"]:
            case 1:
                raise Reject("refused", "no")
            case 2:
                raise OSError("down")
            case 3:
                raise Missing("a key")
            case 4:
                raise SystemExit(1)
        return [{"key": key} for key in parts]


def test_threads_wait_together_and_lose_no_item() -> None:
    together = threading.Barrier(12, timeout=30)  # whoever is alone waits in vain
    outcomes = list(threads.run(Waiting(gate=together), items(12), 12))
    kinds = {outcome.item.args["n"]: outcome.kind for outcome in outcomes}
    assert kinds == dict.fromkeys(range(12), "done") | {1: "rejected", 2: "failed", 3: "missing", 4: "failed"}
    assert len(outcomes) == 12


def test_no_more_lanes_than_asked_for() -> None:
    stage = Waiting(gate=threading.Event())
    run = threads.run(stage, items(9), 3)
    opener = threading.Timer(0.2, lambda: (before.extend(stage.begun), stage.gate.set()))  # type: ignore[union-attr]
    before: list[int] = []
    opener.start()
    assert len(list(run)) == 9
    assert sorted(before) == [0, 1, 2]


def test_left_early_nothing_more_is_begun_and_nobody_is_waited_for() -> None:
    stage = Waiting(delay=0.01)
    run = threads.run(stage, items(500), 2)
    assert next(run).kind in ("done", "rejected", "failed", "missing")
    stage.gate = threading.Event()
    while not stage.held:
        time.sleep(0.01)
    run.close()  # what an interruption does
    assert stage.held  # and close did not wait for it
    begun = len(stage.begun)
    stage.gate.set()
    time.sleep(0.2)
    assert len(stage.begun) <= begun + 2 < 500  # each thread may have taken an item before it was told


@dataclass
class Computing(Waiting):
    """Waits for a server (the gate) in its first item only, and computes until it may stop in all others."""

    enough: threading.Event = field(default_factory=threading.Event)
    computed: list[int] = field(default_factory=list)

    def measure(self, args: Mapping[str, Any], parts: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
        self.begun.append(args["n"])
        if args["n"] == 0:
            return [{"key": key} for key in parts]
        if args["n"] == 1:
            assert self.gate
            with threads.waiting():
                self.gate.wait(30)
        else:
            self.enough.wait(30)
        self.computed.append(args["n"])
        return [{"key": key} for key in parts]


def test_left_early_what_computes_is_waited_for_and_what_waits_computes_nothing_more() -> None:
    stage = Computing(gate=threading.Event())
    run = threads.run(stage, items(3), 3)
    assert next(run).item.args["n"] == 0
    while len(stage.begun) < 3:
        time.sleep(0.01)
    threading.Timer(0.2, stage.enough.set).start()
    run.close()
    assert stage.computed == [2]  # a process that ended now would find no thread in a library's code
    assert isinstance(stage.gate, threading.Event)
    stage.gate.set()
    for thread in threading.enumerate():
        if thread.name.startswith("waiting-"):
            thread.join(30)
    assert stage.computed == [2]


def test_outside_of_lanes_waiting_is_nothing() -> None:
    with threads.waiting():
        pass
    with pytest.raises(OSError, match="down"), threads.waiting():
        raise OSError("down")


def test_batches_keep_order_and_single_faults_apart() -> None:
    sizes = []

    def measure(group):
        sizes.append(len(group))
        faults = {1: Reject("refused"), 2: OSError("down")}
        return [faults.get(item.args["n"]) or [{"key": key} for key in item.parts] for item in group]

    outcomes = list(batches.run(Waiting(), items(7), 3, measure))
    assert sizes == [3, 3, 1]
    assert [outcome.item.args["n"] for outcome in outcomes] == list(range(7))
    assert [outcome.kind for outcome in outcomes] == ["done", "rejected", "failed", "done", "done", "done", "done"]
    assert outcomes[0].rows == ({"key": "k0"},)


def test_a_batch_that_does_not_fit_is_measured_one_by_one() -> None:
    sizes = []

    def measure(group):
        sizes.append(len(group))
        if len(group) > 1 or group[0].args["n"] == 2:
            raise MemoryError("too big")
        return [[{"key": key} for key in item.parts] for item in group]

    outcomes = list(batches.run(Waiting(), items(4), 4, measure))
    assert sizes == [4, 1, 1, 1, 1]
    assert [outcome.kind for outcome in outcomes] == ["done", "done", "failed", "done"]


def test_what_is_missing_for_one_is_missing_for_all() -> None:
    calls = []

    def measure(group):
        calls.append(group)
        raise Missing("weights", "download them")

    outcomes = list(batches.run(Waiting(), items(3), 3, measure))
    assert [outcome.kind for outcome in outcomes] == ["missing"] * 3
    assert len(calls) == 1


def test_a_result_too_few_is_an_error_not_a_lost_item() -> None:
    with pytest.raises(ValueError, match="zip"):
        list(batches.run(Waiting(), items(2), 2, lambda group: [[]]))
