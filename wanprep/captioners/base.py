"""What a captioner is: the interface every backend (file, template, VLM, endpoint) plugs into.

A captioner turns one clip into one *raw* caption. It knows nothing of the trigger, of the sizes that views ask for, or
of files a human edits: those come later, so that changing them never runs a captioner again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

Origin = Literal["human", "sidecar", "vlm", "template"]
PROVISIONAL = "provisional"  # flag: good enough to go on with, to be replaced before serious training
RETRY_TEMPERATURE = 0.7  # of every attempt after the first: greedy decoding would say the same again


@dataclass(frozen=True, kw_only=True)
class Media:
    """The encoded clip that a captioner looks at.

    kind: "mp4" or "png". digest: of the file's bytes, checked before they are used. rate: frames a second of an mp4;
    frames: how many it holds.
    """

    path: Path
    digest: str
    kind: str
    rate: int
    frames: int

    def __post_init__(self) -> None:
        if self.kind not in ("mp4", "png") or self.rate < 1 or self.frames < 1:
            raise ValueError(f"{self.path}: not a clip (kind {self.kind!r}, {self.frames} frames at {self.rate} fps)")


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """`[caption.sampling]`: how words are drawn, for every captioner that draws any.

    max_new_tokens: longest answer; temperature: 0 takes the likeliest word each time; top_p: words are drawn from the
    likeliest ones that together have this probability; seed: another one gives other words where temperature > 0.
    """

    max_new_tokens: int = 384
    temperature: float = 0.0
    top_p: float = 0.9
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens must be at least 1, got {self.max_new_tokens}")
        if not 0 <= self.temperature <= 2:
            raise ValueError(f"temperature must be between 0 and 2, got {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be above 0 and at most 1, got {self.top_p}")

    def attempt(self, number: int) -> Sampling:
        """The same for attempt 0, 1, …: another seed each time, and never greedy again."""
        if number == 0:
            return self
        warm = max(self.temperature, RETRY_TEMPERATURE)
        return Sampling(max_new_tokens=self.max_new_tokens, temperature=warm, top_p=self.top_p, seed=self.seed + number)


@dataclass(frozen=True, kw_only=True)
class CaptionRequest:
    """One clip to caption.

    source_path: the file the clip comes from; source_rel: its path below the root, with forward slashes.
    start_s, end_s: the clip's span in seconds from the source's first frame; end_s > start_s (a still: equal).
    fields: values for templates and prompts (see `template.FIELDS`); unknown to the caller = left out.
    media: the encoded clip; None before it exists (captioners with `requires_frames` False do not need it).
    """

    clip_id: str
    source_path: Path
    source_rel: str
    group: str
    start_s: float
    end_s: float
    fields: Mapping[str, Any] = field(default_factory=dict)
    media: Media | None = None

    def __post_init__(self) -> None:
        if self.end_s < self.start_s:
            raise ValueError(f"clip {self.clip_id} ends at {self.end_s} s, before its start at {self.start_s} s")
        for name, value in self.fields.items():
            if not isinstance(value, str | int | float):
                raise ValueError(f"clip {self.clip_id}: field {name} must be text or a number, not {value!r}")


@dataclass(frozen=True, kw_only=True)
class RawCaption:
    """What a captioner said.

    flags: stable snake_case labels. finished: whether it came to its own end; False when its length limit cut it off,
    None where that is unknown. tokens_in, tokens_out: None where nothing counted them; cost: in the price's currency.
    more: the texts of other captions of the clip, number 2 first (see `several`).
    """

    text: str
    flags: tuple[str, ...] = ()
    finished: bool | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost: float | None = None
    more: tuple[str, ...] = ()


class Captioner(Protocol):
    """One backend. Subclass it explicitly to inherit what has a body."""

    name: str
    origin: Origin
    requires_frames: bool
    draws: bool = False  # draws words: worth asking again, and its answers are checked
    lanes: int = 1  # how many requests it serves at a time, each in a thread of its own
    together: int = 1  # how many requests `caption_many` is given at a time

    def identity(self) -> dict[str, Any]:
        """What every result depends on: model, prompt hash, sampling. Plain values; part of the key."""
        ...

    def model(self) -> str:
        """A name of the model for people; "" where there is none. No part of the key."""
        return ""

    def inputs(self, request: CaptionRequest) -> dict[str, Any]:
        """What this one result depends on besides the span and `identity()`: a file's digest, a template's values."""
        return {}

    def caption(self, request: CaptionRequest, attempt: int = 0) -> RawCaption:
        """Caption one clip. Reject(reason): the content is the cause; any other exception: the machine is.

        attempt: 0, then 1, 2, … for an answer that was found wanting (see `Sampling.attempt`).
        """
        ...

    def caption_many(self, requests: Sequence[CaptionRequest], attempt: int = 0) -> list[RawCaption | Exception]:
        """Caption several clips, in order; what went wrong with one takes its place and spoils no other."""
        found: list[RawCaption | Exception] = []
        for request in requests:
            try:
                found.append(self.caption(request, attempt))
            except Exception as error:
                found.append(error)
        return found

    def release(self) -> None:
        """Give memory back; the next caption takes it again."""
        return
