"""Where items are measured: in this process, or in workers that know today's environment."""

import gc
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from wanprep.engines import local, workers
from wanprep.engines.children import KEPT
from wanprep.stage import Item


@dataclass(frozen=True)
class Where:
    """Says which process measured an item, and what it sees there."""

    plain: bool = False
    parallel: bool = True
    name: str = "where"
    table: str = ""
    seconds: float = 0.0

    def items(self, dataset: Any) -> list[Item]:
        return [Item(label=str(k), parts={str(k): None}) for k in range(6)]

    def measure(self, args: Mapping[str, Any], parts: Mapping[str, Any]) -> list[dict[str, Any]]:
        time.sleep(self.seconds)
        import cv2

        seen = {"pid": os.getpid(), "told": os.environ.get("WANPREP_TOLD"), "cv2": cv2.getNumThreads()}
        seen |= {"frozen": gc.get_freeze_count()}
        seen |= {"kept": {name: os.environ.get(name) for name in KEPT} == KEPT}
        seen |= {"deaf": signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())}
        return [{"key": key, **seen, "threads": local.threads()} for key in parts]


def measured(stage: Where, workers: int) -> list[dict[str, Any]]:
    outcomes = list(local.run(stage, stage.items(None), workers))
    assert sorted(outcome.item.label for outcome in outcomes) == list("012345")
    return [dict(row) for outcome in outcomes for row in outcome.rows]


def test_decoding_never_happens_in_this_process():
    rows = measured(Where(), workers=2)
    assert os.getpid() not in {row["pid"] for row in rows}
    assert {row["threads"] for row in rows} == {max(1, (os.cpu_count() or 1) // 2)}
    assert {row["cv2"] for row in rows} == {row["threads"] for row in rows}


def test_workers_keep_the_memory_that_they_free_and_this_process_does_not():
    assert {row["kept"] for row in measured(Where(), workers=2)} == {True}
    assert {row["kept"] for row in measured(Where(), workers=0)} == {False}


@pytest.mark.parametrize("word", ["first", "second"])
def test_workers_see_the_environment_of_now(monkeypatch, word):
    monkeypatch.setenv("WANPREP_TOLD", word)
    assert {row["told"] for row in measured(Where(), workers=2)} == {word}


def test_workers_are_born_deaf_to_ctrl_c_and_this_process_is_not():
    assert {row["deaf"] for row in measured(Where(), workers=2)} == {True}  # so were they while they loaded modules
    assert {row["deaf"] for row in measured(Where(), workers=0)} == {False}


@pytest.mark.parametrize("error", [EOFError(), ConnectionRefusedError(111, "Connection refused")])
def test_workers_that_cannot_be_started_are_an_error_that_says_so(monkeypatch, error):
    def start(self: Any) -> None:
        raise error

    monkeypatch.setattr(type(workers._context().Process()), "start", start)
    with pytest.raises(ChildProcessError, match="starts workers ended"):
        measured(Where(), workers=2)


def test_no_collector_looks_over_what_the_server_holds():
    """It would make a copy of those pages for each worker."""
    frozen = {row["frozen"] for row in measured(Where(), workers=2)}
    assert min(frozen) > 10_000
    assert {row["frozen"] for row in measured(Where(), workers=0)} == {gc.get_freeze_count()}


def test_a_little_plain_work_starts_nobody(monkeypatch):
    monkeypatch.setattr(workers, "_Worker", lambda *_, **__: pytest.fail("a worker was started"))
    assert {row["pid"] for row in measured(Where(plain=True), workers=4)} == {os.getpid()}


def test_much_plain_work_goes_to_workers_after_a_while(monkeypatch):
    monkeypatch.setattr(local, "PATIENCE_S", 0.05)
    pids = [row["pid"] for row in measured(Where(plain=True, seconds=0.04), workers=2)]
    assert pids[0] == os.getpid()
    assert os.getpid() not in pids[3:]


def test_no_workers_means_this_process():
    assert {row["pid"] for row in measured(Where(), workers=0)} == {os.getpid()}
    assert {row["pid"] for row in measured(Where(parallel=False), workers=4)} == {os.getpid()}


def test_a_failure_that_names_its_file_says_no_more() -> None:
    def raised(make: Callable[[], object]) -> str:
        try:
            make()
        except Exception as error:
            return local.failure(error)
        raise AssertionError

    assert raised(lambda: Path("/nowhere/film.mp4").stat()) == "No such file or directory: /nowhere/film.mp4"
    other = raised(lambda: int("x"))  # negative control: nobody could tell where that came from
    assert other.startswith("invalid literal for int() with base 10: 'x' [")
    assert "test_local.py" in other
    assert "|" not in other
