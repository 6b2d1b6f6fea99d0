"""How long to go on asking a server that fails. Pure.

A server that has answered once works: whatever it says later is a bad minute, and every item gets all its tries. One
that fails from the first item on, each time alike, is most likely set up wrongly (a web page at the address, a model
that takes no pictures): after a few items each is tried once only, and after some more there is no point in going on.
"""

from __future__ import annotations

import threading

ONCE_AFTER = 3  # items that failed alike, or requests in a row that nobody answered: each item is tried once only
END_AFTER = 8  # items that failed alike: the run ends


class Patience:
    """What one server has shown so far; told and asked by all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._works = False
        self._unanswered = 0  # requests in a row
        self._fault, self._alike = "", 0  # of the last items

    def tries(self, most: int) -> int:
        """How often to try the next item."""
        with self._lock:
            hopeless = not self._works and self._alike >= ONCE_AFTER
            return 1 if hopeless or self._unanswered >= ONCE_AFTER else most

    def worked(self) -> None:
        """An answer came, or words on what was asked."""
        with self._lock:
            self._works, self._unanswered = True, 0

    def answered(self, by_anyone: bool) -> None:
        """A request failed. by_anyone: a server said so."""
        with self._lock:
            self._unanswered = 0 if by_anyone else self._unanswered + 1

    def failed(self, fault: str) -> int:
        """An item failed for good; fault: its kind. How many items have failed alike so that the run should end, or 0
        to go on."""
        with self._lock:
            self._alike = self._alike + 1 if fault == self._fault else 1
            self._fault = fault
            return self._alike if self._alike >= END_AFTER and not self._works else 0
