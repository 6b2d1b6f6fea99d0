"""Lines of progress where there is no terminal."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from wanprep import progress


@pytest.mark.parametrize(
    ("done", "total", "seconds", "said"),
    [
        (1, 3, 10.0, "20 s"),
        (10, 10, 50.0, "0 s"),
        (2, 92, 2.0, "2 min"),
        (100, 7300, 60.0, "72 min"),
        (100, 30100, 60.0, "5 h 00 min"),
        (7, 30000, 3.0, "3 h 34 min"),
    ],
)
def test_time_left_is_told_in_its_own_unit(done: int, total: int, seconds: float, said: str) -> None:
    assert progress.time_left(done, total, seconds) == said


def test_lines_tell_what_is_left_of_this_stage(monkeypatch: Any, caplog: Any) -> None:
    now = 100.0
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(progress, "log", logging.getLogger("lines"))  # ours is as the command before left it
    report: Any = SimpleNamespace(stage="latents", final=5)
    done: Any = SimpleNamespace(item=SimpleNamespace(label="x"), reason="", detail="", kind="done", seconds=1.0)
    listen = progress._Plain(quiet=False)
    now = 200.0  # an earlier stage took so long
    with caplog.at_level(logging.INFO, "lines"):
        listen(report, None, 40)
        for _ in range(10):
            now += 3.0
            listen(report, done, 40)
    lines = [record.message for record in caplog.records]
    assert lines[0].endswith("40 to do, 5 were done before")
    assert lines[1].endswith("1 of 40, about 2 min left")  # the first at once: 100 s since anything was said
    assert lines[-1].endswith("9 of 40, about 2 min left")
    assert len(lines) == 1 + 5  # one in six seconds
