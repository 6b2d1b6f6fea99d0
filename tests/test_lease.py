import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from wanprep.lease import Held, exclusive


def _hold(path: str, ready) -> None:  # type: ignore[no-untyped-def]
    with exclusive(Path(path)):
        ready.set()
        time.sleep(60)


def test_second_holder_is_told_who_and_a_killed_holder_leaves_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_hold, args=(str(tmp_path / "lock"), ready))
    process.start()
    assert ready.wait(20)
    with pytest.raises(Held, match=f"process {process.pid}"), exclusive(tmp_path / "lock", "stage split"):
        pass
    assert process.pid
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with exclusive(tmp_path / "lock"):
        pass
