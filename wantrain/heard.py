"""Signals of a run: noted when they arrive, answered by the training loop between two steps.

Ctrl-C, SIGTERM and a terminal that closes (SIGHUP) end a run with everything saved; SIGUSR1 asks for a checkpoint.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

HANG_UP = getattr(signal, "SIGHUP", None)
SAVE = getattr(signal, "SIGUSR1", None)


@dataclass
class Heard:
    """Signals that arrived. stop: numbers of SIGINT, SIGTERM, SIGHUP; saves: how many SIGUSR1 wait for an answer."""

    stop: list[int] = field(default_factory=list)
    saves: int = 0

    def save_now(self) -> bool:
        asked, self.saves = self.saves > 0, 0
        return asked


@contextmanager
def saves_noted() -> Iterator[Heard]:
    """Note SIGUSR1, which would end the process, from now on."""
    heard = Heard()

    def note(number: int, frame: Any) -> None:
        heard.saves += 1

    with _handled({} if SAVE is None else {SAVE: note}):
        yield heard


@contextmanager
def stops_noted(heard: Heard) -> Iterator[None]:
    """Note SIGINT, SIGTERM and SIGHUP as well; a second SIGINT or SIGTERM acts as usual.

    A second SIGHUP does nothing: when a terminal closes, both the shell and the kernel may send one. What is ignored
    already stays so: SIGHUP under `nohup`, SIGINT in the background of a script.
    """

    def stop(number: int, frame: Any) -> None:
        heard.stop.append(number)
        signal.signal(number, before[number])
        _say("stopping after this step; once more to stop at once")

    def hang_up(number: int, frame: Any) -> None:
        _leave_terminal()
        if number not in heard.stop:
            heard.stop.append(number)
            _say("the terminal hung up: stopping after this step")

    handlers: dict[int, Any] = {signal.SIGINT: stop, signal.SIGTERM: stop}
    if HANG_UP is not None:
        handlers[HANG_UP] = hang_up
    wanted = {number: handler for number, handler in handlers.items() if signal.getsignal(number) != signal.SIG_IGN}
    with _handled(wanted) as before:
        yield


@contextmanager
def _handled(handlers: Mapping[int, Any]) -> Iterator[dict[int, Any]]:
    before = {number: signal.getsignal(number) for number in handlers}
    for number, handler in handlers.items():
        signal.signal(number, handler)
    try:
        yield before
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def _leave_terminal() -> None:
    """What nobody reads any more goes nowhere: writing to a terminal or pipe that is gone is an error, which would
    end the run before it has saved."""
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123
        for stream in (1, 2):
            look = select.poll()
            look.register(stream, 0)
            if look.poll(0):  # POLLERR, POLLHUP, POLLNVAL are told without being asked for
                os.dup2(nowhere.fileno(), stream)


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        os.write(2, f"{text}\n".encode())  # no buffer: the signal may have come in the middle of a print
