"""What a captioner is: the interface every backend (file, template, VLM, endpoint) plugs into.

A captioner turns one clip into one *raw* caption. It knows nothing of the trigger, of the sizes that views ask for, or
of files a human edits: those come later, so that changing them never runs a captioner again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np

Origin = Literal["human", "sidecar", "vlm", "template"]
PROVISIONAL = "provisional"  # flag: good enough to go on with, to be replaced before serious training


@dataclass(frozen=True, kw_only=True)
class CaptionRequest:
    """One clip to caption.

    mp4_path: the encoded clip, None before it exists (captioners with `requires_frames` False do not need it).
    source_path: the file the clip comes from; source_rel: its path below the root, with forward slashes.
    start_s, end_s: the clip's span in seconds from the source's first frame; end_s > start_s (a still: equal).
    fields: values for templates (see `template.FIELDS`); unknown to the caller = left out.
    load_frames: gives (uint8 [F,H,W,3] RGB, float64 [F] seconds from the clip's start); None before it is encoded.
    """

    clip_id: str
    source_path: Path
    source_rel: str
    group: str
    start_s: float
    end_s: float
    mp4_path: Path | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    load_frames: Callable[[], tuple[np.ndarray, np.ndarray]] | None = None

    def __post_init__(self) -> None:
        if self.end_s < self.start_s:
            raise ValueError(f"clip {self.clip_id} ends at {self.end_s} s, before its start at {self.start_s} s")
        for name, value in self.fields.items():
            if not isinstance(value, str | int | float):
                raise ValueError(f"clip {self.clip_id}: field {name} must be text or a number, not {value!r}")


@dataclass(frozen=True, kw_only=True)
class RawCaption:
    """What a captioner said. flags: stable snake_case labels; extra: plain values worth keeping (tokens, retries)."""

    text: str
    flags: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)


class Captioner(Protocol):
    """One backend. Subclass it explicitly to inherit `inputs`."""

    name: str
    origin: Origin
    requires_frames: bool

    def identity(self) -> dict[str, Any]:
        """What every result depends on: model, prompt hash, sampling. Plain values; part of the key."""
        ...

    def inputs(self, request: CaptionRequest) -> dict[str, Any]:
        """What this one result depends on besides the span and `identity()`: a file's digest, a template's values."""
        return {}

    def caption(self, request: CaptionRequest) -> RawCaption:
        """Caption one clip. Reject(reason): the content is the cause; any other exception: the machine is."""
        ...
