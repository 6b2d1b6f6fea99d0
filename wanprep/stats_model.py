"""The value that statistics are: plain nested dataclasses of numbers and words, ready for JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from wanprep import costs


@dataclass(frozen=True, kw_only=True)
class SourceStats:
    """kinds: of those that could be read. damaged: their good part is used."""

    total: int
    outcomes: dict[str, int]
    kinds: dict[str, int]
    damaged: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class ClipStats:
    """stills: kept ones. several: rejected for several reasons. seconds and kept_seconds: of all and of kept clips; a
    still has none.
    """

    total: int
    states: dict[str, int]
    kept: int
    stills: int
    several: int
    seconds: float
    kept_seconds: float


@dataclass(frozen=True, kw_only=True)
class RepeatStats:
    """Kept clips with clearly fewer new pictures than the family's rate; how many of their frames, of all of theirs,
    repeat the one before, about.
    """

    clips: int
    repeated: int
    frames: int


@dataclass(frozen=True, kw_only=True)
class LengthBin:
    """Kept clips (no stills) of low..high frames at the family's rate, both included; high None: and longer."""

    low: int
    high: int | None
    clips: int


@dataclass(frozen=True, kw_only=True)
class BucketStats:
    """share: of all visits. tokens: of one sample. visits: samples with their repeats."""

    width: int
    height: int
    frames: int
    samples: int
    visits: int
    share: float
    tokens: int
    batches: int


@dataclass(frozen=True, kw_only=True)
class ViewStats:
    """clips: with at least one sample. visits: samples with their repeats. tokens: of all visits."""

    view: str
    clips: int
    samples: int
    duplicate: int
    rejected: int
    visits: int
    tokens: int


@dataclass(frozen=True, kw_only=True)
class SourceLine:
    """why: the most frequent reason of the clips of a source of which none is kept, else ""."""

    source_id: str
    path: str
    group: str
    outcome: str
    reason: str
    damage: str
    why: str
    clips: int
    kept: int
    samples: int
    seconds: float
    kept_seconds: float


@dataclass(frozen=True, kw_only=True)
class Reason:
    """of: source, clip or sample. share: of all of these. example: one detail, "" when there is none."""

    of: str
    reason: str
    count: int
    share: float
    example: str


@dataclass(frozen=True, kw_only=True)
class CacheStats:
    """latents: ok samples by state. files: (clip, size) pairs by state. expected_bytes: latents when all are cached.

    artefacts: kind -> {"files", "bytes"} as recorded. looked_at: stored files, for existence and size; absent: those of
    them that are not there in full, which count as pending.
    """

    latents: dict[str, int]
    files: dict[str, int]
    expected_bytes: int
    artefacts: dict[str, dict[str, int]]
    looked_at: int = 0
    absent: int = 0


@dataclass(frozen=True, kw_only=True)
class Stats:
    family: str
    fps: int
    max_frames: int
    sources: SourceStats
    clips: ClipStats
    samples: dict[str, int]
    epoch: costs.Epoch
    batch_size: int
    accumulate: int
    forward_tflop: float | None  # of an epoch; None for a family without a cost model
    repeats: RepeatStats
    lengths: list[LengthBin]
    buckets: list[BucketStats]
    views: list[ViewStats]
    by_source: list[SourceLine]
    reasons: list[Reason]
    captions: dict[str, int]
    cache: CacheStats

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, ensure_ascii=False)
