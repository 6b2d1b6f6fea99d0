"""What a stage is: items to measure, one measure function, and the three ways a measurement can end.

A measurement ends `Done`, `Rejected` (the bytes are the cause: final for these bytes) or `Failed` (the machine is the
cause: retried by the next run). Stages raise; the runner turns what they raise into rows, so that nothing a stage
meets can vanish. See design, section 3.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from wanprep.dataset import Dataset


DISK_FULL = (errno.ENOSPC, errno.EDQUOT)  # of an OSError: no further item can end well either


def refused(error: OSError) -> str:
    """What the system refused of which file, and what to do about it where that is known."""
    rights = error.errno in (errno.EACCES, errno.EPERM)
    remedy = ". Give yourself the right to it (chmod, chown), then run again" if rights else ""
    return f"{error.strerror}: {error.filename}{remedy}"


class Reject(Exception):
    """The content is the cause. `reason` is a stable snake_case label, `detail` a sentence for people."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[Any, ...]:  # crosses process borders with both fields
        return (Reject, (self.reason, self.detail))


class Missing(Exception):
    """Something this machine lacks (weights, a GPU, ffmpeg) was asked for by name: exit code 3."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(f"{what}. {remedy}" if remedy else what)
        self.what = what
        self.remedy = remedy

    def __reduce__(self) -> tuple[Any, ...]:
        return (Missing, (self.what, self.remedy))


class Damaged(Exception):
    """A file on disk is not the one its row describes. `what` names it, `remedy` the command that mends it."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}. {remedy}")
        self.what = what
        self.remedy = remedy

    def __reduce__(self) -> tuple[type[Damaged], tuple[str, str]]:
        return (Damaged, (self.what, self.remedy))


class Failed(RuntimeError):
    """A failure outside of this program, a server's say: `reason` and the words say all, no place in the code helps."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        return (Failed, (self.reason, str(self)))


class UsageError(Exception):
    """A wrong command line or configuration: exit code 2."""


Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Item:
    """One call of `Stage.measure`; it makes one row a part.

    label: what to call it in messages.
    parts: key of each wanted row -> what is particular to it. A key is made of exactly what its row depends on
        (never a threshold); parts whose row is final already are left out before measuring, so one decode can serve
        several results and a new one needs only itself.
    args: what all parts share. Plain values, small enough to cross a process border.
    row: columns to store with every outcome, a rejection or failure too (ids, mostly).
    """

    label: str
    parts: Mapping[str, Any]
    args: Mapping[str, Any] = field(default_factory=dict)
    row: Mapping[str, Any] = field(default_factory=dict)


class Stage(Protocol):
    """The costly half of a stage. The deciding half is pure and lives in `wanprep.decide`."""

    @property
    def name(self) -> str: ...

    @property
    def table(self) -> str: ...

    @property
    def parallel(self) -> bool:
        """True: worker processes. False: in this process (GPU work)."""
        ...

    def items(self, dataset: Dataset) -> list[Item]:
        """Everything wanted now, measured or not, in a stable order."""
        ...

    def measure(self, args: Mapping[str, Any], parts: Mapping[str, Any]) -> Iterable[Row]:
        """One row (with its "key") a part. Raises Reject when the bytes are at fault, anything else when not."""
        ...
