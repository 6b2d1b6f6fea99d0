"""What a stage is: items to measure, one measure function, and the three ways a measurement can end.

A measurement ends `Done`, `Rejected` (the bytes are the cause: final for these bytes) or `Failed` (the machine is the
cause: retried by the next run). Stages raise; the runner turns what they raise into rows, so that nothing a stage
meets can vanish. See design, section 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from wanprep.dataset import Dataset


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


class UsageError(Exception):
    """A wrong command line or configuration: exit code 2."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One thing to measure.

    key: identity of the measurement, made of exactly what its result depends on (never a threshold).
    label: what to call it in messages.
    args: plain values handed to `Stage.measure`, small enough to cross a process border.
    """

    key: str
    label: str
    args: Mapping[str, Any] = field(default_factory=dict)


class Stage(Protocol):
    """The costly half of a stage. The deciding half is a pure function called by `wanprep.decide`."""

    name: str
    table: str
    parallel: bool  # True: worker processes; False: in this process (GPU work, or an endpoint)

    def items(self, dataset: Dataset) -> list[Item]:
        """Everything wanted now, measured or not; the runner leaves out what is final already."""
        ...

    def measure(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """Measure one item and return its row; raise Reject when its bytes are at fault."""
        ...
